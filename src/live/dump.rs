//! The snapshot as a file: what a plan reads, so that it can be planned where the server cannot be reached.
//!
//! No secret stands in it. A leaf that the site wants as sensitive, or that was applied as such, is replaced by
//! a salted hash of its value; elsewhere the text of every secret that the site knows is replaced by a salted
//! hash of it. Who has the same secrets reads the same snapshot out of it; to anybody else the hashes tell
//! nothing but that values are equal. Of objects that are none of the site's, only what a plan reads is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Cluster, Covered, Projects, Request, Snapshot, hashes, stamps_of, wanted};
use crate::kinds::{self, Kind, Object, Raw, Record, Stamp, body, image};
use crate::lxd::Server;
use crate::model::{Id, Masker, Path};

/// The format written and read here.
pub const FORMAT: u64 = 1;

/// A snapshot as a file has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dump {
    format_version: u64,
    /// The lxdeploy that wrote it.
    written_by: String,
    /// The site that it was read for.
    pub site: String,
    /// Where the site's objects live that name no project.
    pub project: String,
    /// When the server was read: `2026-01-02T03:04:05Z`.
    pub as_of: String,
    /// The server.
    pub server: Server,
    /// Its members, of a cluster.
    #[serde(default)]
    cluster: Cluster,
    salt: String,
    reads: BTreeSet<Read>,
    /// What was being made at the time, by its place in the objects.
    #[serde(default)]
    busy: BTreeSet<(String, Id)>,
    objects: BTreeMap<String, Vec<Row>>,
}

/// One list that was read.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Read {
    section: String,
    project: Option<String>,
    pool: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    project: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    name: String,
    live: Raw,
}

impl Read {
    fn of(request: &Request) -> Read {
        let (project, pool) = (request.project.clone(), request.pool.clone());
        Read { section: request.kind.section().to_owned(), project, pool }
    }
}

/// What the site is to a dump.
#[derive(Clone, Copy)]
pub struct Of<'a> {
    /// Its name.
    pub site: &'a str,
    /// Where its objects live that name no project.
    pub project: &'a str,
    /// Its objects.
    pub objects: &'a [Object],
    /// Its secrets.
    pub masker: &'a Masker,
}

/// The snapshot as the text of a file.
///
/// # Errors
/// There is no randomness for the salt.
pub fn write(snapshot: &Snapshot, of: &Of<'_>, as_of: String) -> Result<String, String> {
    let salt = salt()?;
    // Whoever adds a field to the snapshot decides here whether it is dumped.
    let Snapshot { server, cluster, projects: _, objects, busy, fingerprints: _ } = snapshot;
    let keeper = Keeper::new(snapshot, of, &salt);
    let mut sections = BTreeMap::new();
    for kind in kinds::all().iter().copied() {
        let rows = objects.get(kind.section()).into_iter().flatten();
        let rows: Vec<Row> = rows.map(|(id, live)| keeper.row(kind, id, live)).collect();
        sections.insert(kind.section().to_owned(), rows);
    }
    let dump = Dump {
        format_version: FORMAT,
        written_by: env!("CARGO_PKG_VERSION").to_owned(),
        site: of.site.to_owned(),
        project: of.project.to_owned(),
        as_of,
        server: server.clone(),
        cluster: cluster.clone(),
        salt,
        reads: covered(snapshot, of).iter().map(Read::of).collect(),
        busy: busy.iter().map(|(section, id)| ((*section).to_owned(), id.clone())).collect(),
        objects: sections,
    };
    let mut value = serde_json::to_value(&dump).map_err(|error| error.to_string())?;
    let digest = digest(&value);
    if let Value::Object(map) = &mut value {
        map.insert("digest".into(), digest.into());
    }
    Ok(format!("{value:#}\n"))
}

