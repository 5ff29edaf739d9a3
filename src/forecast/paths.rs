//! What acts make of files and directories.

use super::Belief;
use crate::guest::{Answer, Attributes, Content, Entry, FileKind, Group, Probe, Stat, User, Write};

/// What a path has without anybody saying otherwise, as the guest's acts make it.
const NEW_FILE: u32 = 0o644;
const NEW_DIRECTORY: u32 = 0o755;

/// True if a path is the other or below it.
pub fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// True if one path is the other or below it.
pub fn overlap(one: &str, other: &str) -> bool {
    is_within(one, other) || is_within(other, one)
}

/// Where a link at `path` leads.
pub fn joined(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let mut parts: Vec<&str> = parent(path).split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// An act with its paths where they lead.
pub fn at(write: Write, real: &dyn Fn(&str, bool) -> String) -> Write {
    let bare = |path: String| if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
    match write {
        Write::File { path, content, attributes, backup, validate } => {
            let content = match content {
                Content::Guest(source) => Content::Guest(real(&source, true)),
                other => other,
            };
            Write::File { path: real(&bare(path), true), content, attributes, backup, validate }
        }
        Write::Directory { path, attributes } => Write::Directory { path: real(&bare(path), true), attributes },
        Write::Attributes { path, attributes, follow } => {
            Write::Attributes { path: real(&bare(path), follow), attributes, follow }
        }
        Write::Symlink { path, target, attributes } => {
            Write::Symlink { path: real(&bare(path), false), target, attributes }
        }
        Write::Hardlink { path, target } => Write::Hardlink { path: real(&bare(path), false), target },
        Write::Remove { path } => Write::Remove { path: real(&bare(path), false) },
        Write::Touch { path, accessed, modified } => Write::Touch { path: real(&bare(path), true), accessed, modified },
        other => other,
    }
}

/// The paths that an act makes, changes or takes away.
pub fn touched(write: &Write) -> Vec<&str> {
    match write {
        Write::File { path, backup, .. } => std::iter::once(path.as_str()).chain(backup.as_deref()).collect(),
        Write::Directory { path, .. }
        | Write::Attributes { path, .. }
        | Write::Symlink { path, .. }
        | Write::Hardlink { path, .. }
        | Write::Remove { path }
        | Write::Touch { path, .. } => vec![path],
        Write::Fetch { .. } | Write::Run(_) | Write::Restart { .. } | Write::Sleep(_) => vec![],
    }
}

/// The link that a path will be, if the act makes or ends one.
pub fn link(write: &Write, path: &str) -> Option<Option<String>> {
    match write {
        Write::Symlink { path: made, target, .. } if made == path => Some(Some(target.clone())),
        Write::Remove { path: gone } if is_within(path, gone) => Some(None),
        Write::Directory { path: made, .. } | Write::Hardlink { path: made, .. } if made == path => Some(None),
        _ => None,
    }
}

/// Is this question about the path, what is below it, or a directory that shows it?
pub fn unknown(path: &str, probe: &Probe) -> bool {
    match probe {
        Probe::Stat { path: asked, .. } | Probe::Hash { path: asked, .. } | Probe::Read { path: asked } => {
            is_within(asked, path)
        }
        Probe::List { path: asked, .. } => overlap(asked, path),
        Probe::Which(program) => is_program(path, program),
        Probe::Unit { name, .. } => {
            super::units::of_path(path).is_some_and(|(unit, _)| unit == super::units::full(name))
        }
        _ => false,
    }
}

fn is_program(path: &str, program: &str) -> bool {
    path == program || parent(path).ends_with("bin") && path.rsplit('/').next() == Some(program)
}

/// What an act makes of an answer.
pub fn written(write: &Write, probe: &Probe, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
    match probe {
        Probe::Stat { path, follow } => stat(write, path, *follow, below),
        Probe::Hash { path, .. } | Probe::Read { path } => content(write, path, probe, below),
        Probe::List { path, depth, .. } => list(write, path, *depth, probe, below),
        Probe::User(_) | Probe::Group(_) => {
            let files = ["/etc/passwd", "/etc/group", "/etc/shadow"];
            let is_theirs = touched(write).iter().any(|path| files.contains(path));
            is_theirs.then(|| Belief::Unknown("what an earlier task makes of the users and groups".into()))
        }
        Probe::Which(program) => {
            let path = touched(write).into_iter().find(|path| is_program(path, program))?.to_owned();
            let made = stat(write, &path, true, below)?;
            Some(match (made, below(probe)) {
                (Belief::Known(Answer::Stat(Some(stat))), Belief::Known(Answer::Which(None)))
                    if stat.mode & 0o111 != 0 =>
                {
                    Belief::Known(Answer::Which(Some(path)))
                }
                (Belief::Known(Answer::Stat(Some(stat))), Belief::Known(Answer::Which(Some(there))))
                    if there == path && stat.mode & 0o111 != 0 =>
                {
                    Belief::Known(Answer::Which(Some(there)))
                }
                (_, ask @ Belief::Ask(_)) => ask,
                _ => Belief::Unknown(format!("where {program} is")),
            })
        }
        _ => None,
    }
}

fn stat(write: &Write, asked: &str, follow: bool, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
    let before = |path: &str| below(&Probe::Stat { path: path.to_owned(), follow });
    let known = |stat: Option<Stat>| Some(Belief::Known(Answer::Stat(stat)));
    match write {
        Write::File { backup: Some(backup), .. } if backup == asked => {
            Some(Belief::Unknown(format!("the backup {backup}")))
        }
        Write::File { path, content, attributes, .. } if path == asked => {
            let before = match before(path) {
                Belief::Known(Answer::Stat(before)) => before,
                other => return Some(other),
            };
            let size = match content {
                Content::Bytes(bytes) => bytes.len() as u64,
                Content::Local { size, .. } => *size,
                Content::Guest(source) => match below(&Probe::Stat { path: source.clone(), follow: true }) {
                    Belief::Known(Answer::Stat(Some(stat))) => stat.size,
                    Belief::Known(_) => 0,
                    other => return Some(other),
                },
            };
            let start = before.unwrap_or_else(|| new(FileKind::File, NEW_FILE));
            owned(Stat { kind: FileKind::File, size, ..start }, attributes, below)
        }
        Write::Directory { path, attributes } if is_within(path, asked) => match before(asked) {
            Belief::Known(Answer::Stat(None)) => owned(new(FileKind::Directory, NEW_DIRECTORY), attributes, below),
            other => Some(other),
        },
        Write::Attributes { path, attributes, .. } if path == asked => match before(path) {
            Belief::Known(Answer::Stat(Some(stat))) => owned(stat, attributes, below),
            other => Some(other),
        },
        // What follows links has been led on to the end, unless there is none.
        Write::Symlink { path, .. } if path == asked && follow => known(None),
        Write::Symlink { path, target, attributes } if path == asked => {
            let start = Stat { target: Some(target.clone()), ..new(FileKind::Link, 0o777) };
            owned(Stat { size: target.len() as u64, ..start }, attributes, below)
        }
        Write::Hardlink { path, target } if path == asked => {
            match below(&Probe::Stat { path: target.clone(), follow }) {
                Belief::Known(Answer::Stat(Some(stat))) => known(Some(Stat { links: stat.links + 1, ..stat })),
                other => Some(other),
            }
        }
        Write::Hardlink { target, .. } if target == asked => match before(target) {
            Belief::Known(Answer::Stat(Some(stat))) => known(Some(Stat { links: stat.links + 1, ..stat })),
            other => Some(other),
        },
        Write::Remove { path } if is_within(asked, path) => known(None),
        Write::Touch { path, .. } if path == asked => match before(path) {
            Belief::Known(Answer::Stat(None)) => known(Some(new(FileKind::File, NEW_FILE))),
            Belief::Known(Answer::Stat(Some(stat))) => known(Some(Stat { is_foreseen: true, ..stat })),
            other => Some(other),
        },
        _ => None,
    }
}

fn new(kind: FileKind, mode: u32) -> Stat {
    let root = || Some("root".to_owned());
    Stat {
        kind,
        mode,
        uid: 0,
        gid: 0,
        owner: root(),
        group: root(),
        size: 0,
        inode: 0,
        device: 0,
        links: 1,
        atime: 0,
        mtime: 0,
        ctime: 0,
        target: None,
        is_foreseen: true,
    }
}

/// A directory with these attributes.
pub fn directory(attributes: &Attributes, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
    owned(new(FileKind::Directory, NEW_DIRECTORY), attributes, below)
}

/// With the owner, group and mode that an act gives it.
fn owned(stat: Stat, attributes: &Attributes, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
    let mut stat = Stat { is_foreseen: true, ..stat };
    if let Some(mode) = attributes.mode {
        stat.mode = mode;
    }
    if let Some(owner) = &attributes.owner {
        match below(&Probe::User(owner.clone())) {
            Belief::Known(Answer::User(Some(User { uid, name, .. }))) => (stat.uid, stat.owner) = (uid, Some(name)),
            Belief::Known(_) => (stat.uid, stat.owner) = (owner.parse().unwrap_or_default(), None),
            other => return Some(other),
        }
    }
    if let Some(group) = &attributes.group {
        match below(&Probe::Group(group.clone())) {
            Belief::Known(Answer::Group(Some(Group { gid, name, .. }))) => (stat.gid, stat.group) = (gid, Some(name)),
            Belief::Known(_) => (stat.gid, stat.group) = (group.parse().unwrap_or_default(), None),
            other => return Some(other),
        }
    }
    Some(Belief::Known(Answer::Stat(Some(stat))))
}

/// The answer to a question about content, of these bytes.
fn of_bytes(bytes: &[u8], probe: &Probe) -> Belief {
    match probe {
        Probe::Hash { algorithm, .. } => Belief::Known(Answer::Hash(Some(algorithm.of(bytes)))),
        _ => Belief::Known(Answer::Read(Some(bytes.to_vec()))),
    }
}

/// The same question about another path.
fn about(probe: &Probe, path: &str) -> Probe {
    match probe {
        Probe::Hash { algorithm, .. } => Probe::Hash { path: path.to_owned(), algorithm: *algorithm },
        _ => Probe::Read { path: path.to_owned() },
    }
}

fn content(write: &Write, asked: &str, probe: &Probe, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
    match write {
        Write::File { backup: Some(backup), .. } if backup == asked => {
            Some(Belief::Unknown(format!("the backup {backup}")))
        }
        Write::File { path, content, .. } if path == asked => Some(match content {
            Content::Bytes(bytes) => of_bytes(bytes, probe),
            Content::Guest(source) => below(&about(probe, source)),
            Content::Local { sha1, .. } => match probe {
                Probe::Hash { algorithm: crate::guest::Algorithm::Sha1, .. } => {
                    Belief::Known(Answer::Hash(Some(sha1.clone())))
                }
                _ => Belief::Unknown(format!("the content of {path}, which is too large to be kept")),
            },
        }),
        Write::Hardlink { path, target } if path == asked => Some(below(&about(probe, target))),
        Write::Remove { path: gone } | Write::Symlink { path: gone, .. } if is_within(asked, gone) => {
            Some(Belief::Known(match probe {
                Probe::Hash { .. } => Answer::Hash(None),
                _ => Answer::Read(None),
            }))
        }
        Write::Touch { path, .. } if path == asked => match below(probe) {
            Belief::Known(Answer::Hash(None) | Answer::Read(None)) => Some(of_bytes(&[], probe)),
            other => Some(other),
        },
        _ => None,
    }
}

fn list(
    write: &Write,
    asked: &str,
    depth: Option<u32>,
    probe: &Probe,
    below: &dyn Fn(&Probe) -> Belief,
) -> Option<Belief> {
    let paths = touched(write);
    if !paths.iter().any(|path| overlap(path, asked)) {
        return None;
    }
    let mut entries = match below(probe) {
        Belief::Known(Answer::List(entries)) => entries,
        other => return Some(other),
    };
    if let Write::Remove { path } = write {
        if is_within(asked, path) {
            return Some(Belief::Known(Answer::List(None)));
        }
        entries.iter_mut().for_each(|entries| entries.retain(|entry| !is_within(&entry.path, path)));
        return Some(Belief::Known(Answer::List(entries)));
    }
    // A directory that is made is there, and so are those above it.
    let mut made: Vec<&str> = paths.clone();
    if let Write::Directory { path, .. } = write {
        made = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|path| !path.is_empty()).collect();
        made.push(path);
        if made.contains(&asked) && entries.is_none() {
            entries = Some(vec![]);
        }
    }
    let Some(mut entries) = entries else { return Some(Belief::Known(Answer::List(None))) };
    for path in made {
        let Some(rest) = path.strip_prefix(asked).and_then(|rest| rest.strip_prefix('/')) else { continue };
        if depth.is_some_and(|depth| rest.split('/').count() > depth as usize) {
            continue;
        }
        match stat(write, path, false, below) {
            Some(Belief::Known(Answer::Stat(Some(stat)))) => {
                entries.retain(|entry| entry.path != path);
                entries.push(Entry { path: path.to_owned(), stat });
            }
            Some(Belief::Known(_)) | None => {}
            Some(other) => return Some(other),
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Some(Belief::Known(Answer::List(Some(entries))))
}
