use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::{Failure, Pause};
use crate::guest::{Algorithm, Answer, Entry, Group, Look, Output, Package, PackageManager, Probe, Stat, User};

/// What is known of a guest, and what is to be asked next.
#[derive(Debug, Default)]
pub struct Known {
    answers: HashMap<Probe, Answer>,
    unknown: HashMap<Probe, String>,
    wanted: RefCell<Vec<Probe>>,
}

impl Known {
    /// What was asked before: for tests, and for a driver that has asked ahead.
    pub fn of(answers: impl IntoIterator<Item = (Probe, Answer)>) -> Self {
        Known { answers: answers.into_iter().collect(), ..Known::default() }
    }

    /// Adds an answer.
    pub fn learn(&mut self, probe: Probe, answer: Answer) {
        self.answers.insert(probe, answer);
    }

    /// What nobody can know before it is run, and why.
    pub fn learn_unknown(&mut self, probe: Probe, why: String) {
        self.unknown.insert(probe, why);
    }

    /// What is to be asked, each once; it is then no longer wanted.
    pub fn take_wanted(&self) -> Vec<Probe> {
        self.wanted.take()
    }

    /// Asks for several at once: those that follow are answered without another round trip.
    ///
    /// # Errors
    /// [`Pause::Asked`] if any answer is missing.
    pub fn want(&self, probes: impl IntoIterator<Item = Probe>) -> Result<(), Pause> {
        let mut wanted = self.wanted.borrow_mut();
        let before = wanted.len();
        for probe in probes {
            let is_told = self.answers.contains_key(&probe) || self.unknown.contains_key(&probe);
            if !is_told && !wanted.contains(&probe) {
                wanted.push(probe);
            }
        }
        if wanted.len() > before { Err(Pause::Asked) } else { Ok(()) }
    }

    /// One answer.
    ///
    /// # Errors
    /// [`Pause::Asked`] if it is missing, [`Pause::Unknown`] if nobody can know it yet.
    pub fn ask(&self, probe: Probe) -> Result<&Answer, Pause> {
        match (self.answers.get(&probe), self.unknown.get(&probe)) {
            (Some(answer), _) => Ok(answer),
            (None, Some(why)) => Err(Pause::Unknown(why.clone())),
            (None, None) => {
                self.want([probe])?;
                Err(Pause::Asked)
            }
        }
    }

    /// What a path is; the end of a symbolic link in its place.
    ///
    /// # Errors
    /// As [`Known::ask`], as all below.
    pub fn stat(&self, path: &str) -> Result<Option<&Stat>, Pause> {
        self.stat_of(path, true)
    }

    /// What a path itself is.
    pub fn lstat(&self, path: &str) -> Result<Option<&Stat>, Pause> {
        self.stat_of(path, false)
    }

    fn stat_of(&self, path: &str, follow: bool) -> Result<Option<&Stat>, Pause> {
        match self.ask(Probe::Stat { path: path.to_owned(), follow })? {
            Answer::Stat(stat) => Ok(stat.as_ref()),
            other => Err(mismatch(other)),
        }
    }

    /// The checksum of a file's content.
    pub fn hash(&self, path: &str, algorithm: Algorithm) -> Result<Option<&str>, Pause> {
        match self.ask(Probe::Hash { path: path.to_owned(), algorithm })? {
            Answer::Hash(hash) => Ok(hash.as_deref()),
            other => Err(mismatch(other)),
        }
    }

    /// A file's content.
    pub fn read(&self, path: &str) -> Result<Option<&[u8]>, Pause> {
        match self.ask(Probe::Read { path: path.to_owned() })? {
            Answer::Read(content) => Ok(content.as_deref()),
            other => Err(mismatch(other)),
        }
    }

    /// What is below a directory.
    pub fn list(&self, path: &str, depth: Option<u32>, follow: bool) -> Result<Option<&[Entry]>, Pause> {
        match self.ask(Probe::List { path: path.to_owned(), depth, follow })? {
            Answer::List(entries) => Ok(entries.as_deref()),
            other => Err(mismatch(other)),
        }
    }

    /// A user, by name or number.
    pub fn user(&self, name: &str) -> Result<Option<&User>, Pause> {
        match self.ask(Probe::User(name.to_owned()))? {
            Answer::User(user) => Ok(user.as_ref()),
            other => Err(mismatch(other)),
        }
    }

    /// A group, by name or number.
    pub fn group(&self, name: &str) -> Result<Option<&Group>, Pause> {
        match self.ask(Probe::Group(name.to_owned()))? {
            Answer::Group(group) => Ok(group.as_ref()),
            other => Err(mismatch(other)),
        }
    }

    /// A package, and what of it would be installed.
    pub fn package(&self, manager: PackageManager, name: &str) -> Result<&Package, Pause> {
        self.package_as(Probe::Package { manager, name: name.to_owned(), candidate: true })
    }

    /// A package as far as it is installed.
    pub fn installed(&self, manager: PackageManager, name: &str) -> Result<&Package, Pause> {
        self.package_as(Probe::Package { manager, name: name.to_owned(), candidate: false })
    }

    fn package_as(&self, probe: Probe) -> Result<&Package, Pause> {
        match self.ask(probe)? {
            Answer::Package(package) => Ok(package),
            other => Err(mismatch(other)),
        }
    }

    /// A unit's properties; `None` where the guest has no systemd that runs.
    pub fn unit(&self, name: &str) -> Result<Option<&BTreeMap<String, String>>, Pause> {
        match self.ask(Probe::Unit { name: name.to_owned(), user: None })? {
            Answer::Unit(unit) => Ok(unit.as_ref()),
            other => Err(mismatch(other)),
        }
    }

    /// Where a program is.
    pub fn which(&self, program: &str) -> Result<Option<&str>, Pause> {
        match self.ask(Probe::Which(program.to_owned()))? {
            Answer::Which(path) => Ok(path.as_deref()),
            other => Err(mismatch(other)),
        }
    }

    /// The first of two programs, or the second where it has that alone: shadow's and busybox' have other names.
    ///
    /// # Errors
    /// It has neither.
    pub fn either<'p>(&self, first: &'p str, second: &'p str) -> Result<&'p str, Pause> {
        self.want([first, second].map(|program| Probe::Which(program.to_owned())))?;
        if self.which(first)?.is_some() {
            return Ok(first);
        }
        if self.which(second)?.is_some() {
            return Ok(second);
        }
        Err(Failure::new(format!("the guest has neither {first} nor {second}")).into())
    }

    /// What a command says that changes nothing.
    pub fn output(&self, look: impl Into<Look>) -> Result<&Output, Pause> {
        match self.ask(Probe::Output(look.into()))? {
            Answer::Output(output) => Ok(output),
            other => Err(mismatch(other)),
        }
    }
}

fn mismatch(answer: &Answer) -> Pause {
    Pause::Failed(Failure::new(format!("an answer to another question: {answer:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_noted_once_and_answered_together() {
        let mut known = Known::default();
        let passwd = Probe::Read { path: "/etc/passwd".into() };
        assert!(known.want([passwd.clone(), Probe::Which("git".into())]).is_err());
        assert!(known.read("/etc/passwd").is_err());
        let wanted = known.take_wanted();
        assert_eq!(wanted.len(), 2);
        known.learn(passwd, Answer::Read(None));
        known.learn(Probe::Which("git".into()), Answer::Which(Some("/usr/bin/git".into())));
        assert!(matches!(known.read("/etc/passwd"), Ok(None)));
        assert!(matches!(known.which("git"), Ok(Some("/usr/bin/git"))));
        assert!(known.take_wanted().is_empty());
    }
}
