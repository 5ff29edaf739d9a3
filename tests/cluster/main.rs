//! End-to-end tests on a cluster of three members, which `tests/run.sh` starts and which all of them share.

#[allow(dead_code)] // the words for what a command left behind are shared, the single machine's bed is not
#[path = "../e2e/bed.rs"]
mod machine;

mod bed;

mod members;
mod outage;
mod placement;
mod unfinished;
