//! YAML as PyYAML reads and writes it.

use minijinja::value::{Value, ValueKind};

use super::convert::{number, text};
use crate::tree::{Node, Plain, Value as Tree, plain};

/// A file's node as a value; `closed` reads what is tagged `!vault`.
///
/// # Errors
/// Those of `closed`.
pub fn from_node(node: &Node, closed: &dyn Fn(&str) -> Result<String, String>) -> Result<Value, String> {
    Ok(match &node.value {
        Tree::Seq(items) => {
            Value::from(items.iter().map(|item| from_node(item, closed)).collect::<Result<Vec<_>, _>>()?)
        }
        Tree::Map(entries) => {
            let mut pairs: indexmap::IndexMap<Value, Value> = indexmap::IndexMap::new();
            for (key, value) in entries {
                let key = if key.text.is_empty() { Value::from("") } else { key_of(&key.text) };
                pairs.insert(key, from_node(value, closed)?);
            }
            Value::from(pairs)
        }
        Tree::Scalar(scalar) => match node.tag {
            Some(crate::tree::Tag::Vault) => Value::from_safe_string(closed(&scalar.text)?),
            Some(crate::tree::Tag::Unsafe) => match plain(&scalar.text) {
                Plain::Text(_) => Value::from_safe_string(scalar.text.clone()),
                _ if !scalar.plain => Value::from_safe_string(scalar.text.clone()),
                _ => scalar_value(&scalar.text),
            },
            None if scalar.plain => scalar_value(&scalar.text),
            None => Value::from(scalar.text.as_str()),
        },
    })
}

/// Keys are texts in nearly every map; numbers stay numbers.
fn key_of(key: &str) -> Value {
    match plain(key) {
        Plain::Int(int) => Value::from(int),
        _ => Value::from(key),
    }
}

fn scalar_value(written: &str) -> Value {
    match plain(written) {
        Plain::Null => Value::from(()),
        Plain::Bool(is) => Value::from(is),
        Plain::Int(int) => Value::from(int),
        Plain::Float(float) => Value::from(float),
        Plain::Text(text) => Value::from(text),
    }
}

/// The value that a plain scalar stands for.
pub fn plain_scalar(written: &str) -> Value {
    scalar_value(written)
}

/// How a document is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Blanks of one level.
    pub indent: usize,
    /// `Some(false)`: block style throughout; `None`: lists and maps without parts in flow style.
    pub flow: Option<bool>,
    /// Keys in their order.
    pub sort: bool,
    /// Lines are folded here.
    pub width: usize,
}

/// A value as PyYAML's `dump` writes it.
pub(super) fn dump(value: &Value, style: Style) -> String {
    let mut writer = Writer { out: String::new(), style, column: 0 };
    writer.node(value, 0, false, true);
    if !writer.out.ends_with('\n') {
        writer.out.push('\n');
    }
    writer.out
}

