//! A plan for a pull request's comment: refusals and deletions first, one fold per change, and never longer than a
//! comment may be.
//!
//! Names and values are other people's text. They stand in fences that are longer than any run of backticks in
//! them, or have every sign that markdown, HTML or a mention could be made of written as an entity.

use std::fmt::Write;

use super::{Style, text};
use crate::model::{Masker, Preview, Sources};
use crate::plan::{Action, Change, Effect, FieldDiff, Plan, Refusal};

/// GitHub takes so many characters; counted in bytes here, which are never fewer.
const LIMIT: usize = 65_536;

/// The notice of what was left out takes no more.
const NOTICE: usize = 400;

/// As they are shown: what loses most comes first. What is cut is cut from the other end.
const SECTIONS: &[(Action, &str)] = &[
    (Action::Delete, "To delete"),
    (Action::Replace, "To replace"),
    (Action::Update, "To update"),
    (Action::Rename, "To rename"),
    (Action::Adopt, "To adopt"),
    (Action::Create, "To create"),
];

/// Renders a plan. The first line is a comment by which a later run finds the one comment that it may edit.
pub fn plan(plan: &Plan, preview: Option<&Preview>, sources: &Sources, masker: &Masker) -> String {
    let words = Words { masker };
    let mut parts = vec![];
    if !plan.refused.is_empty() {
        parts.push(Part::title(format!("#### Refused ({})", plan.refused.len())));
        parts.extend(plan.refused.iter().map(|refusal| words.refusal(refusal, sources)));
    }
    for (action, title) in SECTIONS {
        let changes: Vec<&Change> = plan.changes.iter().filter(|change| change.action == *action).collect();
        if changes.is_empty() {
            continue;
        }
        parts.push(Part::title(format!("#### {title} ({})", changes.len())));
        if *action == Action::Delete {
            parts.push(words.deletions(&changes, &plan.project));
        } else {
            parts.extend(changes.iter().map(|change| words.change(change, &plan.project)));
        }
    }
    if let Some(preview) = preview {
        let text = super::inside::text(preview, Style::default(), false);
        let summary = "<details><summary>Inside the instances</summary>";
        let full = format!("{summary}\n\n{}\n</details>\n", words.fence("diff", text.trim_end()));
        let brief = super::inside::summary(preview, Style::default());
        parts.push(Part {
            forms: vec![full, words.fence("text", brief.trim_end()) + "\n", String::new()],
            is_change: true,
        });
    }
    if !plan.notes.is_empty() {
        let lines: Vec<&str> = plan.notes.iter().map(|note| note.text.as_str()).collect();
        let summary = format!("<details><summary>Notes ({})</summary>", lines.len());
        let full = format!("{summary}\n\n{}\n</details>\n", words.fence("text", &lines.join("\n")));
        parts.push(Part { forms: vec![full, String::new()], is_change: false });
    }
    fitted(&words.head(plan), parts)
}

/// A part of the comment, and what it may be cut to: from its whole to its least.
struct Part {
    forms: Vec<String>,
    is_change: bool,
}

impl Part {
    fn title(text: String) -> Part {
        Part { forms: vec![text + "\n"], is_change: false }
    }
}

/// All parts, cut from the end until they fit: first the details, then the names.
fn fitted(head: &str, parts: Vec<Part>) -> String {
    let mut levels = vec![0; parts.len()];
    let mut length = head.len() + parts.iter().map(|part| part.forms[0].len() + 1).sum::<usize>();
    let most = parts.iter().map(|part| part.forms.len()).max().unwrap_or(1);
    let room = if length > LIMIT { LIMIT - NOTICE } else { LIMIT };
    'cut: for level in 1..most {
        for (part, is_at) in parts.iter().zip(&mut levels).rev() {
            if length <= room {
                break 'cut;
            }
            if let Some(form) = part.forms.get(level) {
                length = length + form.len() - part.forms[level - 1].len();
                *is_at = level;
            }
        }
    }
    let mut text = head.to_owned();
    let cut = || parts.iter().zip(&levels).filter(|(_, level)| **level > 0);
    if cut().next().is_some() {
        let is_gone = |part: &Part, level: usize| part.forms[level].is_empty();
        let gone = cut().filter(|(part, level)| part.is_change && is_gone(part, **level)).count();
        let short = cut().filter(|(part, level)| part.is_change && !is_gone(part, **level)).count();
        let others = cut().filter(|(part, _)| !part.is_change).count();
        let mut left_out = vec![];
        if gone > 0 {
            left_out.push(format!("{gone} changes"));
        }
        if short > 0 {
            left_out.push(format!("the details of {short} changes"));
        }
        if others > 0 {
            left_out.push("parts of the refusals, deletions or notes".to_owned());
        }
        let _ = writeln!(
            text,
            "> **Too long for a comment.** Left out: {}. `lxdeploy plan` shows all of it.\n",
            left_out.join(", ")
        );
    }
    for (part, level) in parts.iter().zip(levels) {
        text += &part.forms[level];
        if !part.forms[level].is_empty() {
            text.push('\n');
        }
    }
    text
}

