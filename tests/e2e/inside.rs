//! What a plan says of the inside of instances: before they are there, when all is done, and after somebody's hand.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bed::{Case, Output};
use crate::previews::{ended, lies};

const SITE: &str = "
projects: {@NAME@: {config: {features.images: \"true\", features.profiles: \"true\"}}}
images: {image: {source: {file: busybox.tar.xz}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
instances:
  one: {image: image, profiles: [base], stop_timeout: 0s, roles: [app]}
playbooks: [last.yml]
";

const ROLE: &str = r#"
- {name: directory, file: {path: /srv/app, state: directory, mode: "0750"}}
- {name: conf, template: {src: conf.j2, dest: /srv/app/conf}, notify: told}
- {name: version, command: cat /srv/version, register: version, changed_when: false, failed_when: false}
- {name: its words, copy: {content: "{{ version.stdout }}!", dest: /srv/app/version}}
- {name: never, file: {path: /srv/never, state: touch}, when: version.stdout == 'x'}
- {name: once, command: touch /srv/once, args: {creates: /srv/once}}
"#;

/// The tasks of a plan's inside with this status, by name.
fn with_status<'p>(plan: &'p Value, status: &str) -> Vec<&'p str> {
    let tasks = plan["inside"]["tasks"].as_array().unwrap();
    tasks.iter().filter(|task| task["status"] == status).map(|task| task["task"].as_str().unwrap()).collect()
}

fn plan(case: &Case) -> Value {
    case.run(&["plan", "site.yaml", "--format", "json"]).exits(0).json()
}

#[test]
fn a_plan_shows_what_would_change_inside_and_a_saved_one_holds_to_it() {
    let case = Case::new("inside");
    case.site(SITE);
    for (path, text) in [
        ("roles/app/tasks/main.yml", ROLE),
        ("roles/app/templates/conf.j2", "port = 80\nhost = {{ ansible_hostname }}\n"),
        ("roles/app/handlers/main.yml", "- {name: told, copy: {content: told, dest: /srv/app/told}}\n"),
        ("last.yml", "- hosts: all\n  tasks:\n    - {name: last, copy: {content: \"last\\n\", dest: /srv/app/last}}\n"),
    ] {
        std::fs::create_dir_all(case.path(path).parent().unwrap()).unwrap();
        std::fs::write(case.path(path), text).unwrap();
    }
    // Nobody can look into what is not there; nothing is said of it that nobody knows.
    let new = plan(&case);
    assert!(with_status(&new, "changed").is_empty() && with_status(&new, "failed").is_empty(), "{new}");
    assert!(with_status(&new, "unknown").contains(&"app : conf"), "{new}");
    case.run(&["plan", "site.yaml"]).exits(0).says("(unknown until run: the instance is not created yet)");
    case.apply(&[]);
    // As it should be: only the command and what hangs on it are not known.
    let same = plan(&case);
    let unknown = ["app : version", "app : its words", "app : never"];
    assert_eq!((with_status(&same, "changed"), with_status(&same, "unknown")), (vec![], unknown.to_vec()));
    case.run(&["plan", "site.yaml", "--detailed-exitcode"]).exits(0).says("3 unknown until run");
    // Somebody's hand.
    let hand = |script: &str| {
        case.lxc(&["exec", "one", "--", "sh", "-c", script]);
    };
    hand("sed -i s/80/81/ /srv/app/conf; chmod 700 /srv/app; rm /srv/app/last");
    let moved = plan(&case);
    assert_eq!(with_status(&moved, "changed"), ["app : directory", "app : conf", "last"]);
    let text = case.run(&["plan", "site.yaml", "--detailed-exitcode"]).exits(2);
    text.says("-port = 81").says("+port = 80").says("mode: 0700 → 0750").says("3 to change");
    // A plan that is kept is held to.
    let saved = case.run(&["plan", "site.yaml", "--out", "plan.json"]).exits(0);
    saved.says("Saved");
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(case.path("plan.json")).unwrap()).unwrap();
    let listed = kept["saved"]["unknown"].as_array().unwrap();
    assert!(listed.iter().any(|line| line.as_str().unwrap().contains("app : version")), "{listed:?}");
    hand("echo other > /srv/app/last");
    let refused = case.run(&["apply", "plan.json", "--yes"]).exits(1);
    refused.says("the instances have changed inside").says("one: last: would change something else");
    hand("rm /srv/app/last; echo 2 > /srv/version");
    // What was unknown then may be another by now.
    case.run(&["apply", "plan.json", "--yes"]).exits(0);
    assert!(with_status(&plan(&case), "changed").is_empty());
}

const EARLY: &str = r##"
- hosts: all
  gather_facts: false
  tasks:
    - {name: program, copy: {content: "#!/bin/sh\necho v2\n", dest: /root/program, mode: "0755"}}
    - {name: version, command: /root/program, check_mode: false, changed_when: false, register: version}
    - {name: its words, copy: {content: "{{ version.stdout }}!", dest: /root/version}}
"##;

/// What Ansible runs in check mode fails on what would be there by then.
#[test]
fn what_runs_in_check_mode_waits_for_what_is_not_there_yet() {
    let case = Case::new("early");
    case.site(&SITE.replace("roles: [app]", "ready: []").replace("playbooks: [last.yml]", ""));
    std::fs::write(case.path("early.yml"), EARLY).unwrap();
    case.apply(&[]);
    let statuses = |more: &[&str]| {
        let words = ["run", "early.yml", "site.yaml", "--format", "json"];
        let output = case.run(&[words.as_slice(), more].concat()).exits(0);
        let ended = ended(&output).into_iter().map(|task| task.status);
        ended.collect::<Vec<String>>()
    };
    assert_eq!(statuses(&["--check"]), ["changed", "unknown", "unknown"]);
    assert_eq!(statuses(&[]), ["changed", "ok", "changed"]);
    assert_eq!(statuses(&["--check"]), ["ok", "ok", "ok"]);
    case.destroy(&[]);
}

const FORTY: &str = "
projects: {@NAME@: {config: {features.images: \"true\", features.profiles: \"true\"}}}
images: {image: {source: {file: @IMAGE@}}}
networks: {@BRIDGE@: {config: {ipv4.address: @NET@.1/24, ipv4.nat: \"true\", ipv6.address: none}}}
profiles:
  base: {devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: @BRIDGE@}}}
instances: {one: {image: image, profiles: [base], stop_timeout: 0s, ready: [ipv4]}}
playbooks: [lists.yml, forty.yml]
";

fn copied(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copied(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The tasks of forty.yml that are commands, and those that hang on what these say.
const COMMANDS: &[&str] = &["lists", "who", "it is known", "fact", "shell", "said", "it runs"];

#[test]
fn forty_tasks_are_foreseen_on_a_new_debian_and_after_somebodys_hand() {
    let case = Case::new("forty");
    case.site(&FORTY.replace("@IMAGE@", &crate::bed::debian()));
    copied(std::path::Path::new("tests/playbooks"), &case.path("."));
    // A new image has no lists of packages.
    let lists = "- hosts: all\n  tasks: [{name: lists, command: apt-get -qq update, changed_when: false}]\n";
    std::fs::write(case.path("lists.yml"), lists).unwrap();
    let events = |output: &Output| ended(output);
    // Before it is there.
    let new = plan(&case);
    assert!(with_status(&new, "failed").is_empty(), "{new}");
    let foreseen: Vec<_> = crate::previews::of_plan(&new);
    let done = case.run(&["apply", "site.yaml", "--yes", "--format", "json"]).exits(0);
    assert_eq!(lies(&foreseen, &events(&done)), "");
    // When all is done.
    let same = plan(&case);
    assert_eq!(with_status(&same, "changed"), [""; 0]);
    let unknown: BTreeSet<&str> = with_status(&same, "unknown").into_iter().collect();
    assert_eq!(unknown, COMMANDS.iter().copied().collect(), "{same}");
    // Three files, a package, a unit.
    let hand = "echo x >> /srv/forty/etc/settings.json; sed -i s/cache/store/ /etc/hosts.forty; \
        sed -i /FORTY/d /etc/environment; apt-get -qq -y purge less >/dev/null; systemctl stop forty";
    case.lxc(&["exec", "one", "--", "sh", "-c", hand]);
    let moved = plan(&case);
    assert_eq!(with_status(&moved, "changed"), ["package", "settings", "service", "line", "hosts"]);
    case.run(&["plan", "site.yaml"]).exits(0).says("-10.99.0.11 store").says("+10.99.0.11 cache");
    let all = crate::previews::of_plan(&moved);
    let lists = all.iter().position(|ended| ended.task == "lists").unwrap();
    let done = case.run(&["run", "forty.yml", "site.yaml", "--diff", "--format", "json"]).exits(0);
    assert_eq!(lies(&all[lists + 1..], &events(&done)), "");
}
