//! What becomes of instances when their image moves: a note, or with `follow_image` a replacement.

use crate::bed::{Case, lxc};

const SITE: &str = r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
instances:
  kept: {image: moving, profiles: [base], state: stopped}
  led: {image: moving, follow_image: true, profiles: [base], state: stopped}
"#;

/// Another content, imported under the alias `moving`.
fn import(case: &Case, content: &str) {
    case.repack(&format!("echo {content} > x/rootfs/root/content"));
    let file = case.path("busybox.tar.xz");
    if lxc(&["--project", &case.name, "image", "alias", "list", "-f", "csv"]).stdout.contains("moving") {
        case.lxc(&["image", "alias", "delete", "moving"]);
    }
    case.lxc(&["image", "import", file.to_str().unwrap(), "--alias", "moving"]);
}

fn content(case: &Case, instance: &str) -> String {
    case.lxc(&["file", "pull", &format!("{instance}/root/content"), "-"]).stdout
}

#[test]
fn an_alias_at_the_target_that_moves() {
    let case = Case::new("follow");
    case.site("projects: {\"@NAME@\": {}}\n");
    case.apply(&[]);
    import(&case, "first");
    case.site(SITE);
    case.apply(&[]);
    import(&case, "second");
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec!["instances.led: replace".to_owned()], vec!["alias-moved"]));
    case.run(&["plan", "site.yaml"]).says("--replace instances.kept or follow_image: true takes the new one");
    case.apply(&[]);
    assert_eq!((content(&case, "kept"), content(&case, "led")), ("first\n".into(), "second\n".into()));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.apply(&["--replace", "instances.kept"]);
    assert_eq!(content(&case, "kept"), "second\n");
    assert_eq!(case.plan(&[]).notes(), Vec::<&str>::new());
    let images = case.get("images");
    for image in images.as_array().unwrap() {
        case.lxc(&["image", "delete", image.as_str().unwrap().rsplit('/').next().unwrap()]);
    }
    case.destroy(&[]);
}

#[test]
fn adopting_never_replaces_for_the_images_sake() {
    let case = Case::new("adoptimg");
    case.site("projects: {\"@NAME@\": {}}\n");
    case.apply(&[]);
    import(&case, "first");
    case.lxc(&["init", "moving", "led", "-s", "default"]);
    import(&case, "second");
    case.site(&SITE.replace("  kept: {image: moving, profiles: [base], state: stopped}\n", ""));
    assert_eq!(case.plan(&["--adopt", "all"]).actions(), ["profiles.base: create", "instances.led: adopt"]);
    case.apply(&["--adopt", "all"]);
    // Nor does the plan after it.
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec![]));
    assert_eq!(content(&case, "led"), "first\n");
    // What moves from then on is followed.
    import(&case, "third");
    assert_eq!(case.plan(&[]).actions(), ["instances.led: replace"]);
    case.apply(&[]);
    assert_eq!(content(&case, "led"), "third\n");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    let images = case.get("images");
    for image in images.as_array().unwrap() {
        case.lxc(&["image", "delete", image.as_str().unwrap().rsplit('/').next().unwrap()]);
    }
    case.destroy(&[]);
}

#[test]
fn an_alias_at_another_server_is_not_asked_for() {
    let case = Case::new("faralias");
    case.site("projects: {\"@NAME@\": {}}\n");
    case.apply(&[]);
    import(&case, "first");
    case.site(SITE);
    case.apply(&[]);
    // The file names a remote's from the start: as if it had been fetched from there.
    for name in ["kept", "led"] {
        let record =
            case.get(&format!("instances/{name}"))["config"]["user.lxdeploy.record"].as_str().unwrap().to_owned();
        case.lxc(&[
            "config",
            "set",
            name,
            &format!("user.lxdeploy.record={}", record.replace("\"moving\"", "\"far:moving\"")),
        ]);
    }
    case.site(&SITE.replace("image: moving", "image: \"far:moving\""));
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec!["not-followed"]));
    case.run(&["plan", "site.yaml"]).says("follow_image has no effect on `far:moving`");
    let images = case.get("images");
    for image in images.as_array().unwrap() {
        case.lxc(&["image", "delete", image.as_str().unwrap().rsplit('/').next().unwrap()]);
    }
    case.destroy(&[]);
}
