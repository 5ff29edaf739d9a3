//! Packages, repositories and what else brings software.

mod apk;
mod apt;
mod apt_key;
mod apt_repository;
mod deb822_repository;
mod deb_file;
mod debconf;
mod debian;
mod dnf;
mod fetch;
mod git;
mod package;
mod package_facts;
mod pip;
#[cfg(test)]
mod tests;
mod version;

use fancy_regex::Regex;

use super::{Change, Failure, Module, Verdict};
use crate::forecast::{Effect, Scope};
use crate::guest::{Package, PackageManager};

/// The modules of this family.
pub const MODULES: &[&dyn Module] = &[
    &apt::Apt,
    &package::Package,
    &dnf::Dnf,
    &apk::Apk,
    &apt_repository::AptRepository,
    &deb822_repository::Deb822Repository,
    &apt_key::AptKey,
    &debconf::Debconf,
    &pip::Pip,
    &git::Git,
    &package_facts::PackageFacts,
];

fn joined(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A shell's pattern as a regular expression over whole names.
fn glob(pattern: &str) -> Result<Regex, Failure> {
    Regex::new(&super::glob_regex(pattern)).map_err(|error| Failure::new(format!("`{pattern}` is no pattern: {error}")))
}

/// The packages of a verdict as they will be, by the names that it changes, and that nobody knows what they bring.
fn foreseen(manager: PackageManager, module: &str, verdict: &Verdict) -> Vec<Effect> {
    let package = |change: &Change| {
        let name = change.what.strip_prefix("package ")?.to_owned();
        let package = Package { installed: change.after.clone(), ..Package::default() };
        Some(Effect::Package { manager, name, package })
    };
    let runs = !verdict.writes.is_empty();
    // A package that comes leaves what is there; one that was there has files, and nobody asks which.
    let is_new = verdict.changes.iter().all(|change| change.what.starts_with("package ") && change.before.is_none());
    let scope = if is_new { Scope::Packages } else { Scope::Everything };
    let brings = runs.then(|| Effect::unknown(scope, format!("what `{module}` brings and takes away")));
    brings.into_iter().chain(verdict.changes.iter().filter_map(package)).collect()
}
