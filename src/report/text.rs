//! A plan for people: what Terraform's users know.

use std::fmt::Write;

use serde_json::Value;

use super::Style;
use crate::model::{Address, Id, Path, Sources, Verb};
use crate::plan::{Action, Change, Effect, FieldDiff, Plan};

/// Renders a plan.
pub fn plan(plan: &Plan, sources: &Sources, style: Style) -> String {
    let mut text = String::new();
    let changes: Vec<&Change> = plan.changes.iter().filter(|change| change.action != Action::NoOp).collect();
    if plan.partial {
        text += &style.yellow("Partial plan: --target or --exclude leaves a part of the site out.\n\n");
    }
    if !changes.is_empty() {
        text += &legend(&changes, style);
        for change in &changes {
            text += &one(change, &plan.project, style);
            text.push('\n');
        }
    }
    for roll in &plan.rolling {
        let _ = writeln!(text, "{} {}", style.cyan("rolling:"), rolling(plan, roll));
    }
    for note in &plan.notes {
        let _ = writeln!(text, "{} {}", style.cyan("note:"), note.text);
    }
    if !plan.notes.is_empty() || !plan.rolling.is_empty() {
        text.push('\n');
    }
    for refusal in &plan.refused {
        let _ = writeln!(text, "{} {}", style.red("refused:"), refusal.text);
        if let Some(span) = refusal.span {
            let _ = writeln!(text, "    {} {}", style.dim("-->"), sources.place(span));
        }
        let _ = writeln!(text, "    {} {}", style.dim("help:"), refusal.help);
    }
    if !plan.refused.is_empty() {
        text.push('\n');
    }
    text += &summary(plan, style);
    text += &plays(plan, style);
    text
}

/// What is run inside of the instances; counted apart from the changes.
fn plays(plan: &Plan, style: Style) -> String {
    let mut text = String::new();
    for (address, roles) in plan.provisions() {
        let _ = writeln!(text, "{} {address}: {}", style.cyan("provision:"), roles.join(", "));
    }
    for playbook in &plan.playbooks {
        let _ = writeln!(text, "{} {}", style.cyan("playbook:"), playbook.display());
    }
    text
}

/// The one line that says it all.
pub fn summary(plan: &Plan, style: Style) -> String {
    let counts = plan.summary();
    let refused = plan.refused.len();
    if plan.is_empty() && refused == 0 {
        let what = match (plan.destroy, plan.partial) {
            (true, _) if !plan.notes.is_empty() => "Nothing to destroy but what the notes speak of.".to_owned(),
            (true, _) => "Nothing to destroy: no object at the server carries this site's stamp.".to_owned(),
            (false, true) => format!("No changes in this part of the site: {} unchanged.", counts.unchanged),
            (false, false) => format!("No changes. The server is as the site says: {} objects.", counts.unchanged),
        };
        return style.green(&what) + "\n";
    }
    let mut parts = vec![
        format!("{} to create", counts.create),
        format!("{} to update", counts.update),
        format!("{} to replace", counts.replace),
        format!("{} to delete", counts.delete),
    ];
    for (count, what) in [(counts.rename, "to rename"), (counts.adopt, "to adopt")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.push(format!("{} unchanged", counts.unchanged));
    let mut line = format!("{} {}.", style.bold("Plan:"), parts.join(", "));
    if refused > 0 {
        line += &style.red(&format!(" {refused} refused: nothing is written until that is settled."));
    }
    line + "\n"
}

fn symbol(action: Action, style: Style) -> String {
    match action {
        Action::Create => style.green("+"),
        Action::Update => style.yellow("~"),
        Action::Delete => style.red("-"),
        Action::Replace => format!("{}/{}", style.red("-"), style.green("+")),
        Action::Rename => style.cyan(">"),
        Action::Adopt => style.cyan("<"),
        Action::NoOp => " ".into(),
    }
}

fn legend(changes: &[&Change], style: Style) -> String {
    let mut text = String::new();
    let words = [
        (Action::Delete, "delete"),
        (Action::Replace, "delete and create again"),
        (Action::Create, "create"),
        (Action::Rename, "rename"),
        (Action::Adopt, "adopt into the site"),
        (Action::Update, "update in place"),
    ];
    for (action, word) in words {
        if changes.iter().any(|change| change.action == action) {
            let pad = if action == Action::Replace { "" } else { "  " };
            let _ = writeln!(text, "  {pad}{} {}", symbol(action, style), style.dim(word));
        }
    }
    text + "\n"
}

fn one(change: &Change, project: &str, style: Style) -> String {
    let pad = if change.action == Action::Replace { "" } else { "  " };
    let mut reason = match change.reason.code {
        "absent" | "changed" => String::new(),
        _ => change.reason.text.clone(),
    };
    if change.action == Action::Replace && reason.is_empty() {
        reason.clone_from(&change.reason.text);
    }
    let mut text = format!("{pad}{} {}", symbol(change.action, style), style.bold(&change.address.to_string()));
    if let Some(place) = place(&change.id, &change.address.key, project) {
        text += &style.dim(&format!(" ({place})"));
    }
    if !reason.is_empty() {
        text += &style.dim(&format!("  # {reason}"));
    }
    text.push('\n');
    let width = change.diff.iter().map(|field| field.path.to_string().chars().count()).max().unwrap_or(0).min(40);
    for field in &change.diff {
        text += &leaf(field, change.action, width, style);
    }
    if !change.affects.is_empty() {
        let _ = writeln!(text, "      {}", style.dim(&affects(&change.affects)));
    }
    text
}

/// What the address does not say of where an object lives.
pub(super) fn place(id: &Id, key: &str, project: &str) -> Option<String> {
    let name = (id.name != key).then(|| format!("named {}", short(&id.name)));
    let project = (id.project != project && id.project != "default").then(|| format!("project {}", id.project));
    let parts: Vec<String> = [name, project].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Fingerprints as `lxc image list` has them.
fn short(name: &str) -> &str {
    if name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit()) { &name[..12] } else { name }
}

pub(super) fn affects(names: &[String]) -> String {
    let what = if names.len() == 1 { "running instance" } else { "running instances" };
    format!("reaches {} {what}: {}", names.len(), some(names))
}

/// The first few of a list, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    format!("{shown}{more}")
}

