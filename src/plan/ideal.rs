//! A server as it would be right after a site was applied: what a change of the files is planned against.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::build::Objects;
use super::diff::applied;
use super::images::resolve;
use super::ownership::stamp_id;
use super::{Plan, cluster, overlay};
use crate::kinds::image::{self, Source};
use crate::kinds::{Fields, ImageRef, Object, Place, Power, Raw, Record, Stamp, body, by_section};
use crate::live::{Cluster, Member, Projects, Snapshot};
use crate::model::{Address, Id, Path};
use crate::site::Site;

/// The content of a site's image files, by address.
pub type Contents = BTreeMap<Address, Result<String, String>>;

/// The type of a device that only the server's profile knows.
const UNKNOWN_TYPE: &str = "(as in the server's profile)";

/// The features of a project that is made without a word about them.
const FEATURES: &[&str] = &["features.images", "features.profiles", "features.storage.volumes"];

/// What a plan of `new` reads where `old` was just applied and runs. What they name and do not define is there.
pub fn ideal(old: Option<(&Site, &Contents)>, new: (&Site, &Contents)) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let (new, contents) = new;
    let default: Raw = [("name".to_owned(), "default".into()), ("config".to_owned(), features())].into_iter().collect();
    snapshot.insert("projects", server_wide("default"), default);
    place(&mut snapshot, old.into_iter().chain([(new, contents)]).flat_map(|(site, _)| &site.objects));
    if let Some((old, contents)) = old {
        snapshot.projects = Projects::wanted(&old.objects);
        snapshot.fingerprints.clone_from(contents);
        provide(&mut snapshot, old);
        let mut objects = old.objects.clone();
        let _ = cluster::complete(&mut objects, &snapshot);
        let _ = overlay::complete(&mut objects, &snapshot);
        // Images first: what instances are made of.
        let mut order: Vec<&Object> = objects.iter().filter(|object| !object.external).collect();
        order.sort_by_key(|object| object.kind.section() != "images");
        let sites = Sites { old, then: Objects::new(&objects), now: Objects::new(&new.objects) };
        for object in order {
            apply(&mut snapshot, object, &sites);
        }
    }
    snapshot.projects = Projects::wanted(&new.objects);
    snapshot.fingerprints.clone_from(contents);
    let projects: Vec<Raw> = snapshot.all("projects").map(|(_, raw)| raw.clone()).collect();
    snapshot.projects.learn(&projects);
    provide(&mut snapshot, new);
    snapshot
}

/// The members, and groups of members, that the files name are there.
fn place<'a>(snapshot: &mut Snapshot, objects: impl Iterator<Item = &'a Object>) {
    let named = |object: &'a Object| {
        let members = object.fields.keys().filter_map(|path| Some(path.as_member()?.0));
        members.chain(object.target())
    };
    let targets: BTreeSet<&str> = objects.flat_map(named).collect();
    let members = targets.iter().map(|target| match target.strip_prefix('@') {
        Some(group) => Member { name: format!("some of {group}"), groups: vec![group.to_owned()], ..Member::default() },
        None => Member { name: (*target).to_owned(), ..Member::default() },
    });
    snapshot.cluster = Cluster::new(members.collect());
}

/// Takes out of a plan what is not known without a server.
pub fn without_unknown(plan: &mut Plan) {
    let is_unknown = |value: &Option<Value>| value.as_ref().and_then(Value::as_str) == Some(UNKNOWN_TYPE);
    for change in &mut plan.changes {
        change.diff.retain(|field| !is_unknown(&field.before) && !is_unknown(&field.after));
    }
}

