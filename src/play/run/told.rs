//! What is told of a task that has ended.

use std::time::Duration;

use super::task::Outcome;
use super::walk::Walk;
use crate::model::{PlayEvent, TaskDiff, TaskEnded, TaskStatus};
use crate::play::library::Library;
use crate::play::model::Task;
use crate::tasks::{Change, Failure, Map};
use crate::template::ansible::{text, to_json};
use crate::template::map;

/// So many last lines of a command's output are shown with its failure.
const LAST_LINES: usize = 12;

/// One task, or one item of its loop, that is told of.
pub struct Told<'t> {
    /// The task.
    pub task: &'t Task,
    /// Its name, rendered.
    pub name: &'t str,
    /// What it came to.
    pub outcome: &'t Outcome,
    /// What that means.
    pub status: TaskStatus,
    /// The item's label.
    pub item: Option<String>,
    /// `delegate_to`.
    pub delegate: Option<String>,
    /// `no_log`.
    pub is_hidden: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl Walk<'_> {
    pub(super) fn tell(&self, told: Told<'_>) {
        let outcome = told.outcome;
        let censored = "the output has been hidden due to the fact that 'no_log: true' was specified for this result";
        let mut result = outcome.result.clone();
        if told.is_hidden {
            result = Map::new();
            result.insert("censored".into(), censored.into());
            result.insert("changed".into(), outcome.is_changed.into());
        }
        let failure = outcome
            .failure
            .as_ref()
            .map(|failure| if told.is_hidden { censored.to_owned() } else { explained(failure) });
        let diffs = if told.is_hidden { vec![] } else { outcome.changes.iter().map(diff).collect() };
        self.run.tell(PlayEvent::Task(Box::new(TaskEnded {
            play: self.batch.stage.name.borrow().clone(),
            task: told.name.to_owned(),
            module: told.task.module.clone(),
            place: self.place(told.task),
            host: self.host.name.clone(),
            delegate: told.delegate,
            is_handler: told.task.is_handler,
            status: told.status,
            item: if told.is_hidden { told.item.map(|_| "(censored)".to_owned()) } else { told.item },
            result: to_json(&map(result)),
            diffs,
            failure,
            unknown: outcome.unknown.clone(),
            elapsed: told.elapsed,
        })));
    }

    pub(super) fn place(&self, task: &Task) -> String {
        if task.span.line == 0 { String::new() } else { self.run.world.library.place(task.span) }
    }
}

/// The event without what was decrypted on the way.
pub fn masked(event: PlayEvent, library: &Library) -> PlayEvent {
    let mask = |text: String| library.mask(text);
    match event {
        PlayEvent::Task(mut ended) => {
            ended.task = mask(ended.task);
            ended.item = ended.item.map(mask);
            ended.failure = ended.failure.map(mask);
            ended.unknown = ended.unknown.map(mask);
            for diff in &mut ended.diffs {
                diff.before = diff.before.take().map(mask);
                diff.after = diff.after.take().map(mask);
            }
            let result = mask(ended.result.to_string());
            ended.result = serde_json::from_str(&result).unwrap_or(serde_json::Value::Null);
            PlayEvent::Task(ended)
        }
        PlayEvent::Note { host, text } => PlayEvent::Note { host, text: mask(text) },
        other => other,
    }
}

fn diff(change: &Change) -> TaskDiff {
    match &change.diff {
        Some(diff) => {
            TaskDiff { what: diff.header.clone(), before: Some(diff.before.clone()), after: Some(diff.after.clone()) }
        }
        None => TaskDiff { what: change.what.clone(), before: change.before.clone(), after: change.after.clone() },
    }
}

/// A failure in words: the message, the command, its exit code, its last lines.
pub fn explained(failure: &Failure) -> String {
    let mut lines = vec![failure.message.clone()];
    let value = |name: &str| failure.result.get(name).map(text).filter(|text| !text.trim().is_empty());
    if let Some(command) = value("cmd") {
        lines.push(format!("command: {command}"));
    }
    if let Some(code) = value("rc") {
        lines.push(format!("exit code: {code}"));
    }
    for stream in ["stderr", "stdout"] {
        let Some(said) = value(stream) else { continue };
        let all: Vec<&str> = said.trim_end().lines().collect();
        let skipped = all.len().saturating_sub(LAST_LINES);
        let more = if skipped > 0 { format!(" (the last {LAST_LINES} of {} lines)", all.len()) } else { String::new() };
        lines.push(format!("{stream}{more}:"));
        lines.extend(all[skipped..].iter().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}
