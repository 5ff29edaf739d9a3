//! What moved at the server since it was applied: what is live against what the stamps have on record.
//!
//! What the file wants now only names what was applied; a pending change of the file is no drift.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::diff::is_same;
use super::images::{live_of, stamped_of};
use super::ownership::{Owner, owner, stamped_name};
use super::{Note, Options, build, cluster, overlay};
use crate::kinds::{self, Kind, Object, Raw, Record, Wanted, hash, image};
use crate::live::Snapshot;
use crate::model::{Address, Id, Path};
use crate::site::Site;

/// What moved.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    /// The site's name.
    pub site: String,
    /// Where its objects live unless they name another project.
    pub project: String,
    /// So many objects carry the site's stamp.
    pub stamped: usize,
    /// In the order of the kinds and names.
    pub moved: Vec<Moved>,
    /// What cannot be told.
    pub notes: Vec<Note>,
    /// Why nothing can be said at all: (what, what to do).
    pub refused: Vec<(String, String)>,
}

/// One object that is not as it was applied.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Its address; of a copy that of its kind and name.
    pub address: Address,
    /// Where it lives, or should.
    pub id: Id,
    /// `changed`, `absent`, `missing`, `unstamped`, `other-site`, `copy`.
    pub code: &'static str,
    /// One line; empty where the leaves say it.
    pub text: String,
    /// The leaves that moved.
    pub leaves: Vec<Leaf>,
}

/// A leaf whose live value left what was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Which.
    pub path: Path,
    /// What was applied, where the file still has it; the record keeps a hash alone.
    pub applied: Option<Value>,
    /// The live value; `None` if it is not set.
    pub live: Option<Value>,
    /// Masked wherever it is shown.
    pub sensitive: bool,
    /// The file no longer has it, so nothing sets it back.
    pub taken_over: bool,
}

/// Compares what is live with what was applied.
pub fn drift(site: &Site, snapshot: &Snapshot) -> Drift {
    let mut wanted = site.objects.clone();
    let _ = cluster::complete(&mut wanted, snapshot);
    let _ = overlay::complete(&mut wanted, snapshot);
    let mut drift = Drift { site: site.name.clone(), project: site.project.clone(), ..Drift::default() };
    let mut found: HashSet<(&str, Id)> = HashSet::new();
    let mut named: HashMap<(&str, &str), Vec<&Object>> = HashMap::new();
    for object in &wanted {
        named.entry((object.kind.section(), object.name.as_str())).or_default().push(object);
    }
    for kind in kinds::all().iter().copied() {
        for (id, live) in snapshot.all(kind.section()) {
            match owner(kind, id, live, &site.name) {
                Owner::Ours(record) => {
                    drift.stamped += 1;
                    found.insert((kind.section(), id.clone()));
                    let object = object_of(kind, id, live, site, &named, snapshot);
                    drift.object(kind, object, (id, live), &record, snapshot);
                }
                Owner::Copy(of) => {
                    found.insert((kind.section(), id.clone()));
                    drift.moved.push(Moved {
                        address: Address::new(kind.section(), &id.name),
                        id: id.clone(),
                        code: "copy",
                        text: format!("carries the stamp of {of}: copied, moved or renamed by hand"),
                        leaves: vec![],
                    });
                }
                Owner::Newer(version) => drift.refused.push((
                    format!("the {} {id} was last applied by a newer lxdeploy (record version {version})", kind.noun()),
                    "use that lxdeploy".into(),
                )),
                Owner::Other(_) | Owner::Nobody => {}
            }
        }
    }
    for object in wanted.iter().filter(|object| !object.external) {
        drift.wanted(object, snapshot, &found);
    }
    let plan = build(site, snapshot, &Options::default());
    for refusal in plan.refused.into_iter().filter(|refusal| refusal.code == "missing") {
        let address = refusal.address.unwrap_or_else(|| Address::new("site", &site.name));
        let id = Id { project: site.project.clone(), pool: None, name: address.key.clone() };
        drift.moved.push(Moved { address, id, code: "missing", text: refusal.text, leaves: vec![] });
    }
    let rank = |section: &str| kinds::all().iter().position(|kind| kind.section() == section);
    drift.moved.sort_by_cached_key(|moved| (rank(&moved.address.section), moved.address.key.clone(), moved.code));
    drift
}

