use std::io::Write;
use std::path::{Path, PathBuf};

use super::common::complain;
use super::{Exit, Global, command};

/// `lxdeploy man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for every command into this directory, which is made where it is missing
    #[arg(long, value_name = "DIR", env = "LXDEPLOY_MAN_OUT", hide_env = true)]
    out: Option<PathBuf>,
}

/// Writes the main page to stdout, or all pages into a directory.
pub fn run(args: &Args, global: &Global) -> Exit {
    let written = match &args.out {
        None => page(command()).and_then(|page| std::io::stdout().write_all(&page)),
        Some(directory) => all(directory),
    };
    match (written, &args.out) {
        (Ok(()), _) => Exit::Done,
        (Err(error), None) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        (Err(error), None) => complain(global, &format!("the page cannot be written: {error}")),
        (Err(error), Some(directory)) => {
            complain(global, &format!("the pages cannot be written into {}: {error}", directory.display()))
        }
    }
}

fn page(command: clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = vec![];
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

fn all(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command().disable_help_subcommand(true), directory)
}
