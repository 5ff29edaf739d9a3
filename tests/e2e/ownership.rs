//! Whose is it: three sides per field, stamps, takeover, adoption, other sites and copies.

use crate::bed::{Case, lxc};

const SITE: &str = r#"
projects: {"@NAME@": {}}
profiles:
  base: {config: {limits.memory: 256MiB, user.a: one}, devices: {root: {type: disk, path: /, pool: default}}}
instances:
  one: {profiles: [base], state: stopped, config: {user.a: one, user.b: two}}
"#;

#[test]
fn keys_go_with_the_file_and_foreign_ones_stay() {
    let case = Case::new("keys");
    case.site(SITE);
    case.apply(&[]);
    // Somebody's own key beside ours.
    case.lxc(&["config", "set", "one", "user.theirs=1"]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.site(&SITE.replace(", user.b: two", "").replace(", user.a: one}, devices", "}, devices"));
    let plan = case.plan(&[]);
    assert_eq!(plan.paths("instances.one"), ["config.user.b"]);
    assert_eq!(plan.leaf("instances.one", "config.user.b")["after"], serde_json::Value::Null);
    assert_eq!(plan.paths("profiles.base"), ["config.user.a"]);
    case.apply(&[]);
    let config = case.get("instances/one")["config"].clone();
    assert_eq!((&config["user.b"], &config["user.theirs"]), (&serde_json::Value::Null, &"1".into()));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn drift_is_repaired_and_told_apart_from_a_change() {
    let case = Case::new("drift");
    case.site(SITE);
    case.apply(&[]);
    case.lxc(&["config", "set", "one", "user.a=moved"]);
    case.lxc(&["profile", "unset", "base", "limits.memory"]);
    case.site(&SITE.replace("user.b: two", "user.b: three"));
    let plan = case.plan(&[]);
    assert_eq!(plan.leaf("instances.one", "config.user.a")["drift"], true);
    assert_eq!(plan.leaf("instances.one", "config.user.b")["drift"], false);
    assert_eq!(plan.leaf("profiles.base", "config.limits.memory")["drift"], true);
    case.run(&["plan", "site.yaml"]).says("changed outside of lxdeploy");
    case.apply(&[]);
    let config = case.get("instances/one")["config"].clone();
    assert_eq!((&config["user.a"], &config["user.b"]), (&"one".into(), &"three".into()));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn somebodys_takeover_of_a_key_is_respected() {
    let case = Case::new("takeover");
    case.site(SITE);
    case.apply(&[]);
    case.lxc(&["config", "set", "one", "user.b=theirs"]);
    case.site(&SITE.replace(", user.b: two", ""));
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec!["taken-over"]));
    case.apply(&[]);
    assert_eq!(case.get("instances/one")["config"]["user.b"], "theirs");
    case.destroy(&[]);
}

#[test]
fn wanted_and_there_already_is_claimed_by_the_record_alone() {
    let case = Case::new("claim");
    case.site(SITE);
    case.apply(&[]);
    case.lxc(&["config", "set", "one", "user.c=three"]);
    case.site(&SITE.replace("user.b: two", "user.b: two, user.c: three"));
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.paths("instances.one")), (vec!["instances.one: update".to_owned()], vec![]));
    case.apply(&[]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.site(SITE);
    assert_eq!(case.plan(&[]).paths("instances.one"), ["config.user.c"]);
    case.destroy(&[]);
}

