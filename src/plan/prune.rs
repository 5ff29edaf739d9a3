//! What goes: objects with the site's stamp that the file no longer names, or all of them in a destroy.

use std::collections::HashSet;

use serde_json::Value;

use super::build::Builder;
use super::cluster::{is_at, out_of_reach};
use super::ownership::{Owner, stamped_name};
use super::{Action, Change, Effect, FieldDiff, Note, Reason, Refusal, Work, rename};
use crate::kinds::{self, Kind, Object, Raw, Record};
use crate::model::{Address, Id, Path};

/// The reason of what LXD never lets go: it loses what is ours.
pub(super) const GIVEN_BACK: &str = "given-back";

/// One live object that goes, or would.
pub(super) struct Candidate<'a> {
    pub kind: &'static dyn Kind,
    pub id: &'a Id,
    pub live: &'a Raw,
    record: Record,
    address: Address,
}

/// Plans the deletion of what the file no longer names.
pub(super) fn prune(builder: &mut Builder<'_>, wanted: &[Object]) {
    let candidates = stamped(builder, wanted);
    remove(builder, wanted, candidates, ("removed-from-site", "no longer in the file"));
}

/// Plans the deletion of everything that carries the site's stamp.
pub(super) fn destroy(builder: &mut Builder<'_>, wanted: &[Object]) {
    builder.keep_shared(wanted);
    let candidates = stamped(builder, wanted);
    remove(builder, wanted, candidates, ("destroy", "destroy takes everything with the site's stamp"));
}

fn stamped<'a>(builder: &mut Builder<'a>, wanted: &[Object]) -> Vec<Candidate<'a>> {
    let snapshot = builder.snapshot;
    let mut found = vec![];
    for kind in kinds::all().iter().copied() {
        for (id, live) in snapshot.all(kind.section()) {
            let Some(stamp) = kind.stamps(live).into_iter().find(|stamp| stamp.site == builder.site) else {
                continue;
            };
            // What a restricted certificate may not write, another client is to remove.
            if !snapshot.may_write(kind, id) {
                continue;
            }
            if builder.seen.contains(&(kind.section(), id.clone())) {
                continue;
            }
            let named = wanted.iter().find(|object| {
                object.kind.section() == kind.section()
                    && object.lifecycle.is_some()
                    && object.name == id.name
                    && snapshot.projects.effective(&object.project, kind.place()) == id.project
            });
            match rename::whose(kind, named, id, live, builder.site, snapshot) {
                Owner::Ours(record) => {
                    let name =
                        named.map_or_else(|| stamped_name(kind, &stamp).to_owned(), |object| object.name.clone());
                    let address = Address::new(kind.section(), name);
                    found.push(Candidate { kind, id, live, record, address });
                }
                Owner::Copy(of) => {
                    let text = format!(
                        "the {} {id} carries the stamp of {of}: a copy, or renamed by hand; left alone",
                        kind.noun()
                    );
                    builder.plan.notes.push(Note { address: None, code: "copy", text });
                }
                Owner::Newer(version) => builder.plan.refused.push(Refusal {
                    address: Some(Address::new(kind.section(), id.name.clone())),
                    code: "newer-record",
                    text: format!(
                        "the {} {id} was last applied by a newer lxdeploy (record version {version})",
                        kind.noun()
                    ),
                    help: "use that lxdeploy".into(),
                    span: None,
                }),
                Owner::Other(_) | Owner::Nobody => {}
            }
        }
    }
    // The file may give an object another key than its name.
    for candidate in &mut found {
        let same = |object: &&Object| {
            object.kind.section() == candidate.kind.section()
                && object.name == candidate.address.key
                && object.pool == candidate.id.pool
                && snapshot.projects.effective(&object.project, candidate.kind.place()) == candidate.id.project
        };
        if let Some(object) = wanted.iter().find(same) {
            candidate.address = object.address.clone();
        }
    }
    found
}

