//! From a plan to the server: the schedule decides, the driver runs, each step is one file's matter.

mod cluster;
mod driver;
mod image;
pub mod lock;
pub mod schedule;
mod step;

pub use driver::{Interrupt, Run, run};
