//! Pools and networks: made in LXD's two steps, and what is each member's own.

use crate::bed::{Case, MEMBERS, lxc, query};

const SITE: &str = r#"
storage_pools:
  "@NAME@": {driver: dir, config: {rsync.bwlimit: 100MB}}
  "@NAME@-own": {driver: dir, members: {n2: {config: {source: "@DIR@/two"}}}}
storage_volumes: {data: {pool: "@NAME@-own", config: {user.a: x}}}
networks:
  "@NAME@": {project: default, config: {ipv4.address: @NET@.1/24, ipv4.nat: true, ipv6.address: none}}
  "@NAME@-mac": {project: default, type: macvlan, description: old, config: {parent: cable}, members: {n3: {config: {parent: lo}}}}
"#;

fn own(case: &Case, object: &str, member: &str, key: &str) -> String {
    let object = query("n1", &format!("{}?target={member}", object.replace('@', &case.name))).unwrap();
    object["config"][key].as_str().unwrap_or_default().to_owned()
}

#[test]
fn pools_and_networks_are_made_on_every_member_and_keep_what_is_each_members_own() {
    let case = Case::new("members");
    let two = case.make_directory("two");
    case.site(SITE);
    case.apply("n1");
    assert_eq!(own(&case, "storage-pools/@-own", "n2", "source"), two.to_str().unwrap());
    assert!(own(&case, "storage-pools/@-own", "n3", "source").ends_with("/n3/storage-pools/t-members-own"));
    let parents = || MEMBERS.map(|member| own(&case, "networks/@-mac", member, "parent"));
    assert_eq!(parents(), ["cable", "cable", "lo"]);
    for member in MEMBERS {
        let plan = case.plan(member);
        assert_eq!((plan.actions(), plan.notes()), (vec![], vec![]), "at {member}");
    }

    // An update of what is everybody's leaves the members' own alone.
    let written = SITE
        .replace("100MB", "200MB")
        .replace("user.a: x", "user.a: y")
        .replace("description: old", "description: new");
    case.site(&written);
    case.apply("n2").says("3 steps");
    assert_eq!(query("n3", "storage-pools/t-members").unwrap()["config"]["rsync.bwlimit"], "200MB");
    assert_eq!(own(&case, "storage-pools/@-own", "n2", "source"), two.to_str().unwrap());
    assert_eq!(parents(), ["cable", "cable", "lo"]);

    // The file changes one member's.
    let moved = SITE.replace("n3: {config: {parent: lo}}", "n1: {config: {parent: lo}}");
    case.site(&moved);
    let plan = case.plan("n3");
    let network = "networks.t-members-mac";
    assert_eq!(plan.paths(network), ["description", "members.n1.config.parent", "members.n3.config.parent"]);
    assert_eq!(plan.leaf(network, "members.n1.config.parent")["before"], "cable");
    case.apply("n3");
    assert_eq!(parents(), ["lo", "cable", "cable"]);

    // Somebody else does.
    let whole = query("n1", "networks/t-members-mac?target=n2").unwrap();
    let body = serde_json::json!({"config": whole["config"], "description": whole["description"]});
    let body = body.to_string().replace("\"cable\"", "\"lo\"");
    lxc("n1", &["query", "-X", "PUT", "-d", &body, "/1.0/networks/t-members-mac?target=n2"]).exits(0);
    assert_eq!(parents(), ["lo", "lo", "cable"]);
    let plan = case.plan("n1");
    assert_eq!(plan.actions(), ["networks.t-members-mac: update"]);
    assert_eq!(plan.leaf(network, "members.n2.config.parent")["drift"], true);
    case.apply("n1");
    assert_eq!(parents(), ["lo", "cable", "cable"]);

    // Where a pool lies cannot be changed in place, and it holds data.
    case.site(&moved.replace("@DIR@/two", "@DIR@/three"));
    let refused = case.refusals("n1");
    assert!(refused.len() == 1 && refused[0].starts_with("holds-data: storage_pools.t-members-own"), "{refused:?}");
    case.site(&moved);
    assert_eq!(case.plan("n2").actions(), Vec::<String>::new());
    case.destroy("n2");
}

#[test]
fn members_that_are_not_there_are_refused() {
    let case = Case::new("nobody");
    case.site(
        r#"
storage_pools: {"@NAME@": {driver: dir, members: {n4: {config: {source: "@DIR@"}}, n2: {}}}}
instances:
  a: {target: n11, state: stopped}
  b: {target: "@no-such-group", state: stopped}
"#,
    );
    let refused = case.refusals("n2");
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!(
        refused[0],
        "unknown-member: storage_pools.t-nobody: `members` names n4, and the cluster has no such member"
    );
    assert!(refused[1].starts_with("unknown-member: instances.a is to be made on `n11`"), "{refused:?}");
    assert!(refused[2].contains("no member is in a cluster group `no-such-group`"), "{refused:?}");
    case.run("n2", &["apply", "site.yaml", "--yes"]).exits(1).says("n1, n2, n3");
    assert!(query("n1", "projects/t-nobody").is_none());
}

/// A plan reads as much for one object as for many, and the members once.
#[test]
fn the_number_of_requests_does_not_grow_with_the_objects() {
    let case = Case::new("requests");
    let requests = |profiles: usize| {
        let profiles: Vec<String> = (0..profiles).map(|index| format!("p{index}: {{}}")).collect();
        case.site(&format!("profiles: {{{}}}", profiles.join(", ")));
        case.apply("n1");
        let plan = case.run("n3", &["plan", "site.yaml", "-vv"]).exits(0);
        assert_eq!(plan.stderr.matches("GET /1.0/cluster/members").count(), 1, "{}", plan.stderr);
        plan.stderr.matches("GET /1.0").count()
    };
    assert_eq!(requests(1), requests(12));
    case.destroy("n3");
}
