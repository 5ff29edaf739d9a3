//! Creations that did not come to their end: on some of the members, on all of them, or with an error.

use crate::bed::{Case, MEMBERS, query};

/// Two networks and two pools, as an apply that was killed leaves them.
#[test]
fn what_was_begun_is_taken_up() {
    let case = Case::new("begun");
    let source = case.make_directory("two");
    let source = format!("source={}", source.display());
    case.site(
        r#"
storage_pools:
  "@NAME@": {driver: dir, members: {n2: {config: {source: "@DIR@/two"}}}}
  "@NAME@-all": {driver: dir, config: {rsync.bwlimit: 100MB}}
networks:
  "@NAME@": {project: default, config: {ipv4.address: @NET@.1/24, ipv6.address: none}}
  "@NAME@-all": {project: default, type: macvlan, config: {parent: cable}}
"#,
    );
    let lxc = |arguments: &[&str]| crate::bed::lxc("n1", arguments).exits(0);
    lxc(&["storage", "create", "t-begun", "dir", "--target", "n2", &source]);
    lxc(&["network", "create", "t-begun", "--target", "n3"]);
    lxc(&["network", "create", "t-begun", "--target", "n1"]);
    for member in MEMBERS {
        lxc(&["storage", "create", "t-begun-all", "dir", "--target", member]);
        lxc(&["network", "create", "t-begun-all", "--type", "macvlan", "--target", member, "parent=cable"]);
    }

    let plan = case.plan("n2");
    for address in ["storage_pools.t-begun", "storage_pools.t-begun-all", "networks.t-begun", "networks.t-begun-all"] {
        assert_eq!(
            (plan.change(address)["action"].as_str(), plan.change(address)["reason"]["code"].as_str()),
            (Some("create"), Some("unfinished"))
        );
    }
    let reason = plan.change("networks.t-begun")["reason"]["text"].as_str().unwrap();
    assert_eq!(reason, "begun and not finished: it is pending on n1, n3; taken up from there");
    // Nothing of the site carries a stamp yet; what was begun is not passed over in silence.
    case.run("n1", &["destroy", "site.yaml", "--yes"]).exits(0).says("networks.t-begun was begun and not finished");

    case.apply("n2");
    for path in ["storage-pools/t-begun", "storage-pools/t-begun-all", "networks/t-begun", "networks/t-begun-all"] {
        let object = query("n3", path).unwrap();
        assert_eq!(
            (&object["status"], &object["config"]["user.lxdeploy.site"]),
            (&"Created".into(), &"t-begun".into())
        );
    }
    assert_eq!(case.plan("n1").actions(), Vec::<String>::new());
    case.destroy("n3");
}

#[test]
fn what_was_begun_otherwise_is_refused() {
    let case = Case::new("other");
    let one = case.make_directory("one");
    case.site(
        r#"
storage_pools: {"@NAME@": {driver: dir, members: {n2: {config: {source: "@DIR@/two"}}}}}
networks: {"@NAME@": {project: default, type: macvlan, config: {parent: cable}}}
"#,
    );
    let lxc = |arguments: &[&str]| crate::bed::lxc("n1", arguments).exits(0);
    lxc(&["storage", "create", "t-other", "dir", "--target", "n2", &format!("source={}", one.display())]);
    lxc(&["network", "create", "t-other", "--type", "bridge", "--target", "n2"]);
    let refused = case.refusals("n3");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].starts_with("begun-otherwise: storage_pools.t-other: its creation was begun on n2 with source"));
    assert!(
        refused[1].starts_with("begun-otherwise: networks.t-other: its creation was begun with type"),
        "{refused:?}"
    );
    // The remedy that it names.
    case.run("n3", &["plan", "site.yaml"])
        .exits(1)
        .says("lxc storage delete t-other")
        .says("lxc network delete t-other");
    lxc(&["storage", "delete", "t-other"]);
    lxc(&["network", "delete", "t-other"]);
    assert_eq!(case.plan("n3").actions().len(), 3);
}

/// LXD keeps the stamp of a pool that it could not make on one of the members.
#[test]
fn what_failed_on_a_member_is_finished() {
    let case = Case::new("failed");
    let site = r#"storage_pools: {"@NAME@": {driver: dir, config: {user.a: x}, members: {n3: {config: {source: "@DIR@/three"}}}}}"#;
    case.site(site);
    case.run("n1", &["apply", "site.yaml", "--yes"]).exits(1).says("three' doesn't exist");
    assert_eq!(query("n2", "storage-pools/t-failed").unwrap()["status"], "Errored");
    let plan = case.plan("n2");
    assert_eq!(plan.actions(), ["storage_pools.t-failed: update"]);
    assert_eq!(plan.change("storage_pools.t-failed")["reason"]["code"], "unfinished");
    // The same again, until the reason is gone; what the file has changed meanwhile is written too.
    case.run("n2", &["apply", "site.yaml", "--yes"]).exits(1).says("three' doesn't exist");
    case.make_directory("three");
    case.site(&site.replace("user.a: x", "user.a: y"));
    case.apply("n2");
    let pool = query("n2", "storage-pools/t-failed").unwrap();
    assert_eq!((&pool["status"], &pool["config"]["user.a"]), (&"Created".into(), &"y".into()));
    assert_eq!(case.plan("n3").actions(), Vec::<String>::new());
    case.destroy("n1");

    // Where the file was the reason, the pool is made again: nothing is in it.
    case.site(&site.replace("three", "four"));
    case.run("n1", &["apply", "site.yaml", "--yes"]).exits(1);
    case.make_directory("five");
    case.site(&site.replace("three", "five"));
    assert_eq!(case.plan("n1").actions(), ["storage_pools.t-failed: replace"]);
    case.apply("n1");
    assert_eq!(query("n2", "storage-pools/t-failed").unwrap()["status"], "Created");
    case.destroy("n1");
}
