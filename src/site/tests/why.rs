//! Where a value comes from.

use insta::assert_snapshot;

use super::*;
use crate::report::Style;
use crate::site::why::{Answer, why};

const PLATFORM: &str = r#"platform: standard
inputs:
  cpus: {type: int, default: 1}
  token: {type: string, secret: true, default: hunter2-of-the-platform}
vars: {net: 10.0.0, gate: "{{ net }}.1"}
networks:
  br0: {config: {ipv4.nat: false, ipv4.address: "{{ gate }}/24"}}
profiles:
  base:
    config: {limits.cpu: 1, limits.memory: 1GiB, user.plat: "1"}
    devices: {eth0: {type: nic, network: br0, mtu: 1500}, root: {type: disk, path: /, pool: default}}
  big: {config: {limits.memory: 8GiB}}
instances:
  api:
    config: {user.from: platform, user.gone: platform, user.token: "{{ token }}"}
"#;

const SITE: &str = r#"site: acme
extends: platform.yaml
inputs: {cpus: 2}
vars: {net: 10.77.0}
secrets: {db: {env: DB_PASSWORD}}
networks:
  br0: {config: {ipv4.nat: true}}
profiles:
  base: {config: {user.plat: null}}
instances:
  api:
    count: 2
    profiles: [base, big, of-the-server]
    config: {limits.cpu: "{{ cpus * index }}", user.from: site, user.gone: null, user.db: "x-{{ secret('db') }}"}
    devices: {eth0: {ipv4.address: "{{ net }}.{{ 10 + index }}"}}
  own:
    profiles: [base]
    devices: {eth0: {type: none}}
  each: {for_each: {blue: {cpus: 3}}, config: {limits.cpu: "{{ value.cpus }}", user.key: "{{ key }}"}}
  off: {enabled: false}
  "dotted": {profiles: [base]}
"#;

fn example() -> Files {
    files(&[("site.yaml", SITE), ("platform.yaml", PLATFORM)])
}

fn asked(files: &Files, question: &str, options: &Options) -> String {
    let options = Options { secrets: SecretMode::Placeholder, ..options.clone() };
    let (loaded, answer) = why(&files.path("site.yaml"), &options, question);
    let text = match answer {
        None => files.shown(&loaded),
        Some(Ok(answer)) => report::why::text(&answer, &loaded.sources, Style::default()),
        Some(Err(diagnostic)) => report::diagnostics::render(&[diagnostic], &loaded.sources, false),
    };
    let directory = format!("{}/", files.0.path().display());
    loaded.masker.mask(&text).replace(&directory, "")
}

fn ask(question: &str) -> String {
    asked(&example(), question, &Options::default())
}

#[test]
fn a_value_of_the_site_over_the_platforms() {
    assert_snapshot!("site_over_platform", ask("networks.br0.config.ipv4.nat"));
    assert_snapshot!("own_over_own_platform", ask("instances.api-1.config.user.from"));
}

#[test]
fn a_template_and_what_it_read() {
    assert_snapshot!("index_and_input", ask("instances.api-2.config.limits.cpu"));
    assert_snapshot!("variables_of_variables", ask("networks.br0.config.ipv4.address"));
    assert_snapshot!(
        "a_var_of_the_command_line",
        asked(&example(), "instances.api-1.devices.eth0.ipv4.address", &vars(&[("net", "10.99.0")]))
    );
    assert_snapshot!("for_each", ask("instances.each-blue.config.limits.cpu"));
}

#[test]
fn profiles_in_turn_and_then_the_instance() {
    assert_snapshot!("the_later_profile", ask("instances.dotted.config.limits.memory"));
    assert_snapshot!("profile_over_profile", ask("instances.api-1.config.limits.memory"));
    assert_snapshot!("a_device_without_a_type_is_laid_over", ask("instances.api-1.devices.eth0.network"));
    assert_snapshot!("a_device_with_a_type_stands_alone", ask("instances.own.devices.eth0.mtu"));
    assert_snapshot!("taken_out_of_the_profile", ask("instances.dotted.config.user.plat"));
}

#[test]
fn what_was_taken_out_is_told_where() {
    assert_snapshot!(ask("instances.api-1.config.user.gone"));
}

