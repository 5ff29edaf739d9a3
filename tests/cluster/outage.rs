//! A member that is dead: what it holds is unknown, and what does not need it goes on.

use std::time::Instant;

use crate::bed::{Case, MEMBERS, query};

const SITE: &str = r#"
storage_pools: {"@NAME@": {driver: dir, config: {rsync.bwlimit: 100MB}, members: {n2: {config: {source: "@DIR@/two"}}}}}
networks: {"@NAME@": {project: default, config: {ipv4.address: @NET@.1/24, ipv4.nat: true, ipv6.address: none}}}
profiles:
  base: {devices: {root: {type: disk, path: /, pool: "@NAME@"}, eth0: {type: nic, network: "@NAME@"}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances:
  one: {image: bb, profiles: [base], stop_timeout: 0s, target: n1}
  two: {image: bb, profiles: [base], stop_timeout: 0s, target: n2}
  left: {image: bb, profiles: [base], stop_timeout: 0s, target: n2}
  three: {image: bb, profiles: [base], stop_timeout: 0s, target: n3, depends_on: [instances.two]}
"#;

/// The texts of a plan's notes about members that are offline.
fn notes(plan: &crate::bed::Plan) -> Vec<String> {
    let notes = plan.0["notes"].as_array().unwrap().iter().filter(|note| note["code"] == "offline");
    notes.map(|note| note["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_dead_member_stops_only_what_needs_it() {
    let case = Case::new("outage");
    case.make_directory("two");
    case.site(SITE);
    case.apply("n1");
    let dead = case.kill("n2");

    // At once, while LXD still calls it online, and when it no longer does.
    let unknown = "n2 is offline: what is there cannot be seen and is left as it is: instances.left, instances.two";
    for wait in [false, true] {
        if wait {
            dead.is_lost();
        }
        let started = Instant::now();
        let plan = case.plan("n1");
        assert_eq!((plan.actions(), notes(&plan)), (vec![], vec![unknown.to_owned()]));
        // One question to the dead member would take 10 s.
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }

    // Others are changed and made, also with the dead one's instances as their need; what has left the file and
    // cannot be seen is not pruned.
    let site = SITE.replace("  left: {image: bb, profiles: [base], stop_timeout: 0s, target: n2}\n", "");
    case.site(&format!(
        "{}  more: {{image: bb, profiles: [base], stop_timeout: 0s, depends_on: [instances.two]}}\n",
        site.replace("base: {devices", "base: {config: {user.a: x}, devices")
    ));
    let started = Instant::now();
    let plan = case.plan("n3");
    assert_eq!(plan.actions(), ["profiles.base: update", "instances.more: create"]);
    assert!(notes(&plan)[0].contains("instances.two") && notes(&plan)[0].contains("left (project t-outage)"));
    case.apply("n3").says("instances.more started");
    assert!(started.elapsed().as_secs() < 9, "{:?}", started.elapsed());

    // A pool's and a network's change and deletion wait; what is to be made fails before anything is begun, and
    // takes along only what needs it.
    case.site(&format!(
        "{}  more: {{image: bb, profiles: [base], stop_timeout: 0s}}\n  there: {{image: bb, profiles: [base], target: n2}}\n  \
         needs: {{image: bb, profiles: [base], devices: {{x: {{type: nic, network: \"@NAME@-new\"}}}}}}\n",
        site.replace("ipv4.nat: true", "ipv4.nat: false").replace(
            "networks: {",
            "networks: {\"@NAME@-new\": {project: default, config: {ipv4.address: none, ipv6.address: none}}, "
        )
    ));
    let plan = case.plan("n1");
    let made = [
        "networks.t-outage-new: create",
        "profiles.base: update",
        "instances.needs: create",
        "instances.there: create",
    ];
    assert_eq!(plan.actions(), made);
    let told = notes(&plan).join("\n");
    assert!(told.contains("networks.t-outage is to be changed (config.ipv4.nat) and waits"), "{told}");
    assert!(told.contains("instances.there cannot be made on n2"), "{told}");
    assert!(told.contains("until an apply with all members: networks.t-outage-new"), "{told}");
    let started = Instant::now();
    let failed = case.run("n1", &["apply", "site.yaml", "--yes"]).exits(1);
    let failed = failed.says("n2 does not answer; nothing was sent").says("profiles.base updated");
    failed
        .says("instances.needs (creating): waits for networks.t-outage-new")
        .says("instances.there: creating: n2 does not answer");
    assert!(started.elapsed().as_secs() < 9, "{:?}", started.elapsed());
    assert!(query("n1", "networks/t-outage-new").is_none());

    // It comes back: all that waited is done.
    drop(dead);
    assert_eq!(notes(&case.plan("n2")), Vec::<String>::new());
    case.apply("n2").says("instances.left deleted").says("instances.there started");
    assert_eq!(query("n3", "networks/t-outage").unwrap()["config"]["ipv4.nat"], "false");
    for member in MEMBERS {
        assert_eq!(case.plan(member).actions(), Vec::<String>::new(), "at {member}");
    }
    case.destroy("n3");
}

#[test]
fn a_destroy_leaves_what_it_cannot_reach_and_says_so() {
    let case = Case::new("rest");
    case.make_directory("two");
    case.site(SITE);
    case.apply("n2");
    // The endpoint of before is the one that is gone.
    let dead = case.kill("n2");
    let destroyed = case.run("n3", &["destroy", "site.yaml", "--yes", "--delete-data"]).exits(0);
    let destroyed = destroyed
        .says("n2 is offline: what is there cannot be seen and is left as it is: instances.left, instances.two");
    let destroyed = destroyed.says("instances.one deleted").says("instances.three deleted");
    destroyed
        .says("profiles.base is kept: the instance left")
        .says("networks.t-rest is kept")
        .says("projects.t-rest is kept");
    // And so it does the second time, with nothing to do.
    case.run("n1", &["destroy", "site.yaml", "--yes", "--delete-data"]).exits(0).says("Nothing").says("instances.two");
    // A name that was given up may be that of an instance that nobody can see: no double is made.
    case.site(&SITE.replace("  two: {", "  zwei: {renamed_from: two, ").replace("instances.two", "instances.zwei"));
    let plan = case.plan("n1");
    assert!(!plan.actions().iter().any(|action| action.contains("zwei")), "{:?}", plan.actions());
    assert!(notes(&plan)[0].starts_with("instances.zwei may be the renamed two"), "{:?}", notes(&plan));
    drop(dead);
    case.site(SITE);
    case.destroy("n1");
}
