//! From what is wanted and what is live to a plan.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::diff::{Diff, compare};
use super::options::{Adopt, Options};
use super::ownership::{Owner, owner, stamp_id};
use super::{
    Action, Change, Effect, FieldDiff, Note, Plan, Reason, Refusal, Work, affects, cluster, guards, images, in_use,
    order, overlay, prune,
    rename::{self, Renamed},
    select,
};
use crate::kinds::{Object, Raw, Record, Stamp};
use crate::live::Snapshot;
use crate::model::{Address, Id, Path};
use crate::site::Site;

/// The wanted objects by address.
pub struct Objects<'a>(HashMap<&'a Address, &'a Object>);

impl<'a> Objects<'a> {
    /// Indexes them.
    pub fn new(objects: &'a [Object]) -> Self {
        Objects(objects.iter().map(|object| (&object.address, object)).collect())
    }

    /// All of them, in no order.
    pub fn all(&self) -> impl Iterator<Item = &'a Object> {
        self.0.values().copied()
    }

    /// The object at an address.
    pub fn get(&self, address: &Address) -> Option<&'a Object> {
        self.0.get(address).copied()
    }
}

/// Plans a site.
pub fn build(site: &Site, snapshot: &Snapshot, options: &Options) -> Plan {
    let mut wanted = site.objects.clone();
    let options = &options.of_members(site);
    let mut builder = Builder {
        site: &site.name,
        origin: site.origin.as_deref(),
        snapshot,
        options,
        plan: Plan {
            site: site.name.clone(),
            project: site.project.clone(),
            destroy: options.destroy,
            ..Plan::default()
        },
        seen: HashSet::new(),
    };
    builder.check_options(site);
    builder.check_projects(site);
    if options.destroy {
        prune::destroy(&mut builder, &wanted);
        builder.note_pending(&wanted);
    } else {
        builder.plan.refused.extend(cluster::complete(&mut wanted, snapshot));
        builder.plan.refused.extend(overlay::complete(&mut wanted, snapshot));
        let objects = Objects::new(&wanted);
        for object in &wanted {
            builder.object(object, &objects);
        }
        prune::prune(&mut builder, &wanted);
    }
    select::select(&mut builder.plan, site, &wanted, options);
    builder.note_offline(&wanted);
    let mut plan = builder.plan;
    if let Some(text) = site.deviation().filter(|_| !options.destroy) {
        plan.notes.push(Note { address: None, code: "deviation", text });
    }
    guards::check(&mut plan, site, options);
    in_use::check(&mut plan, snapshot);
    affects::fill(&mut plan, &wanted, snapshot);
    if !options.skip_tasks && !options.destroy {
        plan.playbooks = site.playbooks.iter().map(|playbook| playbook.value.clone()).collect();
    }
    order::order(&mut plan, &wanted, &site.groups, snapshot, !options.skip_tasks);
    plan
}

/// A plan in the making.
pub(super) struct Builder<'a> {
    pub site: &'a str,
    /// Where in git the site file is; see [`Stamp::origin`].
    pub origin: Option<&'a str>,
    pub snapshot: &'a Snapshot,
    pub options: &'a Options,
    pub plan: Plan,
    /// Live objects that the file speaks of: not pruned.
    pub seen: HashSet<(&'static str, Id)>,
}

impl<'a> Builder<'a> {
    pub fn refuse(&mut self, object: &Object, code: &'static str, text: String, help: &str) {
        self.plan.refused.push(Refusal {
            address: Some(object.address.clone()),
            code,
            text,
            help: help.to_owned(),
            span: Some(object.span),
        });
    }

    pub fn note(&mut self, address: &Address, code: &'static str, text: String) {
        self.plan.notes.push(Note { address: Some(address.clone()), code, text });
    }

    pub fn push(&mut self, change: Change, work: Work) {
        self.plan.changes.push(change);
        self.plan.work.push(work);
    }

    fn check_options(&mut self, site: &Site) {
        let known: HashSet<&Address> =
            site.objects.iter().map(|object| &object.address).chain(site.groups.keys()).collect();
        let adopt: &[Address] = if let Adopt::These(addresses) = &self.options.adopt { addresses } else { &[] };
        for (flag, addresses) in [("--replace", self.options.replace.as_slice()), ("--adopt", adopt)] {
            for address in addresses.iter().filter(|address| !known.contains(address)) {
                self.plan.refused.push(select::unknown(flag, address, known.iter().copied()));
            }
        }
    }

    /// Where the object lives, or would.
    pub fn id(&self, object: &Object) -> Id {
        let project = self.snapshot.projects.effective(&object.project, object.kind.place());
        Id { project, pool: object.pool.clone(), name: object.name.clone() }
    }

