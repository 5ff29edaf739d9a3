//! One file per kind of LXD object; this file is what they have in common.
//!
//! A kind says how its section of a site file is read, what each field's change does to a running system,
//! what it refers to, and which calls make, change and remove it. It never sends anything.

use std::fmt::Debug;
use std::rc::Rc;

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;
use crate::lxd::{Call, Method};
use crate::model::{Address, Id, Path, Span};
use crate::tree::{Node, Spanned};

pub mod body;
mod declare;
pub mod image;
pub mod instance;
pub mod members;
mod network;
mod network_acl;
mod object;
pub mod options;
mod profile;
mod project;
mod provision;
mod ready;
pub mod schema;
mod stamp;
mod storage_pool;
mod storage_volume;
pub mod used_by;

pub use object::{Check, Condition, Declared, Fields, ImageRef, Lifecycle, Object, Power, Reference, Target, Wanted};
pub use provision::RoleRef;
pub use stamp::{Record, Stamp, hash};

/// Every kind, in the order in which they are created; deleted the other way round.
pub fn all() -> &'static [&'static dyn Kind] {
    &[
        &project::Project,
        &storage_pool::StoragePool,
        &storage_volume::StorageVolume,
        &network_acl::NetworkAcl,
        &network::Network,
        &profile::Profile,
        &image::Image,
        &instance::Instance,
    ]
}

/// The keys that every object may have; the site room reads them before a kind reads the rest.
pub const COMMON_KEYS: &[&str] =
    &["name", "project", "description", "enabled", "external", "protect", "depends_on", "count", "for_each"];

/// The kind of a section.
pub fn by_section(section: &str) -> Option<&'static dyn Kind> {
    all().iter().copied().find(|kind| kind.section() == section)
}

/// The live object as LXD's JSON has it, without what a plan never reads.
pub type Raw = Map<String, Value>;

