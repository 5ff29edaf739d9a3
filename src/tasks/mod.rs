//! Task modules, one file each, without I/O: from arguments and the guest's answers to what differs and what to do.
//!
//! A module is two pure functions. [`Module::inspect`] looks: it asks the guest through [`Known`] and says what
//! differs ([`Change`]) and by which acts it would be as wanted ([`guest::Write`]). [`Module::finish`] makes the
//! task's result of what the acts left behind. In between the driver does the acts, or, in check mode, does not.
//!
//! `inspect` is run again from its start whenever an answer is missing: [`Known::stat`] and its like note the question
//! and end it with [`Pause::Asked`]; the driver asks all that was noted in one round trip. So modules read like plain
//! functions, and the questions of many tasks can travel together.
//!
//! To add a module, write its file (documentation, arguments, `inspect`, tests) and name it in its family's list.

mod args;
mod commands;
mod control;
mod download;
pub mod feasible;
mod files;
mod known;
mod packages;
pub mod registry;
mod system;
#[cfg(test)]
mod testing;
mod verdict;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;

use indexmap::IndexMap;

use crate::forecast::{Effect, Scope};
use crate::guest;
use crate::template::Value;

pub use args::{ArgsError, Flag, Int, Mode, TextList, decode};
pub use commands::shell_words;
use download::DOWNLOAD;
pub use known::Known;
pub use verdict::{Change, Diff, Failure, Report, Verdict};

/// Arguments and return values by name, in their order.
pub type Map = IndexMap<String, Value>;

/// A task module.
pub trait Module: Debug + Sync {
    /// Its names, the usual one first: `apt`; `systemd`, `systemd_service`. Those outside of `ansible.builtin` have
    /// their collection in the first: `community.general.ini_file`; its last part alone is known as well.
    fn names(&self) -> &'static [&'static str];

    /// True if `module: words` (free form) is how it is written: command, shell, raw, script.
    fn is_free_form(&self) -> bool {
        false
    }

    /// Checks the arguments, without a guest: what is wrong here is told before anything runs.
    ///
    /// # Errors
    /// What is wrong with them.
    fn check(&self, call: &Call<'_>) -> Result<(), Failure>;

    /// Looks. Changes nothing.
    ///
    /// # Errors
    /// [`Pause`]: answers are missing, or the task fails.
    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause>;

    /// What its acts leave behind, for the tasks that come after it in a preview. What acts on files leave is plain by
    /// themselves; what a command leaves is the module's to say, and where it does not, nobody knows.
    ///
    /// # Errors
    /// [`Pause`], as [`Module::inspect`].
    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        let _ = guest;
        Ok(verdict.effects(call.name))
    }

    /// What it may touch where nobody can tell before it is run whether it does anything.
    fn touches(&self, _: &Map) -> Touches {
        Touches::Anything
    }

    /// What is surely so after it, whatever was before: so that what comes after it is known although nobody can tell
    /// whether it changes anything.
    ///
    /// # Errors
    /// The arguments are wrong.
    fn ensure(&self, call: &Call<'_>) -> Result<Vec<Effect>, Failure> {
        let _ = call;
        Ok(vec![])
    }

    /// The result, after all acts of the verdict are done; one [`guest::Done`] for each.
    ///
    /// # Errors
    /// The acts show that the task failed.
    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[guest::Done]) -> Result<Report, Failure> {
        let _ = call;
        verdict.report_after(done)
    }
}

/// Why [`Module::inspect`] did not come to its end.
#[derive(Clone, Debug)]
pub enum Pause {
    /// Answers are missing: [`Known::take_wanted`] has the questions.
    Asked,
    /// The task fails.
    Failed(Failure),
    /// Nobody can know before it is run, and why.
    Unknown(String),
}

