//! `instances`: containers and virtual machines.
//!
//! ```yaml
//! instances:
//!   api:
//!     count: 2                      # api-1, api-2; or for_each: {blue: 1, green: 2} (api-blue, api-green)
//!     image: base                   # a key of `images`, an alias or fingerprint at the target, or REMOTE:ALIAS
//!     follow_image: false           # true: replace when the alias moves
//!     type: container               # or virtual-machine
//!     profiles: [acme-base]
//!     config: {limits.cpu: 2}
//!     devices: {eth0: {ipv4.address: 10.77.0.11}}   # without `type`: laid over the profile's eth0
//!     ephemeral: false
//!     state: running                # running | stopped | unmanaged
//!     stop_timeout: 30s             # graceful, then by force; 0s: by force at once
//!     ready: [ipv4, {tcp: 8000}, {http: {url: "http://127.0.0.1:8000/"}, timeout: 60s}, {exec: [test, -e, /ready]}, cloud-init]
//!     target: node2                 # or "@group"; at creation only
//!     renamed_from: app
//! ```
//!
//! Without `image` the instance is created empty (LXD's source `none`). Without `profiles` LXD chooses (the
//! image's, else `default`), and they are not managed; `[]` is none.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};

use super::declare::check_hostname;
use super::options::{self, Entity};
use super::{
    Creation, Declared, Decode, Effect, ImageRef, ImageSource, Kind, Lifecycle, Object, Place, Power, Raw, Reference,
    Wanted, body, provision, ready,
};
use crate::diagnostic::Diagnostic;
use crate::lxd::{Call, Method};
use crate::model::{Id, Path, Span, units};
use crate::tree::{self, Mapping, Node, Settings, Spanned, Text};

/// The kind.
#[derive(Debug)]
pub struct Instance;