fn remove(builder: &mut Builder<'_>, wanted: &[Object], candidates: Vec<Candidate<'_>>, reason: (&'static str, &str)) {
    let kept = kept(builder, &candidates);
    for candidate in candidates {
        let Candidate { kind, id, live, record, address } = candidate;
        if let Some((code, why)) =
            kept.iter().find(|(keep, _, _)| *keep == (kind.section(), id)).map(|(_, code, why)| (*code, why))
        {
            builder.note(&address, code, format!("{address} is kept: {why}"));
            continue;
        }
        let object = wanted.iter().find(|object| object.address == address).cloned();
        // A snapshot that was restored may have rewound the record.
        if record.protect || object.as_ref().is_some_and(|object| object.protect) {
            builder.plan.refused.push(Refusal {
                address: Some(address.clone()),
                code: "protected",
                text: format!("{address} is protected and would be deleted"),
                help: "put it into the file with `protect: false` and apply that first".into(),
                span: object.map(|object| object.span),
            });
            continue;
        }
        let reason = Reason { code: reason.0, text: reason.1.to_owned() };
        let mut change = Change {
            address,
            noun: kind.noun(),
            id: id.clone(),
            action: Action::Delete,
            reason,
            drift: false,
            affects: vec![],
            diff: vec![],
        };
        let mut work = Work { kind: Some(kind), object, live: Some(live.clone()), ..Work::default() };
        if kind.is_built_in(&id.name) {
            change.action = Action::Update;
            change.reason = Reason { code: GIVEN_BACK, text: "LXD's own: our keys and our stamp go, no more".into() };
            change.diff = ours(kind, live, &record);
            work.writes = true;
            work.object = None;
        }
        builder.push(change, work);
    }
}

/// The leaves that we set on an object that stays.
fn ours(kind: &dyn Kind, live: &Raw, record: &Record) -> Vec<FieldDiff> {
    let empty = kinds::Fields::new();
    let mut fields = super::diff::compare(kind, &empty, live, Some(record)).fields;
    fields.retain(|field| field.path != Path::field("description"));
    for field in &mut fields {
        field.effect = Effect::Live;
    }
    fields
}

/// What stays, a code, and why.
pub(super) type Kept<'a> = ((&'static str, &'a Id), &'static str, String);

/// What stays since it cannot be reached, or for the sake of data: volumes, and the pools and projects in which
/// they lie.
fn kept<'a>(builder: &Builder<'_>, candidates: &[Candidate<'a>]) -> Vec<Kept<'a>> {
    let mut kept = out_of_reach(builder.snapshot, candidates);
    // LXD (5.0.2) deletes a project with volumes in it: it forgets them, and leaves their files where they are.
    for project in candidates.iter().filter(|candidate| candidate.kind.section() == "projects") {
        let volumes = project.live.get("used_by").and_then(Value::as_array).into_iter().flatten();
        let mut volumes = volumes.filter_map(Value::as_str).filter(|url| url.contains("/volumes/custom/"));
        if volumes
            .any(|url| !candidates.iter().any(|candidate| is_at(candidate.kind, candidate.id, candidate.live, url)))
        {
            let why = "volumes in it are not known to be this site's; move or delete them first".to_owned();
            kept.push((("projects", project.id), "kept-data", why));
        }
    }
    if builder.options.delete_data {
        return kept;
    }
    let volumes: Vec<&Candidate<'a>> = candidates.iter().filter(|c| c.kind.section() == "storage_volumes").collect();
    let data = "it holds data; --delete-data deletes it";
    kept.extend(volumes.iter().map(|c| (("storage_volumes", c.id), "kept-data", data.to_owned())));
    let projects: HashSet<&str> = volumes.iter().map(|c| c.id.project.as_str()).collect();
    let pools: HashSet<&str> = volumes.iter().filter_map(|c| c.id.pool.as_deref()).collect();
    for candidate in candidates {
        let name = candidate.id.name.as_str();
        match candidate.kind.section() {
            "storage_pools" if pools.contains(name) || candidate.kind.holds_data(candidate.live) => {
                kept.push((
                    ("storage_pools", candidate.id),
                    "kept-data",
                    "it holds volumes; --delete-data deletes it with those of the site".to_owned(),
                ));
            }
            "projects" if projects.contains(name) => {
                kept.push((("projects", candidate.id), "kept-data", "volumes in it are kept".to_owned()));
            }
            _ => {}
        }
    }
    kept
}
