use std::path::{Path, PathBuf};

use super::common::complain;
use super::say::outln;
use super::{Exit, Global, command};
use crate::report::reference::{self, Role};

/// `lxdeploy docs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write it into this directory, which is made where it is missing
    #[arg(default_value = "docs", value_name = "DIR")]
    directory: PathBuf,
    /// The reference of the roles in this directory as well; repeatable
    #[arg(long, value_name = "DIR", env = "LXDEPLOY_ROLES", hide_env = true)]
    roles: Vec<PathBuf>,
}

/// Writes the reference: commands, site files, task modules, and roles.
pub fn run(args: &Args, global: &Global) -> Exit {
    match write(args) {
        Ok(names) => {
            names.iter().for_each(|name| outln!("{}", args.directory.join(name).display()));
            Exit::Done
        }
        Err(reason) => complain(global, &reason),
    }
}

fn write(args: &Args) -> Result<Vec<&'static str>, String> {
    let mut whole = command().disable_help_subcommand(true);
    whole.build();
    let mut pages = vec![
        ("cli.md", reference::commands(&whole)),
        ("site-file.md", reference::site_file()),
        ("tasks.md", reference::modules()),
    ];
    let mut roles = vec![];
    for directory in &args.roles {
        roles.extend(of_directory(directory)?);
    }
    if !roles.is_empty() {
        pages.push(("roles.md", reference::roles(&roles)));
    }
    let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(&args.directory).map_err(|error| named(&args.directory, error))?;
    for (name, text) in &pages {
        let path = args.directory.join(name);
        std::fs::write(&path, text).map_err(|error| named(&path, error))?;
    }
    Ok(pages.into_iter().map(|(name, _)| name).collect())
}

/// The roles in a directory that say what their variables are, by name.
fn of_directory(directory: &Path) -> Result<Vec<Role>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut roles = vec![];
    for entry in std::fs::read_dir(directory).map_err(named)? {
        let role = entry.map_err(named)?.path();
        let path = role.join("meta/argument_specs.yml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let specs = serde_yaml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        roles.push(Role { name: role.file_name().unwrap_or_default().to_string_lossy().into_owned(), specs });
    }
    if roles.is_empty() {
        return Err(format!("{} has no role with a meta/argument_specs.yml", directory.display()));
    }
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(roles)
}
