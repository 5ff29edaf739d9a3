//! What people do to stamped instances by hand: copies, moves, renames, images of them, snapshots restored.

use crate::bed::{Case, lxc};

const SITE: &str = r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
instances:
  one: {profiles: [base], state: stopped, config: {user.a: one}}
"#;

#[test]
fn copies_in_other_projects_and_moves_are_noted_and_left() {
    let case = Case::new("elsewhere");
    case.site(SITE);
    case.apply(&[]);
    let there = |arguments: &[&str]| lxc(&[&["--project", "t-elsewher2"], arguments].concat()).exits(0);
    lxc(&["project", "create", "t-elsewher2", "-c", "features.images=false"]).exits(0);
    there(&["profile", "create", "base"]);
    there(&["profile", "device", "add", "base", "root", "disk", "path=/", "pool=default"]);
    // A copy in another project carries the stamp along, and it does not count there.
    case.lxc(&["copy", "one", "one", "--target-project", "t-elsewher2", "-s", "default"]);
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec!["copy"]));
    case.run(&["plan", "site.yaml"]).says("the instance one (project t-elsewher2) carries the stamp of");
    // Its changes reach the one that it names, and not the copy.
    case.site(&SITE.replace("user.a: one", "user.a: two"));
    case.apply(&[]);
    let copy = lxc(&["query", "/1.0/instances/one?project=t-elsewher2"]).exits(0).json();
    assert_eq!(
        (&copy["config"]["user.a"], &case.get("instances/one")["config"]["user.a"]),
        (&"one".into(), &"two".into())
    );
    there(&["delete", "one"]);
    // Moved away by hand: somebody's now; the site makes its own again.
    case.lxc(&["move", "one", "--target-project", "t-elsewher2"]);
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec!["instances.one: create".to_owned()], vec!["copy"]));
    case.apply(&[]);
    case.destroy(&[]);
    let moved = lxc(&["query", "/1.0/instances/one?project=t-elsewher2"]).exits(0).json();
    assert_eq!(moved["config"]["user.lxdeploy.site"], "t-elsewhere", "no destroy took it along");
    there(&["delete", "one"]);
    there(&["profile", "delete", "base"]);
    lxc(&["project", "delete", "t-elsewher2"]).exits(0);
}

#[test]
fn a_rename_by_hand_is_somebodys_until_the_file_says_so() {
    let case = Case::new("handname");
    case.site(SITE);
    case.apply(&[]);
    case.lxc(&["rename", "one", "other"]);
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec!["instances.one: create".to_owned()], vec!["copy"]));
    // Under its new name alone it is not taken either, and the refusal names the way.
    case.site(&SITE.replace("  one: {", "  other: {"));
    assert_eq!(case.refusals(&[]), ["not-ours"]);
    case.run(&["plan", "site.yaml"]).exits(1).says("`renamed_from` with its old name says so");
    case.site(&SITE.replace("  one: {", "  other: {renamed_from: one, "));
    case.apply(&[]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // Back by hand: the file still says what it was and what it is to be.
    case.lxc(&["rename", "other", "one"]);
    assert_eq!(case.plan(&[]).actions(), ["instances.other: rename"]);
    case.apply(&[]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn an_image_made_of_a_stamped_instance_carries_no_stamp() {
    let case = Case::new("publish");
    case.site(
        &SITE
            .replace("instances:", "images: {bb: {source: {file: busybox.tar.xz}}}\ninstances:")
            .replace("one: {", "one: {image: bb, "),
    );
    case.apply(&[]);
    case.lxc(&["publish", "one", "--alias", "made"]);
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec![]), "the image is nobody's");
    case.lxc(&["init", "made", "two", "-p", "base"]);
    assert!(case.get("instances/two")["config"]["user.lxdeploy.site"].is_null());
    assert_eq!(case.plan(&[]).notes(), Vec::<&str>::new());
    case.lxc(&["delete", "two"]);
    case.lxc(&["image", "delete", "made"]);
    case.destroy(&[]);
}

#[test]
fn a_snapshot_that_rewinds_the_stamp_is_brought_forward_again() {
    let case = Case::new("rewind");
    case.site(SITE);
    case.apply(&[]);
    case.lxc(&["snapshot", "one", "early"]);
    case.site(&SITE.replace("config: {user.a: one}", "description: later, config: {user.b: two}"));
    case.apply(&[]);
    case.lxc(&["restore", "one", "early"]);
    // Config, description and the record are those of then: what has changed since is done again.
    let plan = case.plan(&[]);
    assert_eq!(plan.paths("instances.one"), ["description", "config.user.a", "config.user.b"]);
    case.apply(&[]);
    let one = case.get("instances/one");
    assert_eq!((&one["config"]["user.a"], &one["config"]["user.b"]), (&serde_json::Value::Null, &"two".into()));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // A snapshot from before a rename has the old name in its stamp.
    let renamed = SITE.replace("  one: {", "  uno: {renamed_from: one, ");
    case.site(&renamed);
    case.apply(&[]);
    case.lxc(&["restore", "uno", "early"]);
    let plan = case.plan(&[]);
    assert_eq!(plan.change("instances.uno")["reason"]["code"], "renamed");
    case.apply(&[]);
    assert_eq!(case.get("instances/uno")["config"]["user.lxdeploy.id"], "t-rewind/instances.uno");
    // A stamp from before a protection: the file's word counts as much as the record's.
    case.lxc(&["snapshot", "uno", "before"]);
    case.site(&renamed.replace("state: stopped", "state: stopped, protect: true"));
    case.apply(&[]);
    case.lxc(&["restore", "uno", "before"]);
    case.run(&["destroy", "site.yaml", "--yes"]).exits(1).says("instances.uno is protected");
    case.site(&renamed);
    case.apply(&[]);
    case.destroy(&[]);
}

#[test]
fn protection_holds_for_every_kind_until_it_was_taken_back() {
    let case = Case::new("protect");
    let site = "projects: {\"@NAME@\": {}}\nstorage_volumes: {other: {pool: default}, keep: {pool: default, protect: true}}\nprofiles: {p: {protect: true}}\n";
    case.site(site);
    case.apply(&[]);
    for command in ["destroy", "apply"] {
        let bare = "projects: {\"@NAME@\": {}}\nstorage_volumes: {other: {pool: default}}\n";
        case.site(if command == "destroy" { site } else { bare });
        let refused = case.run(&[command, "site.yaml", "--yes", "--delete-data"]).exits(1);
        refused.says("storage_volumes.keep is protected").says("profiles.p is protected").says("`protect: false`");
    }
    assert!(case.try_get("profiles/p").is_some());
    // In one and the same apply it is not enough: the record must have it first.
    case.site(&site.replace("protect: true", "protect: false"));
    assert_eq!(case.refusals(&["--replace", "profiles.p"]), ["protected"]);
    case.run(&["destroy", "site.yaml", "--yes", "--delete-data"]).exits(1).says("protected");
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["storage_volumes.keep: update", "profiles.p: update"]);
    case.apply(&[]);
    case.destroy(&["--delete-data"]);
    assert!(case.try_get("projects/t-protect").is_none());
}