    fn object(&mut self, object: &Object, objects: &Objects<'_>) {
        let id = self.id(object);
        if !self.is_shown(object) {
            return;
        }
        self.check_references(object, &id);
        if object.kind.section() == "images" {
            let live = images::live_of(object, &id.project, self.site, self.snapshot).map(|(_, live)| live);
            if !self.is_shared(object, &id, live) {
                self.image(object, &id);
            }
            return;
        }
        let live = self.snapshot.get(object.kind.section(), &id);
        if self.is_shared(object, &id, live) {
            return;
        }
        self.seen.insert((object.kind.section(), id.clone()));
        if object.external {
            if live.is_none() {
                self.refuse(
                    object,
                    "missing",
                    format!("{} is external and not at the server: {id}", object.address),
                    "create it, or take `external: true` away",
                );
            }
            return;
        }
        match self.renamed(object, &id, objects) {
            Renamed::No => {}
            Renamed::From(old, live) => return self.existing(object, old, live, objects),
            Renamed::Refused => return,
        }
        match live {
            // One note for each member that does not answer tells of all that is there.
            Some(live) if self.snapshot.silent_member(live).is_some() => {}
            Some(live) if live.get("config").is_some_and(serde_json::Value::is_null) => {
                let text =
                    format!("{}: the server does not show it to this certificate; left as it is", object.address);
                self.note(&object.address, "unknown", text);
            }
            Some(live) if self.is_unfinished(object, live) && live.get("status").is_some_and(|s| *s == "Pending") => {
                self.pending(object, id, live);
            }
            Some(live) => self.existing(object, id, live, objects),
            None => self.absent(object, id, objects),
        }
    }

    fn absent(&mut self, object: &Object, id: Id, objects: &Objects<'_>) {
        if self.is_renamed_unseen(object, &id) {
            return;
        }
        if object.kind.is_built_in(&object.name) {
            // A new project comes with it; it is written as soon as it is there.
            let change = self.change(object, &id, Action::Update, "built-in", "LXD makes it with its project".into());
            let record = self.record(object, &super::diff::applied(object.kind, &object.fields));
            let work = self.work(object, None, &id, &record, true);
            return self.push(Change { diff: created(object), ..change }, work);
        }
        let elsewhere = self.snapshot.all(object.kind.section()).find(|(other, raw)| {
            other.name == id.name
                && other.project != id.project
                && matches!(owner(object.kind, other, raw, self.site), Owner::Ours(_))
        });
        if let Some((other, _)) = elsewhere
            && object.lifecycle.is_some()
            && !objects
                .0
                .values()
                .any(|wanted| wanted.kind.section() == object.kind.section() && self.id(wanted) == *other)
        {
            let text =
                format!("{} is in project `{}`, and the file says `{}`", object.address, other.project, id.project);
            return self.refuse(
                object,
                "other-project",
                text,
                "move it (`lxc move --target-project`), name its project, or destroy it first",
            );
        }
        self.can_be_made(object, objects);
        self.check_target(object);
        let baked = self.bake_noted(object, objects);
        let record = self.record(object, &super::diff::applied(object.kind, &object.fields));
        let record = Record { seen: baked.as_ref().map(|baked| baked.base.clone()), ..record };
        let change = self.change(object, &id, Action::Create, "absent", "not there yet".into());
        let image = self.image_now(object, objects);
        let baked = baked.map(|baked| baked.fingerprint);
        let work = Work { image, baked, ..self.work(object, None, &id, &record, true) };
        self.push(Change { diff: created(object), ..change }, work);
    }

    fn existing(&mut self, object: &Object, id: Id, live: &Raw, objects: &Objects<'_>) {
        let Some(record) = self.ownership(object, &id, live) else {
            return;
        };
        if record.is_some() && self.remake(object, &id, live, objects) {
            return;
        }
        self.compare_location(object, live);
        let mut diff = compare(object.kind, &self.visible(object), live, record.as_ref());
        self.compare_image(object, live, record.as_ref(), objects, &mut diff);
        let is_made_again = self.options.replace.contains(&object.address)
            || diff.fields.iter().any(|field| field.effect == Effect::Replace);
        if record.is_some() && is_made_again && !self.can_be_made(object, objects) {
            return;
        }
        let image = self.image_now(object, objects);
        let baked = if is_made_again { self.bake_noted(object, objects) } else { None };
        if is_made_again {
            // Nothing that was seen before counts for what is made anew.
            diff.seen = baked.as_ref().map(|baked| baked.base.clone());
        }
        self.settle(object, id, live, record, diff);
        if let Some(work) =
            self.plan.work.last_mut().filter(|work| work.object.as_ref().is_some_and(|o| o.address == object.address))
        {
            work.image = image;
            work.baked = baked.map(|baked| baked.fingerprint);
        }
    }

