//! `networks`: managed networks.
//!
//! ```yaml
//! networks:
//!   acmebr0:
//!     type: bridge                 # bridge (default), ovn, macvlan, sriov, physical
//!     config: {ipv4.address: 10.77.0.1/24, ipv4.nat: true, ipv6.address: none}
//!     members: {node2: {config: {parent: eth1}}}   # in a cluster: what differs per member
//! ```
//!
//! `auto` addresses are chosen by LXD once and then left alone. The type is fixed at creation.

use std::rc::Rc;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::declare::{check_path_part, wanted};
use super::members::{self, MemberBody};
use super::options::{self, Entity};
use super::{Creation, Declared, Decode, Effect, Kind, Object, Place, Raw};
use crate::lxd::Call;
use crate::model::{Id, Path};
use crate::tree::{self, Mapping, Node, Settings, Spanned, Text};

/// The kind.
#[derive(Debug)]
pub struct Network;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The type: `bridge` (default), `ovn`, `macvlan`, `sriov` or `physical`. Fixed when the network is made.
    #[serde(rename = "type")]
    #[schemars(schema_with = "super::schema::network_type")]
    network_type: Option<Spanned<Text>>,
    /// LXD's network config: `ipv4.address`, `ipv4.nat`, `dns.domain` …
    #[serde(default)]
    #[schemars(schema_with = "super::schema::network_config")]
    config: Settings,
    /// In a cluster: what differs from member to member, by the member's name.
    #[serde(default)]
    members: Mapping<MemberBody>,
}

impl Kind for Network {
    fn section(&self) -> &'static str {
        "networks"
    }

    fn noun(&self) -> &'static str {
        "network"
    }

    fn place(&self) -> Place {
        Place::Project { feature: Some(("features.networks", false)) }
    }

    fn collection(&self) -> &'static str {
        "networks"
    }

    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared> {
        let body: Body = tree::decode_part(body, super::COMMON_KEYS, cx.diagnostics).0?;
        let mut fields = cx.common_fields();
        if let Some(network_type) = &body.network_type {
            cx.known("network type", options::network_types(), network_type);
            fields.insert(Path::field("type"), wanted(network_type));
        }
        let entity = Entity::Network(Some(body.network_type.as_ref().map_or("bridge", |text| text.value.0.as_str())));
        cx.config(&mut fields, "config", &entity, &body.config);
        for (key, value) in &body.config.0 {
            let name = match key.value.as_str() {
                "network" if value.value.0 != "none" => cx.named("networks", value),
                "security.acls" => cx.named_list("network_acls", value),
                _ => continue,
            };
            if let Some(wanted) = fields.get_mut(&Path::config(&key.value)) {
                wanted.value = name.into();
            }
        }
        members::decode(&body.members, &entity, cx, &mut fields);
        Some(Declared::plain(fields, Arc::new(())))
    }

    /// A bridge is a host interface, whose name the kernel limits to 15 characters.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_path_part(name, "network")?;
        if name.len() > 15 {
            return Err("network names have 15 characters at most (the kernel's limit for interfaces)".into());
        }
        match name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')) {
            Some(bad) => {
                Err(format!("network names are made of letters, digits, `-`, `_` and `.`; {bad:?} is none of them"))
            }
            None => Ok(()),
        }
    }

    fn is_managed(&self, live: &Raw) -> bool {
        live.get("managed") == Some(&Value::Bool(true))
    }

    fn canonical(&self, path: &Path, value: &Value) -> String {
        options::canonical(&Entity::Network(None), &members::in_config(path), value)
    }

    /// `auto` is replaced by what LXD chose.
    fn same(&self, path: &Path, wanted: &Value, live: &Value) -> bool {
        wanted == "auto" && live != "none" || self.canonical(path, wanted) == self.canonical(path, live)
    }

    fn effect(&self, path: &Path, _: &Raw) -> (Effect, &'static str) {
        match path {
            Path::Field(name) if name == "type" => (Effect::Replace, "a network's type is fixed when it is made"),
            _ => (Effect::Live, ""),
        }
    }

    fn live_uses(&self, live: &Raw) -> Vec<(&'static str, String)> {
        let config = |key: &str| live.get("config").and_then(|config| config.get(key)).and_then(Value::as_str);
        let acls = config("security.acls").unwrap_or_default().split(',').map(str::trim).filter(|acl| !acl.is_empty());
        let uplink = config("network").map(|network| ("networks", network.to_owned()));
        acls.map(|acl| ("network_acls", acl.to_owned())).chain(uplink).collect()
    }

    fn create(&self, object: &Object, cx: &Creation<'_>) -> Vec<Call> {
        members::create(self.collection(), Some(&cx.id.project), super::document(object, cx), cx.members)
    }

    fn update(&self, id: &Id, before: &Raw, after: &Raw) -> Vec<Call> {
        members::update(self, id, before, after)
    }

    /// OVN's are the cluster's own.
    fn is_made_per_member(&self, body: &Raw) -> bool {
        body.get("type").is_none_or(|network_type| network_type != "ovn")
    }

    fn member_keys(&self) -> &'static [&'static str] {
        &["parent", "bridge.external_interfaces", "bgp.ipv4.nexthop", "bgp.ipv6.nexthop"]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn auto_is_whatever_lxd_chose() {
        let path = Path::config("ipv4.address");
        assert!(Network.same(&path, &json!("auto"), &json!("10.1.2.1/24")));
        assert!(!Network.same(&path, &json!("auto"), &json!("none")));
        assert!(!Network.same(&path, &json!("10.1.2.1/24"), &json!("10.1.3.1/24")));
    }
}
