//! What each kind of object refuses, and where.

use std::time::Duration;

use super::*;
use crate::kinds::{Condition, ImageRef};

#[test]
fn scalars_may_be_written_naturally() {
    let site = site(
        "profiles: {x: {config: {security.nesting: true, limits.cpu: 2, limits.memory: 1GiB, user.mode: 0644, user.v: 1.10, user.e: ''}}}\n",
    );
    let config = |key: &str| site.config("profiles.x", key).unwrap();
    assert_eq!(
        ["security.nesting", "limits.cpu", "limits.memory", "user.mode", "user.v", "user.e"].map(config),
        ["true", "2", "1GiB", "0644", "1.10", ""]
    );
}

#[test]
fn anchors_and_merge_keys_work() {
    let site = site(
        "vars: {base: &base {user.a: 1, user.b: 2}}\nprofiles:\n  x: {config: {<<: *base, user.b: 3}}\n  y: {config: *base}\n",
    );
    assert_eq!(site.config("profiles.x", "user.a").unwrap(), "1");
    assert_eq!(site.config("profiles.x", "user.b").unwrap(), "3");
    assert_eq!(site.config("profiles.y", "user.b").unwrap(), "2");
}

#[test]
fn what_is_external_needs_nothing_but_its_name() {
    let site = site(
        "storage_pools: {default: {external: true}}\nimages: {base: {external: true}}\nnetworks: {lxdbr0: {external: true}}\n",
    );
    assert!(site.objects.iter().all(|object| object.external));
}

#[test]
fn images_are_a_key_or_an_alias_or_a_remotes() {
    let site = site(
        "images: {base: {source: {alias: debian}}}\ninstances: {a: {image: base}, b: {image: ubuntu/22.04}, c: {image: 'images:debian/12'}}\n",
    );
    let image = |key: &str| site.object(key).lifecycle.as_ref().unwrap().image.clone().unwrap().0;
    assert!(matches!(image("instances.a"), ImageRef::Site(_)));
    assert_eq!(image("instances.b"), ImageRef::Local("ubuntu/22.04".into()));
    assert_eq!(image("instances.c"), ImageRef::Remote { remote: "images".into(), alias: "debian/12".into() });
}

#[test]
fn a_single_check_is_a_list_of_one() {
    for (text, condition) in [
        ("ipv4", Condition::Ipv4),
        ("{tcp: 80}", Condition::Tcp(80)),
        ("{ipv4: }", Condition::Ipv4),
        ("{cloud-init: true}", Condition::CloudInit),
    ] {
        let site = site(&format!("instances: {{a: {{ready: {text}, stop_timeout: 0s}}}}\n"));
        let life = site.object("instances.a").lifecycle.clone().unwrap();
        assert_eq!(
            (life.ready.len(), &life.ready[0].condition, life.stop_timeout),
            (1, &condition, Duration::ZERO),
            "{text}"
        );
    }
}

#[test]
fn checks_of_ready_that_are_none() {
    insta::assert_snapshot!(found(
        "instances:\n  a:\n    ready:\n      \
         - ipv5\n      - tcp\n      - {tcp: 70000}\n      - {tcp: 0}\n      - {tcp: http}\n      - {http: ftp://x}\n      - {http: {url: 'http://'}}\n      \
         - {http: {ur: x}}\n      - {exec: []}\n      - {exec: ls}\n      - {}\n      - {timeout: 5s}\n      - {tcp: 1, http: 'http://x'}\n      - [ipv4]\n      \
         - {ipv4: 4}\n      - {tcp: 80, timeout: 60}\n      - {cloud_init: true}\n      -\n"
    ));
}

#[test]
fn instances_that_are_wrong() {
    insta::assert_snapshot!(found(
        "instances:\n  a:\n    type: vm\n    state: runing\n    stop_timeout: 30\n    profiles: default\n    image: ''\n    target: '@'\n    renamed_from: a_b\n    \
           protect: maybe\n    depends_on: [memcached, instance.memcached, instances.b, 3]\n    imge: x\n    name: a\n    follow_image: [x]\n  \
           b:\n    stop_timeout: 1y\n    config: [a]\n    devices: {eth0: nic}\n    ephemeral: 'x'\n"
    ));
    insta::assert_snapshot!(found(
        "profiles: {base: {devices: {eth0: {network: br0}, root: {type: disk, path: /, pool: p}}}, other: {devices: {none: {}}}}\n\
         instances:\n  a: {profiles: [base], devices: {eth1: {ipv4.address: 10.0.0.1}, root: {size: 10G}, eth2: {type: nicc}, eth3: {type: nic, parant: x}}}\n"
    ));
}

