use std::path::PathBuf;

use super::common::{Format, Opened, SiteArgs, interruptible, open};
use super::say::{out, outln};
use super::{Exit, Global};
use crate::plan::{self, Drift};
use crate::report::{self, Style};

/// `lxdeploy drift`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    /// More site files
    #[arg(value_name = "SITE")]
    more: Vec<PathBuf>,
    /// text, or json
    #[arg(long, value_enum, default_value_t = Format::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    format: Format,
}

/// Shows what moved at the server since it was applied: 2 if something did.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let mut exit = Exit::Done;
    let mut documents = vec![];
    for path in std::iter::once(&args.site.site).chain(&args.more) {
        let site = SiteArgs { site: path.clone(), ..args.site.clone() };
        let (opened, drift) = match interruptible(read(&site, global)).await {
            Ok(read) => read,
            Err(Exit::Interrupted) => return Exit::Interrupted,
            // The others are looked at all the same.
            Err(failed) => {
                exit = failed;
                continue;
            }
        };
        match args.format {
            Format::Text => {
                let style = Style::of(&std::io::stdout(), global.no_color);
                out!("{}", opened.masker.mask(&report::drift::text(&drift, style)));
            }
            Format::Json => documents.push(report::json::masked(report::drift::json(&drift), &opened.masker)),
        }
        if !drift.refused.is_empty() {
            exit = Exit::Failed;
        } else if !drift.moved.is_empty() && exit == Exit::Done {
            exit = Exit::Pending;
        }
    }
    if args.format == Format::Json {
        outln!("{}", serde_json::json!({"format_version": "1.0", "sites": documents}));
    }
    exit
}

async fn read(site: &SiteArgs, global: &Global) -> Result<(Opened, Drift), Exit> {
    let opened = open(site, global)?;
    let snapshot = opened.read(global).await?;
    let drift = plan::drift(&opened.site, &snapshot);
    Ok((opened, drift))
}
