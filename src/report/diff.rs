//! `lxdeploy diff`: what a change of the files means.

use serde_json::{Value, json};

use super::{Style, json as document, text as plans};
use crate::model::{Address, Sources};
use crate::plan::Plan;

/// What became of one site.
#[derive(Debug)]
pub enum Change {
    /// It is in both; the plan from what it was to what it is.
    Both(Plan),
    /// It was not there; the plan from nothing.
    New(Plan),
    /// It is not there any more; what it had.
    Gone(Vec<Address>),
}

/// One site file.
#[derive(Debug)]
pub struct Changed {
    /// Its path, as the user gave it.
    pub file: String,
    /// The site's name.
    pub site: String,
    /// What became of it.
    pub change: Change,
}

/// For people; `since` names the revision.
pub fn text(changed: &Changed, since: &str, sources: &Sources, style: Style) -> String {
    let Changed { file, site, change } = changed;
    let head = |what: &str| format!("{} {what}\n", style.bold(&format!("{file}:")));
    match change {
        Change::Both(plan) if is_nothing(plan) => {
            let count = plan.changes.len();
            head(&style.green(&format!("no change in site {site} since {since}: {count} objects.")))
        }
        Change::Both(plan) => head(&format!("site {site}, since {since}")) + "\n" + &plans::plan(plan, sources, style),
        Change::New(plan) => {
            head(&format!("site {site} is new since {since}")) + "\n" + &plans::plan(plan, sources, style)
        }
        Change::Gone(addresses) => {
            let mut text = head(&style.yellow(&format!("site {site} is gone since {since}")));
            for address in addresses {
                text += &format!("  {} {address}\n", style.red("?"));
            }
            text + &format!(
                "What it had applied stays at the server until it is destroyed (with the file of {since}: `lxdeploy destroy`).\n"
            )
        }
    }
}

/// Nothing would be written, and there is nothing to say about it.
fn is_nothing(plan: &Plan) -> bool {
    plan.is_empty() && plan.notes.is_empty() && plan.refused.is_empty()
}

/// For machines: one of the document's `sites`.
pub fn json(changed: &Changed, sources: &Sources) -> Value {
    let (status, plan, had) = match &changed.change {
        Change::Both(plan) if is_nothing(plan) => ("unchanged", Some(plan), None),
        Change::Both(plan) => ("changed", Some(plan), None),
        Change::New(plan) => ("new", Some(plan), None),
        Change::Gone(addresses) => ("gone", None, Some(addresses)),
    };
    json!({
        "file": changed.file,
        "site": changed.site,
        "status": status,
        "plan": plan.map(|plan| document::plan(plan, None, sources)),
        "had": had.map(|addresses| addresses.iter().map(ToString::to_string).collect::<Vec<_>>()),
    })
}
