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

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::declare::{check_path_part, wanted};
use super::options::{self, Entity};
use super::{Creation, Declared, Decode, Effect, Kind, Members, Object, Place, Raw};
use crate::diagnostic::Diagnostic;
use crate::lxd::Call;
use crate::model::Path;
use crate::tree::{self, Mapping, Node, Settings, Spanned, Text};

/// The kind.
#[derive(Debug)]
pub struct StoragePool;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    driver: Option<Spanned<Text>>,
    #[serde(default)]
    config: Settings,
    #[serde(default)]
    members: Mapping<super::MemberBody>,
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
        let members = Members::decode(&body.members, &entity, cx);
        Some(Declared::plain(fields, Arc::new(members)))
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_path_part(name, "storage pool")?;
        match name.chars().find(|c| c.is_whitespace()) {
            Some(bad) => Err(format!("storage pool names hold no {bad:?}")),
            None => Ok(()),
        }
    }

    fn canonical(&self, path: &Path, value: &Value) -> String {
        options::canonical(&Entity::StoragePool(None), path, value)
    }

    fn is_rewritten(&self, path: &Path) -> bool {
        matches!(path, Path::Entry { key, .. } if CREATION_ONLY.contains(&key.as_str()))
    }

    fn effect(&self, path: &Path, _: &Raw) -> (Effect, &'static str) {
        match path {
            Path::Field(name) if name == "driver" => (Effect::Replace, "a pool's driver is fixed when it is made"),
            Path::Entry { key, .. } if CREATION_ONLY.contains(&key.as_str()) => {
                (Effect::Replace, "where a pool lies is fixed when it is made")
            }
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
        Members::of(object).create(self.collection(), None, super::document(object, cx), cx.members)
    }

    fn is_made_per_member(&self, _: &Object) -> bool {
        true
    }
}

/// What differs from member to member of a cluster: `members: {NAME: {config: {…}}}`.
impl Members {
    /// The members as a site file has them.
    pub fn decode(members: &Mapping<super::MemberBody>, entity: &Entity<'_>, cx: &mut Decode<'_>) -> Members {
        let mut by_name = BTreeMap::new();
        for (member, body) in &members.0 {
            let mut fields = super::Fields::new();
            cx.config(&mut fields, "config", entity, &body.config);
            let config = fields.into_iter().filter_map(|(path, wanted)| match path {
                Path::Entry { key, .. } => Some((key, wanted.value)),
                _ => None,
            });
            by_name.insert(member.value.clone(), config.collect());
        }
        Members(by_name)
    }

    /// The members of an object whose kind keeps them as its spec.
    pub fn of(object: &Object) -> Members {
        object.spec.downcast_ref::<Members>().cloned().unwrap_or_default()
    }

    /// LXD's two steps in a cluster: pending on each member with what is the member's own, then as a whole.
    /// `all` are the cluster's members, those included of which the file says nothing.
    pub fn create(&self, collection: &str, project: Option<&str>, body: Raw, all: &[String]) -> Vec<Call> {
        let in_project = |call: Call| {
            if let Some(project) = project { call.project(project) } else { call }
        };
        let plain = Raw::new();
        let mut members: BTreeMap<&String, &Raw> = all.iter().map(|member| (member, &plain)).collect();
        members.extend(&self.0);
        let mut calls: Vec<Call> = members
            .into_iter()
            .map(|(member, config)| {
                let mut pending = json!({"name": body.get("name"), "config": config});
                for fixed in ["driver", "type"] {
                    if let Some(value) = body.get(fixed) {
                        pending[fixed] = value.clone();
                    }
                }
                in_project(Call::post(&[collection], pending)).query("target", member)
            })
            .collect();
        calls.push(in_project(Call::post(&[collection], Value::Object(body))));
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_made_is_what_lies_nowhere_yet() {
        let pool = |status: &str, config: Value| {
            StoragePool.is_half_made(json!({"status": status, "driver": "dir", "config": config}).as_object().unwrap())
        };
        assert!(pool("Unavailable", json!({"user.a": "b"})));
        assert!(pool("Pending", json!({})));
        assert!(!pool("Unavailable", json!({"source": "/srv"})));
        assert!(!pool("Created", json!({})));
        assert!(!pool("Unavailable", Value::Null));
    }

    #[test]
    fn two_steps_in_a_cluster_and_one_on_one_machine() {
        let body = json!({"name": "data", "driver": "dir", "config": {"a": "1"}});
        let body = body.as_object().unwrap();
        assert_eq!(Members::default().create("storage-pools", None, body.clone(), &[]).len(), 1);
        let config = serde_json::Map::from_iter([("source".to_owned(), json!("/srv"))]);
        let members = Members(BTreeMap::from([("n2".to_owned(), config)]));
        let all = ["n1".to_owned(), "n2".to_owned()];
        let calls = members.create("storage-pools", None, body.clone(), &all);
        let targets: Vec<String> = calls.iter().map(Call::target).collect();
        assert_eq!(targets, ["/1.0/storage-pools?target=n1", "/1.0/storage-pools?target=n2", "/1.0/storage-pools"]);
        assert_eq!(
            calls[1].body,
            crate::lxd::Body::Json(json!({"name": "data", "driver": "dir", "config": {"source": "/srv"}}))
        );
    }
}
