use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;

use super::common::{Format, SiteArgs, complain, interruptible, open_for_plays};
use super::execute::reporter;
use super::say::{errln, outln};
use super::{Exit, Global};
use crate::apply::Plays;
use crate::diagnostic::Diagnostic;
use crate::guest::Session;
use crate::model::{Event, Id, Masker, PlayEvent};
use crate::play::{self, Settings};
use crate::report::{self, Style};

/// `lxdeploy run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The playbook
    playbook: PathBuf,
    #[command(flatten)]
    site: SiteArgs,
    /// Do nothing; tell what would be done
    #[arg(short = 'C', long, env = "LXDEPLOY_CHECK", hide_env = true, value_parser = BoolishValueParser::new())]
    check: bool,
    /// Show what differs in files
    #[arg(short = 'D', long, env = "LXDEPLOY_DIFF", hide_env = true, value_parser = BoolishValueParser::new())]
    diff: bool,
    /// Only hosts of this pattern
    #[arg(short, long, value_name = "PATTERN", env = "LXDEPLOY_LIMIT", hide_env = true)]
    limit: Option<String>,
    /// Only tasks with one of these tags; repeatable
    #[arg(short, long, value_name = "TAGS", value_delimiter = ',', env = "LXDEPLOY_TAGS", hide_env = true)]
    tags: Vec<String>,
    /// No tasks with one of these tags; repeatable
    #[arg(long, value_name = "TAGS", value_delimiter = ',', env = "LXDEPLOY_SKIP_TAGS", hide_env = true)]
    skip_tags: Vec<String>,
    /// Leave out the tasks before the one of this name
    #[arg(long, value_name = "NAME", env = "LXDEPLOY_START_AT_TASK", hide_env = true)]
    start_at_task: Option<String>,
    /// Variables stronger than all others: name=value, JSON, or @FILE; repeatable
    #[arg(short, long, value_name = "VARS", env = "LXDEPLOY_EXTRA_VARS", hide_env = true)]
    extra_vars: Vec<String>,
    /// List the tasks, and run none
    #[arg(long, env = "LXDEPLOY_LIST_TASKS", hide_env = true, value_parser = BoolishValueParser::new())]
    list_tasks: bool,
    /// List the hosts, and run nothing
    #[arg(long, env = "LXDEPLOY_LIST_HOSTS", hide_env = true, value_parser = BoolishValueParser::new())]
    list_hosts: bool,
    /// So many hosts at once
    #[arg(short, long, value_name = "N", default_value_t = play::FORKS, env = "LXDEPLOY_FORKS", hide_env = true)]
    forks: usize,
    /// text, or json: an event a line
    #[arg(long, value_enum, default_value_t = Format::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    format: Format,
}

/// Runs a playbook on a site's instances.
pub async fn run(args: &Args, global: &Global) -> Exit {
    match interruptible(running(args, global)).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn running(args: &Args, global: &Global) -> Result<Exit, Exit> {
    let (opened, keys) = open_for_plays(&args.site, global)?;
    let settings = Settings {
        check: args.check,
        only_looks: false,
        diff: args.diff,
        limit: args.limit.clone(),
        tags: args.tags.clone(),
        skip_tags: args.skip_tags.clone(),
        start_at_task: args.start_at_task.clone(),
        forks: args.forks,
    };
    let snapshot = opened.read_instances(global).await?;
    let plays = opened.plays(&snapshot, keys, settings, &args.extra_vars);
    let plays = plays.map_err(|reason| complain(global, &reason))?;
    let masker = &opened.masker;
    let told = |problems: &[Diagnostic]| tell(problems, &plays, masker, global);
    let book = plays.shelf.playbook(&args.playbook).map_err(|problem| told(&[problem]))?;
    let reporter = RefCell::new(reporter(args.format, masker.clone(), global));
    if let Some(plays) = reporter.borrow_mut().plays() {
        plays.all = global.verbose > 0;
        plays.diff = args.diff;
        plays.check = args.check;
    }
    let emit = |event: PlayEvent| reporter.borrow_mut().event(&Event::Play(event));
    let sessions = |id: &Id| Session::new(&opened.client, id);
    let interpreter = plays.interpreter(&sessions, &emit);
    if args.list_tasks || args.list_hosts {
        let listed = interpreter.list(book).map_err(|problem| told(&[problem]))?;
        for play in listed {
            outln!("{}", play.shown(args.list_tasks));
        }
        return Ok(Exit::Done);
    }
    let result = interpreter.run(book).await;
    Ok(match result {
        Ok(is_well) => {
            interpreter.recap();
            if is_well { Exit::Done } else { Exit::Failed }
        }
        Err(problems) => {
            drop(reporter.borrow_mut());
            told(&problems)
        }
    })
}

/// Shows what is wrong with playbooks, with excerpts.
fn tell(problems: &[Diagnostic], plays: &Plays, masker: &Masker, global: &Global) -> Exit {
    let stderr = std::io::stderr();
    let style = Style::of(&stderr, global.no_color);
    let library = &plays.shelf.library;
    let text = report::diagnostics::render(problems, &library.sources(), style.color && stderr.is_terminal());
    errln!("{}\n", masker.mask(&library.mask(text)));
    let s = if problems.len() == 1 { "" } else { "s" };
    complain(global, &format!("{} error{s}; nothing was run", problems.len()))
}
