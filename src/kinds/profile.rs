//! `profiles`: config and devices that instances share.
//!
//! ```yaml
//! profiles:
//!   acme-base:
//!     config: {limits.memory: 256MiB}
//!     devices:
//!       root: {type: disk, path: /, pool: default}
//!       eth0: {type: nic, network: acmebr0}
//! ```
//!
//! An edit reaches every running instance that uses the profile; the plan names them. The profile `default`
//! is LXD's own: lxdeploy changes it and never deletes it.

use std::rc::Rc;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::declare::check_path_part;
use super::options::Entity;
use super::{Declared, Decode, Effect, Kind, Place, Raw, instance};
use crate::model::Path;
use crate::tree::{self, Mapping, Node, Settings};

/// The kind.
#[derive(Debug)]
pub struct Profile;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// LXD's instance config: `limits.*`, `security.*`, `cloud-init.*` …
    #[serde(default)]
    #[schemars(schema_with = "super::schema::instance_config")]
    config: Settings,
    /// The devices by name; each has a `type`.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::devices")]
    devices: Mapping<Settings>,
}

impl Kind for Profile {
    fn section(&self) -> &'static str {
        "profiles"
    }

    fn noun(&self) -> &'static str {
        "profile"
    }

    fn place(&self) -> Place {
        Place::Project { feature: Some(("features.profiles", true)) }
    }

    fn collection(&self) -> &'static str {
        "profiles"
    }

    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared> {
        let body: Body = tree::decode_part(body, super::COMMON_KEYS, cx.diagnostics).0?;
        let mut fields = cx.common_fields();
        cx.config(&mut fields, "config", &Entity::Instance, &body.config);
        cx.devices(&mut fields, &body.devices);
        Some(Declared::plain(fields, Arc::new(())))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_path_part(name, "profile")
    }

    fn is_built_in(&self, name: &str) -> bool {
        name == "default"
    }

    fn canonical(&self, path: &Path, value: &Value) -> String {
        instance::canonical(path, value)
    }

    fn effect(&self, path: &Path, live: &Raw) -> (Effect, &'static str) {
        match instance::leaf_effect(path, live) {
            (Effect::Restart, why) => (Effect::Restart, why),
            _ => (Effect::Live, ""),
        }
    }

    fn live_uses(&self, live: &Raw) -> Vec<(&'static str, String)> {
        instance::device_uses(live)
    }
}
