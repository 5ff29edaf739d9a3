//! Three sides per leaf: what the file wants, what is live, what was last applied.

use std::collections::BTreeMap;

use serde_json::Value;

use super::FieldDiff;
use crate::kinds::{Fields, Kind, Raw, Record, Wanted, hash, image};
use crate::model::Path;

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// The leaves to be written.
    pub fields: Vec<FieldDiff>,
    /// The leaves that will have been applied.
    pub applied: BTreeMap<String, String>,
    /// Leaves that are as wanted and not in the record yet.
    pub claims: bool,
    /// The image's fingerprint that an adoption has seen; see [`Record::seen`].
    pub seen: Option<String>,
    /// Leaves that the file no longer wants and that somebody else has set since: left.
    pub taken_over: Vec<Path>,
}

/// The hashes of all wanted leaves, as the record keeps them.
pub fn applied(kind: &dyn Kind, wanted: &Fields) -> BTreeMap<String, String> {
    wanted.iter().map(|(path, wanted)| (path.in_record(), hash_of(kind, path, wanted))).collect()
}

/// Compares an object. `record` is what was last applied, of an object that is ours.
pub fn compare(kind: &dyn Kind, wanted: &Fields, live: &Raw, record: Option<&Record>) -> Diff {
    let mut diff = Diff { applied: applied(kind, wanted), ..Diff::default() };
    for (path, wanted) in wanted {
        let before = kind.live(live, path);
        let recorded = record.and_then(|record| record.k.get(&path.in_record()));
        let hash = &diff.applied[&path.in_record()];
        diff.claims |= recorded.is_none();
        let is_same = if kind.is_rewritten(path) {
            recorded.is_none_or(|recorded| recorded == hash)
        } else {
            is_same(kind, path, &wanted.value, before.as_ref())
        };
        if !is_same {
            let drift = !hash.is_empty() && recorded == Some(hash);
            // What was a secret when it was applied stays one, whatever the file says now.
            let sensitive = wanted.sensitive || recorded.is_some_and(String::is_empty);
            let field = FieldDiff::new(path.clone(), before, Some(wanted.value.clone())).sensitive(sensitive);
            diff.fields.push(FieldDiff { drift, ..field });
        }
    }
    for (key, recorded) in record.into_iter().flat_map(|record| &record.k) {
        let path = Path::from_record(key, kind.free_map());
        if wanted.contains_key(&path) || kind.is_rewritten(&path) || !is_removable(&path) {
            continue;
        }
        let Some(before) = kind.live(live, &path).filter(|value| *value != Value::Array(vec![])) else {
            continue;
        };
        // The hash of a secret is not kept, so that nobody can guess it: what we set we take away.
        if recorded.is_empty() || *recorded == hash(&kind.canonical(&path, &before)) {
            diff.fields.push(FieldDiff::new(path, Some(before), None).sensitive(recorded.is_empty()));
        } else {
            diff.taken_over.push(path);
        }
    }
    whole_devices(live, wanted, &mut diff.fields);
    for field in &mut diff.fields {
        let (effect, why) = kind.effect(&field.path, live);
        (field.effect, field.why) = (effect, why.to_owned());
    }
    diff.fields.sort_by(|a, b| a.path.cmp(&b.path));
    diff
}

fn hash_of(kind: &dyn Kind, path: &Path, wanted: &Wanted) -> String {
    if wanted.sensitive { String::new() } else { hash(&kind.canonical(path, &wanted.value)) }
}

/// LXD keeps an unset key, an empty text, an empty list and `false` apart only in its JSON.
pub(super) fn is_same(kind: &dyn Kind, path: &Path, wanted: &Value, live: Option<&Value>) -> bool {
    match live {
        Some(live) => kind.same(path, wanted, live),
        None => match wanted {
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Bool(is) => !is,
            _ => false,
        },
    }
}

/// Fields that are LXD's to choose where the file is silent are released, not emptied.
fn is_removable(path: &Path) -> bool {
    match path {
        Path::Field(name) => {
            ["description", "ingress", "egress"].contains(&name.as_str()) || image::alias_of(path).is_some()
        }
        Path::Entry { .. } | Path::Device { .. } => true,
    }
}