struct Writer {
    out: String,
    style: Style,
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        match text.rfind('\n') {
            Some(at) => self.column = text[at + 1..].chars().count(),
            None => self.column += text.chars().count(),
        }
    }

    fn line(&mut self, indent: usize) {
        while self.out.ends_with(' ') {
            self.out.pop();
        }
        self.put("\n");
        self.put(&" ".repeat(indent));
    }

    fn node(&mut self, value: &Value, indent: usize, is_in_map: bool, is_root: bool) {
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => self.list(value, indent, is_in_map, is_root),
            ValueKind::Map => self.map(value, indent, is_root),
            _ => self.scalar(value, indent),
        }
    }

    fn is_flow(&self, value: &Value) -> bool {
        match self.style.flow {
            Some(flow) => flow || value.len() == Some(0),
            None => {
                let is_leaf = |value: &Value| !matches!(value.kind(), ValueKind::Seq | ValueKind::Map);
                let parts: Vec<Value> = match value.kind() {
                    ValueKind::Map => value
                        .try_iter()
                        .map(|keys| keys.map(|key| value.get_item(&key).unwrap_or_default()).collect())
                        .unwrap_or_default(),
                    _ => value.try_iter().map(Iterator::collect).unwrap_or_default(),
                };
                parts.iter().all(is_leaf)
            }
        }
    }

    fn list(&mut self, value: &Value, indent: usize, is_in_map: bool, is_root: bool) {
        let items: Vec<Value> = value.try_iter().map(Iterator::collect).unwrap_or_default();
        if items.is_empty() || self.is_flow(value) {
            return self.flow(value, indent);
        }
        // PyYAML does not indent lists within maps.
        let own = if is_in_map { indent.saturating_sub(self.style.indent) } else { indent };
        for (index, item) in items.iter().enumerate() {
            if index > 0 || is_in_map && !is_root {
                self.line(own);
            }
            self.put("-");
            let is_block = matches!(item.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)
                && item.len() != Some(0)
                && !self.is_flow(item);
            let pad = if is_block { self.style.indent.saturating_sub(1).max(1) } else { 1 };
            self.put(&" ".repeat(pad));
            self.node(item, own + self.style.indent, false, false);
        }
    }

    fn map(&mut self, value: &Value, indent: usize, _: bool) {
        let pairs = self.pairs(value);
        if pairs.is_empty() || self.is_flow(value) {
            return self.flow(value, indent);
        }
        for (index, (key, value)) in pairs.iter().enumerate() {
            if index > 0 {
                self.line(indent);
            }
            self.scalar(key, indent);
            self.put(":");
            let is_block = matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)
                && value.len() != Some(0)
                && !self.is_flow(value);
            if is_block {
                if value.kind() == ValueKind::Map {
                    self.line(indent + self.style.indent);
                }
            } else {
                self.put(" ");
            }
            self.node(value, indent + self.style.indent, true, false);
        }
    }

    fn pairs(&self, value: &Value) -> Vec<(Value, Value)> {
        let mut pairs: Vec<(Value, Value)> = value
            .try_iter()
            .map(|keys| keys.map(|key| (key.clone(), value.get_item(&key).unwrap_or_default())).collect())
            .unwrap_or_default();
        if self.style.sort {
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
        }
        pairs
    }

    fn flow(&mut self, value: &Value, indent: usize) {
        let is_map = value.kind() == ValueKind::Map;
        self.put(if is_map { "{" } else { "[" });
        let parts: Vec<(Option<Value>, Value)> = if is_map {
            self.pairs(value).into_iter().map(|(key, value)| (Some(key), value)).collect()
        } else {
            value.try_iter().map(|items| items.map(|item| (None, item)).collect()).unwrap_or_default()
        };
        for (index, (key, value)) in parts.iter().enumerate() {
            if index > 0 {
                self.put(",");
                if self.column > self.style.width { self.line(indent + self.style.indent) } else { self.put(" ") }
            }
            if let Some(key) = key {
                self.scalar(key, indent);
                self.put(": ");
            }
            match value.kind() {
                ValueKind::Map | ValueKind::Seq => self.flow(value, indent + self.style.indent),
                _ => self.scalar(value, indent + 2 * self.style.indent),
            }
        }
        self.put(if is_map { "}" } else { "]" });
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        let written = match value.kind() {
            ValueKind::None | ValueKind::Undefined => "null".to_owned(),
            ValueKind::Bool => value.is_true().to_string(),
            ValueKind::Number if value.is_integer() => value.to_string(),
            ValueKind::Number => match f64::try_from(value.clone()).unwrap_or_default() {
                float if float.is_nan() => ".nan".into(),
                float if float.is_infinite() => {
                    if float > 0.0 {
                        ".inf".into()
                    } else {
                        "-.inf".into()
                    }
                }
                float => {
                    let written = number(float);
                    // YAML 1.1 reads no exponent without a point.
                    if written.contains('.') { written } else { written.replacen('e', ".0e", 1) }
                }
            },
            _ => return self.string(&text(value), indent),
        };
        self.put(&written);
    }

    fn string(&mut self, text: &str, indent: usize) {
        let is_special = text.chars().any(|c| (c as u32) < 0x20 && c != '\n' || c as u32 == 0x7f || c == '\u{feff}');
        if is_special || text.contains(" \n") || text.contains("\n ") {
            return self.double_quoted(text, indent);
        }
        let is_plain = !text.is_empty()
            && !text.contains('\n')
            && matches!(plain(text), Plain::Text(_))
            && is_plain_text(text)
            && !is_date(text);
        if is_plain { self.folded(text, indent, "") } else { self.folded(&text.replace('\'', "''"), indent, "'") }
    }

    /// In double quotes; folded at blanks beyond the width.
    fn double_quoted(&mut self, text: &str, indent: usize) {
        let chars: Vec<char> = text.chars().collect();
        self.put("\"");
        let mut is_after_blank = false;
        for (at, c) in chars.iter().enumerate() {
            let is_inner = at > 0 && at + 1 < chars.len();
            if *c == ' ' && !is_after_blank && self.column > self.style.width && is_inner {
                self.put("\n");
                self.put(&" ".repeat(indent.max(self.style.indent)));
                if chars[at + 1] == ' ' {
                    self.put("\\");
                }
            } else {
                self.put(&escaped(*c));
            }
            is_after_blank = *c == ' ';
        }
        self.put("\"");
    }

    /// Plain or in single quotes; blanks beyond the width become line ends, and line ends are doubled.
    fn folded(&mut self, text: &str, indent: usize, quote: &str) {
        self.put(quote);
        // PyYAML folds only in quotes and plain scalars that are no keys; the continuation is indented.
        let indent = indent.max(if quote.is_empty() { self.style.indent } else { 0 });
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            match chars[at] {
                '\n' => {
                    let mut end = at;
                    while end < chars.len() && chars[end] == '\n' {
                        end += 1;
                    }
                    self.put(&"\n".repeat(end - at + 1));
                    self.put(&" ".repeat(indent.max(self.style.indent)));
                    at = end;
                }
                ' ' => {
                    let mut end = at;
                    while end < chars.len() && chars[end] == ' ' {
                        end += 1;
                    }
                    let is_inner = at > 0 && end < chars.len() && chars[end] != '\n' && chars[at - 1] != '\n';
                    if end - at == 1 && self.column > self.style.width && is_inner {
                        self.put("\n");
                        self.put(&" ".repeat(indent.max(self.style.indent)));
                    } else {
                        self.put(&" ".repeat(end - at));
                    }
                    at = end;
                }
                c => {
                    self.put(&c.to_string());
                    at += 1;
                }
            }
        }
        self.put(quote);
    }
}

/// PyYAML reads dates in plain scalars.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5].is_ascii_digit()
        && text.chars().all(|c| c.is_ascii_digit() || "-:TtZz .+".contains(c))
}

fn is_plain_text(text: &str) -> bool {
    let first = text.chars().next().unwrap_or(' ');
    let second = text.chars().nth(1);
    let is_indicator = "#,[]{}&*!|>'\"%@`".contains(first)
        || "?:-".contains(first) && second.is_none_or(char::is_whitespace)
        || text.starts_with("---")
        || text.starts_with("...")
        || text == "="
        || text == "<<";
    !(is_indicator
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.contains(": ")
        || text.ends_with(':')
        || text.contains(" #"))
}

fn escaped(c: char) -> String {
    match c {
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\n' => "\\n".into(),
        '\t' => "\\t".into(),
        '\r' => "\\r".into(),
        '\0' => "\\0".into(),
        '\u{1b}' => "\\e".into(),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => format!("\\x{:02X}", c as u32),
        c => c.into(),
    }
}
