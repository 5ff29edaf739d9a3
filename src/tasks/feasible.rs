//! Whether the guest would let a verdict's acts on files be done: in a preview nobody else says so.

use super::{Failure, Known, Pause, Verdict};
use crate::forecast::{LINKS, joined};
use crate::guest::{FileKind, Write};

/// What is written must have a directory to be in; what is made must not stand below a file.
///
/// # Errors
/// What the guest would refuse, or what is not known.
pub fn check(verdict: &Verdict, guest: &Known) -> Result<(), Pause> {
    let mut made: Vec<&str> = vec![];
    for write in &verdict.writes {
        match write {
            Write::Directory { path, .. } => {
                let mut above = path.as_str();
                while above.len() > 1 && !made.contains(&above) {
                    above = super::parent_of(above);
                    match guest.stat(above)?.map(|stat| stat.kind) {
                        None => {}
                        Some(FileKind::Directory) => break,
                        Some(_) => return Err(Failure::new(format!("{above} is no directory")).into()),
                    }
                }
                made.push(path);
            }
            Write::File { path, .. }
            | Write::Symlink { path, .. }
            | Write::Hardlink { path, .. }
            | Write::Touch { path, .. } => {
                let end = if matches!(write, Write::File { .. }) { end(path, guest)? } else { path.clone() };
                let parent = super::parent_of(&end);
                let is_made = made.contains(&parent);
                if !is_made && guest.stat(parent)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
                    return Err(Failure::new(format!("the directory {parent} is not there")).into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where what is written to a path comes to lie. Links that lead to each other have no end.
fn end(path: &str, guest: &Known) -> Result<String, Pause> {
    let mut end = path.to_owned();
    for _ in 0..LINKS {
        match guest.lstat(&end)?.and_then(|stat| stat.target.clone()) {
            Some(target) => end = joined(&end, &target),
            None => return Ok(end),
        }
    }
    Err(Failure::new(format!("{path}: a link to nowhere")).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::{Answer, Attributes, Probe, Stat};

    fn stat(kind: FileKind, target: Option<&str>) -> Stat {
        Stat {
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            owner: None,
            group: None,
            size: 0,
            inode: 0,
            device: 0,
            links: 1,
            atime: 0,
            mtime: 0,
            ctime: 0,
            target: target.map(str::to_owned),
            is_foreseen: false,
        }
    }

    fn known(paths: &[(&str, Option<FileKind>)]) -> Known {
        let answer = |(path, kind): &(&str, Option<FileKind>)| {
            (Probe::Stat { path: (*path).to_owned(), follow: true }, Answer::Stat(kind.map(|kind| stat(kind, None))))
        };
        Known::of(paths.iter().map(answer))
    }

    fn refusal(writes: Vec<Write>, paths: &[(&str, Option<FileKind>)]) -> Option<String> {
        match check(&Verdict { writes, ..Verdict::default() }, &known(paths)) {
            Ok(()) => None,
            Err(Pause::Failed(failure)) => Some(failure.message),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_stands_below_a_file_or_in_a_directory_that_is_not_there() {
        let directory = |path: &str| Write::Directory { path: path.into(), attributes: Attributes::default() };
        let touch = |path: &str| Write::Touch { path: path.into(), accessed: None, modified: None };
        let (file, there) = (Some(FileKind::File), Some(FileKind::Directory));
        assert_eq!(refusal(vec![directory("/a/b")], &[("/a", None), ("/", there)]), None);
        assert_eq!(refusal(vec![directory("/a/b")], &[("/a", file)]).unwrap(), "/a is no directory");
        assert_eq!(refusal(vec![touch("/a/b")], &[("/a", None)]).unwrap(), "the directory /a is not there");
        assert_eq!(refusal(vec![directory("/a"), touch("/a/b")], &[("/", there)]), None);
    }

    #[test]
    fn what_is_written_by_links_needs_their_end() {
        let file = |path: &str| Write::File {
            path: path.into(),
            content: crate::guest::Content::Guest("/x".into()),
            attributes: Attributes::default(),
            backup: None,
            validate: None,
        };
        let lstat = |path: &str, target: Option<&str>| {
            let stat = target.map(|target| stat(FileKind::Link, Some(target)));
            (Probe::Stat { path: path.into(), follow: false }, Answer::Stat(stat))
        };
        let directory =
            (Probe::Stat { path: "/b".into(), follow: true }, Answer::Stat(Some(stat(FileKind::Directory, None))));
        let guest = Known::of([
            lstat("/a/to", Some("../b/end")),
            lstat("/b/end", None),
            lstat("/a/itself", Some("itself")),
            directory,
        ]);
        let check = |path: &str| check(&Verdict { writes: vec![file(path)], ..Verdict::default() }, &guest);
        assert!(check("/a/to").is_ok());
        assert!(matches!(check("/a/itself"), Err(Pause::Failed(failure)) if failure.message.contains("nowhere")));
    }
}
