//! Where a value comes from, with the lines that say so.

use serde_json::{Value, json};

use super::Style;
use super::diagnostics::excerpt;
use crate::model::{Sources, Span};
use crate::site::why::{Answer, Read, Setting, Shown, Why};

/// What stands in a sensitive value's place.
const MASK: &str = "(sensitive)";

/// For people.
pub fn text(answer: &Answer, sources: &Sources, style: Style) -> String {
    match answer {
        Answer::Value(why) => one(why, sources, style),
        Answer::Below { values, .. } => table(values, sources, style),
    }
}

fn one(why: &Why, sources: &Sources, style: Style) -> String {
    let name = format!("{}.{}", why.address, why.path);
    let value = why.value.as_ref().map_or_else(|| "is not set".to_owned(), |value| format!("= {}", plain(value)));
    let mut blocks = vec![format!("{} {value}", style.bold(&name))];
    if let Some(set) = &why.set {
        blocks.push(setting("set", &format!("by {}", set.by), set, sources, style));
        reads(&set.reads, "read", sources, style, &mut blocks);
    }
    for setting_over in &why.overrides {
        let (word, what) = match (&setting_over.value, setting_over.takes_out) {
            (_, true) => ("taken out", format!("by {}", setting_over.by)),
            (Some(value), _) => ("overrides", format!("{}, of {}", plain(value), setting_over.by)),
            (None, _) => ("overrides", format!("the value of {}", setting_over.by)),
        };
        let word = if why.set.is_none() && !setting_over.takes_out { "hidden" } else { word };
        blocks.push(setting(word, &what, setting_over, sources, style));
        reads(&setting_over.reads, "read there", sources, style, &mut blocks);
    }
    blocks.extend(why.notes.iter().map(|note| format!("{} {note}", style.cyan("note:"))));
    blocks.join("\n\n") + "\n"
}

fn setting(word: &str, message: &str, setting: &Setting, sources: &Sources, style: Style) -> String {
    let template: Vec<(&str, &str)> = setting.template.iter().map(|text| ("template", text.as_str())).collect();
    excerpt((word, message), Some(setting.span), &template, sources, style.color)
}

fn reads(all: &[Read], word: &str, sources: &Sources, style: Style, blocks: &mut Vec<String>) {
    for read in all {
        let value = read.value.as_ref().map(|value| format!(" = {}", plain(value))).unwrap_or_default();
        let message = format!("{}{value}, {}", read.name, read.what);
        let template: Vec<(&str, &str)> = read.template.iter().map(|text| ("template", text.as_str())).collect();
        blocks.push(excerpt((word, &message), read.span, &template, sources, style.color));
        for weaker in &read.overrides {
            let value = weaker.value.as_ref().map(plain).or_else(|| weaker.template.clone()).unwrap_or_default();
            let message = format!("{} = {value}, {}", weaker.name, weaker.what);
            blocks.push(excerpt(("overrides", &message), weaker.span, &[], sources, style.color));
        }
        reads(&read.reads, &format!("read by {}", read.name), sources, style, blocks);
    }
}

/// One line for each value.
fn table(values: &[Why], sources: &Sources, style: Style) -> String {
    let rows: Vec<(String, String, String)> = values
        .iter()
        .map(|why| {
            let value = why.value.as_ref().map_or_else(|| "not set".to_owned(), plain);
            let value: String =
                if value.chars().count() > 60 { value.chars().take(57).chain("...".chars()).collect() } else { value };
            let from = why
                .set
                .as_ref()
                .map_or_else(|| "default".to_owned(), |set| format!("{} {}", sources.place(set.span), set.by));
            (why.path.clone(), value, from)
        })
        .collect();
    let width = |column: fn(&(String, String, String)) -> &String| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
    };
    let (paths, texts) = (width(|row| &row.0), width(|row| &row.1));
    let lines =
        rows.iter().map(|(path, value, from)| format!("{path:<paths$}  {value:<texts$}  {}\n", style.dim(from)));
    lines.collect()
}

fn plain(shown: &Shown) -> String {
    if shown.sensitive { MASK.to_owned() } else { shown.value.to_string() }
}

/// For machines: format 1.0.
pub fn json(answer: &Answer, sources: &Sources) -> Value {
    match answer {
        Answer::Value(why) => {
            let mut document = value_of(why, sources);
            document["format_version"] = "1.0".into();
            document
        }
        Answer::Below { of, values } => json!({
            "format_version": "1.0",
            "of": of,
            "values": values.iter().map(|why| value_of(why, sources)).collect::<Vec<_>>(),
        }),
    }
}

fn value_of(why: &Why, sources: &Sources) -> Value {
    json!({
        "address": why.address.to_string(),
        "path": why.path,
        "value": masked(why.value.as_ref()),
        "sensitive": why.value.as_ref().is_some_and(|value| value.sensitive),
        "set": why.set.as_ref().map(|set| setting_json(set, sources)),
        "overrides": why.overrides.iter().map(|set| setting_json(set, sources)).collect::<Vec<_>>(),
        "notes": why.notes,
    })
}

fn setting_json(set: &Setting, sources: &Sources) -> Value {
    json!({
        "by": set.by,
        "value": masked(set.value.as_ref()),
        "takes_out": set.takes_out,
        "hidden": set.is_hidden,
        "place": sources.place(set.span),
        "template": set.template,
        "reads": set.reads.iter().map(|read| read_json(read, sources)).collect::<Vec<_>>(),
    })
}

fn read_json(read: &Read, sources: &Sources) -> Value {
    json!({
        "name": read.name,
        "what": read.what,
        "value": masked(read.value.as_ref()),
        "place": read.span.map(|span: Span| sources.place(span)),
        "template": read.template,
        "reads": read.reads.iter().map(|read| read_json(read, sources)).collect::<Vec<_>>(),
        "overrides": read.overrides.iter().map(|read| read_json(read, sources)).collect::<Vec<_>>(),
    })
}

fn masked(shown: Option<&Shown>) -> Value {
    match shown {
        Some(shown) if shown.sensitive => MASK.into(),
        Some(shown) => shown.value.clone(),
        None => Value::Null,
    }
}