/// The object of the file that a stamped live object is.
fn object_of<'a>(
    kind: &dyn Kind,
    id: &Id,
    live: &Raw,
    site: &Site,
    named: &HashMap<(&str, &str), Vec<&'a Object>>,
    snapshot: &Snapshot,
) -> Option<&'a Object> {
    let stamps = kind.stamps(live);
    let stamp = stamps.iter().find(|stamp| stamp.site == site.name)?;
    let name = stamped_name(kind, stamp);
    named.get(&(kind.section(), name))?.iter().copied().find(|object| {
        object.pool == id.pool && snapshot.projects.effective(&object.project, kind.place()) == id.project
    })
}

impl Drift {
    /// The leaves of one object that the site applied.
    fn object(
        &mut self,
        kind: &dyn Kind,
        object: Option<&Object>,
        (id, live): (&Id, &Raw),
        record: &Record,
        snapshot: &Snapshot,
    ) {
        let address = object.map_or_else(
            || Address::new(kind.section(), if kind.section() == "images" { short(&id.name) } else { &id.name }),
            |object| object.address.clone(),
        );
        let mut leaves = vec![];
        for (key, recorded) in &record.k {
            let path = Path::from_record(key, kind.free_map());
            // What a member keeps that does not answer is not known.
            let is_hidden = path.as_member().is_some_and(|(member, _)| snapshot.cluster.is_offline(member));
            if kind.is_rewritten(&path) || is_hidden {
                continue;
            }
            let wanted = object.and_then(|object| object.fields.get(&path));
            let value = kind.live(live, &path);
            let leaf = |applied| Leaf {
                path: path.clone(),
                applied,
                live: value.clone(),
                sensitive: recorded.is_empty() || wanted.is_some_and(|wanted| wanted.sensitive),
                taken_over: wanted.is_none() && value.is_some(),
            };
            if recorded.is_empty() {
                // The hash of a secret is not kept: that it is gone can be told, that it is another one cannot.
                match (&value, wanted) {
                    (None, _) => leaves.push(leaf(None)),
                    (Some(value), Some(wanted)) if !is_same(kind, &path, &wanted.value, Some(value)) => {
                        self.notes.push(Note {
                            address: Some(address.clone()),
                            code: "secret",
                            text: format!(
                                "{address}: {path} is not what the file's secret is: changed at the server, or the secret since it was applied"
                            ),
                        });
                    }
                    _ => {}
                }
                continue;
            }
            let applied = wanted.filter(|wanted| is_recorded(kind, &path, wanted, recorded));
            let holds = match applied {
                Some(wanted) => is_same(kind, &path, &wanted.value, value.as_ref()),
                None => holds(kind, &path, recorded, value.as_ref()),
            };
            if !holds {
                leaves.push(leaf(applied.map(|wanted| wanted.value.clone())));
            }
        }
        if !leaves.is_empty() {
            leaves.sort_by(|a, b| a.path.cmp(&b.path));
            self.moved.push(Moved { address, id: id.clone(), code: "changed", text: String::new(), leaves });
        }
    }