/// Other people's text, made harmless.
struct Words<'a> {
    masker: &'a Masker,
}

impl Words<'_> {
    fn head(&self, plan: &Plan) -> String {
        let site = self.inline(&plan.site);
        let what = if plan.destroy { "lxdeploy destroy" } else { "lxdeploy plan" };
        // A site's name is of [a-z0-9-]: it ends no comment.
        let mut head = format!("<!-- lxdeploy plan {} -->\n### {what}: {site}\n\n", plan.site.replace('>', ""));
        let _ = writeln!(head, "**{}**\n", text::summary(plan, Style::default()).trim_end());
        if plan.partial {
            head += "> A part of the site only: `--target` or `--exclude` leaves something out.\n\n";
        }
        head
    }

    fn refusal(&self, refusal: &Refusal, sources: &Sources) -> Part {
        let mut all = refusal.text.clone();
        if let Some(span) = refusal.span {
            let _ = write!(all, "\n  --> {}", sources.place(span));
        }
        let _ = write!(all, "\n  help: {}", refusal.help);
        let short: String = self.masker.mask(&refusal.text).chars().take(200).collect();
        Part { forms: vec![self.fence("text", &all), self.fence("text", &short), String::new()], is_change: false }
    }

    /// Every name, whatever else is left out: with their reasons, alone, or as ranges.
    fn deletions(&self, changes: &[&Change], project: &str) -> Part {
        let line = |change: &&Change| {
            let place = text::place(&change.id, &change.address.key, project);
            let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
            let affects = if change.affects.is_empty() { String::new() } else { text::affects(&change.affects) };
            let words: Vec<&str> =
                [change.reason.text.as_str(), &affects].into_iter().filter(|w| !w.is_empty()).collect();
            let words = if words.is_empty() { String::new() } else { format!("  # {}", words.join("; ")) };
            format!("- {}{place}{words}", change.address)
        };
        let whole: Vec<String> = changes.iter().map(line).collect();
        let names: Vec<String> = changes.iter().map(|change| change.address.to_string()).collect();
        let alone: Vec<String> = names.iter().map(|name| format!("- {name}")).collect();
        let fence = |lines: &[String]| self.fence("diff", &lines.join("\n"));
        Part { forms: vec![fence(&whole), fence(&alone), fence(&ranges(&names))], is_change: false }
    }

    fn change(&self, change: &Change, project: &str) -> Part {
        let place = text::place(&change.id, &change.address.key, project);
        let place = place.map(|place| format!(" {}", self.inline(&format!("({place})")))).unwrap_or_default();
        let reason = match change.reason.code {
            "absent" | "changed" if change.action != Action::Replace => String::new(),
            _ if change.reason.text.is_empty() => String::new(),
            _ => format!(": {}", self.inline(&change.reason.text)),
        };
        let mut remarks = String::new();
        if change.diff.iter().any(|field| field.effect == Effect::Restart) {
            remarks += " <b>restarts</b>";
        }
        if change.drift {
            remarks += " <b>drift</b>";
        }
        let name = format!("<code>{}</code>{place}{remarks}{reason}", self.inline(&change.address.to_string()));
        let mut lines: Vec<String> = change.diff.iter().flat_map(|field| leaf(field, change.action)).collect();
        if !change.affects.is_empty() {
            lines.push(format!("# {}", text::affects(&change.affects)));
        }
        let full = if lines.is_empty() {
            format!("- {name}\n")
        } else {
            let fence = self.fence("diff", &lines.join("\n"));
            format!("<details><summary>{name}</summary>\n\n{fence}\n</details>\n")
        };
        let short = format!("- <code>{}</code>\n", self.inline(&change.address.to_string()));
        Part { forms: vec![full, short, String::new()], is_change: true }
    }

    /// A code block that nothing in it can end.
    fn fence(&self, language: &str, content: &str) -> String {
        let content: String =
            self.masker.mask(content).chars().map(|c| if is_steering(c) { '\u{fffd}' } else { c }).collect();
        let longest = content.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let ticks = "`".repeat(3.max(longest + 1));
        format!("{ticks}{language}\n{content}\n{ticks}\n")
    }

    /// Text in a line; no sign in it means anything to markdown or HTML, and it calls nobody.
    fn inline(&self, content: &str) -> String {
        let mut text = String::new();
        for c in self.masker.mask(content).chars() {
            match c {
                // What makes a mention or a reference of it looks at the text after the entities are read.
                '@' | '#' | '!' | '~' | '%' | '$' => {
                    let _ = write!(text, "&#{};\u{200b}", u32::from(c));
                }
                '-' | '.' | ',' | '/' | '(' | ')' => text.push(c),
                c if c.is_ascii_punctuation() => {
                    let _ = write!(text, "&#{};", u32::from(c));
                }
                '\n' | '\r' | '\t' => text.push(' '),
                c if is_steering(c) => text.push('\u{fffd}'),
                c => text.push(c),
            }
        }
        text
    }
}

