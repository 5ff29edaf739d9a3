//! `debconf`: answers to the questions of Debian's packages.
//!
//! ```yaml
//! - debconf: {name: tzdata, question: tzdata/Areas, vtype: select, value: Europe}
//! ```
//!
//! `name` (also pkg) is the package; without a question its answers are read. `vtype` is boolean, error, multiselect,
//! note, password, select, string, text or title; `unseen: true` lets the question be asked again. Answers go to
//! debconf-set-selections by its stdin, and a password is never shown. Returned: `current`, `previous`.
//!
//! In a preview what debconf answers about the package after a change is unknown until run.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::{Value, ValueKind, map};

/// The module.
#[derive(Debug)]
pub struct Debconf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "pkg")]
    name: String,
    #[serde(alias = "selection", alias = "setting")]
    question: Option<String>,
    vtype: Option<Kind>,
    #[serde(rename = "value", alias = "answer")]
    _value: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    unseen: Flag,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Boolean,
    Error,
    Multiselect,
    Note,
    Password,
    Seen,
    Select,
    String,
    Text,
    Title,
}

fn topic(name: &str) -> String {
    format!("debconf of {name}")
}

impl Module for Debconf {
    fn names(&self) -> &'static [&'static str] {
        &["debconf"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        let has_value = args._value.is_some();
        match (&args.question, args.vtype) {
            (Some(_), Some(_)) if has_value => Ok(()),
            (None, None) if !has_value => Ok(()),
            _ => Err(Failure::new("debconf: question, vtype and value go together")),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Named("debconf")
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let all = Effect::unknown(Scope::Named(topic(&args.name)), format!("what debconf knows of {}", args.name));
        Ok(verdict.effects_and((!verdict.writes.is_empty()).then_some(all)))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        if guest.which("debconf-show")?.is_none() {
            return Err(Failure::new("debconf: the guest has no debconf-show; is it a Debian with debconf?").into());
        }
        let shown =
            guest.output(Command::new(["debconf-show", &args.name]).about(About::Named(topic(&args.name))))?.text();
        let known = answers(&shown);
        let all = |known: &BTreeMap<String, String>| {
            map(known.iter().map(|(question, answer)| (question.clone(), answer.clone())))
        };
        let (Some(question), Some(kind)) = (args.question, args.vtype) else {
            return Ok(Verdict::nothing().with("current", all(&known)).with("msg", ""));
        };
        let value = call.args.get("value").or_else(|| call.args.get("answer")).cloned().unwrap_or_default();
        let wanted = text(&value, kind);
        let before = match known.get(&question) {
            Some(_) if kind == Kind::Password => {
                let script = ". /usr/share/debconf/confmodule >/dev/null 2>&1; db_get \"$1\" && printf %s \"$RET\" >&3";
                let command = Command::script(&format!("exec 3>&1; {script}"), [question.as_str()]);
                let output = guest.output(command.about(About::Named(topic(&args.name))))?;
                output.is_success().then(|| output.text())
            }
            found => found.cloned(),
        };
        let is_same = match (&before, kind) {
            (None, _) => false,
            (Some(before), Kind::Boolean) => before.eq_ignore_ascii_case(&wanted),
            (Some(before), Kind::Multiselect) => sorted(before) == sorted(&wanted),
            (Some(before), _) => *before == wanted,
        };
        if is_same {
            return Ok(Verdict::nothing().with("current", all(&known)).with("msg", ""));
        }
        let is_secret = kind == Kind::Password;
        let show = |text: String| if is_secret { "(sensitive)".to_owned() } else { text };
        let mut verdict = Verdict::nothing();
        let mut argv = vec!["debconf-set-selections"];
        if args.unseen {
            argv.push("-u");
        }
        let word = format!("{kind:?}").to_lowercase();
        let line = format!("{} {question} {word} {wanted}\n", args.name);
        let change = Change::value(question.clone(), before.clone().map(show), Some(show(wanted.clone())));
        verdict.change(change, Write::Run(Command::new(argv).stdin(line)));
        let one = |text: String| map([(question.clone(), text)]);
        Ok(verdict
            .with("current", one(show(wanted)))
            .with("previous", one(before.map(show).unwrap_or_default()))
            .with("msg", ""))
    }
}

fn text(value: &Value, kind: Kind) -> String {
    match value.kind() {
        ValueKind::Seq => {
            value.try_iter().map(|items| super::joined(items.map(|item| item.to_string()))).unwrap_or_default()
        }
        _ if kind == Kind::Boolean => value.to_string().to_lowercase(),
        _ => value.to_string(),
    }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(',').map(str::trim).collect();
    parts.sort_unstable();
    parts
}

/// Lines such as `* tzdata/Areas: Etc`.
fn answers(shown: &str) -> BTreeMap<String, String> {
    let answer = |line: &str| {
        let (question, value) = line.trim_start_matches(['*', ' ']).split_once(':')?;
        Some((question.trim().to_owned(), value.trim().to_owned()))
    };
    shown.lines().filter_map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let known = answers("* tzdata/Areas: Etc\n  tzdata/Zones/Etc: UTC\n  empty/one:\n");
        assert_eq!(known["tzdata/Areas"], "Etc");
        assert_eq!(known["tzdata/Zones/Etc"], "UTC");
        assert_eq!(known["empty/one"], "");
    }
}
