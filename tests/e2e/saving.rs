//! Plans in files, what guards against deletions that were not meant, and secrets that occur nowhere.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::bed::{Case, lxc};

const SITE: &str = r#"
projects: {"@NAME@": {}}
profiles:
  base: {config: {limits.memory: 256MiB, user.a: "{{ a }}"}}
  more: {}
vars: {a: one}
"#;

fn saved(case: &Case, arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["plan", "site.yaml", "--out", "plan.json"].iter().chain(arguments).copied().collect();
    case.run(&all).exits(0).says("lxdeploy apply plan.json");
    serde_json::from_str(&std::fs::read_to_string(case.path("plan.json")).unwrap()).unwrap()
}

#[test]
fn a_saved_plan_is_run_as_it_was_saved() {
    let case = Case::new("saved");
    case.site(SITE);
    let document = saved(&case, &["--var", "a=two"]);
    assert_eq!(document["summary"]["create"], 3);
    let mode = std::fs::metadata(case.path("plan.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nobody is asked, and nothing has to be said again.
    case.run(&["apply", "plan.json"]).exits(0).says("Done:");
    assert_eq!(case.get("profiles/base")["config"]["user.a"], "two");
    case.run(&["apply", "plan.json"]).exits(0).says("No changes");
    saved(&case, &["--destroy"]);
    case.run(&["apply", "plan.json"]).exits(0).says("Done:");
    assert!(case.try_get("profiles/base").is_none());
}

#[test]
fn a_saved_plan_that_is_no_longer_right_says_what_differs_and_writes_nothing() {
    let case = Case::new("stale");
    case.site(SITE);
    case.apply(&[]);
    case.site(&SITE.replace("a: one", "a: two"));
    saved(&case, &[]);
    let refused = |text: &str| case.run(&["apply", "plan.json"]).exits(1).says(text).says("nothing was written");
    // Another file.
    case.site(&SITE.replace("a: one", "a: three"));
    refused("site.yaml has changed");
    case.site(&SITE.replace("a: one", "a: two"));
    // Another server state.
    case.lxc(&["profile", "set", "base", "user.a=theirs"]);
    refused("profiles.base: config.user.a: the server had \"one\", and now \"theirs\"");
    case.lxc(&["profile", "set", "base", "user.a=one"]);
    case.lxc(&["profile", "delete", "more"]);
    refused("profiles.more: had no change, and is to be created now");
    assert_eq!(case.get("profiles/base")["config"]["user.a"], "one");
    // Other flags.
    case.run(&["apply", "plan.json", "--target", "profiles.base"]).exits(1).says("a saved plan has its own --target");
    case.run(&["apply", "plan.json", "--var", "a=four"]).exits(1).says("a saved plan has its own variables");
    // A plan that was printed is none that can be run.
    let printed = case.run(&["plan", "site.yaml", "--format", "json"]).exits(0).stdout;
    std::fs::write(case.path("printed.json"), printed).unwrap();
    case.run(&["apply", "printed.json"]).exits(1).says("printed and not saved");
    case.destroy(&[]);
}

#[test]
fn a_refused_plan_is_not_saved() {
    let case = Case::new("unsaved");
    case.site("profiles: {none: {devices: {eth0: {type: nic, network: no-such-net}}}}");
    case.run(&["plan", "site.yaml", "--out", "plan.json"]).exits(1).says("plan.json was not written");
    assert!(!case.path("plan.json").exists());
}

#[test]
fn more_deletions_than_allowed_are_refused() {
    let case = Case::new("maxdel");
    case.site(SITE);
    case.apply(&["--max-deletes", "0"]);
    case.site(&SITE.replace("  more: {}\n", ""));
    assert_eq!(case.refusals(&["--max-deletes", "0"]), ["max-deletes"]);
    case.run(&["apply", "site.yaml", "--yes", "--max-deletes", "0"]).exits(1).says("--max-deletes allows 0");
    case.apply(&["--max-deletes", "1"]);
    case.run(&["destroy", "site.yaml", "--yes", "--max-deletes", "1"]).exits(1).says("deletes or replaces 2 objects");
    case.destroy(&[]);
}

/// The case's directory becomes a clone of this remote.
fn git(case: &Case, remote: &str) {
    let script = format!("git init -q . && git remote remove origin 2>/dev/null; git remote add origin {remote}");
    let directory = case.path("site.yaml");
    let status = Command::new("sh").args(["-c", &script]).current_dir(directory.parent().unwrap()).status().unwrap();
    assert!(status.success());
}

#[test]
fn another_checkout_does_not_prune_this_one() {
    let case = Case::new("origin");
    case.site(SITE);
    git(&case, "git@git.example:ops/acme.git");
    case.apply(&[]);
    let origin = case.get("profiles/base")["config"]["user.lxdeploy.origin"].clone();
    assert_eq!(origin.as_str().map(str::len), Some(8));
    // The same repository by another way is the same.
    git(&case, "https://user@git.example/ops/acme");
    case.site(&SITE.replace("  more: {}\n", ""));
    assert_eq!(case.plan(&[]).actions(), ["profiles.more: delete"]);
    // Another one that says `site:` of the same name.
    git(&case, "git@git.example:dev/acme.git");
    assert_eq!(case.refusals(&[]), ["other-origin"]);
    case.run(&["destroy", "site.yaml", "--yes"]).exits(1).says("--origin-changed");
    // What deletes nothing is no danger, and a different origin alone is nothing to write.
    case.site(SITE);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // It has really moved: everything is taken over.
    case.site(&SITE.replace("  more: {}\n", ""));
    case.apply(&["--origin-changed"]);
    assert_ne!(case.get("profiles/base")["config"]["user.lxdeploy.origin"], origin);
    assert!(case.try_get("profiles/more").is_none());
    case.destroy(&[]);
}

#[test]
fn a_site_whose_file_is_lost_is_destroyed_by_its_name() {
    let case = Case::new("lost");
    case.site(
        r#"
projects: {"@NAME@": {}}
networks: {"@BRIDGE@": {config: {ipv4.address: @NET@.1/24, ipv6.address: none}}}
storage_volumes: {data: {pool: default}}
profiles: {default: {description: ours}, base: {devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: "@BRIDGE@"}}}}
images: {base: {source: {file: busybox.tar.xz}, aliases: [t-lost]}}
instances: {one: {image: base, profiles: [base]}, two: {profiles: [base], state: stopped}}
"#,
    );
    case.apply(&[]);
    std::fs::remove_file(case.path("site.yaml")).unwrap();
    let name = case.name.clone();
    let destroy = |arguments: &[&str]| {
        let all: Vec<&str> = ["destroy", "--site", &name, "--yes"].iter().chain(arguments).copied().collect();
        case.run(&all)
    };
    // Data is not deleted unnamed, and so the project stays.
    destroy(&["--force-stop"]).exits(0).says("--delete-data");
    assert!(case.try_get("instances/one").is_none() && case.try_get("profiles/base").is_none());
    assert!(case.try_get("storage-pools/default/volumes/custom/data").is_some());
    destroy(&["--delete-data"]).exits(0).says("Done:");
    assert!(lxc(&["query", &format!("/1.0/projects/{name}")]).code != 0);
    assert!(lxc(&["query", &format!("/1.0/networks/{}", case.bridge)]).code != 0);
    destroy(&[]).exits(0).says("Nothing to destroy");
    case.run(&["destroy", "--yes"]).exits(1).says("--site");
}

