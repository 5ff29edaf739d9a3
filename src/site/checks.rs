//! What can be said of a whole site without a server.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Site;
use super::graph::{self, Places};
use crate::diagnostic::{Diagnostic, nearest};
use crate::kinds::options::{self, Entity};
use crate::kinds::{ImageRef, Object, Place};
use crate::model::{Address, Path, Span};

/// Checks that hold over all objects.
pub fn check(site: &Site, places: &Places, out: &mut Vec<Diagnostic>) {
    duplicates(site, out);
    near_names(site, out);
    devices(site, out);
    out.extend(graph::cycles(&site.objects, places));
}

/// What is found in a `count` or in a variable is told once.
pub fn once(diagnostics: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    diagnostics
        .retain(|diagnostic| seen.insert((diagnostic.span, diagnostic.message.clone(), diagnostic.help.clone())));
}

/// Two objects of one kind with one name in one place are one object to LXD.
fn duplicates(site: &Site, out: &mut Vec<Diagnostic>) {
    let projects: HashMap<&str, &Object> = site
        .objects
        .iter()
        .filter(|object| object.kind.section() == "projects")
        .map(|object| (object.name.as_str(), object))
        .collect();
    let mut seen = HashMap::new();
    let mut addresses = HashMap::new();
    for object in &site.objects {
        let place = (object.kind.section(), home(object, &projects), &object.pool, &object.name);
        if let Some(first) = addresses.insert(&object.address, object)
            && first.span != object.span
        {
            out.push(
                Diagnostic::error(object.span, format!("`{}` stands for two objects", object.address))
                    .related(first.span, "first here")
                    .help("give one of them another key"),
            );
        } else if let Some(first) = seen.insert(place, object) {
            out.push(
                Diagnostic::error(
                    object.span,
                    format!("{} and {} are both named `{}`", first.address, object.address, object.name),
                )
                .related(first.span, "first here")
                .help("give one of them another `name`, key or project"),
            );
        }
    }
}

/// The project in which LXD looks for the object, as far as the site says: without its feature that is `default`.
fn home<'a>(object: &'a Object, projects: &HashMap<&str, &Object>) -> &'a str {
    let feature = match object.kind.place() {
        Place::Server => return "",
        place => place.feature(),
    };
    let (Some((feature, by_default)), Some(project)) = (feature, projects.get(object.project.as_str())) else {
        return &object.project;
    };
    let set = project.fields.get(&Path::config(feature)).and_then(|wanted| wanted.value.as_str());
    let is_on = match set.and_then(crate::model::value::as_bool) {
        Some(is_on) => is_on,
        None if project.external => true,
        None => by_default,
    };
    if is_on { &object.project } else { "default" }
}

/// A name that the site does not define is the server's; unless it looks like a slip.
fn near_names<'a>(site: &'a Site, out: &mut Vec<Diagnostic>) {
    let mut names: HashMap<&str, HashSet<&str>> = HashMap::new();
    for object in &site.objects {
        let known = names.entry(object.kind.section()).or_default();
        known.insert(&object.address.key);
        known.insert(&object.name);
    }
    let mut told = HashSet::new();
    let mut known_near: HashMap<(&str, &str), Option<&str>> = HashMap::new();
    let mut look = |section: &'static str, name: &'a str, span: Span| {
        let Some(known) = names.get(section) else { return };
        let near = *known_near
            .entry((section, name))
            .or_insert_with(|| if known.contains(name) { None } else { nearest(name, known.iter().copied()) });
        if let Some(near) = near
            && told.insert(span)
        {
            out.push(
                Diagnostic::warning(span, format!("`{name}` is not in the site, and `{near}` is"))
                    .help(format!("did you mean `{near}`? Else it must be at the server, which plan checks")),
            );
        }
    };
    let mut looked_for = HashSet::new();
    for object in &site.objects {
        for reference in object.references.iter().filter(|reference| reference.address.is_none()) {
            look(reference.section, &reference.name, reference.span);
        }
        if let Some((ImageRef::Local(name), _, span)) =
            object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.image.as_ref())
        {
            look("images", name, *span);
        }
        if object.kind.place() != Place::Server && looked_for.insert(&object.project) {
            look("projects", &object.project, object.span);
        }
    }
}

/// A device without `type` is laid over its namesake in a profile. Where all profiles are the site's, it is known
/// here whether there is one, and of which type it is.
fn devices(site: &Site, out: &mut Vec<Diagnostic>) {
    let objects = || site.objects.iter();
    let profiles: HashMap<&Address, &Object> = objects()
        .filter(|object| object.kind.section() == "profiles")
        .map(|object| (&object.address, object))
        .collect();
    let mut told = HashSet::new();
    for object in objects() {
        let section = object.kind.section();
        if section != "profiles" && section != "instances" || object.external {
            continue;
        }
        for (device, span) in untyped(object) {
            if section == "profiles" {
                tell(
                    &mut told,
                    out,
                    span,
                    format!("the device `{device}` has no `type`"),
                    "write `type: nic`, `type: disk` or another of LXD's types",
                );
                continue;
            }
            let used = object.references.iter().filter(|reference| reference.section == "profiles");
            let used: Option<Vec<&Object>> = used
                .rev()
                .map(|reference| profiles.get(reference.address.as_ref()?).copied().filter(|profile| !profile.external))
                .collect();
            // Of a server's profile only plan knows the devices; and without `profiles` it is the server's `default`.
            let Some(used) = used.filter(|_| object.fields.contains_key(&Path::field("profiles"))) else {
                continue;
            };
            let kind =
                used.iter().find_map(|profile| profile.fields.get(&Path::device(device, "type"))?.value.as_str());
            let Some(kind) = kind else {
                let message = format!(
                    "the device `{device}` has no `type`, and no profile of this instance has a device of that name"
                );
                tell(&mut told, out, span, message, "give the device a `type`, or name a profile that has it");
                continue;
            };
            for (path, wanted) in &object.fields {
                if let Path::Device { device: name, key } = path
                    && name == device
                    && !wanted.sensitive
                    && let Some(text) = wanted.value.as_str()
                {
                    let found = options::check(&Entity::Device(Some(kind)), key, text, wanted.span, wanted.span);
                    out.extend(found.into_iter().filter(|_| told.insert(wanted.span)));
                }
            }
        }
    }
}

fn tell(told: &mut HashSet<Span>, out: &mut Vec<Diagnostic>, span: Span, message: String, help: &str) {
    if told.insert(span) {
        out.push(Diagnostic::error(span, message).help(help));
    }
}

/// The devices without a type, and where the first key of each stands.
fn untyped(object: &Object) -> BTreeMap<&str, Span> {
    let mut devices: BTreeMap<&str, Span> = BTreeMap::new();
    let mut typed = HashSet::new();
    for (path, wanted) in &object.fields {
        if let Path::Device { device, key } = path {
            if key == "type" {
                typed.insert(device.as_str());
            }
            let place = devices.entry(device).or_insert(wanted.span);
            *place = (*place).min(wanted.span);
        }
    }
    devices.retain(|device, _| !typed.contains(device));
    devices
}