/// What a module may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touches {
    /// Nothing in the guest.
    Nothing,
    /// The paths that these arguments name, and what is below them.
    Paths(&'static [&'static str]),
    /// The units that these arguments name.
    Units(&'static [&'static str]),
    /// Packages, and what they bring.
    Packages,
    /// Users and groups, and the paths that these arguments name.
    Accounts(&'static [&'static str]),
    /// What commands say about this ([`guest::About::Named`]).
    Named(&'static str),
    /// Anything.
    Anything,
}

impl Touches {
    /// What is not known after it, and why. What an argument names that is not known itself may be anything.
    pub fn effects(self, args: Option<&Map>, why: &str) -> Vec<Effect> {
        let unknown = |scope: Scope| Effect::unknown(scope, why);
        let named = |names: &[&str], scope: fn(String) -> Scope| match args {
            None => vec![Effect::opaque(why)],
            Some(args) => {
                let values = names.iter().filter_map(|name| args.get(*name));
                values.map(|value| unknown(scope(crate::template::ansible::text(value)))).collect()
            }
        };
        match self {
            Touches::Nothing => vec![],
            Touches::Paths(names) => named(names, Scope::Path),
            Touches::Units(names) => named(names, Scope::Unit),
            Touches::Packages => vec![unknown(Scope::Packages)],
            Touches::Accounts(names) => {
                named(names, Scope::Path).into_iter().chain([unknown(Scope::Accounts)]).collect()
            }
            Touches::Named(name) => vec![unknown(Scope::Named(name.to_owned()))],
            Touches::Anything => vec![Effect::opaque(why)],
        }
    }
}

impl From<Failure> for Pause {
    fn from(failure: Failure) -> Self {
        Pause::Failed(failure)
    }
}

/// One run of a task on one host: all that a module may see beside the guest.
pub struct Call<'a> {
    /// The module as the file names it.
    pub name: &'a str,
    /// The arguments, rendered; what was `omit` is left out. Free-form words are under `_raw_params`.
    pub args: &'a Map,
    /// Nothing is to be done.
    pub check: bool,
    /// Differences are to be shown.
    pub diff: bool,
    /// `become_user`: the user by whose name (or number) it runs; root where this is `None`.
    pub user: Option<&'a str>,
    /// `environment:`.
    pub environment: &'a BTreeMap<String, String>,
    /// The guest's facts, without the `ansible_` before them: `os_family`, `distribution_release`, `pkg_mgr` …
    /// Empty where none were gathered.
    pub facts: &'a Value,
    /// Why facts are not known yet.
    pub unknown_facts: Option<&'a str>,
    /// The operator's side.
    pub controller: &'a dyn Controller,
    /// How often acts were done and `inspect` began anew; 0 in the beginning.
    pub round: u32,
}

/// What a module may have of the operator's side: the files of the playbook and its roles, and templates.
pub trait Controller {
    /// Finds a file: `kind` is `files` or `templates` (or `vars`, `tasks`).
    ///
    /// # Errors
    /// Where it was looked for.
    fn find(&self, kind: &str, name: &str) -> Result<PathBuf, Failure>;

    /// A file's content, decrypted where it is encrypted.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, path: &std::path::Path) -> Result<Vec<u8>, Failure>;

    /// Size and permissions, the SHA-1 and SHA-256 of a file's content; the content of a big one is read in pieces.
    ///
    /// # Errors
    /// It cannot be read.
    fn describe(&self, path: &std::path::Path) -> Result<LocalFile, Failure>;

    /// All that is below a directory, sorted, relative to it.
    ///
    /// # Errors
    /// It cannot be read.
    fn list(&self, directory: &std::path::Path) -> Result<Vec<LocalEntry>, Failure>;

    /// Renders a template file with the task's variables, and these beside them.
    ///
    /// # Errors
    /// The template's error, with its own file and line.
    fn render(&self, path: &std::path::Path, options: &TemplateOptions, more: &Map) -> Result<String, Failure>;

