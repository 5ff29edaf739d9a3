//! What differs from member to member of a cluster: `members: {NAME: {config: {…}}}` of a pool or network.
//!
//! LXD keeps some config keys per member (a pool's `source`, a network's `parent`), hides them from whoever asks
//! for the object as a whole, and makes such objects in two steps: pending on each member, then everywhere.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::options::Entity;
use super::{Decode, Fields, Kind, Place, Raw, body};
use crate::lxd::{Call, Method};
use crate::model::{Id, MEMBERS, Path};
use crate::tree::{Mapping, Settings};

/// What differs per cluster member, as it is written.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "member")]
pub struct MemberBody {
    /// The member's own config keys.
    #[serde(default)]
    pub config: Settings,
}

/// Reads `members` into the object's leaves.
pub fn decode(members: &Mapping<MemberBody>, entity: &Entity<'_>, cx: &mut Decode<'_>, fields: &mut Fields) {
    for (member, body) in &members.0 {
        let mut own = Fields::new();
        cx.config(&mut own, "config", entity, &body.config);
        for (path, wanted) in own {
            if let Path::Entry { key, .. } = path {
                fields.insert(Path::member(&member.value, &key), wanted);
            }
        }
    }
}

/// The config key of a leaf, be it everybody's or one member's.
pub fn key_of(path: &Path) -> Option<&str> {
    match (path.as_member(), path) {
        (Some((_, key)), _) => Some(key),
        (None, Path::Entry { key, .. }) => Some(key),
        _ => None,
    }
}

/// The same leaf of everybody's config: what a key means does not depend on whose it is.
pub fn in_config(path: &Path) -> Path {
    path.as_member().map_or_else(|| path.clone(), |(_, key)| Path::config(key))
}

/// LXD's two steps in a cluster: pending on each of `members` with what is the member's own, then as a whole.
/// On one machine there are no members, and one step.
pub fn create(collection: &str, project: Option<&str>, mut body: Raw, members: &[String]) -> Vec<Call> {
    let in_project = |call: Call| if let Some(project) = project { call.project(project) } else { call };
    let own = body.remove(MEMBERS).unwrap_or_default();
    let mut calls: Vec<Call> = members
        .iter()
        .map(|member| {
            let mut pending = json!({"name": body.get("name"), "config": config_of(own.as_object(), member)});
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

/// What makes an object whole whose creation failed on some of the members: the second step again, in which LXD
/// takes no config this time.
pub fn finish(kind: &dyn Kind, id: &Id, live: &Raw) -> Call {
    let mut body = json!({"name": id.name});
    for fixed in ["driver", "type"] {
        if let Some(value) = live.get(fixed) {
            body[fixed] = value.clone();
        }
    }
    let call = Call::post(&[kind.collection()], body);
    if kind.place() == Place::Server { call } else { call.project(&id.project) }
}

/// The calls that write what is everybody's, and then each member's own where it changes.
pub fn update(kind: &dyn Kind, id: &Id, before: &Raw, after: &Raw) -> Vec<Call> {
    let whole = body::writable(after);
    let mut calls = vec![kind.call(Method::Put, id, after).json(Value::Object(whole.clone()))];
    let own = |raw: &Raw, member: &str| config_of(raw.get(MEMBERS).and_then(Value::as_object), member);
    let keys = [before, after].into_iter().filter_map(|raw| raw.get(MEMBERS)?.as_object()).flat_map(Raw::keys);
    let members: BTreeSet<&str> = keys.filter_map(|key| Some(key.split_once('/')?.0)).collect();
    for member in members {
        let after = own(after, member);
        if after == own(before, member) {
            continue;
        }
        let mut body = whole.clone();
        if let Some(Value::Object(config)) = body.get_mut("config") {
            config.extend(after);
        }
        calls.push(kind.call(Method::Put, id, before).query("target", member).json(Value::Object(body)));
    }
    calls
}

/// One member's config in the flat map of all members'.
fn config_of(members: Option<&Raw>, member: &str) -> Raw {
    let own = members.into_iter().flatten().filter_map(|(key, value)| {
        let (of, key) = key.split_once('/')?;
        (of == member).then(|| (key.to_owned(), value.clone()))
    });
    own.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::by_section;

    fn raw(value: Value) -> Raw {
        value.as_object().unwrap().clone()
    }

    fn id(name: &str) -> Id {
        Id { project: "default".into(), pool: None, name: name.into() }
    }

    #[test]
    fn two_steps_in_a_cluster_and_one_on_one_machine() {
        let body =
            raw(json!({"name": "data", "driver": "dir", "config": {"a": "1"}, "members": {"n2/source": "/srv"}}));
        assert_eq!(create("storage-pools", None, body.clone(), &[]).len(), 1);
        let calls = create("storage-pools", None, body, &["n1".to_owned(), "n2".to_owned()]);
        let targets: Vec<String> = calls.iter().map(Call::target).collect();
        assert_eq!(targets, ["/1.0/storage-pools?target=n1", "/1.0/storage-pools?target=n2", "/1.0/storage-pools"]);
        let body = |index: usize| match &calls[index].body {
            crate::lxd::Body::Json(body) => body.clone(),
            _ => Value::Null,
        };
        assert_eq!(body(1), json!({"name": "data", "driver": "dir", "config": {"source": "/srv"}}));
        assert_eq!(body(2), json!({"name": "data", "driver": "dir", "config": {"a": "1"}}));
    }

    #[test]
    fn an_update_writes_to_the_members_that_change() {
        let kind = by_section("networks").unwrap();
        let before = raw(json!({"name": "lan", "config": {"a": "1"},
            "members": {"n1/parent": "eth0", "n2/parent": "eth0", "n2/bgp.ipv4.nexthop": "10.0.0.1"}}));
        let mut after = before.clone();
        body::set(&mut after, &Path::member("n2", "parent"), Some("eth1".into()));
        let calls = kind.update(&id("lan"), &before, &after);
        let targets: Vec<String> = calls.iter().map(Call::target).collect();
        assert_eq!(targets, ["/1.0/networks/lan?project=default", "/1.0/networks/lan?project=default&target=n2"]);
        assert_eq!(
            calls[1].body,
            crate::lxd::Body::Json(json!({"config": {"a": "1", "parent": "eth1", "bgp.ipv4.nexthop": "10.0.0.1"}}))
        );
    }

    #[test]
    fn what_failed_is_finished_without_config() {
        let kind = by_section("storage_pools").unwrap();
        let call = finish(kind, &id("da ta"), &raw(json!({"driver": "dir", "config": {"a": "1"}})));
        assert_eq!((call.method, call.target().as_str()), (Method::Post, "/1.0/storage-pools"));
        assert_eq!(call.body, crate::lxd::Body::Json(json!({"name": "da ta", "driver": "dir"})));
    }
}
