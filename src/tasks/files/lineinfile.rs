//! `lineinfile`: one line of a file.
//!
//! ```yaml
//! - lineinfile: {path: /etc/ssh/sshd_config, regexp: "^#?PermitRootLogin", line: "PermitRootLogin no"}
//! - lineinfile: {path: /etc/hosts, line: "10.0.0.1 db", insertafter: EOF, create: true, mode: "0644"}
//! - lineinfile: {path: /etc/sudoers, regexp: "^%admin (.*)$", line: '%wheel \1', backrefs: true, validate: visudo -cf %s}
//! - lineinfile: {path: /etc/fstab, regexp: swap, state: absent, backup: true}
//! ```
//!
//! The last line that `regexp` (or `search_string`) finds is replaced (with `firstmatch` the first); where none does,
//! the line is added after `insertafter`, before `insertbefore` (EOF, BOF or a regular expression), or at the end, unless
//! it is there. With `backrefs` nothing is added. `path` is also dest, destfile, name. Returned: `msg`, `backup`, `found`.

use fancy_regex::Regex;
use serde::Deserialize;

use super::edit::Edit;
use crate::tasks::{Call, Failure, Flag, Known, Map, Mode, Module, Pause, Touches, Verdict};
use crate::template::ansible::{python_expand, python_regex};

