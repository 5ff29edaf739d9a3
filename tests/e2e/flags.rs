//! The command line: targets, prompts, variables, formats, exit codes.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::bed::{Case, finish};

const SITE: &str = r#"
projects: {"@NAME@": {}}
profiles:
  base: {devices: {root: {type: disk, path: /, pool: default}}}
  other: {}
instances:
  one: {profiles: [base], state: stopped}
  two: {profiles: [other, base], state: stopped, depends_on: [instances.one]}
"#;

#[test]
fn a_target_takes_along_what_it_needs_and_no_deletion() {
    let case = Case::new("target");
    case.site(&format!("{SITE}  three: {{profiles: [base], state: stopped}}\n"));
    case.apply(&["--target", "instances.three"]).says("Partial plan");
    assert!(case.try_get("profiles/other").is_none() && case.try_get("instances/three").is_some());
    case.site(SITE);
    let plan = case.plan(&["--target", "instances.two"]);
    assert_eq!(plan.actions(), ["profiles.other: create", "instances.one: create", "instances.two: create"]);
    assert_eq!(plan.0["partial"], true);
    // A deletion only where it is named itself.
    assert_eq!(case.plan(&["--target", "instances.three"]).actions(), ["instances.three: delete"]);
    case.run(&["plan", "site.yaml", "--target", "instances.tow"]).exits(1).says("did you mean instances.two?");
    case.apply(&["--exclude", "profiles.other"]);
    assert!(case.try_get("instances/one").is_some() && case.try_get("instances/two").is_none());
    case.destroy(&["--target", "profiles.base"]);
    assert!(case.try_get("instances/one").is_none(), "what needs it goes with it");
    assert!(case.try_get("projects/t-target").is_some());
    case.destroy(&[]);
}

#[test]
fn a_prompt_takes_yes_alone() {
    let case = Case::new("prompt");
    case.site("projects: {\"@NAME@\": {}}\n");
    case.run(&["apply", "site.yaml"]).exits(1).says("--yes");
    case.run(&["destroy", "site.yaml"]).exits(0).says("Nothing to destroy");
    assert!(case.try_get("projects/t-prompt").is_none());
    // A terminal, by script(1).
    let answer = |text: &str| {
        let line = format!("{} apply site.yaml", env!("CARGO_BIN_EXE_lxdeploy"));
        let mut command = case.command(&[]);
        let environment: Vec<_> = command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
        command = std::process::Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(case.path("."));
        command.envs(environment.into_iter().filter_map(|(key, value)| Some((key, value?))));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut seen = vec![];
        while !String::from_utf8_lossy(&seen).contains("is accepted: ") {
            let mut byte = [0];
            assert_eq!(child.stdout.as_mut().unwrap().read(&mut byte).unwrap(), 1, "no question");
            seen.extend(byte);
        }
        // Open until the end: its end would be an answer, too.
        let mut keyboard = child.stdin.take().unwrap();
        keyboard.write_all(text.as_bytes()).unwrap();
        finish(child)
    };
    answer("y\n").exits(1).says("declined");
    answer("\n").exits(1).says("declined");
    answer("\u{3}").exits(130);
    assert!(case.try_get("projects/t-prompt").is_none());
    answer("yes\n").exits(0);
    assert!(case.try_get("projects/t-prompt").is_some());
    case.destroy(&[]);
}

#[test]
fn variables_of_the_environment_stand_for_flags() {
    let case = Case::new("env");
    case.site("projects: {\"@NAME@\": {description: \"{{ text | default('none') }}\"}}\n");
    let with = |key: &str, value: &str, arguments: &[&str]| {
        let mut command = case.command(arguments);
        command.env(key, value);
        finish(command.spawn().unwrap())
    };
    with("LXDEPLOY_REMOTE", "", &["plan", "site.yaml"]).exits(0);
    with("LXDEPLOY_REMOTE", "nosuch", &["plan", "site.yaml"]).exits(1);
    with("LXDEPLOY_YES", "", &["apply", "site.yaml"]).exits(1);
    with("LXDEPLOY_VAR", "text=hello", &["plan", "site.yaml"]).exits(0).says("hello");
    with("LXDEPLOY_YES", "1", &["apply", "site.yaml"]).exits(0);
    case.run(&["apply", "site.yaml", "--auto-approve", "--var", "text=again"]).exits(0);
    assert_eq!(case.get("projects/t-env")["description"], "again");
    with("LXDEPLOY_YES", "true", &["destroy", "site.yaml"]).exits(0);
}

