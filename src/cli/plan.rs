use std::path::PathBuf;

use clap::builder::BoolishValueParser;

use super::common::{Format, Selection, SiteArgs, interruptible, planned, show};
use super::{Exit, Global, dump};
use crate::plan::Plan;

/// `lxdeploy plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    selection: Selection,
    /// text, or json
    #[arg(long, value_enum, default_value_t = Format::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    format: Format,
    /// Exit with 2 when changes are pending
    #[arg(long, env = "LXDEPLOY_DETAILED_EXITCODE", hide_env = true, value_parser = BoolishValueParser::new())]
    detailed_exitcode: bool,
    /// What `destroy` would do
    #[arg(long, env = "LXDEPLOY_DESTROY", hide_env = true, value_parser = BoolishValueParser::new())]
    destroy: bool,
    /// Plan against what `lxdeploy dump` wrote, without a server
    #[arg(long, value_name = "FILE", env = "LXDEPLOY_LIVE", hide_env = true)]
    live: Option<PathBuf>,
}

/// Shows what an apply would do.
pub async fn run(args: &Args, global: &Global) -> Exit {
    if let Some(live) = &args.live {
        return match dump::planned(live, &args.site, &args.selection, args.destroy, args.format, global) {
            Ok((plan, masker, sources)) => {
                show(&plan, (&masker, &sources), args.format, global);
                exit(&plan, args.detailed_exitcode)
            }
            Err(exit) => exit,
        };
    }
    let planned = planned(&args.site, &args.selection, args.destroy, global);
    let (opened, _, plan) = match interruptible(planned).await {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    opened.show(&plan, args.format, global);
    exit(&plan, args.detailed_exitcode)
}

fn exit(plan: &Plan, is_detailed: bool) -> Exit {
    match () {
        () if !plan.refused.is_empty() => Exit::Failed,
        () if is_detailed && !plan.is_empty() => Exit::Pending,
        () => Exit::Done,
    }
}
