//! What is different in a cluster: placement, what is each member's own, objects whose creation was begun, and
//! members that do not answer.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::build::{Builder, created};
use super::diff::applied;
use super::prune::{Candidate, Kept};
use super::{Action, Change, FieldDiff, Note, Refusal};
use crate::diagnostic::nearest;
use crate::kinds::{self, Fields, Kind, Object, Place, Raw, body};
use crate::live::{Snapshot, cluster};
use crate::model::{Id, Path};

/// Says of each member which of its keys are whose: what a file writes in `config` and LXD keeps per member
/// holds for every member of which `members` says nothing else. On a machine by itself there are no members.
pub(super) fn complete(wanted: &mut [Object], snapshot: &Snapshot) -> Vec<Refusal> {
    let mut refused = vec![];
    for object in wanted.iter_mut().filter(|object| !object.kind.member_keys().is_empty() && !object.external) {
        for (path, leaf) in &object.fields {
            let Some((member, _)) = path.as_member() else { continue };
            if let Some((code, what, help)) = unknown_member(snapshot, member) {
                refused.push(Refusal {
                    address: Some(object.address.clone()),
                    code,
                    text: format!("{}: `members` names {member}, and {what}", object.address),
                    help: format!("{help}, or take {member} out of `members`"),
                    span: Some(leaf.span),
                });
            }
        }
        if object.kind.is_made_per_member(&body::of_fields(&object.fields)) && !snapshot.cluster.members.is_empty() {
            for key in object.kind.member_keys() {
                let Some(leaf) = object.fields.remove(&Path::config(*key)) else { continue };
                for member in &snapshot.cluster.members {
                    object.fields.entry(Path::member(&member.name, key)).or_insert_with(|| leaf.clone());
                }
            }
        }
    }
    refused.dedup_by(|a, b| a.text == b.text);
    refused
}

/// Why a name is no member's: a code, what is so, and the remedy.
fn unknown_member(snapshot: &Snapshot, name: &str) -> Option<(&'static str, String, String)> {
    let cluster = &snapshot.cluster;
    if cluster.get(name).is_some() {
        return None;
    }
    if !snapshot.server.is_clustered {
        return Some(("no-cluster", "the server is a machine by itself".into(), "name a cluster as `remote`".into()));
    }
    // A certificate that may not see the members cannot tell.
    if cluster.members.is_empty() {
        return None;
    }
    let help = match nearest(name, cluster.members.iter().map(|member| member.name.as_str())) {
        Some(near) => format!("did you mean {near}? Its members are {}", cluster.names()),
        None => format!("name one of its members ({})", cluster.names()),
    };
    Some(("unknown-member", "the cluster has no such member".into(), help))
}

impl<'a> Builder<'a> {
    /// Where an instance or a volume is to be made must be there.
    pub fn check_target(&mut self, object: &Object) {
        let Some(target) = object.target() else {
            return;
        };
        let cluster = &self.snapshot.cluster;
        let has_group = |group: &str| cluster.members.iter().any(|member| member.groups.iter().any(|of| of == group));
        let what = match target.strip_prefix('@') {
            None => unknown_member(self.snapshot, target),
            Some(group) if has_group(group) => None,
            Some(_) if !self.snapshot.server.is_clustered => unknown_member(self.snapshot, target),
            Some(group) => {
                let help = format!("`lxc cluster group list` has the groups; the members are {}", cluster.names());
                (!cluster.members.is_empty())
                    .then(|| ("unknown-group", format!("no member is in a cluster group `{group}`"), help))
            }
        };
        if let Some((code, what, help)) = what {
            let text = format!("{} is to be made on `{target}`, and {what}", object.address);
            return self.refuse(object, code, text, &format!("{help}, or take `target` away"));
        }
        if cluster.is_offline(target) {
            let text =
                format!("{} cannot be made on {target}, which is offline; apply again when it is back", object.address);
            self.note(&object.address, "offline", text);
        }
    }

