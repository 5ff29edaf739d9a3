//! `storage_volumes`: custom volumes.
//!
//! ```yaml
//! storage_volumes:
//!   cache: {pool: data, content_type: filesystem, config: {size: 1GiB}}
//! ```
//!
//! Volumes grow in place. They are never deleted or replaced without `--delete-data`.

use std::rc::Rc;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::declare::{check_path_part, wanted};
use super::options::{self, Entity};
use super::{Creation, Declared, Decode, Effect, Kind, Object, Place, Raw};
use crate::lxd::Call;
use crate::model::{Id, Path};
use crate::tree::{self, Node, Settings, Spanned, Text};

/// The kind.
#[derive(Debug)]
pub struct StorageVolume;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The pool: a key of `storage_pools`, or the name of one at the server.
    pool: Spanned<Text>,
    /// `filesystem` (default) or `block`.
    content_type: Option<Spanned<ContentType>>,
    /// LXD's volume config: `size`, `snapshots.*`.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::volume_config")]
    config: Settings,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum ContentType {
    Filesystem,
    Block,
}

impl Kind for StorageVolume {
    fn section(&self) -> &'static str {
        "storage_volumes"
    }

    fn noun(&self) -> &'static str {
        "storage volume"
    }

    fn place(&self) -> Place {
        Place::Pool { feature: Some(("features.storage.volumes", true)) }
    }

    fn collection(&self) -> &'static str {
        "storage-pools"
    }

    /// The parent list mixes in the volumes of instances and images; this one has the custom ones alone.
    fn list(&self, project: &str, pool: Option<&str>) -> Call {
        Call::get(&["storage-pools", pool.unwrap_or_default(), "volumes", "custom"])
            .project(project)
            .query("recursion", "1")
    }

    fn path(&self, id: &Id, _: &Raw) -> Vec<String> {
        let pool = id.pool.clone().unwrap_or_default();
        vec!["storage-pools".into(), pool, "volumes".into(), "custom".into(), id.name.clone()]
    }

    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared> {
        let body: Body = tree::decode_part(body, super::COMMON_KEYS, cx.diagnostics).0?;
        let mut fields = cx.common_fields();
        let pool = cx.named("storage_pools", &body.pool);
        if let Some(content) = &body.content_type {
            let text = match content.value {
                ContentType::Filesystem => "filesystem",
                ContentType::Block => "block",
            };
            let value = Spanned { value: Text(text.into()), span: content.span, sensitive: false };
            fields.insert(Path::field("content_type"), wanted(&value));
        }
        cx.config(&mut fields, "config", &Entity::StorageVolume, &body.config);
        Some(Declared { pool: Some(pool), ..Declared::plain(fields, Arc::new(())) })
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_path_part(name, "storage volume")?;
        match name.chars().find(|c| c.is_whitespace()) {
            Some(bad) => Err(format!("storage volume names hold no {bad:?}")),
            None => Ok(()),
        }
    }

    fn canonical(&self, path: &Path, value: &Value) -> String {
        options::canonical(&Entity::StorageVolume, path, value)
    }

    fn effect(&self, path: &Path, _: &Raw) -> (Effect, &'static str) {
        match path {
            Path::Field(name) if name == "content_type" => {
                (Effect::Replace, "a volume's content type is fixed when it is made")
            }
            Path::Entry { key, .. } if key == "block.filesystem" => {
                (Effect::Replace, "a volume's file system is fixed when it is made")
            }
            _ => (Effect::Live, ""),
        }
    }

    fn live_uses(&self, live: &Raw) -> Vec<(&'static str, String)> {
        live.get("pool").and_then(Value::as_str).map(|pool| ("storage_pools", pool.to_owned())).into_iter().collect()
    }

    fn holds_data(&self, _: &Raw) -> bool {
        true
    }

    fn create(&self, object: &Object, cx: &Creation<'_>) -> Vec<Call> {
        let pool = cx.id.pool.clone().unwrap_or_default();
        let mut body = super::document(object, cx);
        body.insert("type".into(), "custom".into());
        vec![Call::post(&["storage-pools", &pool, "volumes", "custom"], Value::Object(body)).project(&cx.id.project)]
    }
}
