//! A site file of what lives at the server: it is adopted as it is.

use crate::bed::{Case, lxc};

/// The quickstart's topology, with the small image and without what needs its services.
const QUICKSTART: &str = r#"
vars: {subnet: "@NET@"}
projects:
  "@NAME@":
    description: As the quickstart has it
    config: {features.images: true, features.profiles: true, features.storage.volumes: true, features.networks: false}
storage_pools: {"@NAME@": {driver: dir}}
networks:
  "@BRIDGE@":
    project: default
    type: bridge
    config: {ipv4.address: "{{ subnet }}.1/24", ipv4.dhcp.ranges: "{{ subnet }}.100-{{ subnet }}.199", ipv4.nat: true, ipv6.address: none, dns.domain: lxd}
storage_volumes: {data: {pool: "@NAME@", config: {size: 1GiB}}}
profiles:
  base:
    config: {limits.memory: 256MiB}
    devices: {root: {type: disk, path: /, pool: "@NAME@"}, eth0: {type: nic, network: "@BRIDGE@"}}
images: {base: {source: {file: busybox.tar.xz}}}
instances:
  memcached: {image: base, profiles: [base], stop_timeout: 0s, ready: [ipv4]}
  api: {image: base, profiles: [base], count: 2, depends_on: [instances.memcached], stop_timeout: 0s, state: stopped}
  proxy:
    image: base
    profiles: [base]
    depends_on: [instances.api]
    stop_timeout: 0s
    config: {cloud-init.user-data: "{% raw %}## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}\n{% endraw %}"}
    devices: {eth0: {ipv4.address: "{{ subnet }}.10"}}
"#;

/// Takes every stamp of a site away, as if the objects had been made by hand.
fn by_hand(case: &Case) {
    let unset = |project: &str, words: &[&str]| {
        for key in ["site", "id", "record"] {
            let key = format!("user.lxdeploy.{key}");
            let all = [&["--project", project], words, &[key.as_str()]].concat();
            lxc(&all).exits(0);
        }
    };
    let name = case.name.as_str();
    unset("default", &["project", "unset", name]);
    unset("default", &["storage", "unset", name]);
    unset("default", &["network", "unset", &case.bridge]);
    unset(name, &["storage", "volume", "unset", name, "data"]);
    unset(name, &["profile", "unset", "base"]);
    for instance in ["memcached", "api-1", "api-2", "proxy"] {
        unset(name, &["config", "unset", instance]);
    }
    let fingerprint =
        case.get("images")[0].as_str().unwrap().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    case.lxc(&["image", "unset-property", &fingerprint, &format!("lxdeploy.{name}")]);
}

#[test]
fn the_quickstarts_server_is_adopted_and_plans_to_no_change() {
    let case = Case::new("export");
    case.site(QUICKSTART);
    case.apply(&[]);

    // Of the very site: as it was applied, so nothing is to be done.
    let name = case.name.as_str();
    let own = case.run(&["export", "--project", name, "--site", name]).exits(0);
    case.write("site.yaml", &own.stdout);
    case.run(&["validate", "site.yaml"]).exits(0).says_not("warning");
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec![]), "{}", own.stdout);
    assert!(own.stdout.contains(&format!("  {}:\n    project: default\n", case.bridge)), "{}", own.stdout);

    // To another site it is somebody's.
    let other = case.run(&["export", "--project", name, "--site", "somebody"]).exits(0);
    assert!(other.stdout.contains(&format!("# - instances.proxy: it is the site {name}'s")), "{}", other.stdout);
    assert!(!other.stdout.contains("instances:\n"), "{}", other.stdout);

    // Of nobody: every object is adopted, and no leaf of it changes.
    by_hand(&case);
    let with = [format!("storage_pools.{name}"), format!("networks.{}", case.bridge)];
    let file = case.run(&["export", "--project", name, "--with", &with[0], "--with", &with[1]]).exits(0);
    case.write("site.yaml", &file.stdout);
    let plan = case.plan(&["--adopt", "all"]);
    let changes = plan.0["changes"].as_array().unwrap();
    for change in changes {
        assert_eq!((&change["action"], &change["diff"]), (&"adopt".into(), &serde_json::json!([])), "{change:#}");
    }
    assert_eq!((changes.len(), plan.notes()), (9, vec![]), "{}", file.stdout);
    assert!(file.stdout.contains(&format!("eth0: {{ipv4.address: {}.10}}", case.net)), "{}", file.stdout);
    assert!(
        file.stdout.contains("        hostname: {{ v1.local_hostname }}\n        {% endraw %}\n"),
        "{}",
        file.stdout
    );
    case.apply(&["--adopt", "all"]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // The image must be there, and is nobody's to delete.
    let image = case.get("images")[0].as_str().unwrap().rsplit('/').next().unwrap()[..12].to_owned();
    case.lxc(&["image", "delete", &image]);
    case.destroy(&["--delete-data", "--force-stop"]);
    assert!(case.try_get(&format!("projects/{name}")).is_none());
}

#[test]
fn what_the_server_provides_is_external() {
    let case = Case::new("extern");
    lxc(&["project", "create", &case.name, "-c", "features.images=false"]).exits(0);
    case.lxc(&["init", "--empty", "one", "-s", "default"]);
    let file = case.run(&["export", "--project", &case.name]).exits(0);
    assert!(!file.stdout.contains("storage_pools:") && !file.stdout.contains("networks:"), "{}", file.stdout);
    case.write("site.yaml", &file.stdout);
    let plan = case.plan(&["--adopt", "all"]);
    assert_eq!(plan.actions(), ["projects.t-extern: adopt", "instances.one: adopt"], "{}", file.stdout);
    assert!(plan.paths("projects.t-extern").is_empty() && plan.paths("instances.one").is_empty());
    case.apply(&["--adopt", "all"]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
    case.run(&["export", "--project", "t-nosuch"]).exits(1).says("there is no project `t-nosuch`");
}

#[test]
fn the_whole_of_default_is_exported_too() {
    let case = Case::new("whole");
    let file = case.run(&["export"]).exits(0);
    assert!(file.stdout.contains("site: default\n") && file.stdout.contains("storage_pools:\n"), "{}", file.stdout);
    case.write("site.yaml", &file.stdout);
    case.run(&["validate", "site.yaml"]).exits(0);
}
