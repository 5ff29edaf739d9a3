//! `renamed_from`: what becomes of an instance whose name changes, alone, in groups, and cut short.

use crate::bed::{Case, lifecycle_events, lxc};

const SITE: &str = r#"
projects: {"@NAME@": {}}
networks: {"@BRIDGE@": {project: default, config: {ipv4.address: @NET@.1/24, ipv6.address: none}}}
profiles:
  base: {devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: "@BRIDGE@"}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances:
  app: {count: 2, image: bb, profiles: [base], stop_timeout: 0s, config: {user.a: one}, ready: [ipv4]}
"#;

#[test]
fn a_group_is_renamed_one_by_one_with_its_changes() {
    let case = Case::new("regroup");
    case.site(SITE);
    case.apply(&[]);
    let uuid = |name: &str| case.get(&format!("instances/{name}"))["config"]["volatile.uuid"].clone();
    let before = [uuid("app-1"), uuid("app-2")];
    let renamed =
        SITE.replace("app: {count: 2", "api: {renamed_from: app, count: 2").replace("user.a: one", "user.a: two");
    case.site(&renamed);
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["instances.api-1: rename", "instances.api-2: rename"]);
    assert_eq!(plan.0["rolling"], serde_json::json!([["instances.api-1", "instances.api-2"]]));
    let events = lifecycle_events(&case, || drop(case.apply(&[])));
    let order: Vec<String> = events
        .iter()
        .filter(|event| {
            ["instance-started", "instance-renamed"].contains(&event["metadata"]["action"].as_str().unwrap())
        })
        .map(|event| event["metadata"]["source"].as_str().unwrap().rsplit('/').next().unwrap()[..5].to_owned())
        .collect();
    assert_eq!(order, ["api-1", "api-1", "api-2", "api-2"], "{events:?}");
    assert_eq!([uuid("api-1"), uuid("api-2")], before, "the same instances");
    let config = case.get("instances/api-1")["config"].clone();
    assert_eq!(config["user.a"], "two");
    assert_eq!(config["user.lxdeploy.id"], format!("{}/instances.api-1", case.name));
    // The name inside and the bridge's DNS follow.
    case.lxc(&["exec", "api-1", "--", "hostname"]).says("api-1");
    let leases = format!("/1.0/networks/{}/leases?project={}", case.bridge, case.name);
    lxc(&["query", &leases]).exits(0).says("\"api-1\"").says_not("\"app-1\"");
    // Left in the file it has no effect.
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

const ONE: &str = r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances: {one: {image: bb, profiles: [base], stop_timeout: 0s}}
"#;

#[test]
fn an_image_that_changes_with_the_name_makes_a_new_one() {
    let case = Case::new("newname");
    case.site(ONE);
    case.apply(&[]);
    let fingerprint = case.get("images")[0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let uno = format!("uno: {{renamed_from: one, image: {fingerprint}, config: {{user.a: 1}},");
    case.site(&ONE.replace("one: {image: bb,", &uno));
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["instances.uno: replace"]);
    case.run(&["plan", "site.yaml"]).says("one goes, and the new one is made as uno");
    case.apply(&[]);
    assert!(case.try_get("instances/one").is_none());
    let made = case.get("instances/uno");
    assert_eq!((&made["status"], &made["config"]["user.a"]), (&"Running".into(), &"1".into()));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn a_rename_that_was_cut_short_is_brought_to_its_end() {
    let case = Case::new("cutshort");
    case.site(ONE);
    case.apply(&[]);
    // What a kill between LXD's rename and the new stamp leaves behind.
    case.lxc(&["stop", "-f", "one"]);
    case.lxc(&["rename", "one", "uno"]);
    // Without a word of the file it is somebody's doing: noted, and left alone.
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec!["instances.one: create".to_owned()], vec!["copy"]));
    case.site(&ONE.replace("one: {image", "uno: {renamed_from: one, image"));
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["instances.uno: update"]);
    assert_eq!(plan.change("instances.uno")["reason"]["code"], "renamed");
    case.apply(&[]);
    let uno = case.get("instances/uno");
    assert_eq!(uno["config"]["user.lxdeploy.id"], format!("{}/instances.uno", case.name));
    assert_eq!(uno["status"], "Running");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // Cut short and then destroyed: no orphan.
    case.lxc(&["config", "set", "uno", &format!("user.lxdeploy.id={}/instances.one", case.name)]);
    case.destroy(&[]);
    assert!(case.try_get("projects/t-cutshort").is_none());
}

#[test]
fn a_new_name_that_is_taken_is_refused() {
    let case = Case::new("nametaken");
    case.site(ONE);
    case.apply(&[]);
    case.lxc(&["init", "--empty", "uno", "-s", "default"]);
    case.site(&ONE.replace("one: {image", "uno: {renamed_from: one, image"));
    assert_eq!(case.refusals(&["--adopt", "all"]), ["name-taken"]);
    let refused = case.run(&["apply", "site.yaml", "--yes", "--adopt", "all"]).exits(1);
    refused.says("its new name is taken by nobody's").says("nothing is written");
    // A copy by hand is no finished rename.
    case.lxc(&["delete", "uno"]);
    case.lxc(&["copy", "one", "uno"]);
    case.run(&["plan", "site.yaml"]).exits(1).says("is taken by a copy of");
    case.lxc(&["delete", "uno"]);
    case.apply(&[]).says("instances.uno renamed");
    case.destroy(&[]);
}

#[test]
fn what_is_stopped_or_protected_is_renamed_and_what_is_ephemeral_is_not() {
    let case = Case::new("rekind");
    let site = ONE.replace(
        "instances: {one: {image: bb, profiles: [base], stop_timeout: 0s}}",
        "instances:\n  off: {image: bb, profiles: [base], state: stopped}\n  safe: {image: bb, profiles: [base], stop_timeout: 0s, protect: true}\n  eph: {image: bb, profiles: [base], stop_timeout: 0s, ephemeral: true}",
    );
    case.site(&site);
    case.apply(&[]);
    let renamed =
        site.replace("off: {", "aus: {renamed_from: off, ").replace("safe: {", "sicher: {renamed_from: safe, ");
    case.site(&renamed);
    let applied = case.apply(&[]);
    applied.says("instances.aus renamed").says_not("instances.aus stopped").says_not("instances.aus started");
    assert_eq!(case.get("instances/aus")["status"], "Stopped");
    assert_eq!(case.get("instances/sicher")["status"], "Running");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.site(&renamed.replace("eph: {", "brief: {renamed_from: eph, "));
    assert_eq!(case.refusals(&[]), ["ephemeral"]);
    // A restart that it needs is LXD's own, which spares it.
    let uuid = || case.get("instances/eph")["config"]["volatile.uuid"].clone();
    let before = uuid();
    case.site(&renamed.replace("ephemeral: true", "ephemeral: true, config: {security.nesting: true}"));
    case.apply(&[]).says("instances.eph restarted");
    assert_eq!((uuid(), case.get("instances/eph")["ephemeral"].clone()), (before, true.into()));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.site(&renamed.replace("protect: true", "protect: false"));
    case.apply(&[]);
    case.destroy(&[]);
}
