//! Tables of answers: what the modules make of them.

use super::*;
use crate::guest::{Package, PackageManager, Probe, Write};
use crate::tasks::testing::{Guest, commands_of};
use crate::template::Value;

fn debian() -> Guest {
    let installed = |version: &str| Package { installed: Some(version.into()), ..Package::default() };
    let packages = [
        ("curl", installed("7.88-1")),
        ("nginx", Package { candidate: Some("1.22-9".into()), ..Package::default() }),
        ("vim", Package { is_configured: true, candidate: Some("9".into()), ..Package::default() }),
        ("apt-transport-https", Package { candidate: Some("2.6.1".into()), is_provided: true, ..Package::default() }),
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
        facts: vec![("pkg_mgr", "apt")],
        ..Guest::default()
    }
}

#[test]
fn present_is_satisfied_by_any_version_and_latest_is_not() {
    let guest = debian();
    let verdict = |state: &str| guest.inspect("apt", &[("name", "curl".into()), ("state", state.into())]).unwrap();
    assert!(verdict("present").writes.is_empty());
    let latest = verdict("latest");
    assert_eq!(latest.changes[0].after.as_deref(), Some("7.88-2"));
    assert!(commands_of(&latest)[0].ends_with("install curl"));
}

#[test]
fn what_is_missing_is_one_transaction() {
    let names = Value::from(vec!["curl", "nginx", "vim", "mail-transport-agent"]);
    let verdict = debian().inspect("apt", &[("name", names)]).unwrap();
    assert_eq!(commands_of(&verdict).len(), 1);
    assert!(
        commands_of(&verdict)[0].contains("--force-confold") && commands_of(&verdict)[0].ends_with("install nginx vim")
    );
}

#[test]
fn what_is_provided_is_there_unless_it_is_a_package_of_its_own() {
    let acts = |name: &str| debian().acts("apt", &[("name", name.into())]);
    assert!(acts("mail-transport-agent").is_empty());
    assert!(acts("apt-transport-https")[0].ends_with("install apt-transport-https"));
}

#[test]
fn versions_that_are_asked_for() {
    let install = |name: &str| debian().inspect("apt", &[("name", name.into())]);
    assert!(commands_of(&install("nginx=1.20*").unwrap())[0].ends_with("install nginx=1.20*"));
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
        commands_of(&guest.inspect("apt", &args).unwrap())
    };
    assert!(remove(&[])[0].ends_with("remove curl"));
    assert!(remove(&[("purge", true.into())])[0].ends_with("--purge remove vim curl"));
}

#[test]
fn lists_are_fetched_when_they_are_old_enough() {
    let guest = debian();
    let first = |valid: i64| {
        let args = [("name", "nginx".into()), ("cache_valid_time", valid.into()), ("update_cache", "yes".into())];
        guest.inspect("apt", &args).unwrap()
    };
    assert!(first(500).again && commands_of(&first(500))[0].ends_with(" update"));
    assert!(!first(2000).again);
    let alone = guest.inspect_again("apt", &[("update_cache", true.into())], 1).unwrap();
    assert!(alone.is_changed() && alone.writes.is_empty());
}

#[test]
fn package_is_what_the_guest_has() {
    let verdict = debian().inspect("package", &[("name", "nginx".into()), ("state", "present".into())]).unwrap();
    assert!(commands_of(&verdict)[0].starts_with("apt-get"));
}

#[test]
fn a_repository_is_written_once_and_undone_when_the_update_fails() {
    let args = [("repo", Value::from("deb http://x.example/debian bookworm main"))];
    let verdict = debian().inspect("apt_repository", &args).unwrap();
    assert!(
        matches!(&verdict.writes[0], Write::File { path, .. } if path == "/etc/apt/sources.list.d/x_example_debian.list")
    );
    assert!(commands_of(&verdict)[1].contains("apt-get update && exit 0"));
}

#[test]
fn pip_compares_before_it_runs() {
    let mut guest = debian();
    guest.tools = vec!["pip3"];
    guest.commands = vec![("pip3 list", 0, "Django==4.2.1\ngunicorn==20.1\n")];
    let pip = |name: &str| guest.inspect("pip", &[("name", name.into())]).unwrap();
    assert!(pip("django>=4,<5").writes.is_empty());
    assert!(commands_of(&pip("gunicorn>=21"))[0].ends_with("pip3 install gunicorn>=21"));
}

#[test]
fn no_probe_is_of_another_manager() {
    let probe = |candidate| Probe::Package { manager: PackageManager::Dpkg, name: "a".into(), candidate };
    assert_eq!(debian::Spec::parse("a").probe(true), probe(true));
    assert_eq!(debian::Spec::parse("a").probe(false), probe(false));
}
