use std::path::PathBuf;

use clap::ArgGroup;

use super::common::{
    Planned, RunArgs, Selection, ServerArgs, SiteArgs, ValueArgs, complain, interruptible, open_named, planned,
};
use super::{Exit, Global};
use crate::plan::{self, Note};

/// `lxdeploy destroy`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("which").required(true).args(["site", "name"])))]
pub struct Args {
    /// The site file
    site: Option<PathBuf>,
    /// The site's name in place of its file: what goes is found by the stamps alone
    #[arg(long = "site", id = "name", value_name = "NAME", conflicts_with_all = ["vars", "vars_files"])]
    name: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    run: RunArgs,
}

/// Removes what carries the site's stamp: plans, shows, asks, runs.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let planning = async {
        match (&args.site, &args.name) {
            (Some(site), _) => {
                let site = SiteArgs {
                    site: site.clone(),
                    server: args.server.clone(),
                    values: args.values.clone(),
                    plays: false,
                };
                planned(&site, &args.selection, true, global).await
            }
            (None, Some(name)) => by_name(name, args, global).await,
            (None, None) => Err(complain(global, "name a site file, or a site with --site")),
        }
    };
    match interruptible(planning).await {
        Ok(planned) => planned.execute(&args.run, false, global).await,
        Err(exit) => exit,
    }
}

/// Plans the end of a site whose file is lost.
async fn by_name(name: &str, args: &Args, global: &Global) -> Result<Planned, Exit> {
    let options = args.selection.options(true).map_err(|reason| complain(global, &reason))?;
    let mut opened = open_named(name, &args.server, global)?;
    let snapshot = opened.read(global).await?;
    let mut sites = snapshot.sites();
    if let Some(home) = sites.remove(name) {
        opened.site.project = home;
    }
    let mut plan = plan::build(&opened.site, &snapshot, &options);
    if plan.is_empty() && plan.refused.is_empty() && !sites.is_empty() {
        let names: Vec<String> = sites.into_keys().collect();
        let text = format!("no object carries the stamp of `{name}`; sites at this server are: {}", names.join(", "));
        plan.notes.push(Note { address: None, code: "no-such-site", text });
    }
    let keys = std::rc::Rc::default();
    Ok(Planned { opened, snapshot, options, plan, keys })
}
