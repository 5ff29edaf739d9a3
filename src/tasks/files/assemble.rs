//! `assemble`: one file of the pieces in a directory.
//!
//! ```yaml
//! - assemble: {src: /etc/app.d, dest: /etc/app.conf, delimiter: "# ---", regexp: "\\.conf$", ignore_hidden: true}
//! - assemble: {src: fragments, dest: /etc/app.conf, remote_src: false, validate: app -t %s}
//! ```
//!
//! The pieces are taken in the order of their names. `backup`, `owner`, `group`, `mode` as with `copy`.

use serde::Deserialize;

use super::attributes::Wanted;
use super::place::{Holding, Placed, place};
use crate::guest::{FileKind, Probe};
use crate::tasks::{Call, Failure, Flag, Known, Map, Mode, Module, Pause, Touches, Verdict};
use crate::template::ansible::python_regex;

/// The module.
#[derive(Debug)]
pub struct Assemble;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    src: String,
    dest: String,
    delimiter: Option<String>,
    regexp: Option<String>,
    remote_src: Option<Flag>,
    #[serde(default)]
    ignore_hidden: Flag,
    #[serde(default)]
    backup: Flag,
    validate: Option<String>,
    owner: Option<String>,
    group: Option<String>,
    mode: Option<Mode>,
    #[serde(rename = "decrypt")]
    _decrypt: Option<Flag>,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
}

impl Module for Assemble {
    fn names(&self) -> &'static [&'static str] {
        &["assemble"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        args.regexp.as_deref().map(|regexp| python_regex(regexp, false)).transpose().map(drop).map_err(Failure::new)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["dest"])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let pieces = if args.remote_src.unwrap_or(true) { args.of_guest(guest)? } else { args.of_here(call)? };
        let placed = Placed {
            path: &args.dest,
            content: Holding::Bytes(args.joined(&pieces)),
            wanted: Wanted { mode: args.mode.clone(), owner: args.owner.clone(), group: args.group.clone() },
            backup: args.backup,
            keep: false,
            validate: args.validate.as_deref(),
            makes_parent: false,
        };
        Ok(place(placed, call, guest)?.with("src", args.src.as_str()).with("msg", "OK"))
    }
}

impl Args {
    fn takes(&self, name: &str) -> Result<bool, Failure> {
        let regex =
            self.regexp.as_deref().map(|regexp| python_regex(regexp, false)).transpose().map_err(Failure::new)?;
        let fits = regex.is_none_or(|regex| regex.is_match(name).unwrap_or(false));
        Ok(fits && !(self.ignore_hidden && name.starts_with('.')) && !name.contains('/'))
    }

    fn of_guest(&self, guest: &Known) -> Result<Vec<Vec<u8>>, Pause> {
        let root = self.src.trim_end_matches('/');
        let Some(entries) = guest.list(root, Some(1), true)? else {
            return Err(Failure::new(format!("Source ({}) does not exist", self.src)).into());
        };
        let mut names = vec![];
        for entry in entries.iter().filter(|entry| entry.stat.kind == FileKind::File) {
            if self.takes(&entry.path[root.len() + 1..])? {
                names.push(entry.path.clone());
            }
        }
        guest.want(names.iter().map(|path| Probe::Read { path: path.clone() }))?;
        names.iter().map(|path| Ok(guest.read(path)?.unwrap_or_default().to_vec())).collect()
    }

    fn of_here(&self, call: &Call<'_>) -> Result<Vec<Vec<u8>>, Failure> {
        let directory = call.controller.find("files", &self.src)?;
        let mut pieces = vec![];
        for entry in call.controller.list(&directory)? {
            if !entry.is_directory && self.takes(&entry.path)? {
                pieces.push(call.controller.read(&directory.join(&entry.path))?);
            }
        }
        Ok(pieces)
    }

    fn joined(&self, pieces: &[Vec<u8>]) -> Vec<u8> {
        let delimiter = self.delimiter.as_deref().map(|text| text.replace("\\n", "\n").replace("\\t", "\t"));
        let mut out: Vec<u8> = vec![];
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                if out.last().is_some_and(|last| *last != b'\n') {
                    out.push(b'\n');
                }
                if let Some(delimiter) = &delimiter {
                    out.extend(delimiter.as_bytes());
                    if !delimiter.ends_with('\n') {
                        out.push(b'\n');
                    }
                }
            }
            out.extend(piece);
        }
        out
    }
}
