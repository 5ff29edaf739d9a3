use super::common::{RunArgs, Selection, SiteArgs};
use super::{Exit, Global, apply};

/// `lxdeploy destroy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    run: RunArgs,
}

/// Removes what carries the site's stamp.
pub async fn run(args: &Args, global: &Global) -> Exit {
    apply::planned(&args.site, &args.selection, &args.run, true, global).await
}
