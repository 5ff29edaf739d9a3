//! lxdeploy: site files in git become running LXD infrastructure.
//!
//! # A tour of the house
//!
//! ```text
//! site files ──► Site ──► desired objects ─┐
//!                                          ├─► Plan (steps as data) ──► schedule ──► events ──► reporters
//! live LXD ───────────► live snapshot ─────┘
//! ```
//!
//! The rooms, top to bottom; a room may use those above it, never those below (`tests/tidy.rs` holds them to it):
//!
//! - [`model`]: addresses, paths, places, secrets, events
//! - [`diagnostic`]: one shape for every error that a user sees
//! - [`tree`]: the spanned tree that files become, and typed decoding with every error at its place
//! - [`template`]: Jinja over values
//! - [`secrets`]: where secret values come from
//! - [`lxd`]: the client; the only room that knows HTTP
//! - [`kinds`]: one file per LXD object kind
//! - [`guest`]: the seam to an instance's inside
//! - [`forecast`]: a guest as it will be: its answers, and what acts leave laid over them; pure
//! - [`tasks`]: one file per task module, without I/O
//! - [`site`]: find, parse, merge, render and validate the user's files
//! - [`live`]: the bulk reader
//! - [`play`]: the interpreter of playbooks: hosts, variables, roles, blocks, handlers
//! - [`plan`]: diff, stamps, order; pure
//! - [`export`]: from a live server to a site file; pure
//! - [`apply`]: the schedule (pure) and its driver
//! - [`report`]: terminal, JSON, progress; the only room that prints
//! - [`cli`]: one file per command; the only wiring

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))] // cli/say.rs prints

pub mod apply;
pub mod cli;
pub mod diagnostic;
pub mod export;
pub mod forecast;
pub mod guest;
pub mod kinds;
pub mod live;
pub mod lxd;
pub mod model;
pub mod plan;
pub mod play;
pub mod report;
pub mod secrets;
pub mod site;
pub mod tasks;
pub mod template;
pub mod tree;
