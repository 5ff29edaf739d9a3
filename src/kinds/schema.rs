//! The schema of LXD's own keys: those of the option tables are suggested, others are allowed, for servers differ.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::options::{self, Entity, Type};

/// The definition of a value that is any text; whoever assembles the document defines it.
pub const VALUE: &str = "config_value";
/// Of LXD's booleans.
pub const FLAG: &str = "config_flag";
/// Of whole numbers.
pub const NUMBER: &str = "config_number";

/// A definition that stands for a whole map of keys.
fn config(generator: &mut SchemaGenerator, name: &str, entity: &Entity<'_>) -> Schema {
    let properties: Map<String, Value> = options::known(entity)
        .into_iter()
        .filter(|(key, _)| !key.starts_with("volatile."))
        .map(|(key, kind)| {
            let name = match kind {
                Type::Bool => FLAG,
                Type::Integer => NUMBER,
                Type::Text => VALUE,
            };
            (key.to_owned(), reference(name))
        })
        .collect();
    let whole = json!({"type": "object", "properties": properties, "additionalProperties": reference(VALUE)});
    generator.definitions_mut().insert(name.to_owned(), whole);
    Schema::try_from(reference(name)).unwrap_or_default()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// Of projects.
pub fn project_config(generator: &mut SchemaGenerator) -> Schema {
    config(generator, "project_config", &Entity::Project)
}

/// Of storage pools of any driver.
pub fn pool_config(generator: &mut SchemaGenerator) -> Schema {
    config(generator, "pool_config", &Entity::StoragePool(None))
}

/// Of custom volumes.
pub fn volume_config(generator: &mut SchemaGenerator) -> Schema {
    config(generator, "volume_config", &Entity::StorageVolume)
}

/// Of networks of any type.
pub fn network_config(generator: &mut SchemaGenerator) -> Schema {
    config(generator, "network_config", &Entity::Network(None))
}

/// Of network ACLs.
pub fn acl_config(generator: &mut SchemaGenerator) -> Schema {
    config(generator, "acl_config", &Entity::NetworkAcl)
}

/// Of instances and profiles.
pub fn instance_config(generator: &mut SchemaGenerator) -> Schema {
    config(generator, "instance_config", &Entity::Instance)
}

/// Devices of any type, by name.
pub fn devices(generator: &mut SchemaGenerator) -> Schema {
    let device = config(generator, "device", &Entity::Device(None));
    if let Some(definition) = generator.definitions_mut().get_mut("device") {
        definition["properties"]["type"] = suggested(options::device_types());
    }
    json_schema!({"type": "object", "additionalProperties": device})
}

/// The driver of a storage pool.
pub fn storage_driver(_: &mut SchemaGenerator) -> Schema {
    Schema::try_from(suggested(options::storage_drivers())).unwrap_or_default()
}

/// The type of a network.
pub fn network_type(_: &mut SchemaGenerator) -> Schema {
    Schema::try_from(suggested(options::network_types())).unwrap_or_default()
}

/// One of these words, most likely.
fn suggested(words: impl Iterator<Item = &'static str>) -> Value {
    json!({"type": "string", "examples": words.collect::<Vec<_>>()})
}
