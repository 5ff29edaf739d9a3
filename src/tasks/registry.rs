//! The list of modules.

use super::{Module, commands, control, files, packages, system};

/// All modules.
pub fn all() -> impl Iterator<Item = &'static dyn Module> {
    let families = [files::MODULES, packages::MODULES, system::MODULES, commands::MODULES, control::MODULES];
    families.into_iter().flatten().copied()
}

/// A module by any of its names: `apt`, `ansible.builtin.apt`, `ansible.legacy.apt`, `community.general.ini_file`.
pub fn find(name: &str) -> Option<&'static dyn Module> {
    let bare = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy."));
    let is = |module: &&'static dyn Module| {
        module.names().iter().any(|known| match (bare, known.contains('.')) {
            (Some(bare), false) => *known == bare,
            (Some(_), true) => false,
            (None, _) => *known == name || known.rsplit('.').next() == Some(name),
        })
    };
    all().find(is)
}

/// The names that are nearest to one that is none: for an error.
pub fn nearest(name: &str) -> Option<&'static str> {
    let bare = name.rsplit('.').next().unwrap_or(name);
    let names = all().flat_map(Module::names).copied();
    crate::diagnostic::nearest(bare, names)
}
