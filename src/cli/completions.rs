use std::io::Write;

use super::{Exit, command};

/// `lxdeploy completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "bash: lxdeploy completions bash > ~/.local/share/bash-completion/completions/lxdeploy\n\
    zsh:  lxdeploy completions zsh > \"${fpath[1]}/_lxdeploy\"\n\
    fish: lxdeploy completions fish > ~/.config/fish/completions/lxdeploy.fish")]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Writes a shell's completions to stdout.
pub fn run(args: &Args) -> Exit {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut command(), "lxdeploy", &mut script);
    // Whoever closes the pipe early has what he wants.
    let _ = std::io::stdout().write_all(&script);
    Exit::Done
}
