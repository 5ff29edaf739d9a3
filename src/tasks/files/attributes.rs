//! Owner, group and mode: as they are wanted, as they are, and what a result says of them.

use crate::guest::{Attributes, FileKind, Stat, Write};
use crate::tasks::{Change, Failure, Known, Map, Mode, Pause};
use crate::template::Value;

/// What a task wants of a path's attributes.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its mode.
    pub mode: Option<Mode>,
    /// Its owner's name or number.
    pub owner: Option<String>,
    /// Its group's name or number.
    pub group: Option<String>,
}

/// What a path has without anybody saying otherwise.
pub const NEW_FILE: u32 = 0o644;
/// The same of a directory.
pub const NEW_DIRECTORY: u32 = 0o755;

impl Wanted {
    /// Owner and group must be there.
    pub fn check(&self, guest: &Known) -> Result<(), Pause> {
        let user = self.owner.as_ref().map(|owner| crate::guest::Probe::User(owner.clone()));
        let group = self.group.as_ref().map(|group| crate::guest::Probe::Group(group.clone()));
        guest.want(user.into_iter().chain(group))?;
        if let Some(owner) = self.owner.as_ref().filter(|owner| owner.parse::<u32>().is_err())
            && guest.user(owner)?.is_none()
        {
            return Err(Failure::new(format!("chown failed: failed to look up user {owner}")).into());
        }
        if let Some(group) = self.group.as_ref().filter(|group| group.parse::<u32>().is_err())
            && guest.group(group)?.is_none()
        {
            return Err(Failure::new(format!("chgrp failed: failed to look up group {group}")).into());
        }
        Ok(())
    }

    /// What the path is to have: the wanted, and nothing of what is not said.
    pub fn attributes(&self, before: Option<&Stat>, default: u32) -> Result<Attributes, Failure> {
        let is_directory = before.is_some_and(|stat| stat.kind == FileKind::Directory) || default == NEW_DIRECTORY;
        let current = before.map_or(default, |stat| stat.mode);
        let mode = self.mode.as_ref().map(|mode| mode.resolve(current, is_directory)).transpose()?;
        Ok(Attributes { mode, owner: self.owner.clone(), group: self.group.clone() })
    }

    /// What differs between what is wanted and what is there.
    pub fn changes(&self, stat: &Stat, guest: &Known) -> Result<Vec<Change>, Pause> {
        let attributes = self.attributes(Some(stat), NEW_FILE)?;
        let mut changes = vec![];
        if let Some(mode) = attributes.mode.filter(|mode| *mode != stat.mode) {
            changes.push(Change::value("mode", Some(octal(stat.mode)), Some(octal(mode))));
        }
        if let Some(owner) = &self.owner {
            let is_same = match owner.parse::<u32>() {
                Ok(uid) => uid == stat.uid,
                Err(_) => guest.user(owner)?.is_some_and(|user| user.uid == stat.uid),
            };
            if !is_same {
                changes.push(Change::value("owner", Some(named(&stat.owner, stat.uid)), Some(owner.clone())));
            }
        }
        if let Some(group) = &self.group {
            let is_same = match group.parse::<u32>() {
                Ok(gid) => gid == stat.gid,
                Err(_) => guest.group(group)?.is_some_and(|group| group.gid == stat.gid),
            };
            if !is_same {
                changes.push(Change::value("group", Some(named(&stat.group, stat.gid)), Some(group.clone())));
            }
        }
        Ok(changes)
    }

    /// The act that makes them so, where anything differs.
    pub fn write(&self, path: &str, stat: &Stat, follow: bool) -> Result<Write, Failure> {
        let attributes = self.attributes(Some(stat), NEW_FILE)?;
        Ok(Write::Attributes { path: path.to_owned(), attributes, follow })
    }

    /// What a result says of the path once all is done.
    pub fn result(&self, before: Option<&Stat>, default: u32, guest: &Known) -> Result<Map, Pause> {
        let attributes = self.attributes(before, default)?;
        let mode = attributes.mode.or_else(|| before.map(|stat| stat.mode)).unwrap_or(default);
        let mut result = Map::new();
        let (uid, owner) = match &self.owner {
            None => before.map_or((0, "root".to_owned()), |stat| (stat.uid, named(&stat.owner, stat.uid))),
            Some(owner) => match guest.user(owner)? {
                Some(user) => (user.uid, user.name.clone()),
                None => (owner.parse().unwrap_or_default(), owner.clone()),
            },
        };
        let (gid, group) = match &self.group {
            None => before.map_or((0, "root".to_owned()), |stat| (stat.gid, named(&stat.group, stat.gid))),
            Some(group) => match guest.group(group)? {
                Some(group) => (group.gid, group.name.clone()),
                None => (group.parse().unwrap_or_default(), group.clone()),
            },
        };
        let values: [(&str, Value); 5] = [
            ("mode", octal(mode).into()),
            ("uid", uid.into()),
            ("gid", gid.into()),
            ("owner", owner.into()),
            ("group", group.into()),
        ];
        result.extend(values.map(|(name, value)| (name.to_owned(), value)));
        Ok(result)
    }
}

fn named(name: &Option<String>, number: u32) -> String {
    name.clone().unwrap_or_else(|| number.to_string())
}

/// `0644`.
pub fn octal(mode: u32) -> String {
    format!("0{mode:03o}")
}

/// Ansible's word for what a path is.
pub fn state_of(kind: FileKind, links: u64) -> &'static str {
    match kind {
        FileKind::Directory => "directory",
        FileKind::Link => "link",
        FileKind::File if links > 1 => "hard",
        _ => "file",
    }
}
