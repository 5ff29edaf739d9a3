//! A user who is not root, at the socket.

use std::os::unix::fs::{MetadataExt, chown};
use std::process::{Command, Stdio};

use crate::bed::{self, Case, Output, finish};

/// A user of no name.
const UID: u32 = 54321;

const SITE: &str = r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
images: {bb: {source: {file: busybox.tar.xz}, aliases: [bb]}}
instances: {one: {image: bb, profiles: [base], stop_timeout: 0s, ready: [{exec: [test, -e, /etc/passwd], timeout: 20s}]}}
"#;

/// A case that belongs to the user: its directory is the home, and has lxdeploy in it.
fn owned(name: &str) -> Case {
    let case = Case::new(name);
    case.site(SITE);
    // By another process: what this one has open for writing, a child forked by another test holds for a moment.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_lxdeploy")).arg(case.path("lxdeploy")).status();
    assert!(copied.unwrap().success());
    for file in [".", "site.yaml", "busybox.tar.xz", "lxdeploy"] {
        chown(case.path(file), Some(UID), Some(UID)).unwrap();
    }
    case
}

/// Runs lxdeploy as the user, who is in this group beside the own one.
fn run(case: &Case, group: Option<u32>, words: &[&str]) -> Output {
    let as_root = case.command(words);
    let user = UID.to_string();
    let groups = group.map_or("--clear-groups".to_owned(), |group| format!("--groups={group}"));
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, &groups, "--inh-caps=-all", "--bounding-set=-all", "--"]);
    command.arg(case.path("lxdeploy")).args(words).current_dir(case.path("."));
    for (name, value) in as_root.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env_remove("USER");
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// The group of the daemon's socket.
fn group() -> u32 {
    std::fs::metadata(bed::directory().join("unix.socket")).unwrap().gid()
}

#[test]
fn a_member_of_the_sockets_group_plans_applies_and_destroys() {
    let case = owned("member");
    let run = |words: &[&str]| run(&case, Some(group()), words);
    run(&["plan", "site.yaml", "--detailed-exitcode"]).exits(2).says("4 to create");
    run(&["apply", "site.yaml", "--yes"]).exits(0).says("instances.one ready");
    assert_eq!(case.get("instances/one")["status"], "Running");
    run(&["plan", "site.yaml", "--detailed-exitcode"]).exits(0).says("No changes.");
    run(&["status", "site.yaml"]).exits(0).says("in step");
    // What it keeps is kept in its own home.
    let cache = std::fs::metadata(case.path(".cache/lxdeploy/hashes.json")).unwrap();
    assert_eq!(cache.uid(), UID);
    run(&["destroy", "site.yaml", "--yes"]).exits(0);
    assert!(case.try_get(&format!("projects/{}", case.name)).is_none());
}

#[test]
fn whoever_is_not_in_the_group_is_told_which_and_how() {
    let case = owned("outsider");
    assert_ne!(group(), 0, "the bed's socket has a group of its own");
    for command in [["plan", "site.yaml"], ["status", "site.yaml"]] {
        let refused = run(&case, None, &command).exits(1).says("permission denied").says("usermod -aG lxd USER");
        refused.says("the group `lxd`").says("unix.socket");
    }
}
