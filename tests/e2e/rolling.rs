//! Rolls: several of one group that go down do so one after the other, and the first failure stops them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bed::{Case, lifecycle_events};

const SITE: &str = r#"
projects: {"@NAME@": {}}
profiles: {base: {config: {}, devices: {root: {type: disk, path: /, pool: default}}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances:
  api:
    count: 3
    image: bb
    profiles: [base]
    stop_timeout: 0s
    config: {environment.VERSION: one}
    ready: [{exec: [sh, -c, 'test -e /up && test "$VERSION" != broken'], timeout: 3s}]
"#;

/// Half a second from its start to its being up.
fn slow_to_come_up(case: &Case) {
    case.repack("printf '#!/bin/sh\\nrm -f /up\\n(sleep 0.5; touch /up) &\\n' >x/rootfs/etc/rc");
}

/// What happened to instances, in LXD's order: (what, the instance's name, seconds of the day).
fn told(events: &[Value]) -> Vec<(String, String, f64)> {
    let text = |event: &Value, key: &str| event["metadata"][key].as_str().unwrap_or_default().to_owned();
    let mut told: Vec<(String, String, f64)> = events
        .iter()
        .filter(|event| text(event, "action").starts_with("instance-"))
        .map(|event| {
            let source = text(event, "source");
            let name = source.split('?').next().unwrap().rsplit("instances/").next().unwrap().to_owned();
            let time: Vec<f64> = event["timestamp"].as_str().unwrap()[11..]
                .splitn(3, ':')
                .map(|part| part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or_default())
                .collect();
            (text(event, "action"), name, time[0] * 3600.0 + time[1] * 60.0 + time[2])
        })
        .collect();
    told.sort_by(|a, b| a.2.total_cmp(&b.2));
    told
}

/// The most instances that were down at once, and the order in which they went down.
fn downs(events: &[(String, String, f64)]) -> (usize, Vec<String>) {
    let (mut down, mut most, mut order) = (BTreeSet::new(), 0, vec![]);
    for (action, name, _) in events {
        match action.as_str() {
            "instance-stopped" | "instance-shutdown" | "instance-deleted" if down.insert(name.clone()) => {
                order.push(name.clone());
            }
            "instance-started" => {
                down.remove(name);
            }
            _ => {}
        }
        most = most.max(down.len());
    }
    (most, order)
}

/// Each was ready, which takes half a second from its start, before the next went down.
#[track_caller]
fn assert_ready_before_the_next(events: &[(String, String, f64)], pairs: &[[&str; 2]]) {
    let at = |wanted: &str, of: &str| {
        let found = events.iter().find(|(action, name, _)| action == wanted && name == of);
        found.unwrap_or_else(|| panic!("no {wanted} of {of}: {events:?}")).2
    };
    for pair in pairs {
        let waited = at("instance-stopped", pair[1]) - at("instance-started", pair[0]);
        assert!(waited > 0.45, "{} went down {waited} s after {} came up", pair[1], pair[0]);
    }
}

#[test]
fn restarts_of_a_group_go_one_after_the_other() {
    let case = Case::new("rollconf");
    slow_to_come_up(&case);
    case.site(SITE);
    // What is made for the first time has nobody to wait for: all are begun before one is ready.
    let made = case.apply(&["--format", "json"]);
    let steps: Vec<Value> = made.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let first_ready = steps.iter().position(|step| step["type"] == "step_ended" && step["verb"] == "ready").unwrap();
    let begun = steps[..first_ready].iter().filter(|step| {
        step["type"] == "step_started"
            && step["verb"] == "create"
            && step["address"].as_str().is_some_and(|address| address.starts_with("instances.api-"))
    });
    assert_eq!(begun.count(), 3, "{steps:?}");

    case.site(&SITE.replace("config: {environment", "config: {security.nesting: true, environment"));
    let plan = case.plan(&[]);
    assert_eq!(plan.0["rolling"], serde_json::json!([["instances.api-1", "instances.api-2", "instances.api-3"]]));
    case.run(&["plan", "site.yaml"]).says("one after the other, each ready before the next");
    let events = told(&lifecycle_events(&case, || drop(case.apply(&["--parallel", "8"]))));
    assert_eq!(downs(&events), (1, vec!["api-1".into(), "api-2".into(), "api-3".into()]));
    assert_ready_before_the_next(&events, &[["api-1", "api-2"], ["api-2", "api-3"]]);

    // A profile's edit that needs restarts rolls, too.
    case.site(
        &SITE
            .replace("config: {environment", "config: {security.nesting: true, environment")
            .replace("base: {config: {}", "base: {config: {security.syscalls.intercept.mknod: true}"),
    );
    let events = told(&lifecycle_events(&case, || drop(case.apply(&[]))));
    assert_eq!(downs(&events), (1, vec!["api-1".into(), "api-2".into(), "api-3".into()]));

    // One that is down already (an earlier run ended half-way) comes up before another goes down.
    case.lxc(&["stop", "-f", "api-2"]);
    case.site(SITE);
    let events = told(&lifecycle_events(&case, || drop(case.apply(&[]))));
    assert_eq!(downs(&events).1, ["api-1", "api-3"]);
    assert_ready_before_the_next(&events, &[["api-2", "api-1"], ["api-1", "api-3"]]);

    // Power that the file wants otherwise is no roll.
    case.site(&SITE.replace("    stop_timeout", "    state: stopped\n    stop_timeout"));
    assert_eq!(case.plan(&[]).0["rolling"], serde_json::json!([]));
    case.destroy(&[]);
}

#[test]
fn replacements_of_a_group_go_one_after_the_other() {
    let case = Case::new("rollimg");
    slow_to_come_up(&case);
    case.site(&SITE.replace("image: bb", "image: bb\n    follow_image: true"));
    case.apply(&[]);
    case.repack("touch x/rootfs/root/second");
    let plan = case.plan(&[]);
    let replaced = ["images.bb", "instances.api-1", "instances.api-2", "instances.api-3"];
    assert_eq!(plan.actions(), replaced.map(|address| format!("{address}: replace")));
    let events = told(&lifecycle_events(&case, || drop(case.apply(&[]))));
    assert_eq!(downs(&events), (1, vec!["api-1".into(), "api-2".into(), "api-3".into()]));
    assert_ready_before_the_next(&events, &[["api-1", "api-2"], ["api-2", "api-3"]]);
    for name in ["api-1", "api-2", "api-3"] {
        case.lxc(&["exec", name, "--", "test", "-e", "/root/second"]);
    }
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // All of a group by its one address.
    let plan = case.plan(&["--replace", "instances.api"]);
    assert_eq!(plan.actions(), replaced[1..].iter().map(|a| format!("{a}: replace")).collect::<Vec<_>>());
    case.destroy(&[]);
}

#[test]
fn the_first_failure_stops_the_roll_and_the_others_run_on() {
    let case = Case::new("rollstop");
    slow_to_come_up(&case);
    case.site(SITE);
    case.apply(&[]);
    let seen = |name: &str| {
        let instance = case.get(&format!("instances/{name}"));
        let pid = case.get(&format!("instances/{name}/state"))["pid"].clone();
        (instance["config"]["environment.VERSION"].clone(), pid)
    };
    let before = [seen("api-2"), seen("api-3")];
    let broken = SITE.replace("VERSION: one", "VERSION: broken, security.nesting: true");
    case.site(&broken);
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    failed
        .says("instances.api-1: waiting until ready")
        .says("Not tried")
        .says("waits for instances.api-1, which failed");
    assert_eq!(case.get("instances/api-1")["config"]["environment.VERSION"], "broken");
    assert_eq!([seen("api-2"), seen("api-3")], before, "they run on, as they were");
    // The file that is right again rolls on over all three.
    case.site(&broken.replace("broken, security", "two, security"));
    case.apply(&[]);
    for name in ["api-1", "api-2", "api-3"] {
        assert_eq!(case.get(&format!("instances/{name}"))["config"]["environment.VERSION"], "two");
    }
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn what_roles_change_in_a_group_is_changed_one_after_the_other() {
    let case = Case::new("rollroles");
    let role = "- copy: {content: \"{{ version }}\\n\", dest: /srv-version}\n  notify: restart\n";
    let handler = "- name: restart\n  shell: |\n    date +%s >> /log\n    sleep 1.1\n    date +%s >> /log\n    test \"$(cat /srv-version)\" != bad\n";
    for (path, text) in [("roles/app/tasks/main.yml", role), ("roles/app/handlers/main.yml", handler)] {
        std::fs::create_dir_all(case.path(path).parent().unwrap()).unwrap();
        std::fs::write(case.path(path), text).unwrap();
    }
    let site = |version: &str| {
        case.site(&format!(
            "projects: {{\"@NAME@\": {{}}}}\nimages: {{bb: {{source: {{file: busybox.tar.xz}}}}}}\n\
             profiles: {{base: {{devices: {{root: {{type: disk, path: /, pool: default}}}}}}}}\n\
             instances:\n  api:\n    count: 3\n    image: bb\n    profiles: [base]\n    stop_timeout: 0s\n    \
             roles: [{{role: app, vars: {{version: {version}}}}}]\n    ready: [{{exec: [test, -e, /srv-version]}}]\n"
        ));
    };
    // When an instance was worked on: the last two lines of its log, in seconds.
    let worked = |name: &str| {
        let log = case.lxc(&["exec", name, "--", "cat", "/log"]).stdout;
        let times: Vec<u64> = log.lines().map(|line| line.parse().unwrap()).collect();
        (times.len(), times[times.len() - 2], times[times.len() - 1])
    };
    site("one");
    case.apply(&[]);
    site("two");
    case.apply(&["--parallel", "8"]);
    let mut times = ["api-1", "api-2", "api-3"].map(worked);
    times.sort_by_key(|(_, from, _)| *from);
    assert!(times.windows(2).all(|pair| pair[0].2 <= pair[1].1), "two at once: {times:?}");
    assert!(times.iter().all(|(lines, ..)| *lines == 4), "each once: {times:?}");

    // Where nothing changes nobody waits, and what was found is told.
    let again = case.apply(&[]);
    assert!(
        ["api-1", "api-2", "api-3"].iter().all(|name| again.stderr.contains(&format!("{name} "))),
        "{}",
        again.stderr
    );
    assert_eq!(worked("api-1").0, 4);

    // The first failure stops the rest: of three one has failed, and two are as they were.
    site("bad");
    let failed = case.run(&["apply", "--yes", "site.yaml"]).exits(1);
    assert_eq!(
        failed.stderr.matches("(provisioning): not tried, since it failed in instances.api-").count(),
        2,
        "{}",
        failed.stderr
    );
    let after = ["api-1", "api-2", "api-3"].map(|name| worked(name).0);
    assert_eq!(after.iter().sum::<usize>(), 4 * 3 + 2, "{after:?}");
    case.destroy(&[]);
}
