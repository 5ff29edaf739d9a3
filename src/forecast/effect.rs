use super::{Belief, accounts, packages, paths, units};
use crate::guest::{About, Answer, Attributes, Group, Look, Output, Package, PackageManager, Probe, User, Write};

/// What an act leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// What such an act leaves; of commands, restarts and pauses nothing is known by this alone.
    Written(Write),
    /// A directory is there, with these attributes, all of them given; what is in it stays.
    Directory {
        /// The path, absolute.
        path: String,
        /// What it is.
        attributes: Attributes,
    },
    /// This is the answer.
    Is(Probe, Answer),
    /// A user is so; gone where this is `None`.
    User {
        /// Its name.
        name: String,
        /// As it will be.
        user: Option<User>,
    },
    /// A group is so; gone where this is `None`.
    Group {
        /// Its name.
        name: String,
        /// As it will be.
        group: Option<Group>,
    },
    /// A package is so. What it brings or takes away with it is an effect of its own.
    Package {
        /// Whose.
        manager: PackageManager,
        /// Its name.
        name: String,
        /// As it will be.
        package: Package,
    },
    /// The lists of packages are as new as the repositories have them.
    Listed(PackageManager),
    /// Properties of a unit are these; the others stay.
    Unit {
        /// Its name.
        name: String,
        /// By systemd's names.
        properties: Vec<(&'static str, String)>,
    },
    /// A command will say this.
    Says(Look, Output),
    /// Nobody knows.
    Unknown {
        /// What of it.
        scope: Scope,
        /// Why.
        why: String,
    },
}

/// A part of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Everything,
    /// A path and all below it.
    Path(String),
    /// What is not there, where packages put things: files, users, groups, units, programs.
    Missing,
    /// Users and groups.
    Accounts,
    /// Packages, and what is not there.
    Packages,
    /// A unit.
    Unit(String),
    /// What commands say about this ([`About::Named`]).
    Named(String),
}

impl Effect {
    /// What `module` does, and nobody can say more of it.
    pub fn opaque(why: impl Into<String>) -> Self {
        Effect::Unknown { scope: Scope::Everything, why: why.into() }
    }

    /// A part of the guest that nobody knows any more.
    pub fn unknown(scope: Scope, why: impl Into<String>) -> Self {
        Effect::Unknown { scope, why: why.into() }
    }

    /// The same with its paths where they lead.
    pub(super) fn at(self, real: &dyn Fn(&str, bool) -> String) -> Self {
        match self {
            Effect::Written(write) => Effect::Written(paths::at(write, real)),
            Effect::Directory { path, attributes } => Effect::Directory { path: real(&path, true), attributes },
            Effect::Unknown { scope: Scope::Path(path), why } => {
                Effect::Unknown { scope: Scope::Path(real(&path, true)), why }
            }
            other => other,
        }
    }

    /// What it makes of an answer; `None` where it has nothing to do with it. `below` is what was so before.
    pub(super) fn on(&self, probe: &Probe, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
        if let Probe::Output(look) = probe {
            return self.on_look(look);
        }
        match self {
            Effect::Written(write) => match probe {
                Probe::Unit { name, .. } => units::written(write, name, || below(probe)),
                _ => paths::written(write, probe, below),
            },
            Effect::Directory { path, attributes } => match probe {
                Probe::Stat { path: asked, follow: true } if asked == path => paths::directory(attributes, below),
                _ => None,
            },
            Effect::Is(question, answer) => {
                let is_it = match (question, probe) {
                    (Probe::Unit { name, .. }, Probe::Unit { name: asked, .. }) => {
                        units::full(name) == units::full(asked)
                    }
                    (question, probe) => question == probe,
                };
                is_it.then(|| Belief::Known(answer.clone()))
            }
            Effect::User { name, user } => accounts::user(name, user.as_ref(), probe, below),
            Effect::Group { name, group } => accounts::group(name, group.as_ref(), probe, below),
            Effect::Package { manager, name, package } => packages::changed(*manager, name, package, probe),
            Effect::Listed(manager) => packages::listed(*manager, probe, below),
            Effect::Unit { name, properties } => units::changed(name, properties, probe, below),
            Effect::Says(..) => None,
            Effect::Unknown { scope, why } => scope.on(probe, why, below),
        }
    }

    /// The link that a path will be, if this makes or ends one.
    pub(super) fn link(&self, path: &str) -> Option<Option<String>> {
        match self {
            Effect::Written(write) => paths::link(write, path),
            _ => None,
        }
    }

    fn on_look(&self, look: &Look) -> Option<Belief> {
        if let Effect::Says(mine, output) = self {
            let is_mine = mine == look;
            return match (is_mine, &mine.about, &look.about) {
                (true, ..) => Some(Belief::Known(Answer::Output(output.clone()))),
                // Another question about the same thing.
                (false, About::Named(mine), About::Named(other)) if mine == other => {
                    Some(Belief::Unknown(format!("what an earlier task makes of {mine}")))
                }
                _ => None,
            };
        }
        let why = |what: &str| Some(Belief::Unknown(format!("what an earlier task makes of {what}")));
        match (&look.about, self) {
            (About::Nothing, _) => None,
            (_, Effect::Unknown { scope, why }) => {
                let touches = match (scope, &look.about) {
                    (Scope::Everything, _) | (_, About::Anything) => true,
                    (Scope::Path(path), About::Path(of)) => paths::overlap(path, of),
                    (Scope::Accounts, About::Accounts) => true,
                    (Scope::Missing, About::Packages | About::Units | About::Accounts) => true,
                    (Scope::Packages, About::Packages | About::Units | About::Accounts) => true,
                    (Scope::Unit(_), About::Units) => true,
                    (Scope::Named(name), About::Named(of)) => name == of,
                    _ => false,
                };
                touches.then(|| Belief::Unknown(why.clone()))
            }
            (About::Anything, _) => why("the guest"),
            (About::Path(of), Effect::Written(write)) => {
                paths::touched(write).iter().any(|path| paths::overlap(path, of)).then(|| why(of)).flatten()
            }
            (About::Packages, Effect::Package { .. } | Effect::Listed(_)) => why("the packages"),
            (About::Units, Effect::Unit { .. } | Effect::Is(Probe::Unit { .. }, _)) => why("the units"),
            (About::Path(of), Effect::Directory { path, .. }) => paths::overlap(path, of).then(|| why(of)).flatten(),
            (About::Units, Effect::Written(write)) => paths::touched(write)
                .iter()
                .any(|path| units::of_path(path).is_some())
                .then(|| why("the units"))
                .flatten(),
            (About::Accounts, Effect::User { .. } | Effect::Group { .. }) => why("the users and groups"),
            _ => None,
        }
    }
}

impl Scope {
    fn on(&self, probe: &Probe, why: &str, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
        let unknown = || Some(Belief::Unknown(why.to_owned()));
        let is_account = matches!(probe, Probe::User(_) | Probe::Group(_));
        match self {
            Scope::Everything => unknown(),
            Scope::Path(path) => paths::unknown(path, probe).then(unknown).flatten(),
            Scope::Accounts => (is_account || accounts::is_file_of(probe)).then(unknown).flatten(),
            Scope::Unit(name) => units::is(name, probe).then(unknown).flatten(),
            Scope::Named(_) => None,
            Scope::Packages if matches!(probe, Probe::Package { .. }) => unknown(),
            Scope::Missing | Scope::Packages => match below(probe) {
                Belief::Known(answer) => packages::may_come(probe, &answer).then(unknown).flatten(),
                // Whatever it is, it may be another by then.
                other => Some(other),
            },
        }
    }
}
