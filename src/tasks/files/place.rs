//! Content that is to be at a path: shared by copy, template, assemble and what edits files.

use std::sync::Arc;

use sha1::Digest as _;

use super::attributes::{NEW_FILE, Wanted};
use crate::guest::{Algorithm, Content, FileKind, Probe, Write};
use crate::tasks::{Call, Change, Failure, Known, Map, Pause, Verdict};
use crate::template::Value;

/// What is larger is not read to be shown as a diff.
const SHOWN: u64 = 256 * 1024;

/// Content, and where it is to be.
#[derive(Debug)]
pub struct Placed<'a> {
    /// The path, absolute.
    pub path: &'a str,
    /// What it is to hold.
    pub content: Holding,
    /// Its attributes.
    pub wanted: Wanted,
    /// The file that was there is kept.
    pub backup: bool,
    /// A file that is there stays, whatever it holds.
    pub keep: bool,
    /// What must accept the content first; `%s` is the file.
    pub validate: Option<&'a str>,
    /// The directory is made by the same task, if it is not there.
    pub makes_parent: bool,
}

/// Content.
#[derive(Debug)]
pub enum Holding {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file of the operator's: its path, SHA-1 and size.
    Local(std::path::PathBuf, String, u64),
    /// A file of the guest's own: its path, SHA-1 and size.
    Guest(String, String, u64),
}

impl Holding {
    fn sha1(&self) -> String {
        match self {
            Holding::Bytes(bytes) => hex(&sha1::Sha1::digest(bytes)),
            Holding::Local(_, sha1, _) | Holding::Guest(_, sha1, _) => sha1.clone(),
        }
    }

    fn size(&self) -> u64 {
        match self {
            Holding::Bytes(bytes) => bytes.len() as u64,
            Holding::Local(_, _, size) | Holding::Guest(_, _, size) => *size,
        }
    }
}

/// In hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Probes that [`place`] will ask, so that they travel with others.
pub fn probes(path: &str) -> [Probe; 2] {
    [
        Probe::Stat { path: path.to_owned(), follow: true },
        Probe::Hash { path: path.to_owned(), algorithm: Algorithm::Sha1 },
    ]
}

/// Compares, and says what brings the content there. The result has Ansible's `dest`, `checksum`, `md5sum`, `size`,
/// `owner`, `group`, `uid`, `gid`, `mode`, `state` and `backup_file`.
pub fn place(placed: Placed<'_>, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
    let Placed { path, content, wanted, backup, keep, validate, makes_parent } = placed;
    guest.want(probes(path))?;
    wanted.check(guest)?;
    let before = guest.stat(path)?.cloned();
    if before.as_ref().is_some_and(|stat| stat.kind == FileKind::Directory) {
        return Err(Failure::new(format!("can not use content with a dir as dest: {path}")).into());
    }
    if before.is_none() && !makes_parent {
        parent_is_there(path, guest)?;
    }
    let checksum = content.sha1();
    let there = guest.hash(path, Algorithm::Sha1)?;
    let is_same = there == Some(checksum.as_str()) || keep && before.is_some();
    let mut verdict = Verdict::nothing();
    let mut result = Map::new();
    if is_same {
        if let Some(stat) = &before {
            let changes = wanted.changes(stat, guest)?;
            if !changes.is_empty() {
                verdict.writes.push(wanted.write(path, stat, true)?);
            }
            verdict.changes = changes;
        }
    } else {
        verdict.changes.push(shown(path, &content, before.as_ref(), call, guest)?);
        if let Some(stat) = &before {
            verdict.changes.extend(wanted.changes(stat, guest)?);
        }
        let kept = (backup && before.is_some()).then(|| backup_name(path, call));
        result.extend(kept.clone().map(|name| ("backup_file".to_owned(), Value::from(name))));
        let attributes = wanted.attributes(before.as_ref(), NEW_FILE)?;
        verdict.writes.push(Write::File {
            path: path.to_owned(),
            content: match &content {
                Holding::Bytes(bytes) => Content::Bytes(Arc::from(bytes.as_slice())),
                Holding::Local(local, sha1, size) => {
                    Content::Local { path: local.clone(), sha1: sha1.clone(), size: *size }
                }
                Holding::Guest(source, ..) => Content::Guest(source.clone()),
            },
            attributes,
            backup: kept,
            validate: validate.map(validation).transpose()?,
        });
    }
    result.insert("dest".into(), path.into());
    let (checksum, size) = match (keep, &before) {
        (true, Some(stat)) => (there.map(str::to_owned).unwrap_or_default(), stat.size),
        _ => (checksum, content.size()),
    };
    result.insert("checksum".into(), checksum.into());
    if let (Holding::Bytes(bytes), false) = (&content, keep) {
        result.insert("md5sum".into(), hex(&md5::Md5::digest(bytes)).into());
    }
    result.insert("size".into(), size.into());
    result.insert("state".into(), "file".into());
    result.extend(wanted.result(before.as_ref(), NEW_FILE, guest)?);
    verdict.result = result;
    Ok(verdict)
}

/// The words of `validate:`, in which `%s` must be.
pub fn validation(text: &str) -> Result<Vec<String>, Failure> {
    if !text.contains("%s") {
        return Err(Failure::new(format!("validate must contain %s: {text}")));
    }
    crate::tasks::shell_words(text).map_err(|error| Failure::new(format!("validate: {error}")))
}

/// The directory must be there.
pub fn parent_is_there(path: &str, guest: &Known) -> Result<(), Pause> {
    let parent = crate::tasks::parent_of(path);
    let is_there = guest.stat(parent)?.is_some_and(|stat| stat.kind == FileKind::Directory);
    if is_there {
        return Ok(());
    }
    Err(Failure::new(format!("Destination directory {parent} does not exist")).into())
}

fn shown(
    path: &str,
    content: &Holding,
    before: Option<&crate::guest::Stat>,
    call: &Call<'_>,
    guest: &Known,
) -> Result<Change, Pause> {
    let what = if before.is_some() { "content" } else { "file" };
    let plain = |verdict: &str| {
        Change::value(
            format!("{path} ({what})"),
            before.map(|stat| format!("{} bytes", stat.size)),
            Some(verdict.to_owned()),
        )
    };
    let Holding::Bytes(bytes) = content else { return Ok(plain(&format!("{} bytes", content.size()))) };
    let is_small = before.is_none_or(|stat| stat.size <= SHOWN) && bytes.len() as u64 <= SHOWN;
    if !call.diff || !is_small {
        return Ok(plain(&format!("{} bytes", bytes.len())));
    }
    let old = match before {
        Some(_) => guest.read(path)?.unwrap_or_default(),
        None => &[],
    };
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(str::to_owned);
    Ok(match (text(old), text(bytes)) {
        (Some(old), Some(new)) => Change::text(path, old, new),
        _ => plain("binary content"),
    })
}

/// Ansible's name for what was there: `PATH.NUMBER.YYYY-MM-DD@HH:MM:SS~`.
pub fn backup_name(path: &str, call: &Call<'_>) -> String {
    let moment =
        jiff::Timestamp::from_second(call.controller.now()).map(|moment| jiff::tz::TimeZone::UTC.to_datetime(moment));
    let stamp = moment.map(|moment| moment.strftime("%Y-%m-%d@%H:%M:%S").to_string()).unwrap_or_default();
    format!("{path}.{}.{stamp}~", call.controller.now() % 100_000)
}
