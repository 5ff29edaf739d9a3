//! The reference: of the command line as clap has it, of the comments and types of the kinds and task modules, and of
//! what roles say of their variables.

mod commands;
mod modules;
mod roles;
mod site_file;

pub use commands::{commands, each};
pub use modules::modules;
pub use roles::{Role, roles};
pub use site_file::site_file;

/// The comments at the head of source files, by their path below `src/` without its ending; see `src/build.rs`.
const COMMENTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/comments.rs"));

const MADE: &str = "<!-- Made by `lxdeploy docs`. -->\n\n";

/// The `//!` lines of a file; empty where it has none.
fn comment(file: &str) -> &'static str {
    COMMENTS.iter().find(|(name, _)| *name == file).map_or("", |(_, comment)| comment)
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