    /// The record of an object that we may write, `None` inside where it is to be adopted; else a refusal.
    pub fn ownership(&mut self, object: &Object, id: &Id, live: &Raw) -> Option<Option<Record>> {
        match rename::whose(object.kind, Some(object), id, live, self.site, self.snapshot) {
            Owner::Ours(record) => return Some(Some(record)),
            Owner::Nobody | Owner::Copy(_)
                if self.options.adopt.allows(&object.address) || object.kind.is_built_in(&object.name) =>
            {
                return Some(None);
            }
            Owner::Nobody => {
                let text = format!("{} is there already and is nobody's: {id}", object.address);
                let help = format!(
                    "take it into the site with --adopt {}, give yours another `name`, or say `external: true`",
                    object.address
                );
                self.refuse(object, "not-ours", text, &help);
            }
            Owner::Copy(of) => {
                let text = format!("{} is there already as a copy: its stamp names {of}", object.address);
                self.refuse(
                    object,
                    "not-ours",
                    text,
                    &format!(
                        "take it into the site with --adopt {}, or rename or delete it; where it was renamed by hand, `renamed_from` with its old name says so",
                        object.address
                    ),
                );
            }
            Owner::Other(site) => {
                let text = format!("{} belongs to the site `{site}`: {id}", object.address);
                self.refuse(
                    object,
                    "other-site",
                    text,
                    "give yours another `name` or project; objects of another site are never taken",
                );
            }
            Owner::Newer(version) => {
                let text =
                    format!("{} was last applied by a newer lxdeploy (record version {version})", object.address);
                self.refuse(object, "newer-record", text, "use that lxdeploy; this one reads record version 1");
            }
        }
        None
    }

