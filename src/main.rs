//! The `lxdeploy` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lxdeploy::cli::main()
}
