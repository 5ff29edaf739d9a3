//! A plan that is kept in a file: the document of `--format json`, and what it was made of.
//!
//! No secret is in it: values are masked as everywhere, variables that are secret are left out, and inputs are
//! told apart by salted hashes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::Sources;

/// The key under which it stands in the document.
pub const KEY: &str = "saved";

/// What a plan was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The version of lxdeploy, for people.
    pub lxdeploy: String,
    /// How it was asked for.
    pub request: Request,
    /// SHA-256 of the server's certificate.
    pub server_fingerprint: String,
    /// Whatever was read, by name: salted hashes of the texts.
    pub inputs: BTreeMap<String, String>,
    /// The salt.
    pub salt: String,
    /// What cannot be known before it runs, and is not compared.
    pub unknown: Vec<String>,
}

/// How a plan was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The site file, relative to where lxdeploy ran.
    pub site: String,
    /// `--remote`.
    pub remote: Option<String>,
    /// `--project`.
    pub project: Option<String>,
    /// `--var`; no value where it is secret.
    pub vars: Vec<(String, Option<String>)>,
    /// `--vars-file`.
    pub vars_files: Vec<String>,
    /// `--target`.
    pub targets: Vec<String>,
    /// `--exclude`.
    pub excludes: Vec<String>,
    /// `--replace`.
    pub replace: Vec<String>,
    /// `--adopt`.
    pub adopt: Vec<String>,
    /// `--delete-data`.
    pub delete_data: bool,
    /// `--origin-changed`.
    pub origin_changed: bool,
    /// `--max-deletes`.
    pub max_deletes: Option<usize>,
    /// `--skip-tasks`.
    #[serde(default)]
    pub skip_tasks: bool,
    /// `--destroy`.
    pub destroy: bool,
}

/// The saved part of a document; `None` if the document is no saved plan.
///
/// # Errors
/// It is one, and cannot be read.
pub fn of_document(document: &Value) -> Result<Option<Saved>, String> {
    let Some(saved) = document.get(KEY) else { return Ok(None) };
    if document["format_version"] != super::json::FORMAT {
        return Err(format!(
            "it has format {}, and this lxdeploy reads {}; plan again",
            document["format_version"],
            super::json::FORMAT
        ));
    }
    Saved::deserialize(saved).map(Some).map_err(|error| format!("it is damaged: {error}; plan again"))
}

/// Hashes of all texts that a plan was made of: files, variables and secrets.
pub fn inputs(sources: &Sources, secrets: &BTreeMap<String, String>, salt: &str) -> BTreeMap<String, String> {
    let hash = |text: &str| {
        let digest = Sha256::new().chain_update(salt).chain_update([0]).chain_update(text).finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let files = sources.texts().map(|(path, text)| (path.display().to_string(), hash(text)));
    files.chain(secrets.iter().map(|(name, text)| (format!("the secret {name}"), hash(text)))).collect()
}

/// Which inputs are not what they were.
pub fn changed_inputs(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let changed = names.into_iter().filter(|name| then.get(*name) != now.get(*name));
    changed
        .map(|name| match (then.contains_key(name), now.contains_key(name)) {
            (true, true) => format!("{name} has changed"),
            (true, false) => format!("{name} is no longer read"),
            _ => format!("{name} was not read then"),
        })
        .collect()
}

/// One way in which two plans differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// For people.
    pub text: String,
    /// What was to be done is done by now.
    pub is_done: bool,
}

/// How two plans differ in what they do. `passed_over` are addresses that do not count.
pub fn differences(then: &Value, now: &Value, passed_over: &[String]) -> Vec<Difference> {
    let (then_changes, now_changes) = (changes(then, passed_over), changes(now, passed_over));
    let addresses: BTreeSet<&str> = then_changes.keys().chain(now_changes.keys()).copied().collect();
    let (mut lines, mut done) = (vec![], vec![]);
    for address in addresses {
        match (then_changes.get(address), now_changes.get(address)) {
            (Some(then), Some(now)) => compare(address, then, now, &mut lines),
            (Some(then), None) => done.push(format!("{address}: was to be {}, and nothing is to do now", word(then))),
            (None, Some(now)) => lines.push(format!("{address}: had no change, and is to be {} now", word(now))),
            (None, None) => {}
        }
    }
    if lines.is_empty() && done.is_empty() && passed_over.is_empty() && then["steps"] != now["steps"] {
        lines.push("the steps are others, or in another order".to_owned());
    }
    let of = |is_done: bool| move |text: String| Difference { text, is_done };
    lines.into_iter().map(of(false)).chain(done.into_iter().map(of(true))).collect()
}

/// The same as lines for people.
pub fn in_words(differences: Vec<Difference>) -> Vec<String> {
    differences.into_iter().map(|difference| difference.text).collect()
}

