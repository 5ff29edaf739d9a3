//! Whatever is killed or cut: the next apply converges, nothing is lost and nothing doubled.
//!
//! Each test has a short form that always runs and a long one, `soak_…`, which `tests/soak/run.sh` runs.

mod cuts;
mod daemon;
mod half_made;
mod kills;
pub mod random;
mod site;
mod writers;
