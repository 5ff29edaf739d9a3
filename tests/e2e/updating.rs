//! Updates in place: every kind, and what each change does to what runs.

use crate::applying::EVERYTHING;
use crate::bed::Case;

#[test]
fn every_kind_is_updated_in_place() {
    let case = Case::new("update");
    case.site(EVERYTHING);
    case.apply(&[]);
    let started = |name: &str| case.get(&format!("instances/{name}"))["last_used_at"].clone();
    let before = started("api-1");
    let edits = [
        ("a test's, config: {features.images: true", "changed, config: {user.note: x, features.images: true"),
        ("dir, description: of a test", "dir, description: pool, config: {user.note: x}"),
        ("description: data, config: {size: 1GiB}", "description: more, config: {size: 2GiB}"),
        ("description: who may", "description: who else may"),
        ("destination_port: \"443, 8443\"", "destination_port: \"443\""),
        ("ipv4.nat: yes", "ipv4.nat: no, dns.domain: example"),
        ("limits.memory: 256MiB", "limits.memory: 128MiB"),
        ("properties: {purpose: tests}", "properties: {purpose: changed}"),
        ("aliases: [tests/busybox]", "aliases: [tests/other]"),
        ("user.role: api", "user.role: changed"),
    ];
    let mut text = std::fs::read_to_string(case.path("site.yaml")).unwrap();
    for (old, new) in edits {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    case.write("site.yaml", &text);
    let plan = case.plan(&[]);
    let updates = [
        "projects.t-update",
        "storage_pools.t-update",
        "storage_volumes.cache",
        "network_acls.t-update",
        "networks.t-update",
        "profiles.base",
        "images.busybox",
        "instances.api-1",
        "instances.api-2",
    ];
    assert_eq!(plan.actions(), updates.map(|address| format!("{address}: update")));
    for address in updates {
        let change = plan.change(address);
        assert_eq!(change["drift"], false, "{address}");
        for field in change["diff"].as_array().unwrap() {
            assert_eq!(field["effect"], "live", "{address}: {field}");
        }
    }
    // A profile's edit names the running instances that it reaches, and so does a network's.
    let all = serde_json::json!(["instances.api-1", "instances.api-2", "instances.memcached"]);
    assert_eq!(plan.change("profiles.base")["affects"], all);
    assert_eq!(plan.change("networks.t-update")["affects"], all);
    case.apply(&[]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    assert_eq!(case.get("storage-pools/t-update/volumes/custom/cache")["config"]["size"], "2GiB");
    assert_eq!(case.get("instances/api-1")["expanded_config"]["limits.memory"], "128MiB");
    assert_eq!(case.get("instances/api-1")["config"]["user.role"], "changed");
    assert!(case.try_get("images/aliases/tests%2Fbusybox").is_none());
    assert!(case.try_get("images/aliases/tests%2Fother").is_some());
    assert_eq!(started("api-1"), before, "nothing was restarted");
    case.destroy(&["--delete-data"]);
}

const ONE: &str = r#"
projects: {"@NAME@": {}}
profiles:
  base: {config: {user.a: one}, devices: {root: {type: disk, path: /, pool: default}}}
instances:
  one: {image: bb, profiles: [base], stop_timeout: 0s, config: {}}
  idle: {image: bb, profiles: [base], stop_timeout: 0s, state: stopped}
images: {bb: {source: {file: busybox.tar.xz}}}
"#;

#[test]
fn a_restart_only_where_lxd_needs_one() {
    let case = Case::new("restart");
    case.site(ONE);
    case.apply(&[]);
    let pid = || case.get("instances/one/state")["pid"].as_i64().unwrap();
    let first = pid();
    case.site(&ONE.replace("config: {}", "config: {limits.cpu: 1}"));
    assert_eq!(case.plan(&[]).leaf("instances.one", "config.limits.cpu")["effect"], "live");
    case.apply(&[]).says_not("restart");
    assert_eq!(pid(), first);

    // Of the instance itself.
    let nesting = ONE.replace("config: {}", "config: {security.privileged: true}");
    case.site(&nesting);
    let plan = case.plan(&[]);
    assert_eq!(plan.leaf("instances.one", "config.security.privileged")["effect"], "restart");
    case.run(&["plan", "site.yaml"]).exits(0).says("needs a restart");
    case.apply(&[]).says("instances.one restarted");
    let second = pid();
    assert_ne!(second, first);

    // Of its profile: what is stopped needs none.
    case.site(&nesting.replace("user.a: one", "user.a: one, security.nesting: true"));
    case.apply(&[]);
    case.site(&nesting.replace("user.a: one", "security.syscalls.intercept.mknod: true"));
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["profiles.base: update", "instances.one: update"]);
    assert_eq!(plan.change("instances.one")["reason"]["code"], "profile-changed");
    case.apply(&[]).says("instances.one restarted").says_not("instances.idle restarted");
    assert_ne!(pid(), second);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn a_changed_key_does_not_replace_what_lxd_can_update_and_an_image_does() {
    let case = Case::new("replace");
    case.site(ONE);
    case.apply(&[]);
    let uuid = || case.get("instances/one")["config"]["volatile.uuid"].clone();
    let first = uuid();
    case.site(&ONE.replace("config: {}", "config: {limits.memory: 64MiB, boot.autostart: true}, description: changed"));
    case.apply(&[]);
    assert_eq!(uuid(), first);

    case.run(&["plan", "site.yaml", "--replace", "instances.one"]).exits(0).says("-/+ instances.one");
    case.apply(&["--replace", "instances.one"]);
    let second = uuid();
    assert_ne!(second, first);

    // The same content under another name: what counts is what the file says.
    let images = case.get("images");
    let fingerprint = images[0].as_str().unwrap().rsplit('/').next().unwrap();
    case.site(&ONE.replace("one: {image: bb", &format!("one: {{image: {fingerprint}")));
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["instances.one: replace"]);
    assert_eq!(plan.leaf("instances.one", "image")["effect"], "replace");
    case.run(&["plan", "site.yaml"]).says("forces replacement: the file names another image");
    case.apply(&[]);
    assert_ne!(uuid(), second);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn power_is_part_of_the_site_and_unmanaged_is_the_operators() {
    let case = Case::new("power");
    case.site(ONE);
    case.apply(&[]);
    case.lxc(&["stop", "-f", "one"]);
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["instances.one: update"]);
    assert_eq!(plan.change("instances.one")["drift"], true);
    case.apply(&[]).says("instances.one started");
    case.site(&ONE.replace("stop_timeout: 0s, config", "stop_timeout: 0s, state: stopped, config"));
    case.apply(&[]).says("instances.one stopped");
    assert_eq!(case.get("instances/one")["status"], "Stopped");
    case.site(&ONE.replace("stop_timeout: 0s, config", "stop_timeout: 0s, state: unmanaged, config"));
    case.apply(&[]);
    assert_eq!(case.get("instances/one")["status"], "Stopped");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.site(ONE);
    case.apply(&[]);
    case.lxc(&["pause", "one"]);
    case.apply(&[]);
    assert_eq!(case.get("instances/one")["status"], "Running");
    case.destroy(&[]);
}

#[test]
fn a_rename_stops_and_keeps_what_is_inside() {
    let case = Case::new("rename");
    case.site(ONE);
    case.apply(&[]);
    case.lxc(&["exec", "one", "--", "touch", "/root/kept"]);
    case.site(&ONE.replace("one: {image", "uno: {renamed_from: one, image"));
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["instances.uno: rename"]);
    case.run(&["plan", "site.yaml"]).says("stop");
    case.apply(&[]);
    case.lxc(&["exec", "uno", "--", "test", "-e", "/root/kept"]);
    assert!(case.try_get("instances/one").is_none());
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn an_images_files_change() {
    let case = Case::new("refile");
    case.site(&ONE.replace("source: {file: busybox.tar.xz}", "source: {file: busybox.tar.xz}, aliases: [base]"));
    case.apply(&[]);
    let old = case.get("images/aliases/base")["target"].clone();
    case.repack("touch x/rootfs/root/second");
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["images.bb: replace"]);
    assert!(plan.notes().contains(&"alias-moved"), "{:?}", plan.notes());
    case.apply(&[]);
    assert_ne!(case.get("images/aliases/base")["target"], old);
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec!["alias-moved", "alias-moved"]));
    case.site(
        &ONE.replace("source: {file: busybox.tar.xz}", "source: {file: busybox.tar.xz}, aliases: [base]")
            .replace("one: {image", "one: {follow_image: true, image"),
    );
    assert_eq!(case.plan(&[]).actions(), ["instances.one: replace"]);
    case.apply(&[]);
    case.lxc(&["exec", "one", "--", "test", "-e", "/root/second"]);
    case.destroy(&[]);
}
