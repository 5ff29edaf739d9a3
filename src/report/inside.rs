//! What an apply would do inside of the instances, for people and for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use super::Style;
use super::plays::Plays;
use crate::model::{PlayEvent, Preview, TaskEnded, TaskStatus};

/// All tasks that would change something, with what differs; those that nobody knows yet, with the reason; the others
/// as a number, or each with `all`.
pub fn text(preview: &Preview, style: Style, all: bool) -> String {
    let mut plays = Plays::new(style);
    (plays.all, plays.diff, plays.check) = (all, true, true);
    let mut lines = vec![];
    for (host, text) in &preview.notes {
        lines.extend(plays.lines(&PlayEvent::Note { host: host.clone(), text: text.clone() }));
    }
    let mut rest = preview.tasks.as_slice();
    while let Some(first) = rest.first() {
        let is_like = |ended: &&TaskEnded| ended.host == first.host && ended.unknown == first.unknown;
        let count = match first.status == TaskStatus::Unknown && !all {
            true => rest.iter().take_while(|ended| is_like(ended)).count(),
            false => 1,
        };
        let (alike, others) = rest.split_at(count);
        rest = others;
        match alike {
            [one] => lines.extend(plays.lines(&PlayEvent::Task(Box::new(one.clone())))),
            several => lines.push(unknowns(several, style)),
        }
    }
    let end = PlayEvent::Recap { hosts: vec![], trips: vec![], elapsed: std::time::Duration::ZERO };
    lines.extend(plays.lines(&end));
    let mut text = format!("\n{}\n", style.bold("Inside the instances:"));
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text + &summary(preview, style)
}

/// Tasks in a row of which the same is not known.
fn unknowns(tasks: &[TaskEnded], style: Style) -> String {
    let mut names: Vec<&str> = vec![];
    for ended in tasks {
        if names.last() != Some(&ended.task.as_str()) {
            names.push(&ended.task);
        }
    }
    let (host, why) = (&tasks[0].host, tasks[0].unknown.as_deref().unwrap_or_default());
    format!("{} {host}: {} (unknown until run: {why})", style.cyan("?"), names.join(", "))
}

/// The one line that says it all.
pub fn summary(preview: &Preview, style: Style) -> String {
    let total = preview.total();
    let unchanged = total.ok - total.changed;
    let mut parts = vec![];
    if total.changed > 0 {
        parts.push(style.yellow(&format!("{} to change", total.changed)));
    }
    if total.unknown > 0 {
        parts.push(style.cyan(&format!("{} unknown until run", total.unknown)));
    }
    if preview.fails() {
        parts.push(style.red(&format!("{} would fail", total.failed + total.unreachable)));
    }
    if parts.is_empty() {
        return style.green(&format!("No changes inside the instances: {unchanged} tasks unchanged.")) + "\n";
    }
    format!("Inside the instances: {}, {unchanged} tasks unchanged.\n", parts.join(", "))
}

/// As a part of a plan's document.
pub fn json(preview: &Preview) -> Value {
    let task = |ended: &TaskEnded| {
        let changes = ended.diffs.iter();
        let changes = changes.map(|diff| json!({"what": diff.what, "before": diff.before, "after": diff.after}));
        json!({
            "host": ended.host, "play": ended.play, "task": ended.task, "item": ended.item, "module": ended.module,
            "path": ended.place, "handler": ended.is_handler, "status": ended.status.as_str(),
            "unknown": ended.unknown, "failure": ended.failure, "changes": changes.collect::<Vec<_>>(),
        })
    };
    let total = preview.total();
    json!({
        "summary": {
            "change": total.changed, "unknown": total.unknown, "unchanged": total.ok - total.changed,
            "skipped": total.skipped, "fail": total.failed + total.unreachable,
        },
        "tasks": preview.tasks.iter().map(task).collect::<Vec<_>>(),
        "notes": preview.notes.iter().map(|(host, text)| json!({"host": host, "text": text})).collect::<Vec<_>>(),
    })
}

/// What only the run will tell, a line each.
pub fn unknown(preview: &Preview) -> Vec<String> {
    let tasks = preview.tasks.iter().filter(|ended| ended.status == TaskStatus::Unknown);
    let line = |ended: &TaskEnded| {
        let item = ended.item.as_ref().map(|item| format!(" [{item}]")).unwrap_or_default();
        format!("{}: {}{item}: {}", ended.host, ended.task, ended.unknown.as_deref().unwrap_or_default())
    };
    tasks.map(line).collect()
}

