//! One file per kind of LXD object; this file is what they have in common.
//!
//! A kind says how its section of a site file is read, what each field's change does to a running system,
//! what it refers to, and which calls make, change and remove it. It never sends anything.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;
use crate::lxd::Call;
use crate::model::{Address, Id, Path, Span};
use crate::tree::{Node, Spanned};

/// Every kind, in the order in which they are created; deleted the other way round.
pub fn all() -> &'static [&'static dyn Kind] {
    &[]
}

/// The kind of a section.
pub fn by_section(section: &str) -> Option<&'static dyn Kind> {
    all().iter().copied().find(|kind| kind.section() == section)
}

/// The live object as LXD's JSON has it, without what a plan never reads.
pub type Raw = Map<String, Value>;

/// One kind of LXD object.
pub trait Kind: Debug + Sync {
    /// Its section of a site file: `instances`.
    fn section(&self) -> &'static str;
    /// One of them: `instance`.
    fn noun(&self) -> &'static str;
    /// Reads the body of one object (its common keys are taken out before). `None` where an error was
    /// pushed to `cx.diagnostics`.
    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared>;
    /// Refuses a name that LXD would refuse, with the rule.
    ///
    /// # Errors
    /// The rule that the name breaks.
    fn check_name(&self, name: &str) -> Result<(), String>;
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
    /// `depends_on:`.
    pub depends_on: Vec<Spanned<Address>>,
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
    /// The keys of a section.
    fn keys(&self, section: &str) -> Vec<String>;
}

impl Decode<'_> {
    /// Notes that the object refers to `text` in a section, and gives LXD's name for it.
    /// What the site does not define is external: `plan` checks that it is there.
    pub fn reference(&mut self, section: &'static str, text: &Spanned<String>) -> String {
        let found = self.names.find(section, &text.value, &self.common.project);
        let name = found
            .as_ref()
            .map_or_else(|| text.value.clone(), |(_, name)| name.clone());
        self.references.push(Reference {
            section,
            name: name.clone(),
            address: found.map(|(address, _)| address),
            span: text.span,
        });
        name
    }
}

/// That an object needs another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The section of what is needed.
    pub section: &'static str,
    /// LXD's name for it.
    pub name: String,
    /// Its address, if the site defines it; else it is external.
    pub address: Option<Address>,
    /// Where the file says so.
    pub span: Span,
}

/// A wanted leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// A string for what LXD holds as a string, else a boolean or a list.
    pub value: Value,
    /// It came from a secret.
    pub sensitive: bool,
    /// Where the file says so.
    pub span: Span,
}

/// The wanted leaves of an object.
pub type Fields = BTreeMap<Path, Wanted>;

/// What a kind makes of an object's body.
#[derive(Debug)]
pub struct Declared {
    /// The leaves to be compared with the live ones.
    pub fields: Fields,
    /// The pool that the object lives in (volumes).
    pub pool: Option<String>,
    /// What only this kind reads again: an image's source, a network's members.
    pub spec: Arc<dyn Any + Send + Sync>,
    /// Of what can run: its power and its image.
    pub lifecycle: Option<Lifecycle>,
}

/// One object as the site wants it.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: &'static dyn Kind,
    /// LXD's name.
    pub name: String,
    /// The project that the file names; see [`Id`] for the effective one.
    pub project: String,
    /// The pool, for volumes.
    pub pool: Option<String>,
    /// Where its key stands.
    pub span: Span,
    /// Must exist, is never written.
    pub external: bool,
    /// Not pruned, replaced or destroyed while this is recorded.
    pub protect: bool,
    /// Addresses that come first, each exactly one object.
    pub depends_on: Vec<Address>,
    /// The wanted leaves.
    pub fields: Fields,
    /// What it needs.
    pub references: Vec<Reference>,
    /// What only its kind reads.
    pub spec: Arc<dyn Any + Send + Sync>,
    /// Of what can run: its power and its image.
    pub lifecycle: Option<Lifecycle>,
}

/// The wanted power state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Power {
    /// Started after creation, and again where it was stopped.
    #[default]
    Running,
    /// Stopped.
    Stopped,
    /// Left alone: started once after creation, then the operator's.
    Unmanaged,
}

/// What an instance has beyond its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifecycle {
    /// The image as the file wrote it, and where.
    pub image: Option<(ImageRef, String, Span)>,
    /// The image's alias moving is a replacement, not a note.
    pub follow_image: bool,
    /// The wanted power state.
    pub power: Power,
    /// How long a graceful stop may take before force; zero is force at once.
    pub stop_timeout: Duration,
    /// What must hold before dependents start.
    pub ready: Vec<Check>,
    /// Time for all checks together.
    pub ready_timeout: Duration,
    /// Placement at creation: a member or `@group`.
    pub target: Option<String>,
    /// The instance's earlier name.
    pub renamed_from: Option<String>,
}

/// What an instance's `image:` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageRef {
    /// An image of the site.
    Site(Address),
    /// An alias or a fingerprint at the target.
    Local(String),
    /// An alias at another remote, as in lxc.
    Remote {
        /// The remote's name.
        remote: String,
        /// The alias there.
        alias: String,
    },
}

/// One `ready` check.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What must hold.
    pub condition: Condition,
    /// Its own time, if it has one.
    pub timeout: Option<Duration>,
}

/// What a check looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A global IPv4 address, read from LXD's state.
    Ipv4,
    /// A listener on this port inside the guest.
    Tcp(u16),
    /// A 2xx or 3xx answer, asked inside the guest.
    Http(String),
    /// A command that exits 0 inside the guest.
    Exec(Vec<String>),
    /// cloud-init is done and without error.
    CloudInit,
}
