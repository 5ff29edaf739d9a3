//! `file`: what a path is, and whose.
//!
//! ```yaml
//! - file: {path: /srv/app, state: directory, owner: app, group: app, mode: "0750", recurse: false}
//! - file: {src: /srv/app/current, dest: /srv/www, state: link, force: false}
//! - file: {path: /etc/flag, state: touch, modification_time: preserve, access_time: preserve}
//! - file: {path: /tmp/old, state: absent}
//! - file: {path: /etc/hosts, mode: "0644"}          # state: file; it must be there
//! - file: {src: /etc/a, dest: /etc/b, state: hard}
//! ```
//!
//! `path` is also dest, name. Directories above a directory are made. Returned: `path` (of links and hard links `dest`,
//! `src`), `state`, `owner`, `group`, `uid`, `gid`, `mode`, `size`.

use serde::Deserialize;

use super::attributes::{NEW_DIRECTORY, NEW_FILE, Wanted, state_of};
use crate::forecast::Effect;
use crate::guest::{Attributes, FileKind, Probe, Stat, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Mode, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct File;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "dest", alias = "name")]
    path: String,
    state: Option<State>,
    src: Option<String>,
    owner: Option<String>,
    group: Option<String>,
    mode: Option<Mode>,
    #[serde(default)]
    recurse: Flag,
    #[serde(default)]
    force: Flag,
    follow: Option<Flag>,
    modification_time: Option<String>,
    access_time: Option<String>,
    modification_time_format: Option<String>,
    access_time_format: Option<String>,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
    #[serde(rename = "seuser")]
    _seuser: Option<String>,
    #[serde(rename = "serole")]
    _serole: Option<String>,
    #[serde(rename = "setype")]
    _setype: Option<String>,
    #[serde(rename = "selevel")]
    _selevel: Option<String>,
    #[serde(rename = "attributes", alias = "attr")]
    _attributes: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    Directory,
    File,
    Hard,
    Link,
    Touch,
}

impl Module for File {
    fn names(&self) -> &'static [&'static str] {
        &["file"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.recurse && args.state.is_some_and(|state| state != State::Directory) {
            return Err(Failure::new("recurse option requires state to be 'directory'").with("path", args.path));
        }
        if matches!(args.state, Some(State::Hard)) && args.src.is_none() {
            return Err(Failure::new("src is required for creating new hardlinks").with("dest", args.path));
        }
        if args.src.is_some() && args.state.is_some_and(|state| !matches!(state, State::Link | State::Hard)) {
            let state = format!("{:?}", args.state.unwrap_or(State::File)).to_lowercase();
            return Err(Failure::new(format!("src option requires state to be 'link' or 'hard', and it is '{state}'")));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["path", "dest", "name"])
    }

    fn ensure(&self, call: &Call<'_>) -> Result<Vec<Effect>, Failure> {
        let args: Args = call.args()?;
        let path = args.path.clone();
        let attributes = args.wanted().attributes(None, NEW_DIRECTORY)?;
        let is_whole = attributes.mode.is_some() && attributes.owner.is_some() && attributes.group.is_some();
        Ok(match args.state {
            Some(State::Absent) => vec![Effect::Written(Write::Remove { path })],
            Some(State::Directory) if is_whole => vec![Effect::Directory { path, attributes }],
            _ => vec![],
        })
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let path = if args.path.len() > 1 { args.path.trim_end_matches('/') } else { args.path.as_str() }.to_owned();
        let both = [true, false].map(|follow| Probe::Stat { path: path.clone(), follow });
        guest.want(both)?;
        args.wanted().check(guest)?;
        let follows = matches!(args.state, Some(State::Directory | State::Touch | State::File));
        let itself = if follows { None } else { guest.lstat(&path)?.cloned() };
        let state = match (args.state, &itself) {
            (Some(state), _) => state,
            (None, _) if args.recurse => State::Directory,
            (None, Some(stat)) => match stat.kind {
                FileKind::Directory => State::Directory,
                FileKind::Link => State::Link,
                _ => State::File,
            },
            (None, None) => State::File,
        };
        let verdict = match state {
            State::Absent => args.absent(&path, itself.as_ref()),
            State::Directory => args.directory(&path, guest)?,
            State::Link => args.link(&path, itself.as_ref(), guest)?,
            State::Hard => args.hard(&path, itself.as_ref(), guest)?,
            State::Touch => args.touch(&path, guest)?,
            State::File => args.file(&path, guest)?,
        };
        Ok(verdict)
    }
}

