//! Whose is a live object? The rules of stamps: a stamp counts only on the object that it names.

use crate::kinds::{Kind, Place, Raw, Record, Stamp};
use crate::model::Id;

/// Whose a live object is, as seen from one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This site's, with what was last applied.
    Ours(Record),
    /// This site's, but its record is of a newer format.
    Newer(u32),
    /// Another site's.
    Other(String),
    /// It carries a stamp of this site that names another object: a copy, or a rename by hand.
    Copy(String),
    /// Nobody's.
    Nobody,
}

/// What a stamp on this object has to say: `PROJECT/SECTION.NAME`, of a volume `PROJECT/SECTION.POOL/NAME`.
pub fn stamp_id(kind: &dyn Kind, id: &Id, name: &str) -> String {
    match &id.pool {
        Some(pool) => format!("{}/{}.{pool}/{name}", id.project, kind.section()),
        None => format!("{}/{}.{name}", id.project, kind.section()),
    }
}

/// The name in a stamp's id; of a volume without its pool.
pub fn stamped_name<'a>(kind: &dyn Kind, stamp: &'a Stamp) -> &'a str {
    let marker = format!("/{}.", kind.section());
    let name = stamp.id.split_once(&marker).map_or("", |(_, name)| name);
    match kind.place() {
        Place::Pool { .. } => name.split_once('/').map_or(name, |(_, name)| name),
        _ => name,
    }
}

/// Whose it is. An image's name is in its stamp alone, so there it is the project and section that must fit.
pub fn owner(kind: &dyn Kind, id: &Id, live: &Raw, site: &str) -> Owner {
    let stamps = kind.stamps(live);
    if let Some(stamp) = stamps.iter().find(|stamp| stamp.site == site) {
        let name = if kind.section() == "images" { stamped_name(kind, stamp) } else { &id.name };
        if stamp.id != stamp_id(kind, id, name) {
            return Owner::Copy(stamp.id.clone());
        }
        return match Record::parse(&stamp.record) {
            Ok(record) => Owner::Ours(record),
            Err(version) => Owner::Newer(version),
        };
    }
    match stamps.into_iter().next() {
        Some(stamp) => Owner::Other(stamp.site),
        None => Owner::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner_of(section: &str, id: &Id, live: &serde_json::Value) -> Owner {
        owner(crate::kinds::by_section(section).unwrap(), id, live.as_object().unwrap(), "acme")
    }

    #[test]
    fn a_stamp_counts_on_its_own_object_alone() {
        let id = Id { project: "p".into(), pool: None, name: "a".into() };
        let stamped = |site: &str, of: &str| json!({"config": {"user.lxdeploy.site": site, "user.lxdeploy.id": of}});
        assert_eq!(owner_of("instances", &id, &stamped("acme", "p/instances.a")), Owner::Ours(Record::default()));
        assert_eq!(owner_of("instances", &id, &stamped("acme", "p/instances.b")), Owner::Copy("p/instances.b".into()));
        assert_eq!(owner_of("instances", &id, &stamped("acme", "q/instances.a")), Owner::Copy("q/instances.a".into()));
        assert_eq!(owner_of("instances", &id, &stamped("other", "p/instances.a")), Owner::Other("other".into()));
        assert_eq!(owner_of("instances", &id, &json!({"config": {}})), Owner::Nobody);
    }

    #[test]
    fn a_volume_is_named_with_its_pool_and_an_image_by_its_stamp() {
        let volume = Id { project: "p".into(), pool: Some("fast".into()), name: "v".into() };
        let live = json!({"config": {"user.lxdeploy.site": "acme", "user.lxdeploy.id": "p/storage_volumes.fast/v"}});
        assert_eq!(owner_of("storage_volumes", &volume, &live), Owner::Ours(Record::default()));
        let image = Id { project: "p".into(), pool: None, name: "f00".into() };
        let live = json!({"fingerprint": "f00", "properties": {"lxdeploy.acme": "p/images.base {}"}});
        assert_eq!(owner_of("images", &image, &live), Owner::Ours(Record::default()));
    }
}
