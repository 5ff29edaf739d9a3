//! A plan is data: what changes, why, in which order. A pure function of what is wanted and what is live.

mod affects;
mod baked;
mod build;
mod cluster;
mod diff;
mod drift;
mod guards;
mod half_made;
mod ideal;
mod images;
mod in_use;
mod options;
mod order;
mod overlay;
mod ownership;
mod prune;
mod references;
mod rename;
mod replace;
mod restricted;
mod rolling;
mod select;
mod unknown;

use serde_json::Value;

pub use crate::kinds::Effect;
use crate::kinds::{Kind, Object, Raw, Stamp};
use crate::model::{Address, Id, Path, Span, StepId, Verb};
pub use baked::{PREFIX as BAKED, PROPERTY as BAKED_PROPERTY, alias_of as baked_alias, is_expendable, oven};
pub use build::build;
pub use drift::{Drift, Leaf, Moved, drift};
pub use half_made::{HALF_MADE, unavailable};
pub use ideal::{Contents, ideal, stand_in, without_unknown};
pub use options::{Adopt, Options};
pub use ownership::{Owner, owner, stamped_name};

/// Everything that an apply would do; what is shown is what is run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The site's name.
    pub site: String,
    /// Where its objects live unless they name another project.
    pub project: String,
    /// `--target` or `--exclude` left something out.
    pub partial: bool,
    /// This is a plan to destroy.
    pub destroy: bool,
    /// One for every object, unchanged ones included; deletions first, then in the order of the kinds and names.
    pub changes: Vec<Change>,
    /// Why nothing may be written at all.
    pub refused: Vec<Refusal>,
    /// What the user should know and that is no change.
    pub notes: Vec<Note>,
    /// Members of a group that go down and come up one after the other, each list in that order.
    pub rolling: Vec<Vec<Address>>,
    /// Running members of a group in which roles are run: those in which something changes take turns.
    pub in_turn: Vec<Vec<Address>>,
    /// The steps, each after what it waits for.
    pub steps: Vec<Step>,
    /// Playbooks that are run when all steps are done.
    pub playbooks: Vec<std::path::PathBuf>,
    /// What the driver needs of each change beyond what is shown; as long as `changes`.
    pub work: Vec<Work>,
}

/// What the driver needs of a change beyond what is shown.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// The kind; `None` only where nothing is to be done.
    pub kind: Option<&'static dyn Kind>,
    /// As the file wants it; `None` for what goes.
    pub object: Option<Object>,
    /// As it was read; `None` for what is yet to be made.
    pub live: Option<Raw>,
    /// The stamp to be written; with `None` an update takes the stamp away.
    pub stamp: Option<Stamp>,
    /// An update writes the object (and not only its power state).
    pub writes: bool,
    /// LXD makes it together with its project: an update without a `before`.
    pub is_built_in: bool,
    /// A profile's edit needs the instance to restart.
    pub restarts: bool,
    /// The fingerprint of an instance's image, where the target has it already.
    pub image: Option<String>,
    /// The fingerprint of the baked image that it is made of instead.
    pub baked: Option<String>,
}

/// What happens to one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its address.
    pub address: Address,
    /// Its kind's noun: `instance`.
    pub noun: &'static str,
    /// Where it lives.
    pub id: Id,
    /// What happens.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Some of it is there because the server moved away from what was applied.
    pub drift: bool,
    /// Running instances that feel it: of a profile's or network's edit; addresses where the site has one.
    pub affects: Vec<String>,
    /// The leaves that differ; of a creation all wanted ones, of a deletion none.
    pub diff: Vec<FieldDiff>,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Removed.
    Delete,
    /// Removed and made again.
    Replace,
    /// Made.
    Create,
    /// Given its new name (and updated, where it has a diff).
    Rename,
    /// Taken into the site: stamped, and updated where it has a diff.
    Adopt,
    /// Changed in place; with an empty diff it is the record alone that is written.
    Update,
    /// Nothing.
    NoOp,
}

impl Action {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Delete => "delete",
            Action::Replace => "replace",
            Action::Create => "create",
            Action::Rename => "rename",
            Action::Adopt => "adopt",
            Action::Update => "update",
            Action::NoOp => "no-op",
        }
    }
}

