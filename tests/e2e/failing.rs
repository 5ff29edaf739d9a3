//! What fails, what goes on without it, and how it is told.

use std::time::Duration;

use crate::bed::{Case, finish, lxc};

const BASE: &str = r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
images: {bb: {source: {file: busybox.tar.xz}}}
"#;

#[test]
fn a_failing_step_stops_what_needs_it_and_nothing_else() {
    let case = Case::new("fails");
    // LXD refuses the path only when the instance starts.
    case.site(&format!(
        r#"{BASE}
instances:
  bad: {{image: bb, profiles: [base], stop_timeout: 0s, devices: {{x: {{type: disk, source: /no/such/path, path: /x}}}}}}
  needs-bad: {{image: bb, profiles: [base], stop_timeout: 0s, depends_on: [instances.bad]}}
  independent: {{image: bb, profiles: [base], stop_timeout: 0s}}
  after-it: {{image: bb, profiles: [base], stop_timeout: 0s, depends_on: [instances.independent]}}
"#
    ));
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    let failed =
        failed.says("instances.bad").says("/no/such/path").says("not tried").says("instances.after-it started");
    let failed = failed.says_not("instances.needs-bad started").says("goes on from there");
    drop(failed);
    assert_eq!(case.get("instances/after-it")["status"], "Running");
    // It is unpacked while what it needs is made, and waits to be started.
    assert_eq!(case.get("instances/needs-bad")["status"], "Stopped");
    let text = std::fs::read_to_string(case.path("site.yaml")).unwrap();
    case.write("site.yaml", &text.replace("/no/such/path", "/etc"));
    case.apply(&[]);
    assert_eq!(case.get("instances/needs-bad")["status"], "Running");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn a_wait_that_runs_out_is_a_failure_with_the_log() {
    let case = Case::new("unready");
    case.site(&format!(
        r#"{BASE}
instances:
  slow: {{image: bb, profiles: [base], stop_timeout: 0s, ready: [{{tcp: 4711, timeout: 2s}}]}}
  waits: {{image: bb, profiles: [base], stop_timeout: 0s, depends_on: [instances.slow]}}
"#
    ));
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    failed.says("tcp 4711").says("not within 2s").says("not tried");
    assert_eq!(case.get("instances/waits")["status"], "Stopped");
    // The next apply leaves the instance alone and goes on.
    case.apply(&[]).says_not("instances.slow");
    assert_eq!(case.get("instances/waits")["status"], "Running");
    case.destroy(&[]);
}

#[test]
fn ready_checks_look_inside_the_guest() {
    let case = Case::new("ready");
    // A guest with bash to ask with: the wget of a static busybox crashes in glibc's resolver.
    case.repack("cp /bin/bash x/rootfs/bin/; for l in $(ldd /bin/bash | grep -o '/[^ ]*'); do mkdir -p x/rootfs$(dirname $l); cp $l x/rootfs$l; done");
    case.site(&format!(
        r#"{BASE}
networks: {{"@BRIDGE@": {{project: default, config: {{ipv4.address: @NET@.1/24, ipv6.address: none}}}}}}
instances:
  web:
    image: bb
    profiles: [base]
    stop_timeout: 0s
    devices: {{eth0: {{type: nic, network: "@BRIDGE@"}}}}
    ready:
      - ipv4
      - {{exec: [sh, -c, "mkdir -p /www && echo hi > /www/index.html && httpd -p 8080 -h /www"], timeout: 20s}}
      - {{tcp: 8080, timeout: 20s}}
      - {{http: {{url: "http://127.0.0.1:8080/"}}, timeout: 20s}}
"#
    ));
    case.apply(&[]).says("instances.web ready");
    let json = case.run(&["status", "site.yaml", "--format", "json"]).exits(0).json();
    assert!(json.to_string().contains(&case.net), "{json}");
    case.destroy(&[]);
}

#[test]
fn a_refusal_anywhere_writes_nothing_at_all() {
    let case = Case::new("refused");
    case.site(&format!("{BASE}\ninstances: {{one: {{image: bb, profiles: [base, nosuch]}}}}\n"));
    case.run(&["apply", "site.yaml", "--yes"]).exits(1).says("nosuch").says("site.yaml:").says("nothing was written");
    assert!(case.try_get("projects/t-refused").is_none());
}

#[test]
fn an_operation_that_takes_longer_than_its_timeout_fails_and_the_next_apply_goes_on() {
    let case = Case::new("timeout");
    // Enough to be unpacked for longer than the time that is given.
    case.repack("dd if=/dev/urandom of=x/rootfs/root/blob bs=1M count=24 status=none");
    case.site(&format!("{BASE}\ninstances: {{one: {{image: bb, profiles: [base], state: stopped}}}}\n"));
    case.apply(&["--exclude", "instances.one"]);
    let failed = case.run(&["apply", "site.yaml", "--yes", "--timeout", "1ms"]).exits(1);
    failed.says("is not done in time").says("--timeout");
    case.apply(&[]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn progress_is_lxds_own() {
    let case = Case::new("progress");
    // Enough to be told of more than once.
    case.repack("dd if=/dev/urandom of=x/rootfs/root/blob bs=1M count=24 status=none");
    case.site(&format!("{BASE}\ninstances: {{one: {{image: bb, profiles: [base], state: stopped}}}}\n"));
    let output = case.apply(&["--format", "json"]);
    let progress: Vec<serde_json::Value> = output
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|event: &serde_json::Value| event["type"] == "step_progress")
        .collect();
    let tells = |address: &str, text: &str| {
        progress.iter().any(|event| event["address"] == address && event["text"].as_str().unwrap().contains(text))
    };
    assert!(tells("images.bb", "Upload: 100%"), "{progress:?}");
    assert!(tells("instances.one", "Unpack"), "{progress:?}");
    case.destroy(&[]);
}

#[test]
fn lxds_own_words_are_told() {
    let case = Case::new("words");
    case.site(&format!(
        "{BASE}\nnetworks: {{\"@BRIDGE@\": {{project: default, config: {{ipv4.address: not-an-address}}}}}}\n"
    ));
    case.run(&["apply", "site.yaml", "--yes"]).exits(1).says("networks.t-words").says("ipv4.address");
    case.destroy(&[]);
}

#[test]
fn the_first_interrupt_ends_running_steps_and_starts_none() {
    let case = Case::new("interrupt");
    let many: String =
        (1..=8).map(|n| format!("  i{n}: {{image: bb, profiles: [base], stop_timeout: 0s}}\n")).collect();
    case.site(&format!("{BASE}\ninstances:\n{many}"));
    let child = case.command(&["apply", "site.yaml", "--yes", "--parallel", "1"]).spawn().unwrap();
    while case.try_get("instances/i1").is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = finish(child).exits(130);
    output.says("not tried");
    assert!(case.try_get("instances/i8").is_none());
    case.apply(&[]);
    assert_eq!(case.get("instances/i8")["status"], "Running");
    case.destroy(&[]);
}

#[test]
fn the_second_interrupt_leaves_at_once() {
    let case = Case::new("leave");
    case.site(&format!(
        "{BASE}\ninstances: {{one: {{image: bb, profiles: [base], stop_timeout: 0s, ready: [{{tcp: 4711}}]}}}}\n"
    ));
    let child = case.command(&["apply", "site.yaml", "--yes"]).spawn().unwrap();
    let is_running = || case.try_get("instances/one").is_some_and(|one| one["status"] == "Running");
    while !is_running() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupt = || {
        std::thread::sleep(Duration::from_millis(300));
        assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    };
    interrupt();
    interrupt();
    let started = std::time::Instant::now();
    finish(child).exits(130).says("Ctrl-C again leaves at once");
    assert!(started.elapsed() < Duration::from_secs(20), "it waited for the check: {:?}", started.elapsed());
    case.destroy(&[]);
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let case = Case::new("noserver");
    case.site("projects: {}\n");
    let output = case.run(&["plan", "site.yaml", "--remote", "unix:/nonexistent/unix.socket"]).exits(1);
    output.says("/nonexistent/unix.socket");
    case.run(&["plan", "site.yaml", "--remote", "nosuch"]).exits(1).says("remote add");
    let fingerprint = "0".repeat(64);
    case.write("site.yaml", &format!("site: @NAME@\nserver_fingerprint: {fingerprint}\n"));
    lxc(&["info"]).exits(0);
    case.run(&["plan", "site.yaml"]).exits(1).says("another server");
}
