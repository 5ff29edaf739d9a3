//! Where instances live, and which member is asked.

use serde_json::Value;

use crate::bed::{self, Case, MEMBERS, lxc};

const BASE: &str = r#"
networks: {"@NAME@": {project: default, config: {ipv4.address: @NET@.1/24, ipv6.address: none}}}
profiles:
  base: {devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: "@NAME@"}}}
images: {bb: {source: {file: busybox.tar.xz}}}
"#;

#[test]
fn instances_are_made_where_the_file_says_and_may_be_moved() {
    let case = Case::new("placed");
    lxc("n1", &["cluster", "group", "create", "t-placed"]).exits(0);
    lxc("n1", &["cluster", "group", "assign", "n3", "default,t-placed"]).exits(0);
    let instances = r#"
instances:
  on-two: {image: bb, profiles: [base], state: stopped, target: n2}
  in-group: {image: bb, profiles: [base], state: stopped, target: "@t-placed"}
"#;
    case.site(&format!("{BASE}{instances}"));
    case.apply("n1");
    assert_eq!([case.location("on-two"), case.location("in-group")], ["n2", "n3"]);
    // Moved by hand: told, and left.
    case.lxc("n1", &["move", "on-two", "--target", "n1"]);
    case.lxc("n1", &["move", "in-group", "--target", "n2"]);
    for member in MEMBERS {
        let plan = case.plan(member);
        assert_eq!((plan.actions(), plan.notes()), (vec![], vec!["moved", "moved"]));
    }
    case.run("n1", &["plan", "site.yaml"]).exits(0).says("lxc move on-two --target n2 --project t-placed");
    case.lxc("n1", &["move", "on-two", "--target", "n2"]);
    case.lxc("n1", &["move", "in-group", "--target", "n3"]);
    assert_eq!(case.plan("n1").notes(), Vec::<&str>::new());
    // A group that is gone is no reason to refuse what is there already.
    lxc("n1", &["cluster", "group", "assign", "n3", "default"]).exits(0);
    lxc("n1", &["cluster", "group", "delete", "t-placed"]).exits(0);
    assert_eq!(case.plan("n1").actions(), Vec::<String>::new());
    case.destroy("n2");
}

/// The image goes to one member, the instances run on the others, and each run asks another one.
#[test]
fn any_member_is_the_endpoint() {
    let case = Case::new("anyone");
    let instances = r#"
instances:
  one: {image: bb, profiles: [base], stop_timeout: 0s, target: n1, ready: [ipv4, {exec: ["true"]}]}
  three:
    image: bb
    profiles: [base]
    stop_timeout: 0s
    target: n3
    ready: [ipv4, {exec: [sh, -c, "httpd -p 8080"]}, {tcp: 8080, timeout: 20s}]
"#;
    let site = format!("{BASE}{instances}");
    case.site(&site);
    case.apply("n2").says("instances.three ready").says("instances.one ready");
    assert_eq!([case.location("one"), case.location("three")], ["n1", "n3"]);
    for member in MEMBERS {
        assert_eq!(case.plan(member).actions(), Vec::<String>::new(), "at {member}");
    }
    case.site(&site.replace("    target: n3\n", "    target: n3\n    config: {user.a: x}\n"));
    assert_eq!(case.plan("n1").actions(), ["instances.three: update"]);
    case.apply("n1");
    assert_eq!(case.get("n2", "instances/three")["config"]["user.a"], "x");
    assert_eq!(case.plan("n3").actions(), Vec::<String>::new());
    // A check that fails brings the log of an instance that runs elsewhere.
    case.site(&format!("{site}  two: {{image: bb, profiles: [base], stop_timeout: 0s, target: n2, ready: [{{tcp: 4711, timeout: 1s}}]}}\n"));
    case.run("n3", &["apply", "site.yaml", "--yes"]).exits(1).says("not within 1s");
    case.run("n1", &["apply", "site.yaml", "--yes", "--replace", "instances.one"]).exits(0);
    assert_eq!(bed::query("n2", "instances/one?project=t-anyone").unwrap()["location"], "n1");
    case.destroy("n2");
}

/// A volume lies on one member; others may have one of the same name.
#[test]
fn volumes_are_made_where_the_file_says() {
    let case = Case::new("volumes");
    let site = r#"
storage_volumes:
  other: {pool: default}
  data: {pool: default, target: n3, config: {user.a: x}}
instances:
  uses: {image: bb, profiles: [base], stop_timeout: 0s, target: n3, devices: {data: {type: disk, pool: default, source: data, path: /data}}}
"#;
    case.site(&format!("{BASE}{site}"));
    case.apply("n1").says("instances.uses started");
    let volumes = || {
        let volumes = case.get("n2", "storage-pools/default/volumes/custom?recursion=1");
        let of = |volume: &Value| format!("{} {}", volume["location"], volume["config"]["user.a"]);
        let volumes = volumes.as_array().unwrap().iter().filter(|volume| volume["name"] == "data");
        let mut volumes: Vec<String> = volumes.map(of).collect();
        volumes.sort();
        volumes
    };
    case.lxc("n1", &["storage", "volume", "create", "default", "data", "--target", "n1"]);
    case.lxc("n1", &["storage", "volume", "create", "default", "data", "--target", "n2"]);
    assert_eq!(case.plan("n2").actions(), Vec::<String>::new());
    case.site(&format!("{BASE}{}", site.replace("user.a: x", "user.a: y")));
    case.apply("n2");
    assert_eq!(volumes(), [r#""n1" null"#, r#""n2" null"#, r#""n3" "y""#]);
    // Only the site's own goes.
    case.site(&format!("{BASE}storage_volumes: {{other: {{pool: default}}}}"));
    case.run("n1", &["apply", "site.yaml", "--yes", "--delete-data"]).exits(0);
    assert_eq!(volumes(), [r#""n1" null"#, r#""n2" null"#]);
    let destroyed = case.run("n2", &["destroy", "site.yaml", "--yes", "--delete-data"]).exits(0);
    destroyed.says("projects.t-volumes is kept: volumes in it are not known to be this site's");
    for member in ["n1", "n2"] {
        case.lxc("n3", &["storage", "volume", "delete", "default", "data", "--target", member]);
    }
    case.destroy("n1");
}
