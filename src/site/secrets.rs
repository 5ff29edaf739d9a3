//! `secrets:`: where each comes from, and its text when a template asks for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;

use super::document::Chain;
use super::files::Files;
use super::scope::Scope;
use super::{Loaded, Options, Parts, load_then};
use crate::diagnostic::Diagnostic;
use crate::model::Span;
use crate::secrets::{Keys, Places, Recipe, Source, Store, today};
use crate::tree::{self, Node, Spanned, Text, Value};

/// How long an authority is valid, and how long a certificate, where nobody says it.
const DAYS: (u32, u32) = (3650, 825);

/// Fewer letters could be guessed.
const LETTERS: std::ops::RangeInclusive<usize> = 12..=1024;

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
    /// Made by `lxdeploy secrets generate`: so many letters and digits, an authority `{ca: NAME}`, or
    /// `{certificate: [NAMES], signed_by: SECRET}`; `days` says how long it is valid.
    #[serde(default)]
    #[schemars(schema_with = "generate_schema")]
    generate: Option<tree::Raw>,
}

/// What [`recipe`] reads.
fn generate_schema(_: &mut SchemaGenerator) -> Schema {
    let text = json!({"type": "string"});
    let days = json!({"anyOf": [{"type": "integer", "minimum": 1}, text]});
    let map = |own: serde_json::Value, required: &[&str]| json!({"type": "object", "additionalProperties": false, "required": required, "properties": own});
    let schema = json!({"anyOf": [
        {"type": "integer", "minimum": LETTERS.start(), "maximum": LETTERS.end()},
        text,
        map(json!({"ca": text, "days": days}), &["ca"]),
        map(json!({"certificate": {"anyOf": [text, {"type": "array", "items": text}]}, "signed_by": text, "days": days}), &["certificate", "signed_by"]),
    ]});
    Schema::try_from(schema).unwrap_or_default()
}

/// Where a secret comes from.
#[derive(Clone)]
pub enum Origin {
    /// It is read.
    Read(Source),
    /// lxdeploy has made it, as this says; templates are not rendered yet.
    Made(Rc<Node>),
}

/// The secrets of a site.
#[derive(Default)]
pub struct Secrets {
    /// `None` where the declaration is wrong.
    declared: BTreeMap<String, (Option<Origin>, Span)>,
    /// The site's file.
    file: std::path::PathBuf,
    /// The node of `site:`.
    site: Option<Rc<Node>>,
    store: RefCell<Option<Result<Rc<Store>, String>>>,
}