impl Args {
    fn wanted(&self) -> Wanted {
        Wanted { mode: self.mode.clone(), owner: self.owner.clone(), group: self.group.clone() }
    }

    fn absent(&self, path: &str, itself: Option<&Stat>) -> Verdict {
        let mut verdict = Verdict::nothing();
        if let Some(stat) = itself {
            let before = state_of(stat.kind, stat.links).to_owned();
            let change = Change::value("state", Some(before), Some("absent".into()));
            verdict.change(change, Write::Remove { path: path.to_owned() });
        }
        verdict.with("path", path).with("state", "absent")
    }

    /// What is there keeps its kind, and gets its attributes.
    fn settled(&self, path: &str, stat: &Stat, follow: bool, guest: &Known) -> Result<Verdict, Pause> {
        let wanted = self.wanted();
        let changes = wanted.changes(stat, guest)?;
        let mut verdict = Verdict::nothing();
        if !changes.is_empty() {
            verdict.writes.push(wanted.write(path, stat, follow)?);
        }
        verdict.changes = changes;
        verdict.result.insert("path".into(), path.into());
        verdict.result.insert("size".into(), stat.size.into());
        verdict.result.extend(wanted.result(Some(stat), NEW_FILE, guest)?);
        Ok(verdict.with("state", state_of(stat.kind, stat.links)))
    }

    fn file(&self, path: &str, guest: &Known) -> Result<Verdict, Pause> {
        let follow = self.follow.unwrap_or(true);
        let stat = if follow { guest.stat(path)? } else { guest.lstat(path)? };
        let Some(stat) = stat.cloned() else {
            return Err(Failure::new(format!("file ({path}) is absent, cannot continue"))
                .with("path", path)
                .with("state", "absent")
                .into());
        };
        if stat.kind == FileKind::Directory {
            return Err(Failure::new(format!("file ({path}) is directory, cannot continue"))
                .with("path", path)
                .with("state", "directory")
                .into());
        }
        self.settled(path, &stat, follow, guest)
    }

    fn directory(&self, path: &str, guest: &Known) -> Result<Verdict, Pause> {
        let wanted = self.wanted();
        let mut verdict = match guest.stat(path)?.cloned() {
            None => {
                let attributes = wanted.attributes(None, NEW_DIRECTORY)?;
                let attributes = Attributes { mode: attributes.mode.or(Some(NEW_DIRECTORY)), ..attributes };
                let mut verdict = Verdict::nothing();
                let change = Change::value("state", Some("absent".into()), Some("directory".into()));
                verdict.change(change, Write::Directory { path: path.to_owned(), attributes });
                verdict.result.insert("path".into(), path.into());
                verdict.result.extend(wanted.result(None, NEW_DIRECTORY, guest)?);
                verdict.with("state", "directory")
            }
            Some(stat) if stat.kind != FileKind::Directory => {
                let state = state_of(stat.kind, stat.links);
                return Err(Failure::new(format!("{path} already exists as a {state}")).with("path", path).into());
            }
            Some(stat) => self.settled(path, &stat, true, guest)?,
        };
        if self.recurse {
            let entries = guest.list(path, None, false)?.unwrap_or_default().to_vec();
            for entry in entries {
                if entry.stat.kind == FileKind::Link
                    && self.mode.is_some()
                    && self.owner.is_none()
                    && self.group.is_none()
                {
                    continue;
                }
                let inner = if entry.stat.kind == FileKind::Link {
                    Wanted { mode: None, ..wanted.clone() }
                } else {
                    wanted.clone()
                };
                let changes = inner.changes(&entry.stat, guest)?;
                if !changes.is_empty() {
                    verdict.changes.extend(
                        changes
                            .into_iter()
                            .map(|change| Change { what: format!("{}: {}", entry.path, change.what), ..change }),
                    );
                    verdict.writes.push(inner.write(&entry.path, &entry.stat, false)?);
                }
            }
        }
        Ok(verdict)
    }