#[test]
fn exit_codes() {
    let case = Case::new("codes");
    case.site("projects: {\"@NAME@\": {}}\n");
    case.run(&["plan", "site.yaml"]).exits(0);
    case.run(&["plan", "site.yaml", "--detailed-exitcode"]).exits(2);
    case.run(&["plan", "nosuch.yaml", "--detailed-exitcode"]).exits(1).says("nosuch.yaml");
    case.run(&["plan", "site.yaml", "--nosuch"]).exits(1);
    case.run(&["nosuch"]).exits(1);
    case.run(&["--help"]).exits(0);
    case.run(&["--version"]).exits(0).says(env!("CARGO_PKG_VERSION"));
    case.run(&["validate", "site.yaml"]).exits(0);
}

#[test]
fn json_is_one_document_for_plan_and_a_line_per_event_for_apply() {
    let case = Case::new("json");
    case.site("vars: {x: 1}\nsecrets: {s: {env: T_SECRET}}\nprojects: {\"@NAME@\": {config: {user.s: \"{{ secret('s') }}\"}}}\n");
    let run = |arguments: &[&str]| {
        let mut command = case.command(arguments);
        command.env("T_SECRET", "hunter2-secret");
        finish(command.spawn().unwrap()).says_not("hunter2")
    };
    let plan = run(&["plan", "site.yaml", "--format", "json"]).exits(0).json();
    assert_eq!(plan["format_version"], "1.0");
    assert_eq!(plan["changes"][0]["diff"][0]["sensitive"], true);
    run(&["plan", "site.yaml", "-vvv"]).exits(0).says("(sensitive)");
    let apply = run(&["apply", "site.yaml", "--yes", "--format", "json", "-vvv", "--log-format", "json"]).exits(0);
    let lines: Vec<serde_json::Value> = apply.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 4, "{lines:?}");
    assert_eq!(case.get("projects/t-json")["config"]["user.s"], "hunter2-secret");
    let again = run(&["plan", "site.yaml", "--format", "json"]).exits(0).json();
    assert_eq!(again["summary"]["unchanged"], 1);
    // The record holds no hash that a secret could be guessed by.
    let record = case.get("projects/t-json")["config"]["user.lxdeploy.record"].as_str().unwrap().to_owned();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["k"]["user.s"], "");
    run(&["destroy", "site.yaml", "--yes"]).exits(0);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let case = Case::new("colours");
    case.site("projects: {\"@NAME@\": {}}\n");
    case.run(&["plan", "site.yaml"]).exits(0).says_not("\u{1b}[");
}

#[test]
fn a_plan_reads_as_often_for_many_objects_as_for_few_and_writes_nothing() {
    let case = Case::new("reads");
    let with = |count: usize| {
        case.site(&SITE.replace(
            "one: {profiles",
            &format!("many: {{count: {count}, profiles: [base], state: stopped}}\n  one: {{profiles"),
        ));
        case.apply(&[]);
        let plan = case.run(&["plan", "site.yaml", "-vv"]).exits(0).says("No changes.");
        let requests: Vec<String> =
            plan.stderr.lines().filter(|line| line.contains("/1.0")).map(str::to_owned).collect();
        assert!(requests.iter().all(|line| line.contains("GET ")), "{requests:?}");
        requests.len()
    };
    let (few, many) = (with(1), with(20));
    assert_eq!(few, many);
    assert_eq!(few, 8, "the server itself and one for each kind that the project may hold");
    case.destroy(&[]);
}
