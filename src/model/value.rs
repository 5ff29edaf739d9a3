//! When two spellings of a value are one value to LXD.

use serde_json::Value;

/// LXD's booleans (shared.IsTrue, shared.IsFalse): true/yes/on/1 and false/no/off/0, in any case.
pub fn as_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The text of a scalar as LXD's config holds it; a list or map as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
