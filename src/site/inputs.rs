//! What a platform declares and a site binds.

use std::collections::BTreeMap;
use std::rc::Rc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::document::Chain;
use super::scope::Scope;
use super::variables::is_name;
use crate::diagnostic::{Diagnostic, nearest};
use crate::model::{Span, units};
use crate::template::Engine;
use crate::tree::{self, Key, Node, Raw, Spanned, Text, Value};

/// What a platform declares of an input.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Declaration {
    /// What its values are: `string`, `int`, `bool`, `size`, `duration`, `list`, `map`, or `enum` with `choices`.
    #[serde(rename = "type")]
    kind: Option<Kind>,
    /// The value where a site gives none; without it the site must.
    default: Option<Raw>,
    /// For people.
    #[allow(dead_code)] // read by people, and by the reference that is made of a platform
    description: Option<String>,
    /// The least value, or the least length of a text or list.
    min: Option<Spanned<Text>>,
    /// The greatest value, or the greatest length of a text or list.
    max: Option<Spanned<Text>>,
    /// The values that an `enum` may have.
    choices: Option<Spanned<Vec<Text>>>,
    /// Its value is masked wherever it is shown.
    #[serde(default)]
    secret: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Kind {
    String,
    Int,
    Bool,
    Size,
    Duration,
    List,
    Map,
    Enum,
}

/// An input, and what its values must be.
pub struct Input {
    /// Its name.
    pub name: String,
    declared: Span,
    kind: Option<Kind>,
    min: Option<(f64, String)>,
    max: Option<(f64, String)>,
    choices: Option<Vec<String>>,
    /// Its value is a secret.
    pub secret: bool,
}

/// Declares the inputs of all platforms as variables, bound by the site or by their defaults.
pub fn bind(chain: &Chain, scope: &Scope, out: &mut Vec<Diagnostic>) {
    let mut defaults: BTreeMap<&str, Option<Raw>> = BTreeMap::new();
    for document in chain.platforms().iter().rev() {
        for (key, node) in entries(&document.root, out) {
            let (input, default) = declare(key, node, out).unzip();
            scope.declare(&key.text, input.map(Rc::new));
            defaults.insert(&key.text, default.flatten());
        }
    }
    for (name, default) in &defaults {
        if let Some(Raw(default)) = default {
            scope.set(name, default.clone());
        }
    }
    for (key, node) in entries(&chain.site().root, out) {
        if defaults.contains_key(key.text.as_str()) {
            scope.set(&key.text, node.clone());
            continue;
        }
        let diagnostic = Diagnostic::error(key.span, format!("the platform declares no input `{}`", key.text));
        out.push(match nearest(&key.text, defaults.keys().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if chain.platforms().is_empty() => {
                diagnostic.help("a site without `extends` has no inputs; write your own values under `vars`")
            }
            None if defaults.is_empty() => diagnostic.help("it declares none; write your own values under `vars`"),
            None => diagnostic.help(format!("it declares {}", defaults.keys().copied().collect::<Vec<_>>().join(", "))),
        });
    }
}

/// When all variables are known: every input has a value, and it is of its type.
pub fn finish(chain: &Chain, scope: &Rc<Scope>, out: &mut Vec<Diagnostic>) {
    let site = &chain.site().root;
    for input in scope.inputs() {
        if scope.ask(&input.name) {
            continue;
        }
        if scope.set_placeholder(&input.name) {
            continue;
        }
        scope.set_failed(&input.name);
        let place = site.entries().iter().find(|(key, _)| key.text == "inputs" || key.text == "extends");
        let name = &input.name;
        out.push(
            Diagnostic::error(place.map_or(site.span, |(key, _)| key.span), format!("the input `{name}` is missing"))
                .related(input.declared, "declared here, without a default")
                .help(format!("write `inputs: {{{name}: …}}`")),
        );
    }
}

fn entries<'a>(root: &'a Rc<Node>, out: &mut Vec<Diagnostic>) -> &'a [(Key, Rc<Node>)] {
    let Some(node) = root.get("inputs") else { return &[] };
    if !matches!(node.value, Value::Map(_)) && !node.is_null() {
        out.push(
            Diagnostic::error(node.span, format!("`inputs` is a map, and this is {}", node.kind_name()))
                .help("write `inputs: {NAME: VALUE}`"),
        );
    }
    node.entries()
}

