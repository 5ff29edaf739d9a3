//! Which live image a name stands for.

use serde_json::Value;

use super::build::{Builder, Objects, created};
use super::diff::{Diff, compare};
use super::ownership::{Owner, owner, stamp_id};
use super::{Action, Change, FieldDiff};
use crate::kinds::image::{self, Source};
use crate::kinds::{ImageRef, Object, Raw, Record, Stamp, by_section};
use crate::live::Snapshot;
use crate::model::{Id, Path};

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

/// What an image is of: `container` or `virtual-machine`.
pub fn type_of(image: &Raw) -> Option<&str> {
    image.get("type").and_then(Value::as_str).filter(|text| !text.is_empty())
}

impl Builder<'_> {
    /// The fingerprint that the instance's image stands for at the target.
    pub fn image_now(&self, object: &Object, objects: &Objects<'_>) -> Option<String> {
        let (image, _, _) = object.lifecycle.as_ref()?.image.as_ref()?;
        resolve(image, object, objects, self.site, self.snapshot)
    }

    pub fn unresolved_image(&self, object: &Object, objects: &Objects<'_>) -> Option<String> {
        let (image, text, _) = object.lifecycle.as_ref()?.image.as_ref()?;
        let is_local = matches!(image, ImageRef::Local(_));
        let missing = is_local && resolve(image, object, objects, self.site, self.snapshot).is_none();
        missing.then(|| text.clone())
    }

    pub fn compare_image(
        &mut self,
        object: &Object,
        live: &Raw,
        record: Option<&Record>,
        objects: &Objects<'_>,
        diff: &mut Diff,
    ) {
        let Some(lifecycle) = &object.lifecycle else { return };
        let Some((image, text, _)) = &lifecycle.image else {
            return;
        };
        let moved = || {
            let now = resolve(image, object, objects, self.site, self.snapshot)?;
            base_of(live).filter(|base| *base != now).map(|base| (base.to_owned(), now))
        };
        let Some(record) = record else {
            // An adoption is no replacement, neither now nor by the next plan: what it sees now counts as followed.
            diff.seen = moved().map(|(_, now)| now.chars().take(12).collect());
            return;
        };
        diff.seen.clone_from(&record.seen);
        let replace = |before: Option<&str>, after: &str, why: &str| {
            FieldDiff::new(Path::field("image"), before.map(Into::into), Some(after.into())).replacing(why)
        };
        match &record.img {
            Some(applied) if applied != text => {
                diff.fields.push(replace(Some(applied), text, "the file names another image"));
            }
            Some(_) if lifecycle.follow_image && matches!(image, ImageRef::Remote { .. }) => {
                let text = format!(
                    "{}: follow_image has no effect on `{text}`, since a plan asks no other server; --replace {} takes what it has now, and an image of the site (`source: {{server: …}}`) can be followed",
                    object.address, object.address
                );
                self.note(&object.address, "not-followed", text);
            }
            Some(_) => {
                let is_seen = |now: &str| record.seen.as_ref().is_some_and(|seen| now.starts_with(seen.as_str()));
                if let Some((base, now)) = moved().filter(|(_, now)| !is_seen(now)) {
                    if lifecycle.follow_image {
                        diff.fields.push(replace(Some(&base), &now, "the image has moved, and follow_image is set"));
                    } else {
                        let text = format!(
                            "{} was made of an earlier image of `{text}`; --replace {} or follow_image: true takes the new one",
                            object.address, object.address
                        );
                        self.note(&object.address, "alias-moved", text);
                    }
                }
            }
            None => diff.claims = true,
        }
    }

    pub fn image(&mut self, object: &Object, id: &Id) {
        let live = live_of(object, &id.project, self.site, self.snapshot);
        if object.external || matches!(object.spec.downcast_ref(), Some(Source::Alias(_) | Source::Fingerprint(_))) {
            // What must be there is never deleted, be it ours from earlier on.
            self.seen.extend(live.map(|(live_id, _)| ("images", live_id.clone())));
            if live.is_none() {
                self.refuse(
                    object,
                    "missing",
                    format!("{} must be at the server and is not", object.address),
                    "import it there, or name its file or server as `source`",
                );
            }
            return;
        }
        if let Some(Err(reason)) = self.snapshot.fingerprints.get(&object.address) {
            return self.refuse(
                object,
                "no-file",
                format!("{}: cannot read {reason}", object.address),
                "put the file there, or correct the path",
            );
        }
        let stamped = stamped_of(object, &id.project, self.site, self.snapshot);
        for (live_id, _) in stamped.iter().chain(live.iter()) {
            self.seen.insert(("images", (*live_id).clone()));
        }
        self.check_aliases(object, id, stamped.or(live).map(|(id, _)| id.name.as_str()));
        let fingerprint = fingerprint_of(object, self.snapshot);
        let applied = super::diff::applied(object.kind, &object.fields);
        match (stamped, live) {
            // Other files than those that were sent.
            (Some((old_id, old)), _) if fingerprint.as_ref().is_some_and(|wanted| *wanted != old_id.name) => {
                let (before, after) = (Some(old_id.name.clone().into()), fingerprint.map(Into::into));
                let field = FieldDiff::new(Path::field("fingerprint"), before, after)
                    .replacing("an image's content is its identity");
                let diff = Diff { fields: vec![field], applied, ..Diff::default() };
                let record = match owner(object.kind, old_id, old, self.site) {
                    Owner::Ours(record) => record,
                    _ => Record::default(),
                };
                self.settle(object, old_id.clone(), old, Some(record), diff);
            }
            (Some((live_id, raw)), _) => {
                let Some(record) = self.ownership(object, live_id, raw) else {
                    return;
                };
                let diff = compare(object.kind, &object.fields, raw, record.as_ref());
                self.settle(object, live_id.clone(), raw, record, diff);
            }
            // The same content: another site's is shared, nobody's is adopted.
            (None, Some((live_id, raw))) => {
                let shared = matches!(owner(object.kind, live_id, raw, self.site), Owner::Other(_));
                if !shared && self.ownership(object, live_id, raw).is_none() {
                    return;
                }
                let diff = compare(object.kind, &object.fields, raw, None);
                self.settle(object, live_id.clone(), raw, None, diff);
            }
            (None, None) => {
                let record = self.record(object, &applied);
                let change = self.change(object, id, Action::Create, "absent", "not there yet".into());
                let work = self.work(object, None, id, &record, true);
                self.push(Change { diff: created(object), ..change }, work);
            }
        }
    }

    /// An alias that points at an image that is not ours is somebody's.
    fn check_aliases(&mut self, object: &Object, id: &Id, own: Option<&str>) {
        for alias in object.fields.keys().filter_map(image::alias_of) {
            let holder = self.snapshot.all("images").find(|(live, raw)| {
                live.project == id.project
                    && Some(live.name.as_str()) != own
                    && image::alias_names(raw).iter().any(|name| name == alias)
            });
            let Some((live, raw)) = holder else { continue };
            if matches!(owner(object.kind, live, raw, self.site), Owner::Ours(_))
                || self.options.adopt.allows(&object.address)
            {
                continue;
            }
            let text = format!("{}: the alias `{alias}` points at an image that is not this site's", object.address);
            self.refuse(
                object,
                "not-ours",
                text,
                &format!("choose another alias, or move it with --adopt {}", object.address),
            );
        }
    }
}
