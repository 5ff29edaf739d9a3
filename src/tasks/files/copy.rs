//! `copy`: content that is to be in the guest.
//!
//! ```yaml
//! - copy: {src: app.conf, dest: /etc/app.conf, owner: root, group: root, mode: "0644"}
//! - copy: {content: "{{ settings | to_nice_json }}", dest: /etc/app.json}
//! - copy: {src: site/, dest: /srv/site, directory_mode: "0755"}   # with the slash: what is in it; without: itself
//! - copy: {src: /opt/a, dest: /opt/b, remote_src: true}           # within the guest
//! - copy: {src: nginx.conf, dest: /etc/nginx/nginx.conf, validate: nginx -t -c %s, backup: true, force: true}
//! ```
//!
//! `src` is looked for in `files/` of the role and the playbook. A big file is compared by its hash before it is sent,
//! and not sent if it is there. `force: false` leaves a file that is there alone. Returned: `dest`, `src`, `checksum`,
//! `md5sum`, `size`, `owner`, `group`, `uid`, `gid`, `mode`, `state`, `backup_file`.

use std::path::Path;

use serde::Deserialize;

use super::attributes::{NEW_DIRECTORY, Wanted};
use super::place::{Holding, Placed, place, probes};
use crate::guest::{Algorithm, Attributes, FileKind, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Mode, Module, Pause, Touches, Verdict};
use crate::template::ValueKind;
use crate::template::ansible::{python_json, text};

/// The module.
#[derive(Debug)]
pub struct Copy;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    src: Option<String>,
    #[serde(rename = "content")]
    _content: Option<serde::de::IgnoredAny>,
    pub(super) dest: String,
    owner: Option<String>,
    group: Option<String>,
    mode: Option<Mode>,
    directory_mode: Option<Mode>,
    force: Option<Flag>,
    #[serde(default)]
    backup: Flag,
    validate: Option<String>,
    #[serde(default)]
    remote_src: Flag,
    #[serde(rename = "follow")]
    _follow: Option<Flag>,
    #[serde(rename = "local_follow")]
    _local_follow: Option<Flag>,
    checksum: Option<String>,
    #[serde(rename = "decrypt")]
    _decrypt: Option<Flag>,
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

/// A local file of at most so many bytes is read whole, and so decrypted and shown in diffs.
const SMALL: u64 = 256 * 1024;

impl Module for Copy {
    fn names(&self) -> &'static [&'static str] {
        &["copy"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        match (args.src.is_some(), args._content.is_some()) {
            (true, true) => Err(Failure::new("src and content are mutually exclusive")),
            (false, false) => Err(Failure::new("src (or content) is required")),
            _ => Ok(()),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["dest"])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        if let Some(content) = call.args.get("content").filter(|content| !content.is_none()) {
            let bytes = match content.kind() {
                ValueKind::Map | ValueKind::Seq => python_json(content),
                _ => text(content),
            };
            if args.dest.ends_with('/') {
                return Err(Failure::new(format!("can not use content with a dir as dest: {}", args.dest)).into());
            }
            return args.file(&args.dest, Holding::Bytes(bytes.into_bytes()), (None, false), call, guest);
        }
        let src = args.src.clone().unwrap_or_default();
        if args.remote_src { args.within(&src, call, guest) } else { args.of_here(&src, call, guest) }
    }
}

impl Args {
    fn wanted(&self, preserved: Option<u32>) -> Wanted {
        let mode = match (&self.mode, preserved) {
            (Some(Mode::Preserve), Some(mode)) => Some(Mode::Octal(mode)),
            (Some(Mode::Preserve), None) => None,
            (mode, _) => mode.clone(),
        };
        Wanted { mode, owner: self.owner.clone(), group: self.group.clone() }
    }

    fn file(
        &self,
        path: &str,
        content: Holding,
        (preserved, makes_parent): (Option<u32>, bool),
        call: &Call<'_>,
        guest: &Known,
    ) -> Result<Verdict, Pause> {
        let placed = Placed {
            path,
            content,
            wanted: self.wanted(preserved),
            backup: self.backup,
            keep: self.force == Some(false),
            validate: self.validate.as_deref(),
            makes_parent,
        };
        place(placed, call, guest)
    }