    fn link(&self, path: &str, itself: Option<&Stat>, guest: &Known) -> Result<Verdict, Pause> {
        let there = itself.and_then(|stat| stat.target.clone());
        let Some(src) = self.src.clone().or(there.clone().filter(|_| self.follow.is_some() || self.src.is_none()))
        else {
            return Err(Failure::new("src and dest are required for creating links").with("path", path).into());
        };
        let absolute = match (src.starts_with('/'), path.rsplit_once('/')) {
            (false, Some((parent, _))) => format!("{parent}/{src}"),
            _ => src.clone(),
        };
        let target = guest.stat(&absolute)?.cloned();
        if target.is_none() && !self.force {
            return Err(Failure::new(format!(
                "src file does not exist, use \"force=yes\" if you really want to create the link: {absolute}"
            ))
            .with("path", path)
            .with("src", src)
            .into());
        }
        let mut verdict = Verdict::nothing();
        let is_same = there.as_ref() == Some(&src);
        if !is_same {
            match itself.map(|stat| stat.kind) {
                Some(FileKind::Directory) if !self.force => {
                    return Err(Failure::new(format!("refusing to convert from directory to symlink for {path}"))
                        .with("path", path)
                        .into());
                }
                Some(FileKind::Directory) => {
                    if guest.list(path, Some(1), false)?.is_some_and(|entries| !entries.is_empty()) {
                        return Err(Failure::new(format!("the directory {path} is not empty, refusing to convert it"))
                            .with("path", path)
                            .into());
                    }
                    verdict.writes.push(Write::Remove { path: path.to_owned() });
                }
                Some(FileKind::Link) | None => {}
                Some(_) if !self.force => {
                    return Err(Failure::new(format!("refusing to convert from file to symlink for {path}"))
                        .with("path", path)
                        .into());
                }
                Some(_) => {}
            }
            let before =
                itself.map(|stat| stat.target.clone().unwrap_or_else(|| state_of(stat.kind, stat.links).to_owned()));
            let attributes = Attributes { mode: None, owner: self.owner.clone(), group: self.group.clone() };
            let write = Write::Symlink { path: path.to_owned(), target: src.clone(), attributes };
            verdict.change(Change::value("link", before, Some(src.clone())), write);
        }
        // Attributes are those of what it points to.
        if let Some(target) = target.filter(|_| self.follow.unwrap_or(true)) {
            let wanted = self.wanted();
            let changes = wanted.changes(&target, guest)?;
            if !changes.is_empty() {
                verdict.changes.extend(changes);
                verdict.writes.push(wanted.write(&absolute, &target, true)?);
            }
            verdict.result.extend(wanted.result(Some(&target), NEW_FILE, guest)?);
        }
        Ok(verdict.with("dest", path).with("src", src).with("state", "link"))
    }

