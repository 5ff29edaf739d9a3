//! Variables, weakest first: the platform's vars and files, inputs, the site's vars and files, `--vars-file`,
//! `--var`.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::document::{Chain, Document, reserved};
use super::files::{Files, Variables};
use super::scope::Scope;
use super::{Options, inputs};
use crate::diagnostic::Diagnostic;
use crate::model::Span;
use crate::secrets::Source;
use crate::tree::{self, Node, Spanned, Text, Value};

/// Everything that templates can see.
pub fn scope(chain: &Chain, options: &Options, files: &Rc<Files>, out: &mut Vec<Diagnostic>) -> Rc<Scope> {
    let scope = Rc::new(Scope::new(files.clone(), secrets(chain, files, out), options));
    for platform in chain.platforms().iter().rev() {
        variables(platform, &scope, files, out);
    }
    inputs::bind(chain, &scope, out);
    variables(chain.site(), &scope, files, out);
    for path in &options.vars_files {
        of_file(files.variables(path, None, scope.keys(), out), &scope, out);
    }
    for (name, text) in &options.vars {
        if !is_name(name) {
            out.push(Diagnostic::plain(format!("--var {name}: `{name}` is no name for a variable")).help(NAMES));
        } else if let Some(node) = files.parse(format!("--var {name}"), text.clone(), out) {
            // `--var x=` means an empty text.
            let node = if text.trim().is_empty() { Node::from_json(&"".into(), node.span, false) } else { node };
            scope.set(name, node);
        } else {
            scope.set_failed(name);
        }
    }
    inputs::finish(chain, &scope, out);
    scope
}

fn variables(document: &Document, scope: &Scope, files: &Files, out: &mut Vec<Diagnostic>) {
    if let Some(vars) = document.root.get("vars") {
        set_all(vars, "`vars`", scope, out);
    }
    let Some(list) = document.root.get("vars_files") else {
        return;
    };
    let Some(paths) = tree::decode::<Vec<Spanned<String>>>(list, &[], out) else {
        return;
    };
    for path in paths {
        let full = files.directory(path.span.file).join(Path::new(&path.value));
        of_file(files.variables(&full, Some(path.span), scope.keys(), out), scope, out);
    }
}

fn of_file(variables: Variables, scope: &Scope, out: &mut Vec<Diagnostic>) {
    match variables {
        Variables::Read(root) => {
            scope.mask_node(&root);
            set_all(&root, "a vars file", scope, out);
        }
        Variables::Closed => scope.set_closed(),
        Variables::Failed => scope.set_incomplete(),
    }
}

fn set_all(node: &Rc<Node>, what: &str, scope: &Scope, out: &mut Vec<Diagnostic>) {
    if !matches!(node.value, Value::Map(_)) && !node.is_null() {
        out.push(
            Diagnostic::error(node.span, format!("{what} is a map, and this is {}", node.kind_name()))
                .help("write NAME: VALUE"),
        );
    }
    for (key, value) in node.entries() {
        if is_name(&key.text) {
            scope.set(&key.text, value.clone());
        } else {
            out.push(Diagnostic::error(key.span, format!("`{}` is no name for a variable", key.text)).help(NAMES));
        }
    }
}

const NAMES: &str = "names are made of letters, digits and `_`, and do not start with a digit";

/// True for what a template can write as a name.
pub fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Where a secret comes from: exactly one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct SecretBody {
    /// An environment variable.
    env: Option<Spanned<String>>,
    /// A file; a relative path belongs to the file in which it stands.
    file: Option<Spanned<String>>,
    /// A program and its arguments, which prints it.
    command: Option<Spanned<Vec<Text>>>,
}

fn secrets(chain: &Chain, files: &Files, out: &mut Vec<Diagnostic>) -> HashMap<String, (Option<Source>, Span)> {
    let mut secrets = HashMap::new();
    for document in chain.documents.iter().rev() {
        let Some(node) = document.root.get("secrets") else {
            continue;
        };
        if !matches!(node.value, Value::Map(_)) && !node.is_null() {
            out.push(
                Diagnostic::error(node.span, format!("`secrets` is a map, and this is {}", node.kind_name()))
                    .help("write NAME: {env: VARIABLE}"),
            );
        }
        for (key, node) in node.entries() {
            if let Some((generate, _)) = node.entries().iter().find(|(key, _)| key.text == "generate") {
                out.push(reserved("generate", generate.span));
                secrets.insert(key.text.clone(), (None, key.span));
                continue;
            }
            // A secret whose error was told stays known: what refers to it must not tell it again.
            secrets.insert(key.text.clone(), (None, key.span));
            if node.is_null() {
                // `null` takes out what the platform has.
                secrets.remove(&key.text);
                continue;
            }
            let Some(body) = tree::decode::<SecretBody>(node, &[], out) else {
                continue;
            };
            let source = match (body.env, body.file, body.command) {
                (Some(name), None, None) => Source::Env(name.value),
                (None, Some(path), None) => Source::File(files.directory(path.span.file).join(path.value)),
                (None, None, Some(words)) if !words.value.is_empty() => {
                    let directory = files.directory(words.span.file);
                    Source::Command { words: words.value.into_iter().map(|word| word.0).collect(), directory }
                }
                _ => {
                    out.push(
                        Diagnostic::error(key.span, format!("the secret `{}` has not exactly one source", key.text))
                            .help("write {env: VARIABLE}, {file: PATH} or {command: [PROGRAM, ARGUMENT]}"),
                    );
                    continue;
                }
            };
            secrets.insert(key.text.clone(), (Some(source), key.span));
        }
    }
    secrets
}
