//! A client certificate that is restricted to some projects: what it may do it does, what it shares it leaves alone.

use serde_json::Value;

use crate::bed::{self, Case, lxc};

/// A case whose project an administrator has made, and who is enrolled as `dc` with a certificate for it alone.
fn enrolled(name: &str, project_config: &[&str]) -> Case {
    let case = Case::new(name);
    // Of an earlier run on the same bed.
    for row in bed::certificates().into_iter().filter(|row| row["name"] == case.name.as_str()) {
        lxc(&["config", "trust", "remove", row["fingerprint"].as_str().unwrap()]).exits(0);
    }
    let mut create = vec!["project", "create", case.name.as_str()];
    create.extend(project_config.iter().flat_map(|entry| ["-c", entry]));
    lxc(&create).exits(0);
    let token = bed::token(&case.name, &["--restricted", "--projects", &case.name]);
    case.run(&["remote", "add", "dc", &token]).exits(0);
    case
}

/// The objects as the administrator sees them, without who uses them.
fn seen(paths: &[String], with_users: bool) -> Vec<Value> {
    let read = |path: &String| {
        let mut object = lxc(&["query", &format!("/1.0/{path}")]).exits(0).json();
        if !with_users {
            object.as_object_mut().unwrap().remove("used_by");
        }
        object
    };
    paths.iter().map(read).collect()
}

const SITE: &str = r#"
remote: dc
storage_pools: {"@NAME@": {driver: dir, description: not theirs}}
network_acls: {"@NAME@": {project: default, ingress: [{action: drop}]}}
networks: {"@BRIDGE@": {project: default, description: not theirs, config: {ipv4.address: 10.210.0.1/24}}}
images: {bb: {source: {file: busybox.tar.xz}, aliases: [bb]}}
storage_volumes: {v: {pool: "@NAME@"}}
profiles:
  base:
    config: {limits.memory: 256MiB}
    devices: {root: {type: disk, path: /, pool: "@NAME@"}, eth0: {type: nic, network: "@BRIDGE@"}}
instances:
  one: {image: bb, profiles: [base], stop_timeout: 0s, ready: [ipv4, {exec: [test, -e, /etc/passwd], timeout: 20s}], devices: {v: {type: disk, pool: "@NAME@", source: v, path: /v}}}
"#;

#[test]
fn it_runs_a_site_in_its_project_and_leaves_alone_what_it_shares() {
    let case = enrolled("narrow", &["restricted=true", "restricted.devices.nic=allow"]);
    let name = case.name.clone();
    lxc(&["storage", "create", &name, "dir"]).exits(0);
    lxc(&["network", "acl", "create", &name]).exits(0);
    lxc(&["network", "acl", "rule", "add", &name, "ingress", "action=allow"]).exits(0);
    let address = format!("ipv4.address={}.1/24", case.net);
    lxc(&["network", "create", &case.bridge, &address, "ipv6.address=none", "user.theirs=1"]).exits(0);
    let mut shared = vec![format!("storage-pools/{name}"), format!("network-acls/{name}")];
    shared.extend([format!("networks/{}", case.bridge), format!("projects/{name}")]);
    let before = (seen(&shared, true), seen(&shared, false));

    case.site(SITE);
    let plan = case.plan(&[]);
    let made = ["storage_volumes.v", "profiles.base", "images.bb", "instances.one"];
    assert_eq!(plan.actions(), made.map(|address| format!("{address}: create")));
    assert_eq!(plan.notes(), ["restricted", "restricted", "restricted"]);
    case.run(&["plan", "site.yaml"]).exits(0).says(&format!("networks.{}: shared with others", case.bridge));
    case.apply(&[]).says("instances.one ready");
    assert_eq!(case.get("instances/one")["status"], "Running");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    let status = case.run(&["status", "site.yaml"]).exits(0);
    status.says("Running").says(&case.net).says("in step");

    // What is its own it changes, and keeps in step.
    case.lxc(&["profile", "set", "base", "limits.memory=1GiB"]);
    case.site(&SITE.replace("source: v, path: /v", "source: v, path: /w"));
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["profiles.base: update", "instances.one: update"]);
    assert_eq!(plan.leaf("profiles.base", "config.limits.memory")["drift"], true);
    case.apply(&[]);
    assert_eq!(case.get("profiles/base")["config"]["limits.memory"], "256MiB");
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    assert_eq!(seen(&shared, false), before.1);

    // What only reads does so with what it may see.
    case.run(&["drift", "site.yaml"]).exits(0).says("No drift");
    case.write("live.json", &case.run(&["dump", "site.yaml"]).exits(0).stdout);
    let plan = |more: &[&str]| case.run(&[&["plan", "site.yaml", "--format", "json"], more].concat()).exits(0).stdout;
    assert_eq!(plan(&["--live", "live.json"]), plan(&[]));
    let export = ["export", "--remote", "dc", "--project", &name, "--site", &name];
    case.write("exported.yaml", &case.run(&export).exits(0).stdout);
    case.run(&["plan", "exported.yaml", "--detailed-exitcode"]).exits(0);

    // And takes it away again, and nothing else.
    let destroyed = case.destroy(&["--delete-data"]);
    destroyed.says(&format!("networks.{} stays", case.bridge)).says(&format!("storage_pools.{name} stays"));
    for path in ["instances/one", "profiles/base", "images/aliases/bb"] {
        assert!(case.try_get(path).is_none(), "{path} is left");
    }
    assert_eq!(seen(&shared, true), before.0);
    lxc(&["network", "delete", &case.bridge]).exits(0);
    lxc(&["network", "acl", "delete", &name]).exits(0);
    lxc(&["storage", "delete", &name]).exits(0);
    lxc(&["project", "delete", &name]).exits(0);
}

