//! `lxdeploy drift`: what moved at the server.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Style;
use super::text::{place, shown};
use crate::plan::{Drift, Leaf};

const MASK: &str = "(sensitive)";

/// For people.
pub fn text(drift: &Drift, style: Style) -> String {
    let mut text = String::new();
    for moved in &drift.moved {
        let sign = match moved.code {
            "absent" | "missing" => style.red("-"),
            "copy" => style.cyan("+"),
            _ => style.yellow("~"),
        };
        let _ = write!(text, "  {sign} {}", style.bold(&moved.address.to_string()));
        if let Some(place) = place(&moved.id, &moved.address.key, &drift.project) {
            text += &style.dim(&format!(" ({place})"));
        }
        if !moved.text.is_empty() {
            text += &style.dim(&format!("  # {}", moved.text));
        }
        text.push('\n');
        let width = moved.leaves.iter().map(|leaf| leaf.path.to_string().chars().count()).max().unwrap_or(0).min(40);
        for leaf in &moved.leaves {
            let (applied, live) = values(leaf);
            let remark = if leaf.taken_over {
                style.dim("  # no longer in the file: left to whoever set it")
            } else {
                String::new()
            };
            let _ =
                writeln!(text, "      {:<width$}  {applied} {} {live}{remark}", leaf.path.to_string(), style.dim("->"));
        }
    }
    if !drift.moved.is_empty() {
        text.push('\n');
    }
    for note in &drift.notes {
        let _ = writeln!(text, "{} {}", style.cyan("note:"), note.text);
    }
    for (what, help) in &drift.refused {
        let _ = writeln!(text, "{} {what}\n    {} {help}", style.red("refused:"), style.dim("help:"));
    }
    text + &summary(drift, style)
}

fn summary(drift: &Drift, style: Style) -> String {
    let objects = |count: usize| if count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
    let line = match drift.moved.len() {
        0 => style.green(&format!("No drift in site {}: {} as applied.", drift.site, objects(drift.stamped))),
        moved => style.yellow(&format!(
            "Drift in site {}: {} not as applied; `lxdeploy plan` shows what an apply would do.",
            drift.site,
            objects(moved)
        )),
    };
    line + "\n"
}

fn values(leaf: &Leaf) -> (String, String) {
    if leaf.sensitive {
        let live = if leaf.live.is_some() { MASK } else { "nothing" };
        return (MASK.to_owned(), live.to_owned());
    }
    let applied = leaf
        .applied
        .as_ref()
        .map_or_else(|| "(what was applied)".to_owned(), |applied| shown(Some(applied), &leaf.path));
    (applied, shown(leaf.live.as_ref(), &leaf.path))
}

/// For machines: one of the document's `sites`.
pub fn json(drift: &Drift) -> Value {
    let masked = |leaf: &Leaf, value: &Option<Value>| match value {
        Some(_) if leaf.sensitive => MASK.into(),
        other => other.clone().unwrap_or_default(),
    };
    let moved = drift.moved.iter().map(|moved| {
        let leaves = moved.leaves.iter().map(|leaf| {
            json!({
                "path": leaf.path.to_string(),
                "applied": masked(leaf, &leaf.applied),
                "live": masked(leaf, &leaf.live),
                "sensitive": leaf.sensitive,
                "taken_over": leaf.taken_over,
            })
        });
        json!({
            "address": moved.address.to_string(),
            "name": moved.id.name,
            "project": moved.id.project,
            "code": moved.code,
            "text": moved.text,
            "leaves": leaves.collect::<Vec<_>>(),
        })
    });
    let note = |note: &crate::plan::Note| json!({"address": note.address.as_ref().map(ToString::to_string), "code": note.code, "text": note.text});
    json!({
        "site": drift.site,
        "stamped": drift.stamped,
        "drift": !drift.moved.is_empty(),
        "moved": moved.collect::<Vec<_>>(),
        "notes": drift.notes.iter().map(note).collect::<Vec<_>>(),
        "refused": drift.refused.iter().map(|(text, help)| json!({"text": text, "help": help})).collect::<Vec<_>>(),
    })
}
