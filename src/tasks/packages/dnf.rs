//! `dnf` (`yum`, `dnf5`): Fedora's, Rocky's and Alma's packages.
//!
//! ```yaml
//! - dnf:
//!     name: [nginx, "@Development Tools", "*"]   # also pkg; `*` with state latest: all
//!     state: present            # present (default), latest, absent
//!     update_cache: false
//!     enablerepo: [crb]         # and disablerepo
//!     disable_gpg_check: false
//!     install_weak_deps: true
//!     autoremove: false
//!     allowerasing: false
//!     exclude: []
//!     update_only: false
//! ```
//!
//! Packages are looked up in rpm's own database; groups (`@…`), paths and URLs by what dnf says of them. Returned:
//! `results`, `stdout`, `stderr`. Run with dnf 4; dnf 5 takes the same words.
//!
//! In a preview dnf is asked what it would do, up to its question (`--assumeno`). What a package brings is unknown until
//! run for the tasks after it; after an upgrade or a removal the whole guest is.

use serde::Deserialize;

use super::apt;
use crate::forecast::Effect;
use crate::guest::{About, Command, Done, PackageManager, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Map, Module, Pause, Report, TextList, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Dnf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default, alias = "pkg")]
    name: TextList,
    #[serde(default)]
    state: State,
    #[serde(default, alias = "expire-cache")]
    update_cache: Flag,
    #[serde(default)]
    enablerepo: TextList,
    #[serde(default)]
    disablerepo: TextList,
    #[serde(default)]
    exclude: TextList,
    #[serde(default)]
    disable_gpg_check: Flag,
    install_weak_deps: Option<Flag>,
    #[serde(default)]
    autoremove: Flag,
    #[serde(default)]
    allowerasing: Flag,
    #[serde(default)]
    update_only: Flag,
    #[serde(default)]
    security: Flag,
    #[serde(default)]
    bugfix: Flag,
    #[serde(default)]
    nobest: Flag,
    #[serde(default)]
    skip_broken: Flag,
    releasever: Option<String>,
    #[serde(rename = "allow_downgrade")]
    _allow_downgrade: Option<Flag>,
    #[serde(rename = "lock_timeout")]
    _lock_timeout: Option<Int>,
    #[serde(rename = "use_backend")]
    _use_backend: Option<String>,
    #[serde(rename = "validate_certs")]
    _validate_certs: Option<Flag>,
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