/// Why something happens: a code for machines, a text for people.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reason {
    /// For example `absent`, `changed`, `drift`, `removed-from-site`, `image-changed`.
    pub code: &'static str,
    /// One line.
    pub text: String,
}

/// One leaf that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDiff {
    /// Which.
    pub path: Path,
    /// The live value; `None` if it is not set.
    pub before: Option<Value>,
    /// The wanted value; `None` if it is to be unset.
    pub after: Option<Value>,
    /// Masked wherever it is shown.
    pub sensitive: bool,
    /// What the change does.
    pub effect: Effect,
    /// Why it restarts or replaces, in words; empty for live ones.
    pub why: String,
    /// The server moved (drift), not the file.
    pub drift: bool,
}

impl FieldDiff {
    /// A leaf that changes live and is no secret.
    pub fn new(path: Path, before: Option<Value>, after: Option<Value>) -> Self {
        FieldDiff { path, before, after, sensitive: false, effect: Effect::Live, why: String::new(), drift: false }
    }

    /// The same, masked where it is shown.
    #[must_use]
    pub fn sensitive(self, sensitive: bool) -> Self {
        FieldDiff { sensitive, ..self }
    }

    /// The same, forcing a replacement.
    #[must_use]
    pub fn replacing(self, why: &str) -> Self {
        FieldDiff { effect: Effect::Replace, why: why.to_owned(), ..self }
    }
}

/// Why a plan may not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The object, if it is about one.
    pub address: Option<Address>,
    /// A word for machines: `not-ours`, `other-site`, `protected`, `missing`, `other-project`, `unknown-member`.
    pub code: &'static str,
    /// What is in the way.
    pub text: String,
    /// What to do.
    pub help: String,
    /// Where the file asks for it.
    pub span: Option<Span>,
}

/// Something worth knowing that is no change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The object, if it is about one.
    pub address: Option<Address>,
    /// A word for machines: `kept-data`, `taken-over`, `alias-moved`, `copy`, `offline`, `moved`, `deviation`.
    pub code: &'static str,
    /// One line.
    pub text: String,
}

/// One thing to do at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its index in [`Plan::steps`].
    pub id: StepId,
    /// Its object.
    pub address: Address,
    /// What it does.
    pub verb: Verb,
    /// The index of its change in [`Plan::changes`].
    pub change: usize,
    /// Steps that must be done before; each has a smaller index.
    pub waits_for: Vec<StepId>,
}

/// Counts by action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// To be made.
    pub create: usize,
    /// To be changed in place.
    pub update: usize,
    /// To be made again.
    pub replace: usize,
    /// To be removed.
    pub delete: usize,
    /// To be renamed.
    pub rename: usize,
    /// To be taken in.
    pub adopt: usize,
    /// Left as they are.
    pub unchanged: usize,
}

impl Plan {
    /// Counts by action.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for change in &self.changes {
            *match change.action {
                Action::Create => &mut summary.create,
                Action::Update => &mut summary.update,
                Action::Replace => &mut summary.replace,
                Action::Delete => &mut summary.delete,
                Action::Rename => &mut summary.rename,
                Action::Adopt => &mut summary.adopt,
                Action::NoOp => &mut summary.unchanged,
            } += 1;
        }
        summary
    }

    /// What only the run will tell, as lines for people.
    pub fn unknown(&self) -> Vec<String> {
        unknown::of_plan(self)
    }

    /// Instances whose roles are run, and these roles' names.
    pub fn provisions(&self) -> Vec<(&Address, Vec<&str>)> {
        let roles = |step: &Step| {
            let object = self.work[step.change].object.as_ref();
            let roles = object.and_then(|object| object.lifecycle.as_ref()).map(|lifecycle| lifecycle.roles.as_slice());
            roles.unwrap_or_default().iter().map(|role| role.name.as_str()).collect()
        };
        let provisions = self.steps.iter().filter(|step| step.verb == Verb::Provision);
        provisions.map(|step| (&step.address, roles(step))).collect()
    }

    /// True if an apply would run something inside of instances.
    pub fn has_plays(&self) -> bool {
        !self.playbooks.is_empty() || self.steps.iter().any(|step| step.verb == Verb::Provision)
    }

    /// True if an apply would write nothing at the server; what runs inside of instances is counted apart.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.action == Action::NoOp)
    }
}
