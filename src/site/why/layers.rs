//! The places that may give a value, the strongest first.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::kinds::Object;
use crate::model::Address;
use crate::site::document::Chain;
use crate::site::{Parts, Site};
use crate::template::Engine;
use crate::tree::{Node, Value};

/// A place that gives a value.
pub struct Layer {
    /// The object in whose body it stands.
    pub owner: Address,
    /// Who that is.
    pub by: String,
    /// The value as it is written; null takes out what was inherited.
    pub node: Rc<Node>,
    /// It would not count even if it were the strongest: it was taken out, or LXD takes another device whole.
    pub is_cut_off: bool,
}

/// The files of a site, and its objects.
pub struct Layers<'a> {
    site: &'a Site,
    parts: &'a Parts,
}

/// `the site`, or `the platform NAME`.
pub fn whose(chain: &Chain, depth: usize) -> String {
    match chain.documents[depth].root.get("platform").and_then(|name| name.as_str()) {
        Some(name) if depth > 0 => format!("the platform {name}"),
        _ => "the site".to_owned(),
    }
}

impl<'a> Layers<'a> {
    /// Over a loaded site.
    pub fn new(site: &'a Site, parts: &'a Parts) -> Self {
        Layers { site, parts }
    }

    /// The key under which the files have an object: of one of a count, the count's.
    fn key<'o>(&'o self, object: &'o Object) -> &'o str {
        let mut groups = self.site.groups.iter();
        let group = groups
            .find(|(group, members)| group.section == object.address.section && members.contains(&object.address));
        group.map_or(&object.address.key, |(group, _)| &group.key)
    }

    /// The merged body of an object.
    fn body(&self, object: &Object) -> Option<&Rc<Node>> {
        self.parts.sections.get(object.address.section.as_str())?.get(self.key(object))
    }

    /// Every path that has a value, those of an instance's profiles included.
    pub fn paths(&self, object: &Object) -> Vec<String> {
        let mut paths: BTreeSet<String> = object.fields.keys().map(ToString::to_string).collect();
        paths.extend(["name".to_owned(), "project".to_owned()]);
        if let Some(body) = self.body(object) {
            leaves(body, "", &mut paths);
        }
        for profile in self.profiles(object).into_iter().filter_map(|(_, profile)| profile) {
            let fields = profile.fields.keys().map(ToString::to_string);
            paths.extend(fields.filter(|path| is_inherited(path)));
        }
        paths.into_iter().collect()
    }

    /// True for what has no leaf of its own but a place: a part of a list, and what was taken out.
    pub fn has(&self, object: &Object, path: &str) -> bool {
        let is_value = |layer: &Layer| !matches!(layer.node.value, Value::Map(_));
        self.of(object, path).0.iter().any(is_value)
    }

    /// Who gives an object's path a value, and what must be known about that.
    pub fn of(&self, object: &Object, path: &str) -> (Vec<Layer>, Vec<String>) {
        let mut notes = vec![];
        let mut layers = self.own(object, path);
        if layers.is_empty() && path == "name" {
            layers.push(self.layer(object, "the object's key", object.name.clone().into(), object.span));
        }
        if layers.is_empty() && path == "project" {
            let written = self.parts.chain.documents.iter().enumerate();
            let mut written = written.filter_map(|(depth, document)| Some((depth, document.root.get("project")?)));
            match written.next() {
                // --project comes before the file's.
                Some((depth, node))
                    if node.as_str().is_some_and(|text| text == object.project || text.contains('{')) =>
                {
                    let by = format!("{}, for all objects", whose(&self.parts.chain, depth));
                    layers.push(Layer { owner: object.address.clone(), by, node: node.clone(), is_cut_off: false });
                }
                _ => {
                    let by = if self.site.names_project { "--project" } else { "lxdeploy's default" };
                    layers.push(self.layer(object, by, object.project.clone().into(), object.span));
                }
            }
        }
        if object.lifecycle.is_some() && is_inherited(path) {
            self.inherited(object, path, &mut layers, &mut notes);
        }
        (layers, notes)
    }

    fn layer(&self, object: &Object, by: &str, value: serde_json::Value, span: crate::model::Span) -> Layer {
        let node = Node::from_json(&value, span, false);
        Layer { owner: object.address.clone(), by: by.to_owned(), node, is_cut_off: false }
    }

    /// The files, from the site to the last platform, that set a path of an object's own.
    fn own(&self, object: &Object, path: &str) -> Vec<Layer> {
        let key = self.key(object);
        let mut layers = vec![];
        let mut is_cut_off = false;
        for (depth, document) in self.parts.chain.documents.iter().enumerate() {
            let body = document.root.get(&object.address.section).and_then(|section| section.get(key));
            let node = match body.map(|body| walk(body, path)) {
                None | Some(Walk::Absent) => continue,
                // The object itself is taken out here; what is above begins anew.
                Some(Walk::Cut(node)) if body.is_some_and(|body| Rc::ptr_eq(body, &node)) => break,
                Some(Walk::Found(node)) => node,
                // What a template makes is known only when it is rendered.
                Some(Walk::Cut(node)) if node.is_null() || node.as_str().is_some_and(Engine::has_marks) => node,
                Some(Walk::Cut(_)) => break,
            };
            let is_null = node.is_null();
            let (owner, by) = (object.address.clone(), whose(&self.parts.chain, depth));
            layers.push(Layer { owner, by, node, is_cut_off });
            is_cut_off |= is_null;
        }
        layers
    }

