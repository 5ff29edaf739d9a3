//! What a platform declares and a site binds.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;

use super::document::Chain;
use super::scope::Scope;
use crate::diagnostic::{Diagnostic, nearest};
use crate::model::{Span, units};
use crate::tree::{self, Key, Node, Raw, Text, Value};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    #[serde(rename = "type")]
    kind: Option<Kind>,
    default: Option<Raw>,
    #[allow(dead_code)] // read by people, and by the reference that is made of a platform
    description: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
    choices: Option<Vec<Text>>,
    #[serde(default)]
    secret: bool,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
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

/// Declares the inputs of all platforms as variables, bound by the site or by their defaults.
pub fn bind(chain: &Chain, scope: &Rc<Scope>, out: &mut Vec<Diagnostic>) {
    let mut declared: BTreeMap<String, (Span, Declaration)> = BTreeMap::new();
    for document in chain.platforms().iter().rev() {
        for (key, node) in entries(&document.root, out) {
            if let Some(declaration) = tree::decode::<Declaration>(node, &[], out) {
                check_declaration(key, &declaration, out);
                declared.insert(key.text.clone(), (key.span, declaration));
            }
        }
    }
    let site = &chain.site().root;
    let mut bound: BTreeMap<&str, &Rc<Node>> = BTreeMap::new();
    for (key, node) in entries(site, out) {
        if declared.contains_key(&key.text) {
            bound.insert(&key.text, node);
            continue;
        }
        let diagnostic = Diagnostic::error(key.span, format!("the platform declares no input `{}`", key.text));
        let near = nearest(&key.text, declared.keys().map(String::as_str));
        out.push(match near {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if chain.platforms().is_empty() => {
                diagnostic.help("a site without `extends` has no inputs; write your own values under `vars`")
            }
            None => diagnostic.help(format!("it declares {}", declared.keys().cloned().collect::<Vec<_>>().join(", "))),
        });
    }
    for (name, (span, declaration)) in &declared {
        let value = bound.get(name.as_str()).copied().or(declaration.default.as_ref().map(|default| &default.0));
        let Some(value) = value else {
            let place = site.get("inputs").map_or(site.span, |node| node.span);
            out.push(
                Diagnostic::error(place, format!("the input `{name}` is missing"))
                    .related(*span, "declared here, without a default")
                    .help(format!("write `inputs: {{{name}: …}}`")),
            );
            continue;
        };
        let before = out.len();
        if let Some(rendered) = scope.render(value, None, out) {
            check_value(name, &rendered, declaration, out);
            if out.len() == before {
                scope.set(name, rendered, declaration.secret);
                continue;
            }
        }
        // Told already; what refers to it must not tell it again.
        scope.set_failed(name);
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

fn check_declaration(key: &Key, declaration: &Declaration, out: &mut Vec<Diagnostic>) {
    if declaration.kind == Some(Kind::Enum) && declaration.choices.is_none() {
        out.push(
            Diagnostic::error(key.span, format!("the input `{}` is an enum without choices", key.text))
                .help("add `choices: [a, b]`"),
        );
    }
    if let Some(default) = &declaration.default
        && !tree_has_template(&default.0)
    {
        check_value(&key.text, &default.0, declaration, out);
    }
}

fn tree_has_template(node: &Node) -> bool {
    node.as_str().is_some_and(crate::template::Engine::has_marks)
        || node.items().iter().any(|item| tree_has_template(item))
        || node.entries().iter().any(|(_, value)| tree_has_template(value))
}

fn check_value(name: &str, node: &Rc<Node>, declaration: &Declaration, out: &mut Vec<Diagnostic>) {
    let json = node.to_json();
    let text = node.as_str().unwrap_or_default();
    let wrong = |what: &str| {
        Diagnostic::error(node.span, format!("the input `{name}` is {what}, and this is {}", node.describe()))
            .help(format!("write {what} here"))
    };
    let kind = declaration.kind.unwrap_or(if declaration.choices.is_some() { Kind::Enum } else { Kind::String });
    let problem = match kind {
        Kind::String if node.as_str().is_none() => Some(wrong("text")),
        Kind::Int if json.as_i64().is_none() => Some(wrong("a whole number")),
        Kind::Bool if node.as_bool().is_none() => Some(wrong("true or false")),
        Kind::List if !json.is_array() => Some(wrong("a list")),
        Kind::Map if !json.is_object() => Some(wrong("a map")),
        Kind::Size => units::parse_size(text).err().map(|reason| wrong("a size").help(reason)),
        Kind::Duration => units::parse_duration(text).err().map(|reason| wrong("a duration").help(reason)),
        Kind::Enum => {
            let choices: Vec<&str> = declaration.choices.iter().flatten().map(|choice| choice.0.as_str()).collect();
            (!choices.contains(&text)).then(|| wrong(&format!("one of {}", choices.join(", "))))
        }
        _ => None,
    };
    if let Some(problem) = problem {
        out.push(problem);
        return;
    }
    #[allow(clippy::cast_precision_loss)] // bounds of inputs are small
    let number = match kind {
        Kind::Int => json.as_i64().map(|int| int as f64),
        Kind::List => json.as_array().map(|items| items.len() as f64),
        Kind::String => Some(text.chars().count() as f64),
        _ => None,
    };
    let what = if kind == Kind::Int { "" } else { "the length of " };
    if let (Some(number), Some(min)) = (number, declaration.min)
        && number < min
    {
        out.push(
            Diagnostic::error(node.span, format!("{what}the input `{name}` is {number}, less than {min}"))
                .help(format!("the platform wants {min} at least")),
        );
    }
    if let (Some(number), Some(max)) = (number, declaration.max)
        && number > max
    {
        out.push(
            Diagnostic::error(node.span, format!("{what}the input `{name}` is {number}, more than {max}"))
                .help(format!("the platform wants {max} at most")),
        );
    }
}
