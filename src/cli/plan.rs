use clap::builder::BoolishValueParser;

use super::common::{Format, Selection, SiteArgs, interruptible, planned};
use super::{Exit, Global};

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
}

/// Shows what an apply would do.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let planned = planned(&args.site, &args.selection, args.destroy, global);
    let (opened, _, plan) = match interruptible(planned).await {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    opened.show(&plan, args.format, global);
    match () {
        () if !plan.refused.is_empty() => Exit::Failed,
        () if args.detailed_exitcode && !plan.is_empty() => Exit::Pending,
        () => Exit::Done,
    }
}