    /// An instance's profiles, the strongest first; of those at the server alone only the name.
    fn profiles(&self, object: &Object) -> Vec<(String, Option<&'a Object>)> {
        let used = object.references.iter().rev().filter(|reference| reference.section == "profiles");
        let found = used.map(|reference| {
            let address = reference.address.as_ref();
            let profile = self.site.objects.iter().find(|other| Some(&other.address) == address && !other.external);
            (reference.name.clone(), profile)
        });
        if object.lifecycle.is_some() { found.collect() } else { vec![] }
    }

    /// What the profiles give: LXD takes config key by key, and devices as a whole. A device without `type` is laid
    /// over the last profile's that has one of that name.
    fn inherited(&self, object: &Object, path: &str, layers: &mut Vec<Layer>, notes: &mut Vec<String>) {
        let device = path.strip_prefix("devices.").and_then(|rest| {
            let named = |profile: &&Object| device_of(profile, rest);
            self.profiles(object)
                .into_iter()
                .filter_map(|(_, profile)| profile)
                .find_map(|profile| named(&profile))
                .or_else(|| device_of(object, rest))
        });
        let has = |object: &Object, key: Option<&str>| {
            device.as_ref().is_some_and(|device| {
                object.fields.keys().any(|known| {
                    matches!(known, crate::model::Path::Device { device: name, key: of } if name == device && key.is_none_or(|key| of == key))
                })
            })
        };
        let mut is_cut_off = has(object, Some("type"));
        if is_cut_off && layers.is_empty() {
            notes.push(format!(
                "the instance's own device `{}` has a `type`: it stands in place of the profiles'",
                device.as_deref().unwrap_or_default()
            ));
        }
        let mut unknown = vec![];
        let is_certain = layers.iter().any(|layer| !layer.node.is_null()) || is_cut_off;
        for (name, profile) in self.profiles(object) {
            let Some(profile) = profile else {
                if !layers.iter().any(|layer| !layer.node.is_null()) {
                    unknown.push(format!("`{name}`"));
                }
                continue;
            };
            for mut layer in self.own(profile, path) {
                layer.by = format!("{} of {}", profile.address, layer.by);
                layer.is_cut_off |= is_cut_off;
                layers.push(layer);
            }
            is_cut_off |= has(profile, None);
        }
        if !is_certain && !unknown.is_empty() {
            let (whose, them) = if unknown.len() == 1 { ("the profile", "it") } else { ("the profiles", "they") };
            notes.push(format!(
                "{whose} {} at the server may set this, too: what {them} hold{} only the server knows",
                unknown.join(", "),
                if unknown.len() == 1 { "s" } else { "" }
            ));
        }
    }
}

/// The device that the rest of a path `devices.` names; a device's name may hold dots.
fn device_of(object: &Object, rest: &str) -> Option<String> {
    let names = object.fields.keys().filter_map(|path| match path {
        crate::model::Path::Device { device, .. } => Some(device),
        _ => None,
    });
    names
        .filter(|name| rest.strip_prefix(name.as_str()).is_some_and(|key| key.starts_with('.')))
        .max_by_key(|name| name.len())
        .cloned()
}

/// What LXD lays over each other, from the first profile to the instance.
fn is_inherited(path: &str) -> bool {
    path.starts_with("config.") || path.starts_with("devices.")
}

/// Where a path leads.
enum Walk {
    Found(Rc<Node>),
    /// To something that is no map on the way.
    Cut(Rc<Node>),
    Absent,
}

/// Keys hold dots, so the longest that fits comes first.
fn walk(node: &Rc<Node>, path: &str) -> Walk {
    match &node.value {
        _ if path.is_empty() => Walk::Found(node.clone()),
        Value::Map(entries) => {
            let rest = |key: &str| match path.strip_prefix(key)? {
                "" => Some(""),
                rest => rest.strip_prefix('.'),
            };
            let mut fits: Vec<(&str, &Rc<Node>, &str)> =
                entries.iter().filter_map(|(key, value)| Some((key.text.as_str(), value, rest(&key.text)?))).collect();
            fits.sort_by_key(|(key, ..)| std::cmp::Reverse(key.len()));
            let mut cut = Walk::Absent;
            for (_, value, rest) in fits {
                match walk(value, rest) {
                    Walk::Found(node) => return Walk::Found(node),
                    Walk::Cut(node) => cut = Walk::Cut(node),
                    Walk::Absent => {}
                }
            }
            cut
        }
        Value::Seq(items) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            match index.parse::<usize>().ok().and_then(|index| items.get(index)) {
                Some(item) => walk(item, rest),
                None => Walk::Cut(node.clone()),
            }
        }
        Value::Scalar(_) => Walk::Cut(node.clone()),
    }
}

fn leaves(node: &Node, path: &str, paths: &mut BTreeSet<String>) {
    if node.entries().is_empty() {
        if !path.is_empty() {
            paths.insert(path.to_owned());
        }
        return;
    }
    for (key, value) in node.entries() {
        let path = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
        leaves(value, &path, paths);
    }
}
