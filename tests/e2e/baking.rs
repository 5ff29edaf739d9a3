//! Baked images: roles that were run once, for all instances that are made later.

use crate::bed::Case;

const SITE: &str = "
projects: {\"@NAME@\": {config: {features.images: true, features.profiles: true}}}
images: {bb: {source: {file: busybox.tar.xz}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
secrets: {key: {env: BAKING_KEY}}
instances:
  app:
    count: 2
    image: bb
    profiles: [base]
    stop_timeout: 0s
    roles: [{role: app, vars: {key: \"{{ secret('key') }}\"}}]
    ready: [{exec: [test, -e, /key]}]
";

const ROLE: &str = "
- shell: echo once >> /installed
  args: {creates: /installed}
  tags: [bake]
- copy: {content: \"{{ key }}\", dest: /key}
";

#[test]
fn what_is_made_later_is_made_of_what_was_baked() {
    let case = Case::new("baking");
    case.site(SITE);
    std::fs::create_dir_all(case.path("roles/app/tasks")).unwrap();
    case.write("roles/app/tasks/main.yml", ROLE);
    // It is baked before anything is there, and without the site's secret.
    let baked = case.run(&["image", "bake", "site.yaml", "app"]).exits(0);
    let alias = baked.stdout.split_whitespace().find(|word| word.starts_with("baked-")).unwrap().to_owned();
    let project = &case.name;
    let target = case.get(&format!("images/aliases/{alias}"))["target"].as_str().unwrap().to_owned();
    assert_eq!(case.get("instances"), serde_json::json!([]), "the oven is gone");
    case.run(&["image", "bake", "site.yaml", "instances.app"]).exits(0).says("is there already");

    let apply = |arguments: &[&str]| {
        let all: Vec<&str> = ["apply", "--yes", "site.yaml"].iter().chain(arguments).copied().collect();
        case.command(&all).env("BAKING_KEY", "hunter2").output().unwrap()
    };
    let plan = |arguments: &[&str]| {
        let all: Vec<&str> = ["plan", "site.yaml"].iter().chain(arguments).copied().collect();
        let output = case.command(&all).env("BAKING_KEY", "hunter2").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(plan(&[]).contains(&format!("instances.app-1 is made of the baked image {alias}")), "{}", plan(&[]));
    assert!(apply(&[]).status.success());
    let instance = case.get("instances/app-2");
    assert_eq!(instance["config"]["volatile.base_image"], target);
    let said = case.lxc(&["exec", "app-2", "--", "cat", "/installed", "/key"]).stdout;
    assert_eq!(said, "once\nhunter2", "what was baked is there, and the rest was run");

    // What it was made of is no difference, now or when the roles or the image are others.
    let settled = plan(&["--detailed-exitcode"]);
    assert!(settled.starts_with("No changes."), "{settled}");
    case.write("roles/app/tasks/main.yml", &ROLE.replace("once", "twice"));
    assert!(plan(&[]).starts_with("No changes."), "{}", plan(&[]));
    let note = plan(&["--replace", "instances.app-1"]);
    assert!(!note.contains("baked image"), "the roles are others: {note}");
    let again = case.run(&["image", "bake", "site.yaml", "app-2"]).exits(0);
    assert!(!again.stdout.contains(&alias), "{}", again.stdout);
    assert!(plan(&["--replace", "instances.app-1"]).contains("instances.app-1 is made of the baked image"));

    // What was baked goes with its project, also where the roles are lost.
    std::fs::remove_dir_all(case.path("roles")).unwrap();
    let destroyed = case.command(&["destroy", "--yes", "site.yaml"]).env("BAKING_KEY", "hunter2").output().unwrap();
    assert!(destroyed.status.success(), "{}", String::from_utf8_lossy(&destroyed.stderr));
    assert_eq!(case.try_get(&format!("projects/{project}")), None);
}

#[test]
fn what_cannot_be_baked_is_refused() {
    let case = Case::new("unbaked");
    case.site("instances: {a: {image: bb}}\nimages: {bb: {source: {file: busybox.tar.xz}}}\n");
    assert!(
        case.run(&["image", "bake", "site.yaml", "b"])
            .exits(1)
            .stderr
            .contains("there is no instance `b`; there are a")
    );
    assert!(case.run(&["image", "bake", "site.yaml", "a"]).exits(1).stderr.contains("has no roles"));
}
