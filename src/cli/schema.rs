use std::io::Write;

use super::Exit;
use crate::site;

/// Writes the JSON Schema of site and platform files to stdout.
pub fn run() -> Exit {
    // Whoever closes the pipe early has what he wants.
    let _ = writeln!(std::io::stdout(), "{:#}", site::schema::schema());
    Exit::Done
}
