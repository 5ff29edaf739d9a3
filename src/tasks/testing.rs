//! A guest as a table of answers: what the modules make of it is tested without one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Call, Controller, Failure, Known, LocalEntry, LocalFile, Map, Pause, TemplateOptions, Verdict, registry};
use crate::guest::{Answer, Command, FileKind, Group, Look, Output, Package, Probe, Stat, User, Write};
use crate::template::Value;

/// For modules that ask nothing of the operator's side.
struct Nothing;

impl Controller for Nothing {
    fn find(&self, _: &str, name: &str) -> Result<PathBuf, Failure> {
        Err(Failure::new(name))
    }
    fn read(&self, _: &Path) -> Result<Vec<u8>, Failure> {
        Err(Failure::new("nothing"))
    }
    fn describe(&self, _: &Path) -> Result<LocalFile, Failure> {
        Err(Failure::new("nothing"))
    }
    fn list(&self, _: &Path) -> Result<Vec<LocalEntry>, Failure> {
        Err(Failure::new("nothing"))
    }
    fn render(&self, _: &Path, _: &TemplateOptions, _: &Map) -> Result<String, Failure> {
        Err(Failure::new("nothing"))
    }
    fn condition(&self, _: &Value) -> Result<bool, Failure> {
        Err(Failure::new("nothing"))
    }
    fn evaluate(&self, _: &str) -> Result<Option<Value>, Failure> {
        Ok(None)
    }
    fn absolute(&self, path: &str) -> PathBuf {
        path.into()
    }
    fn now(&self) -> i64 {
        0
    }
}

/// What a guest has. Commands are answered by words that they contain; one that nobody expected is an error.
#[derive(Clone, Default)]
pub struct Guest {
    pub packages: BTreeMap<&'static str, Package>,
    pub commands: Vec<(&'static str, i64, &'static str)>,
    pub tools: Vec<&'static str>,
    pub files: BTreeMap<&'static str, &'static str>,
    pub directories: Vec<&'static str>,
    pub links: BTreeMap<&'static str, &'static str>,
    pub users: Vec<User>,
    pub groups: Vec<Group>,
    /// By name: (LoadState, UnitFileState, ActiveState).
    pub units: BTreeMap<&'static str, (&'static str, &'static str, &'static str)>,
    pub check: bool,
    pub facts: Vec<(&'static str, &'static str)>,
}

impl Guest {
    fn stat(&self, path: &str) -> Option<Stat> {
        let (kind, size, target) = if let Some(content) = self.files.get(path) {
            (FileKind::File, content.len(), None)
        } else if let Some(target) = self.links.get(path) {
            (FileKind::Link, target.len(), Some((*target).to_owned()))
        } else if self.directories.contains(&path) {
            (FileKind::Directory, 4096, None)
        } else {
            return None;
        };
        Some(Stat {
            kind,
            mode: if kind == FileKind::File { 0o644 } else { 0o755 },
            uid: 0,
            gid: 0,
            owner: Some("root".into()),
            group: Some("root".into()),
            size: size as u64,
            inode: 1,
            device: 1,
            links: 1,
            atime: 0,
            mtime: 0,
            ctime: 0,
            target,
            is_foreseen: false,
        })
    }

    fn unit(&self, name: &str) -> Option<BTreeMap<String, String>> {
        if self.units.is_empty() {
            return None;
        }
        let (load, file, active) = self.units.get(name).copied().unwrap_or(("not-found", "", "inactive"));
        let properties = [("LoadState", load), ("UnitFileState", file), ("ActiveState", active)];
        Some(properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    fn answer(&self, probe: &Probe) -> Answer {
        match probe {
            Probe::Package { name, .. } => {
                Answer::Package(self.packages.get(name.as_str()).cloned().unwrap_or_default())
            }
            Probe::Which(tool) => {
                Answer::Which(self.tools.contains(&tool.as_str()).then(|| format!("/usr/bin/{tool}")))
            }
            Probe::Output(Look { command: Command { argv, .. }, .. }) => {
                let words = argv.join(" ");
                let found = self.commands.iter().find(|(part, ..)| words.contains(part));
                let (_, code, text) = found.unwrap_or_else(|| panic!("nobody expected `{words}`"));
                Answer::Output(Output { code: *code, stdout: text.as_bytes().to_vec(), ..Output::default() })
            }
            Probe::Stat { path, .. } => Answer::Stat(self.stat(path)),
            Probe::Read { path } => {
                Answer::Read(self.files.get(path.as_str()).map(|content| content.as_bytes().to_vec()))
            }
            Probe::List { .. } => Answer::List(None),
            Probe::User(name) => {
                let is = |user: &&User| user.name == *name || name.parse() == Ok(user.uid);
                Answer::User(self.users.iter().find(is).cloned())
            }
            Probe::Group(name) => {
                let is = |group: &&Group| group.name == *name || name.parse() == Ok(group.gid);
                Answer::Group(self.groups.iter().find(is).cloned())
            }
            Probe::Unit { name, .. } => Answer::Unit(self.unit(name)),
            other @ Probe::Hash { .. } => panic!("nobody expected {other:?}"),
        }
    }

    /// What a module makes of it.
    pub fn inspect(&self, name: &str, args: &[(&str, Value)]) -> Result<Verdict, Failure> {
        self.inspect_again(name, args, 0)
    }

    /// The same after acts were done so often.
    pub fn inspect_again(&self, name: &str, args: &[(&str, Value)], round: u32) -> Result<Verdict, Failure> {
        let module = registry::find(name).unwrap();
        let args: Map = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let call = Call {
            name,
            args: &args,
            check: self.check,
            diff: false,
            user: None,
            environment: &BTreeMap::new(),
            facts: &crate::template::map(self.facts.iter().copied()),
            unknown_facts: None,
            controller: &Nothing,
            round,
        };
        let mut known = Known::default();
        for _ in 0..20 {
            match module.inspect(&call, &known) {
                Ok(verdict) => return Ok(verdict),
                Err(Pause::Failed(failure)) => return Err(failure),
                Err(Pause::Unknown(why)) => return Err(Failure::unknown(why)),
                Err(Pause::Asked) => {
                    for probe in known.take_wanted() {
                        let answer = self.answer(&probe);
                        known.learn(probe, answer);
                    }
                }
            }
        }
        panic!("it asks for ever")
    }

    /// What a module would run, each command in a line; other acts as they are.
    #[track_caller]
    pub fn acts(&self, name: &str, args: &[(&str, Value)]) -> Vec<String> {
        commands_of(&self.inspect(name, args).unwrap_or_else(|failure| panic!("{name} failed: {}", failure.message)))
    }

    /// Why a module fails.
    #[track_caller]
    pub fn refusal(&self, name: &str, args: &[(&str, Value)]) -> String {
        self.inspect(name, args).err().unwrap_or_else(|| panic!("{name} does not fail")).message
    }
}

/// The commands among a verdict's acts, each in a line; other acts as they are.
pub fn commands_of(verdict: &Verdict) -> Vec<String> {
    let words = |write: &Write| match write {
        Write::Run(command) => command.argv.join(" "),
        other => format!("{other:?}"),
    };
    verdict.writes.iter().map(words).collect()
}
