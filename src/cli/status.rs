use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::common::{Format, Opened, SiteArgs, interruptible, open};
use super::say::{out, outln};
use super::{Exit, Global};
use crate::guest;
use crate::live::Snapshot;
use crate::plan::{self, Action, Change};
use crate::report::Style;
use crate::report::status::{self, InstanceStatus};

/// `lxdeploy status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    site: SiteArgs,
    /// text, or json
    #[arg(long, value_enum, default_value_t = Format::Text, env = "LXDEPLOY_FORMAT", hide_env = true)]
    format: Format,
}

/// So many instances are asked at once.
const AT_ONCE: usize = 8;

/// A check that holds does so at once; this is for a busy guest to answer.
const CHECK: Duration = Duration::from_secs(1);

/// Shows each instance of the site.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let shown = interruptible(async {
        let opened = open(&args.site, global)?;
        let snapshot = opened.read(global).await?;
        let plan = plan::build(&opened.site, &snapshot, &plan::Options::default());
        let refused = |address: &crate::model::Address| {
            plan.refused
                .iter()
                .find(|refusal| refusal.address.as_ref() == Some(address))
                .map(|refusal| refusal.text.clone())
        };
        let wanted = opened.site.objects.iter().filter(|object| object.lifecycle.is_some() && !object.external);
        let rows: Vec<InstanceStatus> = stream::iter(wanted)
            .map(|object| {
                let change = plan.changes.iter().find(|change| change.address == object.address);
                one(&opened, &snapshot, object, change, refused(&object.address))
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        match args.format {
            Format::Text => {
                let style = Style::of(&std::io::stdout(), global.no_color);
                out!("{}", status::table(&rows, style));
                if let Some(deviation) = opened.site.deviation() {
                    outln!("{} {deviation}", style.cyan("note:"));
                }
            }
            Format::Json => outln!("{}", status::json(&opened.site, &rows)),
        }
        Ok(Exit::Done)
    });
    shown.await.unwrap_or_else(|exit| exit)
}

async fn one(
    opened: &Opened,
    snapshot: &Snapshot,
    object: &crate::kinds::Object,
    change: Option<&Change>,
    refused: Option<String>,
) -> InstanceStatus {
    let id = crate::model::Id { project: object.project.clone(), pool: None, name: object.name.clone() };
    let live = snapshot.get(object.kind.section(), &id);
    let state = live.and_then(|live| live.get("status")).and_then(Value::as_str).unwrap_or("absent").to_owned();
    let runs = state == "Running";
    let addresses = if runs { guest::addresses(&opened.client, &id).await.unwrap_or_default() } else { vec![] };
    let checks = object.lifecycle.as_ref().map(|lifecycle| lifecycle.ready.as_slice()).unwrap_or_default();
    let ready = if runs && !checks.is_empty() {
        let quick: Vec<_> =
            checks.iter().map(|check| crate::kinds::Check { timeout: Some(CHECK), ..check.clone() }).collect();
        Some(guest::holds(&opened.client, &id, &quick).await)
    } else {
        None
    };
    let note = refused.or_else(|| match change.map(|change| change.action) {
        Some(Action::NoOp) => None,
        Some(action) => {
            let paths: Vec<String> =
                change.iter().flat_map(|change| &change.diff).map(|field| field.path.to_string()).collect();
            let what = if paths.is_empty() || action == Action::Create {
                String::new()
            } else {
                format!(": {}", paths.join(", "))
            };
            Some(format!("to {}{what}", action.as_str()))
        }
        None => None,
    });
    InstanceStatus {
        address: object.address.to_string(),
        name: object.name.clone(),
        project: object.project.clone(),
        state,
        addresses,
        ready,
        in_step: note.is_none(),
        note,
    }
}