/// Reads the text of a file.
///
/// # Errors
/// It is no dump, of another format, or not as it was written.
pub fn parse(text: &str) -> Result<Dump, String> {
    let damaged = |why: String| format!("it is damaged ({why}); dump it again");
    let mut value: Value = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    let Some(format) = value.get("format_version") else {
        return Err("it is no dump: `lxdeploy dump SITE` writes one".into());
    };
    if format.as_u64() != Some(FORMAT) {
        let version = env!("CARGO_PKG_VERSION");
        return Err(format!(
            "it is a dump of format {format}, and lxdeploy {version} reads format {FORMAT}; dump it with this lxdeploy, or plan with the one that wrote it"
        ));
    }
    let written = value.as_object_mut().and_then(|map| map.remove("digest"));
    if written.as_ref().and_then(Value::as_str) != Some(digest(&value).as_str()) {
        return Err(damaged("it is not as it was written".into()));
    }
    serde_json::from_value(value).map_err(|error| damaged(error.to_string()))
}

impl Dump {
    /// The snapshot that a plan of the site needs.
    ///
    /// # Errors
    /// It was read for another site, or for less than the site's files name by now.
    pub fn snapshot(self, of: &Of<'_>) -> Result<Snapshot, String> {
        if self.site != of.site {
            return Err(format!("it is of the site `{}`, and this is the site `{}`", self.site, of.site));
        }
        let mut snapshot = Snapshot {
            server: self.server,
            cluster: self.cluster,
            projects: Projects::wanted(of.objects),
            ..Snapshot::default()
        };
        let secrets: HashMap<String, &str> =
            of.masker.texts().map(|secret| (hashed(&self.salt, "", secret), secret)).collect();
        let leaves = of.objects.iter().flat_map(|object| {
            object.fields.iter().map(|(path, wanted)| {
                let text = object.kind.canonical(path, &wanted.value);
                (hashed(&self.salt, &path.to_string(), &text), &wanted.value)
            })
        });
        let leaves: HashMap<String, &Value> = leaves.collect();
        for (section, rows) in self.objects {
            let Some(kind) = kinds::by_section(&section) else {
                return Err(format!("it has a section `{section}`, which this lxdeploy does not know; dump it again"));
            };
            for row in rows {
                let text = |text: &String| unmasked(text, &secrets);
                let id = Id { project: text(&row.project), pool: row.pool.as_ref().map(text), name: text(&row.name) };
                let Value::Object(live) = restored(Value::Object(row.live), &secrets, &leaves) else { continue };
                if section == "projects" {
                    snapshot.projects.learn([&live]);
                }
                snapshot.insert(kind.section(), id, live);
            }
        }
        for (section, id) in self.busy {
            snapshot.busy.extend(kinds::by_section(&section).map(|kind| (kind.section(), id)));
        }
        if snapshot.server.is_restricted {
            snapshot.projects.restrict();
        }
        let is_there = |read: &Read| {
            let section = |section: &str, name: &str| snapshot.all(section).any(|(id, _)| id.name == name);
            read.project.as_ref().is_none_or(|project| snapshot.projects.exists(project))
                && read.pool.as_ref().is_none_or(|pool| section("storage_pools", pool))
        };
        let missing =
            covered(&snapshot, of).iter().map(Read::of).find(|read| !self.reads.contains(read) && is_there(read));
        if let Some(read) = missing {
            let pool = read.pool.map_or_else(String::new, |pool| format!(" in the pool `{pool}`"));
            let project = read.project.map_or_else(String::new, |project| format!(" of the project `{project}`"));
            return Err(format!(
                "the site names more than it did: the {}{project}{pool} were not read; dump it again",
                read.section.replace('_', " ")
            ));
        }
        snapshot.fingerprints = hashes::of_images(of.objects);
        Ok(snapshot)
    }
}

/// The lists that a plan of the site reads.
fn covered(snapshot: &Snapshot, of: &Of<'_>) -> Vec<Request> {
    let mut covered = Covered::of(of.objects, of.project);
    for (section, names) in [("projects", &mut covered.projects), ("storage_pools", &mut covered.pools)] {
        if let Some(kind) = kinds::by_section(section) {
            let ours = snapshot.all(section).filter(|(_, raw)| stamps_of(kind, raw, of.site));
            names.extend(ours.map(|(id, _)| id.name.clone()));
        }
    }
    wanted(&snapshot.projects, &covered)
}