/// How long a graceful stop may take where the file says nothing.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How long all `ready` checks may take together where the file says nothing.
pub const READY_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// A key of `images`, an alias or fingerprint at the target, or `REMOTE:ALIAS`. Without it the instance is empty.
    image: Option<Spanned<String>>,
    /// Replace the instance when the image's alias moves; else that is a note.
    #[serde(default)]
    follow_image: bool,
    /// `container` (default) or `virtual-machine`. Fixed when the instance is made.
    #[serde(rename = "type")]
    instance_type: Option<Spanned<InstanceType>>,
    /// Profiles, the later over the earlier. Without the key LXD chooses, and they are not managed; `[]` is none.
    profiles: Option<Spanned<Vec<Spanned<String>>>>,
    /// LXD's instance config: `limits.*`, `security.*`, `cloud-init.*` … laid over the profiles'.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::instance_config")]
    config: Settings,
    /// The devices by name. One without `type` is laid over its namesake in the profiles, key by key.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::devices")]
    devices: Mapping<Settings>,
    /// LXD removes it when it stops.
    ephemeral: Option<Spanned<bool>>,
    /// The architecture, where it is not the image's.
    architecture: Option<Spanned<String>>,
    /// `running` (default), `stopped`, or `unmanaged`: started once, then the operator's.
    #[serde(default)]
    state: State,
    /// How long a graceful stop may take before it is by force; `30s` by default, `0s` is by force at once.
    stop_timeout: Option<Spanned<Text>>,
    /// What must hold before what depends on it starts.
    #[schemars(schema_with = "ready::schema")]
    ready: Option<tree::Raw>,
    /// Roles that are run in it, in this order, when it is up; it is ready when they are through.
    #[schemars(schema_with = "provision::schema")]
    roles: Option<tree::Raw>,
    /// Groups of hosts that it is in, for `hosts:` of playbooks.
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    /// A cluster member or `@group`: placement, at creation only.
    target: Option<Spanned<String>>,
    /// Its earlier name. A rename needs a stop.
    renamed_from: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum InstanceType {
    Container,
    VirtualMachine,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum State {
    #[default]
    Running,
    Stopped,
    Unmanaged,
}

impl Kind for Instance {
    fn section(&self) -> &'static str {
        "instances"
    }

    fn noun(&self) -> &'static str {
        "instance"
    }

    fn place(&self) -> Place {
        Place::Project { feature: None }
    }

    fn collection(&self) -> &'static str {
        "instances"
    }

    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared> {
        let body: Body = tree::decode_part(body, super::COMMON_KEYS, cx.diagnostics).0?;
        let mut fields = cx.common_fields();
        if let Some(instance_type) = &body.instance_type {
            let text = match instance_type.value {
                InstanceType::Container => "container",
                InstanceType::VirtualMachine => "virtual-machine",
            };
            fields.insert(Path::field("type"), leaf(text.into(), instance_type.span));
        }
        if let Some(architecture) = &body.architecture {
            fields.insert(Path::field("architecture"), leaf(architecture.value.clone().into(), architecture.span));
        }
        if let Some(ephemeral) = &body.ephemeral {
            fields.insert(Path::field("ephemeral"), leaf(ephemeral.value.into(), ephemeral.span));
        }
        if let Some(profiles) = &body.profiles {
            let names: Vec<Value> =
                profiles.value.iter().map(|profile| cx.reference("profiles", profile).into()).collect();
            fields.insert(Path::field("profiles"), leaf(names.into(), profiles.span));
        } else if let Some((address, name)) = cx.names.find("profiles", "default", &cx.common.project) {
            // LXD gives it the image's profiles, which are `default` unless somebody chose others.
            let (section, pool, span) = ("profiles", None, cx.common.span);
            cx.references.push(Reference { section, name, address: Some(address), pool, span });
        }
        cx.config(&mut fields, "config", &Entity::Instance, &body.config);
        cx.devices(&mut fields, &body.devices);
        let power = match body.state {
            State::Running => Power::Running,
            State::Stopped => Power::Stopped,
            State::Unmanaged => Power::Unmanaged,
        };
        if let Some(state) = power.wanted() {
            fields.insert(Path::field("state"), leaf(state.into(), cx.common.span));
        }
        let ready = body.ready.as_ref().map(|node| ready::decode(&node.0, cx.diagnostics)).unwrap_or_default();
        let stop_timeout = body.stop_timeout.as_ref().map_or(STOP_TIMEOUT, |text| duration(text, cx.diagnostics));
        if let Some(old) = &body.renamed_from
            && let Err(rule) = check_hostname(&old.value, "instance")
        {
            let message = format!("no instance was ever named `{}`: {rule}", old.value);
            cx.diagnostics.push(Diagnostic::error(old.span, message).help("write the instance's earlier name"));
        }
        if let Some(empty) =
            [&body.image, &body.target].into_iter().flatten().find(|text| matches!(text.value.as_str(), "" | "@"))
        {
            cx.diagnostics
                .push(Diagnostic::error(empty.span, "an empty name").help("write a name here, or take the key away"));
        }
        let lifecycle = Lifecycle {
            image: body.image.as_ref().map(|image| (image_ref(image, cx), image.value.clone(), image.span)),
            follow_image: body.follow_image,
            power,
            stop_timeout,
            ready,
            ready_timeout: READY_TIMEOUT,
            target: body.target.map(|target| target.value),
            renamed_from: body.renamed_from.map(|name| name.value),
            roles: body.roles.as_ref().map(|node| provision::decode(&node.0, cx.diagnostics)).unwrap_or_default(),
            groups: body.groups.into_iter().map(|group| group.value).collect(),
        };
        Some(Declared { lifecycle: Some(lifecycle), ..Declared::plain(fields, Arc::new(())) })
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_hostname(name, "instance")
    }

    fn live(&self, live: &Raw, path: &Path) -> Option<Value> {
        match path {
            Path::Field(name) if name == "state" => {
                live.get("status").and_then(Value::as_str).map(|status| status.to_ascii_lowercase().into())
            }
            _ => body::get(live, path),
        }
    }

    fn canonical(&self, path: &Path, value: &Value) -> String {
        canonical(path, value)
    }

    fn effect(&self, path: &Path, live: &Raw) -> (Effect, &'static str) {
        match path {
            Path::Field(name) if name == "type" => (Effect::Replace, "an instance's type is fixed when it is made"),
            Path::Field(name) if name == "architecture" => {
                (Effect::Replace, "an instance's architecture is its image's")
            }
            _ => leaf_effect(path, live),
        }
    }

    fn live_uses(&self, live: &Raw) -> Vec<(&'static str, String)> {
        let profiles = live.get("profiles").and_then(Value::as_array);
        let profiles =
            profiles.into_iter().flatten().filter_map(Value::as_str).map(|name| ("profiles", name.to_owned()));
        profiles.chain(device_uses(live)).collect()
    }

    /// A creation that came to its end leaves `volatile.apply_template` (`create` or `copy`) until the first start,
    /// and a start leaves its traces; all of them must be missing. Seen on LXD 5.0.2: from an image, empty, copied,
    /// renamed, moved, published, restored, imported from a backup, started, failed to start.
    fn is_half_made(&self, live: &Raw) -> bool {
        const TRACES: &[&str] = &["volatile.apply_template", "volatile.last_state.power", "volatile.idmap.current"];
        let Some(config) = live.get("config").and_then(Value::as_object) else { return false };
        let text = |key: &str| live.get(key).and_then(Value::as_str).unwrap_or_default();
        // Go's zero time, and Unix' own.
        let used = text("last_used_at");
        let was_used = !used.is_empty() && !["0001-", "1970-"].iter().any(|never| used.starts_with(never));
        text("status") == "Stopped" && !was_used && !TRACES.iter().any(|trace| config.contains_key(*trace))
    }

    fn create(&self, object: &Object, cx: &Creation<'_>) -> Vec<Call> {
        let mut body = super::document(object, cx);
        body.remove("state");
        let source = match &cx.image {
            None => json!({"type": "none"}),
            Some(ImageSource::Fingerprint(fingerprint)) => json!({"type": "image", "fingerprint": fingerprint}),
            Some(ImageSource::Server { server, protocol, alias, certificate }) => json!({
                "type": "image", "mode": "pull", "server": server, "protocol": protocol, "alias": alias,
                "certificate": certificate.as_deref().unwrap_or_default(),
            }),
        };
        body.insert("source".into(), source);
        let call = Call::post(&["instances"], Value::Object(body)).project(&cx.id.project);
        let target = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.target.as_deref());
        vec![if let Some(target) = target { call.query("target", target) } else { call }]
    }

    fn update(&self, id: &Id, _: &Raw, after: &Raw) -> Vec<Call> {
        let mut body = body::writable(after);
        body.remove("type");
        body.remove("state");
        vec![self.call(Method::Put, id, after).json(Value::Object(body))]
    }
}