/// A fingerprint that stands for content that is not here.
pub fn stand_in(what: &str) -> String {
    Sha256::digest(what.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn features() -> Value {
    FEATURES.iter().map(|feature| ((*feature).to_owned(), Value::from("true"))).collect::<Raw>().into()
}

fn server_wide(name: &str) -> Id {
    Id { project: "default".into(), pool: None, name: name.into() }
}

/// The site that was applied, and the objects of both by address.
struct Sites<'a> {
    old: &'a Site,
    then: Objects<'a>,
    now: Objects<'a>,
}

/// One object, as an apply leaves it.
fn apply(snapshot: &mut Snapshot, object: &Object, sites: &Sites<'_>) {
    let old = sites.old;
    let kind = object.kind;
    let project = snapshot.projects.effective(&object.project, kind.place());
    let mut id = Id { project: project.clone(), pool: object.pool.clone(), name: object.name.clone() };
    let fields: Fields = object
        .fields
        .iter()
        .filter(|(path, _)| image::alias_of(path).is_none())
        .map(|(p, w)| (p.clone(), w.clone()))
        .collect();
    let mut raw = body::of_fields(&fields);
    let set = |raw: &mut Raw, key: &str, value: Value| {
        raw.entry(key.to_owned()).or_insert(value);
    };
    set(&mut raw, "config", json!({}));
    let image = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.image.as_ref());
    match kind.section() {
        "images" => {
            let Some(fingerprint) = content(snapshot, object, &project) else { return };
            let aliases: Vec<Value> =
                object.fields.keys().filter_map(image::alias_of).map(|alias| json!({"name": alias})).collect();
            raw.insert("aliases".into(), aliases.into());
            raw.insert("fingerprint".into(), fingerprint.clone().into());
            id.name = fingerprint;
        }
        "projects" => {
            for feature in FEATURES {
                let path = Path::config(*feature);
                if body::get(&raw, &path).is_none() {
                    body::set(&mut raw, &path, Some("true".into()));
                }
            }
        }
        "networks" => {
            set(&mut raw, "managed", true.into());
            set(&mut raw, "type", "bridge".into());
        }
        "storage_volumes" => {
            set(&mut raw, "content_type", "filesystem".into());
            set(&mut raw, "pool", id.pool.clone().into());
        }
        "storage_pools" => {
            let volumes = old.objects.iter().filter(|volume| volume.pool.as_ref() == Some(&object.name));
            let uses: Vec<String> = volumes
                .map(|volume| format!("/1.0/storage-pools/{}/volumes/custom/{}", object.name, volume.name))
                .collect();
            set(&mut raw, "used_by", uses.into());
        }
        "instances" => {
            let power = object.lifecycle.as_ref().map(|lifecycle| lifecycle.power).unwrap_or_default();
            raw.remove("state");
            raw.insert("status".into(), if power == Power::Stopped { "Stopped" } else { "Running" }.into());
            set(&mut raw, "type", "container".into());
            set(&mut raw, "profiles", json!(["default"]));
            // Started long ago, or made whole and not started yet.
            let started = if power == Power::Stopped { "1970-01-01T00:00:00Z" } else { "2000-01-01T00:00:00Z" };
            set(&mut raw, "last_used_at", started.into());
            if power == Power::Stopped {
                body::set(&mut raw, &Path::config("volatile.apply_template"), Some("create".into()));
            }
            // What it is of is the image's to say: as the file says, if it says it at last.
            let architecture = Path::field("architecture");
            let said = sites.now.get(&object.address);
            if let Some(wanted) = said.and_then(|said| said.fields.get(&architecture)) {
                set(&mut raw, "architecture", wanted.value.clone());
            }
            let base = image.and_then(|(image, _, _)| resolve(image, object, &sites.then, &old.name, snapshot));
            if let Some(base) = base {
                body::set(&mut raw, &Path::config("volatile.base_image"), Some(base.into()));
            }
        }
        _ => {}
    }
    set(&mut raw, "name", object.name.clone().into());
    let record = Record {
        k: applied(kind, &object.fields),
        img: image.map(|(_, text, _)| text.clone()),
        protect: object.protect,
        ..Record::default()
    };
    let (site, id_text) = (old.name.clone(), stamp_id(kind, &id, &object.name));
    let stamp = Stamp { site, id: id_text, record: record.to_text(), origin: None };
    body::write(&mut raw, &kind.stamp_leaves(&old.name, Some(&stamp)));
    if kind.section() == "projects" {
        snapshot.projects.learn([&raw]);
    }
    snapshot.insert(kind.section(), id, raw);
}

/// The fingerprint of an image of the site; `None` where it must be there already.
fn content(snapshot: &Snapshot, object: &Object, project: &str) -> Option<String> {
    match object.spec.downcast_ref::<Source>()? {
        Source::Alias(_) | Source::Fingerprint(_) => None,
        Source::Server { fingerprint: Some(fingerprint), .. } => Some(padded(fingerprint)),
        Source::Server { .. } => Some(stand_in(&format!("image {project} {}", object.address))),
        Source::Files(_) => super::images::fingerprint_of(object, snapshot),
    }
}

/// A fingerprint of which the first digits are given.
fn padded(front: &str) -> String {
    let front = front.to_ascii_lowercase();
    let rest = stand_in(&front);
    format!("{front}{}", rest.get(front.len().min(64)..).unwrap_or_default())
}

