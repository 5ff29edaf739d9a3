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

    // What is nobody's beside it stays so, unless it is asked for.
    case.lxc(&["profile", "create", "nobodys"]);
    let beside = case.run(&["export", "--project", name, "--site", name]).exits(0);
    assert!(beside.stdout.contains("# - profiles.nobodys: it is nobody's"), "{}", beside.stdout);
    let asked = case.run(&["export", "--project", name, "--site", name, "--with", "profiles.nobodys"]).exits(0);
    assert!(asked.stdout.contains("\n  nobodys: {}\n"), "{}", asked.stdout);
    case.lxc(&["profile", "delete", "nobodys"]);

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
fn what_people_made_by_hand_is_written_as_it_is() {
    let case = Case::new("byhand");
    let (name, bridge) = (case.name.as_str(), case.bridge.as_str());
    let address = format!("ipv4.address={}.1/24", case.net);
    lxc(&["project", "create", name]).exits(0);
    lxc(&["network", "acl", "create", name]).exits(0);
    let rule = ["action=allow", "protocol=tcp", "destination_port=80,443", "description=the web: http, https"];
    lxc(&[&["network", "acl", "rule", "add", name, "ingress"], &rule[..]].concat()).exits(0);
    let acl = format!("security.acls={name}");
    lxc(&["network", "create", bridge, &address, "ipv6.address=none", "ipv4.nat=yes", &acl]).exits(0);
    case.lxc(&["profile", "device", "add", "default", "root", "disk", "path=/", "pool=default"]);
    case.lxc(&["profile", "create", "odd name"]);
    case.lxc(&[
        "profile",
        "set",
        "odd name",
        "limits.memory=50%",
        "user.json={\"a\": [1, \"#\"]}",
        "user.n=0644",
        "user.yes=yes",
    ]);
    case.lxc(&["storage", "volume", "create", "default", "data", "size=64MB", "user.note=it's \"so\""]);
    case.lxc(&["storage", "volume", "snapshot", "default", "data"]);
    case.lxc(&["image", "import", case.path("busybox.tar.xz").to_str().unwrap()]);
    let image = case.get("images")[0].as_str().unwrap().rsplit('/').next().unwrap()[..12].to_owned();
    case.lxc(&["launch", &image, "frozen", "-n", bridge, "-c", "limits.cpu=1", "-c", "environment.PS1=$ "]);
    case.lxc(&["pause", "frozen"]);
    case.lxc(&["init", &image, "off", "-p", "odd name", "-p", "default", "-c", "security.nesting=1"]);
    case.lxc(&[
        "config",
        "device",
        "add",
        "off",
        "web",
        "proxy",
        "listen=tcp:127.0.0.1:18080",
        "connect=tcp:127.0.0.1:80",
    ]);
    case.lxc(&["config", "device", "add", "off", "data", "disk", "pool=default", "source=data", "path=/data"]);
    case.lxc(&[
        "config",
        "set",
        "off",
        "user.user-data=#cloud-config\n# {% if x %} {# y #}\nruncmd: []\n",
        "user.tabs=a\tb\n",
    ]);
    let file = case.run(&[
        "export",
        "--project",
        name,
        "--with",
        &format!("networks.{bridge}"),
        "--with",
        &format!("network_acls.{name}"),
    ]);
    let file = file.exits(0);
    case.write("site.yaml", &file.stdout);
    case.run(&["validate", "site.yaml"]).exits(0).says_not("warning");
    let plan = case.plan(&["--adopt", "all"]);
    for change in plan.0["changes"].as_array().unwrap() {
        assert_eq!((&change["action"], &change["diff"]), (&"adopt".into(), &serde_json::json!([])), "{change:#}");
    }
    let mut actions = plan.actions();
    actions.sort();
    let expected = [
        "instances.frozen: adopt",
        "instances.off: adopt",
        "network_acls.t-byhand: adopt",
        "networks.t-byhand: adopt",
        "profiles.default: adopt",
        "profiles.odd name: adopt",
        "projects.t-byhand: adopt",
        "storage_volumes.data: adopt",
    ];
    assert_eq!((actions, plan.notes()), (expected.map(str::to_owned).to_vec(), vec![]), "{}", file.stdout);
    for line in [
        "    state: unmanaged\n",
        "    state: stopped\n",
        "      user.yes: \"yes\"\n",
        &format!("    source: {{fingerprint: {image}"),
    ] {
        assert!(file.stdout.contains(line), "{line} is not in\n{}", file.stdout);
    }
    case.apply(&["--adopt", "all"]);
    assert_eq!(case.get("instances/frozen")["status"], "Frozen", "adopting starts and stops nothing");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // Exported again as its own, it says the same.
    let again = case.run(&["export", "--project", name, "--site", name]).exits(0);
    assert_eq!(again.stdout, file.stdout);
    case.lxc(&["delete", "-f", "frozen", "off"]);
    case.lxc(&["image", "delete", &image]);
    case.destroy(&["--delete-data"]);
    assert!(case.try_get(&format!("projects/{name}")).is_none());
}

#[test]
fn the_whole_of_default_is_exported_too() {
    let case = Case::new("whole");
    let file = case.run(&["export"]).exits(0);
    assert!(file.stdout.contains("site: default\n") && file.stdout.contains("storage_pools:\n"), "{}", file.stdout);
    case.write("site.yaml", &file.stdout);
    case.run(&["validate", "site.yaml"]).exits(0);
}
