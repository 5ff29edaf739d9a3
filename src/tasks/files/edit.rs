//! Text files that are edited: read, changed, put in place.

use super::attributes::{NEW_DIRECTORY, Wanted};
use super::place::{Holding, Placed, place};
use crate::guest::{Attributes, FileKind, Probe, Write};
use crate::tasks::{Call, Failure, Known, Mode, Pause, Verdict};

/// How a file is edited.
pub struct Edit<'a> {
    /// The path, absolute.
    pub path: &'a str,
    /// A missing file is made.
    pub create: bool,
    /// What was there is kept.
    pub backup: bool,
    /// What must accept it first.
    pub validate: Option<&'a str>,
    /// Its attributes.
    pub wanted: Wanted,
}

/// What is said where the edited file is missing.
pub fn missing(path: &str) -> Failure {
    Failure::new(format!("Destination {path} does not exist !")).with("rc", 257)
}

impl<'a> Edit<'a> {
    /// With the arguments that all editing modules have.
    pub fn of(
        path: &'a str,
        create: bool,
        backup: bool,
        validate: Option<&'a str>,
        attributes: (&Option<Mode>, &Option<String>, &Option<String>),
    ) -> Self {
        let (mode, owner, group) = attributes;
        let wanted = Wanted { mode: mode.clone(), owner: owner.clone(), group: group.clone() };
        Edit { path, create, backup, validate, wanted }
    }

    /// The text that is there.
    pub fn text(&self, guest: &Known) -> Result<Option<String>, Pause> {
        guest.want([
            Probe::Stat { path: self.path.to_owned(), follow: true },
            Probe::Read { path: self.path.to_owned() },
        ])?;
        match guest.stat(self.path)? {
            Some(stat) if stat.kind == FileKind::Directory => {
                Err(Failure::new(format!("Path {} is a directory !", self.path)).with("rc", 256).into())
            }
            Some(_) => {
                let bytes = guest.read(self.path)?.unwrap_or_default().to_vec();
                String::from_utf8(bytes)
                    .map(Some)
                    .map_err(|_| Failure::new(format!("{}: it is no UTF-8, and stays as it is", self.path)).into())
            }
            None if self.create => Ok(None),
            None => Err(missing(self.path).into()),
        }
    }

    /// The verdict for what the text is to be.
    pub fn put(self, text: String, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        // With `create` the directories above are made as well.
        let parent = crate::tasks::parent_of(self.path).to_owned();
        let is_first = self.create && guest.stat(self.path)?.is_none() && guest.stat(&parent)?.is_none();
        let placed = Placed {
            path: self.path,
            content: Holding::Bytes(text.into_bytes()),
            wanted: self.wanted,
            backup: self.backup,
            keep: false,
            validate: self.validate,
            makes_parent: self.create,
        };
        let mut verdict = place(placed, call, guest)?;
        if is_first {
            let attributes = Attributes { mode: Some(NEW_DIRECTORY), ..Attributes::default() };
            verdict.writes.insert(0, Write::Directory { path: parent, attributes });
        }
        let kept = verdict.result.get("backup_file").cloned();
        let attributes = ["owner", "group", "mode", "uid", "gid", "size", "state"];
        verdict.result.retain(|name, _| attributes.contains(&name.as_str()));
        Ok(verdict.with("backup", kept.unwrap_or_else(|| "".into())))
    }

    /// The verdict where the text stays: attributes alone.
    pub fn keep(self, text: Option<String>, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        match text {
            Some(text) => self.put(text, call, guest),
            None => Ok(Verdict::nothing()),
        }
    }
}
