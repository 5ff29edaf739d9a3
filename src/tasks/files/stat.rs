//! `stat`: what a path is.
//!
//! ```yaml
//! - stat: {path: /etc/hosts, follow: false, get_checksum: true, checksum_algorithm: sha1}
//!   register: hosts
//! ```
//!
//! Returned: `stat.exists`, and of what is there `path`, `mode`, `isdir`, `isreg`, `islnk`, `isblk`, `ischr`, `isfifo`,
//! `issock`, `uid`, `gid`, `pw_name`, `gr_name`, `size`, `inode`, `dev`, `nlink`, `atime`, `mtime`, `ctime`, `checksum`,
//! `lnk_source`, `lnk_target`, `readable`, `writeable`, `executable`, and the bits (`rusr`, `wgrp`, `isuid` …).

use serde::Deserialize;

use super::attributes::octal;
use crate::guest::{About, Algorithm, Command, FileKind, Probe, Stat};
use crate::tasks::{Call, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::{Value, map};

/// The module.
#[derive(Debug)]
pub struct StatModule;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "dest", alias = "name")]
    path: String,
    #[serde(default)]
    follow: Flag,
    get_checksum: Option<Flag>,
    #[serde(alias = "checksum", alias = "checksum_algo")]
    checksum_algorithm: Option<String>,
    #[serde(rename = "get_mime", alias = "mime", alias = "mime_type", alias = "mime-type")]
    _get_mime: Option<Flag>,
    #[serde(rename = "get_attributes", alias = "attr", alias = "attributes")]
    _get_attributes: Option<Flag>,
    #[serde(rename = "get_selinux_context")]
    _get_selinux_context: Option<Flag>,
}

/// An algorithm by Ansible's name.
pub fn algorithm(name: &str) -> Result<Algorithm, Failure> {
    Ok(match name {
        "md5" => Algorithm::Md5,
        "sha1" => Algorithm::Sha1,
        "sha224" => Algorithm::Sha224,
        "sha256" => Algorithm::Sha256,
        "sha384" => Algorithm::Sha384,
        "sha512" => Algorithm::Sha512,
        other => {
            return Err(Failure::new(format!(
                "`{other}` is no checksum; there are md5, sha1, sha224, sha256, sha384, sha512"
            )));
        }
    })
}

impl Module for StatModule {
    fn names(&self) -> &'static [&'static str] {
        &["stat"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        algorithm(args.checksum_algorithm.as_deref().unwrap_or("sha1")).map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let algorithm = algorithm(args.checksum_algorithm.as_deref().unwrap_or("sha1"))?;
        let hashes = args.get_checksum.unwrap_or(true);
        let hash = Probe::Hash { path: args.path.clone(), algorithm };
        let probes = [Probe::Stat { path: args.path.clone(), follow: args.follow }];
        guest.want(probes.into_iter().chain(hashes.then_some(hash)))?;
        let stat = if args.follow { guest.stat(&args.path)? } else { guest.lstat(&args.path)? };
        let Some(stat) = stat else {
            return Ok(Verdict::nothing().with("stat", map([("exists", false)])));
        };
        let mut result = described(&args.path, stat);
        result.insert("exists".into(), true.into());
        if stat.kind == FileKind::File
            && hashes
            && let Some(hash) = guest.hash(&args.path, algorithm)?
        {
            result.insert("checksum".into(), hash.into());
        }
        if let Some(target) = &stat.target {
            let real = guest
                .output(Command::new(["readlink", "-f", "--", &args.path]).about(About::Path(args.path.clone())))?
                .text();
            result.insert("lnk_source".into(), real.trim_end_matches('\n').into());
            result.insert("lnk_target".into(), target.as_str().into());
        }
        for (name, is) in [("readable", true), ("writeable", true), ("executable", stat.mode & 0o111 != 0)] {
            result.insert(name.into(), is.into());
        }
        Ok(Verdict::nothing().with("stat", map(result)))
    }
}

/// What `stat` and `find` say of a path.
pub fn described(path: &str, stat: &Stat) -> Map {
    let mut result = Map::new();
    let bit = |bit: u32| Value::from(stat.mode & bit != 0);
    let is = |kind: FileKind| Value::from(stat.kind == kind);
    #[expect(clippy::cast_precision_loss, reason = "seconds, which Ansible has as a float")]
    let time = |seconds: i64| Value::from(seconds as f64);
    let name = |name: &Option<String>, number: u32| Value::from(name.clone().unwrap_or_else(|| number.to_string()));
    let values = [
        ("path", Value::from(path)),
        ("mode", octal(stat.mode).into()),
        ("isdir", is(FileKind::Directory)),
        ("ischr", is(FileKind::Character)),
        ("isblk", is(FileKind::Block)),
        ("isreg", is(FileKind::File)),
        ("isfifo", is(FileKind::Fifo)),
        ("islnk", is(FileKind::Link)),
        ("issock", is(FileKind::Socket)),
        ("uid", stat.uid.into()),
        ("gid", stat.gid.into()),
        ("size", stat.size.into()),
        ("inode", stat.inode.into()),
        ("dev", stat.device.into()),
        ("nlink", stat.links.into()),
        ("atime", time(stat.atime)),
        ("mtime", time(stat.mtime)),
        ("ctime", time(stat.ctime)),
        ("wusr", bit(0o200)),
        ("rusr", bit(0o400)),
        ("xusr", bit(0o100)),
        ("wgrp", bit(0o020)),
        ("rgrp", bit(0o040)),
        ("xgrp", bit(0o010)),
        ("woth", bit(0o002)),
        ("roth", bit(0o004)),
        ("xoth", bit(0o001)),
        ("isuid", bit(0o4000)),
        ("isgid", bit(0o2000)),
        ("pw_name", name(&stat.owner, stat.uid)),
        ("gr_name", name(&stat.group, stat.gid)),
    ];
    result.extend(values.map(|(name, value)| (name.to_owned(), value)));
    result
}