#[test]
fn a_device_without_a_type_and_without_a_namesake() {
    insta::assert_snapshot!(found(
        "profiles: {base: {devices: {eth0: {type: nic, network: br0}}}}\n\
         instances:\n  a: {count: 2, profiles: [base], devices: {eth1: {ipv4.address: 10.0.0.1}, eth0: {ipv4.adress: 10.0.0.2}}}\n  \
           b: {devices: {eth9: {ipv4.address: 10.0.0.1}}}\n  c: {profiles: [base, external], devices: {eth9: {ipv4.address: 10.0.0.1}}}\n"
    ), @r"
    error: the device `eth1` has no `type`, and no profile of this instance has a device of that name
     --> site.yaml:4:66
      |
    4 |   a: {count: 2, profiles: [base], devices: {eth1: {ipv4.address: 10.0.0.1}, eth0: {ipv4.adress: 10.0.0.2}}}
      |                                                                  ^^^^^^^^
      |
      = help: give the device a `type`, or name a profile that has it

    warning: `ipv4.adress` is no option that LXD is known to have
     --> site.yaml:4:97
      |
    4 |   a: {count: 2, profiles: [base], devices: {eth1: {ipv4.address: 10.0.0.1}, eth0: {ipv4.adress: 10.0.0.2}}}
      |                                                                                                 ^^^^^^^^
      |
      = help: did you mean `ipv4.address`?
    ");
}

#[test]
fn config_that_no_server_takes_and_keys_that_none_knows() {
    insta::assert_snapshot!(found(
        "instances:\n  a:\n    config:\n      limits.memory: 1G\n      limits.memroy: 1GiB\n      security.nesting: maybe\n      boot.autostart.priority: high\n      \
           volatile.x: 1\n      image.os: debian\n      user.lxdeploy.site: x\n      user.free: anything\n      limits.cpu: [1, 2]\n      raw.lxc: {a: b}\n      unheard.of: 1\n"
    ));
}

#[test]
fn images_that_are_wrong() {
    insta::assert_snapshot!(found(
        "images:\n  a: {source: {file: gone.tar.xz}}\n  b: {source: {file: x, alias: y}}\n  c: {source: {files: [x]}}\n  d: {source: {server: images.example, alias: x}}\n  \
           e: {source: {server: 'https://images.example', protocol: oci, alias: x}}\n  f: {source: {server: 'https://images.example'}}\n  g: {source: {}}\n  h: {}\n  \
           i: {source: {alias: x, protocol: lxd}}\n  j: {source: {alias: x}, aliases: [y]}\n  k: {source: {fingerprint: xyz}}\n  l: {source: gone.tar.xz}\n  m: {source: {file: .}}\n"
    ));
}

#[test]
fn acls_networks_pools_and_volumes_that_are_wrong() {
    insta::assert_snapshot!(found(
        "network_acls:\n  a: {ingress: [{action: alow}, {action: allow, prtocol: tcp}, {protocol: tcp}, {action: drop, protocol: sctp}, {action: allow, destination_port: 443}, {action: allow, protocol: tcp, icmp_type: 8}], egress: x}\n\
         networks:\n  b: {type: bridg}\n  c: {typ: bridge, config: {ipv4.nat: maybe, ipv4.adress: 10.0.0.1/24}}\n\
         storage_pools:\n  p: {}\n  q: {driver: zsf}\n  r: {driver: dir, members: {n: {cfg: {}}}}\n\
         storage_volumes:\n  v: {pool: p, content_type: file, config: {size: 1}}\n  w: {config: {size: 1 GiB}}\n"
    ));
}

#[test]
fn every_kind_refuses_the_names_that_lxd_would_refuse() {
    insta::assert_snapshot!(found(
        "projects: {a_b: {}, 'a b': {}}\nstorage_pools: {a/b: {driver: dir}}\nstorage_volumes: {a/b: {pool: x}}\nnetwork_acls: {a.b: {}}\n\
         networks: {much-too-long-for-an-interface: {}, 'a b': {}}\nprofiles: {a/b: {}, ..: {}}\ninstances: {a_b: {}, 1a: {}, -a: {}, a: {name: b.c}, b: {name: [x]}, c: {project: 'x y'}}\n"
    ));
}

#[test]
fn a_name_near_to_one_of_the_sites_is_a_warning() {
    insta::assert_snapshot!(found(
        "project: acmee\nprojects: {acme: {}}\nstorage_pools: {local: {driver: dir}}\nnetwork_acls: {web-acl: {}}\nnetworks: {acmebr0: {}}\nprofiles: {acme-base: {}}\nimages: {base: {source: {alias: x}}}\n\
         instances: {a: {image: bsae, profiles: [acme-bsae, default], devices: {root: {type: disk, path: /, pool: locall}, eth0: {type: nic, network: acembr0, security.acls: 'web-alc, other'}}}}\n"
    ));
}

#[test]
fn circles_are_told_with_their_whole_path() {
    insta::assert_snapshot!(found(
        "instances:\n  a: {depends_on: [instances.b]}\n  b:\n    depends_on:\n      - instances.c\n  c: {depends_on: [instances.a]}\n  d: {depends_on: [instances.d]}\n\
         profiles: {p: {depends_on: [instances.e]}}\n"
    ), @r"
    error: these need each other: instances.a → instances.b → instances.c → instances.a
     --> site.yaml:3:20
      |
    3 |   a: {depends_on: [instances.b]}
      |                    ^^^^^^^^^^^
    ...
    6 |       - instances.c
      |         ----------- needs instances.c
    7 |   c: {depends_on: [instances.a]}
      |                    ----------- needs instances.a
      |
      = help: take one of the references away, or put what both need into a third

    error: these need each other: instances.d → instances.d
     --> site.yaml:8:20
      |
    8 |   d: {depends_on: [instances.d]}
      |                    ^^^^^^^^^^^
      |
      = help: take one of the references away, or put what both need into a third

    error: there is no `instances.e` in the site
     --> site.yaml:9:29
      |
    9 | profiles: {p: {depends_on: [instances.e]}}
      |                             ^^^^^^^^^^^
      |
      = help: did you mean `instances.a`?
    ");
    insta::assert_snapshot!(found("instances: {e: {profiles: [p]}}\nprofiles: {p: {depends_on: [instances.e]}}\n"), @r"
    error: these need each other: profiles.p → instances.e → profiles.p
     --> site.yaml:3:29
      |
    2 | instances: {e: {profiles: [p]}}
      |                            - needs profiles.p
    3 | profiles: {p: {depends_on: [instances.e]}}
      |                             ^^^^^^^^^^^
      |
      = help: take one of the references away, or put what both need into a third
    ");
}
