//! What can be done to a guest: acts as data. Each is whole or not at all, and safe to repeat.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::command::{Command, Output};

/// One act.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Content and attributes of a file, at once: a temporary file in the same directory takes its place. Attributes
    /// that are not given are those of the file that was there, else 0644 root:root. Symbolic links are followed.
    File {
        /// The path, absolute.
        path: String,
        /// What it is to hold.
        content: Content,
        /// What it is to be.
        attributes: Attributes,
        /// Where the file that was there is kept.
        backup: Option<String>,
        /// A command that must succeed on the temporary file first; `%s` stands for it.
        validate: Option<Vec<String>>,
    },
    /// A directory, and those above it that are missing; the attributes are for each that is made.
    Directory {
        /// The path, absolute.
        path: String,
        /// What they are to be.
        attributes: Attributes,
    },
    /// Owner, group and mode of what is there.
    Attributes {
        /// The path, absolute.
        path: String,
        /// What they are to be.
        attributes: Attributes,
        /// The end of a symbolic link in its place.
        follow: bool,
    },
    /// A symbolic link, in the place of whatever file or link is there.
    Symlink {
        /// The path, absolute.
        path: String,
        /// Where it points.
        target: String,
        /// Its owner.
        attributes: Attributes,
    },
    /// A hard link, in the place of whatever file is there.
    Hardlink {
        /// The path, absolute.
        path: String,
        /// The file.
        target: String,
    },
    /// A path and all below it is gone.
    Remove {
        /// The path, absolute.
        path: String,
    },
    /// Times of a path, which is made as an empty file where it is missing.
    Touch {
        /// The path, absolute.
        path: String,
        /// Last access: seconds since 1970, or now.
        accessed: Option<i64>,
        /// Last change: seconds since 1970, or now.
        modified: Option<i64>,
    },
    /// A file of the guest's is kept at the operator's machine.
    Fetch {
        /// The path, absolute.
        path: String,
        /// Where it is kept; its directory is made.
        to: PathBuf,
    },
    /// A command is run. What exit code is a failure is the task's to say.
    Run(Command),
    /// The instance is started again; done when its init has come up.
    Restart {
        /// How long that may take.
        timeout: Duration,
    },
    /// Time passes.
    Sleep(Duration),
}

/// What a file is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// What a file at the operator's machine holds; it is sent in pieces.
    Local {
        /// The file.
        path: PathBuf,
        /// Its SHA-1 in hex.
        sha1: String,
        /// Bytes.
        size: u64,
    },
    /// What another file of the guest's holds.
    Guest(String),
}

/// Whose a file is, and who may use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permissions: 0 to 0o7777.
    pub mode: Option<u32>,
    /// The owner's name or number.
    pub owner: Option<String>,
    /// The group's name or number.
    pub group: Option<String>,
}

impl Attributes {
    /// True where nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }
}

/// What came of a [`Write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done.
    Written,
    /// What a command left behind.
    Ran(Output),
}

impl Done {
    /// What a command left behind; of other acts nothing.
    pub fn output(&self) -> Option<&Output> {
        match self {
            Done::Ran(output) => Some(output),
            Done::Written => None,
        }
    }
}
