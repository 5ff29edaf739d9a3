//! LXD's words come first, then what they leave out: by whom, how much, and the command that helps.

use std::process::{Command, Stdio};

use crate::bed::{Case, directory, finish, lxc, program};

const BASE: &str = r#"
projects: {"@NAME@": {config: {features.images: false}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
"#;

#[test]
fn what_is_in_use_is_told_with_its_users() {
    let case = Case::new("users");
    case.site(
        r#"
projects: {"@NAME@": {config: {features.images: false}}}
storage_pools: {"@NAME@": {driver: dir}}
network_acls: {"@NAME@": {}}
networks: {"@BRIDGE@": {project: default, config: {ipv4.address: @NET@.1/24, ipv6.address: none}}}
profiles: {base: {}}
"#,
    );
    case.apply(&[]);
    case.lxc(&["init", "--empty", "theirs", "--profile", "base", "-s", "t-users", "-n", "t-users"]);
    lxc(&["network", "create", "t-users2", "ipv4.address=none", "ipv6.address=none", "security.acls=t-users"]).exits(0);
    let mut failed = case.run(&["destroy", "site.yaml", "--yes"]).exits(1);
    for (words, user, help) in [
        ("Profile is currently in use", "the instance theirs (project t-users)", "profile show base` lists them"),
        ("The network is currently in use", "the instance theirs (project t-users)", "network show t-users`"),
        ("The storage pool is currently in use", "the instance theirs (project t-users)", "storage show t-users`"),
        ("Cannot delete an ACL that is in use", "the network t-users2", "network acl show t-users`"),
    ] {
        failed =
            failed.says(words).says(&format!("| it is used by {user}")).says(&format!("help: `{} {help}", program()));
    }
    case.lxc(&["delete", "theirs"]);
    lxc(&["network", "delete", "t-users2"]).exits(0);
    case.lxc(&["init", "--empty", "theirs", "-s", "default"]);
    let failed = case.run(&["destroy", "site.yaml", "--yes"]).exits(1);
    failed.says("Only empty projects can be removed").says("| in it are the instance theirs (project t-users)");
    case.lxc(&["delete", "theirs"]);
    case.destroy(&[]);
}

#[test]
fn who_has_an_address_or_a_name_on_a_bridge_is_told_across_projects() {
    let case = Case::new("bridge");
    let site = |device: &str| {
        format!(
            r#"{BASE}
networks: {{"@BRIDGE@": {{project: default, config: {{ipv4.address: @NET@.1/24, ipv6.address: none}}}}}}
images: {{bb: {{project: default, source: {{file: busybox.tar.xz}}}}}}
instances: {{one: {{image: bb, profiles: [base], stop_timeout: 0s, devices: {{eth0: {{type: nic, network: "@BRIDGE@"{device}}}}}}}}}
"#
        )
    };
    case.site(&site(""));
    case.apply(&["--exclude", "instances.one"]);
    lxc(&["project", "create", "t-bridge2", "-c", "features.images=false"]).exits(0);
    let net = case.net.clone();
    let nic = |extra: &[&str]| {
        let network = format!("network={}", case.bridge);
        let all =
            [&["--project", "t-bridge2", "config", "device", "add", "two", "eth0", "nic", &network], extra].concat();
        lxc(&all).exits(0);
    };
    let image =
        lxc(&["query", "/1.0/images"]).exits(0).json()[0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    lxc(&["--project", "t-bridge2", "init", &image, "two", "-s", "default", "--no-profiles"]).exits(0);
    nic(&[&format!("ipv4.address={net}.50"), "hwaddr=00:16:3e:aa:bb:01"]);
    lxc(&["--project", "t-bridge2", "start", "two"]).exits(0);

    case.site(&site(", ipv4.address: @NET@.50"));
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    let failed = failed.says("already defined on another NIC");
    let holder = format!("the instance two (project t-bridge2) has it: its eth0 on the network {}", case.bridge);
    failed.says(&holder).says(&format!(
        "help: give one of them another address; `{} network list-leases {}`",
        program(),
        case.bridge
    ));
    case.site(&site(", hwaddr: \"00:16:3e:aa:bb:01\""));
    case.run(&["apply", "site.yaml", "--yes"])
        .exits(1)
        .says("MAC address")
        .says(&holder)
        .says("take the `hwaddr` away");
    // A name: one bridge has one.
    case.site(&site("").replace("{one: {", "{one: {name: two, "));
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    failed.says("already used on network").says(&holder).says("give this one another `name`");
    // Not of this subnet.
    case.site(&site(", ipv4.address: 10.9.9.9"));
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    failed.says("not within network").says(&format!("has {net}.1/24")).says("help: choose an address in it");
    // A network's own address.
    let both = "networks: {other: {project: default, name: t-bridge3, config: {ipv4.address: @NET@.1/24, ipv6.address: none}}, ";
    case.site(&site("").replace("networks: {", both));
    let failed = case.run(&["apply", "site.yaml", "--yes", "--target", "networks.other"]).exits(1);
    failed
        .says("Address already in use")
        .says(&format!("the network {} has {net}.1/24", case.bridge))
        .says("choose another subnet");
    lxc(&["--project", "t-bridge2", "delete", "-f", "two"]).exits(0);
    lxc(&["project", "delete", "t-bridge2"]).exits(0);
    case.destroy(&[]);
}

#[test]
fn a_full_pool_is_told_with_its_room() {
    let case = Case::new("full");
    // As the daemon sees it: it may live in a mount namespace of its own.
    let pid = std::fs::read_to_string(directory().join("lxd.pid")).unwrap();
    let inside = |command: &[&str]| {
        let status = Command::new("nsenter").args(["--mount", "--target", pid.trim()]).args(command).status().unwrap();
        assert!(status.success(), "{command:?}");
    };
    let disk = case.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let disk = disk.to_str().unwrap();
    inside(&["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk]);
    inside(&["mkdir", &format!("{disk}/pool")]);
    case.repack("dd if=/dev/zero of=x/rootfs/root/blob bs=1M count=12 status=none");
    let site = BASE.replace("pool: default", "pool: \"@NAME@\"");
    case.site(&format!(
        "{site}\nstorage_pools: {{\"@NAME@\": {{driver: dir, config: {{source: {disk}/pool}}}}}}\nimages: {{bb: {{project: default, source: {{file: busybox.tar.xz}}}}}}\ninstances: {{one: {{image: bb, profiles: [base], state: stopped}}}}\n"
    ));
    let failed = case.run(&["apply", "site.yaml", "--yes"]);
    let destroyed = case.run(&["destroy", "site.yaml", "--yes"]);
    inside(&["umount", "-l", disk]);
    let failed = failed.exits(1).says("instances.one: creating");
    failed.says("disk space").says("the pool t-full has ").says("free of 6.0 MiB").says("help: make room");
    destroyed.exits(0);
}

#[test]
fn a_projects_limits_are_explained() {
    let case = Case::new("limits");
    case.site(&format!(
        "{}\nimages: {{bb: {{project: default, source: {{file: busybox.tar.xz}}}}}}\ninstances: {{one: {{image: bb, profiles: [base], state: stopped}}}}\n",
        BASE.replace("features.images: false", "features.images: false, limits.memory: 64MiB")
    ));
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    failed
        .says("has no \"limits.memory\"")
        .says("limits all of its instances together")
        .says(&format!("`{} project show t-limits`", program()));
    case.destroy(&[]);
}

#[test]
fn a_name_that_was_taken_since_is_told_with_its_owner() {
    let case = Case::new("since");
    case.site(&format!(
        r#"{BASE}
images: {{bb: {{project: default, source: {{file: busybox.tar.xz}}}}}}
instances:
  one: {{image: bb, profiles: [base], stop_timeout: 0s, ready: [{{exec: [test, -e, /go]}}]}}
  two: {{image: bb, profiles: [base], state: stopped, depends_on: [instances.one]}}
"#
    ));
    let child = case.command(&["apply", "site.yaml", "--yes"]).stderr(Stdio::piped()).spawn().unwrap();
    while case.try_get("instances/one").is_none_or(|one| one["status"] != "Running") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    case.lxc(&["init", "--empty", "two", "-s", "default"]);
    case.lxc(&["exec", "one", "--", "touch", "/go"]);
    let failed = finish(child).exits(1);
    failed.says("the instance two was made since this was planned, and is nobody's").says("--adopt instances.two");
    case.lxc(&["delete", "two"]);
    case.apply(&[]);
    case.lxc(&["config", "set", "two", "security.protection.delete=true"]);
    case.run(&["destroy", "site.yaml", "--yes"]).exits(1).says("is protected").says("security.protection.delete=false");
    case.lxc(&["config", "set", "two", "security.protection.delete=false"]);
    case.destroy(&[]);
}