#[test]
fn secrets_are_masked_also_where_the_file_has_them_in_clear() {
    let shown = ask("instances.api-1.config.user.db");
    assert!(shown.contains("= (sensitive)") && shown.contains("secrets: {db:"), "{shown}");
    let shown = ask("instances.api-1.config.user.token");
    assert!(
        !shown.contains("hunter2") && shown.matches("(sensitive)").count() >= 2 && shown.contains("default: ****"),
        "{shown}"
    );
    let bound = files(&[
        ("site.yaml", &SITE.replace("{cpus: 2}", "{cpus: 2, token: s3cr3t-of-the-site}")),
        ("platform.yaml", PLATFORM),
    ]);
    for question in ["instances.api-1.config.user.token", "instances.api-1", "instances.api-2.config.limits.cpu"] {
        let shown = asked(&bound, question, &vars(&[("token", "from-the-command-line")]));
        for text in ["s3cr3t", "hunter2", "from-the-command"] {
            assert!(!shown.contains(text), "{shown}");
        }
    }
}

#[test]
fn variables_of_files_and_of_the_command_line() {
    let site = "site: acme\nvars: {a: 1}\nvars_files: [more.yaml]\n";
    let files = files(&[
        ("site.yaml", &(site.to_owned() + &x("\"{{ a }}-{{ file('note') }}\""))),
        ("more.yaml", "a: 2\n"),
        ("note", "n"),
        ("last.yaml", "a: 3\n"),
    ]);
    let options = Options { vars_files: vec![files.path("last.yaml")], ..Options::default() };
    assert_snapshot!(asked(&files, "profiles.x.config.user.x", &options));
}

#[test]
fn an_excerpt_that_ends_within_a_secret_shows_no_part_of_it() {
    let (secret, long) = ("0123456789abcdef".repeat(8), "x".repeat(90));
    let site = format!(
        "site: acme\nextends: platform.yaml\ninputs: {{cpus: 2, long: {long}, token: {secret}}}\ninstances: {{api: {{}}}}\n"
    );
    let platform = PLATFORM.replace("vars:", "  long: {type: string}\nvars:");
    let files = files(&[("site.yaml", &site), ("platform.yaml", &platform)]);
    let shown = asked(&files, "instances.api.config.user.token", &Options::default());
    assert!(shown.contains("n: ****") && !shown.contains("0123"), "{shown}");
}

#[test]
fn what_no_file_sets_is_a_default_of_ours() {
    assert_snapshot!("state", ask("instances.own.state"));
    assert_snapshot!("project", ask("instances.own.project"));
    assert_snapshot!("lists", ask("instances.api-1.profiles"));
    assert!(ask("instances.api-1.profiles.1").starts_with("instances.api-1.profiles.1 = \"big\""));
}

#[test]
fn an_object_or_a_map_is_a_table() {
    assert_snapshot!("object", ask("instances.api-1"));
    assert_snapshot!("map", ask("profiles.base.devices.eth0"));
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    assert_snapshot!(
        [
            "instances.api-1.config.limits.cpus",
            "instances.api-1.nothing",
            "instances.api.config.limits.cpu",
            "instances.ap-1.config.limits.cpu",
            "instances.off.state",
            "instnaces.api-1",
            "networks",
        ]
        .map(|question| format!("{question}\n{}", ask(question)))
        .join("\n\n")
    );
}

#[test]
fn every_path_of_every_object_has_an_answer() {
    let files = example();
    for object in files.load(&Options { secrets: SecretMode::Placeholder, ..Options::default() }).site.unwrap().objects
    {
        let options = Options { secrets: SecretMode::Placeholder, ..Options::default() };
        let (_, answer) = why(&files.path("site.yaml"), &options, &object.address.to_string());
        let Some(Ok(Answer::Below { values, .. })) = answer else { panic!("{}", object.address) };
        for (path, wanted) in &object.fields {
            let told = values.iter().find(|value| value.path == path.to_string()).unwrap_or_else(|| panic!("{path}"));
            let value = told.value.as_ref().unwrap_or_else(|| panic!("{}.{path} has no value", object.address));
            assert_eq!((&value.value, value.sensitive), (&wanted.value, wanted.sensitive), "{}.{path}", object.address);
            assert!(told.set.as_ref().is_none_or(|set| set.span == wanted.span), "{}.{path}: {told:?}", object.address);
        }
    }
}

#[test]
fn json_has_the_same() {
    let files = example();
    let options = Options { secrets: SecretMode::Placeholder, ..Options::default() };
    let (loaded, answer) = why(&files.path("site.yaml"), &options, "instances.api-2.config.limits.cpu");
    let text = format!("{:#}", report::why::json(&answer.unwrap().unwrap(), &loaded.sources));
    assert_snapshot!(text.replace(&format!("{}/", files.0.path().display()), ""));
}
