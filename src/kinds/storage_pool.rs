//! `storage_pools`: storage pools.
//!
//! ```yaml
//! storage_pools:
//!   data:
//!     driver: dir
//!     config: {rsync.bwlimit: 100MB}
//!     members: {node2: {config: {source: /srv/data}}}   # in a cluster: what differs per member
//! ```
//!
//! `driver` and where the pool lies (`source` and its like) are set at creation only: another value needs a
//! new pool, which lxdeploy makes only with `--delete-data` where the old one holds volumes.

use std::rc::Rc;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::declare::{check_path_part, wanted};
use super::members::{self, MemberBody};
use super::options::{self, Entity};
use super::{Creation, Declared, Decode, Effect, Kind, Object, Place, Raw};
use crate::diagnostic::Diagnostic;
use crate::lxd::Call;
use crate::model::{Id, Path};
use crate::tree::{self, Mapping, Node, Settings, Spanned, Text};

/// The kind.
#[derive(Debug)]
pub struct StoragePool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The driver: `dir`, `zfs`, `btrfs`, `lvm`, `ceph` … Fixed when the pool is made.
    #[schemars(schema_with = "super::schema::storage_driver")]
    driver: Option<Spanned<Text>>,
    /// LXD's pool config. Where the pool lies (`source` and its like) is set at creation only.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::pool_config")]
    config: Settings,
    /// In a cluster: what differs from member to member, by the member's name.
    #[serde(default)]
    members: Mapping<MemberBody>,
}

/// Where a pool lies; LXD takes these at creation only, and writes some of them anew (a loop file's path, a
/// disk's UUID).
const CREATION_ONLY: &[&str] = &[
    "source",
    "source.wipe",
    "zfs.pool_name",
    "lvm.vg_name",
    "lvm.thinpool_name",
    "ceph.cluster_name",
    "ceph.osd.pool_name",
    "ceph.osd.pg_num",
    "cephfs.path",
    "cephfs.cluster_name",
    "cephfs.create_missing",
];

impl Kind for StoragePool {
    fn section(&self) -> &'static str {
        "storage_pools"
    }

    fn noun(&self) -> &'static str {
        "storage pool"
    }

    fn place(&self) -> Place {
        Place::Server
    }

    fn collection(&self) -> &'static str {
        "storage-pools"
    }

    fn list(&self, _: &str, _: Option<&str>) -> Call {
        Call::get(&["storage-pools"]).query("recursion", "1")
    }

    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared> {
        let (body, is_whole) = tree::decode_part(body, super::COMMON_KEYS, cx.diagnostics);
        let body: Body = body?;
        let mut fields = cx.common_fields();
        match &body.driver {
            Some(driver) => {
                cx.known("storage driver", options::storage_drivers(), driver);
                fields.insert(Path::field("driver"), wanted(driver));
            }
            // Of a pool that is there already nothing need be said.
            None if cx.common.external || !is_whole => {}
            None => {
                cx.diagnostics.push(
                    Diagnostic::error(cx.common.span, "`driver` is missing")
                        .help("add `driver:`, for example dir, zfs, btrfs, lvm or ceph"),
                );
            }
        }
        let entity = Entity::StoragePool(body.driver.as_ref().map(|driver| driver.value.0.as_str()));
        cx.config(&mut fields, "config", &entity, &body.config);
        members::decode(&body.members, &entity, cx, &mut fields);
        Some(Declared::plain(fields, Arc::new(())))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_path_part(name, "storage pool")?;
        match name.chars().find(|c| c.is_whitespace()) {
            Some(bad) => Err(format!("storage pool names hold no {bad:?}")),
            None => Ok(()),
        }
    }

    fn canonical(&self, path: &Path, value: &Value) -> String {
        options::canonical(&Entity::StoragePool(None), &members::in_config(path), value)
    }

    fn is_rewritten(&self, path: &Path) -> bool {
        members::key_of(path).is_some_and(|key| CREATION_ONLY.contains(&key))
    }

    fn effect(&self, path: &Path, _: &Raw) -> (Effect, &'static str) {
        match path {
            Path::Field(name) if name == "driver" => (Effect::Replace, "a pool's driver is fixed when it is made"),
            path if self.is_rewritten(path) => (Effect::Replace, "where a pool lies is fixed when it is made"),
            _ => (Effect::Live, ""),
        }
    }

    fn holds_data(&self, live: &Raw) -> bool {
        let uses = live.get("used_by").and_then(Value::as_array);
        uses.is_some_and(|uses| uses.iter().filter_map(Value::as_str).any(|url| url.contains("/volumes/custom/")))
    }

    /// Of these drivers LXD writes down where the pool lies, whatever the file says; a pool without it was not
    /// finished. An unavailable one that has it may be whole, and its disk missing.
    fn is_half_made(&self, live: &Raw) -> bool {
        let text = |key: &str| live.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_placed = live.get("config").and_then(|config| config.get("source")).is_some();
        let is_unfinished = match text("status") {
            "Pending" | "Errored" => true,
            "Unavailable" => ["dir", "btrfs", "lvm", "zfs", "ceph", "cephfs"].contains(&text("driver")),
            _ => false,
        };
        is_unfinished && !is_placed && !self.holds_data(live) && live.get("config").is_some_and(Value::is_object)
    }

    fn create(&self, object: &Object, cx: &Creation<'_>) -> Vec<Call> {
        members::create(self.collection(), None, super::document(object, cx), cx.members)
    }

    fn update(&self, id: &Id, before: &Raw, after: &Raw) -> Vec<Call> {
        members::update(self, id, before, after)
    }

    fn is_made_per_member(&self, _: &Raw) -> bool {
        true
    }

    fn member_keys(&self) -> &'static [&'static str] {
        &["source", "source.wipe", "size", "zfs.pool_name", "lvm.vg_name", "lvm.thinpool_name"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_made_is_what_lies_nowhere_yet() {
        let pool = |status: &str, config: Value| {
            StoragePool.is_half_made(
                serde_json::json!({"status": status, "driver": "dir", "config": config}).as_object().unwrap(),
            )
        };
        assert!(pool("Unavailable", serde_json::json!({"user.a": "b"})));
        assert!(pool("Pending", serde_json::json!({})));
        assert!(!pool("Unavailable", serde_json::json!({"source": "/srv"})));
        assert!(!pool("Created", serde_json::json!({})));
        assert!(!pool("Unavailable", Value::Null));
    }
}
