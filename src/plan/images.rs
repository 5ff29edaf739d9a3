//! Which live image a name stands for.

use serde_json::Value;

use crate::kinds::image::{self, Source};
use crate::kinds::{ImageRef, Object, Raw, Stamp, by_section};
use crate::live::Snapshot;
use crate::model::Id;

use super::build::Objects;
use super::ownership::stamp_id;

/// The live image of an image object: the one with its files' fingerprint, else the one with its stamp.
pub fn live_of<'a>(object: &Object, project: &str, site: &str, snapshot: &'a Snapshot) -> Option<(&'a Id, &'a Raw)> {
    let wanted = fingerprint_of(object, snapshot);
    let in_project = || snapshot.all("images").filter(|(id, _)| id.project == project);
    match object.spec.downcast_ref::<Source>() {
        Some(Source::Alias(alias)) => return in_project().find(|(_, raw)| image::alias_names(raw).contains(alias)),
        Some(Source::Fingerprint(prefix)) => {
            return in_project().find(|(id, _)| id.name.starts_with(&prefix.to_ascii_lowercase()));
        }
        _ => {}
    }
    let stamped = || in_project().find(|(_, raw)| has_stamp(object, project, site, raw));
    match wanted {
        Some(wanted) => in_project().find(|(id, _)| id.name == wanted).or_else(stamped),
        None => stamped(),
    }
}

/// The stamped image of an image object, be its content the wanted one or not.
pub fn stamped_of<'a>(object: &Object, project: &str, site: &str, snapshot: &'a Snapshot) -> Option<(&'a Id, &'a Raw)> {
    snapshot.all("images").find(|(id, raw)| id.project == project && has_stamp(object, project, site, raw))
}

fn has_stamp(object: &Object, project: &str, site: &str, raw: &Raw) -> bool {
    let id = Id { project: project.to_owned(), pool: None, name: object.name.clone() };
    let wanted = stamp_id(object.kind, &id, &object.name);
    let is_ours = |stamp: &Stamp| stamp.site == site && stamp.id == wanted;
    object.kind.stamps(raw).iter().any(is_ours)
}

/// The fingerprint of the image's files.
pub fn fingerprint_of(object: &Object, snapshot: &Snapshot) -> Option<String> {
    snapshot.fingerprints.get(&object.address)?.as_ref().ok().cloned()
}

/// The fingerprint that an instance's `image:` stands for now, where the target has it.
pub fn resolve(
    image: &ImageRef,
    instance: &Object,
    objects: &Objects<'_>,
    site: &str,
    snapshot: &Snapshot,
) -> Option<String> {
    let place = by_section("images")?.place();
    match image {
        ImageRef::Site(address) => {
            let object = objects.get(address)?;
            let project = snapshot.projects.effective(&object.project, place);
            fingerprint_of(object, snapshot)
                .or_else(|| live_of(object, &project, site, snapshot).map(|(id, _)| id.name.clone()))
        }
        ImageRef::Local(name) => {
            let project = snapshot.projects.effective(&instance.project, place);
            let images = || snapshot.all("images").filter(|(id, _)| id.project == project);
            let by_alias = images().find(|(_, raw)| image::alias_names(raw).contains(name));
            let is_prefix = name.len() >= 6 && name.chars().all(|c| c.is_ascii_hexdigit());
            let found = by_alias.or_else(|| images().find(|(id, _)| is_prefix && id.name.starts_with(name.as_str())));
            found.map(|(id, _)| id.name.clone())
        }
        ImageRef::Remote { .. } => None,
    }
}

/// The fingerprint that an instance was made of.
pub fn base_of(live: &Raw) -> Option<&str> {
    live.get("config")?.get("volatile.base_image").and_then(Value::as_str)
}