impl Secrets {
    /// A secret's origin and place; no origin where the declaration is wrong.
    pub fn get(&self, name: &str) -> Option<&(Option<Origin>, Span)> {
        self.declared.get(name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.keys().map(String::as_str)
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// Why it cannot be had, and what to do.
    pub fn read(
        &self,
        name: &str,
        origin: &Origin,
        scope: &Rc<Scope>,
        keys: &Keys,
    ) -> Result<String, (String, String)> {
        let node = match origin {
            Origin::Read(source) => {
                return source
                    .read()
                    .map_err(|reason| (reason, "`lxdeploy validate` needs no secrets; plan and apply do".into()));
            }
            Origin::Made(node) => node,
        };
        let remedy = format!("run `lxdeploy secrets generate {}`", self.file.display());
        let failed = |reason: String| (reason, remedy.clone());
        let recipe = recipe(node, scope, &mut vec![]).ok_or_else(|| failed("`generate` is wrong".into()))?;
        let store = self
            .store(scope, keys)
            .map_err(|reason| (reason, "it is opened with the identity that `lxdeploy secrets generate` had".into()))?;
        let made = store.get(name).ok_or_else(|| failed("it was not generated yet".into()))?;
        match recipe.fault(made, &store, today()) {
            None => Ok(made.value.clone()),
            Some(fault) => Err(failed(fault)),
        }
    }

    fn store(&self, scope: &Rc<Scope>, keys: &Keys) -> Result<Rc<Store>, String> {
        if let Some(known) = &*self.store.borrow() {
            return known.clone();
        }
        let read = match self.places(scope).current() {
            Some(path) => Store::read(path, keys).map(Rc::new),
            None => Ok(Rc::default()),
        };
        *self.store.borrow_mut() = Some(read.clone());
        read
    }

    fn places(&self, scope: &Rc<Scope>) -> Places {
        let site = self.site.as_ref().and_then(|node| scope.render(node, None, &mut vec![]));
        Places::of(&self.file, site.as_ref().and_then(|node| node.as_str()).unwrap_or("site"))
    }

    /// Tells what is wrong with how secrets are to be generated.
    pub fn check(&self, scope: &Rc<Scope>, out: &mut Vec<Diagnostic>) {
        for (origin, _) in self.declared.values() {
            if let Some(Origin::Made(node)) = origin
                && let Some(Recipe::Certificate { signed_by, .. }) = recipe(node, scope, out)
                && !matches!(self.get(&signed_by), Some((Some(Origin::Made(_)) | None, _)))
            {
                out.push(
                    Diagnostic::error(node.span, format!("`{signed_by}` is no secret that is generated"))
                        .help("what signs is a secret of {generate: {ca: NAME}}; a certificate that others signed comes by {file: PATH}"),
                );
            }
        }
    }
}

/// What `lxdeploy secrets generate` has to do.
pub struct Generation {
    /// The recipes, by the secrets' names.
    pub recipes: BTreeMap<String, Recipe>,
    /// Where they are kept.
    pub places: Places,
}

/// What is to be generated for a site; `None` where the site has errors.
pub fn to_generate(path: &Path, options: &Options) -> (Loaded, Option<Generation>) {
    load_then(path, options, |_, parts: &Parts, _| {
        let scope = &parts.scope;
        let secrets = scope.secrets();
        let recipes = secrets.declared.iter().filter_map(|(name, (origin, _))| match origin {
            Some(Origin::Made(node)) => Some((name.clone(), recipe(node, scope, &mut vec![])?)),
            _ => None,
        });
        Generation { recipes: recipes.collect(), places: secrets.places(scope) }
    })
}

/// One secret of a site; `None` where the site has errors. No other is read.
pub fn one(path: &Path, options: &Options, name: &str) -> (Loaded, Option<Result<String, Diagnostic>>) {
    load_then(path, options, |_, parts: &Parts, _| {
        let scope = &parts.scope;
        let Some((Some(origin), span)) = scope.secrets().get(name) else {
            let names: Vec<&str> = scope.secrets().names().collect();
            let help =
                if names.is_empty() { "it has none".to_owned() } else { format!("there are {}", names.join(", ")) };
            return Err(Diagnostic::plain(format!("the site has no secret `{name}`")).help(help));
        };
        let read = scope.secrets().read(name, origin, scope, &options.keys);
        read.map_err(|(reason, help)| {
            Diagnostic::error(*span, format!("the secret `{name}` cannot be read: {reason}")).help(help)
        })
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenerateBody {
    ca: Option<Spanned<Text>>,
    certificate: Option<Spanned<Vec<Text>>>,
    signed_by: Option<Spanned<String>>,
    days: Option<Spanned<u32>>,
}

const HELP: &str = "write {generate: 32} (so many letters), {generate: {ca: NAME}} or {generate: {certificate: [NAMES], signed_by: SECRET}}";

/// How a secret is made, as its `generate:` says.
fn recipe(node: &Rc<Node>, scope: &Rc<Scope>, out: &mut Vec<Diagnostic>) -> Option<Recipe> {
    let node = scope.render(node, None, out)?;
    let wrong = |message: String| Diagnostic::error(node.span, message).help(HELP);
    if !matches!(node.value, Value::Map(_)) {
        let length = tree::decode::<usize>(&node, &[], &mut vec![]).filter(|length| LETTERS.contains(length));
        if length.is_none() {
            out.push(wrong(format!("a password has {} to {} letters", LETTERS.start(), LETTERS.end())));
        }
        return length.map(|length| Recipe::Password { length });
    }
    let body = tree::decode::<GenerateBody>(&node, &[], out)?;
    let days = |default| body.days.as_ref().map_or(default, |days| days.value);
    match (&body.ca, &body.certificate, &body.signed_by) {
        (Some(name), None, None) => Some(Recipe::Authority { name: name.value.0.clone(), days: days(DAYS.0) }),
        (None, Some(names), Some(signed_by)) if !names.value.is_empty() => Some(Recipe::Certificate {
            names: names.value.iter().map(|name| name.0.clone()).collect(),
            signed_by: signed_by.value.clone(),
            days: days(DAYS.1),
        }),
        _ => {
            out.push(wrong("`generate` is neither a length, nor an authority, nor a certificate".into()));
            None
        }
    }
}

/// What the files declare; the site's over its platforms'.
pub fn declared(chain: &Chain, files: &Files, out: &mut Vec<Diagnostic>) -> Secrets {
    let mut declared = BTreeMap::new();
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
            if node.is_null() {
                // `null` takes out what the platform has.
                declared.remove(&key.text);
                continue;
            }
            // A secret whose error was told stays known: what refers to it must not tell it again.
            declared.insert(key.text.clone(), (origin(&key.text, key.span, node, files, out), key.span));
        }
    }
    let site = chain.site();
    Secrets { declared, file: site.path.clone(), site: site.root.get("site").cloned(), store: RefCell::default() }
}

fn origin(name: &str, span: Span, node: &Rc<Node>, files: &Files, out: &mut Vec<Diagnostic>) -> Option<Origin> {
    let body = tree::decode::<SecretBody>(node, &[], out)?;
    Some(match (body.env, body.file, body.command, body.generate) {
        (Some(name), None, None, None) => Origin::Read(Source::Env(name.value)),
        (None, Some(path), None, None) => Origin::Read(Source::File(files.directory(path.span.file).join(path.value))),
        (None, None, Some(words), None) if !words.value.is_empty() => {
            let directory = files.directory(words.span.file);
            Origin::Read(Source::Command { words: words.value.into_iter().map(|word| word.0).collect(), directory })
        }
        (None, None, None, Some(raw)) => Origin::Made(raw.0),
        _ => {
            out.push(
                Diagnostic::error(span, format!("the secret `{name}` has not exactly one source"))
                    .help("write {env: VARIABLE}, {file: PATH}, {command: [PROGRAM, ARGUMENT]} or {generate: 32}"),
            );
            return None;
        }
    })
}
