//! `storage_volumes`: custom volumes.
//!
//! ```yaml
//! storage_volumes:
//!   cache: {pool: data, content_type: filesystem, config: {size: 1GiB}}
//!   db: {pool: data, target: node2}       # in a cluster: the member that it is made on, at creation only
//! ```
//!
//! A pool that lies on each member apart (dir, zfs, btrfs, lvm) has a volume on one of them, and only instances on
//! that member can use it; without `target` it is the member that is asked. Volumes grow in place. They are never deleted or replaced without `--delete-data`.

use std::rc::Rc;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::declare::{check_path_part, wanted};
use super::options::{self, Entity};
use super::{Creation, Declared, Decode, Effect, Kind, Object, Place, Raw, Target};
use crate::diagnostic::Diagnostic;
use crate::lxd::{Call, Method};
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
    /// The cluster member that it is made on; at creation only.
    target: Option<Spanned<String>>,
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

    /// Volumes of one name may lie on several members: the one that was read is meant.
    fn call(&self, method: Method, id: &Id, live: &Raw) -> Call {
        let path = self.path(id, live);
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let call = Call::new(method, &parts).project(&id.project);
        match live.get("location").and_then(Value::as_str) {
            Some(member) if !["", "none"].contains(&member) => call.query("target", member),
            _ => call,
        }
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
        if let Some(target) = &body.target
            && (target.value.is_empty() || target.value.starts_with('@'))
        {
            let message = format!("`{}` is no member of a cluster", target.value);
            cx.diagnostics.push(
                Diagnostic::error(target.span, message)
                    .help("name one member: LXD places volumes on members, not in cluster groups"),
            );
        }
        let target = Target(body.target.map(|target| target.value));
        Some(Declared { pool: Some(pool), ..Declared::plain(fields, Arc::new(target)) })
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

    /// LXD writes its record first, then makes its directory or dataset, and tells nobody that the latter is missing.
    fn hides_half_made(&self) -> bool {
        true
    }

    fn create(&self, object: &Object, cx: &Creation<'_>) -> Vec<Call> {
        let pool = cx.id.pool.clone().unwrap_or_default();
        let mut body = super::document(object, cx);
        body.insert("type".into(), "custom".into());
        let call =
            Call::post(&["storage-pools", &pool, "volumes", "custom"], Value::Object(body)).project(&cx.id.project);
        vec![if let Some(target) = object.target() { call.query("target", target) } else { call }]
    }
}