    /// A file or directory of the operator's.
    fn of_here(&self, src: &str, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let found = call.controller.find("files", src.trim_end_matches('/'))?;
        let local = call.controller.describe(&found)?;
        if local.is_directory {
            return self.tree(&found, src, call, guest);
        }
        if let Some(checksum) = self.checksum.as_ref().filter(|checksum| **checksum != local.sha1) {
            return Err(Failure::new(format!(
                "Copied file does not match the expected checksum: {checksum} was wanted, and it is {}",
                local.sha1
            ))
            .into());
        }
        let name = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_directory =
            self.dest.ends_with('/') || guest.stat(&self.dest)?.is_some_and(|stat| stat.kind == FileKind::Directory);
        let mut verdict = Verdict::nothing();
        let path = match is_directory {
            true => {
                // A directory with a slash is made.
                let directory = self.dest.trim_end_matches('/');
                let there = guest.stat(directory)?.map(|stat| stat.kind);
                if there.is_some_and(|kind| kind != FileKind::Directory) {
                    return Err(Failure::new(format!("{} is no directory", self.dest)).into());
                }
                if there.is_none() {
                    verdict.change(directory_change(directory), self.directory(directory));
                }
                format!("{directory}/{name}")
            }
            false => self.dest.clone(),
        };
        let content = holding(&found, call)?;
        let made = !verdict.changes.is_empty();
        let inner = match made {
            // The directory is not there yet, nor is the file.
            true => self.new_file(&path, content, Some(local.mode), call, guest)?,
            false => self.file(&path, content, (Some(local.mode), false), call, guest)?,
        };
        verdict.changes.extend(inner.changes);
        verdict.writes.extend(inner.writes);
        verdict.result = inner.result;
        Ok(verdict.with("src", found.display().to_string()))
    }

    /// As [`Args::file`], in a directory that is made by this task.
    fn new_file(
        &self,
        path: &str,
        content: Holding,
        mode: Option<u32>,
        call: &Call<'_>,
        guest: &Known,
    ) -> Result<Verdict, Pause> {
        self.file(path, content, (mode, true), call, guest)
    }

    fn directory(&self, path: &str) -> Write {
        let mode = self.directory_mode.as_ref().and_then(|mode| mode.resolve(NEW_DIRECTORY, true).ok());
        let attributes = Attributes {
            mode: Some(mode.unwrap_or(NEW_DIRECTORY)),
            owner: self.owner.clone(),
            group: self.group.clone(),
        };
        Write::Directory { path: path.to_owned(), attributes }
    }

    /// A directory of the operator's with all in it.
    fn tree(&self, found: &Path, src: &str, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let root = self.dest.trim_end_matches('/');
        let root = if src.ends_with('/') {
            root.to_owned()
        } else {
            format!("{root}/{}", found.file_name().unwrap_or_default().to_string_lossy())
        };
        let entries = call.controller.list(found)?;
        let target = |path: &str| format!("{root}/{path}");
        let all = entries.iter().flat_map(|entry| match entry.is_directory || entry.target.is_some() {
            true => vec![Probe::Stat { path: target(&entry.path), follow: false }],
            false => probes(&target(&entry.path)).to_vec(),
        });
        guest.want(all.chain([Probe::Stat { path: root.clone(), follow: true }]))?;
        let mut verdict = Verdict::nothing();
        let mut missing = vec![];
        if guest.stat(&root)?.is_none() {
            verdict.change(directory_change(&root), self.directory(&root));
            missing.push(root.clone());
        }
        for entry in &entries {
            let path = target(&entry.path);
            if let Some(points_to) = &entry.target {
                let there = guest.lstat(&path)?;
                if there.and_then(|stat| stat.target.as_ref()) != Some(points_to) {
                    let change = Change::value(path.clone(), None, Some(format!("link to {points_to}")));
                    let attributes = Attributes { mode: None, owner: self.owner.clone(), group: self.group.clone() };
                    verdict.change(change, Write::Symlink { path, target: points_to.clone(), attributes });
                }
            } else if entry.is_directory {
                match guest.lstat(&path)? {
                    None => {
                        verdict.change(directory_change(&path), self.directory(&path));
                        missing.push(path);
                    }
                    Some(stat) => {
                        let wanted = Wanted {
                            mode: self.directory_mode.clone(),
                            owner: self.owner.clone(),
                            group: self.group.clone(),
                        };
                        let stat = stat.clone();
                        let changes = wanted.changes(&stat, guest)?;
                        if !changes.is_empty() {
                            verdict.changes.extend(changes);
                            verdict.writes.push(wanted.write(&path, &stat, true)?);
                        }
                    }
                }
            } else {
                let content = holding(&found.join(&entry.path), call)?;
                let inner = self.new_file(&path, content, Some(entry.mode), call, guest)?;
                verdict.changes.extend(inner.changes);
                verdict.writes.extend(inner.writes);
            }
        }
        Ok(verdict.with("dest", self.dest.as_str()).with("src", found.display().to_string()))
    }