/// A device whose `type` changes or goes is another device: what was set on the old one goes with it.
fn whole_devices(live: &Raw, wanted: &Fields, fields: &mut Vec<FieldDiff>) {
    let retyped: Vec<String> = fields
        .iter()
        .filter_map(|field| match &field.path {
            Path::Device { device, key } if key == "type" && field.before.is_some() => Some(device.clone()),
            _ => None,
        })
        .collect();
    for device in retyped {
        let keys = live.get("devices").and_then(|devices| devices.get(&device)).and_then(Value::as_object);
        for (key, value) in keys.into_iter().flatten() {
            let path = Path::device(&device, key);
            if !wanted.contains_key(&path) && !fields.iter().any(|field| field.path == path) {
                fields.push(FieldDiff::new(path, Some(value.clone()), None));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::{Effect, by_section};
    use crate::model::Span;

    fn wanted(leaves: &[(Path, Value)]) -> Fields {
        let leaf = |value: &Value| Wanted { value: value.clone(), sensitive: false, span: Span::default() };
        leaves.iter().map(|(path, value)| (path.clone(), leaf(value))).collect()
    }

    fn run(section: &str, fields: &Fields, live: &Value, record: Option<&Record>) -> Diff {
        compare(by_section(section).unwrap(), fields, live.as_object().unwrap(), record)
    }

    fn record_of(section: &str, fields: &Fields) -> Record {
        Record { k: applied(by_section(section).unwrap(), fields), ..Record::default() }
    }

    fn paths(diff: &Diff) -> Vec<String> {
        diff.fields.iter().map(|field| field.path.to_string()).collect()
    }

    #[test]
    fn what_was_just_applied_is_no_diff() {
        let fields =
            wanted(&[(Path::config("limits.memory"), json!("1GiB")), (Path::field("description"), json!("x"))]);
        let live = json!({"description": "x", "config": {"limits.memory": "1073741824", "user.other": "theirs"}});
        let diff = run("profiles", &fields, &live, Some(&record_of("profiles", &fields)));
        assert!(diff.fields.is_empty() && !diff.claims && diff.taken_over.is_empty(), "{diff:?}");
    }

    #[test]
    fn drift_and_pending_change_are_told_apart() {
        let old = wanted(&[(Path::config("limits.cpu"), json!("2"))]);
        let new = wanted(&[(Path::config("limits.cpu"), json!("4"))]);
        let record = record_of("profiles", &old);
        let drift = run("profiles", &old, &json!({"config": {"limits.cpu": "3"}}), Some(&record));
        assert!(drift.fields[0].drift);
        let pending = run("profiles", &new, &json!({"config": {"limits.cpu": "2"}}), Some(&record));
        assert!(!pending.fields[0].drift);
    }

    #[test]
    fn a_key_that_left_the_file_goes_unless_somebody_took_it_over() {
        let record = record_of("profiles", &wanted(&[(Path::config("limits.cpu"), json!("2"))]));
        let gone = run("profiles", &Fields::new(), &json!({"config": {"limits.cpu": "2"}}), Some(&record));
        assert_eq!((paths(&gone), gone.fields[0].after.is_none()), (vec!["config.limits.cpu".to_owned()], true));
        let theirs = run("profiles", &Fields::new(), &json!({"config": {"limits.cpu": "8"}}), Some(&record));
        assert_eq!((paths(&theirs).len(), theirs.taken_over), (0, vec![Path::config("limits.cpu")]));
        let unset = run("profiles", &Fields::new(), &json!({"config": {}}), Some(&record));
        assert!(unset.fields.is_empty() && unset.taken_over.is_empty());
    }

    #[test]
    fn a_secret_that_becomes_an_open_value_is_not_shown() {
        let fields = wanted(&[(Path::config("user.a"), json!("open"))]);
        let record = Record { k: BTreeMap::from([("user.a".to_owned(), String::new())]), ..Record::default() };
        let diff = run("profiles", &fields, &json!({"config": {"user.a": "the old secret"}}), Some(&record));
        assert!(diff.fields[0].sensitive);
    }

    #[test]
    fn wanted_and_live_alike_but_not_recorded_is_a_claim() {
        let fields = wanted(&[(Path::config("limits.cpu"), json!("2"))]);
        let diff = run("profiles", &fields, &json!({"config": {"limits.cpu": "2"}}), Some(&Record::default()));
        assert!(diff.fields.is_empty() && diff.claims);
    }

    #[test]
    fn a_retyped_device_loses_what_the_old_one_had() {
        let fields = wanted(&[(Path::device("x", "type"), json!("none"))]);
        let live = json!({"devices": {"x": {"type": "nic", "network": "br0"}}});
        assert_eq!(paths(&run("instances", &fields, &live, None)), ["devices.x.network", "devices.x.type"]);
    }

    #[test]
    fn what_lxd_rewrites_is_compared_with_the_record_alone() {
        let fields = |source: &str| wanted(&[(Path::config("source"), json!(source))]);
        let live = json!({"driver": "btrfs", "config": {"source": "/dev/disk/by-uuid/1"}});
        let record = record_of("storage_pools", &fields("/dev/sdb"));
        assert!(run("storage_pools", &fields("/dev/sdb"), &live, Some(&record)).fields.is_empty());
        let moved = run("storage_pools", &fields("/dev/sdc"), &live, Some(&record));
        assert_eq!(moved.fields[0].effect, Effect::Replace);
    }
}
