//! The JSON Schema (draft 2020-12) of site and platform files, made of the types that read them.
//!
//! It says of a file alone what an editor can know: keys, words and types. What a file leaves out may be in its
//! platform, so nothing but the kind of file is required; `null` takes out what was inherited; and a template may
//! stand for anything but a name.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::document::{COMMON, OF_PLATFORMS, OF_SITES};
use super::expand::Shared;
use super::inputs::Declaration;
use super::secrets::SecretBody;
use crate::kinds::{self, Kind, schema};

/// These take templates and `null` already.
const WIDE: &[&str] = &[schema::VALUE, schema::FLAG, schema::NUMBER];

/// The document.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut sections = Map::new();
    let mut objects = Map::new();
    for kind in kinds::all() {
        objects.insert(definition(*kind), object(*kind, &mut generator));
        let one = json!({"anyOf": [{"$ref": format!("#/$defs/{}", definition(*kind))}, {"type": "null"}]});
        let section = json!({
            "description": format!("{}s by key.", capital(kind.noun())),
            "type": ["object", "null"],
            "additionalProperties": one,
        });
        sections.insert(kind.section().to_owned(), section);
    }
    let site = file("A site: who owns the objects, and where they live.", OF_SITES, &sections, &mut generator);
    let platform = file("A platform: what sites extend.", OF_PLATFORMS, &sections, &mut generator);
    let mut definitions = generator.take_definitions(true);
    definitions.values_mut().for_each(|schema| loosen(schema, true));
    definitions.extend(objects);
    definitions.insert("site_file".into(), site);
    definitions.insert("platform_file".into(), platform);
    let text = json!(["string", "number", "boolean", "null"]);
    let template = || json!({"$ref": "#/$defs/template"});
    let yes_or_no = json!({"$ref": "#/$defs/yes_or_no"});
    let flag = json!({"anyOf": [{"type": "boolean"}, yes_or_no, template(), {"enum": [0, 1, "0", "1", "", null]}]});
    let number =
        json!({"anyOf": [{"type": ["integer", "null"]}, {"type": "string", "pattern": "^[+-]?[0-9]*$"}, template()]});
    definitions.insert(schema::VALUE.into(), json!({"type": text}));
    definitions.insert(schema::FLAG.into(), flag);
    definitions.insert(schema::NUMBER.into(), number);
    definitions.insert(
        "template".into(),
        json!({"description": "A Jinja template, for example `{{ name }}`.", "type": "string", "pattern": r"\{\{|\{%"}),
    );
    let words = "^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)$";
    definitions.insert("yes_or_no".into(), json!({"type": "string", "pattern": words}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lxdeploy site and platform files, format 1",
        "type": "object",
        "if": {"required": ["platform"]},
        "then": {"$ref": "#/$defs/platform_file"},
        "else": {"$ref": "#/$defs/site_file"},
        "$defs": definitions,
    })
}

fn definition(kind: &dyn Kind) -> String {
    kind.noun().replace(' ', "_").to_lowercase()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// An object: what every one may have, and what its kind reads.
fn object(kind: &dyn Kind, generator: &mut SchemaGenerator) -> Value {
    let mut schema = kind.schema(generator).to_value();
    let shared = Shared::json_schema(generator).to_value();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return schema;
    };
    properties.extend(shared["properties"].as_object().cloned().unwrap_or_default());
    properties
        .insert("name".into(), json!({"description": "LXD's name for it; the key by default.", "type": "string"}));
    let enabled = json!({"description": "False leaves it out, like a count of 0.", "type": "boolean"});
    properties.insert("enabled".into(), enabled);
    if kind.section() == "instances" {
        let count = "So many of it: KEY-1, KEY-2 …; `{{ index }}` tells them apart.";
        properties
            .insert("count".into(), json!({"description": count, "type": "integer", "minimum": 0, "maximum": 10_000}));
        let each = "One for each key: KEY-NAME; `{{ key }}`, `{{ value }}` and `{{ index }}` tell them apart.";
        properties.insert("for_each".into(), json!({"description": each, "type": "object"}));
    }
    // An overlay need not repeat what the platform says.
    schema.as_object_mut().map(|schema| schema.remove("required"));
    loosen(&mut schema, true);
    schema
}

