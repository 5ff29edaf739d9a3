//! What happens during an apply, for machines: one JSON object a line.

use serde_json::{Value, json};

use crate::model::{Event, Outcome, PlayEvent};

/// One event as JSON.
pub fn json(event: &Event) -> Value {
    match event {
        Event::Started { steps } => json!({"type": "started", "steps": steps}),
        Event::StepStarted { step, address, verb } => {
            json!({"type": "step_started", "step": step.0, "address": address.to_string(), "verb": verb_of(*verb)})
        }
        Event::StepProgress { step, address, text } => {
            json!({"type": "step_progress", "step": step.0, "address": address.to_string(), "text": text})
        }
        Event::StepRetried { step, address, message } => {
            json!({"type": "step_retried", "step": step.0, "address": address.to_string(), "message": message})
        }
        Event::StepEnded { step, address, verb, outcome, elapsed } => {
            let mut line = json!({
                "type": "step_ended", "step": step.0, "address": address.to_string(), "verb": verb_of(*verb),
                "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            });
            match outcome {
                Outcome::Done => line["outcome"] = "done".into(),
                Outcome::Failed { message, details } => {
                    line["outcome"] = "failed".into();
                    line["message"] = message.clone().into();
                    line["details"] = details.clone().into();
                }
                Outcome::Blocked { by } => {
                    line["outcome"] = "blocked".into();
                    line["by"] = by.to_string().into();
                }
                Outcome::Cancelled => line["outcome"] = "cancelled".into(),
            }
            line
        }
        Event::Play(event) => play(event),
        Event::Interrupted => json!({"type": "interrupted"}),
        Event::Note { text } => json!({"type": "note", "text": text}),
        Event::Ended { done, failed, not_tried, elapsed } => json!({
            "type": "ended", "done": done, "failed": failed, "not_tried": not_tried,
            "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }),
    }
}

/// One event of plays as JSON.
fn play(event: &PlayEvent) -> Value {
    match event {
        PlayEvent::Play { name, hosts } => json!({"type": "play", "play": name, "hosts": hosts}),
        PlayEvent::TaskStarted { task, host } => json!({"type": "task_started", "task": task, "host": host}),
        PlayEvent::Task(ended) => {
            let changes =
                ended.diffs.iter().map(|diff| json!({"what": diff.what, "before": diff.before, "after": diff.after}));
            json!({
                "type": "task", "play": ended.play, "task": ended.task, "module": ended.module, "path": ended.place,
                "host": ended.host, "delegate": ended.delegate, "handler": ended.is_handler,
                "status": ended.status.as_str(), "item": ended.item, "result": ended.result, "failure": ended.failure,
                "unknown": ended.unknown,
                "changes": changes.collect::<Vec<_>>(), "elapsed_ms": u64::try_from(ended.elapsed.as_millis()).unwrap_or(u64::MAX),
            })
        }
        PlayEvent::Note { host, text } => json!({"type": "note", "host": host, "text": text}),
        PlayEvent::Recap { hosts, trips, elapsed } => {
            let each = hosts.iter().map(|(host, counts)| {
                let counts = json!({
                    "ok": counts.ok, "changed": counts.changed, "unreachable": counts.unreachable, "failed": counts.failed,
                    "skipped": counts.skipped, "rescued": counts.rescued, "ignored": counts.ignored,
                    "unknown": counts.unknown,
                });
                (host.clone(), counts)
            });
            let hosts: serde_json::Map<String, Value> = each.collect();
            let trips = trips.iter().map(|(host, role, count)| json!({"host": host, "role": role, "count": count}));
            let trips: Vec<Value> = trips.collect();
            json!({"type": "recap", "hosts": hosts, "round_trips": trips, "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)})
        }
    }
}

/// The word in JSON.
pub(super) fn verb_of(verb: crate::model::Verb) -> String {
    format!("{verb:?}").to_lowercase()
}