/// Control characters, and those that turn the direction of what follows.
fn is_steering(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// The lines of one leaf: what goes in red, what comes in green.
fn leaf(field: &FieldDiff, action: Action) -> Vec<String> {
    let path = field.path.to_string();
    let remark = text::remark(field, Style::default());
    if !field.sensitive
        && let Some(lines) = text::by_line(field)
    {
        let head = std::iter::once(format!("@@ {path} @@{remark}"));
        return head.chain(lines.into_iter().map(|(sign, line)| format!("{sign} {line}"))).collect();
    }
    let side = |sign: char, value: &Option<serde_json::Value>| {
        let shown = text::shown(value.as_ref(), &field.path);
        let shown = if field.sensitive { "(sensitive)".to_owned() } else { shown.replace(['\n', '\r'], " ") };
        format!("{sign} {path}: {shown}")
    };
    let mut lines = vec![];
    if field.before.is_some() && action != Action::Create {
        lines.push(side('-', &field.before));
    }
    if field.after.is_some() {
        lines.push(side('+', &field.after));
    }
    if let Some(last) = lines.last_mut() {
        *last += &remark;
    }
    lines
}

/// Names that differ in their number alone, one after the other.
struct Run<'a> {
    stem: &'a str,
    first: Option<u64>,
    last: Option<u64>,
    count: usize,
}

/// `api-1`, `api-2`, `api-3` in one line, where there are too many for a line each; what does not even fit so is counted.
fn ranges(names: &[String]) -> Vec<String> {
    let mut runs: Vec<Run> = vec![];
    for name in names {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        let number = digits.parse::<u64>().ok().filter(|number| number.to_string() == digits);
        let next = |run: &&mut Run| {
            run.stem == stem && number.is_some() && run.last.and_then(|last| last.checked_add(1)) == number
        };
        if let Some(run) = runs.last_mut().filter(next) {
            (run.last, run.count) = (number, run.count + 1);
        } else {
            let stem = if number.is_some() { stem } else { name };
            runs.push(Run { stem, first: number, last: number, count: 1 });
        }
    }
    // What remains of a comment beside its head and its titles.
    let mut room = LIMIT - NOTICE - 2_000;
    let (mut lines, mut named) = (vec![], 0);
    for run in runs {
        let stem = run.stem;
        let line = match (run.first, run.last) {
            (Some(first), Some(last)) if first != last => format!("- {stem}{first} to {stem}{last} ({})", run.count),
            (Some(only), _) => format!("- {stem}{only}"),
            (None, _) => format!("- {stem}"),
        };
        if line.len() + 1 > room {
            lines.push(format!("- and {} more, whose names no comment has room for", names.len() - named));
            break;
        }
        room -= line.len() + 1;
        named += run.count;
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests;