/// What decides where an object of a kind lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One for the whole server.
    Server,
    /// In a project; in `default` where the project's `feature` (a config key) is off.
    Project {
        /// The feature, and whether a project created without a word about it has it.
        feature: Option<(&'static str, bool)>,
    },
    /// In a storage pool and a project.
    Pool {
        /// As for [`Place::Project`].
        feature: Option<(&'static str, bool)>,
    },
}

impl Place {
    /// The project feature that says whether the kind lives in projects, and its default.
    pub fn feature(self) -> Option<(&'static str, bool)> {
        match self {
            Place::Server => None,
            Place::Project { feature } | Place::Pool { feature } => feature,
        }
    }
}

/// One kind of LXD object.
pub trait Kind: Debug + Sync {
    /// Its section of a site file: `instances`.
    fn section(&self) -> &'static str;
    /// One of them: `instance`.
    fn noun(&self) -> &'static str;
    /// Where its objects live.
    fn place(&self) -> Place;
    /// The object's free map of strings.
    fn free_map(&self) -> &'static str {
        "config"
    }
    /// Reads the body of one object (its common keys are taken out before). `None` where an error was
    /// pushed to `cx.diagnostics`.
    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared>;
    /// The schema of what [`Kind::decode`] reads.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;
    /// Refuses a name that LXD would refuse, with the rule.
    ///
    /// # Errors
    /// The rule that the name breaks.
    fn check_name(&self, name: &str) -> Result<(), String>;

    /// The bulk read of all objects in a project (and pool), with recursion.
    fn list(&self, project: &str, pool: Option<&str>) -> Call {
        let _ = pool;
        Call::get(&[self.collection()]).project(project).query("recursion", "1")
    }
    /// The bulk read over all projects, for kinds that are looked for everywhere.
    fn list_everywhere(&self) -> Call {
        Call::get(&[self.collection()]).query("all-projects", "true").query("recursion", "1")
    }
    /// The collection's path under `/1.0`: `storage-pools`.
    fn collection(&self) -> &'static str;
    /// The object's path under `/1.0`; `live` is what was read of it, where it exists.
    fn path(&self, id: &Id, live: &Raw) -> Vec<String> {
        let _ = live;
        vec![self.collection().to_owned(), id.name.clone()]
    }
    /// The object's query: its project.
    fn call(&self, method: Method, id: &Id, live: &Raw) -> Call {
        let path = self.path(id, live);
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let call = Call::new(method, &parts);
        if self.place() == Place::Server { call } else { call.project(&id.project) }
    }
    /// LXD's name of a live object.
    fn name_of(&self, live: &Raw) -> String {
        live.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
    /// False for rows that are nobody's to manage: host interfaces among the networks.
    fn is_managed(&self, live: &Raw) -> bool {
        let _ = live;
        true
    }
    /// LXD has it from the start and never lets it be deleted: `default`.
    fn is_built_in(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The live value of a leaf.
    fn live(&self, live: &Raw, path: &Path) -> Option<Value> {
        body::get(live, path)
    }
    /// The text that is compared and hashed: LXD's spellings of one value are one text.
    fn canonical(&self, path: &Path, value: &Value) -> String {
        let _ = path;
        crate::model::value::text(value)
    }
    /// True if the live value is what was wanted, be it written otherwise.
    fn same(&self, path: &Path, wanted: &Value, live: &Value) -> bool {
        self.canonical(path, wanted) == self.canonical(path, live)
    }
    /// LXD replaces what is written here by a value of its own (a pool's `source`), so that live and wanted
    /// cannot be compared: the record's hash alone tells whether the file changed.
    fn is_rewritten(&self, path: &Path) -> bool {
        let _ = path;
        false
    }
    /// What a change of a leaf does, and why (empty for live ones). `live` is the object before.
    fn effect(&self, path: &Path, live: &Raw) -> (Effect, &'static str) {
        let _ = (path, live);
        (Effect::Live, "")
    }
    /// The stamps on a live object; of most kinds one at most.
    fn stamps(&self, live: &Raw) -> Vec<Stamp> {
        Stamp::in_config(live).into_iter().collect()
    }
    /// The leaves that write a stamp; with `None` those that take the site's stamp away.
    fn stamp_leaves(&self, site: &str, stamp: Option<&Stamp>) -> Vec<(Path, Option<Value>)> {
        let _ = site;
        Stamp::config_leaves(stamp)
    }
    /// What a live object uses: (section, name), as far as its own body tells.
    fn live_uses(&self, live: &Raw) -> Vec<(&'static str, String)> {
        let _ = live;
        vec![]
    }
    /// True where removing the object loses data that nobody can make again.
    fn holds_data(&self, live: &Raw) -> bool {
        let _ = live;
        false
    }
    /// Its creation did not come to its end, and nothing of value can be in it: a daemon that was killed leaves such
    /// an object behind. As long as the creation runs, it looks the same.
    fn is_half_made(&self, live: &Raw) -> bool {
        let _ = live;
        false
    }
    /// What a daemon that was killed left of its creation looks like a whole one.
    fn hides_half_made(&self) -> bool {
        false
    }
    /// In a cluster it is made on each member before it is made as a whole, and written only while all of them
    /// answer. `body` is the object, as it is or as it is wanted.
    fn is_made_per_member(&self, body: &Raw) -> bool {
        let _ = body;
        false
    }
    /// The config keys that LXD keeps per cluster member.
    fn member_keys(&self) -> &'static [&'static str] {
        &[]
    }
    /// Its creation in a cluster was begun and did not come to its end.
    fn is_unfinished(&self, live: &Raw) -> bool {
        !self.member_keys().is_empty()
            && live.get("status").is_some_and(|status| *status == "Pending" || *status == "Errored")
    }
    /// In a replacement the new one is made before the old one goes.
    fn creates_first(&self) -> bool {
        false
    }

    /// The calls that make the object; the first makes it, stamped.
    fn create(&self, object: &Object, cx: &Creation<'_>) -> Vec<Call> {
        let call = Call::post(&[self.collection()], Value::Object(document(object, cx)));
        vec![if self.place() == Place::Server { call } else { call.project(&cx.id.project) }]
    }
    /// The calls that write `after` (the object as read right before, with the intents merged in).
    fn update(&self, id: &Id, before: &Raw, after: &Raw) -> Vec<Call> {
        let _ = before;
        vec![self.call(Method::Put, id, after).json(Value::Object(body::writable(after)))]
    }
    /// The calls that remove it.
    fn delete(&self, site: &str, id: &Id, live: &Raw) -> Vec<Call> {
        let _ = site;
        vec![self.call(Method::Delete, id, live)]
    }
}

/// What the making of an object knows beyond the object itself.
#[derive(Clone, Debug)]
pub struct Creation<'a> {
    /// Where it will live.
    pub id: &'a Id,
    /// The stamp's leaves.
    pub stamp_leaves: Vec<(Path, Option<Value>)>,
    /// The image of an instance, resolved.
    pub image: Option<ImageSource>,
    /// The certificate of the server that an image is fetched from, where it is not signed by a known authority.
    pub certificate: Option<String>,
    /// The fingerprint of an image's files.
    pub fingerprint: Option<String>,
    /// The members of the cluster, for what is made on each of them.
    pub members: &'a [String],
}

