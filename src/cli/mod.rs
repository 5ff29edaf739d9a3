//! One file per command; the only wiring of the rooms.

mod apply;
mod common;
mod completions;
mod destroy;
mod diff;
mod docs;
mod drift;
mod dump;
mod exec;
mod execute;
mod export;
mod graph;
mod image;
mod logging;
mod man;
mod plan;
mod preview;
mod provision;
mod remote;
mod run;
mod saved;
mod say;
mod schema;
mod secrets;
mod status;
mod unlock;
mod validate;
mod why;

use std::process::ExitCode;

use clap::builder::BoolishValueParser;
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use say::errln;

/// Declarative provisioner for LXD: a site file in git becomes running containers.
#[derive(Debug, Parser)]
#[command(name = "lxdeploy", version, about, max_term_width = 100)]
#[command(
    after_help = "Every flag can be set by a variable LXDEPLOY_FLAG (LXDEPLOY_REMOTE, LXDEPLOY_YES=1); an empty one counts as unset.\n\
    Exit codes: 0 done, 1 error, 2 changes pending (plan --detailed-exitcode) or drift, 130 interrupted."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Commands,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// More of what happens, to stderr: -v, -vv (requests), -vvv
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// How logs are written
    #[arg(long, global = true, value_enum, default_value_t = logging::Format::Text, env = "LXDEPLOY_LOG_FORMAT", hide_env = true)]
    log_format: logging::Format,
    /// Without colours (NO_COLOR says the same)
    #[arg(long, global = true, env = "LXDEPLOY_NO_COLOR", hide_env = true, value_parser = BoolishValueParser::new())]
    no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Check a site file; needs no server
    Validate(validate::Args),
    /// Show what an apply would do; changes nothing
    Plan(plan::Args),
    /// Make the server as the site says
    Apply(apply::Args),
    /// Run a playbook on instances of the site
    Run(run::Args),
    /// Run a command in instances of the site
    Exec(exec::Args),
    /// Remove everything that carries the site's stamp
    Destroy(destroy::Args),
    /// Remove the lock of an apply that is gone
    Unlock(unlock::Args),
    /// Show each instance of the site: state, addresses, ready, in step or not
    Status(status::Args),
    /// Show what a change of the files since a revision of git means for each site; needs no server
    Diff(diff::Args),
    /// Show what moved at the server since it was applied; writes nothing
    Drift(drift::Args),
    /// Write what a plan reads of the server, without secrets, for `plan --live`
    Dump(dump::Args),
    /// Write a site file of what lives at a server; it plans to `adopt` and nothing else
    Export(export::Args),
    /// Images in which roles were run already
    Image(image::Args),
    /// Servers by name
    Remote(remote::Args),
    /// Encrypted files of variables
    Secrets(secrets::Args),
    /// Say where a value comes from: who set it, over what, by which template; needs no server
    Why(why::Args),
    /// Draw what the objects of a site need; needs no server
    Graph(graph::Args),
    /// Write the JSON Schema of site and platform files, for editors
    Schema,
    /// Write what completes commands and flags in a shell
    Completions(completions::Args),
    /// Write the reference: commands, site files, task modules, roles
    Docs(docs::Args),
    /// Write the manual
    Man(man::Args),
}

/// What a command ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1: an error, told already.
    Failed,
    /// 2: changes are pending (`plan --detailed-exitcode`), or the server moved (`drift`).
    Pending,
    /// 130: Ctrl-C.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Pending => 2,
            Exit::Interrupted => 130,
        })
    }
}

/// The whole command line as data: what completions, manual and reference are made of.
pub fn command() -> Command {
    Cli::command()
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let matches = match without_empty_variables(Cli::command()).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Usage errors are errors like any other: 1, and 2 stays for pending changes.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(1);
        }
    };
    logging::start(&cli.global);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            errln!("error: {error}");
            return ExitCode::from(1);
        }
    };
    let exit = runtime.block_on(dispatch(cli));
    // A wait that was left must not hold the process.
    runtime.shutdown_background();
    if say::is_lost() { ExitCode::from(1) } else { exit.into() }
}

async fn dispatch(cli: Cli) -> Exit {
    let global = &cli.global;
    match cli.command {
        Commands::Validate(args) => validate::run(&args, global),
        Commands::Plan(args) => plan::run(&args, global).await,
        Commands::Apply(args) => apply::run(&args, global).await,
        Commands::Run(args) => run::run(&args, global).await,
        Commands::Exec(args) => exec::run(&args, global).await,
        Commands::Destroy(args) => destroy::run(&args, global).await,
        Commands::Unlock(args) => unlock::run(&args, global).await,
        Commands::Status(args) => status::run(&args, global).await,
        Commands::Diff(args) => diff::run(&args, global),
        Commands::Drift(args) => drift::run(&args, global).await,
        Commands::Dump(args) => dump::run(&args, global).await,
        Commands::Export(args) => export::run(&args, global).await,
        Commands::Image(args) => image::run(&args, global).await,
        Commands::Remote(args) => remote::run(&args, global).await,
        Commands::Secrets(args) => secrets::run(&args, global),
        Commands::Why(args) => why::run(&args, global),
        Commands::Graph(args) => graph::run(&args, global),
        Commands::Schema => schema::run(),
        Commands::Completions(args) => completions::run(&args),
        Commands::Docs(args) => docs::run(&args, global),
        Commands::Man(args) => man::run(&args, global),
    }
}

/// An empty variable counts as unset, also where the flag takes no empty value.
fn without_empty_variables(command: Command) -> Command {
    let is_empty = |arg: &clap::Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(None::<&str>) } else { arg });
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_empty_variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