impl Power {
    /// The word that is compared with LXD's status; `None` where it is the operator's.
    pub fn wanted(self) -> Option<&'static str> {
        match self {
            Power::Running => Some("running"),
            Power::Stopped => Some("stopped"),
            Power::Unmanaged => None,
        }
    }
}

/// Starting, stopping and thawing: a PUT of the state, which no ETag guards.
pub fn power_call(id: &Id, action: &str, timeout: Option<Duration>) -> Call {
    let force = timeout == Some(Duration::ZERO);
    let seconds = match timeout {
        Some(timeout) if !force => i64::try_from(timeout.as_secs().max(1)).unwrap_or(i64::MAX),
        _ => -1,
    };
    let body = json!({"action": action, "timeout": seconds, "force": force, "stateful": false});
    Call::put(&["instances", &id.name, "state"], body).project(&id.project)
}

/// Gives an instance its new name; it must be stopped.
pub fn rename_call(id: &Id, to: &str) -> Call {
    Call::post(&["instances", &id.name], json!({"name": to})).project(&id.project)
}

/// What a change of a config key or device key does to a running instance; profiles have the same leaves.
pub fn leaf_effect(path: &Path, live: &Raw) -> (Effect, &'static str) {
    match path {
        Path::Entry { map: "config", key } if options::needs_restart(&Entity::Instance, key) => {
            (Effect::Restart, "LXD applies it when the instance starts")
        }
        Path::Device { device, key } if key == "pool" && is_root(live, device) => {
            (Effect::Replace, "LXD does not move a root disk to another pool in place")
        }
        _ => (Effect::Live, ""),
    }
}

/// LXD's spellings of one value are one text.
pub fn canonical(path: &Path, value: &Value) -> String {
    match path {
        Path::Device { .. } => options::canonical(&Entity::Device(None), path, value),
        _ => options::canonical(&Entity::Instance, path, value),
    }
}

/// What an object's devices use.
pub fn device_uses(live: &Raw) -> Vec<(&'static str, String)> {
    let mut uses = vec![];
    let devices = live.get("devices").and_then(Value::as_object);
    for device in devices.into_iter().flat_map(|devices| devices.values()) {
        let text = |key: &str| device.get(key).and_then(Value::as_str).map(str::to_owned);
        uses.extend(text("network").map(|name| ("networks", name)));
        uses.extend(text("pool").map(|name| ("storage_pools", name)));
        if text("path").as_deref() != Some("/") && text("pool").is_some() {
            uses.extend(text("source").map(|name| ("storage_volumes", name)));
        }
        let acls = text("security.acls").unwrap_or_default();
        uses.extend(
            acls.split(',').map(str::trim).filter(|acl| !acl.is_empty()).map(|acl| ("network_acls", acl.to_owned())),
        );
    }
    uses
}

