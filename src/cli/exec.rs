use std::collections::BTreeMap;

use clap::builder::BoolishValueParser;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::common::{SiteArgs, complain, interruptible, open_for_plays};
use super::say::{out, outln};
use super::{Exit, Global};
use crate::guest::{Command, Session};
use crate::play::{self, Settings};
use crate::report::Style;

/// `lxdeploy exec`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    /// Which instances: names, groups, globs; `web:!api-2`
    pattern: String,
    /// The program and its arguments, after `--`; no shell sees them
    #[arg(last = true, required = true)]
    command: Vec<String>,
    /// As this user
    #[arg(short, long, value_name = "NAME", env = "LXDEPLOY_USER", hide_env = true)]
    user: Option<String>,
    /// In this directory
    #[arg(long, value_name = "PATH", env = "LXDEPLOY_CWD", hide_env = true)]
    cwd: Option<String>,
    /// A line of the shell in place of a program: the words are joined
    #[arg(long, env = "LXDEPLOY_SHELL", hide_env = true, value_parser = BoolishValueParser::new())]
    shell: bool,
    /// So many instances at once
    #[arg(short, long, value_name = "N", default_value_t = play::FORKS, env = "LXDEPLOY_FORKS", hide_env = true)]
    forks: usize,
}

/// Runs a command in instances of a site, side by side; each one's output stays together.
pub async fn run(args: &Args, global: &Global) -> Exit {
    match interruptible(running(args, global)).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn running(args: &Args, global: &Global) -> Result<Exit, Exit> {
    let (opened, keys) = open_for_plays(&args.site, global)?;
    let snapshot = opened.read_instances(global).await?;
    let plays = opened.plays(&snapshot, keys, Settings::default(), &[]).map_err(|reason| complain(global, &reason))?;
    let hosts = plays.inventory.select(&args.pattern).map_err(|reason| complain(global, &reason))?;
    if hosts.is_empty() {
        return Err(complain(global, &format!("`{}` means no instance", args.pattern)));
    }
    let argv = if args.shell { vec!["sh".into(), "-c".into(), args.command.join(" ")] } else { args.command.clone() };
    let command = Command {
        argv,
        environment: BTreeMap::new(),
        cwd: args.cwd.clone(),
        user: args.user.clone(),
        ..Command::default()
    };
    let forks = tokio::sync::Semaphore::new(args.forks.max(1));
    let mut running: FuturesUnordered<_> = hosts
        .iter()
        .filter_map(|host| Some((host, &plays.inventory.hosts.get(host)?.id)))
        .map(|(host, id)| {
            let (command, forks, session) = (&command, &forks, Session::new(&opened.client, id));
            async move {
                let _fork = forks.acquire().await;
                (host, session.run(command).await)
            }
        })
        .collect();
    let style = Style::of(&std::io::stdout(), global.no_color);
    let mut is_well = true;
    while let Some((host, result)) = running.next().await {
        match result {
            Ok(output) => {
                is_well &= output.is_success();
                let ended = if output.is_success() {
                    style.green("✓")
                } else {
                    style.red(&format!("✗ exit code {}", output.code))
                };
                let text = opened.masker.mask(&format!("{}{}", output.text(), output.errors()));
                let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                out!("{} {ended}\n{text}{end}", style.bold(host));
            }
            Err(error) => {
                is_well = false;
                outln!("{} {}", style.bold(host), style.red(&format!("✗ {error}")));
            }
        }
    }
    Ok(if is_well { Exit::Done } else { Exit::Failed })
}
