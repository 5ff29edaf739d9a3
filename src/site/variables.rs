//! Variables, weakest first: the platform's vars and files, inputs, the site's vars and files, `--vars-file`,
//! `--var`.

use std::path::Path;
use std::rc::Rc;

use super::document::{Chain, Document};
use super::files::{Files, Variables};
use super::scope::Scope;
use super::{Options, inputs, secrets};
use crate::diagnostic::Diagnostic;
use crate::tree::{self, Node, Spanned, Value};

/// Everything that templates can see.
pub fn scope(chain: &Chain, options: &Options, files: &Rc<Files>, out: &mut Vec<Diagnostic>) -> Rc<Scope> {
    let scope = Rc::new(Scope::new(files.clone(), secrets::declared(chain, files, out), options));
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
    scope.secrets().check(&scope, out);
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