    /// Placement is chosen once; whoever moves something later has a reason.
    pub fn compare_location(&mut self, object: &Object, live: &Raw) {
        let Some(target) = object.target() else {
            return;
        };
        let Some(member) = cluster::location(live).and_then(|name| self.snapshot.cluster.get(name)) else {
            return;
        };
        let is_there = match target.strip_prefix('@') {
            None => member.name == target,
            Some(group) => member.groups.iter().any(|of| of == group),
        };
        if !is_there {
            let how = match &object.lifecycle {
                Some(_) => {
                    format!("; `lxc move {} --target {target} --project {}` moves it", object.name, object.project)
                }
                None => String::new(),
            };
            let text = format!(
                "{} is on {}, and the file says `target: {target}`, which counts when it is made{how}",
                object.address, member.name
            );
            self.note(&object.address, "moved", text);
        }
    }

    /// The leaves that can be compared: not those that are kept by a member that does not answer.
    pub fn visible<'f>(&self, object: &'f Object) -> Cow<'f, Fields> {
        let is_hidden = |path: &Path| {
            let member = path.as_member().filter(|_| !object.kind.is_rewritten(path));
            member.is_some_and(|(member, _)| self.snapshot.cluster.is_offline(member))
        };
        if !object.fields.keys().any(is_hidden) {
            return Cow::Borrowed(&object.fields);
        }
        let seen = object.fields.iter().filter(|(path, _)| !is_hidden(path));
        Cow::Owned(seen.map(|(path, wanted)| (path.clone(), wanted.clone())).collect())
    }

    /// An instance that was to be renamed and cannot be seen: another would be its double.
    pub fn is_renamed_unseen(&mut self, object: &Object, id: &Id) -> bool {
        let Some(old) = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.renamed_from.clone()) else {
            return false;
        };
        let old = Id { name: old, ..id.clone() };
        let live = self.snapshot.get(object.kind.section(), &old);
        let Some(member) = live.and_then(|live| self.snapshot.silent_member(live)) else {
            return false;
        };
        let text =
            format!("{} may be the renamed {old}, which is on {member}, and that is offline: not made", object.address);
        self.note(&object.address, "offline", text);
        self.seen.insert((object.kind.section(), old));
        true
    }

    /// True if a creation in a cluster is yet to be finished.
    pub fn is_unfinished(&self, object: &Object, live: &Raw) -> bool {
        self.snapshot.server.is_clustered && object.kind.is_unfinished(live)
    }

    /// A creation that did not come to its second step is taken up, whoever began it: nothing is made yet, and
    /// LXD keeps no stamp before that step.
    pub fn pending(&mut self, object: &Object, id: Id, live: &Raw) {
        for fixed in ["driver", "type"] {
            let (wanted, begun) = (object.fields.get(&Path::field(fixed)), live.get(fixed).and_then(Value::as_str));
            if let (Some(wanted), Some(begun)) = (wanted, begun)
                && wanted.value != begun
            {
                return self
                    .begun_otherwise(object, &format!("with {fixed} {begun}, and the file says {}", wanted.value));
            }
        }
        let differs = object.fields.iter().find_map(|(path, wanted)| {
            let (member, key) = path.as_member()?;
            let begun = object.kind.live(live, path);
            let has_begun = strings(live, "locations").contains(&member) && !self.snapshot.cluster.is_offline(member);
            let is_same = begun.as_ref().is_some_and(|begun| object.kind.same(path, &wanted.value, begun));
            (has_begun && !is_same).then(|| {
                let begun = begun.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
                format!("on {member} with {key} {begun}, and the file says {}", wanted.value)
            })
        });
        if let Some(how) = differs {
            return self.begun_otherwise(object, &how);
        }
        let members = strings(live, "locations").join(", ");
        let text = format!("begun and not finished: it is pending on {members}; taken up from there");
        let record = self.record(object, &applied(object.kind, &object.fields));
        let change = self.change(object, &id, Action::Create, "unfinished", text);
        let work = self.work(object, Some(live), &id, &record, true);
        self.push(Change { diff: created(object), ..change }, work);
    }

    fn begun_otherwise(&mut self, object: &Object, how: &str) {
        let text = format!("{}: its creation was begun {how}", object.address);
        let command = if object.kind.section() == "networks" { "network" } else { "storage" };
        let help =
            format!("take it back with `lxc {command} delete {}`, or write into the file what was begun", object.name);
        self.refuse(object, "begun-otherwise", text, &help);
    }

    /// True if a change must wait for a member that does not answer; what only uses the object goes on.
    pub fn must_wait(&mut self, object: &Object, live: &Raw, fields: &[FieldDiff]) -> bool {
        let offline = self.snapshot.cluster.offline();
        if offline.is_empty() || !object.kind.is_made_per_member(live) {
            return false;
        }
        let mut what: Vec<String> = fields.iter().map(|field| field.path.to_string()).collect();
        if what.is_empty() {
            what.push("its record".to_owned());
        }
        let text = format!(
            "{} is to be changed ({}) and waits: LXD changes it on all members at once, and {} is offline",
            object.address,
            what.join(", "),
            offline.join(", ")
        );
        self.note(&object.address, "offline", text);
        true
    }

    /// What a destroy leaves: a creation that was begun carries no stamp yet.
    pub fn note_pending(&mut self, wanted: &[Object]) {
        for object in wanted {
            let id = self.id(object);
            let Some(live) = self.snapshot.get(object.kind.section(), &id) else { continue };
            if object.kind.is_unfinished(live) && object.kind.stamps(live).is_empty() {
                let command = if object.kind.section() == "networks" { "network" } else { "storage" };
                let text = format!(
                    "{} was begun and not finished, and carries no stamp; `lxc {command} delete {}` takes it away",
                    object.address, object.name
                );
                self.note(&object.address, "unfinished", text);
            }
        }
    }

    /// Says which members are offline, what is there, and what must wait for them.
    pub fn note_offline(&mut self, wanted: &[Object]) {
        let cluster = &self.snapshot.cluster;
        let offline = cluster.offline();
        if offline.is_empty() {
            return;
        }
        let unseen = self.unseen(wanted);
        for member in &offline {
            let names: Vec<&str> =
                unseen.iter().filter(|unseen| unseen.member == *member).map(|unseen| unseen.name.as_str()).collect();
            if !names.is_empty() {
                let text = format!(
                    "{member} is offline: what is there cannot be seen and is left as it is: {}",
                    names.join(", ")
                );
                self.plan.notes.push(Note { address: None, code: "offline", text });
            }
        }
        let waiting: Vec<String> = self
            .plan
            .changes
            .iter()
            .zip(&self.plan.work)
            .filter(|(change, work)| {
                let body = work.live.clone().or_else(|| Some(body::of_fields(&work.object.as_ref()?.fields)));
                change.action != Action::NoOp
                    && work.kind.zip(body).is_some_and(|(kind, body)| kind.is_made_per_member(&body))
            })
            .map(|(change, _)| change.address.to_string())
            .collect();
        if !waiting.is_empty() {
            let text = format!(
                "LXD makes pools and networks only while every member answers, and {} does not: these will fail, and with \
                 them what needs them, until an apply with all members: {}",
                offline.join(", "),
                waiting.join(", ")
            );
            self.plan.notes.push(Note { address: None, code: "offline", text });
        }
    }

    /// What lives on members that do not answer, of the site or in its projects.
    fn unseen(&self, wanted: &[Object]) -> Vec<Unseen<'a>> {
        let snapshot = self.snapshot;
        let named: HashMap<(&str, Id), &Object> =
            wanted.iter().map(|object| ((object.kind.section(), self.id(object)), object)).collect();
        let projects: HashSet<&str> =
            named.keys().map(|(_, id)| id.project.as_str()).chain([self.plan.project.as_str()]).collect();
        let mut found = vec![];
        for section in ["instances", "storage_volumes"] {
            for (id, raw) in snapshot.all(section) {
                let Some(member) = snapshot.silent_member(raw) else { continue };
                let name = match named.get(&(section, id.clone())) {
                    Some(object) => object.address.to_string(),
                    None if projects.contains(id.project.as_str()) => id.to_string(),
                    None => continue,
                };
                found.push(Unseen { member, name });
            }
        }
        found
    }
}

