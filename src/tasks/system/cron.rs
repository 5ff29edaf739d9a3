//! `cron`: a job, keyed by its name.
//!
//! ```yaml
//! - cron: {name: backup, minute: "0", hour: "3", job: /usr/local/bin/backup, user: root}
//! - cron: {name: PATH, env: true, job: /usr/local/bin:/usr/bin}
//! - cron: {name: clean, special_time: daily, job: rm -rf /var/tmp/x, cron_file: clean}   # /etc/cron.d/clean
//!   # day, month, weekday, disabled, state, backup, insertbefore, insertafter
//! ```
//!
//! The user's crontab is read by `crontab -l` and written through its stdin. Returned: `jobs`, `envs`.

use serde::Deserialize;

use super::group::State;
use crate::forecast::Effect;
use crate::guest::{About, Attributes, Command, Content, Look, Output, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Module, Pause, Verdict};

/// The module.
#[derive(Debug)]
pub struct Cron;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Args {
    name: String,
    #[serde(alias = "value")]
    job: Option<String>,
    user: Option<String>,
    state: State,
    cron_file: Option<String>,
    env: Flag,
    special_time: Option<String>,
    disabled: Flag,
    minute: Option<String>,
    hour: Option<String>,
    #[serde(alias = "dom")]
    day: Option<String>,
    month: Option<String>,
    #[serde(alias = "dow")]
    weekday: Option<String>,
    insertafter: Option<String>,
    insertbefore: Option<String>,
    #[serde(rename = "backup")]
    _backup: Option<Flag>,
}

const MARK: &str = "#Ansible: ";

impl Module for Cron {
    fn names(&self) -> &'static [&'static str] {
        &["cron"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        let whole_file = args.cron_file.is_some() && args.state == State::Absent;
        if args.name.is_empty() && !whole_file {
            return Err(Failure::new("the argument `name` is missing"));
        }
        if args.state == State::Present && args.job.is_none() {
            return Err(Failure::new("You must specify 'job' to install a new cron job or variable"));
        }
        let times = [&args.minute, &args.hour, &args.day, &args.month, &args.weekday];
        if args.special_time.is_some() && times.iter().any(|time| time.is_some()) {
            return Err(Failure::new("You must specify time and date fields or special time."));
        }
        if args.cron_file.is_some() && args.user.is_none() && args.state == State::Present {
            return Err(Failure::new("To use cron_file=... parameter you must specify user=... as well"));
        }
        Ok(())
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let user = args.user.unwrap_or_else(|| "root".into());
        let run = verdict.writes.iter().find_map(|write| match write {
            Write::Run(command) => command.stdin.clone(),
            _ => None,
        });
        let says = run.map(|text| Effect::Says(listed(&user), Output { stdout: text, ..Output::default() }));
        Ok(verdict.effects_and(says))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let user = args.user.clone().unwrap_or_else(|| "root".into());
        let file = args
            .cron_file
            .as_ref()
            .map(|file| if file.starts_with('/') { file.clone() } else { format!("/etc/cron.d/{file}") });
        let before = match &file {
            Some(file) => String::from_utf8_lossy(guest.read(file)?.unwrap_or_default()).into_owned(),
            None => {
                if guest.which("crontab")?.is_none() {
                    return Err(Failure::new("the guest has no crontab: install cron, or use cron_file").into());
                }
                let output = guest.output(listed(&user))?;
                if output.is_success() { without_header(&output.text()) } else { String::new() }
            }
        };
        let mut verdict = Verdict::nothing();
        if let Some(file) = file.as_ref().filter(|_| args.state == State::Absent && args.name.is_empty()) {
            if guest.stat(file)?.is_some() {
                verdict.change(
                    Change::value(file.clone(), Some("present".into()), None),
                    Write::Remove { path: file.clone() },
                );
            }
            return Ok(verdict);
        }
        let after = args.edited(&before, &user);
        if after != before {
            let header = file.clone().unwrap_or_else(|| format!("crontab of {user}"));
            let write = match &file {
                Some(file) if after.trim().is_empty() => Write::Remove { path: file.clone() },
                Some(file) => Write::File {
                    path: file.clone(),
                    content: Content::Bytes(after.clone().into_bytes().into()),
                    attributes: Attributes { mode: Some(0o644), ..Attributes::default() },
                    backup: None,
                    validate: None,
                },
                None => Write::Run(Command::new(["crontab", "-u", &user, "-"]).stdin(after.clone())),
            };
            verdict.change(Change::text(header, before, after.clone()), write);
        }
        let names: Vec<String> = after.lines().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect();
        let envs: Vec<String> = after.lines().filter_map(variable).collect();
        Ok(verdict.with("jobs", names).with("envs", envs))
    }
}

