//! Create, and create nothing the second time.

use crate::bed::{self, Case, lifecycle_events};

/// Something of every kind.
pub const EVERYTHING: &str = r#"
projects:
  @NAME@: {description: a test's, config: {features.images: true, features.networks: false}}
storage_pools:
  @NAME@: {driver: dir, description: of a test}
storage_volumes:
  cache: {pool: @NAME@, description: data, config: {size: 1GiB}}
network_acls:
  "@NAME@":
    project: default
    description: who may
    ingress: [{action: allow, protocol: tcp, destination_port: "443, 8443"}, {action: drop, state: logged}]
    egress: []
networks:
  "@BRIDGE@":
    project: default
    type: bridge
    config: {ipv4.address: @NET@.1/24, ipv4.dhcp.ranges: @NET@.100-@NET@.199, ipv4.nat: yes, ipv6.address: none}
profiles:
  base:
    description: common to all
    config: {limits.memory: 256MiB}
    devices:
      root: {type: disk, path: /, pool: @NAME@}
      eth0: {type: nic, network: "@BRIDGE@"}
images:
  busybox: {source: {file: busybox.tar.xz}, aliases: [tests/busybox], description: small, properties: {purpose: tests}, expires_at: "2040-01-01T00:00:00Z", profiles: [base]}
instances:
  memcached: {image: busybox, profiles: [base], stop_timeout: 0s, ready: [ipv4]}
  api:
    count: 2
    image: busybox
    profiles: [base]
    config: {limits.cpu: 1, user.role: api}
    devices:
      eth0: {ipv4.address: "@NET@.{{ 10 + index }}"}
      data: {type: disk, pool: @NAME@, source: cache, path: /data}
    depends_on: [instances.memcached]
    stop_timeout: 0s
    ready: [ipv4, {exec: [test, -e, /etc/passwd], timeout: 20s}]
"#;

#[test]
fn everything_is_made_once_and_goes_again() {
    let case = Case::new("all");
    case.site(EVERYTHING);
    case.run(&["plan", "site.yaml", "--detailed-exitcode"]).exits(2).says("Plan: 10 to create");
    case.apply(&[]).says("instances.api-2 ready");
    let api = case.get("instances/api-1");
    assert_eq!(api["status"], "Running");
    assert_eq!(api["config"]["user.lxdeploy.site"], case.name);
    assert_eq!(api["config"]["user.lxdeploy.id"], format!("{}/instances.api-1", case.name));
    assert_eq!(api["devices"]["eth0"]["ipv4.address"], format!("{}.11", case.net));
    assert!(case.get("storage-pools/t-all/volumes/custom/cache")["used_by"].as_array().unwrap().len() == 2);
    let alias = case.get("images/aliases/tests%2Fbusybox");
    assert_eq!(alias["description"], "lxdeploy");
    let image = case.get(&format!("images/{}", alias["target"].as_str().unwrap()));
    assert_eq!(
        (&image["properties"]["description"], &image["properties"]["purpose"]),
        (&"small".into(), &"tests".into())
    );
    assert_eq!(
        (&image["expires_at"], &image["profiles"]),
        (&"2040-01-01T00:00:00Z".into(), &serde_json::json!(["base"]))
    );

    // The second time nothing is to be done, and nothing is done.
    case.run(&["plan", "site.yaml", "--detailed-exitcode"]).exits(0).says("No changes.");
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), Vec::<String>::new());
    assert_eq!(plan.0["summary"]["unchanged"], 10);
    assert_eq!(plan.notes(), Vec::<&str>::new());
    let events = lifecycle_events(&case, || {
        case.apply(&[]).says("No changes.");
    });
    assert_eq!(events, Vec::<serde_json::Value>::new());

    let status = case.run(&["status", "site.yaml"]).exits(0).says("in step");
    for row in ["memcached", "api-1", "api-2"] {
        let line = status.stdout.lines().find(|line| line.contains(row)).unwrap();
        assert!(line.contains("Running") && line.contains(&case.net) && line.contains("in step"), "{line}");
        if let Some(index) = row.strip_prefix("api-") {
            assert!(line.contains(&format!("{}.1{index} ", case.net)), "{line}");
        }
    }

    // Data stays unless it is named, and what holds it.
    case.destroy(&[]).says("storage_volumes.cache is kept");
    assert!(case.try_get("storage-pools/t-all/volumes/custom/cache").is_some());
    assert!(case.try_get("instances/api-1").is_none());
    case.destroy(&["--delete-data"]);
    for path in ["storage-pools/t-all", "projects/t-all", "networks/t-all", "network-acls/t-all"] {
        assert!(case.try_get(path).is_none(), "{path} is left");
    }
    case.destroy(&["--delete-data"]).says("Nothing to destroy");
}

