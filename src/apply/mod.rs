//! From a plan to the server: the schedule decides, the driver runs, each step is one file's matter.

mod driver;
mod explain;
mod facts;
mod image;
pub mod schedule;
mod step;
mod stopped;

pub use driver::{Interrupt, Run, run};