#[test]
fn what_left_the_file_is_pruned_and_what_is_protected_is_not() {
    let case = Case::new("prune");
    let more = format!(
        "{SITE}  two: {{profiles: [base], state: stopped, protect: true}}\n  three: {{profiles: [base], state: stopped}}\n"
    );
    case.site(&more);
    case.apply(&[]);
    case.site(&more.replace("  three: {profiles: [base], state: stopped}\n", ""));
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["instances.three: delete"]);
    assert_eq!(plan.change("instances.three")["reason"]["code"], "removed-from-site");
    case.apply(&[]);
    assert!(case.try_get("instances/three").is_none());

    // Protected: neither pruned, nor replaced, nor destroyed, until a plan has said otherwise.
    case.site(SITE);
    assert_eq!(case.refusals(&[]), ["protected"]);
    case.run(&["apply", "site.yaml", "--yes"]).exits(1).says("instances.two is protected");
    case.run(&["destroy", "site.yaml", "--yes"]).exits(1).says("protected");
    assert!(case.try_get("instances/two").is_some() && case.try_get("instances/one").is_some());
    case.site(&more);
    case.run(&["apply", "site.yaml", "--yes", "--replace", "instances.two"]).exits(1).says("protected");
    case.site(&more.replace("protect: true", "protect: false"));
    case.apply(&[]);
    case.site(SITE);
    case.apply(&[]);
    assert!(case.try_get("instances/two").is_none());
    case.destroy(&[]);
}

#[test]
fn objects_of_nobody_are_adopted_only_when_named() {
    let case = Case::new("adopt");
    lxc(&["project", "create", &case.name]).exits(0);
    case.lxc(&["profile", "create", "base"]);
    case.lxc(&["profile", "set", "base", "user.theirs=1"]);
    case.lxc(&["init", "--empty", "one", "-s", "default"]);
    case.site(SITE);
    assert_eq!(case.refusals(&[]), ["not-ours", "not-ours", "not-ours"]);
    case.run(&["apply", "site.yaml", "--yes"]).exits(1).says("--adopt profiles.base").says("nothing is written");
    assert!(case.get("profiles/base")["config"]["user.lxdeploy.site"].is_null());
    case.run(&["apply", "site.yaml", "--yes", "--adopt", "profiles.base"]).exits(1);
    let plan = case.plan(&["--adopt", "all"]);
    assert_eq!(plan.actions(), ["projects.t-adopt: adopt", "profiles.base: adopt", "instances.one: adopt"]);
    case.apply(&["--adopt", "all"]);
    let base = case.get("profiles/base")["config"].clone();
    assert_eq!((&base["user.theirs"], &base["limits.memory"]), (&"1".into(), &"256MiB".into()));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn another_sites_objects_are_refused_always() {
    let case = Case::new("foreign");
    case.site(SITE);
    case.apply(&[]);
    case.write("other.yaml", &format!("site: other-site\nproject: @NAME@\n{SITE}"));
    let refused = case.run(&["apply", "other.yaml", "--yes", "--adopt", "all"]).exits(1);
    refused.says("instances.one belongs to the site `t-foreign`").says("nothing is written");
    case.run(&["destroy", "other.yaml", "--yes"]).exits(0).says("Nothing to destroy");
    assert_eq!(case.get("instances/one")["config"]["user.lxdeploy.site"], "t-foreign");
    case.destroy(&[]);
}

#[test]
fn a_copy_made_by_hand_is_left_alone() {
    let case = Case::new("copy");
    case.site(SITE);
    case.apply(&[]);
    case.lxc(&["copy", "one", "copied"]);
    let stamped = case.get("instances/copied")["config"]["user.lxdeploy.site"].clone();
    assert_eq!(stamped, "t-copy", "lxc copy takes the stamp along, and it does not count");
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec!["copy"]));
    case.apply(&[]);
    case.run(&["destroy", "site.yaml", "--yes"]).says("left alone");
    assert!(case.try_get("instances/copied").is_some());
    case.lxc(&["delete", "copied"]);
    case.destroy(&[]);
    assert!(case.try_get("projects/t-copy").is_none());
}

#[test]
fn what_is_moved_to_another_project_is_no_delete_and_create() {
    let case = Case::new("moved");
    case.site(SITE);
    case.apply(&[]);
    case.site(&SITE.replace("one: {profiles: [base],", "one: {project: default, profiles: [],"));
    assert_eq!(case.refusals(&[]), ["other-project"]);
    case.site(SITE);
    case.destroy(&[]);
}

