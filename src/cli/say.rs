//! What is printed. Whoever reads it may have gone (`lxdeploy plan | head`): then nobody is left to be told, and the
//! work goes on to its end.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints to stdout, as `print!`.
macro_rules! out {
    ($($words:tt)*) => { $crate::cli::say::stdout(format!($($words)*).as_bytes()) };
}

/// Prints a line to stdout, as `println!`.
macro_rules! outln {
    ($($words:tt)*) => { $crate::cli::say::stdout((format!($($words)*) + "\n").as_bytes()) };
}

/// Prints a line to stderr, as `eprintln!`.
macro_rules! errln {
    ($($words:tt)*) => { $crate::cli::say::stderr((format!($($words)*) + "\n").as_bytes()) };
}

pub(super) use {errln, out, outln};

static IS_LOST: AtomicBool = AtomicBool::new(false);

/// Writes to stdout; that it cannot be written is told on stderr.
pub fn stdout(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            IS_LOST.store(true, Ordering::Relaxed);
            errln!("error: stdout: {error}");
        }
        _ => {}
    }
}

/// Writes to stderr.
pub fn stderr(bytes: &[u8]) {
    let _ = std::io::stderr().lock().write_all(bytes);
}

/// True if something that was to be printed could not be written: the disk is full.
pub fn is_lost() -> bool {
    IS_LOST.load(Ordering::Relaxed)
}