#[test]
fn what_the_server_fills_in_is_no_difference() {
    let case = Case::new("filled");
    // As little as each kind allows.
    case.site(
        r#"
projects: {"@NAME@": {}}
storage_pools: {"@NAME@": {driver: dir}}
storage_volumes: {v: {pool: "@NAME@"}, blob: {pool: "@NAME@", content_type: filesystem}}
network_acls: {"@NAME@": {project: default}}
networks: {"@BRIDGE@": {project: default, config: {ipv4.address: @NET@.1/24}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: "@NAME@"}}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances:
  one: {image: bb, profiles: [base], stop_timeout: 0s}
  two: {image: bb, profiles: [base], state: stopped, config: {limits.memory: 1073741824B, security.nesting: "yes"}}
"#,
    );
    case.apply(&[]);
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec![]));
    // Another spelling of the same value is the same value.
    let text = std::fs::read_to_string(case.path("site.yaml")).unwrap();
    case.write("site.yaml", &text.replace("1073741824B", "1GiB").replace("\"yes\"", "true"));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&["--delete-data"]);
}

#[test]
fn an_image_of_two_files_and_an_instance_without_one() {
    let case = Case::new("split");
    let unpack = std::process::Command::new("sh")
        .args(["-ec", "mkdir x; tar -xJf busybox.tar.xz -C x; tar -cJf meta.tar.xz -C x metadata.yaml; mksquashfs x/rootfs root.squashfs -quiet -no-progress >/dev/null; rm -r x"])
        .current_dir(case.path("."))
        .status();
    assert!(unpack.unwrap().success());
    case.site(
        r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
images: {split: {source: {files: [meta.tar.xz, root.squashfs]}, aliases: [split, other/name]}}
instances:
  made: {image: split, profiles: [base], stop_timeout: 0s}
  by-alias: {image: other/name, profiles: [base], state: stopped, depends_on: [images.split]}
  empty: {profiles: [base], state: stopped}
"#,
    );
    let refused = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    refused.says("there is no image `other/name`").says("nothing is written");
    assert!(case.try_get("projects/t-split").is_none());
    case.apply(&["--exclude", "instances.by-alias"]).says("Partial plan");
    case.apply(&[]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    assert_eq!(case.get("instances/empty")["status"], "Stopped");
    case.destroy(&["--force-stop"]);
    assert!(case.try_get("projects/t-split").is_none());
}

#[test]
fn an_image_that_the_server_fetches_from_another() {
    let case = Case::new("fetched");
    let read = |file: &str| std::fs::read_to_string(bed::directory().join(file)).unwrap().trim().to_owned();
    // The server fetches from its own other self: a project that publishes.
    case.repack("touch x/rootfs/root/fetched");
    let tarball = case.path("busybox.tar.xz");
    bed::lxc(&["image", "import", tarball.to_str().unwrap(), "--alias", "t-fetched", "--alias", "t-again"]).exits(0);
    // Incus does not understand lxc's --public.
    let image = bed::lxc(&["query", "/1.0/images/aliases/t-fetched"]).exits(0).json()["target"].clone();
    let url = format!("/1.0/images/{}", image.as_str().unwrap());
    bed::lxc(&["query", "-X", "PATCH", "-d", r#"{"public": true}"#, &url]).exits(0);
    let url = format!("https://{}", read("https-address"));
    case.run(&["remote", "add", "publisher", &bed::token("publisher", &[])]).exits(0);
    let site = format!(
        r#"
projects: {{"@NAME@": {{}}}}
profiles: {{base: {{devices: {{root: {{type: disk, path: /, pool: default}}}}}}}}
images: {{bb: {{source: {{server: "{url}", protocol: lxd, alias: t-fetched}}, aliases: [bb]}}}}
instances:
  of-the-site: {{image: bb, profiles: [base], state: stopped}}
  of-a-remote: {{image: "publisher:t-fetched", profiles: [base], state: stopped}}
"#
    );
    case.site(&site);
    case.apply(&[]);
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec![]));
    // Another alias is another image to the file, though the same one comes of it: it is not lost.
    case.site(&site.replace("alias: t-fetched", "alias: t-again"));
    assert_eq!(case.plan(&[]).actions(), ["images.bb: replace"]);
    case.apply(&[]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    assert!(case.try_get("images/aliases/bb").is_some());
    case.destroy(&[]);
    bed::lxc(&["image", "delete", "t-fetched"]).exits(0);
}
