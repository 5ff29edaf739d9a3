//! What people and machines are shown. The only room that prints; it reads sites, plans and events and calls nothing.
//!
//! Results (a plan, a status, JSON) go to stdout; progress, prompts and complaints to stderr.

pub mod diagnostics;
pub mod diff;
pub mod drift;
pub mod events;
pub mod graph;
pub mod inside;
pub mod json;
pub mod markdown;
pub mod plays;
mod progress;
mod prompt;
pub mod reference;
pub mod remotes;
pub mod saved;
pub mod status;
mod style;
pub mod text;
pub mod why;

pub use progress::{JsonLines, Plain, Reporter, Terminal};
pub use prompt::{confirm, trusts};
pub use style::Style;

#[cfg(test)]
mod tests;
