//! The interpreter of playbooks: hosts, variables, roles, blocks, loops, handlers.
//!
//! ```text
//! playbook, role and variable files ─► Shelf: plays ─┐
//! site and live facts ─► Inventory ──────────────────┼─► run: per host a walk over its tasks ─► PlayEvents, Recap
//! command line ─► Settings ──────────────────────────┘        each: render ─► inspect ⇄ guest ─► acts ─► result
//! ```
//!
//! It interleaves conditions, facts and results with the guest's answers, so it is no pure function of a snapshot. What
//! a task does is the task room's; LXD is reached through the guest room alone.

mod content;
mod controller;
mod host;
mod inventory;
mod library;
mod loader;
mod model;
mod parse;
mod roles;
pub mod run;
mod scope;
mod settings;
mod words;

pub use inventory::{Host, Inventory};
pub use library::Library;
pub use loader::{Loader, Shelf};
pub use model::Play;
pub use roles::RoleUse;
pub use run::Interpreter;
pub use settings::{FORKS, Settings};
