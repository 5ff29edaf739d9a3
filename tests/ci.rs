//! The examples for continuous integration: what they run exists, and nobody's pull request can run more.

use std::process::Command;

use serde_json::Value;

const GITHUB: &str = include_str!("../examples/ci/github.yml");
const GITLAB: &str = include_str!("../examples/ci/gitlab-ci.yml");

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// The shell scripts of a file, as the runner is given them.
fn scripts(value: &Value) -> Vec<String> {
    let mut found = vec![];
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("run", Value::String(text)) => found.push(text.clone()),
                    ("script" | "before_script" | "after_script", Value::Array(lines)) => {
                        found.extend(lines.iter().map(|line| line.as_str().unwrap().to_owned()));
                    }
                    _ => found.extend(scripts(value)),
                }
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(scripts)),
        _ => {}
    }
    found
}

/// The calls of lxdeploy in a script: each stands at the beginning of a line.
fn calls(script: &str) -> Vec<Vec<String>> {
    let ends = |word: &&str| !["|", "||", "&&", ";"].contains(word) && !word.contains('>');
    let lines = script.lines().map(str::trim).filter(|line| line.starts_with("lxdeploy "));
    lines
        .map(|line| line.split(' ').take_while(ends).map(|word| word.replace("\"$SITE\"", "site.yaml")).collect())
        .collect()
}

fn all_calls() -> Vec<Vec<String>> {
    [GITHUB, GITLAB].iter().flat_map(|text| scripts(&yaml(text))).flat_map(|script| calls(&script)).collect()
}

