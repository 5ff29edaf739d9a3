//! Writes site files as a person would: quotes where they are needed, texts of many lines as they are, short
//! things on one line.

use std::fmt::Write;

use crate::template::Engine;

/// A value that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// What LXD holds as text and a site file may write naturally: `2`, `true`, `1GiB`.
    Natural(String),
    /// What must be read as text, whatever it looks like.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A list; of texts on one line where it fits.
    List(Vec<Yaml>),
    /// A map, a key a line.
    Map(Vec<Entry>),
    /// A map on one line where it fits.
    Line(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Yaml,
}

impl Entry {
    /// A key and its value.
    pub fn new(key: impl Into<String>, value: Yaml) -> Self {
        Entry { key: key.into(), value }
    }
}

/// So long may a line be that holds more than one value.
const WIDTH: usize = 100;

/// Writes the entries of a map, each at its own line.
pub fn write(entries: &[Entry]) -> String {
    let mut out = String::new();
    map(entries, 0, &mut out);
    out
}

fn map(entries: &[Entry], indent: usize, out: &mut String) {
    for Entry { key, value } in entries {
        let head = format!("{:indent$}{}:", "", plain_or_quoted(key, true, false));
        match one_line(value).filter(|line| is_scalar(value) || head.len() + 1 + line.len() <= WIDTH) {
            Some(line) => {
                let _ = writeln!(out, "{head} {line}");
            }
            None => {
                out.push_str(&head);
                block(value, indent + 2, out);
            }
        }
    }
}

/// What follows a key or a dash, from there on.
fn block(value: &Yaml, indent: usize, out: &mut String) {
    match value {
        Yaml::Natural(text) | Yaml::Text(text) => literal(&protected(text), indent, out),
        Yaml::Bool(is) => {
            let _ = writeln!(out, " {is}");
        }
        Yaml::List(items) => {
            out.push('\n');
            for item in items {
                let head = format!("{:indent$}-", "");
                match (one_line(item), item) {
                    (Some(line), _) if is_scalar(item) || head.len() + 1 + line.len() <= WIDTH => {
                        let _ = writeln!(out, "{head} {line}");
                    }
                    (_, Yaml::Map(entries) | Yaml::Line(entries)) => {
                        let mut inner = String::new();
                        map(entries, indent + 2, &mut inner);
                        let _ = write!(out, "{head} {}", inner.trim_start());
                    }
                    _ => {
                        out.push_str(&head);
                        block(item, indent + 2, out);
                    }
                }
            }
        }
        Yaml::Map(entries) | Yaml::Line(entries) => {
            out.push('\n');
            map(entries, indent, out);
        }
    }
}

fn is_scalar(value: &Yaml) -> bool {
    matches!(value, Yaml::Natural(_) | Yaml::Text(_) | Yaml::Bool(_))
}

/// The value on one line; `None` where it is one of many lines.
fn one_line(value: &Yaml) -> Option<String> {
    match value {
        Yaml::Map(entries) if !entries.is_empty() => None,
        value => flow(value, false),
    }
}

fn flow(value: &Yaml, is_inside: bool) -> Option<String> {
    Some(match value {
        Yaml::Natural(text) | Yaml::Text(text) => {
            let text = protected(text);
            if !is_inside && is_literal(&text) {
                return None;
            }
            plain_or_quoted(&text, matches!(value, Yaml::Natural(_)), is_inside)
        }
        Yaml::Bool(is) => is.to_string(),
        Yaml::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| flow(item, true)).collect();
            format!("[{}]", items?.join(", "))
        }
        Yaml::Map(entries) | Yaml::Line(entries) => {
            let entries: Option<Vec<String>> = entries
                .iter()
                .map(|entry| {
                    Some(format!("{}: {}", plain_or_quoted(&entry.key, true, true), flow(&entry.value, true)?))
                })
                .collect();
            format!("{{{}}}", entries?.join(", "))
        }
    })
}

/// Text with braces of somebody else's Jinja, so that it is not taken for ours.
fn protected(text: &str) -> String {
    if !Engine::has_marks(text) {
        return text.to_owned();
    }
    if text.contains("endraw") {
        // A text that ends a raw block itself is written as an expression.
        return format!("{{{{ {} }}}}", double_quoted(text));
    }
    // The newline after a block's end belongs to the block.
    if text.ends_with('\n') {
        format!("{{% raw %}}\n{text}{{% endraw %}}\n")
    } else {
        format!("{{% raw %}}{}{text}{{% endraw %}}", if text.contains('\n') { "\n" } else { "" })
    }
}

/// True for texts of several lines that a block scalar holds as they are.
fn is_literal(text: &str) -> bool {
    let is_plain = |line: &str| line.is_empty() || !line.trim().is_empty();
    text.contains('\n')
        && !text.starts_with('\n')
        && !text.ends_with("\n\n")
        && !text.trim().is_empty()
        && text.split('\n').all(is_plain)
        && !text.chars().any(|c| c != '\n' && (c == '\t' || must_escape(c)))
}

fn literal(text: &str, indent: usize, out: &mut String) {
    let indicator = if text.starts_with(' ') { "2" } else { "" };
    let chomping = if text.ends_with('\n') { "" } else { "-" };
    let _ = writeln!(out, " |{indicator}{chomping}");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        let _ = if line.is_empty() { writeln!(out) } else { writeln!(out, "{:indent$}{line}", "") };
    }
}

fn plain_or_quoted(text: &str, is_natural: bool, is_inside: bool) -> String {
    if is_plain(text, is_natural, is_inside) {
        return text.to_owned();
    }
    let is_printable = !text.chars().any(|c| must_escape(c) || c == '\n' || c == '\t');
    if is_printable && text.contains(['"', '\\']) && !text.contains('\'') {
        return format!("'{text}'");
    }
    double_quoted(text)
}

/// Words that some YAML reads as something else than text.
const WORDS: &[&str] = &["null", "~", "y", "n", "yes", "no", "on", "off", "=", "<<", "---", "..."];

fn is_plain(text: &str, is_natural: bool, is_inside: bool) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let lower = text.to_ascii_lowercase();
    let is_bool = lower == "true" || lower == "false";
    let looks_like_a_number = first.is_ascii_digit()
        || matches!(first, '-' | '+' | '.') && text[1..].starts_with(|c: char| c.is_ascii_digit() || c == '.');
    // LXD's own numbers are such as YAML reads; of others (0644, 1e3) nobody can tell.
    let is_tidy_number = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    let reads_as_number = looks_like_a_number
        && (text.parse::<f64>().is_ok() || lower.starts_with("0x") || lower.starts_with("0o") || text.contains('_'));
    let is_text = !WORDS.contains(&lower.as_str())
        && (!is_bool || is_natural && text == lower)
        && (!reads_as_number || is_natural && is_tidy_number)
        && !matches!(lower.trim_start_matches(['-', '+']), ".nan" | ".inf");
    let is_safe = |c: char| c != '\n' && c != '\t' && !must_escape(c) && !(is_inside && ",[]{}".contains(c));
    is_text
        && (!"-?:,[]{}#&*!|>'\"%@`".contains(first) || is_tidy_number)
        && text.chars().all(is_safe)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && text.trim() == text
}

fn must_escape(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{200e}' | '\u{200f}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// In double quotes, as YAML, JSON and Jinja read them.
fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if must_escape(c) => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
