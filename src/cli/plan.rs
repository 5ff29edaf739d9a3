use std::path::PathBuf;

use clap::builder::BoolishValueParser;

use super::common::{Format, Selection, SiteArgs, complain, interruptible, planned};
use super::{Exit, Global, saved};
use crate::report;

/// `lxdeploy plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    selection: Selection,
    /// text, json, or markdown for a pull request's comment
    #[arg(long, value_enum, default_value_t = PlanFormat::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    format: PlanFormat,
    /// Exit with 2 when changes are pending
    #[arg(long, env = "LXDEPLOY_DETAILED_EXITCODE", hide_env = true, value_parser = BoolishValueParser::new())]
    detailed_exitcode: bool,
    /// What `destroy` would do
    #[arg(long, env = "LXDEPLOY_DESTROY", hide_env = true, value_parser = BoolishValueParser::new())]
    destroy: bool,
    /// Keep the plan in a file, for `lxdeploy apply FILE`
    #[arg(long, value_name = "FILE", env = "LXDEPLOY_OUT", hide_env = true)]
    out: Option<PathBuf>,
}

/// How a plan is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PlanFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
    /// For a pull request's comment.
    Markdown,
}

/// Shows what an apply would do.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let planning = planned(&args.site, &args.selection, args.destroy, global);
    let planned = match interruptible(planning).await {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    let plan = &planned.plan;
    let opened = &planned.opened;
    match args.format {
        PlanFormat::Text => opened.show(plan, Format::Text, global),
        PlanFormat::Json => opened.show(plan, Format::Json, global),
        PlanFormat::Markdown => print!("{}", report::markdown::plan(plan, &opened.sources, &opened.masker)),
    }
    if !plan.refused.is_empty() {
        return match &args.out {
            Some(file) => complain(global, &format!("the plan holds a refusal; {} was not written", file.display())),
            None => Exit::Failed,
        };
    }
    if let Some(file) = &args.out {
        if let Err(exit) = saved::write(&planned, &args.site, &args.selection, file, global) {
            return exit;
        }
        eprintln!("Saved. To run exactly this: lxdeploy apply {}", file.display());
    }
    if args.detailed_exitcode && !plan.is_empty() { Exit::Pending } else { Exit::Done }
}
