//! The format's own example.

use std::time::Duration;

use super::*;
use crate::kinds::image::Source;
use crate::kinds::{Condition, ImageRef, Power};
use crate::model::Address;

/// As the format's own document has it.
pub const SITE: &str = r#"# yaml-language-server: $schema=site.schema.json
format: 1                       # absent = 1
site: acme
remote: acme-dc
server_fingerprint: 3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3F:0C
project: default
extends: ../platform/standard.yaml
inputs: {api_count: 2, domain: api.acme.example}   # binds what the platform declares
vars: {cidr: 10.77.0.1/24}
vars_files: [vars.yaml]
secrets: {db: {env: DB_PASSWORD}, tls: {file: tls.key}, ca: {command: [pass, show, ca]}}

projects:        {acme: {config: {features.images: "false"}}}
storage_pools:   {data: {driver: dir, config: {}, members: {node2: {config: {source: /srv/data}}}}}
storage_volumes: {cache: {pool: data, config: {size: 1GiB}}}
network_acls:    {web: {ingress: [{action: allow, protocol: tcp, destination_port: "443"}], egress: []}}
networks:        {acmebr0: {type: bridge, config: {ipv4.address: "{{ cidr }}", ipv4.nat: true, ipv6.address: none}}}
profiles:
  acme-base: {config: {limits.memory: 256MiB}, devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: acmebr0}}}
images:          {base: {source: {file: dist/debian-12.tar.xz}, aliases: [acme/debian-12]}}
instances:
  memcached: {image: base, profiles: [acme-base], ready: [{tcp: 11211}]}
  api:
    count: "{{ api_count }}"    # api-1, api-2 …; count: 1 gives api-1, 0 none; without count the name stands alone
    image: base
    type: container             # or virtual-machine
    profiles: [acme-base]
    config: {limits.cpu: 2, user.role: api}
    devices: {eth0: {ipv4.address: "10.77.0.{{ 10 + index }}"}}   # no `type`: laid over the profile's eth0, key by key
    depends_on: [instances.memcached]
    state: running              # running (default) | stopped | unmanaged
    stop_timeout: 30s           # graceful, then by force; 0s = by force at once
    ready: [ipv4, {tcp: 8000}, {http: {url: "http://127.0.0.1:8000/healthz"}, timeout: 60s}, {exec: [test, -e, /ready]}, cloud-init]
    protect: true
    target: node2               # or "@group": placement, at creation only
    renamed_from: app
"#;

/// The platform that it extends.
pub const PLATFORM: &str = r"# yaml-language-server: $schema=site.schema.json
platform: standard
release: 2026.1
inputs:
  api_count: {type: int, default: 1, description: How many, min: 1, secret: false}
  domain: {type: string}
";

fn example() -> Files {
    files(&[
        ("sites/site.yaml", SITE),
        ("sites/vars.yaml", "more: 1\n"),
        ("sites/dist/debian-12.tar.xz", "an image"),
        ("platform/standard.yaml", PLATFORM),
    ])
}

fn loaded() -> (Files, Site) {
    let files = example();
    let loaded = load(&files.path("sites/site.yaml"), &Options::default());
    assert!(loaded.diagnostics.is_empty(), "{}", files.shown(&loaded));
    (files, loaded.site.unwrap())
}

#[test]
fn its_head_is_read() {
    let (_files, site) = loaded();
    assert_eq!((site.name.as_str(), site.project.as_str(), site.names_project), ("acme", "default", true));
    assert_eq!(site.remote.unwrap().value, "acme-dc");
    assert_eq!(site.server_fingerprint.unwrap().value, "3f0c".repeat(16));
    assert_eq!(site.platform, Some(("standard".into(), Some("2026.1".into()))));
    assert!(site.deviations.is_empty());
}

