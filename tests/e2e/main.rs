//! End-to-end tests against a real LXD daemon, which `tests/run.sh` starts and which all of them share.
//!
//! Each test has a project, a bridge and a site name of its own, so that they run side by side.

mod bed;

mod alone;
mod applying;
mod baking;
mod by_hand;
mod deleting;
mod drifting;
mod dumping;
mod explaining;
mod exporting;
mod failing;
mod faults;
mod flags;
mod following;
mod guest;
mod inside;
mod locking;
mod modules;
mod ownership;
mod plays;
mod previews;
mod proxy;
mod renaming;
mod replacing;
mod restricted;
mod rolling;
mod saving;
mod unprivileged;
mod updating;
mod words;
