//! Tables of answers: what the modules make of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::guest::{Answer, Command, Output, Package, PackageManager, Probe, Write};
use crate::tasks::{Call, Controller, Known, LocalEntry, LocalFile, Map, Pause, TemplateOptions, Verdict, registry};
use crate::template::Value;

/// These modules ask nothing of the operator's side.
struct Nothing;

impl Controller for Nothing {
    fn find(&self, _: &str, name: &str) -> Result<PathBuf, Failure> {
        Err(Failure::new(name))
    }
    fn read(&self, _: &Path) -> Result<Vec<u8>, Failure> {
        Err(Failure::new("nothing"))
    }
    fn describe(&self, _: &Path) -> Result<LocalFile, Failure> {
        Err(Failure::new("nothing"))
    }
    fn list(&self, _: &Path) -> Result<Vec<LocalEntry>, Failure> {
        Err(Failure::new("nothing"))
    }
    fn render(&self, _: &Path, _: &TemplateOptions, _: &Map) -> Result<String, Failure> {
        Err(Failure::new("nothing"))
    }
    fn condition(&self, _: &Value) -> Result<bool, Failure> {
        Err(Failure::new("nothing"))
    }
    fn evaluate(&self, _: &str) -> Result<Option<Value>, Failure> {
        Ok(None)
    }
    fn absolute(&self, path: &str) -> PathBuf {
        path.into()
    }
    fn now(&self) -> i64 {
        0
    }
}

/// A guest in which commands are answered by their words, and packages by name.
struct Guest {
    packages: BTreeMap<&'static str, Package>,
    commands: Vec<(&'static str, i64, &'static str)>,
    tools: Vec<&'static str>,
}

impl Guest {
    fn answer(&self, probe: &Probe) -> Answer {
        match probe {
            Probe::Package { name, .. } => {
                Answer::Package(self.packages.get(name.as_str()).cloned().unwrap_or_default())
            }
            Probe::Which(tool) => {
                Answer::Which(self.tools.contains(&tool.as_str()).then(|| format!("/usr/bin/{tool}")))
            }
            Probe::Output(Command { argv, .. }) => {
                let words = argv.join(" ");
                let found = self.commands.iter().find(|(part, ..)| words.contains(part));
                let (_, code, text) = found.unwrap_or_else(|| panic!("nobody expected `{words}`"));
                Answer::Output(Output { code: *code, stdout: text.as_bytes().to_vec(), ..Output::default() })
            }
            Probe::Stat { .. } => Answer::Stat(None),
            Probe::Read { .. } => Answer::Read(None),
            Probe::List { .. } => Answer::List(None),
            other => panic!("nobody expected {other:?}"),
        }
    }

    fn inspect(&self, name: &str, args: &[(&str, Value)], round: u32) -> Result<Verdict, Failure> {
        let module = registry::find(name).unwrap();
        let args: Map = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let environment = BTreeMap::new();
        let facts = crate::template::map([("pkg_mgr", "apt")]);
        let call = Call {
            name,
            args: &args,
            check: false,
            diff: false,
            user: None,
            environment: &environment,
            facts: &facts,
            controller: &Nothing,
            round,
        };
        let mut known = Known::default();
        for _ in 0..20 {
            match module.inspect(&call, &known) {
                Ok(verdict) => return Ok(verdict),
                Err(Pause::Failed(failure)) => return Err(failure),
                Err(Pause::Asked) => {
                    for probe in known.take_wanted() {
                        let answer = self.answer(&probe);
                        known.learn(probe, answer);
                    }
                }
            }
        }
        panic!("it asks for ever")
    }
}

fn debian() -> Guest {
    let installed = |version: &str| Package { installed: Some(version.into()), ..Package::default() };
    let packages = [
        ("curl", installed("7.88-1")),
        ("nginx", Package { candidate: Some("1.22-9".into()), ..Package::default() }),
        ("vim", Package { is_configured: true, candidate: Some("9".into()), ..Package::default() }),
        ("mail-transport-agent", Package { is_virtual: true, is_provided: true, ..Package::default() }),
    ];
    Guest {
        packages: packages.into_iter().collect(),
        commands: vec![
            ("policy curl", 0, "curl:\n  Installed: 7.88-1\n  Candidate: 7.88-2\n"),
            ("date +%s", 0, "10000\n9000\n8000\n"),
            ("--compare-versions", 0, ""),
            ("madison nginx", 0, " nginx | 1.22-9 | http://x\n nginx | 1.20-1 | http://x\n"),
            ("autoremove", 0, "0 upgraded\n"),
        ],
        tools: vec!["apt-get"],
    }
}

