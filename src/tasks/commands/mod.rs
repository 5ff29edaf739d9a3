//! Commands, waiting, requests: what has no state of its own to compare with.

mod command;
mod expect;
mod program;
mod reboot;
mod script;
mod shell;
#[cfg(test)]
mod tests;
mod uri;
mod wait_for;
mod wait_for_connection;
mod words;

pub use words::split as shell_words;

use super::Module;

/// The modules of this family.
pub const MODULES: &[&dyn Module] = &[
    &command::Command,
    &shell::Shell,
    &script::Script,
    &expect::Expect,
    &wait_for::WaitFor,
    &wait_for_connection::WaitForConnection,
    &uri::Uri,
    &reboot::Reboot,
];