#[test]
fn a_secret_occurs_nowhere() {
    let case = Case::new("secrets");
    const SECRET: &str = "hunter2-correct-horse";
    const INPUT: &str = "swordfish-battery";
    case.write("platform.yaml", "platform: p\ninputs: {token: {type: string, secret: true}}\n");
    case.site(
        r#"
extends: platform.yaml
secrets: {db: {env: LXDEPLOY_TEST_DB}, shown: {command: [sh, -c, "echo $LXDEPLOY_TEST_DB"]}}
projects: {"@NAME@": {}}
profiles:
  base:
    description: "of {{ secret('db') }}"
    config: {user.db: "{{ secret('db') }}", user.url: "postgres://x:{{ secret('shown') }}@db/", user.token: "{{ token }}"}
    devices: {root: {type: disk, path: /, pool: default}}
instances: {one: {profiles: [base], state: stopped, config: {environment.DB: "{{ secret('db') }}", limits.cpu: "{{ secret('db') }}"}}}
"#,
    );
    let told = |arguments: &[&str]| {
        let mut command = case.command(arguments);
        let command = command.env("LXDEPLOY_TEST_DB", SECRET).env("LXDEPLOY_VAR", format!("token={INPUT}"));
        let output = command.output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let mut all = String::new();
    for arguments in [
        &["validate", "site.yaml"][..],
        &["plan", "site.yaml", "-vvv"],
        &["plan", "site.yaml", "--format", "json", "-vvv", "--log-format", "json"],
        &["plan", "site.yaml", "--out", "plan.json"],
        // LXD refuses the CPU limit, and quotes it.
        &["apply", "site.yaml", "--yes", "-vvv", "--format", "json"],
        &["apply", "site.yaml", "--yes", "-vvv"],
        &["apply", "plan.json", "-vvv"],
        &["status", "site.yaml", "-vvv"],
        &["plan", "site.yaml", "--var", "nonsense"],
    ] {
        all += &told(arguments);
    }
    assert!(all.contains("(sensitive)") && all.contains("limits.cpu"), "{all}");
    let plan = std::fs::read_to_string(case.path("plan.json")).unwrap();
    // What is secret in a saved plan has to be given again.
    let vars = &serde_json::from_str::<Value>(&plan).unwrap()["saved"]["request"]["vars"];
    assert_eq!(*vars, serde_json::json!([["token", null]]));
    let site = std::fs::read_to_string(case.path("site.yaml")).unwrap();
    std::fs::write(case.path("site.yaml"), site.replace(", limits.cpu: \"{{ secret('db') }}\"", "")).unwrap();
    all += &told(&["plan", "site.yaml", "--out", "plan.json"]);
    all += &told(&["apply", "plan.json", "-vvv"]);
    assert_eq!(case.get("instances/one")["config"]["environment.DB"], SECRET);
    // Another secret is another plan.
    let mut other = case.command(&["apply", "plan.json"]);
    let other = other.env("LXDEPLOY_TEST_DB", "another one").env("LXDEPLOY_VAR", format!("token={INPUT}"));
    let refused = other.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("the secret db has changed"), "{said}");
    all += &said;
    all += &std::fs::read_to_string(case.path("plan.json")).unwrap();
    all += &plan;
    for secret in [SECRET, INPUT] {
        let lines: Vec<&str> = all.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
    told(&["destroy", "site.yaml", "--yes"]);
    assert!(case.try_get("instances/one").is_none());
}

/// What every user of the machine can see of lxdeploy and of all that it starts.
#[test]
fn a_secret_is_in_no_process_list() {
    let case = Case::new("proclist");
    case.write("secret", "swordfish-in-no-list");
    case.site(
        r#"
secrets: {db: {command: [sh, -c, "sleep 0.3; cat secret"]}}
projects: {"@NAME@": {}}
images: {base: {source: {file: busybox.tar.xz}}}
instances:
  one:
    {image: base, profiles: [], config: {environment.DB: "{{ secret('db') }}"}, devices: {root: {type: disk, path: /, pool: default}}, ready: [{exec: [sh, -c, "test -n \"$DB\""]}]}
"#,
    );
    let mut child = case.command(&["apply", "site.yaml", "--yes"]).spawn().unwrap();
    let mut seen = 0;
    while child.try_wait().unwrap().is_none() {
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(line) = std::fs::read(process.path().join("cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line).into_owned();
            seen += usize::from(line.contains("site.yaml"));
            // LXD 5.0 and Incus themselves hand an instance's `environment.*` to their forkexec as arguments.
            if line.split('\0').nth(1) == Some("forkexec") {
                continue;
            }
            assert!(!line.contains("swordfish-in-no-list"), "{line}");
        }
    }
    assert!(seen > 0);
    crate::bed::finish(child).exits(0);
    case.destroy(&["--force-stop"]);
}