    /// Within the guest.
    fn within(&self, src: &str, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let bare = src.trim_end_matches('/');
        let hash = Probe::Hash { path: bare.to_owned(), algorithm: Algorithm::Sha1 };
        guest.want([
            Probe::Stat { path: bare.to_owned(), follow: true },
            hash,
            Probe::Stat { path: self.dest.clone(), follow: true },
        ])?;
        let Some(stat) = guest.stat(bare)?.cloned() else {
            return Err(Failure::new(format!("Source {src} not found")).into());
        };
        let name = bare.rsplit('/').next().unwrap_or_default();
        let goes_into =
            self.dest.ends_with('/') || guest.stat(&self.dest)?.is_some_and(|stat| stat.kind == FileKind::Directory);
        if stat.kind != FileKind::Directory {
            let dest = self.dest.trim_end_matches('/');
            let path = if goes_into { format!("{dest}/{name}") } else { self.dest.clone() };
            let checksum = guest.hash(bare, Algorithm::Sha1)?.unwrap_or_default().to_owned();
            let mode = (Some(stat.mode), false);
            let verdict = self.file(&path, Holding::Guest(bare.to_owned(), checksum, stat.size), mode, call, guest)?;
            return Ok(verdict.with("src", src));
        }
        let dest = self.dest.trim_end_matches('/');
        let root = if src.ends_with('/') { dest.to_owned() } else { format!("{dest}/{name}") };
        let listed = guest.list(bare, None, false)?.unwrap_or_default().to_vec();
        let target = |path: &str| format!("{root}{}", &path[bare.len()..]);
        let probes = listed.iter().flat_map(|entry| {
            let hashes =
                [entry.path.clone(), target(&entry.path)].map(|path| Probe::Hash { path, algorithm: Algorithm::Sha1 });
            hashes
                .into_iter()
                .filter(|_| entry.stat.kind == FileKind::File)
                .chain([Probe::Stat { path: target(&entry.path), follow: false }])
        });
        guest.want(probes.chain([Probe::Stat { path: root.clone(), follow: true }]))?;
        let mut verdict = Verdict::nothing();
        if guest.stat(&root)?.is_none() {
            verdict.change(directory_change(&root), self.directory(&root));
        }
        for entry in &listed {
            let path = target(&entry.path);
            match entry.stat.kind {
                FileKind::Directory if guest.lstat(&path)?.is_none() => {
                    verdict.change(directory_change(&path), self.directory(&path))
                }
                FileKind::File => {
                    let checksum = guest.hash(&entry.path, Algorithm::Sha1)?.unwrap_or_default().to_owned();
                    let content = Holding::Guest(entry.path.clone(), checksum, entry.stat.size);
                    let inner = self.new_file(&path, content, Some(entry.stat.mode), call, guest)?;
                    verdict.changes.extend(inner.changes);
                    verdict.writes.extend(inner.writes);
                }
                FileKind::Link => {
                    let points_to = entry.stat.target.clone().unwrap_or_default();
                    if guest.lstat(&path)?.and_then(|stat| stat.target.clone()).as_ref() != Some(&points_to) {
                        let change = Change::value(path.clone(), None, Some(format!("link to {points_to}")));
                        verdict.change(
                            change,
                            Write::Symlink { path, target: points_to, attributes: Attributes::default() },
                        );
                    }
                }
                _ => {}
            }
        }
        Ok(verdict.with("dest", self.dest.as_str()).with("src", src))
    }
}

/// A local file's content: whole where it is small.
fn holding(path: &Path, call: &Call<'_>) -> Result<Holding, Failure> {
    let local = call.controller.describe(path)?;
    Ok(if local.size <= SMALL {
        Holding::Bytes(call.controller.read(path)?)
    } else {
        Holding::Local(path.to_owned(), local.sha1, local.size)
    })
}

fn directory_change(path: &str) -> Change {
    Change::value(path, None, Some("directory".into()))
}
