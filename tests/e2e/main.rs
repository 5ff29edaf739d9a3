//! End-to-end tests against a real LXD daemon, which `tests/run.sh` starts and which all of them share.
//!
//! Each test has a project, a bridge and a site name of its own, so that they run side by side.

mod bed;

mod applying;
mod by_hand;
mod deleting;
mod explaining;
mod failing;
mod flags;
mod following;
mod ownership;
mod renaming;
mod replacing;
mod rolling;
mod updating;