/// What cannot be seen, and where.
struct Unseen<'a> {
    member: &'a str,
    /// As the user calls it.
    name: String,
}

/// What a plan would take away and cannot, since a member does not answer: what LXD changes on all members at
/// once, what is on that member, and whatever is in use by either.
pub(super) fn out_of_reach<'a>(snapshot: &Snapshot, candidates: &[Candidate<'a>]) -> Vec<Kept<'a>> {
    let offline = snapshot.cluster.offline().join(", ");
    let mut kept: Vec<Kept<'a>> = vec![];
    if offline.is_empty() {
        return kept;
    }
    let mut stays: Vec<(&dyn Kind, &Id, &Raw)> = vec![];
    for kind in kinds::all().iter().copied() {
        let silent = snapshot.all(kind.section()).filter(|(_, raw)| snapshot.silent_member(raw).is_some());
        stays.extend(silent.map(|(id, raw)| (kind as &dyn Kind, id, raw)));
    }
    loop {
        let known = kept.len();
        for candidate in candidates {
            let place = (candidate.kind.section(), candidate.id);
            if kept.iter().any(|(keep, ..)| *keep == place) {
                continue;
            }
            let holder = || {
                let urls = candidate.live.get("used_by").and_then(Value::as_array).into_iter().flatten();
                let urls: Vec<&str> = urls.filter_map(Value::as_str).collect();
                let is_project = candidate.kind.section() == "projects";
                let holds = |(kind, id, live): &&(&dyn Kind, &Id, &Raw)| {
                    is_project && kind.place() != Place::Server && id.project == candidate.id.name
                        || urls.iter().any(|url| is_at(*kind, id, live, url))
                };
                stays.iter().find(holds).map(|(kind, id, _)| format!("the {} {id} stays and uses it", kind.noun()))
            };
            let why = match snapshot.silent_member(candidate.live) {
                Some(member) => Some(format!("it is on {member}, which is offline")),
                None if candidate.kind.section() == "images" || candidate.kind.is_made_per_member(candidate.live) => {
                    Some(format!("LXD takes it away from all members at once, and {offline} is offline"))
                }
                None => holder(),
            };
            if let Some(why) = why {
                kept.push((place, "offline", why));
                stays.push((candidate.kind, candidate.id, candidate.live));
            }
        }
        if kept.len() == known {
            return kept;
        }
    }
}