/// What a user's crontab holds.
fn listed(user: &str) -> Look {
    Command::new(["crontab", "-u", user, "-l"]).about(About::Named(format!("the crontab of {user}")))
}

/// Some crontabs print three lines about themselves.
fn without_header(text: &str) -> String {
    let header = ["# DO NOT EDIT THIS FILE", "# (", "# ("];
    let lines: Vec<&str> = text.lines().collect();
    let has = lines.len() >= 3 && header.iter().zip(&lines).all(|(start, line)| line.starts_with(start));
    if has { lines[3..].iter().map(|line| format!("{line}\n")).collect() } else { text.to_owned() }
}

fn variable(line: &str) -> Option<String> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| name.to_owned())
}

impl Args {
    fn line(&self, user: &str) -> String {
        let job = self.job.as_deref().unwrap_or_default().trim_end_matches(['\r', '\n']);
        let disabled = if self.disabled { "#" } else { "" };
        let owner = if self.cron_file.is_some() { format!("{user} ") } else { String::new() };
        if let Some(special) = &self.special_time {
            return format!("{disabled}@{special} {owner}{job}");
        }
        let time = |value: &Option<String>| value.clone().unwrap_or_else(|| "*".into());
        let times = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday].map(time).join(" ");
        format!("{disabled}{times} {owner}{job}")
    }

    fn edited(&self, text: &str, user: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if self.env {
            let there = lines.iter().position(|line| variable(line).as_ref() == Some(&self.name));
            let new = format!("{}=\"{}\"", self.name, self.job.as_deref().unwrap_or_default());
            match (there, self.state) {
                (Some(at), State::Absent) => {
                    lines.remove(at);
                }
                (Some(at), State::Present) => lines[at] = new,
                (None, State::Present) => {
                    let find =
                        |name: &Option<String>| lines.iter().position(|line| name.is_some() && variable(line) == *name);
                    let at = find(&self.insertafter).map(|at| at + 1).or(find(&self.insertbefore)).unwrap_or(0);
                    lines.insert(at, new);
                }
                (None, State::Absent) => {}
            }
        } else {
            let mark = format!("{MARK}{}", self.name);
            let there = lines.iter().position(|line| *line == mark);
            match (there, self.state) {
                (Some(at), State::Absent) => {
                    lines.drain(at..(at + 2).min(lines.len()));
                }
                (Some(at), State::Present) => {
                    let end = (at + 2).min(lines.len());
                    lines.splice(at..end, [mark, self.line(user)]);
                }
                (None, State::Present) => lines.extend([mark, self.line(user)]),
                (None, State::Absent) => {}
            }
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_keyed_by_name() {
        let args =
            |hour: &str| Args { name: "b".into(), job: Some("run".into()), hour: Some(hour.into()), ..Args::default() };
        let once = args("3").edited("x\n", "root");
        assert_eq!(once, "x\n#Ansible: b\n* 3 * * * run\n");
        assert_eq!(args("4").edited(&once, "root"), "x\n#Ansible: b\n* 4 * * * run\n");
        assert_eq!(Args { state: State::Absent, ..args("3") }.edited(&once, "root"), "x\n");
        let env = Args { name: "PATH".into(), env: true, job: Some("/bin".into()), ..Args::default() };
        assert_eq!(env.edited("x\n", "root"), "PATH=\"/bin\"\nx\n");
    }
}