/// Decides what of each object goes into the file.
struct Keeper<'a> {
    snapshot: &'a Snapshot,
    of: &'a Of<'a>,
    salt: &'a str,
    /// The site's objects by section and name, also by their earlier ones. Any image may become any of the site's.
    named: HashMap<(&'static str, &'a str), Vec<&'a Object>>,
    images: Vec<&'a Object>,
    /// Content of the site's images.
    fingerprints: BTreeSet<&'a str>,
}

impl<'a> Keeper<'a> {
    fn new(snapshot: &'a Snapshot, of: &'a Of<'a>, salt: &'a str) -> Self {
        let hashes = snapshot.fingerprints.values().filter_map(|hash| hash.as_deref().ok());
        let named =
            of.objects.iter().filter_map(|object| object.fields.get(&Path::field("fingerprint"))?.value.as_str());
        let fingerprints = hashes.chain(named).collect();
        let (images, others): (Vec<&Object>, Vec<&Object>) =
            of.objects.iter().partition(|object| object.kind.section() == "images");
        let mut named: HashMap<_, Vec<&Object>> = HashMap::new();
        for object in others {
            let old = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.renamed_from.as_ref());
            for name in std::iter::once(&object.name).chain(old) {
                named.entry((object.kind.section(), name.as_str())).or_default().push(object);
            }
        }
        Keeper { snapshot, of, salt, named, images, fingerprints }
    }

    fn row(&self, kind: &dyn Kind, id: &Id, live: &Raw) -> Row {
        let named = self.named.get(&(kind.section(), id.name.as_str())).into_iter().flatten().copied();
        let is_there = |object: &&Object| {
            object.pool == id.pool && self.snapshot.projects.effective(&object.project, kind.place()) == id.project
        };
        let objects: Vec<&Object> = named.filter(is_there).collect();
        let is_own_image = kind.section() == "images" && self.fingerprints.iter().any(|hash| id.name.starts_with(hash));
        let is_ours = stamps_of(kind, live, self.of.site) || objects.iter().any(|object| !object.external);
        let mut live = if is_ours || is_own_image { live.clone() } else { reduced(live) };
        self.hide_leaves(kind, &mut live, &objects);
        let text = |text: &String| self.masked(text);
        Row {
            project: text(&id.project),
            pool: id.pool.as_ref().map(text),
            name: text(&id.name),
            live: match self.hidden(Value::Object(live)) {
                Value::Object(live) => live,
                _ => Map::new(),
            },
        }
    }

    /// Leaves that are secrets, whatever text they have.
    fn hide_leaves(&self, kind: &dyn Kind, live: &mut Raw, objects: &[&Object]) {
        let images = if kind.section() == "images" { self.images.as_slice() } else { &[] };
        let fields = objects.iter().chain(images).flat_map(|object| &object.fields);
        let mut paths: BTreeSet<Path> =
            fields.filter(|(_, wanted)| wanted.sensitive).map(|(path, _)| path.clone()).collect();
        for stamp in kind.stamps(live) {
            let Ok(mut record) = Record::parse(&stamp.record) else { continue };
            paths.extend(
                record
                    .k
                    .iter()
                    .filter(|(_, hash)| hash.is_empty())
                    .map(|(key, _)| Path::from_record(key, kind.free_map())),
            );
            // What became a secret since it was applied has a hash there that could be guessed.
            let mut is_changed = false;
            for path in &paths {
                if let Some(hash) = record.k.get_mut(&path.in_record()).filter(|hash| !hash.is_empty()) {
                    hash.clear();
                    is_changed = true;
                }
            }
            if is_changed {
                let site = stamp.site.clone();
                body::write(live, &kind.stamp_leaves(&site, Some(&Stamp { record: record.to_text(), ..stamp })));
            }
        }
        for path in paths.iter().filter(|path| image::alias_of(path).is_none()) {
            if let Some(value) = kind.live(live, path) {
                let hash = hashed(self.salt, &path.to_string(), &kind.canonical(path, &value));
                body::set(live, path, Some(format!("{VALUE}{hash}{END}").into()));
            }
        }
    }

    fn hidden(&self, value: Value) -> Value {
        match value {
            Value::String(text) if is_value(&text) => Value::String(text),
            Value::String(text) => self.masked(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.hidden(item)).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (self.masked(&key), self.hidden(value))).collect(),
            other => other,
        }
    }

    fn masked(&self, text: &str) -> String {
        self.of.masker.replace(text, |secret| format!("{SECRET}{}{END}", hashed(self.salt, "", secret)))
    }
}