fn strings<'r>(raw: &'r Raw, key: &str) -> Vec<&'r str> {
    let mut names: Vec<&str> =
        raw.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names
}

/// True if a URL of somebody's `used_by` is this object's.
pub(super) fn is_at(kind: &dyn Kind, id: &Id, live: &Raw, url: &str) -> bool {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let value = |key: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key));
    let project = value("project").map_or("default", |(_, name)| name);
    let is_elsewhere = value("target").zip(cluster::location(live)).is_some_and(|((_, member), at)| member != at);
    path.strip_prefix("/1.0/") == Some(kind.path(id, live).join("/").as_str()) && project == id.project && !is_elsewhere
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn urls_of_used_by() {
        let is_at = |section: &str, id: &Id, live: Value, url: &str| {
            super::is_at(kinds::by_section(section).unwrap(), id, live.as_object().unwrap(), url)
        };
        let id = Id { project: "acme".into(), pool: None, name: "base".into() };
        assert!(is_at("profiles", &id, json!({}), "/1.0/profiles/base?project=acme"));
        assert!(!is_at("profiles", &id, json!({}), "/1.0/profiles/base"));
        let id = Id { project: "acme".into(), pool: Some("fast".into()), name: "db".into() };
        let url = "/1.0/storage-pools/fast/volumes/custom/db?project=acme&target=n2";
        assert!(is_at("storage_volumes", &id, json!({"location": "n2"}), url));
        assert!(!is_at("storage_volumes", &id, json!({"location": "n1"}), url));
    }
}