#[test]
fn every_call_is_one_that_lxdeploy_understands() {
    let calls = all_calls();
    assert_eq!(calls.len(), 8, "four of each: {calls:?}");
    let wrong: Vec<String> = calls
        .iter()
        .filter_map(|call| {
            lxdeploy::cli::command()
                .try_get_matches_from(call)
                .err()
                .map(|error| format!("{}\n{error}", call.join(" ")))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_validate_plan_apply_and_look_for_drift() {
    for text in [GITHUB, GITLAB] {
        let calls: Vec<String> =
            scripts(&yaml(text)).iter().flat_map(|script| calls(script)).map(|call| call[1..].join(" ")).collect();
        for wanted in
            ["validate ", "plan site.yaml --format markdown", "apply site.yaml --yes --max-deletes ", "drift "]
        {
            assert!(calls.iter().any(|call| call.starts_with(wanted)), "{wanted} is none of {calls:?}");
        }
    }
}

#[test]
fn the_scripts_are_bash() {
    for script in [GITHUB, GITLAB].iter().flat_map(|text| scripts(&yaml(text))) {
        let output = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What a title or a branch's name holds must not become a part of a script.
#[test]
fn no_expression_stands_in_a_script() {
    for script in scripts(&yaml(GITHUB)) {
        assert!(!script.contains("${{"), "{script}");
    }
}

#[test]
fn github_jobs_may_do_the_least() {
    let workflow = yaml(GITHUB);
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    assert!(workflow["on"].get("pull_request_target").is_none(), "it gives a fork's code our secrets");
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        for (what, right) in job["permissions"].as_object().unwrap_or_else(|| panic!("{name} says no permissions")) {
            let is_comment = name == "plan" && what == "pull-requests" && right == "write";
            assert!(is_comment || (what == "contents" && right == "read"), "{name}: {what}: {right}");
        }
        let uses = job["steps"].as_array().unwrap().iter().filter_map(|step| step["uses"].as_str());
        for action in uses {
            let version = action.split_once("@v").unwrap_or_else(|| panic!("{action} has no version")).1;
            assert!(version.parse::<u32>().is_ok(), "{action}: a major version");
        }
        let reads_secrets = job.to_string().contains("secrets.");
        assert_eq!(reads_secrets, job.get("environment").is_some(), "{name}: secrets are an environment's");
        if job.to_string().contains("checkout@") {
            assert!(job.to_string().contains("\"persist-credentials\":false"), "{name} leaves a token in the checkout");
        }
    }
    let plan = workflow["jobs"]["plan"]["if"].as_str().unwrap();
    assert!(plan.contains("head.repo.full_name == github.repository"), "a fork's code must not plan: {plan}");
}

/// The marker that the scripts look for is the first line of what lxdeploy writes.
#[test]
fn the_marker_is_the_one_that_a_plan_begins_with() {
    let site = "acme";
    let plan = lxdeploy::plan::Plan { site: site.into(), ..Default::default() };
    let text = lxdeploy::report::markdown::plan(&plan, None, &Default::default(), &Default::default());
    for file in [GITHUB, GITLAB] {
        let marker = file
            .lines()
            .find_map(|line| line.split_once("arker=\""))
            .unwrap_or_else(|| file.lines().find_map(|line| line.split_once("MARKER=\"")).unwrap())
            .1;
        let marker = marker.trim_end_matches('"').replace("$SITE_NAME", site);
        assert_eq!(text.lines().next(), Some(marker.as_str()));
    }
}

/// A directory of stand-ins for what the scripts call.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new(stand_ins: &[(&str, &str)]) -> Stage {
        let stage = Stage(tempfile::tempdir().unwrap());
        for (name, script) in stand_ins {
            stage.write(name, &format!("#!/bin/bash\n{script}\n"));
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(stage.0.path().join(name), executable).unwrap();
        }
        stage
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    /// As the runner would run it: its exit code.
    fn run(&self, script: &str, variables: &[(&str, &str)]) -> i32 {
        self.write("calls", "");
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["-eo", "pipefail", "-c", script]).current_dir(self.0.path()).env("PATH", path);
        let variables = variables.iter().copied().chain([("SITE", "site.yaml"), ("SITE_NAME", "acme")]);
        command.envs(variables).status().unwrap().code().unwrap()
    }
}

const MARKER: &str = "<!-- lxdeploy plan acme -->";

#[test]
fn github_has_one_comment_and_edits_it_in_place() {
    let workflow = yaml(GITHUB);
    let steps = workflow["jobs"]["plan"]["steps"].as_array().unwrap();
    let script = steps.iter().find(|step| step["name"] == "Comment").unwrap()["run"].as_str().unwrap();
    let stage = Stage::new(&[(
        "gh",
        "case \"$*\" in\n*--paginate*) while [ $# -gt 1 ]; do [ \"$1\" = --jq ] && filter=$2; shift; done; jq -r \"$filter\" comments;;\n*) echo \"$*\" >>calls;;\nesac",
    )]);
    let variables = [("GITHUB_REPOSITORY", "o/r"), ("NUMBER", "5"), ("RUN", "https://ci/1"), ("GH_TOKEN", "t")];
    let comment =
        |id: u32, author: &str, body: &str| serde_json::json!({"id": id, "user": {"login": author}, "body": body});
    let ours = "github-actions[bot]";
    let comments = [
        comment(1, "somebody", MARKER),
        comment(2, ours, "<!-- lxdeploy plan other -->"),
        comment(3, ours, &format!("{MARKER}\nan old plan")),
        comment(4, ours, &format!("{MARKER}\na later one")),
    ];
    stage.write("comments", &serde_json::json!(comments).to_string());
    stage.write("plan.md", "a plan");
    assert_eq!(stage.run(script, &variables), 0);
    assert_eq!(stage.read("calls"), "api --method PATCH repos/o/r/issues/comments/3 --field body=@plan.md --silent\n");
    assert_eq!(stage.read("plan.md"), "a plan");
    // The first one; and of a plan that could not be made.
    stage.write("comments", &serde_json::json!(comments[..2]).to_string());
    stage.write("plan.md", "");
    assert_eq!(stage.run(script, &variables), 0);
    assert_eq!(stage.read("calls"), "api --method POST repos/o/r/issues/5/comments --field body=@plan.md --silent\n");
    assert!(stage.read("plan.md").starts_with(&format!("{MARKER}\nThere is no plan: [the job](https://ci/1)")));
}

#[test]
fn gitlab_has_one_note_and_edits_it_in_place() {
    let pipeline = yaml(GITLAB);
    let script = pipeline["plan"]["script"][0].as_str().unwrap();
    let stage = Stage::new(&[
        ("lxdeploy", "cat plan; exit $(cat code)"),
        (
            "curl",
            "read -r header\necho \"$* <$header>\" >>calls\ncase \"$*\" in\n*/user) echo '{\"id\": 7}';;\n*\"&page=1&\"*) cat page1;;\n*\"&page=2&\"*) cat page2;;\nesac",
        ),
    ]);
    let variables = [
        ("CI_API_V4_URL", "https://gl/api/v4"),
        ("CI_PROJECT_ID", "1"),
        ("CI_MERGE_REQUEST_IID", "2"),
        ("CI_JOB_URL", "https://ci/1"),
        ("LXDEPLOY_NOTE_TOKEN", "a-token"),
    ];
    let note = |id: u32, author: u32, body: &str| serde_json::json!({"id": id, "author": {"id": author}, "body": body});
    let others: Vec<Value> = (0..100).map(|id| note(id, 9, MARKER)).collect();
    stage.write("page1", &serde_json::json!(others).to_string());
    stage.write(
        "page2",
        &serde_json::json!([note(500, 7, "hello"), note(501, 7, &format!("{MARKER}\nold"))]).to_string(),
    );
    stage.write("plan", &format!("{MARKER}\na \"plan\"\n"));
    stage.write("code", "0");
    assert_eq!(stage.run(script, &variables), 0);
    let calls = stage.read("calls");
    let last = calls.lines().last().unwrap();
    assert!(last.contains("--request PUT") && last.contains("/projects/1/merge_requests/2/notes/501 "), "{calls}");
    // The token is in a header that is read from stdin, and in no argument.
    assert!(
        calls.lines().all(|call| call.ends_with("<PRIVATE-TOKEN: a-token>") && call.matches("a-token").count() == 1)
    );
    let body: Value = serde_json::from_str(&stage.read("note.json")).unwrap();
    assert_eq!(body["body"], format!("{MARKER}\na \"plan\"\n"));
    // The first one; and of a plan that could not be made: the job fails, after it has told so.
    stage.write("page2", "[]");
    stage.write("plan", "");
    stage.write("code", "1");
    assert_eq!(stage.run(script, &variables), 1);
    let calls = stage.read("calls");
    assert!(calls.lines().last().unwrap().contains("--request POST"), "{calls}");
    let body: Value = serde_json::from_str(&stage.read("note.json")).unwrap();
    assert!(body["body"].as_str().unwrap().starts_with(&format!("{MARKER}\nThere is no plan")));
}
