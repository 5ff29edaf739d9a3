use super::common::{RunArgs, Selection, SiteArgs, complain, interruptible, open};
use super::{Exit, Global};
use crate::plan;

/// `lxdeploy apply`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    run: RunArgs,
}

/// Makes the server as the site says.
pub async fn run(args: &Args, global: &Global) -> Exit {
    planned(&args.site, &args.selection, &args.run, false, global).await
}

/// Plans, shows, asks, runs.
pub async fn planned(site: &SiteArgs, selection: &Selection, run: &RunArgs, destroy: bool, global: &Global) -> Exit {
    let mut planned = None;
    let exit = interruptible(async {
        let options = match selection.options(destroy) {
            Ok(options) => options,
            Err(reason) => return complain(global, &reason),
        };
        let opened = match open(site, global) {
            Ok(opened) => opened,
            Err(exit) => return exit,
        };
        let snapshot = match opened.read(global).await {
            Ok(snapshot) => snapshot,
            Err(exit) => return exit,
        };
        let plan = plan::build(&opened.site, &snapshot, &options);
        opened.show(&plan, run.format, global);
        if !plan.refused.is_empty() {
            return complain(global, "the plan holds a refusal; nothing was written");
        }
        planned = Some((opened, snapshot, plan));
        Exit::Done
    })
    .await;
    match planned {
        Some((opened, snapshot, plan)) if !plan.is_empty() => opened.run(&plan, &snapshot, run, global).await,
        _ => exit,
    }
}
