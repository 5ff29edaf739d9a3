use std::path::PathBuf;

use clap::builder::BoolishValueParser;

use super::common::{Format, Selection, SiteArgs, complain, interruptible, planned, show};
use super::{Exit, Global, dump, saved};
use crate::model::{Masker, Sources};
use crate::plan::Plan;
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
    #[arg(long, value_name = "FILE", conflicts_with = "live", env = "LXDEPLOY_OUT", hide_env = true)]
    out: Option<PathBuf>,
    /// Plan against what `lxdeploy dump` wrote, without a server
    #[arg(long, value_name = "FILE", env = "LXDEPLOY_LIVE", hide_env = true)]
    live: Option<PathBuf>,
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
    if let Some(live) = &args.live {
        return match dump::planned(live, &args.site, &args.selection, args.destroy, args.format, global) {
            Ok((plan, masker, sources)) => {
                write(&plan, (&masker, &sources), args.format, global);
                exit(&plan, args.detailed_exitcode)
            }
            Err(exit) => exit,
        };
    }
    let planning = planned(&args.site, &args.selection, args.destroy, global);
    let planned = match interruptible(planning).await {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    let plan = &planned.plan;
    let opened = &planned.opened;
    write(plan, (&opened.masker, &opened.sources), args.format, global);
    if let Some(file) = &args.out {
        if !plan.refused.is_empty() {
            return complain(global, &format!("the plan holds a refusal; {} was not written", file.display()));
        }
        if let Err(exit) = saved::write(&planned, &args.site, &args.selection, file, global) {
            return exit;
        }
        eprintln!("Saved. To run exactly this: lxdeploy apply {}", file.display());
    }
    exit(plan, args.detailed_exitcode)
}

fn write(plan: &Plan, (masker, sources): (&Masker, &Sources), format: PlanFormat, global: &Global) {
    match format {
        PlanFormat::Text => show(plan, (masker, sources), Format::Text, global),
        PlanFormat::Json => show(plan, (masker, sources), Format::Json, global),
        PlanFormat::Markdown => print!("{}", report::markdown::plan(plan, sources, masker)),
    }
}

fn exit(plan: &Plan, is_detailed: bool) -> Exit {
    match () {
        () if !plan.refused.is_empty() => Exit::Failed,
        () if is_detailed && !plan.is_empty() => Exit::Pending,
        () => Exit::Done,
    }
}
