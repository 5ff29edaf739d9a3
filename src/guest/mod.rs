//! The seam to an instance's inside.

mod exec;
mod log;
mod ready;

pub use exec::exec;
pub use log::last_log_lines;
pub use ready::{NotReady, addresses, holds, wait_ready};
