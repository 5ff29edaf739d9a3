//! What can be asked of a guest: questions as data, so that many travel together and each is asked once.

use std::collections::BTreeMap;

use super::command::{Command, Output};

/// A question that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// A path: is it there, and what is it?
    Stat {
        /// The path, absolute.
        path: String,
        /// The end of a symbolic link in its place.
        follow: bool,
    },
    /// The checksum of a file's content, in hex. Symbolic links are followed.
    Hash {
        /// The path, absolute.
        path: String,
        /// How it is made.
        algorithm: Algorithm,
    },
    /// A file's whole content. Symbolic links are followed.
    Read {
        /// The path, absolute.
        path: String,
    },
    /// What is below a directory, itself excluded.
    List {
        /// The path, absolute.
        path: String,
        /// So many levels; without a limit where this is `None`.
        depth: Option<u32>,
        /// Into directories behind symbolic links as well.
        follow: bool,
    },
    /// A user's line in the user database, and what of it is in shadow.
    User(String),
    /// A group's line in the group database.
    Group(String),
    /// A package as dpkg, apk or rpm has it.
    Package {
        /// Whose.
        manager: PackageManager,
        /// Its name, with `:ARCH` where there are several.
        name: String,
        /// Of what is not installed also who provides it, and what would be: apt takes a while to say.
        candidate: bool,
    },
    /// A unit as systemd has it: `nginx` is `nginx.service`.
    Unit {
        /// Its name.
        name: String,
        /// A user's own manager in place of the system's.
        user: Option<String>,
    },
    /// Where a program is in PATH.
    Which(String),
    /// What a command says that changes nothing.
    Output(Look),
}

/// A command that changes nothing, and what its answer hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// The command.
    pub command: Command,
    /// What it is about: while that stays, it says the same.
    pub about: About,
}

/// What a command's answer hangs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum About {
    /// Anything in the guest.
    #[default]
    Anything,
    /// Its words alone: it says the same in every guest at every time.
    Nothing,
    /// A path and what is below it.
    Path(String),
    /// Packages.
    Packages,
    /// Units.
    Units,
    /// Users and groups.
    Accounts,
    /// What acts name in the same way: `crontab of root`.
    Named(String),
}

impl From<Command> for Look {
    fn from(command: Command) -> Self {
        Look { command, about: About::Anything }
    }
}

impl Command {
    /// As a look at something.
    pub fn about(self, about: About) -> Look {
        Look { command: self, about }
    }
}

/// How a checksum is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5, as old playbooks have it.
    Md5,
    /// SHA-1: Ansible's `checksum`.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The checksum of these bytes, in hex.
    pub fn of(self, bytes: &[u8]) -> String {
        use sha1::Digest;
        fn hex(digest: &[u8]) -> String {
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        match self {
            Algorithm::Md5 => hex(&md5::Md5::digest(bytes)),
            Algorithm::Sha1 => hex(&sha1::Sha1::digest(bytes)),
            Algorithm::Sha224 => hex(&sha2::Sha224::digest(bytes)),
            Algorithm::Sha256 => hex(&sha2::Sha256::digest(bytes)),
            Algorithm::Sha384 => hex(&sha2::Sha384::digest(bytes)),
            Algorithm::Sha512 => hex(&sha2::Sha512::digest(bytes)),
        }
    }
}

/// Whose packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PackageManager {
    /// dpkg's.
    Dpkg,
    /// apk's.
    Apk,
    /// rpm's.
    Rpm,
}

/// The answer to a [`Probe`], in its own variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of [`Probe::Stat`]; `None` where nothing is there.
    Stat(Option<Stat>),
    /// Of [`Probe::Hash`]; `None` where no file is there.
    Hash(Option<String>),
    /// Of [`Probe::Read`]; `None` where no file is there.
    Read(Option<Vec<u8>>),
    /// Of [`Probe::List`], sorted by path; `None` where no directory is there.
    List(Option<Vec<Entry>>),
    /// Of [`Probe::User`].
    User(Option<User>),
    /// Of [`Probe::Group`].
    Group(Option<Group>),
    /// Of [`Probe::Package`].
    Package(Package),
    /// Of [`Probe::Unit`]: systemd's properties by name; `None` where the guest has no systemd that runs.
    Unit(Option<BTreeMap<String, String>>),
    /// Of [`Probe::Which`].
    Which(Option<String>),
    /// Of [`Probe::Output`].
    Output(Output),
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Character,
    /// A block device.
    Block,
}

/// A path's attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permissions with setuid, setgid and sticky: 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The owner's name, where it has one.
    pub owner: Option<String>,
    /// The group's name, where it has one.
    pub group: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Inode.
    pub inode: u64,
    /// The device it is on.
    pub device: u64,
    /// Number of hard links.
    pub links: u64,
    /// Last access, last change of content, last change of attributes: seconds since 1970.
    pub atime: i64,
    /// See `atime`.
    pub mtime: i64,
    /// See `atime`.
    pub ctime: i64,
    /// Where a symbolic link points, as it was written.
    pub target: Option<String>,
    /// Nobody has seen it: it is so when what is planned is done. Its times, inode and device are not known.
    pub is_foreseen: bool,
}

/// One path below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its whole path.
    pub path: String,
    /// What it is.
    pub stat: Stat,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// Name of the primary group.
    pub group: String,
    /// GECOS.
    pub comment: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Names of the other groups.
    pub groups: Vec<String>,
    /// What shadow has in the password's place; never shown.
    pub password: Option<String>,
    /// Day of expiry since 1970, as shadow has it.
    pub expires: Option<i64>,
    /// It is in /etc/passwd itself.
    pub is_local: bool,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number.
    pub gid: u32,
    /// Names of its members.
    pub members: Vec<String>,
}

/// A package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// The installed version; `None` where it is not installed (removed, with its configuration kept, is not
    /// installed).
    pub installed: Option<String>,
    /// Its configuration is still there.
    pub is_configured: bool,
    /// It is on hold.
    pub is_held: bool,
    /// Another installed package provides it.
    pub is_provided: bool,
    /// Of what is not installed: the version that would be; `None` where no repository has it.
    pub candidate: Option<String>,
    /// It is known as a name that only others provide.
    pub is_virtual: bool,
    /// The lists will be newer: which version there will be is not known.
    pub is_awaited: bool,
}
