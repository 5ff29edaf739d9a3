//! A platform under a site.

use super::*;
use crate::kinds::image::Source;

#[test]
fn maps_merge_by_key_and_scalars_and_lists_replace() {
    let site = on(
        "profiles: {x: {config: {user.x: platform, user.y: platform}, devices: {eth0: {type: nic, network: a, mtu: 1500}}}}\n\
         instances: {i: {profiles: [x, y]}}\n",
        "profiles: {x: {config: {user.x: site}, devices: {eth0: {mtu: 9000}}}}\ninstances: {i: {profiles: [x]}}\n",
    )
    .site(&Options::default());
    assert_eq!([site.x(), site.config("profiles.x", "user.y").unwrap()], ["site", "platform"]);
    let profile = site.object("profiles.x");
    assert_eq!(profile.device("eth0", "network").unwrap(), "a");
    assert_eq!(profile.device("eth0", "mtu").unwrap(), "9000");
    assert_eq!(site.object("instances.i").value(&Path::field("profiles")).unwrap(), r#"["x"]"#);
}

#[test]
fn null_takes_out_what_was_inherited() {
    let site = on(
        "profiles: {x: {config: {user.x: a, user.y: b}, devices: {eth0: {type: nic}, root: {type: disk}}}, gone: {}, empty: }\n",
        "profiles: {x: {config: {user.y: null}, devices: {eth0: ~}}, gone: , never: {config: {user.a: null}}, own: }\n",
    )
    .site(&Options::default());
    assert_eq!(site.addresses(), ["profiles.x", "profiles.empty", "profiles.never", "profiles.own"]);
    assert_eq!(site.config("profiles.x", "user.y"), None);
    let profile = site.object("profiles.x");
    assert_eq!((profile.device("eth0", "type"), profile.device("root", "type")), (None, Some("disk".into())));
}

#[test]
fn a_platform_may_extend_a_platform_and_paths_belong_to_their_files() {
    let files = files(&[
        (
            "site.yaml",
            "site: acme\nextends: a/platform.yaml\ninputs: {n: 2}\nimages: {mine: {source: {file: mine.tar}}}\n",
        ),
        ("mine.tar", ""),
        (
            "a/platform.yaml",
            "platform: a\nrelease: '2'\nextends: ../b/platform.yaml\nvars_files: [vars.yaml]\nimages: {its: {source: {file: its.tar}}}\n\
             profiles: {x: {config: {user.x: \"{{ file('text') }}{{ w }}\"}}}\n",
        ),
        ("a/vars.yaml", "w: \"{{ v }}\"\n"),
        ("a/its.tar", ""),
        ("a/text", "a's text;"),
        (
            "b/platform.yaml",
            "platform: b\nvars: {v: \"{{ file('text') }}\"}\ninputs: {n: {type: int}}\nprofiles: {x: {config: {user.y: b}}}\n",
        ),
        ("b/text", "b's text"),
    ]);
    let site = files.site(&Options::default());
    assert_eq!(site.platform, Some(("a".into(), Some("2".into()))));
    assert_eq!(site.x(), "a's text;b's text");
    assert_eq!(site.config("profiles.x", "user.y").unwrap(), "b");
    let source = |key: &str| site.object(key).spec.downcast_ref::<Source>().cloned().unwrap();
    assert_eq!(source("images.mine"), Source::Files(vec![files.path("mine.tar")]));
    assert_eq!(source("images.its"), Source::Files(vec![files.path("a/its.tar")]));
}

#[test]
fn what_a_site_sets_otherwise_is_its_deviation() {
    let site = on(
        "profiles: {x: {config: {user.x: a, user.y: b}}, gone: {}, same: {config: {user.a: 1}}}\n",
        "profiles: {x: {config: {user.x: c, user.z: d}, devices: {root: {type: disk, path: /}}}, gone: , same: {config: {user.a: 1}}, own: {}}\n",
    )
    .site(&Options::default());
    let paths: Vec<&str> = site.deviations.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["profiles.x.config.user.x", "profiles.x.config.user.z", "profiles.x.devices", "profiles.gone"]);
    let (_, span) = site.deviations[0];
    assert_eq!((span.line, span.file.0), (3, 0), "a deviation has its place in the site");
    assert!(site.deviation().unwrap().contains("in profiles.x.config.user.x, "));

    let site = on("vars: {a: 1, b: 2}\n", "vars: {a: 1, b: 3, c: 4}\n").site(&Options::default());
    assert!(site.deviation().unwrap().ends_with(" in vars.b"), "what the platform does not have is the site's own");
    assert_eq!(on("inputs: {a: {type: int}}\n", "inputs: {a: 1}\n").site(&Options::default()).deviation(), None);
}

#[test]
fn what_extends_names_must_be_a_platform_that_is_there() {
    let extends = |files_: &[(&str, &str)]| files(files_).found();
    insta::assert_snapshot!(extends(&[("site.yaml", "site: acme\nextends: gone.yaml\n")]), @r"
    error: cannot read gone.yaml: No such file or directory (os error 2)
     --> site.yaml:2:10
      |
    2 | extends: gone.yaml
      |          ^^^^^^^^^
      |
      = help: check the path; a relative one belongs to the file in which it stands
    ");
    insta::assert_snapshot!(extends(&[("site.yaml", "site: acme\nextends: [a]\n")]), @r"
    error: `extends` is the path of one platform file
     --> site.yaml:2:10
      |
    2 | extends: [a]
      |          ^
      |
      = help: for example ../platform/standard.yaml
    ");
    insta::assert_snapshot!(extends(&[("site.yaml", "site: acme\nextends: other.yaml\n"), ("other.yaml", "site: other\n")]), @r"
    error: other.yaml is a site, and only platforms are extended
     --> site.yaml:2:10
      |
    2 | extends: other.yaml
      |          ^^^^^^^^^^
      |
      = help: a platform file has `platform: NAME` in place of `site:`
    ");
    insta::assert_snapshot!(extends(&[("site.yaml", "site: acme\nextends: p.yaml\n"), ("p.yaml", "remote: x\nserver_fingerprint: y\n")]), @r"
    error: a platform has no `remote`
     --> p.yaml:1:1
      |
    1 | remote: x
      | ^^^^^^
      |
      = help: it belongs into the site file

    error: a platform file has `platform: NAME`
     --> p.yaml:1:1
      |
    1 | remote: x
      | ^
      |
      = help: add it at the top

    error: a platform has no `server_fingerprint`
     --> p.yaml:2:1
      |
    2 | server_fingerprint: y
      | ^^^^^^^^^^^^^^^^^^
      |
      = help: it belongs into the site file
    ");
    insta::assert_snapshot!(extends(&[("site.yaml", "platform: a\n")]), @r"
    error: this is a platform file, and a site file is wanted
     --> site.yaml:1:1
      |
    1 | platform: a
      | ^^^^^^^^
      |
      = help: write a site file with `site: NAME` and `extends:` this one
    ");
    insta::assert_snapshot!(extends(&[
        ("site.yaml", "site: acme\nextends: a.yaml\n"),
        ("a.yaml", "platform: a\nextends: b.yaml\n"),
        ("b.yaml", "platform: b\nextends: a.yaml\n"),
    ]), @r"
    error: these files extend each other: site.yaml → a.yaml → b.yaml → a.yaml
     --> b.yaml:2:10
      |
    2 | extends: a.yaml
      |          ^^^^^^
      |
      = help: let one of them stand alone
    ");
}
