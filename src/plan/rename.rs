//! `renamed_from`: which live instance becomes this one, and what may stand in the way.
//!
//! Left in the file, the key has no effect once the rename is done. An instance that was renamed and not yet
//! stamped anew (an earlier run ended in between, or somebody renamed it by hand) is this site's all the same:
//! that the file names its old name tells it apart from a copy.

use super::build::{Builder, Objects};
use super::ownership::{Owner, owner, stamp_id};
use crate::kinds::{Kind, Object, Raw, Record};
use crate::live::Snapshot;
use crate::model::Id;

/// What a `renamed_from` comes to.
pub(super) enum Renamed<'a> {
    /// Nothing: it says nothing, or the rename is done.
    No,
    /// This live instance is to be renamed.
    From(Id, &'a Raw),
    /// Something is in the way, and that was told.
    Refused,
}

/// Where the instance lived under its earlier name.
fn earlier(object: &Object, id: &Id) -> Option<Id> {
    let old = object.lifecycle.as_ref()?.renamed_from.clone()?;
    (old != id.name).then(|| Id { name: old, ..id.clone() })
}

/// Whose a live object is; one that was renamed and not yet stamped anew is ours, if the file says so.
pub(super) fn whose(
    kind: &dyn Kind,
    object: Option<&Object>,
    id: &Id,
    live: &Raw,
    site: &str,
    snapshot: &Snapshot,
) -> Owner {
    let found = owner(kind, id, live, site);
    let (Owner::Copy(of), Some(object)) = (&found, object) else { return found };
    let own = Id { name: object.name.clone(), ..id.clone() };
    let Some(old) = earlier(object, &own) else { return found };
    // Cut short on its way, or on its way back; as long as the one that the stamp names is there this is a copy of it.
    let other = if *id == own { old } else { own };
    if *of != stamp_id(kind, &other, &other.name) || snapshot.get(kind.section(), &other).is_some() {
        return found;
    }
    let record = kind.stamps(live).into_iter().find(|stamp| stamp.site == site).map(|stamp| stamp.record);
    match Record::parse(&record.unwrap_or_default()) {
        Ok(record) => Owner::Ours(record),
        Err(version) => Owner::Newer(version),
    }
}

/// The name in a stamp that is the object's in all but its name.
pub(super) fn stamped_as(kind: &dyn Kind, id: &Id, live: &Raw, site: &str) -> Option<String> {
    let stamp = kind.stamps(live).into_iter().find(|stamp| stamp.site == site)?;
    let name = super::ownership::stamped_name(kind, &stamp);
    (name != id.name).then(|| name.to_owned())
}

impl<'a> Builder<'a> {
    /// The live instance that is to be renamed into this one.
    pub fn renamed(&mut self, object: &Object, id: &Id, objects: &Objects<'_>) -> Renamed<'a> {
        let Some(old) = earlier(object, id) else { return Renamed::No };
        let section = object.kind.section();
        let (there, taken) = (self.snapshot.get(section, &old), self.snapshot.get(section, id));
        let Some(live) = there else { return Renamed::No };
        let holder = objects
            .all()
            .find(|other| other.kind.section() == section && other.address != object.address && self.id(other) == old);
        let holder = holder.map(|other| &other.address);
        let whose_old = whose(object.kind, Some(object), &old, live, self.site, self.snapshot);
        if !matches!(whose_old, Owner::Ours(_) | Owner::Newer(_)) {
            if taken.is_none() {
                let text = format!(
                    "{} is made new: `renamed_from` names {old}, which is {}, and that is left as it is",
                    object.address,
                    in_words(&whose_old)
                );
                self.note(&object.address, "not-renamed", text);
            }
            return Renamed::No;
        }
        match (taken, holder) {
            // The old name has long been another's.
            (Some(_), Some(_)) => return Renamed::No,
            (Some(taken), None) => {
                let text = format!(
                    "{} is to be renamed from {old}, and its new name is taken by {}",
                    object.address,
                    in_words(&owner(object.kind, id, taken, self.site))
                );
                let help = format!(
                    "rename or delete one of the two (`lxc rename`, `lxc delete`); or take `renamed_from` away: then {} goes as what left the file",
                    old.name
                );
                self.refuse(object, "name-taken", text, &help);
            }
            (None, Some(other)) => {
                let text =
                    format!("{} is to be renamed from {old}, which the file still has as {other}", object.address);
                let help = "take `renamed_from` away, or apply the rename first and give the old name to another then";
                self.refuse(object, "name-taken", text, help);
            }
            (None, None) if self.seen.contains(&(section, old.clone())) => {
                let text = format!("{} and another are both to be renamed from {old}", object.address);
                self.refuse(object, "name-taken", text, "write `renamed_from` at one of them");
            }
            (None, None) if is_lost_when_stopped(live) => {
                let text = format!(
                    "{} is to be renamed from {old}, which is ephemeral: a rename needs a stop, and LXD deletes it then",
                    object.address
                );
                let help = "take `renamed_from` away (the old one goes, a new one is made), or apply `ephemeral: false` under its old name first";
                self.refuse(object, "ephemeral", text, help);
            }
            (None, None) => {
                self.seen.insert((section, old.clone()));
                return Renamed::From(old, live);
            }
        }
        // Neither of the two is anybody else's to prune.
        self.seen.insert((section, old));
        self.seen.insert((section, id.clone()));
        Renamed::Refused
    }
}

fn is_lost_when_stopped(live: &Raw) -> bool {
    let is = |key: &str, value: &str| live.get(key).and_then(serde_json::Value::as_str) == Some(value);
    live.get("ephemeral") == Some(&true.into()) && !is("status", "Stopped")
}

fn in_words(owner: &Owner) -> String {
    match owner {
        Owner::Ours(_) | Owner::Newer(_) => "another of this site".into(),
        Owner::Other(site) => format!("one of the site `{site}`"),
        Owner::Copy(of) => format!("a copy of {of}"),
        Owner::Nobody => "nobody's".into(),
    }
}