/// What a site names and does not define is taken to be there.
fn provide(snapshot: &mut Snapshot, site: &Site) {
    let objects = Objects::new(&site.objects);
    for object in &site.objects {
        let place = object.kind.place();
        let wanted = snapshot.projects.is_wanted(&object.project) || place == Place::Server;
        if !wanted && !snapshot.projects.exists(&object.project) {
            let raw: Raw = [("name".to_owned(), object.project.clone().into()), ("config".to_owned(), features())]
                .into_iter()
                .collect();
            snapshot.projects.learn([&raw]);
            snapshot.insert("projects", server_wide(&object.project), raw);
        }
    }
    for object in &site.objects {
        if object.external && object.kind.section() != "images" {
            let (section, pool) = (object.kind.section(), object.pool.clone());
            stub(snapshot, section, &object.project, pool, &object.name);
        }
        for reference in object.references.iter().filter(|reference| reference.address.is_none()) {
            let is_of_a_pool =
                by_section(reference.section).is_some_and(|kind| matches!(kind.place(), Place::Pool { .. }));
            let pool = reference.pool.clone().filter(|_| is_of_a_pool);
            stub(snapshot, reference.section, &object.project, pool, &reference.name);
        }
        match object.spec.downcast_ref::<Source>() {
            Some(Source::Alias(alias)) => image_stub(snapshot, &object.project, alias, false),
            Some(Source::Fingerprint(front)) => image_stub(snapshot, &object.project, front, true),
            _ => {}
        }
        let image = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.image.as_ref());
        if let Some((ImageRef::Local(name), _, _)) = image {
            let is_front = name.len() >= 12 && name.chars().all(|c| c.is_ascii_hexdigit());
            image_stub(snapshot, &object.project, name, is_front);
        }
        untyped(snapshot, object, &objects);
    }
}

fn stub(snapshot: &mut Snapshot, section: &'static str, project: &str, pool: Option<String>, name: &str) {
    let Some(kind) = by_section(section) else { return };
    let id = Id { project: snapshot.projects.effective(project, kind.place()), pool, name: name.to_owned() };
    if snapshot.get(section, &id).is_none() {
        let raw: Raw = [("name".to_owned(), name.into()), ("config".to_owned(), json!({}))].into_iter().collect();
        snapshot.insert(section, id, raw);
    }
}

fn image_stub(snapshot: &mut Snapshot, project: &str, name: &str, is_front: bool) {
    let Some(kind) = by_section("images") else { return };
    let project = snapshot.projects.effective(project, kind.place());
    let is_it = |(id, raw): (&Id, &Raw)| {
        let is_alias = || image::alias_names(raw).iter().any(|alias| alias == name);
        id.project == project && (is_alias() || is_front && id.name.starts_with(name))
    };
    if snapshot.all("images").any(is_it) {
        return;
    }
    let fingerprint = if is_front { padded(name) } else { stand_in(&format!("alias {name}")) };
    let aliases = if is_front { json!([]) } else { json!([{"name": name}]) };
    let raw: Raw =
        [("fingerprint".to_owned(), fingerprint.clone().into()), ("aliases".to_owned(), aliases)].into_iter().collect();
    snapshot.insert("images", Id { project, pool: None, name: fingerprint }, raw);
}

