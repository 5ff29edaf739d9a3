//! From a plan to the server: the schedule decides, the driver runs, each step is one file's matter.

pub mod bake;
mod cluster;
mod create;
mod driver;
mod explain;
mod facts;
mod image;
mod leftovers;
pub mod lock;
mod power;
mod provision;
pub mod schedule;
mod send;
mod step;
mod stopped;
mod turns;

pub use driver::{Interrupt, Run, run};
pub use provision::{Plays, preview};