#[test]
fn its_objects_are_in_the_order_of_their_making() {
    let (_files, site) = loaded();
    insta::assert_snapshot!(site.addresses().join("\n"), @r"
    projects.acme
    storage_pools.data
    storage_volumes.cache
    network_acls.web
    networks.acmebr0
    profiles.acme-base
    images.base
    instances.memcached
    instances.api-1
    instances.api-2
    ");
    assert_eq!(site.groups[&Address::new("instances", "api")].len(), 2);
}

#[test]
fn its_values_are_lxds_strings() {
    let (files, site) = loaded();
    assert_eq!(site.config("networks.acmebr0", "ipv4.address").unwrap(), "10.77.0.1/24");
    assert_eq!(site.config("networks.acmebr0", "ipv4.nat").unwrap(), "true");
    assert_eq!(site.config("instances.api-1", "limits.cpu").unwrap(), "2");
    assert_eq!(site.config("projects.acme", "features.images").unwrap(), "false");
    assert_eq!(site.object("instances.api-2").device("eth0", "ipv4.address").unwrap(), "10.77.0.12");
    assert_eq!(site.object("storage_volumes.cache").pool.as_deref(), Some("data"));
    let source = site.object("images.base").spec.downcast_ref::<Source>().unwrap();
    assert_eq!(*source, Source::Files(vec![files.path("sites/dist/debian-12.tar.xz")]));
}

#[test]
fn its_instances_know_their_life() {
    let (_files, site) = loaded();
    let api = site.object("instances.api-2");
    assert!(api.protect);
    assert_eq!(api.depends_on, [Address::new("instances", "memcached")]);
    let life = api.lifecycle.as_ref().unwrap();
    assert_eq!(life.image.as_ref().unwrap().0, ImageRef::Site(Address::new("images", "base")));
    assert_eq!((life.power, life.stop_timeout), (Power::Running, Duration::from_secs(30)));
    assert_eq!((life.target.as_deref(), life.renamed_from.as_deref()), (Some("node2"), Some("app-2")));
    let conditions: Vec<&Condition> = life.ready.iter().map(|check| &check.condition).collect();
    assert_eq!(
        conditions,
        [
            &Condition::Ipv4,
            &Condition::Tcp(8000),
            &Condition::Http("http://127.0.0.1:8000/healthz".into()),
            &Condition::Exec(vec!["test".into(), "-e".into(), "/ready".into()]),
            &Condition::CloudInit,
        ]
    );
    assert_eq!(life.ready[2].timeout, Some(Duration::from_secs(60)));
    assert_eq!(life.ready_timeout, Duration::from_secs(120));
}

#[test]
fn what_is_external_is_a_reference_without_an_address() {
    let (_files, site) = loaded();
    let profile = site.object("profiles.acme-base");
    let names: Vec<(&str, bool)> = profile.references.iter().map(|r| (r.name.as_str(), r.address.is_some())).collect();
    assert_eq!(names, [("default", false), ("acmebr0", true)]);
}

/// What is said of the standard's sites holds: they bind inputs, and only one of them deviates, where it says so.
#[test]
fn the_standards_sites_are_valid() {
    let sites = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sites");
    let mut seen = vec![];
    for entry in std::fs::read_dir(sites).unwrap() {
        let path = entry.unwrap().path();
        let loaded = load(&path, &Options { secrets: SecretMode::Placeholder, ..Options::default() });
        let site = loaded.site.unwrap_or_else(|| panic!("{}: {:?}", path.display(), loaded.diagnostics));
        assert_eq!(site.platform_release().as_deref(), Some("standard 1.0.0"), "{}", path.display());
        seen.push((site.name.clone(), site.deviation().map(|text| text.rsplit(' ').next().unwrap().to_owned())));
    }
    seen.sort();
    let deviation = |name: &str| seen.iter().find(|(site, _)| site == name).unwrap().1.as_deref();
    assert_eq!(deviation("acme"), Some("instances.identity-proxy.config.limits.memory"));
    assert_eq!(seen.iter().filter(|(_, deviation)| deviation.is_some()).count(), 1, "{seen:?}");
}
