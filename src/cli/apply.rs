use super::common::{RunArgs, Selection, SiteArgs, complain, interruptible, planned};
use super::{Exit, Global};

/// `lxdeploy apply` and `lxdeploy destroy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    run: RunArgs,
}

/// Makes the server as the site says, or removes what carries the site's stamp: plans, shows, asks, runs.
pub async fn run(args: &Args, destroy: bool, global: &Global) -> Exit {
    let planned = planned(&args.site, &args.selection, destroy, global);
    let (opened, snapshot, plan) = match interruptible(planned).await {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    opened.show(&plan, args.run.format, global);
    if !plan.refused.is_empty() {
        return complain(global, "the plan holds a refusal; nothing was written");
    }
    if plan.is_empty() {
        return Exit::Done;
    }
    opened.run(&plan, &snapshot, &args.run, global).await
}
