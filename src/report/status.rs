//! `lxdeploy status`: a line for each instance.

use serde_json::{Value, json};

use super::Style;
use crate::site::Site;

/// How an instance of the site is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Its address.
    pub address: String,
    /// LXD's name.
    pub name: String,
    /// Its project.
    pub project: String,
    /// LXD's word, or `absent`.
    pub state: String,
    /// Global addresses.
    pub addresses: Vec<String>,
    /// Its checks hold; `None` where it has none or does not run.
    pub ready: Option<bool>,
    /// As the site says.
    pub in_step: bool,
    /// What is not.
    pub note: Option<String>,
}

/// A table.
pub fn table(rows: &[InstanceStatus], style: Style) -> String {
    let header = ["INSTANCE", "STATE", "ADDRESSES", "READY", "SITE"].map(str::to_owned);
    let cells: Vec<[String; 5]> = rows
        .iter()
        .map(|row| {
            let ready = row.ready.map_or("-", |ready| if ready { "yes" } else { "no" });
            let step = row.note.clone().unwrap_or_else(|| "in step".into());
            let addresses = if row.addresses.is_empty() { "-".to_owned() } else { row.addresses.join(" ") };
            [row.address.clone(), row.state.clone(), addresses, ready.to_owned(), step]
        })
        .collect();
    let width = |column: usize| cells.iter().chain([&header]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| -> String {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = style.bold(&line(&header)) + "\n";
    for (row, cells) in rows.iter().zip(&cells) {
        let line = line(cells);
        text += &if row.in_step && row.ready != Some(false) { line } else { style.yellow(&line) };
        text.push('\n');
    }
    text
}

/// For machines.
pub fn json(site: &Site, rows: &[InstanceStatus]) -> Value {
    let instances: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "address": row.address, "name": row.name, "project": row.project, "state": row.state,
                "addresses": row.addresses, "ready": row.ready, "in_step": row.in_step, "note": row.note,
            })
        })
        .collect();
    let deviations: Vec<&str> = site.deviations.iter().map(|(path, _)| path.as_str()).collect();
    json!({
        "format_version": "1.0", "site": site.name, "platform": site.platform_release(), "deviations": deviations,
        "instances": instances,
    })
}
