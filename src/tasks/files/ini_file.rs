//! `community.general.ini_file`: one option of an INI file.
//!
//! ```yaml
//! - ini_file: {path: /etc/app.ini, section: server, option: port, value: 8080, no_extra_spaces: false}
//! - ini_file: {path: /etc/app.ini, section: server, option: listen, values: [a, b], exclusive: true}
//! - ini_file: {path: /etc/app.ini, section: old, state: absent}
//!   # allow_no_value, create: true, backup, mode, owner, group, modify_inactive_option: true
//! ```
//!
//! Without `section` it is what stands before the first one. Returned: `path`, `msg`.

use serde::Deserialize;

use super::edit::Edit;
use crate::tasks::{Call, Failure, Flag, Known, Map, Mode, Module, Pause, TextList, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct IniFile;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Args {
    #[serde(alias = "dest")]
    path: String,
    section: Option<String>,
    option: Option<String>,
    value: Option<String>,
    values: TextList,
    state: State,
    exclusive: Option<Flag>,
    no_extra_spaces: Flag,
    ignore_spaces: Flag,
    allow_no_value: Flag,
    create: Option<Flag>,
    backup: Flag,
    mode: Option<Mode>,
    owner: Option<String>,
    group: Option<String>,
    modify_inactive_option: Option<Flag>,
    #[serde(rename = "follow")]
    _follow: Option<Flag>,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
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

impl Module for IniFile {
    fn names(&self) -> &'static [&'static str] {
        &["community.general.ini_file"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        let needs_value = args.state == State::Present && args.option.is_some() && !args.allow_no_value;
        if args.path.is_empty() {
            return Err(Failure::new("the argument `path` is missing"));
        }
        if args.value.is_some() && !args.values.is_empty() {
            return Err(Failure::new("parameters are mutually exclusive: value|values"));
        }
        if needs_value && args.value.is_none() && args.values.is_empty() {
            return Err(Failure::new(
                "Parameter 'value(s)' must be defined if state=present and allow_no_value=False.",
            ));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["path", "dest"])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let create = args.create.unwrap_or(true);
        let edit = Edit::of(&args.path, create, args.backup, None, (&args.mode, &args.owner, &args.group));
        let before = edit.text(guest)?;
        let (after, message) = args.edited(before.as_deref().unwrap_or_default());
        let is_same = before.as_deref().unwrap_or_default() == after;
        let verdict = if is_same { edit.keep(before, call, guest)? } else { edit.put(after, call, guest)? };
        Ok(verdict.with("path", args.path.as_str()).with("msg", if is_same { "OK" } else { message }))
    }
}

impl Args {
    fn values(&self) -> Vec<String> {
        self.value.iter().cloned().chain(self.values.iter().cloned()).collect()
    }

    fn line(&self, option: &str, value: Option<&str>) -> String {
        match value {
            None => option.to_owned(),
            Some(value) if self.no_extra_spaces => format!("{option}={value}"),
            Some("") => format!("{option} ="),
            Some(value) => format!("{option} = {value}"),
        }
    }

    /// The text as it is wanted, and Ansible's word for what was done.
    fn edited(&self, text: &str) -> (String, &'static str) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // As Ansible has it: what is made of nothing begins with an empty line.
        if lines.is_empty() && self.state == State::Present {
            lines.push(String::new());
        }
        let heading = |line: &str| {
            let line = line.trim();
            line.strip_prefix('[').and_then(|line| line.split_once(']')).map(|(name, _)| name.to_owned())
        };
        let start = match &self.section {
            None => Some(0),
            Some(section) => lines.iter().position(|line| heading(line).as_ref() == Some(section)).map(|at| at + 1),
        };
        let end_of = |lines: &[String], start: usize| {
            lines[start..].iter().position(|line| heading(line).is_some()).map_or(lines.len(), |at| start + at)
        };
        let finish = |lines: Vec<String>| if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" };
        let Some(start) = start else {
            if self.state == State::Absent {
                return (text.to_owned(), "OK");
            }
            if let Some(section) = &self.section {
                lines.push(format!("[{section}]"));
            }
            if let Some(option) = &self.option {
                let values = self.values();
                if values.is_empty() {
                    lines.push(self.line(option, None));
                }
                lines.extend(values.iter().map(|value| self.line(option, Some(value))));
            }
            return (
                finish(lines),
                if self.option.is_some() { "section and option added" } else { "only section added" },
            );
        };
        let end = end_of(&lines, start);
        let Some(option) = &self.option else {
            if self.state == State::Present || self.section.is_none() {
                return (text.to_owned(), "OK");
            }
            lines.drain(start - 1..end);
            return (finish(lines), "section removed");
        };
        let value_of = |line: &str| -> Option<(bool, Option<String>)> {
            let trimmed = line.trim_start();
            let inactive = trimmed.starts_with(['#', ';']);
            let body = trimmed.trim_start_matches(['#', ';']).trim_start();
            let rest = body.strip_prefix(option.as_str())?.trim();
            match rest.strip_prefix(['=', ':']) {
                Some(value) => Some((inactive, Some(value.trim().to_owned()))),
                None => rest.is_empty().then_some((inactive, None)),
            }
        };
        let is_exclusive = self.exclusive.unwrap_or(true);
        let mut wanted: Vec<Option<String>> = self.values().into_iter().map(Some).collect();
        if wanted.is_empty() && self.state == State::Present {
            wanted.push(None);
        }
        let found: Vec<(usize, bool, Option<String>)> =
            (start..end).filter_map(|at| value_of(&lines[at]).map(|(inactive, value)| (at, inactive, value))).collect();
        if self.state == State::Absent {
            let gone = |at: usize| {
                found.iter().any(|(place, inactive, value)| {
                    *place == at && !inactive && (is_exclusive || wanted.contains(value) || wanted.is_empty())
                })
            };
            let left = lines.iter().enumerate().filter(|(at, _)| !gone(*at)).map(|(_, line)| line.clone()).collect();
            return (finish(left), "option changed");
        }
        let mut left: Vec<(usize, bool)> = found.iter().map(|(at, inactive, _)| (*at, *inactive)).collect();
        let mut missing = vec![];
        for value in wanted {
            let same = found.iter().find(|(at, inactive, there)| {
                !inactive && *there == value && left.iter().any(|(place, _)| place == at)
            });
            match same {
                Some((at, ..)) => left.retain(|(place, _)| place != at),
                None => missing.push(value),
            }
        }
        let mut remove = vec![];
        let mut added = false;
        for (at, inactive) in left {
            let reuse = if inactive {
                self.modify_inactive_option.unwrap_or(true) && !added_active(&found)
            } else {
                is_exclusive
            };
            if reuse && !missing.is_empty() {
                lines[at] = self.line(option, missing.remove(0).as_deref());
            } else if !inactive && is_exclusive {
                remove.push(at);
            }
        }
        // New ones come after the last line of the section that says something.
        let mut place = end;
        while place > start && lines[place - 1].trim().is_empty() {
            place -= 1;
        }
        for value in missing {
            lines.insert(place, self.line(option, value.as_deref()));
            place += 1;
            added = true;
        }
        for at in remove.into_iter().rev() {
            lines.remove(at);
        }
        (finish(lines), if added { "option added" } else { "option changed" })
    }
}

/// An active line is there already: a commented one stays a comment.
fn added_active(found: &[(usize, bool, Option<String>)]) -> bool {
    found.iter().any(|(_, inactive, _)| !inactive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(section: &str, option: &str, value: &str) -> Args {
        let some = |text: &str| Some(text.to_owned());
        Args { section: some(section), option: some(option), value: some(value), ..Args::default() }
    }

    #[test]
    fn options_come_and_change() {
        assert_eq!(args("s", "a", "1").edited("").0, "\n[s]\na = 1\n");
        assert_eq!(
            args("s", "a", "2").edited("[s]\na = 1\nb = 3\n\n[t]\na = 9\n").0,
            "[s]\na = 2\nb = 3\n\n[t]\na = 9\n"
        );
        assert_eq!(args("s", "c", "2").edited("[s]\na = 1\n\n[t]\n").0, "[s]\na = 1\nc = 2\n\n[t]\n");
        assert_eq!(args("s", "a", "1").edited("[s]\na = 1\n").0, "[s]\na = 1\n");
        assert_eq!(args("s", "a", "2").edited("[s]\n#a = 1\n").0, "[s]\na = 2\n");
        let several = Args { values: TextList(vec!["x".into(), "y".into()]), value: None, ..args("s", "a", "") };
        assert_eq!(several.edited("[s]\na = z\n").0, "[s]\na = x\na = y\n");
    }

    #[test]
    fn options_and_sections_go() {
        let gone = |option: Option<&str>| Args {
            state: State::Absent,
            option: option.map(str::to_owned),
            value: None,
            ..args("s", "", "")
        };
        assert_eq!(gone(Some("a")).edited("[s]\na = 1\nb = 2\n").0, "[s]\nb = 2\n");
        assert_eq!(gone(None).edited("x = 1\n[s]\na = 1\n[t]\n").0, "x = 1\n[t]\n");
    }
}
