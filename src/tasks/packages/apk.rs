//! `community.general.apk`: Alpine's packages.
//!
//! ```yaml
//! - apk:
//!     name: [nginx, curl]       # also pkg
//!     state: present            # present (default), latest, absent
//!     update_cache: false       # `apk update` before
//!     upgrade: false            # all that is installed
//!     available: false          # with upgrade: versions as the repositories have them
//!     no_cache: false
//!     repository: http://…      # of these in place of those in /etc/apk/repositories
//! ```
//!
//! Returned: `packages`, `stdout`, `stderr`. Check mode asks apk.
//!
//! In a preview what a package brings is unknown until run for the tasks after it; after an upgrade or a removal the
//! whole guest is.

use serde::Deserialize;

use super::apt;
use crate::forecast::Effect;
use crate::guest::{About, Command, Done, PackageManager, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Module, Pause, Report, TextList, Touches, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct Apk;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default, alias = "pkg")]
    name: TextList,
    #[serde(default)]
    state: State,
    #[serde(default)]
    update_cache: Flag,
    #[serde(default)]
    upgrade: Flag,
    #[serde(default)]
    available: Flag,
    #[serde(default)]
    no_cache: Flag,
    #[serde(default)]
    repository: TextList,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    #[serde(alias = "installed")]
    Present,
    Latest,
    #[serde(alias = "removed")]
    Absent,
}

impl Module for Apk {
    fn names(&self) -> &'static [&'static str] {
        &["community.general.apk"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.name.is_empty() && !args.update_cache && !args.upgrade && !call.args.contains_key("name") {
            return Err(Failure::new("apk: one of name, update_cache, upgrade is needed"));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Packages
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        Ok(super::foreseen(PackageManager::Apk, call.name, verdict))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let names: Vec<&str> = args.name.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        if args.update_cache && call.round == 0 {
            let writes = vec![Write::Run(apk(&args, &["update"]))];
            return Ok(Verdict { writes, again: true, ..Verdict::default() });
        }
        let mut verdict = Verdict::nothing();
        if args.upgrade {
            let mut words = vec!["upgrade"];
            if args.available {
                words.push("--available");
            }
            let simulated: Vec<&str> = words.iter().copied().chain(["--simulate"]).collect();
            let text = guest.output(apk(&args, &simulated).about(About::Packages))?.text();
            let changes: Vec<Change> = text.lines().filter_map(simulated_change).collect();
            if !changes.is_empty() {
                verdict.changes.extend(changes);
                verdict.writes.push(Write::Run(apk(&args, &words)));
            }
        }
        guest.want(names.iter().map(|name| probe(name)))?;
        let mut chosen = vec![];
        for name in &names {
            let package = guest.package(PackageManager::Apk, bare(name))?;
            let is_there = package.installed.is_some();
            let is_behind = is_there && package.candidate.is_some() && package.candidate != package.installed;
            let (differs, after) = match args.state {
                State::Present => (!is_there, package.candidate.clone().or_else(|| Some("installed".into()))),
                State::Latest => (!is_there || is_behind, package.candidate.clone().or_else(|| Some("latest".into()))),
                State::Absent => (is_there, None),
            };
            if differs {
                verdict.changes.push(Change::value(
                    format!("package {}", bare(name)),
                    package.installed.clone(),
                    after,
                ));
                chosen.push(*name);
            }
        }
        if !chosen.is_empty() {
            let mut words = match args.state {
                State::Present => vec!["add"],
                State::Latest => vec!["add", "--upgrade"],
                State::Absent => vec!["del", "--purge"],
            };
            words.extend(&chosen);
            verdict.writes.push(Write::Run(apk(&args, &words)));
        }
        if args.update_cache && names.is_empty() && !args.upgrade {
            verdict.changed = Some(true);
        }
        Ok(verdict.with("packages", Value::from(super::owned(&chosen))))
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        apt::finish(call, verdict, done)
    }
}

/// `nginx=1.24`, `nginx>1.2`, `nginx@edge` are of the package `nginx`.
fn bare(name: &str) -> &str {
    name.split(['=', '<', '>', '~', '@']).next().unwrap_or(name)
}

fn probe(name: &str) -> Probe {
    Probe::Package { manager: PackageManager::Apk, name: bare(name).to_owned(), candidate: true }
}

fn apk(args: &Args, words: &[&str]) -> Command {
    let mut argv = vec!["apk".to_owned()];
    if args.no_cache {
        argv.push("--no-cache".into());
    }
    for repository in args.repository.iter() {
        argv.extend(["--repository".to_owned(), repository.clone()]);
    }
    if !args.repository.is_empty() {
        argv.extend(["--repositories-file".to_owned(), "/dev/null".to_owned()]);
    }
    argv.extend(words.iter().map(|word| (*word).to_owned()));
    Command::new(argv)
}

/// `(1/3) Upgrading musl (1.2.4-r1 -> 1.2.4-r2)`.
fn simulated_change(line: &str) -> Option<Change> {
    let (_, rest) = line.strip_prefix('(')?.split_once(") ")?;
    let (word, rest) = rest.split_once(' ')?;
    let (name, versions) = rest.split_once(" (")?;
    let versions = versions.trim_end_matches(')');
    let what = format!("package {name}");
    match (word, versions.split_once(" -> ")) {
        ("Purging", _) => Some(Change::value(what, Some(versions.to_owned()), None)),
        (_, Some((before, after))) => Some(Change::value(what, Some(before.to_owned()), Some(after.to_owned()))),
        ("Installing", None) => Some(Change::value(what, None, Some(versions.to_owned()))),
        _ => None,
    }
}
