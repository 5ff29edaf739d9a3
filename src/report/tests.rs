//! Plans as people see them: a site file and what is live, to the text on the terminal.

mod changes;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{Style, text};
use crate::kinds::{self, Raw};
use crate::live::{Projects, Snapshot};
use crate::model::Id;
use crate::plan::{self, Adopt, Options, Plan};
use crate::site::{self, Site};

/// A site whose file says `site: acme`, and what a test adds.
fn site(body: &str) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.yaml");
    std::fs::write(&path, format!("site: acme\n{body}")).unwrap();
    let loaded = site::load(&path, &site::Options::default());
    loaded.site.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// What is live: `SECTION: {NAME: body}`, all of it in the project `default`.
fn live(site: &Site, sections: &Value) -> Snapshot {
    let mut snapshot = Snapshot { projects: Projects::wanted(&site.objects), ..Snapshot::default() };
    let mut add = |section: &str, name: &str, pool: Option<&str>, body: &Value| {
        let mut raw: Raw = body.as_object().unwrap().clone();
        raw.insert("name".into(), name.into());
        if section == "projects" {
            snapshot.projects.learn([&raw]);
        }
        let section = kinds::by_section(section).unwrap().section();
        let id = Id { project: "default".into(), pool: pool.map(Into::into), name: name.into() };
        snapshot.insert(section, id, raw);
    };
    add("projects", "default", None, &json!({"config": {"features.images": "true"}}));
    add("profiles", "default", None, &json!({"config": {}, "devices": {}}));
    for (section, objects) in sections.as_object().unwrap() {
        for (name, body) in objects.as_object().unwrap() {
            let (pool, name) = name.split_once('/').map_or((None, name.as_str()), |(pool, name)| (Some(pool), name));
            add(section, name, pool, body);
        }
    }
    snapshot
}

/// What a first apply would leave at the server, so that a second plan can be looked at.
fn applied(site: &Site) -> Value {
    let plan = plan::build(site, &live(site, &json!({})), &Options::default());
    let mut sections = json!({});
    for (change, work) in plan.changes.iter().zip(&plan.work) {
        let (kind, object) = (work.kind.unwrap(), work.object.as_ref().unwrap());
        let mut raw = Raw::new();
        for (path, wanted) in &object.fields {
            kinds::body::set(&mut raw, path, Some(wanted.value.clone()));
        }
        kinds::body::write(&mut raw, &kind.stamp_leaves(&site.name, work.stamp.as_ref()));
        if object.lifecycle.is_some() {
            let status = raw.remove("state").and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default();
            raw.insert("status".into(), if status == "running" { "Running" } else { "Stopped" }.into());
        }
        let name = change.id.pool.as_ref().map_or(change.id.name.clone(), |pool| format!("{pool}/{}", change.id.name));
        sections[kind.section()][name] = Value::Object(raw);
    }
    sections
}

fn shown(plan: &Plan) -> String {
    let mut sources = crate::model::Sources::default();
    sources.add("site.yaml", "");
    text::plan(plan, &sources, Style { color: false })
}

fn planned(site: &Site, sections: &Value, options: &Options) -> String {
    shown(&plan::build(site, &live(site, sections), options))
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.verb.running(), step.address)).collect()
}

const SITE: &str = r#"
storage_pools: {fast: {driver: dir}}
storage_volumes: {data: {pool: fast, config: {size: 1GiB}}}
networks: {br: {config: {ipv4.address: 10.0.0.1/24}}}
profiles:
  base:
    config: {limits.memory: 1GiB}
    devices: {root: {type: disk, path: /, pool: fast}, eth0: {type: nic, network: br}}
instances:
  db: {profiles: [base], devices: {data: {type: disk, pool: fast, source: data, path: /data}}}
  api: {count: 2, profiles: [base], depends_on: [instances.db], config: {user.role: api}}
"#;

#[test]
fn a_first_plan_creates_in_the_order_of_needs() {
    let site = site(SITE);
    let plan = plan::build(&site, &live(&site, &json!({})), &Options::default());
    assert_snapshot!(shown(&plan));
    assert_snapshot!(steps(&plan).join("\n"));
}