/// The keys of a file beside its sections are read one by one, and so are their schemas.
fn file(description: &str, own: &[&str], sections: &Map<String, Value>, generator: &mut SchemaGenerator) -> Value {
    let mut declaration = Declaration::json_schema(generator).to_value();
    let mut secret = SecretBody::json_schema(generator).to_value();
    loosen(&mut declaration, false);
    loosen(&mut secret, false);
    let text = ["string", "number", "boolean"];
    let named = |values: Value| json!({"type": ["object", "null"], "additionalProperties": {"anyOf": [values, {"type": "null"}]}});
    let is_platform = own.contains(&"platform");
    let mut properties = sections.clone();
    for key in COMMON.iter().chain(own) {
        let (description, mut schema) = match *key {
            "format" => ("The format of this file; 1 where it is not said.", json!({"const": 1})),
            "site" => (
                "The owner stamped on every object.",
                json!({"type": "string", "pattern": "^[a-z0-9-]{2,32}$|\\{\\{|\\{%"}),
            ),
            "remote" => ("A remote's name, https://host:8443, unix:/path or local.", json!({"type": text})),
            "server_fingerprint" => {
                ("The SHA-256 of the server's certificate: the wrong server is refused.", json!({"type": text}))
            }
            "platform" => ("The platform's name.", json!({"type": text})),
            "release" => ("The platform's release.", json!({"type": text})),
            "extends" => ("The path of the platform file under this one.", json!({"type": "string"})),
            "project" => ("Where objects live that name no project.", json!({"type": text})),
            "inputs" if is_platform => ("What sites may set, with type and default.", named(declaration.clone())),
            "inputs" => ("Values for what the platform declares.", json!({"type": ["object", "null"]})),
            "vars" => ("Variables for templates.", json!({"type": ["object", "null"]})),
            "vars_files" => {
                ("YAML files of variables.", json!({"type": ["array", "null"], "items": {"type": "string"}}))
            }
            "recipients" => (
                "Whom `lxdeploy secrets encrypt` encrypts files for.",
                json!({"type": ["array", "null"], "items": {"type": "string", "pattern": "^age1"}}),
            ),
            "playbooks" => (
                "Playbooks that are run when the instances are up.",
                json!({"type": ["array", "null"], "items": {"type": "string"}}),
            ),
            "roles_path" => (
                "Where roles are, beside `roles/` and `playbooks/roles/` of these files.",
                json!({"type": ["array", "null"], "items": {"type": "string"}}),
            ),
            "secrets" => ("Secrets, for `secret(NAME)` in templates.", named(secret.clone())),
            other => unreachable!("`{other}` has no schema"),
        };
        schema["description"] = description.into();
        properties.insert((*key).to_owned(), schema);
    }
    json!({
        "description": description,
        "type": "object",
        "required": [if is_platform { "platform" } else { "site" }],
        "properties": properties,
        "additionalProperties": false,
    })
}

/// What our decoder takes beyond the type: any scalar where text is wanted, words for booleans, `null` in maps and,
/// inside of objects, templates.
fn loosen(schema: &mut Value, templates: bool) {
    let Some(map) = schema.as_object_mut() else { return };
    map.remove("title");
    map.remove("default");
    let is_free = ["pattern", "const", "enum"].iter().all(|key| !map.contains_key(*key));
    match map.get("type") {
        Some(types) if is_free && *types == "string" => {
            map.insert("type".into(), json!(["string", "number", "boolean"]));
        }
        Some(types) if is_free && *types == json!(["string", "null"]) => {
            map.insert("type".into(), json!(["string", "number", "boolean", "null"]));
        }
        _ => {}
    }
    for key in ["anyOf", "oneOf"] {
        map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(|part| loosen(part, templates));
    }
    for value in map.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        loosen(value, templates);
        widen(value, templates, true);
    }
    for (key, is_in_a_map) in [("additionalProperties", true), ("items", false)] {
        if let Some(value) = map.get_mut(key).filter(|value| value.is_object()) {
            loosen(value, templates);
            widen(value, templates, is_in_a_map);
        }
    }
}

fn widen(schema: &mut Value, templates: bool, nulls: bool) {
    let Some(map) = schema.as_object_mut() else { return };
    if map.get("$ref").and_then(Value::as_str).is_some_and(|name| WIDE.iter().any(|wide| name.ends_with(wide))) {
        return;
    }
    let description = map.remove("description");
    let mut ways = match map.get("anyOf").and_then(Value::as_array).filter(|_| map.len() == 1) {
        Some(ways) => ways.clone(),
        None => vec![Value::Object(map.clone())],
    };
    let is_plain = |way: &Value| way.get("pattern").is_none() && way.get("enum").is_none();
    let takes = |ways: &[Value], wanted: &str| {
        let is_plain = |way: &Value| wanted == "null" || is_plain(way);
        ways.iter().any(|way| {
            let types = way.get("type").map(|types| types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]));
            types.is_some_and(|types| types.iter().any(|known| known == wanted)) && is_plain(way)
        })
    };
    let is_text = takes(&ways, "string");
    if takes(&ways, "boolean") && !is_text {
        ways.push(json!({"$ref": "#/$defs/yes_or_no"}));
    }
    if templates && !is_text {
        ways.push(json!({"$ref": "#/$defs/template"}));
    }
    if nulls && !takes(&ways, "null") {
        match ways.first_mut().and_then(|way| way.get_mut("type")).and_then(Value::as_array_mut).filter(|_| is_text) {
            Some(types) => types.push("null".into()),
            None => ways.push(json!({"type": "null"})),
        }
    }
    let mut widened = match <[Value; 1]>::try_from(ways) {
        Ok([only]) => only,
        Err(ways) => json!({"anyOf": ways}),
    };
    if let (Some(description), Some(map)) = (description, widened.as_object_mut()) {
        map.insert("description".into(), description);
    }
    *schema = widened;
}
