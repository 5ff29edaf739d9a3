//! The seam to an instance's inside: questions and acts as data, and their way through LXD's exec and file API.

mod acts;
mod answers;
mod ask;
mod command;
mod exec;
mod log;
mod notes;
mod probe;
mod ready;
mod resident;
mod session;
mod shell;
mod write;

pub use command::{Command, Output};
pub use exec::exec;
pub use log::last_log_lines;
pub use probe::{About, Algorithm, Answer, Entry, FileKind, Group, Look, Package, PackageManager, Probe, Stat, User};
pub use ready::{NotReady, addresses, holds, wait_ready};
pub use session::{GuestError, Session};
pub use shell::quote;
pub use write::{Attributes, Content, Done, Write};