#[test]
fn what_it_shares_and_is_not_there_is_for_an_administrator_to_make() {
    let case = enrolled("noshared", &[]);
    case.site(
        r#"
remote: dc
storage_pools: {"@NAME@": {driver: dir}}
networks: {"@BRIDGE@": {project: default, config: {ipv4.address: @NET@.1/24, ipv6.address: none}}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: "@NAME@"}}}}
"#,
    );
    assert_eq!(case.refusals(&[]), ["restricted", "restricted"]);
    let refused = case.run(&["apply", "site.yaml", "--yes"]).exits(1).says("nothing is written").says("is restricted");
    let refused = refused.says(&format!("lxdeploy apply SITE --target networks.{}", case.bridge));
    refused.says(&format!("--target storage_pools.{}", case.name));
    // The remedy works, and what it made is shared from then on.
    let targets = [format!("networks.{}", case.bridge), format!("storage_pools.{}", case.name)];
    let administrator = |command: &str| {
        let words =
            [command, "site.yaml", "--yes", "--remote", "local", "--target", &targets[0], "--target", &targets[1]];
        case.run(&words).exits(0);
    };
    administrator("apply");
    case.apply(&[]).says("profiles.base created").says("shared with others");
    case.destroy(&[]).says("profiles.base deleted");
    assert!(case.try_get(&format!("storage-pools/{}", case.name)).is_some());
    administrator("destroy");
    assert!(case.try_get(&format!("storage-pools/{}", case.name)).is_none());
    lxc(&["project", "delete", &case.name]).exits(0);
}

#[test]
fn a_project_that_it_may_not_see_is_named_with_the_remedy() {
    let case = enrolled("unseen", &[]);
    let other = format!("{}-2", case.name);
    let fingerprint = bed::certificates().into_iter().find(|row| row["name"] == case.name.as_str()).unwrap();
    let fingerprint = fingerprint["fingerprint"].as_str().unwrap()[..12].to_owned();
    for project in ["default", other.as_str()] {
        case.write("site.yaml", &format!("site: @NAME@\nremote: dc\nproject: {project}\nprofiles: {{base: {{}}}}\n"));
        assert_eq!(case.refusals(&[]), ["restricted"]);
        for command in ["apply", "destroy"] {
            let refused = case.run(&[command, "site.yaml", "--yes"]).exits(1);
            let refused = refused.says(&format!("not `{project}`")).says(&format!("`{}`", case.name));
            refused.says(&format!("config trust edit {fingerprint}"));
        }
    }
    // It may not make one either, nor change its own.
    case.site(
        "remote: dc\nprojects: {\"@NAME@\": {config: {limits.memory: 1GiB}}, \"@NAME@-2\": {}}\nprofiles: {base: {}}\n",
    );
    assert_eq!(case.refusals(&[]), ["restricted"]);
    case.site("remote: dc\nprojects: {\"@NAME@\": {config: {limits.memory: 1GiB}}}\nprofiles: {base: {}}\n");
    let plan = case.plan(&[]);
    assert_eq!((plan.actions(), plan.notes()), (vec!["profiles.base: create".to_owned()], vec!["restricted"]));
    case.apply(&[]).says("limits.memory differs from the file");
    // A project that carries the site's stamp stays as well.
    lxc(&["project", "set", &case.name, &format!("user.lxdeploy.site={}", case.name)]).exits(0);
    lxc(&["project", "set", &case.name, &format!("user.lxdeploy.id=default/projects.{}", case.name)]).exits(0);
    case.destroy(&[]).says(&format!("projects.{} stays", case.name)).says("profiles.base deleted");
    lxc(&["project", "delete", &case.name]).exits(0);
}