/// A device that is laid over one of the server's profile: its type is that one's.
fn untyped(snapshot: &mut Snapshot, object: &Object, site: &Objects<'_>) {
    let devices: Vec<&String> = object
        .fields
        .keys()
        .filter_map(|path| match path {
            Path::Device { device, .. } if !object.fields.contains_key(&Path::device(device, "type")) => Some(device),
            _ => None,
        })
        .collect();
    let profiles: Vec<_> = object.references.iter().filter(|reference| reference.section == "profiles").collect();
    let of_site = |address: &Option<Address>| site.get(address.as_ref()?).filter(|profile| !profile.external);
    for device in devices {
        let typed = Path::device(device, "type");
        if profiles.iter().any(|one| of_site(&one.address).is_some_and(|profile| profile.fields.contains_key(&typed))) {
            continue;
        }
        let Some(external) = profiles.iter().rev().find(|one| of_site(&one.address).is_none()) else { continue };
        let Some(kind) = by_section("profiles") else { continue };
        let project = snapshot.projects.effective(&object.project, kind.place());
        let id = Id { project, pool: None, name: external.name.clone() };
        if let Some(raw) = snapshot.objects.get_mut("profiles").and_then(|profiles| profiles.get_mut(&id)) {
            body::set(raw, &typed, Some(UNKNOWN_TYPE.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Options, build};
    use crate::site;

    /// A site of every kind, with what LXD fills in, rewrites and keeps to itself.
    const SITE: &str = r#"
project: web
projects: {web: {config: {features.networks: true, features.storage.buckets: false}}, bare: {config: {features.images: false}}}
storage_pools: {fast: {driver: zfs, config: {source: /dev/sdb, size: 10GiB}}, theirs: {external: true}}
storage_volumes: {data: {pool: fast, content_type: block, config: {size: 1GiB}}, more: {pool: theirs}}
network_acls: {web: {ingress: [{action: allow, protocol: tcp, destination_port: "80, 443"}], egress: []}}
networks: {br: {description: x, config: {ipv4.address: auto, ipv4.nat: true, security.acls: web}}, up: {type: physical, project: default, config: {parent: eth1}}}
profiles:
  default: {config: {user.a: 1}}
  base: {config: {limits.memory: 1GiB, user.empty: ""}, devices: {root: {type: disk, path: /, pool: fast}, eth0: {type: nic, network: br}}}
  bare: {project: bare, config: {security.nesting: yes}}
images:
  far: {source: {server: "https://images.example", protocol: simplestreams, alias: debian/12}, aliases: [d, e], auto_update: true}
  print: {source: {server: "https://images.example", protocol: simplestreams, fingerprint: 0123456789abcdef}, public: false}
  there: {source: {alias: debian}}
  known: {source: {fingerprint: fedcba987654}}
instances:
  a: {image: far, profiles: [base], devices: {eth0: {ipv4.address: 10.0.0.2}}, ephemeral: true, ready: [ipv4], target: node2}
  b: {image: there, type: virtual-machine, profiles: [], state: stopped, protect: true}
  c: {image: known, profiles: [elsewhere], devices: {eth0: {hwaddr: "00:16:3e:00:00:01"}}, state: unmanaged}
  d: {image: "images:alpine/edge", project: bare, architecture: aarch64, depends_on: [instances.a]}
  e: {image: 0123456789ab, project: nowhere, devices: {disk: {type: disk, pool: far-pool, source: vol, path: /x}}}
  f: {count: 2, profiles: [default]}
"#;

    fn site(body: &str) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site.yaml");
        std::fs::write(&path, format!("site: acme\n{body}")).unwrap();
        let loaded = site::load(&path, &site::Options::default());
        loaded.site.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
    }

    fn planned(old: Option<&Site>, new: &Site) -> Plan {
        let none = Contents::new();
        let snapshot = ideal(old.map(|old| (old, &none)), (new, &none));
        let mut plan = build(new, &snapshot, &Options::default());
        without_unknown(&mut plan);
        plan
    }

    fn actions(plan: &Plan) -> Vec<String> {
        let changes = plan.changes.iter().filter(|change| change.action != Action::NoOp);
        changes.map(|change| format!("{} {}", change.action.as_str(), change.address)).collect()
    }

    #[test]
    fn a_site_against_itself_is_no_change() {
        let site = site(SITE);
        let plan = planned(Some(&site), &site);
        assert_eq!((plan.refused.clone(), plan.notes.clone()), (vec![], vec![]));
        let told: Vec<_> = plan.changes.iter().filter(|change| change.action != Action::NoOp).collect();
        assert!(told.is_empty(), "{told:#?}");
    }

    #[test]
    fn a_new_site_is_made_of_everything_that_it_has() {
        let site = site(SITE);
        let plan = planned(None, &site);
        assert_eq!(plan.refused, vec![]);
        let external = |object: &&Object| {
            object.external || matches!(object.spec.downcast_ref(), Some(Source::Alias(_) | Source::Fingerprint(_)))
        };
        let own = site.objects.iter().filter(|object| !external(object)).count();
        assert_eq!(plan.changes.iter().filter(|change| change.action != Action::NoOp).count(), own);
    }

    #[test]
    fn what_was_defined_and_is_external_now_is_let_go_of() {
        let (old, new) = (site(SITE), site(&SITE.replace("theirs: {external: true}", "theirs: {driver: dir}")));
        assert_eq!(planned(Some(&old), &new).refused[0].code, "not-ours");
        let changed =
            site(&SITE.replace("hwaddr: \"00:16:3e:00:00:01\"", "mtu: 1400").replace(", architecture: aarch64", ""));
        assert_eq!(actions(&planned(Some(&old), &changed)), ["update instances.c"]);
        assert_eq!(actions(&planned(Some(&changed), &old)), ["update instances.c", "update instances.d"]);
    }
}
