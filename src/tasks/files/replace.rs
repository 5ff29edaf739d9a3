//! `replace`: every match of a regular expression in a file.
//!
//! ```yaml
//! - replace: {path: /etc/hosts, regexp: '(\s+)old\.name(\s+.*)?$', replace: '\1new.name\2', after: "^# ours", before: "^# end"}
//! ```
//!
//! `^` and `$` are at every line's ends. Without `replace` the matches go. `path` is also dest, destfile, name.
//! Returned: `msg`, `backup_file`.

use serde::Deserialize;

use super::edit::Edit;
use crate::tasks::{Call, Failure, Flag, Known, Map, Mode, Module, Pause, Touches, Verdict};
use crate::template::ansible::{python_regex, python_sub};

/// The module.
#[derive(Debug)]
pub struct Replace;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    regexp: String,
    #[serde(default)]
    replace: String,
    after: Option<String>,
    before: Option<String>,
    #[serde(default)]
    backup: Flag,
    validate: Option<String>,
    mode: Option<Mode>,
    owner: Option<String>,
    group: Option<String>,
    #[serde(rename = "encoding")]
    _encoding: Option<String>,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
    #[serde(rename = "attributes", alias = "attr")]
    _attributes: Option<String>,
}

impl Module for Replace {
    fn names(&self) -> &'static [&'static str] {
        &["replace"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        args.edited("").map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["path", "dest", "name"])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let edit =
            Edit::of(&args.path, false, args.backup, args.validate.as_deref(), (&args.mode, &args.owner, &args.group));
        let Some(before) = edit.text(guest)? else { return Ok(Verdict::nothing().with("msg", "")) };
        let (after, count) = args.edited(&before)?;
        let message = if count > 0 && after != before { format!("{count} replacements made") } else { String::new() };
        Ok(edit.put(after, call, guest)?.with("msg", message))
    }
}

impl Args {
    fn edited(&self, text: &str) -> Result<(String, usize), Failure> {
        let regex = python_regex(&self.regexp, true).map_err(Failure::new)?;
        let (from, to) = match (&self.after, &self.before) {
            (None, None) => (0, text.len()),
            (after, before) => {
                let subsection = match (after, before) {
                    (Some(after), Some(before)) => format!("{after}(?P<subsection>.*?){before}"),
                    (Some(after), None) => format!("{after}(?P<subsection>.*)"),
                    (None, Some(before)) => format!("(?P<subsection>.*){before}"),
                    (None, None) => String::new(),
                };
                let section = python_regex(&format!("(?s){subsection}"), false).map_err(Failure::new)?;
                let found = section.captures(text).ok().flatten().and_then(|captures| captures.name("subsection"));
                match found {
                    Some(found) => (found.start(), found.end()),
                    // Outside of them nothing is replaced.
                    None => return Ok((text.to_owned(), 0)),
                }
            }
        };
        let (inner, count) = python_sub(&regex, &text[from..to], &self.replace).map_err(Failure::new)?;
        Ok((format!("{}{inner}{}", &text[..from], &text[to..]), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_replaced_within_bounds() {
        let args = |after: Option<&str>, before: Option<&str>| Args {
            path: String::new(),
            regexp: r"^(a)$".into(),
            replace: r"<\1>".into(),
            after: after.map(str::to_owned),
            before: before.map(str::to_owned),
            backup: false,
            validate: None,
            mode: None,
            owner: None,
            group: None,
            _encoding: None,
            _unsafe_writes: None,
            _attributes: None,
        };
        assert_eq!(args(None, None).edited("a\nb\na\n").unwrap(), ("<a>\nb\n<a>\n".into(), 2));
        assert_eq!(args(Some("b"), None).edited("a\nb\na\n").unwrap(), ("a\nb\n<a>\n".into(), 1));
        assert_eq!(args(None, Some("b")).edited("a\nb\na\n").unwrap(), ("<a>\nb\na\n".into(), 1));
        assert_eq!(args(Some("x"), None).edited("a\n").unwrap(), ("a\n".into(), 0));
    }
}
