//! `roles:` of an instance: what is run inside of it when it is up.

use std::rc::Rc;

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostic, nearest};
use crate::model::Span;
use crate::tree::{Node, Value as Written};

/// A role that is run in an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleRef {
    /// Its name, or a path.
    pub name: String,
    /// What its variables are here.
    pub vars: Map<String, Value>,
    /// For `--tags`.
    pub tags: Vec<String>,
    /// Where it stands.
    pub span: Span,
}

const HELP: &str = "write `roles: [NAME, {role: NAME, vars: {…}}]`";

/// What [`decode`] reads.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    let text = json!({"type": "string"});
    let one = json!({
        "type": "object",
        "required": ["role"],
        "additionalProperties": false,
        "properties": {
            "role": {"type": "string", "description": "The role's name, or a path."},
            "vars": {"type": "object", "description": "What its variables are here."},
            "tags": {"anyOf": [text, {"type": "array", "items": text}], "description": "For --tags."},
        },
    });
    let schema = json!({
        "description": "Roles that are run in it, in this order, when it is up; it is ready when they are through.",
        "type": "array",
        "items": {"anyOf": [text, one]},
    });
    Schema::try_from(schema).unwrap_or_default()
}

/// Reads `roles:`.
pub fn decode(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Vec<RoleRef> {
    match &node.value {
        Written::Seq(items) => items.iter().filter_map(|item| one(item, out)).collect(),
        _ if node.is_null() => vec![],
        _ => {
            out.push(
                Diagnostic::error(node.span, format!("`roles` is a list, and this is {}", node.describe())).help(HELP),
            );
            vec![]
        }
    }
}

fn one(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<RoleRef> {
    let plain = |name: &str| RoleRef { name: name.to_owned(), vars: Map::new(), tags: vec![], span: node.span };
    if node.partial {
        return None;
    }
    if let Some(name) = node.as_str().filter(|name| !name.is_empty()) {
        return Some(plain(name));
    }
    const KEYS: &[&str] = &["role", "vars", "tags"];
    for (key, _) in node.entries() {
        if !KEYS.contains(&key.text.as_str()) {
            let error = Diagnostic::error(key.span, format!("a role of an instance has no `{}`", key.text));
            out.push(match nearest(&key.text, KEYS.iter().copied()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help("its variables stand under `vars:`; conditions belong into the role or a playbook"),
            });
            return None;
        }
    }
    let Some(name) = node.get("role").and_then(|role| role.as_str()).filter(|name| !name.is_empty()) else {
        out.push(Diagnostic::error(node.span, "this names no role").help(HELP));
        return None;
    };
    let vars = match node.get("vars") {
        None => Map::new(),
        Some(vars) => match vars.to_json() {
            Value::Object(vars) => vars,
            Value::Null => Map::new(),
            _ => {
                out.push(Diagnostic::error(vars.span, format!("`vars` is a map, and this is {}", vars.describe())));
                return None;
            }
        },
    };
    let tags = match node.get("tags") {
        None => vec![],
        Some(tags) if tags.items().is_empty() => {
            tags.as_str().unwrap_or_default().split(',').map(|tag| tag.trim().to_owned()).collect()
        }
        Some(tags) => tags.items().iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
    };
    Some(RoleRef { vars, tags, ..plain(name) })
}