/// What stands for a whole leaf, and for a secret's text.
const VALUE: &str = "{lxdeploy-value:";
const SECRET: &str = "{lxdeploy-secret:";
const END: &str = "}";

fn is_value(text: &str) -> bool {
    value_hash(text).is_some()
}

fn value_hash(text: &str) -> Option<&str> {
    text.strip_prefix(VALUE)?.strip_suffix(END).filter(|hash| hash.chars().all(|c| c.is_ascii_hexdigit()))
}

fn restored(value: Value, secrets: &HashMap<String, &str>, leaves: &HashMap<String, &Value>) -> Value {
    match value {
        Value::String(text) => match value_hash(&text).and_then(|hash| leaves.get(hash)) {
            Some(value) => (*value).clone(),
            None => unmasked(&text, secrets).into(),
        },
        Value::Array(items) => items.into_iter().map(|item| restored(item, secrets, leaves)).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (unmasked(&key, secrets), restored(value, secrets, leaves))).collect()
        }
        other => other,
    }
}

fn unmasked(text: &str, secrets: &HashMap<String, &str>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(SECRET) {
        let (front, marker) = rest.split_at(at);
        out.push_str(front);
        let hash = &marker[SECRET.len()..];
        let hash = hash.split_once(END).map_or("", |(hash, _)| hash);
        match secrets.get(hash) {
            Some(secret) => {
                out.push_str(secret);
                rest = &marker[SECRET.len() + hash.len() + END.len()..];
            }
            None => {
                out.push_str(SECRET);
                rest = &marker[SECRET.len()..];
            }
        }
    }
    out + rest
}

/// What a plan reads of an object that is none of the site's.
fn reduced(live: &Raw) -> Raw {
    const FIELDS: &[&str] = &[
        "name",
        "fingerprint",
        "aliases",
        "status",
        "status_code",
        "used_by",
        "profiles",
        "devices",
        "type",
        "content_type",
        "driver",
        "managed",
        "location",
        "locations",
        "project",
        "pool",
        "cached",
        "public",
    ];
    const CONFIG: &[&str] = &["security.acls", "network", "volatile.base_image"];
    let is_kept = |key: &str| {
        CONFIG.contains(&key) || ["user.lxdeploy.", "features.", "lxdeploy."].iter().any(|start| key.starts_with(start))
    };
    let mut kept: Raw =
        live.iter().filter(|(key, _)| FIELDS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    for free in ["config", "properties"] {
        match live.get(free) {
            Some(Value::Object(map)) => {
                let map = map.iter().filter(|(key, _)| is_kept(key)).map(|(k, v)| (k.clone(), v.clone()));
                kept.insert(free.into(), Value::Object(map.collect()));
            }
            // That the server does not show it is what a plan reads.
            Some(other) => {
                kept.insert(free.into(), other.clone());
            }
            None => {}
        }
    }
    kept
}

fn hashed(salt: &str, path: &str, text: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [salt, path, text] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize()[..16])
}

fn digest(value: &Value) -> String {
    hex(&Sha256::digest(value.to_string().as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn salt() -> Result<String, String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests;