fn changes<'a>(document: &'a Value, passed_over: &[String]) -> BTreeMap<&'a str, &'a Value> {
    let all = document["changes"].as_array().into_iter().flatten();
    all.filter(|change| change["action"] != "no-op")
        .filter_map(|change| Some((change["address"].as_str()?, change)))
        .filter(|(address, _)| !passed_over.iter().any(|passed| passed == address))
        .collect()
}

fn word(change: &Value) -> &str {
    match change["action"].as_str().unwrap_or_default() {
        "create" => "created",
        "update" => "updated",
        "replace" => "replaced",
        "delete" => "deleted",
        "rename" => "renamed",
        "adopt" => "adopted",
        other => other,
    }
}

fn compare(address: &str, then: &Value, now: &Value, lines: &mut Vec<String>) {
    if then["action"] != now["action"] {
        lines.push(format!("{address}: was to be {}, and is to be {} now", word(then), word(now)));
        return;
    }
    for key in ["name", "project"] {
        if then[key] != now[key] {
            lines.push(format!("{address}: its {key} was {}, and is {} now", then[key], now[key]));
        }
    }
    let fields = |change: &Value| -> BTreeMap<String, Value> {
        let all = change["diff"].as_array().cloned().unwrap_or_default();
        all.into_iter().map(|field| (field["path"].as_str().unwrap_or_default().to_owned(), field)).collect()
    };
    let (then, now) = (fields(then), fields(now));
    let paths: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    for path in paths {
        match (then.get(path), now.get(path)) {
            (Some(then), Some(now)) => {
                for key in ["before", "after"] {
                    if then[key] != now[key] {
                        let side = if key == "before" { "the server had" } else { "the file said" };
                        lines.push(format!("{address}: {path}: {side} {}, and now {}", then[key], now[key]));
                    }
                }
            }
            (Some(_), None) => lines.push(format!("{address}: {path} was to change, and no longer is")),
            (None, Some(_)) => lines.push(format!("{address}: {path} was not to change, and now is")),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(action: &str, before: &str, after: &str) -> Value {
        let diff = json!([{"path": "config.limits.cpu", "before": before, "after": after}]);
        let change =
            json!({"address": "profiles.base", "name": "base", "project": "p", "action": action, "diff": diff});
        json!({"changes": [change, {"address": "profiles.other", "action": "no-op", "diff": []}], "steps": []})
    }

    #[test]
    fn equal_plans_do_not_differ_and_others_say_where() {
        let then = document("update", "1", "2");
        assert!(differences(&then, &then, &[]).is_empty());
        let lines = |now| in_words(differences(&then, &now, &[])).join("\n");
        assert_eq!(
            lines(document("update", "3", "2")),
            "profiles.base: config.limits.cpu: the server had \"1\", and now \"3\""
        );
        assert_eq!(lines(document("replace", "1", "2")), "profiles.base: was to be updated, and is to be replaced now");
        assert_eq!(lines(json!({"changes": []})), "profiles.base: was to be updated, and nothing is to do now");
        assert!(differences(&then, &json!({"changes": []}), &["profiles.base".into()]).is_empty());
        let is_done = |now| differences(&then, &now, &[]).iter().all(|difference| difference.is_done);
        assert!(is_done(json!({"changes": []})) && !is_done(document("update", "3", "2")));
    }

    #[test]
    fn a_changed_order_is_a_difference() {
        let then = json!({"changes": [], "steps": [{"address": "a", "verb": "stop"}]});
        assert_eq!(differences(&then, &json!({"changes": [], "steps": []}), &[]).len(), 1);
    }

    #[test]
    fn inputs_are_told_apart_by_salted_hashes() {
        let mut sources = Sources::default();
        sources.add("site.yaml", "site: a");
        sources.add("--var token", "hunter2");
        let secrets = |text: &str| BTreeMap::from([("db".to_owned(), text.to_owned())]);
        let then = inputs(&sources, &secrets("swordfish"), "salt");
        assert_ne!(then, inputs(&sources, &secrets("swordfish"), "other"));
        assert!(!format!("{then:?}").contains("hunter2") && !format!("{then:?}").contains("swordfish"));
        let mut sources = Sources::default();
        sources.add("site.yaml", "site: b");
        sources.add("vars.yaml", "");
        assert_eq!(
            changed_inputs(&then, &inputs(&sources, &secrets("other"), "salt")),
            [
                "--var token is no longer read",
                "site.yaml has changed",
                "the secret db has changed",
                "vars.yaml was not read then"
            ]
        );
    }

    #[test]
    fn a_plan_that_was_only_printed_is_no_saved_one() {
        assert_eq!(of_document(&json!({"format_version": "1.0", "changes": []})), Ok(None));
        assert!(of_document(&json!({"format_version": "9.0", "saved": {}})).unwrap_err().contains("format"));
        assert!(of_document(&json!({"format_version": "1.0", "saved": {}})).unwrap_err().contains("damaged"));
    }
}
