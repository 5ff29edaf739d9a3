//! Leaves in and out of LXD's JSON: the same for every kind.

use serde_json::{Map, Value};

use super::{Fields, Raw};
use crate::model::Path;

/// The leaf's value; an unset key is `None`, and so is an empty text.
pub fn get(raw: &Raw, path: &Path) -> Option<Value> {
    let value = match path {
        Path::Field(name) => raw.get(name),
        Path::Entry { map, key } => raw.get(*map)?.get(key),
        Path::Device { device, key } => raw.get("devices")?.get(device)?.get(key),
    }?;
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        value => Some(value.clone()),
    }
}

/// Sets a leaf, or takes it away; a device without leaves goes as a whole.
pub fn set(raw: &mut Raw, path: &Path, value: Option<Value>) {
    match path {
        Path::Field(name) => {
            let value = value.unwrap_or_else(|| match raw.get(name) {
                Some(Value::Array(_)) => Value::Array(vec![]),
                Some(Value::Bool(_)) => Value::Bool(false),
                _ => Value::String(String::new()),
            });
            raw.insert(name.clone(), value);
        }
        Path::Entry { map, key } => set_key(child(raw, map), key, value),
        Path::Device { device, key } => {
            let devices = child(raw, "devices");
            set_key(child(devices, device), key, value);
            if child(devices, device).is_empty() {
                devices.remove(device);
            }
        }
    }
}

/// Sets several leaves.
pub fn write(raw: &mut Raw, leaves: &[(Path, Option<Value>)]) {
    for (path, value) in leaves {
        set(raw, path, value.clone());
    }
}

/// A body made of wanted leaves alone.
pub fn of_fields(fields: &Fields) -> Raw {
    let mut raw = Map::new();
    for (path, wanted) in fields {
        set(&mut raw, path, Some(wanted.value.clone()));
    }
    raw
}

/// What a PUT may carry: the object as read, without what only the server writes.
pub fn writable(raw: &Raw) -> Raw {
    const READ_ONLY: &[&str] = &[
        "name",
        "used_by",
        "status",
        "status_code",
        "locations",
        "location",
        "created_at",
        "last_used_at",
        "expanded_config",
        "expanded_devices",
        "project",
        "managed",
        "state",
        "snapshots",
        "backups",
        "replica_mode",
        "pool",
        "members",
    ];
    raw.iter()
        .filter(|(key, _)| !READ_ONLY.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn child<'a>(raw: &'a mut Raw, key: &str) -> &'a mut Raw {
    let value = raw.entry(key.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object in the line above"),
    }
}

fn set_key(map: &mut Raw, key: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value);
        }
        None => {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(value: Value) -> Raw {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_device_without_leaves_goes() {
        let mut object = raw(json!({"devices": {"eth0": {"type": "nic"}}, "config": null}));
        set(&mut object, &Path::device("eth0", "type"), None);
        set(&mut object, &Path::config("a"), Some("1".into()));
        assert_eq!(Value::Object(object), json!({"devices": {}, "config": {"a": "1"}}));
    }

    #[test]
    fn unset_and_empty_are_one() {
        let object = raw(json!({"description": "", "config": {"a": ""}}));
        assert_eq!(get(&object, &Path::field("description")), None);
        assert_eq!(get(&object, &Path::config("a")), None);
        assert_eq!(get(&object, &Path::device("x", "y")), None);
    }
}