#[test]
fn the_default_profile_is_given_back() {
    let case = Case::new("default");
    let site = format!("{SITE}  by-default: {{state: stopped}}\n").replace(
        "profiles:\n",
        "profiles:\n  default: {config: {user.ours: 1}, devices: {root: {type: disk, path: /, pool: default}}}\n",
    );
    case.site(&site);
    case.apply(&[]);
    let profile = case.get("profiles/default");
    assert_eq!(profile["config"]["user.ours"], "1");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.lxc(&["profile", "set", "default", "user.theirs=1"]);
    // The project stays when somebody else's is in it.
    case.lxc(&["init", "--empty", "theirs", "-s", "default"]);
    let destroyed = case.run(&["destroy", "site.yaml", "--yes"]).exits(1);
    destroyed.says("projects.t-default");
    let profile = case.get("profiles/default");
    assert_eq!(profile["config"], serde_json::json!({"user.theirs": "1"}));
    case.lxc(&["delete", "theirs"]);
    case.destroy(&[]);
}

#[test]
fn what_a_project_has_no_feature_for_lies_in_default_and_is_seen_once() {
    let case = Case::new("features");
    case.repack("touch x/rootfs/root/features");
    case.site("projects: {\"@NAME@\": {config: {features.images: false}}}\nimages: {bb: {source: {file: busybox.tar.xz}, aliases: [t-features]}}\n");
    case.apply(&[]);
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec![]));
    assert_eq!(lxc(&["query", "/1.0/images/aliases/t-features"]).exits(0).json()["name"], "t-features");
    case.destroy(&[]).says("images.bb deleted").says_not("left alone");
}

#[test]
fn a_record_of_a_newer_lxdeploy_is_not_touched() {
    let case = Case::new("newer");
    case.site(SITE);
    case.apply(&[]);
    case.lxc(&["config", "set", "one", r#"user.lxdeploy.record={"v":2}"#]);
    assert_eq!(case.refusals(&[]), ["newer-record"]);
    case.run(&["destroy", "site.yaml", "--yes"]).exits(1).says("newer lxdeploy");
    case.lxc(&["config", "set", "one", r#"user.lxdeploy.record={"v":1}"#]);
    case.destroy(&[]);
}

#[test]
fn an_image_serves_two_sites_and_each_alias_is_somebodys() {
    let case = Case::new("shared");
    let site = "projects: {\"@NAME@\": {}}\nimages: {bb: {source: {file: busybox.tar.xz}, aliases: [ours, also]}}\n";
    case.site(site);
    case.apply(&[]);
    case.write(
        "other.yaml",
        "site: t-shared-2\nproject: @NAME@\nimages: {bb: {source: {file: busybox.tar.xz}, aliases: [theirs]}}\n",
    );
    case.run(&["apply", "other.yaml", "--yes"]).exits(0);
    let target = case.get("images/aliases/ours")["target"].as_str().unwrap().to_owned();
    case.lxc(&["image", "alias", "create", "nobodys", &target]);
    // Neither sees the other's alias, nor somebody's, as a difference.
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.run(&["plan", "other.yaml", "--detailed-exitcode"]).exits(0);
    let aliases = || -> Vec<String> {
        let image = case.get(&format!("images/{target}"));
        let mut names: Vec<String> = image["aliases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alias| alias["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(aliases(), ["also", "nobodys", "ours", "theirs"]);
    // What left the file goes, and no more.
    case.site(&site.replace(", also", ""));
    assert_eq!(case.plan(&[]).paths("images.bb"), ["aliases.also"]);
    case.apply(&[]);
    assert_eq!(aliases(), ["nobodys", "ours", "theirs"]);
    // The image goes with the last of its sites.
    case.run(&["destroy", "other.yaml", "--yes"]).exits(0);
    assert_eq!(aliases(), ["nobodys", "ours"]);
    case.destroy(&[]);
    assert!(case.try_get("projects/t-shared").is_none());
}