#[test]
fn what_a_project_has_no_feature_for_is_shared_too() {
    let features = ["features.images=false", "features.profiles=false", "features.storage.volumes=false"];
    let case = enrolled("noimages", &features);
    case.repack("touch x/rootfs/root/shared");
    let site = "remote: dc\nimages: {bb: {source: {file: busybox.tar.xz}, aliases: [t-noimages]}}\n\
        storage_volumes: {t-noimages: {pool: default, description: not theirs}}\n\
        profiles: {t-noimages: {description: not theirs, devices: {root: {type: disk, path: /, pool: default}}}}\n\
        instances: {one: {image: bb, state: stopped, profiles: [t-noimages]}}\n";
    case.site(site);
    assert_eq!(case.refusals(&[]), ["restricted", "restricted", "restricted"]);
    let refused = case.run(&["apply", "site.yaml", "--yes"]).exits(1).says("image import").says("is restricted");
    refused.says("nothing is written");
    let tarball = case.path("busybox.tar.xz");
    lxc(&["image", "import", tarball.to_str().unwrap(), "--alias", "t-noimages"]).exits(0);
    let target = lxc(&["query", "/1.0/images/aliases/t-noimages"]).exits(0).json()["target"].clone();
    lxc(&["profile", "create", "t-noimages"]).exits(0);
    lxc(&["profile", "device", "add", "t-noimages", "root", "disk", "path=/", "pool=default"]).exits(0);
    lxc(&["storage", "volume", "create", "default", "t-noimages"]).exits(0);
    let shared = [
        format!("images/{}", target.as_str().unwrap()),
        "profiles/t-noimages".to_owned(),
        "storage-pools/default/volumes/custom/t-noimages".to_owned(),
    ];
    let before = seen(&shared, true);
    let applied = case.apply(&[]).says("instances.one created").says("images.bb: shared with others");
    applied.says("without a lock, since the profiles of the project `t-noimages` lie in `default`");
    assert!(!lxc(&["query", "/1.0/profiles"]).exits(0).stdout.contains("lxdeploy-lock-t-noimages-"));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    assert_eq!(case.get("instances/one")["config"]["volatile.base_image"], target);
    // By its alias it is found as well.
    case.site(&site.replace("image: bb", "image: t-noimages"));
    assert_eq!(case.plan(&[]).actions(), ["instances.one: replace"]);
    case.apply(&[]);
    case.destroy(&["--delete-data"]).says("images.bb stays").says("profiles.t-noimages stays");
    // Its use is dated in it.
    let mut after = seen(&shared, true);
    after[0]["last_used_at"] = before[0]["last_used_at"].clone();
    assert_eq!(after, before);
    lxc(&["image", "delete", "t-noimages"]).exits(0);
    lxc(&["profile", "delete", "t-noimages"]).exits(0);
    lxc(&["storage", "volume", "delete", "default", "t-noimages"]).exits(0);
    lxc(&["project", "delete", &case.name]).exits(0);
}

#[test]
fn what_a_restricted_project_forbids_is_explained() {
    let case = enrolled("forbids", &["restricted=true"]);
    case.site(
        "remote: dc\ninstances:\n  \
         nests: {state: stopped, config: {security.nesting: true}, devices: {root: {type: disk, path: /, pool: default}}}\n  \
         proxies: {state: stopped, devices: {root: {type: disk, path: /, pool: default}, p: {type: proxy, listen: \"tcp:127.0.0.1:4712\", connect: \"tcp:127.0.0.1:80\"}}}\n",
    );
    let failed = case.run(&["apply", "site.yaml", "--yes"]).exits(1);
    let failed = failed
        .says("Container nesting is forbidden")
        .says(&format!("project set {} restricted.containers.nesting", case.name));
    failed.says("restricted.devices.proxy");
    lxc(&["project", "delete", &case.name]).exits(0);
}
