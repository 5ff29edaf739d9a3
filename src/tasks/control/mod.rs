//! What touches no guest: messages, checks, variables, time.

mod assert;
mod debug;
mod fail;
mod pause;
mod ping;
mod set_fact;
mod set_stats;

use super::Module;

/// The modules of this family.
pub const MODULES: &[&dyn Module] = &[
    &debug::Debug,
    &assert::Assert,
    &fail::Fail,
    &pause::Pausing,
    &set_fact::SetFact,
    &set_stats::SetStats,
    &ping::Ping,
];