#[test]
fn a_second_plan_is_empty() {
    let site = site(SITE);
    assert_snapshot!(planned(&site, &applied(&site), &Options::default()));
}

#[test]
fn drift_changes_removals_and_what_they_reach() {
    let before = site(SITE);
    let mut sections = applied(&before);
    sections["profiles"]["base"]["config"]["limits.memory"] = "2GiB".into();
    sections["instances"]["db"]["config"]["security.nesting"] = "true".into();
    let after = site(
        &SITE
            .replace("config: {user.role: api}", "config: {security.privileged: true}")
            .replace("count: 2", "count: 1")
            .replace("{ipv4.address: 10.0.0.1/24}", "{ipv4.address: 10.0.0.1/24, ipv4.nat: true}"),
    );
    let plan = plan::build(&after, &live(&after, &sections), &Options::default());
    assert_snapshot!(shown(&plan));
    assert_snapshot!(steps(&plan).join("\n"));
}

#[test]
fn what_moves_to_another_network_lets_go_of_the_old_one_first() {
    let before = site(SITE);
    let after = site(&SITE.replace("networks: {br: ", "networks: {other: ").replace("network: br", "network: other"));
    let plan = plan::build(&after, &live(&after, &applied(&before)), &Options::default());
    assert_eq!(steps(&plan), ["creating networks.other", "updating profiles.base", "deleting networks.br"]);
    // Another network with an address that only one can have: where nothing else is in the way, the old one goes first.
    let alone = "networks: {br: {config: {ipv4.address: 10.0.0.1/24, ipv6.address: none}}}\n";
    let sections = applied(&site(alone));
    let after = site(&alone.replace("br:", "new:"));
    let plan = plan::build(&after, &live(&after, &sections), &Options::default());
    assert_eq!(steps(&plan), ["deleting networks.br", "creating networks.new"]);
}

#[test]
fn what_forces_a_replacement_is_told() {
    let before = site(SITE);
    let after = site(&SITE.replace("api: {count: 2,", "api: {count: 2, type: virtual-machine,"));
    let mut sections = applied(&before);
    for name in ["api-1", "api-2", "db"] {
        sections["instances"][name]["type"] = "container".into();
    }
    assert_snapshot!(planned(&after, &sections, &Options::default()));
}

#[test]
fn a_destroy_keeps_data_and_says_so() {
    let site = site(SITE);
    let sections = applied(&site);
    let destroy = Options { destroy: true, ..Options::default() };
    assert_snapshot!(planned(&site, &sections, &destroy));
    let all = Options { delete_data: true, ..destroy };
    let plan = plan::build(&site, &live(&site, &sections), &all);
    assert_snapshot!(steps(&plan).join("\n"));
}

#[test]
fn refusals_say_what_is_in_the_way_and_what_to_do() {
    let site = site("profiles: {mine: {}, theirs: {}}\ninstances: {one: {profiles: [mine, nosuch]}}\n");
    let sections = json!({"profiles": {
        "mine": {"config": {}},
        "theirs": {"config": {"user.lxdeploy.site": "other", "user.lxdeploy.id": "default/profiles.theirs"}},
    }});
    assert_snapshot!(planned(&site, &sections, &Options { adopt: Adopt::All, ..Options::default() }));
    assert_snapshot!(planned(&site, &sections, &Options::default()));
}

#[test]
fn texts_of_many_lines_are_compared_line_by_line() {
    let with = |text: &str| site(&format!("profiles:\n  base:\n    config:\n      cloud-init.user-data: |\n{text}"));
    let before = with("        #cloud-config\n        a: 1\n        b: 2\n        c: 3\n        d: 4\n");
    let after = with("        #cloud-config\n        a: 1\n        b: 2\n        c: 33\n        d: 4\n        e: 5\n");
    assert_snapshot!(planned(&after, &applied(&before), &Options::default()));
}

#[test]
fn a_target_takes_what_it_needs_and_a_partial_plan_says_so() {
    let site = site(SITE);
    let options = Options { targets: vec!["profiles.base".parse().unwrap()], ..Options::default() };
    assert_snapshot!(planned(&site, &json!({}), &options));
}
