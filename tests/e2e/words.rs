//! What is said of a site, beside what the server holds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bed::Case;

/// LXD's own merge of profiles and instance is what `why` says, key by key.
#[test]
fn why_says_what_lxd_makes_of_profiles() {
    let case = Case::new("why");
    case.write(
        "platform.yaml",
        "platform: base\ninputs: {memory: {type: size, default: 128MiB}}\n\
         networks: {\"@BRIDGE@\": {project: default, config: {ipv4.address: \"@NET@.1/24\", ipv4.nat: true, ipv6.address: none}}}\n\
         profiles:\n  base:\n    config: {limits.memory: \"{{ memory }}\", user.who: platform, user.only: platform}\n    \
         devices:\n      root: {type: disk, path: /, pool: default}\n      eth0: {type: nic, network: \"@BRIDGE@\", ipv4.address: \"@NET@.9\"}\n",
    );
    case.site(
        "extends: platform.yaml\ninputs: {memory: 256MiB}\nprojects: {\"@NAME@\": {}}\nprofiles:\n  base: {config: {user.who: site}}\n  \
         big: {config: {limits.processes: 500, user.who: big}, devices: {none0: {type: none}}}\ninstances:\n  \
         one: {profiles: [base, big], state: stopped, config: {user.own: \"yes\"}, devices: {eth0: {ipv4.address: \"@NET@.11\"}, none0: {type: none}}}\n  \
         two: {profiles: [big, base], state: stopped, config: {user.who: two, limits.memory: 64MiB}}\n",
    );
    case.apply(&[]);
    for name in ["one", "two"] {
        let live = case.get(&format!("instances/{name}"));
        let mut held: BTreeMap<String, Value> = BTreeMap::new();
        let is_ours = |key: &str| !["volatile.", "image.", "user.lxdeploy."].iter().any(|own| key.starts_with(own));
        for (key, value) in live["expanded_config"].as_object().unwrap().iter().filter(|(key, _)| is_ours(key)) {
            held.insert(format!("config.{key}"), value.clone());
        }
        for (device, keys) in live["expanded_devices"].as_object().unwrap() {
            for (key, value) in keys.as_object().unwrap() {
                held.insert(format!("devices.{device}.{key}"), value.clone());
            }
        }
        assert!(held.len() >= 10, "{held:?}");
        let told = case.run(&["why", "site.yaml", &format!("instances.{name}"), "--format", "json"]).exits(0).json();
        let told: BTreeMap<String, Value> = told["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|why| (why["path"].as_str().unwrap().to_owned(), why["value"].clone()))
            .filter(|(path, _)| path.starts_with("config.") || path.starts_with("devices."))
            .collect();
        assert_eq!(told, held, "instances.{name}");
    }
    case.run(&["why", "site.yaml", "instances.one.config.limits.memory"])
        .exits(0)
        .says("by profiles.base of the platform base");
    case.destroy(&[]);
}

#[test]
fn a_plan_in_markdown_begins_with_its_marker_and_shows_no_secret() {
    let case = Case::new("markdown");
    let secret = "hunter2-in-a-comment";
    let markdown = |arguments: &[&str], code: i32| {
        let mut command = case.command(&[&["plan", "site.yaml", "--format", "markdown"], arguments].concat());
        let output = command.env("TOKEN", secret).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("<!-- lxdeploy plan t-markdown -->\n") && !text.contains(secret), "{text}");
        text
    };
    let site = "secrets: {token: {env: TOKEN}}\nprojects: {\"@NAME@\": {}}\nprofiles:\n  base: {config: {environment.T: \"x-{{ secret('token') }}\", user.a: \"```</details>\"}}\n";
    case.site(&format!("{site}  old: {{}}\n"));
    let first = markdown(&[], 0);
    assert!(first.contains("#### To create (3)") && first.contains("+ config.environment.T: (sensitive)"), "{first}");
    assert!(first.contains("````diff"), "{first}");
    let mut apply = case.command(&["apply", "site.yaml", "--yes"]);
    assert!(apply.env("TOKEN", secret).status().unwrap().success());
    assert!(markdown(&[], 0).contains("No changes."));
    case.site(&site.replace("user.a", "user.b"));
    let second = markdown(&["--detailed-exitcode"], 2);
    let place = |text: &str| second.find(text).unwrap_or_else(|| panic!("{text} is not in {second}"));
    assert!(place("- profiles.old") < place("#### To update (1)"), "{second}");
    // What is refused fails the job, and stands first.
    case.lxc(&["profile", "create", "nobodys"]);
    case.site(&format!("{site}  nobodys: {{}}\n"));
    let third = markdown(&[], 1);
    assert!(third.contains("#### Refused (1)") && third.contains("--adopt profiles.nobodys"), "{third}");
    case.lxc(&["profile", "delete", "nobodys"]);
    case.site("projects: {\"@NAME@\": {}}\n");
    case.destroy(&[]);
}
