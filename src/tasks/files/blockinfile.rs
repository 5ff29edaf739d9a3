//! `blockinfile`: a block of lines between markers.
//!
//! ```yaml
//! - blockinfile:
//!     path: /etc/hosts
//!     block: |
//!       10.0.0.1 db
//!       10.0.0.2 api
//!     marker: "# {mark} ANSIBLE MANAGED BLOCK"   # marker_begin: BEGIN, marker_end: END
//!     insertafter: EOF                           # or insertbefore; a regular expression, EOF, BOF
//!     create: true                               # backup, validate, mode, owner, group
//!     prepend_newline: false                     # append_newline
//! ```
//!
//! An empty block, or `state: absent`, takes it away. Returned: `msg`, `backup_file`.

use serde::Deserialize;

use super::edit::Edit;
use crate::tasks::{Call, Failure, Flag, Known, Map, Mode, Module, Pause, Touches, Verdict};
use crate::template::ansible::python_regex;

/// The module.
#[derive(Debug)]
pub struct BlockInFile;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Args {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    #[serde(alias = "content")]
    block: String,
    state: State,
    marker: Option<String>,
    marker_begin: Option<String>,
    marker_end: Option<String>,
    insertafter: Option<String>,
    insertbefore: Option<String>,
    create: Flag,
    backup: Flag,
    validate: Option<String>,
    mode: Option<Mode>,
    owner: Option<String>,
    group: Option<String>,
    append_newline: Flag,
    prepend_newline: Flag,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
    #[serde(rename = "encoding")]
    _encoding: Option<String>,
    #[serde(rename = "attributes", alias = "attr")]
    _attributes: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for BlockInFile {
    fn names(&self) -> &'static [&'static str] {
        &["blockinfile"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.path.is_empty() {
            return Err(Failure::new("the argument `path` is missing"));
        }
        if args.insertbefore.is_some() && args.insertafter.is_some() {
            return Err(Failure::new("parameters are mutually exclusive: insertbefore|insertafter"));
        }
        args.edited("").map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["path", "dest", "name"])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let takes = args.state == State::Absent || args.block.is_empty();
        if takes && !args.create && guest.stat(&args.path)?.is_none() {
            return match args.state {
                State::Absent => Ok(Verdict::nothing().with("msg", "File not present")),
                State::Present => Err(super::edit::missing(&args.path).into()),
            };
        }
        let edit = Edit::of(
            &args.path,
            args.create,
            args.backup,
            args.validate.as_deref(),
            (&args.mode, &args.owner, &args.group),
        );
        let before = edit.text(guest)?;
        let after = args.edited(before.as_deref().unwrap_or_default())?;
        let message = match &before {
            None if !after.is_empty() => "File created",
            Some(before) if *before == after => "",
            _ if takes => "Block removed",
            _ => "Block inserted",
        };
        let verdict = if before.as_deref() == Some(after.as_str()) || before.is_none() && after.is_empty() {
            edit.keep(before, call, guest)?
        } else {
            edit.put(after, call, guest)?
        };
        Ok(verdict.with("msg", message))
    }
}

impl Args {
    /// The text with the block as it is wanted.
    fn edited(&self, text: &str) -> Result<String, Failure> {
        let marker = self.marker.as_deref().unwrap_or("# {mark} ANSIBLE MANAGED BLOCK");
        let mark = |word: &Option<String>, default: &str| marker.replace("{mark}", word.as_deref().unwrap_or(default));
        let (begin, end) = (mark(&self.marker_begin, "BEGIN"), mark(&self.marker_end, "END"));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let takes = self.state == State::Absent || self.block.is_empty();
        let bare = |line: &String| line.trim_end_matches('\r').to_owned();
        let (mut first, mut last) = (None, None);
        for (index, line) in lines.iter().enumerate() {
            if bare(line) == begin {
                first = Some(index);
            }
            if bare(line) == end {
                last = Some(index);
            }
        }
        let place = match (first, last) {
            (Some(first), Some(last)) => {
                let (from, to) = (first.min(last), first.max(last));
                // With two marks that do not belong together nothing between them is ours.
                if first < last {
                    lines.drain(from..=to);
                } else {
                    lines.remove(to);
                    lines.remove(from);
                }
                from
            }
            _ => match first.or(last) {
                Some(one) => {
                    lines.remove(one);
                    one
                }
                None => self.place(&lines)?,
            },
        };
        if !takes {
            let mut block: Vec<String> = vec![begin];
            block.extend(self.block.lines().map(str::to_owned));
            block.push(end);
            if self.prepend_newline && place > 0 && lines.get(place - 1).is_some_and(|line| !line.is_empty()) {
                block.insert(0, String::new());
            }
            if self.append_newline && lines.get(place).is_some_and(|line| !line.is_empty()) {
                block.push(String::new());
            }
            lines.splice(place..place, block);
        }
        if lines.is_empty() {
            return Ok(String::new());
        }
        let ends = text.ends_with('\n') || text.is_empty() || !takes;
        Ok(lines.join("\n") + if ends { "\n" } else { "" })
    }

    fn place(&self, lines: &[String]) -> Result<usize, Failure> {
        let (pattern, after) = match (&self.insertafter, &self.insertbefore) {
            (Some(pattern), _) => (pattern.as_str(), true),
            (None, Some(pattern)) => (pattern.as_str(), false),
            (None, None) => ("EOF", true),
        };
        match (pattern, after) {
            ("EOF", true) => return Ok(lines.len()),
            ("BOF", false) => return Ok(0),
            _ => {}
        }
        let regex = python_regex(pattern, false).map_err(Failure::new)?;
        let found = lines.iter().rposition(|line| regex.is_match(line).unwrap_or(false));
        Ok(match found {
            Some(index) if after => index + 1,
            Some(index) => index,
            None => lines.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(block: &str) -> Args {
        Args { block: block.into(), marker: Some("# {mark} x".into()), ..Args::default() }
    }

    #[test]
    fn blocks_come_change_and_go() {
        let once = args("a\nb\n").edited("first\n").unwrap();
        assert_eq!(once, "first\n# BEGIN x\na\nb\n# END x\n");
        assert_eq!(args("a\nb").edited(&once).unwrap(), once);
        assert_eq!(args("c").edited(&once).unwrap(), "first\n# BEGIN x\nc\n# END x\n");
        assert_eq!(args("").edited(&once).unwrap(), "first\n");
        let before = Args { insertbefore: Some("^first".into()), ..args("c") };
        assert_eq!(before.edited("zero\nfirst\n").unwrap(), "zero\n# BEGIN x\nc\n# END x\nfirst\n");
    }
}
