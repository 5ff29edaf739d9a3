//! `fetch`: a file of the guest's, kept at the operator's machine.
//!
//! ```yaml
//! - fetch: {src: /etc/app.conf, dest: kept/}                     # kept/HOST/etc/app.conf
//! - fetch: {src: /etc/app.conf, dest: kept/app.conf, flat: true} # just there; with a slash: its name in there
//!   # fail_on_missing: true, validate_checksum: true
//! ```
//!
//! A relative `dest` belongs to the playbook's directory. Returned: `dest`, `checksum`, `md5sum`.

use serde::Deserialize;

use crate::guest::{Algorithm, FileKind, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Fetch;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    src: String,
    dest: String,
    #[serde(default)]
    flat: Flag,
    fail_on_missing: Option<Flag>,
    #[serde(rename = "validate_checksum")]
    _validate_checksum: Option<Flag>,
}

impl Module for Fetch {
    fn names(&self) -> &'static [&'static str] {
        &["fetch"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let hashes =
            [Algorithm::Sha1, Algorithm::Md5].map(|algorithm| Probe::Hash { path: args.src.clone(), algorithm });
        guest.want(hashes.into_iter().chain([Probe::Stat { path: args.src.clone(), follow: true }]))?;
        let problem = match guest.stat(&args.src)?.map(|stat| stat.kind) {
            Some(FileKind::File) => None,
            Some(FileKind::Directory) => Some("remote file is a directory, fetch cannot work on directories"),
            Some(_) => Some("it is no regular file"),
            None => Some("the remote file does not exist"),
        };
        if let Some(problem) = problem {
            if args.fail_on_missing.unwrap_or(true) {
                return Err(Failure::new(problem).with("file", args.src).into());
            }
            return Ok(Verdict::nothing()
                .with("msg", format!("{problem}, not transferring, ignored"))
                .with("file", args.src));
        }
        let name = args.src.rsplit('/').next().unwrap_or_default();
        let host = call.controller.host();
        let dest = match args.flat {
            true if args.dest.ends_with('/') => format!("{}{name}", args.dest),
            true => args.dest.clone(),
            false => format!("{}/{host}/{}", args.dest.trim_end_matches('/'), args.src.trim_start_matches('/')),
        };
        let path = call.controller.absolute(&dest);
        let checksum = guest.hash(&args.src, Algorithm::Sha1)?.unwrap_or_default().to_owned();
        let md5 = guest.hash(&args.src, Algorithm::Md5)?.unwrap_or_default().to_owned();
        let is_same = call.controller.describe(&path).is_ok_and(|local| local.sha1 == checksum);
        let mut verdict = Verdict::nothing();
        if !is_same {
            let change = Change::value(path.display().to_string(), None, Some(format!("fetched from {}", args.src)));
            verdict.change(change, Write::Fetch { path: args.src.clone(), to: path.clone() });
        }
        Ok(verdict
            .with("dest", path.display().to_string())
            .with("checksum", checksum.clone())
            .with("remote_checksum", checksum)
            .with("md5sum", md5)
            .with("file", args.src))
    }
}