    fn hard(&self, path: &str, itself: Option<&Stat>, guest: &Known) -> Result<Verdict, Pause> {
        let src = self.src.clone().unwrap_or_default();
        let Some(target) = guest.stat(&src)?.cloned() else {
            return Err(Failure::new("src does not exist").with("dest", path).with("src", src).into());
        };
        if target.kind == FileKind::Directory {
            return Err(Failure::new(format!("{src} is a directory, and no hard link leads to one"))
                .with("dest", path)
                .with("src", src)
                .into());
        }
        // What would be made has no inode yet: whether the path is that already is not known by it.
        let is_same = itself.is_some_and(|stat| (stat.inode, stat.device) == (target.inode, target.device));
        if is_same && (target.is_foreseen || itself.is_some_and(|stat| stat.is_foreseen)) {
            return Err(Pause::Unknown(format!("whether {path} is {src} already")));
        }
        let mut verdict = Verdict::nothing();
        if !is_same {
            if itself.is_some_and(|stat| stat.kind == FileKind::Directory) || itself.is_some() && !self.force {
                return Err(Failure::new(format!("Cannot link, file exists at destination: {path}"))
                    .with("dest", path)
                    .with("src", src)
                    .into());
            }
            let change = Change::value("link", itself.map(|_| "file".into()), Some(src.clone()));
            verdict.change(change, Write::Hardlink { path: path.to_owned(), target: src.clone() });
        }
        let wanted = self.wanted();
        let changes = wanted.changes(&target, guest)?;
        if !changes.is_empty() {
            verdict.changes.extend(changes);
            verdict.writes.push(wanted.write(path, &target, true)?);
        }
        verdict.result.extend(wanted.result(Some(&target), NEW_FILE, guest)?);
        Ok(verdict.with("dest", path).with("src", src).with("state", "hard"))
    }

    fn touch(&self, path: &str, guest: &Known) -> Result<Verdict, Pause> {
        let stat = guest.stat(path)?.cloned();
        let time = |given: &Option<String>,
                    format: &Option<String>,
                    before: Option<i64>|
         -> Result<(Option<i64>, bool), Failure> {
            match given.as_deref() {
                Some("preserve") => Ok((before, before.is_none())),
                None | Some("now") => Ok((None, true)),
                Some(text) => {
                    let format = format.as_deref().unwrap_or("%Y%m%d%H%M.%S");
                    let moment = jiff::civil::DateTime::strptime(format, text)
                        .ok()
                        .and_then(|moment| jiff::tz::TimeZone::UTC.to_timestamp(moment).ok());
                    let seconds = moment
                        .ok_or_else(|| Failure::new(format!("`{text}` is no time of the form {format}")))?
                        .as_second();
                    Ok((Some(seconds), before != Some(seconds)))
                }
            }
        };
        let (modified, changes_m) =
            time(&self.modification_time, &self.modification_time_format, stat.as_ref().map(|stat| stat.mtime))?;
        let (accessed, changes_a) =
            time(&self.access_time, &self.access_time_format, stat.as_ref().map(|stat| stat.atime))?;
        let wanted = self.wanted();
        let mut verdict = Verdict::nothing();
        if stat.is_none() {
            super::place::parent_is_there(path, guest)?;
        }
        if stat.is_none() || changes_m || changes_a {
            let before = if stat.is_some() { "file" } else { "absent" };
            let write = Write::Touch { path: path.to_owned(), accessed, modified };
            verdict.change(Change::value("state", Some(before.into()), Some("touch".into())), write);
        }
        match &stat {
            Some(stat) => {
                let changes = wanted.changes(stat, guest)?;
                if !changes.is_empty() {
                    verdict.changes.extend(changes);
                    verdict.writes.push(wanted.write(path, stat, true)?);
                }
            }
            None => {
                let attributes = wanted.attributes(None, NEW_FILE)?;
                if !attributes.is_empty() {
                    verdict.writes.push(Write::Attributes { path: path.to_owned(), attributes, follow: true });
                }
            }
        }
        verdict.result.extend(wanted.result(stat.as_ref(), NEW_FILE, guest)?);
        verdict.result.insert("size".into(), stat.as_ref().map_or(0, |stat| stat.size).into());
        let state = stat.map_or("file", |stat| state_of(stat.kind, stat.links));
        Ok(verdict.with("dest", path).with("path", path).with("state", state))
    }
}