    /// Evaluates a condition (`assert`'s `that`).
    ///
    /// # Errors
    /// The expression's error.
    fn condition(&self, expression: &Value) -> Result<bool, Failure>;

    /// A variable by name, rendered (`debug: var=`), or an expression.
    ///
    /// # Errors
    /// The expression's error; what is not defined is `Ok(None)`.
    fn evaluate(&self, expression: &str) -> Result<Option<Value>, Failure>;

    /// The path, absolute, that a relative one at the operator's side means (`fetch`'s `dest`).
    fn absolute(&self, path: &str) -> PathBuf;

    /// The host's name in the inventory.
    fn host(&self) -> String {
        String::new()
    }

    /// Seconds since 1970.
    fn now(&self) -> i64;
}

/// A file at the operator's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// Bytes.
    pub size: u64,
    /// Permissions.
    pub mode: u32,
    /// It is a directory.
    pub is_directory: bool,
    /// SHA-1 in hex (Ansible's `checksum`); empty for a directory.
    pub sha1: String,
    /// SHA-256 in hex; empty for a directory.
    pub sha256: String,
}

/// Something below a directory at the operator's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalEntry {
    /// Relative to the directory.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// It is a directory.
    pub is_directory: bool,
    /// Where it points, if it is a symbolic link.
    pub target: Option<String>,
}

/// How a template file is read and rendered (the `template` module's arguments).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateOptions {
    /// A block's own line end vanishes.
    pub trim_blocks: bool,
    /// Blanks before a block vanish.
    pub lstrip_blocks: bool,
    /// `\n`, `\r` or `\r\n`.
    pub newline_sequence: String,
    /// In place of `{{`.
    pub variable_start: Option<String>,
    /// In place of `}}`.
    pub variable_end: Option<String>,
    /// In place of `{%`.
    pub block_start: Option<String>,
    /// In place of `%}`.
    pub block_end: Option<String>,
    /// In place of `{#`.
    pub comment_start: Option<String>,
    /// In place of `#}`.
    pub comment_end: Option<String>,
}

impl Default for TemplateOptions {
    fn default() -> Self {
        TemplateOptions {
            trim_blocks: true,
            lstrip_blocks: false,
            newline_sequence: "\n".into(),
            variable_start: None,
            variable_end: None,
            block_start: None,
            block_end: None,
            comment_start: None,
            comment_end: None,
        }
    }
}

/// The directory of a path.
pub fn parent_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// A shell's pattern as a regular expression over whole names.
pub fn glob_regex(pattern: &str) -> String {
    let each = |c: char| match c {
        '*' => ".*".to_owned(),
        '?' => ".".to_owned(),
        '[' | ']' => c.to_string(),
        c => fancy_regex::escape(&c.to_string()).into_owned(),
    };
    format!("^{}$", pattern.chars().map(each).collect::<String>().replace("[!", "[^"))
}

/// A map's entries by name, in order; of anything else none.
pub fn entries(value: &Value) -> Map {
    if value.kind() != crate::template::ValueKind::Map {
        return Map::new();
    }
    let keys = value.try_iter().into_iter().flatten();
    keys.map(|key| (crate::template::ansible::text(&key), value.get_item(&key).unwrap_or_default())).collect()
}

impl Call<'_> {
    /// The arguments as the module's own type.
    ///
    /// # Errors
    /// An unknown argument (with the nearest), a missing one, a value of another type.
    pub fn args<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        decode(self.args).map_err(|error| Failure::new(format!("{}: {error}", self.name)))
    }

    /// A fact as text; empty where there is none.
    ///
    /// # Errors
    /// [`Pause::Unknown`] where facts are not known yet.
    pub fn fact(&self, name: &str) -> Result<String, Pause> {
        if let Some(why) = self.unknown_facts {
            return Err(Pause::Unknown(why.to_owned()));
        }
        let value = self.facts.get_attr(name).unwrap_or_default();
        Ok(value.as_str().map(str::to_owned).unwrap_or_default())
    }
}
