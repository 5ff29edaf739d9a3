//! A guest as it will be: what was asked of it, and what acts leave behind laid over that. Pure.
//!
//! Each answer that a module wants is looked for from the last act to the first, and then among what the guest said
//! ([`Forecast::believe`]). So a task sees what those before it would leave, without any of it being done. What an act
//! makes of an answer is one question to one file: [`paths`] for files and directories, [`units`] for systemd's units,
//! [`accounts`] for users and groups, [`packages`] for packages.
//!
//! What cannot be known before it is done is [`Belief::Unknown`], with the reason; it is never a guess.

mod accounts;
mod effect;
mod packages;
mod paths;
#[cfg(test)]
mod tests;
mod units;

use std::collections::HashMap;

pub use effect::{Effect, Scope};
pub use paths::joined;

use crate::guest::{Answer, FileKind, Probe};

/// What is held to be true of a guest.
#[derive(Clone, Debug, PartialEq)]
pub enum Belief {
    /// It is so.
    Known(Answer),
    /// Nobody can know before it is run, and why.
    Unknown(String),
    /// The guest is to be asked this first.
    Ask(Probe),
}

/// A guest's answers, and what is laid over them.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    answers: HashMap<Probe, Answer>,
    effects: Vec<Effect>,
    unseen: Option<String>,
}

/// So many links are followed on the way to a path.
pub const LINKS: usize = 16;

impl Forecast {
    /// Of a guest that nobody can ask, and why: it is not created yet, or it is stopped.
    pub fn unseen(why: impl Into<String>) -> Self {
        Forecast { unseen: Some(why.into()), ..Forecast::default() }
    }

    /// Why nobody can ask it.
    pub fn is_unseen(&self) -> Option<&str> {
        self.unseen.as_deref()
    }

    /// What the guest said.
    pub fn learn(&mut self, probe: Probe, answer: Answer) {
        self.answers.insert(probe, answer);
    }

    /// Something has happened in the guest: whatever is wanted is asked again.
    pub fn forget(&mut self) {
        self.answers.clear();
    }

    /// True where nothing was asked, or all is forgotten.
    pub fn is_blank(&self) -> bool {
        self.answers.is_empty()
    }

    /// True where something would happen first: the guest is not what it will be.
    pub fn is_ahead(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Something would happen.
    pub fn lay(&mut self, effect: Effect) {
        let effect = effect.at(&|path, is_followed| self.real(path, is_followed));
        self.effects.push(effect);
    }

    /// What is to be held of a question.
    pub fn believe(&self, probe: &Probe) -> Belief {
        let probe = &match probe {
            Probe::Stat { path, follow } => Probe::Stat { path: self.real(path, *follow), follow: *follow },
            Probe::Hash { path, algorithm } => Probe::Hash { path: self.real(path, true), algorithm: *algorithm },
            Probe::Read { path } => Probe::Read { path: self.real(path, true) },
            other => other.clone(),
        };
        self.below(self.effects.len(), probe)
    }

    /// The same before the effect of this number.
    fn below(&self, count: usize, probe: &Probe) -> Belief {
        for (index, effect) in self.effects[..count].iter().enumerate().rev() {
            if let Some(belief) = effect.on(probe, &|probe| self.below(index, probe)) {
                return belief;
            }
        }
        if let Some(answer) = self.answers.get(probe) {
            return Belief::Known(answer.clone());
        }
        match &self.unseen {
            Some(why) => Belief::Unknown(why.clone()),
            None => Belief::Ask(probe.clone()),
        }
    }

    /// Where a path leads by the links that are known of: those that would be made, and those that the guest has told
    /// of. The last part is followed where this is asked for.
    fn real(&self, path: &str, is_followed: bool) -> String {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let Some(next) = self.step(&path, is_followed) else { return path };
            path = next;
        }
        path
    }

    /// The path with its first link in its place.
    fn step(&self, path: &str, is_followed: bool) -> Option<String> {
        let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
        let ends = ends.chain(is_followed.then_some(path.len()));
        for end in ends {
            let (prefix, rest) = path.split_at(end);
            let Some(target) = self.link(prefix) else { continue };
            return Some(paths::joined(prefix, &target) + rest);
        }
        None
    }

    fn link(&self, path: &str) -> Option<String> {
        let itself = Probe::Stat { path: path.to_owned(), follow: false };
        for effect in self.effects.iter().rev() {
            if let Some(target) = effect.link(path) {
                return target;
            }
        }
        match self.answers.get(&itself) {
            Some(Answer::Stat(Some(stat))) if stat.kind == FileKind::Link => stat.target.clone(),
            _ => None,
        }
    }
}
