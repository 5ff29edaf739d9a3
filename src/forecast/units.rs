//! What acts make of systemd's units.

use std::collections::BTreeMap;

use super::Belief;
use crate::guest::{Answer, Content, Probe, Write};

/// Where unit files are, by systemd's own order.
const DIRECTORIES: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// `nginx` is `nginx.service`.
pub fn full(name: &str) -> String {
    let kinds =
        ["service", "socket", "timer", "target", "mount", "automount", "path", "slice", "scope", "swap", "device"];
    match name.rsplit_once('.') {
        Some((_, kind)) if kinds.contains(&kind) => name.to_owned(),
        _ => format!("{name}.service"),
    }
}

/// The unit that a file is of, and whether it is the unit's own (else it is a part of it, in `NAME.d`).
pub fn of_path(path: &str) -> Option<(String, bool)> {
    let rest = DIRECTORIES.iter().find_map(|directory| path.strip_prefix(directory)?.strip_prefix('/'))?;
    match rest.split_once('/') {
        None => Some((rest.to_owned(), true)),
        Some((directory, _)) => Some((directory.strip_suffix(".d")?.to_owned(), false)),
    }
}

/// Is this question about the unit, or about the links that enable it?
pub fn is(name: &str, probe: &Probe) -> bool {
    let name = full(name);
    match probe {
        Probe::Unit { name: asked, .. } => full(asked) == name,
        Probe::Stat { path, .. } | Probe::Hash { path, .. } | Probe::Read { path } => is_wanted_by(path, &name),
        _ => false,
    }
}

/// `/etc/systemd/system/multi-user.target.wants/NAME`.
fn is_wanted_by(path: &str, name: &str) -> bool {
    let Some((directory, file)) = path.rsplit_once('/') else { return false };
    file == name
        && path.starts_with("/etc/systemd/system/")
        && (directory.ends_with(".wants") || directory.ends_with(".requires"))
}

/// Properties are these.
pub fn changed(
    name: &str,
    properties: &[(&'static str, String)],
    probe: &Probe,
    below: &dyn Fn(&Probe) -> Belief,
) -> Option<Belief> {
    if !is(name, probe) {
        return None;
    }
    let Probe::Unit { .. } = probe else {
        return Some(Belief::Unknown(format!("the links that enable {name}")));
    };
    Some(match below(probe) {
        Belief::Known(Answer::Unit(Some(mut unit))) => {
            unit.extend(properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            Belief::Known(Answer::Unit(Some(unit)))
        }
        other => other,
    })
}

/// A file that is, or would be, a unit's.
pub fn written(write: &Write, name: &str, below: impl Fn() -> Belief) -> Option<Belief> {
    let name = full(name);
    let touched: Vec<_> = super::paths::touched(write).iter().filter_map(|path| of_path(path)).collect();
    // `NAME@.service` is the file of all `NAME@WHAT.service`.
    let template =
        name.split_once('@').and_then(|(front, rest)| Some(format!("{front}@.{}", rest.rsplit_once('.')?.1)));
    let (_, is_own) = touched.into_iter().find(|(unit, _)| *unit == name || Some(unit) == template.as_ref())?;
    let unit = match below() {
        Belief::Known(Answer::Unit(Some(unit))) => unit,
        other => return Some(other),
    };
    let is_new = unit.get("LoadState").is_some_and(|state| state == "not-found");
    let unknown = || Some(Belief::Unknown(format!("what systemd makes of {name}")));
    match write {
        Write::File { content: Content::Bytes(text), .. } if is_own && is_new => {
            let text = String::from_utf8_lossy(text);
            Some(Belief::Known(Answer::Unit(Some(of_text(unit, &text)))))
        }
        Write::File { .. } if !is_new => {
            let mut unit = unit;
            unit.insert("NeedDaemonReload".into(), "yes".into());
            Some(Belief::Known(Answer::Unit(Some(unit))))
        }
        Write::Attributes { .. } => Some(Belief::Known(Answer::Unit(Some(unit)))),
        _ => unknown(),
    }
}

/// A unit that is there by its file alone.
fn of_text(mut unit: BTreeMap<String, String>, text: &str) -> BTreeMap<String, String> {
    let mut is_install = false;
    let mut enables = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_install = line == "[Install]";
        } else if is_install {
            let key = line.split('=').next().unwrap_or_default().trim();
            enables |= ["WantedBy", "RequiredBy", "UpheldBy", "Alias", "Also"].contains(&key);
        }
    }
    let state = if enables { "disabled" } else { "static" };
    let values = [("LoadState", "loaded"), ("ActiveState", "inactive"), ("SubState", "dead"), ("UnitFileState", state)];
    unit.extend(values.map(|(name, value)| (name.to_owned(), value.to_owned())));
    unit
}
