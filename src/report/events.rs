//! What happens during an apply, for machines: one JSON object a line.

use serde_json::{Value, json};

use crate::model::{Event, Outcome};

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
        Event::Interrupted => json!({"type": "interrupted"}),
        Event::Note { text } => json!({"type": "note", "text": text}),
        Event::Ended { done, failed, not_tried, elapsed } => json!({
            "type": "ended", "done": done, "failed": failed, "not_tried": not_tried,
            "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }),
    }
}

/// The word in JSON.
pub(super) fn verb_of(verb: crate::model::Verb) -> String {
    format!("{verb:?}").to_lowercase()
}
