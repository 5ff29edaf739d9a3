//! The standard platform of `examples/`, deployed by lxdeploy on a real LXD, serving, attacked and broken. Needs the LXD of
//! `tests/bed.sh` and Debian's image; see tests/run.sh.

mod bed;
mod faults;
mod security;
mod serving;
mod updates;
