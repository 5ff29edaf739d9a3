//! The body of each exported object.

use std::collections::HashMap;

use serde_json::Value;

use super::Found;
use super::yaml::{Entry, Yaml};
use crate::kinds::{Kind, Raw, Record, by_section, image};
use crate::live::Snapshot;
use crate::model::{Id, Path};

/// What the bodies refer to.
pub struct Context<'a> {
    snapshot: &'a Snapshot,
    project: &'a str,
    /// Keys of the exported images by project and fingerprint.
    images: HashMap<(String, String), String>,
}

/// What LXD writes as description of what it made itself.
const DESCRIPTIONS: &[&str] =
    &["Default LXD profile", "Default LXD project", "Default Incus profile", "Default Incus project"];

/// The features that a project has which is made without a word about them.
const FEATURES: &[&str] =
    &["features.images", "features.profiles", "features.storage.volumes", "features.storage.buckets"];

/// The features of the project `default`.
const OF_DEFAULT: &[&str] = &["features.networks", "features.networks.zones"];

/// True for a built-in object that is as LXD made it.
pub fn is_untouched(kind: &'static dyn Kind, id: &Id, live: &Raw) -> bool {
    let found = Found { kind, id, live, record: None, key: id.name.clone() };
    let devices = live.get("devices").and_then(Value::as_object);
    description(&found).is_none() && config(&found).is_none() && devices.is_none_or(serde_json::Map::is_empty)
}