/// The module.
#[derive(Debug)]
pub struct LineInFile;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Args {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    #[serde(alias = "regex")]
    regexp: Option<String>,
    search_string: Option<String>,
    #[serde(alias = "value")]
    line: Option<String>,
    state: State,
    insertafter: Option<String>,
    insertbefore: Option<String>,
    backrefs: Flag,
    create: Flag,
    backup: Flag,
    firstmatch: Flag,
    validate: Option<String>,
    mode: Option<Mode>,
    owner: Option<String>,
    group: Option<String>,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
    #[serde(rename = "encoding")]
    _encoding: Option<String>,
    #[serde(rename = "seuser")]
    _seuser: Option<String>,
    #[serde(rename = "setype")]
    _setype: Option<String>,
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

impl Module for LineInFile {
    fn names(&self) -> &'static [&'static str] {
        &["lineinfile"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        args.patterns()?;
        let wrong = |message: &str| Err(Failure::new(message));
        match args.state {
            _ if args.path.is_empty() => wrong("the argument `path` is missing"),
            State::Present if args.line.is_none() => wrong("line is required with state=present"),
            State::Present if args.backrefs && args.regexp.is_none() => wrong("regexp is required with backrefs=true"),
            State::Absent if args.regexp.is_none() && args.search_string.is_none() && args.line.is_none() => {
                wrong("one of line, search_string, or regexp is required with state=absent")
            }
            _ if args.regexp.is_some() && args.search_string.is_some() => {
                wrong("parameters are mutually exclusive: regexp|search_string")
            }
            _ if args.insertbefore.is_some() && args.insertafter.is_some() => {
                wrong("parameters are mutually exclusive: insertbefore|insertafter")
            }
            _ => Ok(()),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["path", "dest", "name"])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let create = args.create && args.state == State::Present;
        let edit =
            Edit::of(&args.path, create, args.backup, args.validate.as_deref(), (&args.mode, &args.owner, &args.group));
        if args.state == State::Absent && guest.stat(&args.path)?.is_none() {
            return Ok(Verdict::nothing().with("msg", "file not present").with("found", 0));
        }
        let before = edit.text(guest)?;
        let lines: Vec<String> = split(before.as_deref().unwrap_or_default());
        let (after, message, found) = match args.state {
            State::Present => args.present(lines)?,
            State::Absent => args.absent(lines)?,
        };
        let text = after.concat();
        let verdict = if before.as_deref() == Some(text.as_str()) {
            edit.keep(before, call, guest)?
        } else {
            edit.put(text, call, guest)?
        };
        let is_only_attributes = message.is_empty() && !verdict.changes.is_empty();
        let message = if is_only_attributes { "ownership, perms or SE linux context changed" } else { message };
        let verdict = match args.state {
            State::Absent => verdict.with("found", found),
            State::Present => verdict,
        };
        Ok(verdict
            .with("msg", if message == "removed" { format!("{found} line(s) removed") } else { message.to_owned() }))
    }
}

/// Lines with their ends.
fn split(text: &str) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

type Pattern = Option<std::rc::Rc<Regex>>;

type Changed = (Vec<String>, &'static str, usize);

impl Args {
    fn patterns(&self) -> Result<(Pattern, Pattern), Failure> {
        let regex = self.regexp.as_deref().filter(|regexp| !regexp.is_empty()).map(|text| python_regex(text, false));
        let place = self.insertafter.as_deref().or(self.insertbefore.as_deref());
        let place = place.filter(|place| !["EOF", "BOF", ""].contains(place)).map(|text| python_regex(text, false));
        Ok((regex.transpose().map_err(Failure::new)?, place.transpose().map_err(Failure::new)?))
    }

    fn present(&self, mut lines: Vec<String>) -> Result<Changed, Failure> {
        let (regex, place) = self.patterns()?;
        let line = self.line.clone().unwrap_or_default();
        let is_match = |text: &str| match (&regex, &self.search_string) {
            (Some(regex), _) => regex.is_match(bare(text)).unwrap_or(false),
            (None, Some(search)) => text.contains(search.as_str()),
            (None, None) => bare(text) == bare(&line),
        };
        let matching: Vec<usize> = (0..lines.len()).filter(|index| is_match(&lines[*index])).collect();
        let chosen = if self.firstmatch { matching.first() } else { matching.last() };
        if let Some(&index) = chosen {
            let new = match &regex {
                Some(regex) if self.backrefs => {
                    python_expand(regex, bare(&lines[index]), &line).map_err(Failure::new)?.unwrap_or_default()
                }
                _ => line,
            };
            let new = if new.ends_with('\n') { new } else { new + "\n" };
            if bare(&lines[index]) == bare(&new) {
                return Ok((lines, "", 0));
            }
            lines[index] = new;
            return Ok((lines, "line replaced", 0));
        }
        if self.backrefs {
            return Ok((lines, "", 0));
        }
        // Without a match of the pattern the line itself may be there already.
        if lines.iter().any(|text| bare(text) == bare(&line)) {
            return Ok((lines, "", 0));
        }
        let after = self.insertafter.is_some() || self.insertbefore.is_none();
        let fits = |text: &str| place.as_ref().is_some_and(|place| place.is_match(bare(text)).unwrap_or(false));
        let places: Vec<usize> = (0..lines.len()).filter(|index| fits(&lines[*index])).collect();
        let place = if self.firstmatch { places.first() } else { places.last() };
        let new = if line.ends_with('\n') { line } else { line + "\n" };
        let index = match (place, self.insertbefore.as_deref()) {
            (None, Some("BOF")) => 0,
            (Some(index), _) => {
                if after {
                    index + 1
                } else {
                    *index
                }
            }
            (None, _) => lines.len(),
        };
        if index > 0
            && let Some(last) = lines.get_mut(index - 1).filter(|last| !last.ends_with('\n'))
        {
            last.push('\n');
        }
        lines.insert(index, new);
        Ok((lines, "line added", 0))
    }

    fn absent(&self, lines: Vec<String>) -> Result<Changed, Failure> {
        let (regex, _) = self.patterns()?;
        let goes = |text: &String| match (&regex, &self.search_string, &self.line) {
            (Some(regex), ..) => regex.is_match(bare(text)).unwrap_or(false),
            (None, Some(search), _) => text.contains(search.as_str()),
            (None, None, Some(line)) => bare(text) == bare(line),
            _ => false,
        };
        let before = lines.len();
        let left: Vec<String> = lines.into_iter().filter(|line| !goes(line)).collect();
        let found = before - left.len();
        Ok((left, if found > 0 { "removed" } else { "" }, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(args: Args, text: &str) -> String {
        let result = match args.state {
            State::Present => args.present(split(text)),
            State::Absent => args.absent(split(text)),
        };
        result.unwrap().0.concat()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_last_match_is_replaced() {
        let args = || Args { regexp: some("^a="), line: some("a=3"), ..Args::default() };
        assert_eq!(edited(args(), "a=1\nb\na=2\n"), "a=1\nb\na=3\n");
        assert_eq!(edited(Args { firstmatch: true, ..args() }, "a=1\nb\na=2\n"), "a=3\nb\na=2\n");
        assert_eq!(edited(args(), "b"), "b\na=3\n");
    }

    #[test]
    fn lines_are_added_where_they_are_wanted() {
        let args = || Args { line: some("x"), ..Args::default() };
        assert_eq!(edited(args(), "a\nx\n"), "a\nx\n");
        assert_eq!(edited(Args { insertafter: some("^a"), ..args() }, "a\nb\n"), "a\nx\nb\n");
        assert_eq!(edited(Args { insertbefore: some("^b"), ..args() }, "a\nb\n"), "a\nx\nb\n");
        assert_eq!(edited(Args { insertbefore: some("BOF"), ..args() }, "a\n"), "x\na\n");
        assert_eq!(edited(Args { insertafter: some("nothing"), ..args() }, "a\n"), "a\nx\n");
    }

    #[test]
    fn backrefs_and_absence() {
        let args = Args { regexp: some("^(n)=(.*)$"), line: some(r"\1=<\2>"), backrefs: true, ..Args::default() };
        assert_eq!(edited(args, "n=1\n"), "n=<1>\n");
        let args = Args { regexp: some("^x"), line: some("y"), backrefs: true, ..Args::default() };
        assert_eq!(edited(args, "a\n"), "a\n");
        let args = Args { regexp: some("^a"), state: State::Absent, ..Args::default() };
        assert_eq!(edited(args, "a1\nb\na2\n"), "b\n");
    }
}
