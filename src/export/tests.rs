//! What is written is read back as it was, and it looks as a person would write it.

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::yaml::{Entry, Yaml, write};
use super::*;
use crate::live::Projects;
use crate::model::Path;
use crate::plan::{self, Adopt};
use crate::site::{self, Site};

fn read(text: &str) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.yaml");
    std::fs::write(&path, text).unwrap();
    let loaded = site::load(&path, &site::Options::default());
    assert!(loaded.diagnostics.iter().all(|found| !found.is_error()), "{text}\n{:#?}", loaded.diagnostics);
    loaded.site.unwrap()
}

fn entry(key: &str, value: Yaml) -> Entry {
    Entry::new(key, value)
}

fn natural_text(text: &str) -> Yaml {
    Yaml::Natural(text.into())
}

/// A profile with a text everywhere that a text can stand.
fn profile(text: &str, extra: Vec<Entry>) -> String {
    let config = [vec![entry("user.x", natural_text(text))], extra].concat();
    let device = vec![entry("type", natural_text("nic")), entry("user.x", natural_text(text))];
    let body = vec![
        entry("description", Yaml::Text(text.into())),
        entry("config", Yaml::Map(config)),
        entry("devices", Yaml::Map(vec![entry("d", Yaml::Line(device))])),
    ];
    write(&[entry("site", Yaml::Text("acme".into())), entry("profiles", Yaml::Map(vec![entry("p", Yaml::Map(body))]))])
}

fn comes_back(text: &str) {
    let written = profile(text, vec![entry("user.y", natural_text("after"))]);
    let site = read(&written);
    let paths = [Path::field("description"), Path::config("user.x"), Path::device("d", "user.x")];
    for path in paths {
        assert_eq!(site.objects[0].fields[&path].value, json!(text), "{path} of\n{written}");
    }
    assert_eq!(site.objects[0].fields[&Path::config("user.y")].value, json!("after"), "{written}");
}

#[test]
fn texts_come_back_as_they_were() {
    for text in [
        "a",
        "2",
        "-1",
        "0644",
        "1e3",
        ".5",
        "0x1f",
        "1_000",
        "true",
        "True",
        "yes",
        "null",
        "~",
        "10.0.0.1/24",
        "a: b",
        "a #b",
        "#a",
        "a:",
        "- a",
        "-",
        "?",
        "[a]",
        "{a}",
        "a, b",
        "'a'",
        "\"a\"",
        "it's \"so\"",
        "\\n",
        " a ",
        "a\tb",
        "\ta",
        "a\r\nb",
        "\u{85}\u{2028}\u{feff}\u{1f600}\u{7f}",
        "*a",
        "&a",
        "!a",
        "|",
        "%a",
        "@a",
        "`a",
        "---",
        "a\nb",
        "a\nb\n",
        "a\n\n  b\n",
        "\na\n",
        "a\n\n",
        "  a\n b\n",
        "a \n b",
        "\n",
        "a\n \nb",
        "a\n\tb\n",
        "{{ x }}",
        "{% if x %}",
        "{# x #}",
        "a\n{{ x }}\nb\n",
        "{{ x }}\n",
        "a\n{{ x }}",
        "\n{{ x }}",
        "{% raw %}{{ x }}{% endraw %}",
        "{% raw %}\n{{ \"x\" }}\\\n{% endraw %}\n",
        "{%- endraw -%}\u{1}",
        "## template: jinja\n#cloud-config\nruncmd:\n  - echo {{ ds.meta_data.hostname }}\n",
    ] {
        comes_back(text);
    }
}

proptest! {
    #[test]
    fn any_text_comes_back(text in "([ -~]|\\PC|[\n\t:#{}%\"'-]|\\{\\{|\\}\\}|\\{% raw %\\}|\\{% endraw %\\}|\\{#| \n|\n ){1,12}") {
        comes_back(&text);
    }
}

#[test]
fn as_a_person_would_write_it() {
    assert_snapshot!(profile(
        "10.0.0.1/24",
        vec![
            entry("cloud-init.user-data", natural_text("#cloud-config\npackages:\n  - nginx\n\nruncmd: []\n")),
            entry("limits.cpu", natural_text("2")),
            entry("security.nesting", natural_text("true")),
            entry("user.json", natural_text("{\"v\": 1}")),
            entry("user.jinja", natural_text("## template: jinja\n#cloud-config\n- {{ v1.region }}\n")),
            entry("user.word", natural_text("yes")),
        ],
    ));
}

