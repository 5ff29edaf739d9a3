use std::path::PathBuf;

use clap::builder::BoolishValueParser;

use super::common::{Format, Selection, SiteArgs, complain, interruptible, planned, show};
use super::say::{errln, out};
use super::{Exit, Global, dump, saved};
use crate::model::{Masker, Preview, Sources};
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
                write((&plan, None), (&masker, &sources), args.format, global);
                exit(&plan, None, args.detailed_exitcode)
            }
            Err(exit) => exit,
        };
    }
    let planning = async {
        let planned = planned(&args.site, &args.selection, args.destroy, global).await?;
        let preview = planned.preview(global).await?;
        Ok((planned, preview))
    };
    let (planned, preview) = match interruptible(planning).await {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    let plan = &planned.plan;
    let opened = &planned.opened;
    let preview = preview.as_ref();
    write((plan, preview), (&opened.masker, &opened.sources), args.format, global);
    if let Some(file) = &args.out {
        if !plan.refused.is_empty() {
            return complain(global, &format!("the plan holds a refusal; {} was not written", file.display()));
        }
        if let Err(exit) = saved::write(&planned, preview, &args.site, &args.selection, file, global) {
            return exit;
        }
        errln!("Saved. To run exactly this: lxdeploy apply {}", file.display());
    }
    exit(plan, preview, args.detailed_exitcode)
}

fn write(
    (plan, preview): (&Plan, Option<&Preview>),
    (masker, sources): (&Masker, &Sources),
    format: PlanFormat,
    global: &Global,
) {
    match format {
        PlanFormat::Text => show((plan, preview), (masker, sources), Format::Text, global),
        PlanFormat::Json => show((plan, preview), (masker, sources), Format::Json, global),
        PlanFormat::Markdown => out!("{}", report::markdown::plan(plan, preview, sources, masker)),
    }
}

/// What is unknown before it is run is no pending change: a command that is always run would never let a plan be empty.
fn exit(plan: &Plan, preview: Option<&Preview>, is_detailed: bool) -> Exit {
    let is_pending = !plan.is_empty() || preview.is_some_and(|preview| preview.total().changed > 0);
    match () {
        () if !plan.refused.is_empty() || preview.is_some_and(Preview::fails) => Exit::Failed,
        () if is_detailed && is_pending => Exit::Pending,
        () => Exit::Done,
    }
}
