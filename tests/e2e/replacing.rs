//! Replacements: what survives them, and what is refused before anything goes.

use crate::bed::{Case, lxc};

const SITE: &str = r#"
projects: {"@NAME@": {}}
networks: {"@BRIDGE@": {project: default, config: {ipv4.address: @NET@.1/24, ipv6.address: none}}}
storage_volumes: {data: {pool: default}}
profiles:
  base: {devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: "@BRIDGE@"}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances:
  one:
    image: bb
    profiles: [base]
    stop_timeout: 0s
    devices: {data: {type: disk, pool: default, source: data, path: /data}}
"#;

#[test]
fn a_volume_outlives_the_instances_that_it_is_attached_to() {
    let case = Case::new("outlive");
    case.site(SITE);
    case.apply(&[]);
    case.lxc(&["exec", "one", "--", "sh", "-c", "echo kept > /data/file; touch /root/lost"]);
    case.apply(&["--replace", "instances.one"]).says("instances.one deleted").says("instances.one created");
    case.lxc(&["exec", "one", "--", "cat", "/data/file"]).says("kept");
    lxc(&["--project", &case.name, "exec", "one", "--", "test", "-e", "/root/lost"]).exits(1);
    // The volume itself, which holds data and is in use, is not made again by a flag for another thing.
    assert_eq!(case.refusals(&["--replace", "storage_volumes.data"]), ["holds-data"]);
    assert_eq!(case.refusals(&["--replace", "storage_volumes.data", "--delete-data"]), ["in-use"]);
    case.apply(&["--delete-data", "--replace", "storage_volumes.data", "--replace", "instances.one"]);
    lxc(&["--project", &case.name, "exec", "one", "--", "test", "-e", "/data/file"]).exits(1);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&["--delete-data"]);
}

#[test]
fn what_is_used_is_replaced_with_its_users_or_not_at_all() {
    let case = Case::new("inuse");
    case.site(SITE);
    case.apply(&[]);
    let one = || case.get("instances/one");
    let before = one();
    case.site(
        &SITE.replace("config: {ipv4.address: @NET@.1/24, ipv6.address: none}", "type: macvlan, config: {parent: lo}"),
    );
    let refused = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    refused.says("LXD deletes nothing that is used").says("the profile base").says("nothing is written");
    assert_eq!(one(), before);
    case.site(SITE);
    for address in ["networks.t-inuse", "profiles.base"] {
        assert_eq!(case.refusals(&["--replace", address]), ["in-use"]);
    }
    assert_eq!(case.refusals(&["--replace", "projects.t-inuse"]), ["in-use"]);
    let applied =
        case.apply(&["--replace", "networks.t-inuse", "--replace", "profiles.base", "--replace", "instances.one"]);
    applied.says("networks.t-inuse deleted").says("profiles.base deleted").says("networks.t-inuse created");
    assert_eq!(one()["status"], "Running");
    assert_ne!(one()["config"]["volatile.uuid"], before["config"]["volatile.uuid"]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // The remedy that the refusal names: another name, and everybody moves over.
    let moved = SITE
        .replace("\"@BRIDGE@\": {project", "net: {name: t-inuse2, project")
        .replace("network: \"@BRIDGE@\"", "network: net")
        .replace("@NET@.1/24", "none");
    case.site(&moved);
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["networks.t-inuse: delete", "networks.net: create", "profiles.base: update"]);
    case.apply(&[]);
    lxc(&["query", "/1.0/networks/t-inuse"]).exits(1);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&["--delete-data"]);
}

#[test]
fn nothing_goes_whose_successor_cannot_be_made() {
    let case = Case::new("successor");
    case.site(SITE);
    case.apply(&[]);
    let before = case.get("instances/one");
    case.site(&SITE.replace("image: bb\n", "image: nosuch\n"));
    assert_eq!(case.refusals(&[]), ["missing"]);
    case.site(&SITE.replace("image: bb\n", "image: bb\n    type: virtual-machine\n"));
    case.run(&["apply", "site.yaml", "--yes"]).exits(1).says("virtual machine").says("nothing is written");
    case.site(&SITE.replace("image: bb\n", "image: \"nosuch-remote:debian\"\n"));
    assert_eq!(case.plan(&[]).actions(), ["instances.one: replace"]);
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    failed.says("nosuch-remote").says_not("instances.one stopped");
    // Files that cannot be an image: the instance stays as long as there is nothing to make the new one of.
    case.site(
        &SITE
            .replace("image: bb\n", "image: broken\n")
            .replace("images: {", "images: {broken: {source: {file: broken.tar.xz}}, "),
    );
    case.write("broken.tar.xz", "no image");
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    failed.says("images.broken").says_not("instances.one stopped");
    assert_eq!(case.get("instances/one"), before);
    case.site(SITE);
    case.destroy(&["--delete-data"]);
}