fn is_root(live: &Raw, device: &str) -> bool {
    body::get(live, &Path::device(device, "path")).is_some_and(|path| path == "/")
}

fn leaf(value: Value, span: Span) -> Wanted {
    Wanted { value, sensitive: false, span }
}

fn duration(text: &Spanned<Text>, diagnostics: &mut Vec<Diagnostic>) -> Duration {
    units::parse_duration(&text.value.0).unwrap_or_else(|reason| {
        diagnostics.push(Diagnostic::error(text.span, reason).help("write a duration such as `30s` or `2m`"));
        STOP_TIMEOUT
    })
}

fn image_ref(image: &Spanned<String>, cx: &mut Decode<'_>) -> ImageRef {
    if let Some((address, _)) = cx.names.find("images", &image.value, &cx.common.project) {
        cx.reference("images", image);
        return ImageRef::Site(address);
    }
    match image.value.split_once(':') {
        Some((remote, alias)) => ImageRef::Remote { remote: remote.to_owned(), alias: alias.to_owned() },
        None => ImageRef::Local(image.value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> Id {
        Id { project: "acme".into(), pool: None, name: "api-1".into() }
    }

    #[test]
    fn a_stop_is_graceful_for_its_time_and_by_force_at_zero() {
        let body = |timeout| match power_call(&id(), "stop", timeout).body {
            crate::lxd::Body::Json(body) => body,
            _ => unreachable!(),
        };
        assert_eq!(body(Some(Duration::from_secs(30)))["timeout"], 30);
        assert_eq!(body(Some(Duration::from_millis(10)))["timeout"], 1);
        assert_eq!(body(Some(Duration::ZERO))["force"], true);
    }

    #[test]
    fn half_made_is_what_has_no_trace_of_an_end_or_a_start() {
        let live = |status: &str, used: &str, volatile: &[(&str, &str)]| {
            let config: serde_json::Map<String, Value> = volatile
                .iter()
                .chain(&[("volatile.base_image", "f00"), ("volatile.last_state.idmap", "[]")])
                .map(|(key, value)| ((*key).to_owned(), (*value).into()))
                .collect();
            json!({"status": status, "last_used_at": used, "config": config}).as_object().unwrap().clone()
        };
        let (never, once) = ("1970-01-01T00:00:00Z", "2026-11-26T01:35:19Z");
        assert!(Instance.is_half_made(&live("Stopped", never, &[])));
        assert!(Instance.is_half_made(&live("Stopped", "0001-01-01T00:00:00Z", &[])));
        assert!(!Instance.is_half_made(&live("Stopped", never, &[("volatile.apply_template", "create")])));
        assert!(!Instance.is_half_made(&live("Stopped", never, &[("volatile.last_state.power", "STOPPED")])));
        assert!(!Instance.is_half_made(&live("Stopped", never, &[("volatile.idmap.current", "[]")])));
        assert!(!Instance.is_half_made(&live("Stopped", once, &[])));
        assert!(!Instance.is_half_made(&live("Running", never, &[])));
        // On a member that is offline.
        let hidden = json!({"status": "Error", "config": null});
        assert!(!Instance.is_half_made(hidden.as_object().unwrap()));
    }

    #[test]
    fn uses_of_devices() {
        let live = json!({"profiles": ["base"], "devices": {
            "root": {"type": "disk", "path": "/", "pool": "fast"},
            "data": {"type": "disk", "path": "/data", "pool": "slow", "source": "cache"},
            "eth0": {"type": "nic", "network": "br0", "security.acls": "web, db"},
        }});
        let mut uses = Instance.live_uses(live.as_object().unwrap());
        uses.sort();
        let text: Vec<String> = uses.iter().map(|(section, name)| format!("{section}.{name}")).collect();
        assert_eq!(
            text.join(" "),
            "network_acls.db network_acls.web networks.br0 profiles.base storage_pools.fast storage_pools.slow storage_volumes.cache"
        );
    }
}
