//! What packages that come and go make of the answers.

use super::{Belief, accounts, paths};
use crate::guest::{Answer, Package, PackageManager, Probe};

/// Where no package puts anything, by the distributions' policies: the Filesystem Hierarchy Standard's places for the
/// machine's own.
const OURS: &[&str] =
    &["/srv", "/home", "/root", "/usr/local", "/tmp", "/var/tmp", "/mnt", "/media", "/etc/systemd/system"];

/// A package is so.
pub fn changed(manager: PackageManager, name: &str, package: &Package, probe: &Probe) -> Option<Belief> {
    match probe {
        Probe::Package { manager: of, name: asked, .. } if *of == manager && bare(asked) == bare(name) => {
            Some(Belief::Known(Answer::Package(package.clone())))
        }
        _ => None,
    }
}

/// `nginx:amd64` is `nginx`.
fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// The lists are new: what is not installed may have another version, or be there at all.
pub fn listed(manager: PackageManager, probe: &Probe, below: &dyn Fn(&Probe) -> Belief) -> Option<Belief> {
    let Probe::Package { manager: of, candidate: true, .. } = probe else { return None };
    if *of != manager {
        return None;
    }
    match below(probe) {
        Belief::Known(Answer::Package(package)) if package.installed.is_none() => {
            Some(Belief::Known(Answer::Package(Package { candidate: None, is_awaited: true, ..package })))
        }
        other => Some(other),
    }
}

/// May a package that comes change this answer? It brings what is not there; what is there it leaves, but for what all
/// packages share.
pub fn may_come(probe: &Probe, answer: &Answer) -> bool {
    // Links that enable units are made when these are installed.
    let is_link = |path: &str| path.contains(".wants/") || path.contains(".requires/");
    let is_ours = |path: &str| OURS.iter().any(|ours| paths::is_within(path, ours)) && !is_link(path);
    match (probe, answer) {
        (Probe::Stat { path, .. }, Answer::Stat(None))
        | (Probe::Hash { path, .. }, Answer::Hash(None))
        | (Probe::Read { path }, Answer::Read(None))
        | (Probe::List { path, .. }, Answer::List(_)) => !is_ours(path),
        (Probe::User(_), Answer::User(None)) | (Probe::Group(_), Answer::Group(None)) => true,
        (Probe::Unit { .. }, Answer::Unit(Some(unit))) => {
            unit.get("LoadState").is_some_and(|state| state == "not-found")
        }
        (Probe::Unit { .. }, Answer::Unit(None)) => true,
        (Probe::Which(_), Answer::Which(None)) => true,
        _ => accounts::is_file_of(probe),
    }
}