/// What is live: `SECTION: {NAME: body}` in a project.
fn live(project: &str, sections: &Value) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut add = |section: &str, name: &str, project: &str, body: &Value| {
        let mut raw = body.as_object().unwrap().clone();
        raw.insert(if section == "images" { "fingerprint" } else { "name" }.into(), name.into());
        if section == "projects" {
            snapshot.projects.learn([&raw]);
        }
        let pool = body.get("pool").and_then(Value::as_str).map(str::to_owned);
        let kind = kinds::by_section(section).unwrap();
        let place = if kind.place() == Place::Server { "default" } else { project };
        snapshot.insert(kind.section(), Id { project: place.into(), pool, name: name.into() }, raw);
    };
    let features = json!({"config": {"features.images": "true", "features.profiles": "true"}});
    add("projects", "default", "default", &features);
    for (section, objects) in sections.as_object().unwrap() {
        for (name, body) in objects.as_object().unwrap() {
            let place = body.get("in").and_then(Value::as_str).unwrap_or(project);
            add(section, name, place, body);
        }
    }
    snapshot.server.name = "host".into();
    snapshot.server.kind = "lxd".into();
    snapshot.server.version = "5.0.2".into();
    snapshot
}

fn fingerprint(digit: &str) -> String {
    digit.repeat(64)
}

