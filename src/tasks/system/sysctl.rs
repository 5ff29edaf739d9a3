//! `ansible.posix.sysctl`: a setting of the kernel's.
//!
//! ```yaml
//! - sysctl: {name: net.core.somaxconn, value: 1024, sysctl_set: true, sysctl_file: /etc/sysctl.d/60-app.conf}
//!   # state, reload: true, ignoreerrors
//! ```
//!
//! In a container many settings belong to the host and cannot be set: `ignoreerrors: true` writes the file alone.

use serde::Deserialize;

use super::group::State;
use crate::forecast::Effect;
use crate::guest::{About, Attributes, Command, Content, Look, Output, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Module, Pause, Verdict};

/// The module.
#[derive(Debug)]
pub struct Sysctl;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "key")]
    name: String,
    #[serde(alias = "val")]
    value: Option<String>,
    #[serde(default)]
    state: State,
    reload: Option<Flag>,
    sysctl_file: Option<String>,
    #[serde(default)]
    sysctl_set: Flag,
    #[serde(default)]
    ignoreerrors: Flag,
}

impl Module for Sysctl {
    fn names(&self) -> &'static [&'static str] {
        &["ansible.posix.sysctl"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.state == State::Present && args.value.is_none() {
            return Err(Failure::new("value cannot be None"));
        }
        Ok(())
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let output = Output { stdout: format!("{}\n", args.wanted()).into_bytes(), ..Output::default() };
        let says = args.sysctl_set && args.state == State::Present && !verdict.writes.is_empty();
        Ok(verdict.effects_and(says.then(|| Effect::Says(args.now(), output))))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let path = args.sysctl_file.as_deref().unwrap_or("/etc/sysctl.conf");
        let value = args.wanted();
        let before = String::from_utf8_lossy(guest.read(path)?.unwrap_or_default()).into_owned();
        let after = edited(&before, &args.name, (args.state == State::Present).then_some(value.as_str()));
        let mut verdict = Verdict::nothing();
        if args.sysctl_set && args.state == State::Present {
            let there = guest.output(args.now())?;
            let is_same = there.is_success() && words(&there.text()) == words(&value);
            if !is_same {
                let setting = format!("{}={value}", args.name);
                let command = if args.ignoreerrors {
                    Command::script(r#"sysctl -e -w "$1" || true"#, [setting.as_str()])
                } else {
                    Command::new(["sysctl", "-w", setting.as_str()])
                };
                verdict.change(
                    Change::value(args.name.clone(), Some(there.text().trim().to_owned()), Some(value.clone())),
                    Write::Run(command),
                );
            }
        }
        if after != before {
            let content = Content::Bytes(after.clone().into_bytes().into());
            let write = Write::File {
                path: path.to_owned(),
                content,
                attributes: Attributes::default(),
                backup: None,
                validate: None,
            };
            verdict.change(Change::text(path, before, after), write);
            if args.reload.unwrap_or(true) {
                let script = if args.ignoreerrors { r#"sysctl -e -p "$1" || true"# } else { r#"sysctl -p "$1""# };
                verdict.writes.push(Write::Run(Command::script(script, [path])));
            }
        }
        Ok(verdict)
    }
}

impl Args {
    fn wanted(&self) -> String {
        match self.value.as_deref().unwrap_or_default() {
            "true" | "True" | "yes" | "on" => "1".to_owned(),
            "false" | "False" | "no" | "off" => "0".to_owned(),
            value => value.trim().to_owned(),
        }
    }

    fn now(&self) -> Look {
        Command::new(["sysctl", "-n", self.name.as_str()]).about(About::Named(format!("sysctl {}", self.name)))
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The file with the setting as it is wanted; the first that is there keeps its place.
fn edited(text: &str, name: &str, value: Option<&str>) -> String {
    let is_it = |line: &str| {
        let line = line.trim();
        !line.starts_with(['#', ';'])
            && line.split_once('=').is_some_and(|(key, _)| key.trim().trim_start_matches('-') == name)
    };
    let mut lines: Vec<String> = vec![];
    let mut is_there = false;
    for line in text.lines() {
        if !is_it(line) {
            lines.push(line.to_owned());
            continue;
        }
        if let Some(value) = value.filter(|_| !is_there) {
            let same = line.split_once('=').is_some_and(|(_, there)| words(there) == words(value));
            lines.push(if same { line.to_owned() } else { format!("{name}={value}") });
        }
        is_there = true;
    }
    if let Some(value) = value.filter(|_| !is_there) {
        lines.push(format!("{name}={value}"));
    }
    let end = if lines.is_empty() { "" } else { "\n" };
    lines.join("\n") + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_change_and_go() {
        assert_eq!(edited("", "a.b", Some("1")), "a.b=1\n");
        assert_eq!(edited("# x\na.b = 0\n", "a.b", Some("1")), "# x\na.b=1\n");
        assert_eq!(edited("a.b = 1\n", "a.b", Some("1")), "a.b = 1\n");
        assert_eq!(edited("a.b=1\nc=2\n", "a.b", None), "c=2\n");
    }
}