fn run_of(verdict: &Verdict) -> Vec<String> {
    let argv = |write: &Write| match write {
        Write::Run(command) => command.argv.join(" "),
        other => format!("{other:?}"),
    };
    verdict.writes.iter().map(argv).collect()
}

#[test]
fn present_is_satisfied_by_any_version_and_latest_is_not() {
    let guest = debian();
    let verdict = |state: &str| guest.inspect("apt", &[("name", "curl".into()), ("state", state.into())], 0).unwrap();
    assert!(verdict("present").writes.is_empty());
    let latest = verdict("latest");
    assert_eq!(latest.changes[0].after.as_deref(), Some("7.88-2"));
    assert!(run_of(&latest)[0].ends_with("install curl"));
}

#[test]
fn what_is_missing_is_one_transaction() {
    let names = Value::from(vec!["curl", "nginx", "vim", "mail-transport-agent"]);
    let verdict = debian().inspect("apt", &[("name", names)], 0).unwrap();
    assert_eq!(run_of(&verdict).len(), 1);
    assert!(run_of(&verdict)[0].contains("--force-confold") && run_of(&verdict)[0].ends_with("install nginx vim"));
}

#[test]
fn versions_that_are_asked_for() {
    let install = |name: &str| debian().inspect("apt", &[("name", name.into())], 0);
    assert!(run_of(&install("nginx=1.20*").unwrap())[0].ends_with("install nginx=1.20*"));
    assert!(install("curl>=7.88").unwrap().writes.is_empty());
    let failure = install("nginx=9").unwrap_err().message;
    assert!(failure.starts_with("No package matching 'nginx=9' is available"), "{failure}");
    assert!(install("nosuch").unwrap_err().message.contains("update_cache"));
}

#[test]
fn absent_spares_configuration_unless_purged() {
    let guest = debian();
    let remove = |more: &[(&str, Value)]| {
        let args = [&[("name", Value::from("vim,curl")), ("state", "absent".into())], more].concat();
        run_of(&guest.inspect("apt", &args, 0).unwrap())
    };
    assert!(remove(&[])[0].ends_with("remove curl"));
    assert!(remove(&[("purge", true.into())])[0].ends_with("--purge remove vim curl"));
}

#[test]
fn lists_are_fetched_when_they_are_old_enough() {
    let guest = debian();
    let first = |valid: i64| {
        let args = [("name", "nginx".into()), ("cache_valid_time", valid.into()), ("update_cache", "yes".into())];
        guest.inspect("apt", &args, 0).unwrap()
    };
    assert!(first(500).again && run_of(&first(500))[0].ends_with(" update"));
    assert!(!first(2000).again);
    let alone = guest.inspect("apt", &[("update_cache", true.into())], 1).unwrap();
    assert!(alone.is_changed() && alone.writes.is_empty());
}

#[test]
fn package_is_what_the_guest_has() {
    let verdict = debian().inspect("package", &[("name", "nginx".into()), ("state", "present".into())], 0).unwrap();
    assert!(run_of(&verdict)[0].starts_with("apt-get"));
}

#[test]
fn a_repository_is_written_once_and_undone_when_the_update_fails() {
    let args = [("repo", Value::from("deb http://x.example/debian bookworm main"))];
    let verdict = debian().inspect("apt_repository", &args, 0).unwrap();
    assert!(
        matches!(&verdict.writes[0], Write::File { path, .. } if path == "/etc/apt/sources.list.d/x_example_debian.list")
    );
    assert!(run_of(&verdict)[1].contains("apt-get update && exit 0"));
}

#[test]
fn pip_compares_before_it_runs() {
    let mut guest = debian();
    guest.tools = vec!["pip3"];
    guest.commands = vec![("pip3 list", 0, "Django==4.2.1\ngunicorn==20.1\n")];
    let pip = |name: &str| guest.inspect("pip", &[("name", name.into())], 0).unwrap();
    assert!(pip("django>=4,<5").writes.is_empty());
    assert!(run_of(&pip("gunicorn>=21"))[0].ends_with("pip3 install gunicorn>=21"));
}

#[test]
fn no_probe_is_of_another_manager() {
    assert_eq!(debian::Spec::parse("a").probe(), Probe::Package { manager: PackageManager::Dpkg, name: "a".into() });
}