fn estate() -> Value {
    let (one, cached) = (fingerprint("a"), fingerprint("c"));
    json!({
        "projects": {"web": {"description": "The web", "config": {
            "features.images": "true", "features.profiles": "true", "features.storage.volumes": "true", "limits.memory": "8GiB",
        }}},
        "storage_pools": {"default": {"driver": "dir", "config": {"source": "/var/lib/lxd/storage-pools/default"}}},
        "networks": {"lxdbr0": {"in": "default", "managed": true, "type": "bridge", "config": {"ipv4.address": "10.0.0.1/24"}}},
        "storage_volumes": {"data": {"pool": "default", "content_type": "filesystem", "config": {"size": "1GiB", "volatile.uuid": "x"}}},
        "profiles": {
            "default": {"description": "Default LXD profile for project web", "config": {}, "devices": {}},
            "base": {"config": {"limits.memory": "1GiB"}, "devices": {
                "root": {"type": "disk", "path": "/", "pool": "default"},
                "eth0": {"type": "nic", "network": "lxdbr0"},
            }},
            "theirs": {"config": {"user.lxdeploy.site": "other", "user.lxdeploy.id": "web/profiles.theirs"}},
        },
        "images": {
            one.clone(): {"aliases": [{"name": "acme/debian"}], "properties": {}},
            cached.clone(): {"cached": true, "aliases": [], "properties": {}},
        },
        "instances": {
            "api-10": {"status": "Running", "type": "container", "profiles": ["base"], "config": {
                "volatile.base_image": one, "image.os": "debian", "user.role": "api", "limits.cpu": "2",
                "cloud-init.user-data": "## template: jinja\n#cloud-config\n- {{ v1.region }}\n",
            }, "devices": {"eth0": {"type": "nic", "network": "lxdbr0", "ipv4.address": "10.0.0.10"}}},
            "api-2": {"status": "Stopped", "type": "container", "profiles": ["base", "theirs"], "architecture": "x86_64",
                "config": {"volatile.last_state.power": "STOPPED", "volatile.base_image": cached}, "devices": {}},
            "vm": {"status": "Frozen", "type": "virtual-machine", "profiles": [], "ephemeral": true,
                "config": {}, "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}}},
            "elsewhere": {"in": "default", "status": "Running", "config": {}, "profiles": []},
        },
    })
}

fn exported(snapshot: &Snapshot, site: Option<&str>) -> Exported {
    let options = Options { site: site.map(str::to_owned), project: "web".into(), ..Options::default() };
    site_file(snapshot, &options).unwrap()
}

fn actions(text: &str, snapshot: &Snapshot, adopt: Adopt) -> Vec<String> {
    let site = read(text);
    let mut snapshot = snapshot.clone();
    let live: Vec<Raw> = snapshot.all("projects").map(|(_, raw)| raw.clone()).collect();
    snapshot.projects = Projects::wanted(&site.objects);
    snapshot.projects.learn(&live);
    let plan = plan::build(&site, &snapshot, &plan::Options { adopt, ..plan::Options::default() });
    assert_eq!(plan.refused, []);
    let told = |change: &plan::Change| {
        let paths: Vec<String> = change.diff.iter().map(|field| field.path.to_string()).collect();
        format!("{} {} {}", change.action.as_str(), change.address, paths.join(",")).trim_end().to_owned()
    };
    plan.changes.iter().map(told).collect()
}

#[test]
fn a_project_of_nobody_is_adopted_as_it_is() {
    let snapshot = live("web", &estate());
    let file = exported(&snapshot, None);
    assert_snapshot!(file.text);
    assert_snapshot!(actions(&file.text, &snapshot, Adopt::All).join("\n"));
}

/// Stamps all that a site file names, as an apply would.
fn stamped(text: &str, snapshot: &Snapshot) -> Snapshot {
    let site = read(text);
    let options = plan::Options { adopt: Adopt::All, ..plan::Options::default() };
    let plan = plan::build(&site, snapshot, &options);
    assert_eq!(plan.refused, []);
    let mut after = snapshot.clone();
    for (change, work) in plan.changes.iter().zip(&plan.work) {
        // What stays as it is keeps its stamp.
        let (Some(kind), Some(_)) = (work.kind, &work.stamp) else { continue };
        let mut raw = after.get(kind.section(), &change.id).unwrap().clone();
        kinds::body::write(&mut raw, &kind.stamp_leaves(&site.name, work.stamp.as_ref()));
        after.insert(kind.section(), change.id.clone(), raw);
    }
    after
}

#[test]
fn what_a_site_applied_is_exported_as_it_applied_it() {
    let snapshot = live("web", &estate());
    // As a person had written it: with what goes without saying, and with a pool and a bridge that are its own.
    let base = fingerprint("a");
    let by_hand = format!(
        "site: acme\nproject: web\nprojects: {{web: {{config: {{features.images: true}}}}}}\n\
        storage_pools: {{default: {{driver: dir}}}}\nnetworks: {{lxdbr0: {{project: default, type: bridge}}}}\n\
        storage_volumes: {{data: {{pool: default, content_type: filesystem}}}}\n\
        profiles: {{base: {{config: {{limits.memory: 1GiB}}, devices: {{eth0: {{type: nic, network: lxdbr0}}}}}}}}\nimages: {{os: {{source: {{fingerprint: {base}}}}}}}\n\
        instances:\n  api-10: {{image: os, type: container, profiles: [base], devices: {{eth0: {{ipv4.address: 10.0.0.10}}}}, protect: true}}\n  \
        api-2: {{architecture: x86_64, ephemeral: false, state: stopped}}\n  vm: {{state: unmanaged}}\n"
    );
    let after = stamped(&by_hand, &snapshot);
    let file = exported(&after, Some("acme"));
    assert_snapshot!(file.text);
    let changes = actions(&file.text, &after, Adopt::None);
    assert!(changes.iter().all(|change| change.starts_with("no-op ")), "{changes:#?}");
    // To anybody else all of it is that site's.
    assert!(exported(&after, Some("somebody")).text.contains("# - instances.api-10: it is the site acme's"));
}

#[test]
fn what_no_site_file_can_say_is_left_out_and_told() {
    let mut sections = estate();
    sections["storage_volumes"]["cd"] = json!({"pool": "default", "content_type": "iso", "config": {}});
    sections["instances"]["1st"] = json!({"status": "Stopped", "config": {}, "profiles": []});
    let snapshot = live("web", &sections);
    let text = exported(&snapshot, None).text;
    for line in [
        "# - storage_volumes.default/cd: no site file can say it: its content is iso\n",
        "# - instances.1st: no site file can say it: instance names do not start with a digit\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(actions(&text, &snapshot, Adopt::All).len(), 6);
}

#[test]
fn what_is_named_and_not_there_is_told() {
    let snapshot = live("web", &estate());
    let asked = |project: &str, site: &str, with: &str| {
        let with = if with.is_empty() { vec![] } else { vec![with.parse().unwrap()] };
        let options = Options { site: Some(site.into()), project: project.into(), with, ..Options::default() };
        site_file(&snapshot, &options)
    };
    assert!(asked("nosuch", "acme", "").unwrap_err().contains("there are default, web"));
    assert!(asked("web", "Acme", "").unwrap_err().contains("2 to 32"));
    assert!(asked("web", "acme", "networks.nosuch").unwrap_err().contains("no such object"));
    let more = asked("web", "acme", "networks.lxdbr0").unwrap().text;
    assert!(more.contains("  lxdbr0:\n    project: default\n"), "{more}");
    assert_eq!(
        (site_name("Web_1"), site_name("x"), site_name("default")),
        ("web-1".into(), "site-x".into(), "default".into())
    );
}
