use clap::builder::BoolishValueParser;

use super::common::{Format, Selection, SiteArgs, interruptible, planned};
use super::{Exit, Global};
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
    let planned = planned(&args.site, &args.selection, args.destroy, global);
    let (opened, _, plan) = match interruptible(planned).await {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    match args.format {
        PlanFormat::Text => opened.show(&plan, Format::Text, global),
        PlanFormat::Json => opened.show(&plan, Format::Json, global),
        PlanFormat::Markdown => print!("{}", report::markdown::plan(&plan, &opened.sources, &opened.masker)),
    }
    match () {
        () if !plan.refused.is_empty() => Exit::Failed,
        () if args.detailed_exitcode && !plan.is_empty() => Exit::Pending,
        () => Exit::Done,
    }
}
