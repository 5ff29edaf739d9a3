//! `projects`: LXD projects.
//!
//! ```yaml
//! projects:
//!   acme:
//!     description: The ACME site
//!     config: {features.images: false, limits.memory: 8GiB}
//! ```
//!
//! All of LXD's project config can be set. `features.*` of a project in use can be switched on but not off
//! (LXD's rule). The project `default` is LXD's own: lxdeploy changes it and never deletes it.

use std::rc::Rc;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::declare::check_path_part;
use super::options::{self, Entity};
use super::{Declared, Decode, Kind, Place, Raw};
use crate::lxd::{Call, Method};
use crate::model::{Id, Path};
use crate::tree::{self, Node, Settings};

/// The kind.
#[derive(Debug)]
pub struct Project;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// LXD's project config: `features.*`, `limits.*`, `restricted.*`.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::project_config")]
    config: Settings,
}

impl Kind for Project {
    fn section(&self) -> &'static str {
        "projects"
    }

    fn noun(&self) -> &'static str {
        "project"
    }

    fn place(&self) -> Place {
        Place::Server
    }

    fn collection(&self) -> &'static str {
        "projects"
    }

    fn list(&self, _: &str, _: Option<&str>) -> Call {
        Call::get(&["projects"]).query("recursion", "1")
    }

    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared> {
        let body: Body = tree::decode_part(body, super::COMMON_KEYS, cx.diagnostics).0?;
        let mut fields = cx.common_fields();
        cx.config(&mut fields, "config", &Entity::Project, &body.config);
        Some(Declared::plain(fields, Arc::new(())))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_path_part(name, "project")?;
        match name.chars().find(|c| c.is_whitespace() || matches!(c, '_' | '*' | '\'' | '"')) {
            Some(bad) => Err(format!("project names hold no {bad:?}")),
            None => Ok(()),
        }
    }

    fn is_built_in(&self, name: &str) -> bool {
        name == "default"
    }

    fn canonical(&self, path: &Path, value: &Value) -> String {
        options::canonical(&Entity::Project, path, value)
    }

    /// Images that LXD fetched for instances, and baked ones, keep a project from being deleted: they go first.
    fn delete(&self, _: &str, id: &Id, live: &Raw) -> Vec<Call> {
        vec![self.call(Method::Delete, id, live)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(Project.check_name("acme-1").is_ok());
        for bad in ["a b", "a/b", "a_b", "*", "..", ""] {
            assert!(Project.check_name(bad).is_err(), "{bad}");
        }
    }
}
