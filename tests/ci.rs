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
    let text = lxdeploy::report::markdown::plan(&plan, &Default::default(), &Default::default());
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