/// Where an instance's root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// An image at the target.
    Fingerprint(String),
    /// An image that the server fetches.
    Server {
        /// URL.
        server: String,
        /// `simplestreams` or `lxd`.
        protocol: String,
        /// The alias there.
        alias: String,
        /// The server's certificate, where it is not signed by a known authority.
        certificate: Option<String>,
    },
}

/// What a change of a leaf does to what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Takes effect at once.
    Live,
    /// Needs the instance to be stopped and started.
    Restart,
    /// Cannot be changed: needs the object to be made again.
    Replace,
}

impl Effect {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Live => "live",
            Effect::Restart => "restart",
            Effect::Replace => "replace",
        }
    }
}

/// What every object may carry, already read by the site room.
#[derive(Clone, Debug)]
pub struct Common {
    /// Its address.
    pub address: Address,
    /// LXD's name (`name:`, default the key).
    pub name: String,
    /// The project that the file names for it, or the site's.
    pub project: String,
    /// Where its key stands.
    pub span: Span,
    /// `description:`.
    pub description: Option<Spanned<String>>,
    /// `external: true`: must exist, is never written.
    pub external: bool,
    /// `protect: true`.
    pub protect: bool,
}

/// What a kind needs while it reads an object.
pub struct Decode<'a> {
    /// The object's common keys.
    pub common: &'a Common,
    /// The names that the site defines.
    pub names: &'a dyn Names,
    /// Where relative paths in the file of `span` belong.
    pub directory: &'a dyn Fn(Span) -> std::path::PathBuf,
    /// Errors and warnings found so far.
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// References found so far.
    pub references: Vec<Reference>,
}

/// The names that a site defines.
pub trait Names {
    /// The object of a section that `text` names: by its key, else by its name in that project.
    /// Gives its address and LXD's name.
    fn find(&self, section: &str, text: &str, project: &str) -> Option<(Address, String)>;
}

impl Decode<'_> {
    /// Notes that the object refers to `text` in a section, and gives LXD's name for it.
    /// What the site does not define is external: `plan` checks that it is there.
    pub fn reference(&mut self, section: &'static str, text: &Spanned<String>) -> String {
        let found = self.names.find(section, &text.value, &self.common.project);
        let name = found.as_ref().map_or_else(|| text.value.clone(), |(_, name)| name.clone());
        self.references.push(Reference {
            section,
            name: name.clone(),
            address: found.map(|(address, _)| address),
            pool: None,
            span: text.span,
        });
        name
    }
}

/// The body of a creation: the wanted leaves, the stamp and the name.
fn document(object: &Object, cx: &Creation<'_>) -> Raw {
    let mut body = body::of_fields(&object.fields);
    body::write(&mut body, &cx.stamp_leaves);
    body.insert("name".into(), Value::String(object.name.clone()));
    body
}
