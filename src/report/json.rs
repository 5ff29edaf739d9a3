//! A plan for machines: format 1.0.

use serde_json::{Value, json};

use super::events::verb_of;
use crate::model::{Masker, Preview, Sources};
use crate::plan::{Change, FieldDiff, Plan};

/// The document's format.
pub const FORMAT: &str = "1.0";

/// What stands in a sensitive value's place.
const MASK: &str = "(sensitive)";

/// The document of `--format json`.
pub fn plan(plan: &Plan, preview: Option<&Preview>, sources: &Sources) -> Value {
    let summary = plan.summary();
    json!({
        "format_version": FORMAT,
        "site": plan.site,
        "project": plan.project,
        "partial": plan.partial,
        "destroy": plan.destroy,
        "summary": {
            "create": summary.create,
            "update": summary.update,
            "replace": summary.replace,
            "delete": summary.delete,
            "rename": summary.rename,
            "adopt": summary.adopt,
            "unchanged": summary.unchanged,
        },
        "changes": plan.changes.iter().map(change).collect::<Vec<_>>(),
        "steps": plan.steps.iter().map(|step| json!({
            "address": step.address.to_string(),
            "verb": verb_of(step.verb),
            "waits_for": step.waits_for.iter().map(|before| before.0).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "playbooks": plan.playbooks.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "inside": preview.map(super::inside::json),
        "rolling": plan.rolling.iter().map(|roll| roll.iter().map(ToString::to_string).collect::<Vec<_>>()).collect::<Vec<_>>(),
        "refused": plan.refused.iter().map(|refusal| json!({
            "address": refusal.address.as_ref().map(ToString::to_string),
            "code": refusal.code,
            "text": refusal.text,
            "help": refusal.help,
            "place": refusal.span.map(|span| sources.place(span)),
        })).collect::<Vec<_>>(),
        "notes": plan.notes.iter().map(|note| json!({
            "address": note.address.as_ref().map(ToString::to_string),
            "code": note.code,
            "text": note.text,
        })).collect::<Vec<_>>(),
    })
}

/// The document with the text of every secret replaced, wherever it stands.
pub fn masked(value: Value, masker: &Masker) -> Value {
    match value {
        Value::String(text) => masker.mask(&text).into(),
        Value::Array(items) => items.into_iter().map(|item| masked(item, masker)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, masked(value, masker))).collect(),
        other => other,
    }
}

fn change(change: &Change) -> Value {
    json!({
        "address": change.address.to_string(),
        "kind": change.noun,
        "name": change.id.name,
        "project": change.id.project,
        "action": change.action.as_str(),
        "reason": {"code": change.reason.code, "text": change.reason.text},
        "drift": change.drift,
        "affects": change.affects,
        "diff": change.diff.iter().map(field).collect::<Vec<_>>(),
    })
}

fn field(field: &FieldDiff) -> Value {
    let value = |value: &Option<Value>| match value {
        Some(_) if field.sensitive => Value::String(MASK.into()),
        other => other.clone().unwrap_or_default(),
    };
    json!({
        "path": field.path.to_string(),
        "before": value(&field.before),
        "after": value(&field.after),
        "sensitive": field.sensitive,
        "effect": field.effect.as_str(),
        "why": field.why,
        "drift": field.drift,
    })
}