impl<'a> Context<'a> {
    /// What the bodies of these objects refer to.
    pub fn new(snapshot: &'a Snapshot, project: &'a str, all: &[&Found<'_>]) -> Self {
        let images = all.iter().filter(|found| found.kind.section() == "images");
        let images = images.map(|found| ((found.id.project.clone(), found.id.name.clone()), found.key.clone()));
        Context { snapshot, project, images: images.collect() }
    }

    /// The body of one object.
    pub fn body(&self, found: &Found<'_>) -> Yaml {
        let mut body = vec![];
        let mut add = |key: &str, value: Option<Yaml>| body.extend(value.map(|value| Entry::new(key, value)));
        let is_image = found.kind.section() == "images";
        add("name", (found.key != found.id.name && !is_image).then(|| Yaml::Text(found.id.name.clone())));
        let place = found.kind.place();
        let is_elsewhere = place != crate::kinds::Place::Server && found.id.project != self.project;
        add("project", is_elsewhere.then(|| Yaml::Text(found.id.project.clone())));
        if is_image {
            let fingerprint = Entry::new("fingerprint", Yaml::Text(found.id.name.clone()));
            add("source", Some(Yaml::Line(vec![fingerprint])));
            return Yaml::Line(body);
        }
        add("description", description(found));
        match found.kind.section() {
            "storage_pools" => add("driver", text(found, "driver").map(Yaml::Text)),
            "storage_volumes" => {
                add("pool", found.id.pool.clone().map(Yaml::Text));
                add("content_type", unless(found, "content_type", "filesystem"));
            }
            "networks" => add("type", text(found, "type").filter(|_| says(found, "type")).map(Yaml::Text)),
            "network_acls" => {
                add("ingress", says(found, "ingress").then(|| rules(found, "ingress")));
                add("egress", says(found, "egress").then(|| rules(found, "egress")));
            }
            "instances" => {
                add("image", self.image(found));
                add("type", unless(found, "type", "container"));
                add(
                    "architecture",
                    recorded(found, "architecture").then(|| text(found, "architecture").map(Yaml::Text)).flatten(),
                );
                add("ephemeral", ephemeral(found));
                add("profiles", says(found, "profiles").then(|| profiles(found.live)));
            }
            _ => {}
        }
        add("config", config(found));
        add("devices", self.devices(found));
        if found.kind.section() == "instances" {
            add("state", state(found));
        }
        add("protect", found.record.as_ref().is_some_and(|record| record.protect).then_some(Yaml::Bool(true)));
        if body.iter().all(|entry| matches!(entry.value, Yaml::Natural(_) | Yaml::Text(_) | Yaml::Bool(_))) {
            return Yaml::Line(body);
        }
        Yaml::Map(body)
    }

    /// The image that an instance was made of: by what the file calls it, by an alias, or by its fingerprint.
    fn image(&self, found: &Found<'_>) -> Option<Yaml> {
        if let Some(record) = &found.record {
            return record.img.clone().map(Yaml::Text);
        }
        let base = found.live.get("config")?.get("volatile.base_image")?.as_str()?.to_owned();
        let project = self.snapshot.projects.effective(&found.id.project, by_section("images")?.place());
        if let Some(key) = self.images.get(&(project.clone(), base.clone())) {
            return Some(Yaml::Text(key.clone()));
        }
        let live = self.snapshot.get("images", &Id { project, pool: None, name: base.clone() });
        // A colon would make a remote's image of it, and a key of the file is another image.
        let is_free = |alias: &String| !alias.contains(':') && !self.images.values().any(|key| key == alias);
        let alias = live.and_then(|live| image::alias_names(live).into_iter().find(is_free));
        Some(Yaml::Text(alias.unwrap_or(base)))
    }

    /// The devices; what only adds to a profile's device of the same name is laid over that.
    fn devices(&self, found: &Found<'_>) -> Option<Yaml> {
        let devices = found.live.get("devices").and_then(Value::as_object)?;
        let mut names: Vec<&String> = devices.keys().collect();
        names.sort_by_key(|name| super::natural(name));
        let entries = names.into_iter().filter_map(|name| {
            let is_said = |key: &str| is_said(found.record.as_ref(), &Path::device(name, key));
            let device = devices.get(name)?.as_object()?.iter().filter(|(key, _)| is_said(key));
            let device: Raw = device.map(|(key, value)| (key.clone(), value.clone())).collect();
            if device.is_empty() {
                return None;
            }
            let base = self.namesake(found, name);
            let adds = |base: &&Raw| {
                base.len() < device.len() && base.iter().all(|(key, value)| device.get(key) == Some(value))
            };
            let base = base.filter(adds);
            let mut keys: Vec<(&String, &Value)> =
                device.iter().filter(|(key, _)| base.is_none_or(|base| !base.contains_key(*key))).collect();
            keys.sort_by_key(|(key, _)| (*key != "type", (*key).clone()));
            let keys =
                keys.into_iter().map(|(key, value)| Entry::new(key, Yaml::Natural(crate::model::value::text(value))));
            Some(Entry::new(name, Yaml::Line(keys.collect())))
        });
        let entries: Vec<Entry> = entries.collect();
        (!entries.is_empty()).then_some(Yaml::Map(entries))
    }

    /// The device of the last of an instance's profiles that has one of that name.
    fn namesake(&self, found: &Found<'_>, device: &str) -> Option<&'a Raw> {
        let project = self.snapshot.projects.effective(&found.id.project, by_section("profiles")?.place());
        names(found.live, "profiles").into_iter().rev().find_map(|name| {
            let profile = self.snapshot.get("profiles", &Id { project: project.clone(), pool: None, name })?;
            profile.get("devices")?.get(device)?.as_object().filter(|device| device.contains_key("type"))
        })
    }
}

fn text(found: &Found<'_>, field: &str) -> Option<String> {
    found.live.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// What the site applied must be in the file, or its next plan would take it away.
fn recorded(found: &Found<'_>, field: &str) -> bool {
    is_recorded(found.record.as_ref(), &Path::field(field))
}

/// Of what the site applied, the file says what it applied and no more: to say more would be to take it over. Of
/// what is nobody's it says all.
fn is_said(record: Option<&Record>, path: &Path) -> bool {
    record.is_none() || is_recorded(record, path)
}

fn says(found: &Found<'_>, field: &str) -> bool {
    is_said(found.record.as_ref(), &Path::field(field))
}

fn is_recorded(record: Option<&Record>, path: &Path) -> bool {
    record.is_some_and(|record| record.k.contains_key(&path.in_record()))
}

/// A field, unless it is what goes without saying.
fn unless(found: &Found<'_>, field: &str, usual: &str) -> Option<Yaml> {
    let is_usual = |text: &str| text == usual && found.record.is_none();
    text(found, field).filter(|text| says(found, field) && !is_usual(text)).map(Yaml::Text)
}

fn description(found: &Found<'_>) -> Option<Yaml> {
    let text = text(found, "description")?;
    let is_lxds = found.kind.is_built_in(&found.id.name)
        && DESCRIPTIONS.iter().any(|own| text == *own || text.starts_with(&format!("{own} for project ")));
    let is_wanted = says(found, "description") && (!is_lxds || found.record.is_some());
    is_wanted.then_some(Yaml::Text(text))
}

fn ephemeral(found: &Found<'_>) -> Option<Yaml> {
    let is = found.live.get("ephemeral").and_then(Value::as_bool)?;
    (says(found, "ephemeral") && (is || found.record.is_some())).then_some(Yaml::Bool(is))
}

fn names(live: &Raw, field: &str) -> Vec<String> {
    let names = live.get(field).and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn profiles(live: &Raw) -> Yaml {
    Yaml::List(names(live, "profiles").into_iter().map(Yaml::Text).collect())
}

/// Running goes without saying; what is neither running nor stopped is the operator's.
fn state(found: &Found<'_>) -> Option<Yaml> {
    let is_managed = found.record.is_none() || recorded(found, "state");
    match text(found, "status").as_deref() {
        Some("Running") if is_managed => None,
        Some("Stopped") if is_managed => Some(Yaml::Text("stopped".into())),
        _ => Some(Yaml::Text("unmanaged".into())),
    }
}

/// An ACL's rules, each on a line; `state: enabled` goes without saying.
fn rules(found: &Found<'_>, field: &str) -> Yaml {
    const ORDER: &[&str] =
        &["action", "protocol", "source", "source_port", "destination", "destination_port", "icmp_type", "icmp_code"];
    let rules = found.live.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    let rules = rules.map(|rule| {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let mut keys: Vec<(&String, String)> =
            rule.iter().filter_map(|(key, value)| Some((key, text(value)?))).collect();
        keys.retain(|(key, value)| !(*key == "state" && value == "enabled"));
        keys.sort_by_key(|(key, _)| ORDER.iter().position(|first| first == key).unwrap_or(ORDER.len()));
        Yaml::Line(keys.into_iter().map(|(key, value)| Entry::new(key, Yaml::Natural(value))).collect())
    });
    Yaml::List(rules.collect())
}

fn config(found: &Found<'_>) -> Option<Yaml> {
    let config = found.live.get("config").and_then(Value::as_object)?;
    let mut keys: Vec<(&String, &str)> = config
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, value)| !value.is_empty() && !is_reserved(found.kind, key))
        .filter(|(key, value)| found.record.is_some() || !fills_in(found, key, value))
        .filter(|(key, _)| is_said(found.record.as_ref(), &Path::config(*key)))
        .collect();
    keys.sort();
    let entries: Vec<Entry> =
        keys.into_iter().map(|(key, value)| Entry::new(key, Yaml::Natural(value.to_owned()))).collect();
    (!entries.is_empty()).then_some(Yaml::Map(entries))
}

/// What no site file may set: LXD's own state, and our stamp.
fn is_reserved(kind: &dyn Kind, key: &str) -> bool {
    let is_of_instances = ["instances", "profiles"].contains(&kind.section());
    key.starts_with("volatile.") || key.starts_with("user.lxdeploy.") || is_of_instances && key.starts_with("image.")
}

/// What LXD writes where nobody says anything.
fn fills_in(found: &Found<'_>, key: &str, value: &str) -> bool {
    let name = found.id.name.as_str();
    match found.kind.section() {
        "projects" => value == "true" && (FEATURES.contains(&key) || name == "default" && OF_DEFAULT.contains(&key)),
        "storage_pools" => match key {
            "source" => {
                value == name
                    || value.ends_with(&format!("/storage-pools/{name}"))
                    || value.ends_with(&format!("/disks/{name}.img"))
            }
            "zfs.pool_name" | "lvm.vg_name" => value == name,
            "lvm.thinpool_name" => ["LXDThinPool", "IncusThinPool"].contains(&value),
            _ => false,
        },
        _ => false,
    }
}