    /// From the comparison of an object that is there to its change.
    pub fn settle(&mut self, object: &Object, id: Id, live: &Raw, record: Option<Record>, diff: Diff) {
        let new_record = Record { seen: diff.seen.clone(), ..self.record(object, &diff.applied) };
        for path in &diff.taken_over {
            self.note(
                &object.address,
                "taken-over",
                format!("{}: {path} is no longer in the file, and somebody has set it since: left", object.address),
            );
        }
        let runs = live.get("status").and_then(serde_json::Value::as_str).is_none_or(|status| status != "Stopped");
        let mut fields = diff.fields;
        for field in
            fields.iter_mut().filter(|field| field.effect == Effect::Restart && object.lifecycle.is_some() && !runs)
        {
            (field.effect, field.why) = (Effect::Live, String::new());
        }
        let must_replace = fields.iter().any(|field| field.effect == Effect::Replace);
        let asked = self.options.replace.contains(&object.address);
        // Renamed already, and not stamped anew.
        let earlier = match (&record, &object.lifecycle) {
            (Some(_), Some(_)) => rename::stamped_as(object.kind, &id, live, self.site),
            _ => None,
        };
        let has_moved = || guards::other_origin(object.kind, live, self.site, self.origin).is_some();
        let is_new_claim = earlier.is_some()
            || record.as_ref().is_none_or(|record| {
                diff.claims
                    || record.img != new_record.img && record.img.is_none()
                    || record.protect != new_record.protect
                    || self.options.origin_changed && has_moved()
            });
        let in_new_name = if id.name != object.name && object.lifecycle.is_some() {
            format!("; {} goes, and the new one is made as {}", id.name, object.name)
        } else {
            String::new()
        };
        let (action, code, text) = match (&record, must_replace || asked) {
            (None, true) if must_replace => {
                let paths: Vec<String> = fields
                    .iter()
                    .filter(|field| field.effect == Effect::Replace)
                    .map(|field| field.path.to_string())
                    .collect();
                let text =
                    format!("{} cannot be adopted: {} would have to be made again", object.address, paths.join(", "));
                return self.refuse(
                    object,
                    "cannot-adopt",
                    text,
                    "write the value that it has, or delete it and let the site make it",
                );
            }
            (None, _) => (Action::Adopt, "adopted", "taken into the site".to_owned()),
            (Some(_), true) if asked && !must_replace => {
                (Action::Replace, "requested", "--replace asks for it".to_owned() + &in_new_name)
            }
            (Some(_), true) => {
                let why = fields.iter().find(|field| field.effect == Effect::Replace).map(|field| field.why.clone());
                let code = if fields.iter().any(|field| field.path == Path::field("image")) {
                    "image-changed"
                } else {
                    "changed"
                };
                (Action::Replace, code, why.unwrap_or_default() + &in_new_name)
            }
            (Some(_), false) if id.name != object.name && object.lifecycle.is_some() => {
                (Action::Rename, "renamed", format!("was {}; it stops and starts for that", id.name))
            }
            (Some(_), false) if earlier.is_some() => {
                let text = format!("was {}, and is renamed already: the rest of it", earlier.unwrap_or_default());
                (Action::Update, "renamed", text)
            }
            (Some(_), false) if fields.is_empty() && !is_new_claim => (Action::NoOp, "unchanged", String::new()),
            (Some(_), false) if fields.is_empty() => {
                (Action::Update, "record", "as wanted already: the record alone is written".to_owned())
            }
            (Some(_), false) if fields.iter().all(|field| field.drift) => {
                (Action::Update, "drift", "changed outside of lxdeploy".to_owned())
            }
            (Some(_), false) => (Action::Update, "changed", "the file has changed".to_owned()),
        };
        let (code, text, action) = match action {
            Action::NoOp | Action::Update if self.is_unfinished(object, live) => {
                let text = "its creation failed on some of the cluster's members; it is finished".to_owned();
                ("unfinished", text, Action::Update)
            }
            action => (code, text, action),
        };
        if code != "unfinished" && action != Action::NoOp && self.must_wait(object, live, &fields) {
            let change = self.change(object, &id, Action::NoOp, "offline", String::new());
            return self.push(change, Work { kind: Some(object.kind), ..Work::default() });
        }
        if action == Action::Replace {
            if !self.may_replace(object, &id, live, record.as_ref()) {
                return;
            }
            self.check_target(object);
        }
        let drift = fields.iter().any(|field| field.drift);
        let writes = code == "unfinished"
            || is_new_claim
            || action == Action::Rename
            || fields.iter().any(|field| field.path != Path::field("state"));
        let change = self.change(object, &id, action, code, text);
        let work = match action {
            // Most objects of most plans: nothing is copied for them.
            Action::NoOp if object.lifecycle.as_ref().is_none_or(|lifecycle| lifecycle.roles.is_empty()) => {
                Work { kind: Some(object.kind), ..Work::default() }
            }
            // What is run inside of it is run though it stays as it is.
            Action::NoOp => {
                let (object_of, live_of) = (Some(object.clone()), Some(live.clone()));
                Work { kind: Some(object.kind), object: object_of, live: live_of, ..Work::default() }
            }
            _ => self.work(object, Some(live), &id, &new_record, writes),
        };
        self.push(Change { diff: fields, drift, ..change }, work);
    }

    pub fn record(&self, object: &Object, applied: &BTreeMap<String, String>) -> Record {
        let img =
            object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.image.as_ref()).map(|(_, text, _)| text.clone());
        Record { k: applied.clone(), img, protect: object.protect, ..Record::default() }
    }

    pub fn change(&self, object: &Object, id: &Id, action: Action, code: &'static str, text: String) -> Change {
        Change {
            address: object.address.clone(),
            noun: object.kind.noun(),
            id: id.clone(),
            action,
            reason: Reason { code, text },
            drift: false,
            affects: vec![],
            diff: vec![],
        }
    }

    pub fn work(&self, object: &Object, live: Option<&Raw>, id: &Id, record: &Record, writes: bool) -> Work {
        let applied_from = || guards::origin_of(object.kind, live?, self.site);
        let stamp = Stamp {
            site: self.site.to_owned(),
            id: stamp_id(object.kind, id, &object.name),
            record: record.to_text(),
            origin: self.origin.map(str::to_owned).or_else(applied_from),
        };
        Work {
            kind: Some(object.kind),
            object: Some(object.clone()),
            live: live.cloned(),
            stamp: Some(stamp),
            writes,
            is_built_in: live.is_none() && object.kind.is_built_in(&object.name),
            restarts: false,
            image: None,
            baked: None,
        }
    }
}

/// All wanted leaves as a diff against nothing.
pub(super) fn created(object: &Object) -> Vec<FieldDiff> {
    let image = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.image.as_ref());
    let image = image.map(|(_, text, _)| FieldDiff::new(Path::field("image"), None, Some(text.clone().into())));
    let fields = object.fields.iter().map(|(path, wanted)| {
        FieldDiff::new(path.clone(), None, Some(wanted.value.clone())).sensitive(wanted.sensitive)
    });
    image.into_iter().chain(fields).collect()
}