impl Module for Dnf {
    fn names(&self) -> &'static [&'static str] {
        &["dnf", "yum", "dnf5"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Packages
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        for write in &verdict.writes {
            let Write::Run(command) = write else { continue };
            if let Some(rehearsal) = rehearsal(command) {
                let said = guest.output(rehearsal.about(About::Packages))?;
                if !(said.text() + &said.errors()).contains("Operation aborted") {
                    let rehearsed = Verdict { writes: vec![write.clone()], ..Verdict::default() };
                    apt::finish(call, rehearsed, &[Done::Ran(said.clone())])?;
                }
            }
        }
        Ok(super::foreseen(PackageManager::Rpm, call.name, verdict))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        if args.update_cache && call.round == 0 {
            let writes = vec![Write::Run(dnf(&args, &["makecache"]))];
            return Ok(Verdict { writes, again: true, ..Verdict::default() });
        }
        let names: Vec<&str> = args.name.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        let plain = |name: &&&str| !name.starts_with(['@', '/', '*']) && !name.contains("://");
        guest.want(names.iter().filter(plain).map(|name| probe(name)))?;
        let mut verdict = Verdict::nothing();
        // What `install` leaves alone because it is there goes by `upgrade`.
        let (mut chosen, mut old) = (vec![], vec![]);
        for name in &names {
            if !plain(&name) {
                // What dnf would do about it, it says itself.
                let word = if args.state == State::Absent {
                    "remove"
                } else if *name == "*" {
                    "upgrade"
                } else {
                    "install"
                };
                let words: Vec<&str> =
                    if *name == "*" { vec![word, "--assumeno"] } else { vec![word, "--assumeno", name] };
                let output = guest.output(dnf(&args, &words).about(About::Packages))?;
                if output.text().contains("Transaction Summary") {
                    verdict.changes.push(Change::value(
                        format!("packages {name}"),
                        None,
                        Some(format!("{:?}", args.state)),
                    ));
                    if *name == "*" { &mut old } else { &mut chosen }.push(*name);
                }
                continue;
            }
            let package = guest.package(PackageManager::Rpm, name)?;
            let is_there = package.installed.is_some();
            let differs = match args.state {
                State::Present => !is_there && !args.update_only,
                State::Absent => is_there,
                State::Latest if !is_there => !args.update_only,
                State::Latest => {
                    guest.output(dnf(&args, &["-q", "check-update", name]).about(About::Packages))?.code == 100
                }
            };
            if differs {
                let after = (args.state != State::Absent)
                    .then(|| package.candidate.clone().unwrap_or_else(|| "installed".to_owned()));
                verdict.changes.push(Change::value(format!("package {name}"), package.installed.clone(), after));
                let is_upgrade = is_there && args.state == State::Latest;
                if is_upgrade { &mut old } else { &mut chosen }.push(*name);
            }
        }
        let word = if args.state == State::Absent { "remove" } else { "install" };
        for (word, names) in [(word, &chosen), ("upgrade", &old)] {
            if !names.is_empty() {
                let names = names.iter().copied().filter(|name| *name != "*");
                let words: Vec<&str> = std::iter::once(word).chain(names).collect();
                verdict.writes.push(Write::Run(dnf(&args, &words)));
            }
        }
        chosen.extend(old);
        if args.autoremove {
            let output = guest.output(dnf(&args, &["autoremove", "--assumeno"]).about(About::Packages))?;
            if output.text().contains("Transaction Summary") {
                let change = Change::value("autoremove", None, Some("done".into()));
                verdict.change(change, Write::Run(dnf(&args, &["autoremove"])));
            }
        }
        Ok(verdict.with("results", crate::template::Value::from(super::owned(&chosen))))
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        apt::finish(call, verdict, done)
    }
}

fn probe(name: &str) -> Probe {
    Probe::Package { manager: PackageManager::Rpm, name: name.to_owned(), candidate: true }
}

/// The same command, up to the question whether it is to be done, which is answered with no.
fn rehearsal(command: &Command) -> Option<Command> {
    let at = command.argv.iter().position(|word| word == "-y")?;
    let mut rehearsal = command.clone();
    "--assumeno".clone_into(&mut rehearsal.argv[at]);
    (!command.argv.iter().any(|word| word == "makecache")).then_some(rehearsal)
}

fn dnf(args: &Args, words: &[&str]) -> Command {
    let mut argv = vec!["dnf".to_owned()];
    if !words.contains(&"--assumeno") {
        argv.push("-y".into());
    }
    let lists =
        [("--enablerepo", &args.enablerepo), ("--disablerepo", &args.disablerepo), ("--exclude", &args.exclude)];
    for (flag, values) in lists {
        argv.extend(values.iter().map(|value| format!("{flag}={value}")));
    }
    let flags = [
        (args.disable_gpg_check, "--nogpgcheck"),
        (args.allowerasing, "--allowerasing"),
        (args.security, "--security"),
        (args.bugfix, "--bugfix"),
        (args.nobest, "--nobest"),
        (args.skip_broken, "--skip-broken"),
    ];
    argv.extend(flags.iter().filter(|(is, _)| *is).map(|(_, flag)| (*flag).to_owned()));
    if let Some(weak) = args.install_weak_deps {
        argv.push(format!("--setopt=install_weak_deps={}", if weak { "True" } else { "False" }));
    }
    if let Some(release) = &args.releasever {
        argv.push(format!("--releasever={release}"));
    }
    argv.extend(words.iter().map(|word| (*word).to_owned()));
    Command::new(argv)
}