fn declare(key: &Key, node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<(Input, Option<Raw>)> {
    if !is_name(&key.text) {
        out.push(
            Diagnostic::error(key.span, format!("`{}` is no name for an input", key.text))
                .help("names are made of letters, digits and `_`, and do not start with a digit"),
        );
        return None;
    }
    if !matches!(node.value, Value::Map(_)) && !node.is_null() {
        out.push(
            Diagnostic::error(node.span, format!("a platform declares its inputs, and this is {}", node.describe()))
                .help(format!("write `{}: {{type: string, default: …}}`", key.text)),
        );
        return None;
    }
    let declaration: Declaration = tree::decode(node, &[], out)?;
    let before = out.len();
    let kind = declaration.kind.or(declaration.choices.as_ref().map(|_| Kind::Enum));
    if kind == Some(Kind::Enum) && declaration.choices.as_ref().is_none_or(|choices| choices.value.is_empty()) {
        let place = declaration.choices.as_ref().map_or(key.span, |choices| choices.span);
        out.push(
            Diagnostic::error(place, format!("the input `{}` is an enum without choices", key.text))
                .help("add `choices: [a, b]`"),
        );
    }
    let min = bound("min", declaration.min.as_ref(), kind, out);
    let max = bound("max", declaration.max.as_ref(), kind, out);
    if let (Some((low, _)), Some((high, _)), Some(place)) = (&min, &max, &declaration.max)
        && low > high
    {
        out.push(Diagnostic::error(place.span, "`max` is less than `min`").help("no value is between them"));
    }
    let input = Input {
        name: key.text.clone(),
        declared: key.span,
        kind,
        min,
        max,
        choices: declaration.choices.map(|choices| choices.value.into_iter().map(|choice| choice.0).collect()),
        secret: declaration.secret,
    };
    if let Some(Raw(default)) = &declaration.default
        && out.len() == before
        && !has_template(default)
    {
        input.check(default, out);
    }
    (out.len() == before).then_some((input, declaration.default))
}

/// A bound in the measure of its type: of a size in bytes, of a text or list its length.
fn bound(
    word: &str,
    bound: Option<&Spanned<Text>>,
    kind: Option<Kind>,
    out: &mut Vec<Diagnostic>,
) -> Option<(f64, String)> {
    let Spanned { value: Text(text), span, .. } = bound?;
    let number = match kind {
        Some(Kind::Size) => units::parse_size(text).map(as_number),
        Some(Kind::Duration) => units::parse_duration(text).map(|duration| duration.as_secs_f64()),
        Some(Kind::Bool | Kind::Enum) | None => {
            Err(format!("only numbers, sizes, durations, texts and lists have a `{word}`"))
        }
        _ => text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| format!("`{word}` is a number, and this is `{text}`")),
    };
    match number {
        Ok(number) => Some((number, text.clone())),
        Err(reason) => {
            out.push(
                Diagnostic::error(*span, reason).help(format!("write a {word} of the input's type, or take it away")),
            );
            None
        }
    }
}

#[allow(clippy::cast_precision_loss)] // bounds of inputs are far below 2^53
fn as_number(int: impl TryInto<u64>) -> f64 {
    int.try_into().map_or(f64::MAX, |int: u64| int as f64)
}

fn has_template(node: &Node) -> bool {
    node.as_str().is_some_and(Engine::has_marks)
        || node.items().iter().any(|item| has_template(item))
        || node.entries().iter().any(|(_, value)| has_template(value))
}

impl Input {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value as templates see it: of its type. `None` where an error was pushed.
    pub fn check(&self, node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<Rc<Node>> {
        let wrong = |what: &str, help: Option<String>| {
            let message = format!("the input `{}` is {what}, and this is {}", self.name, node.describe());
            Diagnostic::error(node.span, message)
                .related(self.declared, "declared here")
                .help(help.unwrap_or_else(|| format!("write {what} here")))
        };
        let as_text = || Node::from_json(&node.as_str()?.into(), node.span, node.sensitive).into();
        let text = node.as_str();
        let json = || node.to_json();
        let (value, number) = match self.kind {
            None => (Some(node.clone()), None),
            Some(Kind::String) => (as_text(), text.map(|text| as_number(text.chars().count()))),
            #[allow(clippy::cast_precision_loss)] // as above
            Some(Kind::Int) => (json().as_i64().map(|_| node.clone()), json().as_i64().map(|int| int as f64)),
            Some(Kind::Bool) => (node.as_bool().map(|is| Node::from_json(&is.into(), node.span, node.sensitive)), None),
            Some(Kind::List) => (json().is_array().then(|| node.clone()), Some(as_number(node.items().len()))),
            Some(Kind::Map) => (json().is_object().then(|| node.clone()), Some(as_number(node.entries().len()))),
            Some(Kind::Enum) => (as_text(), None),
            Some(Kind::Size) => match units::parse_size(text.unwrap_or_default()) {
                Ok(bytes) => (as_text(), Some(as_number(bytes))),
                Err(reason) => {
                    out.push(wrong("a size", text.filter(|_| !node.sensitive).map(|_| reason)));
                    return None;
                }
            },
            Some(Kind::Duration) => match units::parse_duration(text.unwrap_or_default()) {
                Ok(duration) => (as_text(), Some(duration.as_secs_f64())),
                Err(reason) => {
                    out.push(wrong("a duration", text.filter(|_| !node.sensitive).map(|_| reason)));
                    return None;
                }
            },
        };
        if let Some(choices) = &self.choices
            && !text.is_some_and(|text| choices.iter().any(|choice| choice == text))
        {
            let help = nearest(text.unwrap_or_default(), choices.iter().map(String::as_str))
                .map(|near| format!("did you mean `{near}`?"));
            out.push(wrong(&format!("one of {}", choices.join(", ")), help));
            return None;
        }
        let Some(value) = value else {
            let what = match self.kind {
                Some(Kind::Int) => "a whole number",
                Some(Kind::Bool) => "true or false",
                Some(Kind::List) => "a list",
                Some(Kind::Map) => "a map",
                _ => "text",
            };
            out.push(wrong(what, None));
            return None;
        };
        self.is_within(node, number, out).then_some(value)
    }

    fn is_within(&self, node: &Node, number: Option<f64>, out: &mut Vec<Diagnostic>) -> bool {
        let Some(number) = number else { return true };
        let what = match self.kind {
            Some(Kind::String | Kind::List | Kind::Map) => {
                format!("the length of the input `{}` is {number}", self.name)
            }
            _ => format!("the input `{}` is {}", self.name, node.describe()),
        };
        let mut tell = |relation: &str, bound: &str, help: &str| {
            out.push(
                Diagnostic::error(node.span, format!("{what}, {relation} {bound}"))
                    .related(self.declared, "declared here")
                    .help(format!("the platform wants {bound} {help}")),
            );
            false
        };
        match (&self.min, &self.max) {
            (Some((min, text)), _) if number < *min => tell("less than", text, "at least"),
            (_, Some((max, text))) if number > *max => tell("more than", text, "at most"),
            _ => true,
        }
    }
}
