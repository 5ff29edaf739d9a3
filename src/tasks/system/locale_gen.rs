//! `community.general.locale_gen`: locales that are generated (Debian, Ubuntu).
//!
//! ```yaml
//! - locale_gen: {name: [de_DE.UTF-8, en_US.UTF-8], state: present}
//! ```

use serde::Deserialize;

use super::group::State;
use crate::forecast::Effect;
use crate::guest::{About, Attributes, Command, Content, Look, Output, Write};
use crate::tasks::{Call, Change, Failure, Known, Map, Module, Pause, TextList, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct LocaleGen;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: TextList,
    #[serde(default)]
    state: State,
}

impl Module for LocaleGen {
    fn names(&self) -> &'static [&'static str] {
        &["community.general.locale_gen"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Named("the locales")
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let output = guest.output(known())?;
        let mut text = output.text();
        match args.state {
            State::Present => text += &args.name.iter().map(|name| format!("{name}\n")).collect::<String>(),
            State::Absent => {
                text = text
                    .lines()
                    .filter(|line| !args.name.iter().any(|name| normal(line) == normal(name)))
                    .map(|line| format!("{line}\n"))
                    .collect()
            }
        }
        let says = Effect::Says(known(), Output { stdout: text.into_bytes(), ..output.clone() });
        Ok(verdict.effects_and((!verdict.writes.is_empty()).then_some(says)))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let path = "/etc/locale.gen";
        let Some(before) = guest.read(path)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()) else {
            return Err(Failure::new("/etc/locale.gen is missing: is the package `locales` installed?").into());
        };
        let known = guest.output(self::known())?.text();
        let has = |name: &str| known.lines().any(|line| normal(line) == normal(name));
        let wrong: Vec<&String> = args.name.iter().filter(|name| has(name) != (args.state == State::Present)).collect();
        let mut verdict = Verdict::nothing().with("name", args.name.to_vec());
        if wrong.is_empty() {
            return Ok(verdict);
        }
        let after = edited(&before, &wrong, args.state)?;
        let content = Content::Bytes(after.clone().into_bytes().into());
        let write =
            Write::File { path: path.into(), content, attributes: Attributes::default(), backup: None, validate: None };
        if after == before {
            verdict.changes.push(Change::value("locales", None, Some(args.name.join(", "))))
        } else {
            verdict.change(Change::text(path, before, after), write)
        }
        let command = if args.state == State::Present {
            Command::new(["locale-gen"])
        } else {
            Command::new(["locale-gen", "--purge"])
        };
        verdict.writes.push(Write::Run(command));
        Ok(verdict)
    }
}

fn normal(name: &str) -> String {
    name.to_lowercase().replace('-', "")
}

/// The locales that the guest has.
fn known() -> Look {
    Command::new(["locale", "-a"]).about(About::Named("the locales".into()))
}

fn edited(text: &str, names: &[&String], state: State) -> Result<String, Failure> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for name in names {
        let is_it = |line: &String| line.trim_start_matches(['#', ' ']).split(' ').next() == Some(name.as_str());
        let Some(at) = lines.iter().position(is_it) else {
            return Err(Failure::new(format!("The following locales are not available on your system: {name}")));
        };
        let bare = lines[at].trim_start_matches(['#', ' ']).to_owned();
        lines[at] = if state == State::Present { bare } else { format!("# {bare}") };
    }
    Ok(lines.join("\n") + "\n")
}
