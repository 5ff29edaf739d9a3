//! An object as the site wants it: its leaves, what it needs, and of what can run its power and image.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Kind, RoleRef};
use crate::model::{Address, Path, Span};

/// That an object needs another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The section of what is needed.
    pub section: &'static str,
    /// LXD's name for it.
    pub name: String,
    /// Its address, if the site defines it; else it is external.
    pub address: Option<Address>,
    /// The pool that it must be in (volumes).
    pub pool: Option<String>,
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

impl Declared {
    /// Of what lives in no pool and does not run.
    pub fn plain(fields: Fields, spec: Arc<dyn Any + Send + Sync>) -> Self {
        Declared { fields, pool: None, spec, lifecycle: None }
    }
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

impl Object {
    /// Where in a cluster it is made: a member, or an instance in a `@group`.
    pub fn target(&self) -> Option<&str> {
        match &self.lifecycle {
            Some(lifecycle) => lifecycle.target.as_deref(),
            None => self.spec.downcast_ref::<Target>()?.0.as_deref(),
        }
    }
}

/// The member of a cluster on which a volume is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target(pub Option<String>);

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
    /// What is run inside of it when it is up.
    pub roles: Vec<RoleRef>,
    /// The groups of hosts that it is in, for playbooks.
    pub groups: Vec<String>,
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
