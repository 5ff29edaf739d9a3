//! One apply at a time: who holds the lock, who waits, and whose lock is dead.

use std::io::{BufRead, BufReader};
use std::process::Child;

use serde_json::{Value, json};

use crate::bed::{Case, Output, finish, lxc};

const SITE: &str = r#"
projects: {"@NAME@": {}}
profiles:
  a: {config: {user.round: "ROUND"}}
  b: {config: {user.round: "ROUND"}}
  c: {config: {user.round: "ROUND"}}
"#;

/// An instance that never gets ready: time to look at an apply that runs.
const WAITING: &str = r#"
instances: {one: {profiles: [], image: base, devices: {root: {type: disk, path: /, pool: default}}, ready: [{exec: [test, -e, /never]}]}}
images: {base: {source: {file: busybox.tar.xz}}}
"#;

/// The lock profiles in the case's project.
fn locks(case: &Case) -> Vec<String> {
    let profiles = lxc(&["query", &format!("/1.0/profiles?project={}", case.name)]);
    if profiles.code != 0 {
        return vec![];
    }
    let urls: Vec<String> = serde_json::from_value(profiles.json()).unwrap();
    urls.iter().filter_map(|url| url.split("/lxdeploy-lock-").nth(1)).map(str::to_owned).collect()
}

/// Makes a lock as another lxdeploy would leave it.
fn lock(case: &Case, run: &str, holder: &Value) {
    let name = format!("lxdeploy-lock-{}-{run}", case.name);
    let body = json!({"name": name, "config": {"user.lxdeploy.lock": holder.to_string()}, "devices": {}});
    lxc(&["query", "-X", "POST", "-d", &body.to_string(), &format!("/1.0/profiles?project={}", case.name)]).exits(0);
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A holder on another machine, seen so many seconds ago.
fn elsewhere(case: &Case, seen: u64) -> Value {
    json!({
        "site": case.name, "host": "office", "user": "mary", "pid": 4711, "started": "1", "boot_id": "of another machine",
        "pid_namespace": "pid:[1]", "since": now() - seen - 5, "renewed": now() - seen,
    })
}

fn both(case: &Case) -> [Output; 2] {
    let start = || -> Child { case.command(&["apply", "site.yaml", "--yes"]).spawn().unwrap() };
    let children = [start(), start()];
    children.map(finish)
}

#[test]
fn of_two_applies_at_once_one_wins_and_the_other_knows() {
    let case = Case::new("twice");
    for round in 0..20 {
        // Now and then from nothing: then it is the project's creation that decides.
        if round % 5 == 0 && round > 0 {
            case.destroy(&[]);
        }
        case.site(&SITE.replace("ROUND", &round.to_string()));
        let outputs = both(&case);
        let winners = outputs.iter().filter(|output| output.code == 0 && output.stderr.contains("Done:")).count();
        assert_eq!(winners, 1, "round {round}: {outputs:#?}");
        for other in outputs.iter().filter(|output| !output.stderr.contains("Done:")) {
            let knows = ["Nothing is left to do", "another apply of the site", "has changed since the plan was made"];
            let said = format!("{}{}", other.stdout, other.stderr);
            let came_later = other.stdout.contains("No changes");
            assert!(came_later || knows.iter().any(|text| said.contains(text)), "round {round}: {said}");
        }
        for profile in ["a", "b", "c"] {
            assert_eq!(case.get(&format!("profiles/{profile}"))["config"]["user.round"], round.to_string());
        }
        assert_eq!(locks(&case), Vec::<String>::new());
        assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    }
    case.destroy(&[]);
}

#[test]
fn a_living_lock_is_waited_for_and_its_holder_named() {
    let case = Case::new("held");
    case.site(&SITE.replace("ROUND", "1"));
    case.apply(&[]);
    lock(&case, "0123456789abcdef", &elsewhere(&case, 30));
    // A plan without changes takes no lock.
    case.apply(&[]).says("No changes");
    case.site(&SITE.replace("ROUND", "2"));
    let refused = case.run(&["apply", "site.yaml", "--yes", "--lock-timeout", "1s"]);
    refused.exits(1).says("waiting for the lock").says("mary@office (process 4711)").says("unlock");
    assert_eq!(case.get("profiles/a")["config"]["user.round"], "1");
    assert_eq!(locks(&case).len(), 1, "the waiting one has left none");
    // Whoever waits long enough gets it.
    let waiting = case.command(&["apply", "site.yaml", "--yes", "--lock-timeout", "1m"]).spawn().unwrap();
    case.run(&["unlock", "site.yaml", "--yes"]).exits(0).says("mary@office").says("no longer locked");
    finish(waiting).exits(0).says("Done:");
    assert_eq!(locks(&case), Vec::<String>::new());
    case.run(&["unlock", "site.yaml"]).exits(0).says("is not locked");
    case.destroy(&[]);
}

#[test]
fn what_is_done_meanwhile_is_left_out_and_the_rest_is_run() {
    let case = Case::new("less");
    case.site(&SITE.replace("ROUND", "1"));
    case.apply(&[]);
    lock(&case, "0123456789abcdef", &elsewhere(&case, 30));
    case.site(&SITE.replace("ROUND", "2").replace("  c: {config: {user.round: \"2\"}}\n", ""));
    let mut child = case.command(&["apply", "site.yaml", "--yes", "--lock-timeout", "1m"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("waiting for the lock")));
    case.lxc(&["profile", "delete", "c"]);
    case.run(&["unlock", "site.yaml", "--yes"]).exits(0);
    let said: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("the rest is run")), "{said:#?}");
    assert_eq!(case.get("profiles/b")["config"]["user.round"], "2");
    assert_eq!((case.plan(&[]).actions(), locks(&case)), (vec![], vec![]));
    case.destroy(&[]);
}