/// How what two plans would do inside of the instances differs. What was unknown then is not compared.
pub fn differences(then: &Value, now: &Value) -> Vec<String> {
    let (then, now) = (tasks(then), tasks(now));
    let keys: BTreeSet<_> = then.keys().chain(now.keys()).collect();
    let mut lines = vec![];
    for key in keys {
        let (host, _, task, item, _) = key;
        let item = if item.is_empty() { String::new() } else { format!(" [{item}]") };
        let what = format!("{host}: {task}{item}");
        let word = |task: &Value| match task["status"].as_str() {
            Some("changed") => "was to change",
            _ => "was to change nothing",
        };
        match (then.get(key), now.get(key)) {
            (Some(then), _) if then["status"] == "unknown" => {}
            (Some(then), None) => lines.push(format!("{what}: {}, and is not run now", word(then))),
            (None, Some(now)) if now["status"] == "skipped" => {}
            (None, Some(_)) => lines.push(format!("{what}: was not to be run, and is now")),
            (Some(then), Some(now)) if then["status"] != now["status"] => {
                let status = now["status"].as_str().unwrap_or_default();
                lines.push(format!("{what}: {}, and is `{status}` now", word(then)));
            }
            (Some(then), Some(now)) if then["changes"] != now["changes"] => {
                lines.push(format!("{what}: would change something else than it would have"));
            }
            _ => {}
        }
    }
    lines
}

/// Host, play, task, item, and which of several it is.
type Key = (String, String, String, String, usize);

fn tasks(document: &Value) -> BTreeMap<Key, &Value> {
    let mut all: BTreeMap<Key, &Value> = BTreeMap::new();
    for task in document["tasks"].as_array().into_iter().flatten() {
        let text = |name: &str| task[name].as_str().unwrap_or_default().to_owned();
        let mut key = (text("host"), text("play"), text("task"), text("item"), 0);
        while all.contains_key(&key) {
            key.4 += 1;
        }
        all.insert(key, task);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(tasks: &[(&str, &str, &str)]) -> Value {
        let task = |(name, status, after): &(&str, &str, &str)| json!({"host": "api", "play": "p", "task": name, "status": status, "changes": [{"after": after}]});
        json!({"tasks": tasks.iter().map(task).collect::<Vec<_>>()})
    }

    #[test]
    fn what_was_unknown_then_is_not_compared() {
        let then = document(&[("one", "unknown", ""), ("two", "changed", "x"), ("two", "ok", "")]);
        assert!(differences(&then, &then).is_empty());
        let now = document(&[("one", "changed", "y"), ("two", "changed", "x"), ("two", "ok", "")]);
        assert!(differences(&then, &now).is_empty());
        let now = document(&[("one", "ok", ""), ("two", "changed", "y"), ("two", "changed", "")]);
        assert_eq!(
            differences(&then, &now),
            [
                "api: two: would change something else than it would have",
                "api: two: was to change nothing, and is `changed` now"
            ]
        );
    }

    #[test]
    fn tasks_of_which_the_same_is_not_known_are_told_together() {
        let ended = |task: &str, status: TaskStatus| TaskEnded {
            play: "p".into(),
            task: task.into(),
            module: "copy".into(),
            place: String::new(),
            host: "api".into(),
            delegate: None,
            is_handler: false,
            status,
            item: None,
            result: json!({}),
            diffs: vec![],
            failure: None,
            unknown: (status == TaskStatus::Unknown).then(|| "it is not created yet".into()),
            elapsed: std::time::Duration::ZERO,
        };
        let tasks = vec![
            ended("facts", TaskStatus::Ok),
            ended("package", TaskStatus::Changed),
            ended("user", TaskStatus::Unknown),
            ended("file", TaskStatus::Unknown),
        ];
        let counts = crate::model::Counts { ok: 2, changed: 1, unknown: 2, ..Default::default() };
        let preview = Preview { tasks, notes: vec![], counts: vec![("api".into(), counts)] };
        insta::assert_snapshot!(text(&preview, Style::default(), false));
    }
}