/// What happens to the members of a group that go down in one plan.
fn rolling(plan: &Plan, roll: &[Address]) -> String {
    let names: Vec<String> = roll.iter().map(ToString::to_string).collect();
    let waits = plan.steps.iter().any(|step| step.verb == Verb::Ready && roll.contains(&step.address));
    let up = if waits { "ready" } else { "started" };
    format!("{} go one after the other, each {up} before the next; the first failure stops the rest", some(&names))
}

fn leaf(field: &FieldDiff, action: Action, width: usize, style: Style) -> String {
    let path = field.path.to_string();
    let creates = action == Action::Create;
    let sign = match (&field.before, &field.after) {
        (None, Some(_)) => style.green("+"),
        (Some(_), None) => style.red("-"),
        _ => style.yellow("~"),
    };
    let indent = "      ";
    if !field.sensitive
        && let Some(lines) = by_line(field)
    {
        let mut text = format!("{indent}{sign} {path}{}\n", remark(field, style));
        for (sign, line) in lines {
            let line = format!("{sign} {line}");
            let dressed = match sign {
                '+' => style.green(&line),
                '-' => style.red(&line),
                _ => style.dim(&line),
            };
            let _ = writeln!(text, "{indent}    {dressed}");
        }
        return text;
    }
    let show = |value: &Option<Value>| {
        if field.sensitive { "(sensitive)".to_owned() } else { shown(value.as_ref(), &field.path) }
    };
    let values = match (&field.before, &field.after) {
        (None, after) => show(after),
        (before, None) if !creates => format!("{} {} nothing", show(before), style.dim("->")),
        (before, after) => format!("{} {} {}", show(before), style.dim("->"), show(after)),
    };
    format!("{indent}{sign} {path:<width$}  {values}{}\n", remark(field, style))
}

pub(super) fn remark(field: &FieldDiff, style: Style) -> String {
    let mut remarks = vec![];
    match field.effect {
        Effect::Replace => remarks.push(style.red(&format!("forces replacement: {}", field.why))),
        Effect::Restart => remarks.push(style.yellow(&format!("needs a restart: {}", field.why))),
        Effect::Live => {}
    }
    if field.drift {
        remarks.push(style.yellow("changed outside of lxdeploy, set back"));
    }
    if remarks.is_empty() { String::new() } else { format!("  # {}", remarks.join("; ")) }
}

/// Texts of several lines and lists, element by element: (sign, line).
pub(super) fn by_line(field: &FieldDiff) -> Option<Vec<(char, String)>> {
    let lines = |value: &Option<Value>| -> Option<Vec<String>> {
        match value {
            None => Some(vec![]),
            Some(Value::Array(items)) => Some(items.iter().map(|item| shown(Some(item), &field.path)).collect()),
            Some(Value::String(text)) => Some(text.lines().map(str::to_owned).collect()),
            Some(_) => None,
        }
    };
    let is_long = |value: &Option<Value>| match value {
        Some(Value::String(text)) => text.trim_end().contains('\n'),
        Some(Value::Array(items)) => items.iter().any(Value::is_object),
        _ => false,
    };
    if !is_long(&field.before) && !is_long(&field.after) {
        return None;
    }
    Some(line_diff(&lines(&field.before)?, &lines(&field.after)?))
}

/// A small line diff: the longest common lines stay, what lies far from a change is left out.
fn line_diff(old: &[String], new: &[String]) -> Vec<(char, String)> {
    const CONTEXT: usize = 1;
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut all) = (0, 0, vec![]);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            all.push((' ', old[i].clone()));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            all.push(('-', old[i].clone()));
            i += 1;
        } else {
            all.push(('+', new[j].clone()));
            j += 1;
        }
    }
    let is_near = |index: usize| {
        let from = index.saturating_sub(CONTEXT);
        all[from..(index + CONTEXT + 1).min(all.len())].iter().any(|(sign, _)| *sign != ' ')
    };
    (0..all.len()).filter(|index| is_near(*index)).map(|index| all[index].clone()).collect()
}

pub(super) fn shown(value: Option<&Value>, path: &Path) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::String(text)) if matches!(path, Path::Field(name) if ["state", "image", "type", "driver"].contains(&name.as_str())) => {
            text.clone()
        }
        Some(Value::String(text)) => format!("{text:?}"),
        Some(Value::Array(items)) => {
            format!(
                "[{}]",
                items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| format!("{key}={}", crate::model::value::text(value)))
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    }
}