#[test]
fn a_dead_lock_is_nobodys() {
    let case = Case::new("dead");
    case.site(&SITE.replace("ROUND", "1"));
    case.apply(&[]);
    // Not renewed for longer than a lock lives.
    lock(&case, "0123456789abcdef", &elsewhere(&case, 100));
    case.site(&SITE.replace("ROUND", "2"));
    case.apply(&["--lock-timeout", "0s"]);
    assert_eq!(locks(&case), Vec::<String>::new());
    // Also where nothing else is to do.
    lock(&case, "0123456789abcdef", &elsewhere(&case, 100));
    case.apply(&[]).says("No changes");
    assert_eq!(locks(&case), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn an_apply_that_was_killed_leaves_no_living_lock() {
    let case = Case::new("killed");
    case.site(&(SITE.replace("ROUND", "1") + WAITING));
    let mut child = case.command(&["apply", "site.yaml", "--yes"]).spawn().unwrap();
    while case.try_get("instances/one").is_none_or(|one| one["status"] != "Running") {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::yield_now();
    }
    assert_eq!(locks(&case).len(), 1);
    // While it lives nobody else comes in.
    case.site(&SITE.replace("ROUND", "2"));
    case.run(&["apply", "site.yaml", "--yes", "--lock-timeout", "0s"]).exits(1).says("another apply of the site");
    child.kill().unwrap();
    child.wait().unwrap();
    case.apply(&["--lock-timeout", "0s"]);
    assert_eq!(locks(&case), Vec::<String>::new());
    case.destroy(&["--force-stop"]);
}

#[test]
fn a_lock_that_is_taken_away_stops_the_run() {
    let case = Case::new("robbed");
    case.site(&(SITE.replace("ROUND", "1") + WAITING));
    let mut child = case.command(&["apply", "site.yaml", "--yes"]).spawn().unwrap();
    while case.try_get("instances/one").is_none_or(|one| one["status"] != "Running") {
        std::thread::yield_now();
    }
    case.run(&["unlock", "site.yaml", "--yes"]).exits(0);
    // It looks every 20 s.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("the lock was taken away")), "it never noticed");
    child.kill().unwrap();
    child.wait().unwrap();
    case.destroy(&["--force-stop"]);
}

#[test]
fn the_lock_goes_before_its_project() {
    let case = Case::new("project");
    case.site(&SITE.replace("ROUND", "1"));
    case.apply(&[]).says("Done:");
    case.destroy(&[]).says("Done:");
    assert!(lxc(&["query", &format!("/1.0/projects/{}", case.name)]).code != 0);
}