    /// An object of the file that is not there, or that lost its stamp.
    fn wanted(&mut self, object: &Object, snapshot: &Snapshot, found: &HashSet<(&str, Id)>) {
        let kind = object.kind;
        let project = snapshot.projects.effective(&object.project, kind.place());
        let mut id = Id { project: project.clone(), pool: object.pool.clone(), name: object.name.clone() };
        let live = if kind.section() == "images" {
            if matches!(object.spec.downcast_ref(), Some(image::Source::Alias(_) | image::Source::Fingerprint(_)))
                || stamped_of(object, &project, &self.site, snapshot).is_some()
            {
                return;
            }
            let live = live_of(object, &project, &self.site, snapshot);
            id = live.map_or(id, |(id, _)| id.clone());
            live.map(|(_, live)| live)
        } else {
            snapshot.get(kind.section(), &id)
        };
        if found.contains(&(kind.section(), id.clone())) {
            return;
        }
        let old = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.renamed_from.clone());
        let old = old.map(|name| Id { name, ..id.clone() });
        if live.is_none() && old.is_some_and(|old| found.contains(&(kind.section(), old))) {
            // The rename is the file's.
            return;
        }
        let whose = live.map(|live| (live, owner(kind, &id, live, &self.site)));
        let moved = |code, text: String| Moved { address: object.address.clone(), id, code, text, leaves: vec![] };
        let one = match whose {
            None => moved("absent", "not at the server: removed there, or not applied yet".into()),
            Some((live, _)) if live.get("config").is_some_and(Value::is_null) => {
                let text = format!(
                    "{}: the server does not show it now (an offline member, or a restricted certificate)",
                    object.address
                );
                self.notes.push(Note { address: Some(object.address.clone()), code: "unknown", text });
                return;
            }
            // Another site's image is shared as soon as ours is applied.
            Some((_, Owner::Other(site))) if kind.section() != "images" => moved(
                "other-site",
                format!("carries the stamp of the site `{site}`: made again there, or not applied yet"),
            ),
            Some(_) => moved("unstamped", "there without this site's stamp: taken away, or not applied yet".into()),
        };
        self.moved.push(one);
    }
}

/// True if the file still wants what was applied.
fn is_recorded(kind: &dyn Kind, path: &Path, wanted: &Wanted, recorded: &str) -> bool {
    !wanted.sensitive && hash(&kind.canonical(path, &wanted.value)) == recorded
}

/// True if the live value is what the record has the hash of.
fn holds(kind: &dyn Kind, path: &Path, recorded: &str, live: Option<&Value>) -> bool {
    let Some(live) = live else {
        // Unset, empty and `false` are one to LXD.
        return ["", "[]", "false"].iter().any(|empty| hash(empty) == recorded);
    };
    let text = kind.canonical(path, live);
    let is_auto = || recorded == hash("auto") && kind.same(path, &"auto".into(), live);
    // A fingerprint may be written by its first digits.
    let is_front = || {
        *path == Path::field("fingerprint")
            && (12..text.len()).any(|end| text.get(..end).is_some_and(|front| hash(front) == recorded))
    };
    hash(&text) == recorded || is_auto() || is_front()
}

/// Fingerprints as `lxc image list` has them.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::by_section;

    #[test]
    fn a_hash_is_enough_to_tell() {
        let (network, profile) = (by_section("networks").unwrap(), by_section("profiles").unwrap());
        let address = Path::config("ipv4.address");
        assert!(holds(network, &address, &hash("auto"), Some(&json!("10.1.2.1/24"))));
        assert!(!holds(network, &address, &hash("auto"), Some(&json!("none"))));
        let memory = Path::config("limits.memory");
        assert!(holds(profile, &memory, &hash("1073741824"), Some(&json!("1GiB"))));
        assert!(!holds(profile, &memory, &hash("1073741824"), None));
        assert!(holds(by_section("network_acls").unwrap(), &Path::field("egress"), &hash("[]"), None));
        let (image, print) = (by_section("images").unwrap(), Path::field("fingerprint"));
        assert!(holds(image, &print, &hash("0123456789ab"), Some(&json!("0123456789abcdef"))));
        assert!(!holds(image, &print, &hash("0123456789ab"), Some(&json!("ff23456789abcdef"))));
    }
}
