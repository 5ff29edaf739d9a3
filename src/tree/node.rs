use std::rc::Rc;

use serde_json::{Map, Number};

use crate::model::{Span, value};

/// One value that the user wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
    /// Its text came from a secret: it is masked wherever it is shown.
    pub sensitive: bool,
    /// A part of it is left out, for its error was told already: what is missing here is nothing to tell again.
    pub partial: bool,
    /// What the user said of it with a tag that is not YAML's own.
    pub tag: Option<Tag>,
}

/// Ansible's two tags. YAML's own (`!!str`) are resolved away by the parser, and others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `!vault`: the text is encrypted as by ansible-vault.
    Vault,
    /// `!unsafe`: the text is never a template. All within a list or map that is tagged so is tagged too.
    Unsafe,
}

/// What a node can be. Anchors are resolved away by the parser.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A scalar as it was written.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Rc<Node>>),
    /// A map, in the order of the file.
    Map(Vec<(Key, Rc<Node>)>),
}

/// A scalar as it was written: its text, and whether YAML may read a number, a boolean or null in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text without quotes.
    pub text: String,
    /// Written without quotes (or made by a template that yields a number, boolean or null).
    pub plain: bool,
}

/// A key of a map and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// What YAML reads in a scalar (1.2's core schema; `yes`, `on` and their like are text).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
}

impl Scalar {
    pub(super) fn resolve(&self) -> Resolved<'_> {
        let text = self.text.as_str();
        if !self.plain {
            return Resolved::Text(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
            "true" | "True" | "TRUE" => return Resolved::Bool(true),
            "false" | "False" | "FALSE" => return Resolved::Bool(false),
            _ => {}
        }
        let radix =
            |prefix: &str, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
        if let Some(int) = text.parse().ok().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)) {
            return Resolved::Int(int);
        }
        let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
            && text.contains(|c: char| c.is_ascii_digit());
        match text.parse() {
            Ok(float) if is_number => Resolved::Float(float),
            _ => Resolved::Text(text),
        }
    }
}

impl Node {
    /// A node of a JSON value, at the place of what it was made of.
    pub fn from_json(json: &serde_json::Value, span: Span, sensitive: bool) -> Rc<Node> {
        use serde_json::Value as Json;
        let scalar = |text: String, plain| Value::Scalar(Scalar { text, plain });
        let value = match json {
            Json::Null => scalar("null".into(), true),
            Json::Bool(is) => scalar(is.to_string(), true),
            Json::Number(number) => scalar(number.to_string(), true),
            Json::String(text) => scalar(text.clone(), false),
            Json::Array(items) => Value::Seq(items.iter().map(|item| Node::from_json(item, span, sensitive)).collect()),
            Json::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| (Key { text: key.clone(), span }, Node::from_json(value, span, sensitive)))
                    .collect(),
            ),
        };
        Rc::new(Node { span, value, sensitive, partial: false, tag: None })
    }

    /// The node as JSON; numbers, booleans and null as YAML reads them.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Scalar(scalar) => match scalar.resolve() {
                Resolved::Null => Json::Null,
                Resolved::Bool(is) => Json::Bool(is),
                Resolved::Int(int) => Json::Number(int.into()),
                Resolved::Float(float) => {
                    Number::from_f64(float).map_or_else(|| scalar.text.clone().into(), Json::Number)
                }
                Resolved::Text(text) => text.into(),
            },
            Value::Seq(items) => items.iter().map(|item| item.to_json()).collect(),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|(key, value)| (key.text.clone(), value.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// True for what is never a template.
    pub fn is_unsafe(&self) -> bool {
        self.tag == Some(Tag::Unsafe)
    }

    /// A scalar's text, null excepted.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !self.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    /// The boolean that a scalar stands for; `yes`, `on` and their like count.
    pub fn as_bool(&self) -> Option<bool> {
        let text = self.as_str()?;
        value::as_bool(text).filter(|_| text.parse::<i64>().is_err())
    }

    /// True for `null`, `~` and an empty value.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Rc<Node>> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    /// A map's entries; of anything else none.
    pub fn entries(&self) -> &[(Key, Rc<Node>)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// A list's items; of anything else none.
    pub fn items(&self) -> &[Rc<Node>] {
        match &self.value {
            Value::Seq(items) => items,
            _ => &[],
        }
    }

    /// The map without some of its keys.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Rc<Node> {
        let value = match &self.value {
            Value::Map(entries) => {
                Value::Map(entries.iter().filter(|(key, _)| !keys.contains(&key.text.as_str())).cloned().collect())
            }
            other => other.clone(),
        };
        self.with(value)
    }

    /// An empty map at the node's place.
    #[must_use]
    pub fn emptied(&self) -> Rc<Node> {
        Rc::new(Node {
            value: Value::Map(vec![]),
            span: self.span,
            sensitive: self.sensitive,
            partial: false,
            tag: None,
        })
    }

    /// True if the node or anything in it came from a secret.
    pub fn any_sensitive(&self) -> bool {
        self.sensitive
            || self.items().iter().any(|item| item.any_sensitive())
            || self.entries().iter().any(|(_, value)| value.any_sensitive())
    }

    /// True if the node or anything in it lacks a part.
    pub fn any_partial(&self) -> bool {
        self.partial
            || self.items().iter().any(|item| item.any_partial())
            || self.entries().iter().any(|(_, value)| value.any_partial())
    }

    /// The node with all in it marked as secret.
    #[must_use]
    pub fn made_sensitive(&self) -> Rc<Node> {
        let value = match &self.value {
            Value::Scalar(scalar) => Value::Scalar(scalar.clone()),
            Value::Seq(items) => Value::Seq(items.iter().map(|item| item.made_sensitive()).collect()),
            Value::Map(entries) => {
                Value::Map(entries.iter().map(|(key, value)| (key.clone(), value.made_sensitive())).collect())
            }
        };
        Rc::new(Node { value, span: self.span, sensitive: true, partial: self.partial, tag: self.tag })
    }

    /// The same place with another value.
    #[must_use]
    pub fn with(&self, value: Value) -> Rc<Node> {
        Rc::new(Node { value, span: self.span, sensitive: self.sensitive, partial: self.partial, tag: self.tag })
    }

    /// What it is, for an error: `a list`, `text`, `a number`.
    pub fn kind_name(&self) -> &'static str {
        match &self.value {
            Value::Seq(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar(scalar) => match scalar.resolve() {
                Resolved::Null => "nothing",
                Resolved::Bool(_) => "a boolean",
                Resolved::Int(_) | Resolved::Float(_) => "a number",
                Resolved::Text(_) => "text",
            },
        }
    }

    /// What it is and what it says, for an error: ``text `two` ``.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(_) if self.sensitive => format!("{} (sensitive)", self.kind_name()),
            Value::Scalar(scalar) if !self.is_null() => {
                let text: String = scalar.text.chars().take(40).collect();
                format!("{} `{}`", self.kind_name(), text.escape_debug())
            }
            _ => self.kind_name().to_owned(),
        }
    }
}
