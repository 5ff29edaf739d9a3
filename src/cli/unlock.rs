use clap::builder::BoolishValueParser;

use super::common::{SiteArgs, complain, interruptible, open};
use super::execute::ask;
use super::say::outln;
use super::{Exit, Global};
use crate::apply::lock;
use crate::lxd::Error;

/// `lxdeploy unlock`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    /// Without asking
    #[arg(long, alias = "auto-approve", short = 'y', env = "LXDEPLOY_YES", hide_env = true, value_parser = BoolishValueParser::new())]
    yes: bool,
}

/// Shows who holds the site's lock, asks, and removes it.
pub async fn run(args: &Args, global: &Global) -> Exit {
    interruptible(unlock(args, global)).await.unwrap_or_else(|exit| exit)
}

async fn unlock(args: &Args, global: &Global) -> Result<Exit, Exit> {
    let opened = open(&args.site, global)?;
    let (client, site) = (&opened.client, &opened.site);
    let told = |error: Error| complain(global, &error.to_string());
    let found = match lock::find(client, &site.name, &site.project).await {
        // A project that is not there holds no lock.
        Err(error) if error.is_not_found() => vec![],
        found => found.map_err(told)?,
    };
    if found.is_empty() {
        outln!("The site `{}` is not locked.", site.name);
        return Ok(Exit::Done);
    }
    for found in &found {
        let state = if found.is_dead(client.server_time()) { "dead" } else { "perhaps alive" };
        outln!("{}: {}; {state}", found.profile, found.describe(client.server_time()));
    }
    if !args.yes && !ask("Remove it? If that apply still runs, two will write at once.", global).await? {
        return Err(complain(global, "declined; the lock stays"));
    }
    for found in &found {
        lock::remove(client, found).await.map_err(told)?;
    }
    outln!("The site `{}` is no longer locked.", site.name);
    Ok(Exit::Done)
}
