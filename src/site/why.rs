//! Why a value is what it is: who set it, where, by which template, from which variables, and over whose value.
//!
//! Nothing is kept for this while a site is loaded but the nodes that variables were set to. The files' own trees
//! are walked again, from the site to its platforms, and the profiles of an instance as LXD lays them.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::rc::Rc;

use serde_json::Value;

use super::scope::{Asked, Locals};
use super::{Loaded, Options, Parts, Site, load_then};
use crate::diagnostic::{Diagnostic, nearest};
use crate::kinds::{self, Object};
use crate::model::{Address, Masker, Span};
use crate::template::{Engine, FUNCTIONS, Variable};
use crate::tree::{Node, Value as Written};

mod layers;

use layers::{Layer, Layers};

/// The answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Of one value.
    Value(Box<Why>),
    /// Of an object or a map in it: what there is below, each with its value and place.
    Below {
        /// Of what.
        of: String,
        /// Path, value and who set it.
        values: Vec<Why>,
    },
}

/// Why one value is what it is.
#[derive(Clone, Debug)]
pub struct Why {
    /// The object.
    pub address: Address,
    /// The path in it.
    pub path: String,
    /// What holds. `None` where nothing in the files gives it a value.
    pub value: Option<Shown>,
    /// Who set it.
    pub set: Option<Setting>,
    /// What it stands over, the strongest first.
    pub overrides: Vec<Setting>,
    /// What else must be known.
    pub notes: Vec<String>,
}

/// A value as it may be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The value, also of a secret.
    pub value: Value,
    /// It came from a secret: masked wherever it is shown.
    pub sensitive: bool,
}

/// One place that gives a value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// `the site`, `the platform standard`, `profiles.base of the site`.
    pub by: String,
    /// What it gives; `None` where it takes the value out, or its template fails now that another value holds.
    pub value: Option<Shown>,
    /// It takes out what was inherited (`null`).
    pub takes_out: bool,
    /// It would not count even without what stands over it.
    pub is_hidden: bool,
    /// Where.
    pub span: Span,
    /// The template as it is written.
    pub template: Option<String>,
    /// What the template read.
    pub reads: Vec<Read>,
}

/// Something that a template read.
#[derive(Clone, Debug)]
pub struct Read {
    /// The variable's name; of a function its call.
    pub name: String,
    /// What it is: `an input of the site`.
    pub what: String,
    /// Its value; `None` where it is not defined, or a file's text.
    pub value: Option<Shown>,
    /// Where it was set.
    pub span: Option<Span>,
    /// The template as it is written.
    pub template: Option<String>,
    /// What that read.
    pub reads: Vec<Read>,
    /// Weaker places that set it too, the strongest first.
    pub overrides: Vec<Read>,
}

/// Loads a site and answers a question about it. The answer is `None` where the site has an error.
pub fn why(path: &FilePath, options: &Options, question: &str) -> (Loaded, Option<Result<Answer, Diagnostic>>) {
    let (loaded, answer) = load_then(path, options, |site, parts, masker| {
        hide_secret_inputs(parts, masker);
        Asker { site, parts }.answer(question)
    });
    (Loaded { sources: loaded.sources.blanked(&loaded.masker), ..loaded }, answer)
}

/// An input that is declared secret may stand in a file in clear, and files are quoted.
fn hide_secret_inputs(parts: &Parts, masker: &mut Masker) {
    fn hide(node: &Node, masker: &mut Masker) {
        if let Some(text) = node.as_str().filter(|text| !Engine::has_marks(text)) {
            masker.add(text);
        }
        node.items().iter().chain(node.entries().iter().map(|(_, value)| value)).for_each(|part| hide(part, masker));
    }
    for input in parts.scope.inputs().iter().filter(|input| input.secret) {
        parts.scope.written(input.name()).iter().for_each(|node| hide(node, masker));
    }
}

struct Asker<'a> {
    site: &'a Site,
    parts: &'a Parts,
}

impl<'a> Asker<'a> {
    fn answer(&self, question: &str) -> Result<Answer, Diagnostic> {
        let (object, path) = self.object(question)?;
        let layers = Layers::new(self.site, self.parts);
        let paths = layers.paths(object);
        let below: Vec<&String> =
            paths.iter().filter(|known| path.is_empty() || known.starts_with(&format!("{path}."))).collect();
        if paths.iter().any(|known| known == path) || below.is_empty() && !path.is_empty() && layers.has(object, path) {
            return Ok(Answer::Value(Box::new(self.one(&layers, object, path))));
        }
        if !below.is_empty() {
            let values = below.into_iter().map(|path| self.one(&layers, object, path)).collect();
            return Ok(Answer::Below { of: question.to_owned(), values });
        }
        let message = format!("nothing in the files sets `{path}` of {}", object.address);
        let near = nearest(path, paths.iter().map(String::as_str));
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        Err(Diagnostic::plain(message).help(format!("{near}There are {}", some(&paths))))
    }

    /// The object that a question begins with, and the rest: keys may hold dots.
    fn object<'q>(&self, question: &'q str) -> Result<(&'a Object, &'q str), Diagnostic> {
        let sections = || kinds::all().iter().map(|kind| kind.section());
        let (section, rest) = question.split_once('.').unwrap_or((question, ""));
        if !sections().any(|known| known == section) {
            let near = nearest(section, sections()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            let known: Vec<&str> = sections().collect();
            return Err(Diagnostic::plain(format!("there is no section `{section}`")).help(format!(
                "{near}Write SECTION.KEY.PATH, for example instances.api-1.config.limits.cpu; sections are {}",
                known.join(", ")
            )));
        }
        let split = |key: &str| match rest.strip_prefix(key)? {
            "" => Some(""),
            path => path.strip_prefix('.'),
        };
        let objects = || self.site.objects.iter().filter(|object| object.address.section == section);
        let found = objects().filter_map(|object| Some((object, split(&object.address.key)?)));
        if let Some(found) = found.max_by_key(|(object, _)| object.address.key.len()) {
            return Ok(found);
        }
        let mut groups = self.site.groups.iter().filter(|(group, _)| group.section == section);
        if let Some((group, members)) = groups.find(|(group, _)| split(&group.key).is_some()) {
            return Err(match members.first() {
                None => Diagnostic::plain(format!("there is no {group}: it is not enabled, or has a count of 0")),
                Some(first) => Diagnostic::plain(format!("{group} stands for {} objects", members.len())).help(
                    format!("ask for one of them: {}", question.replacen(&group.to_string(), &first.to_string(), 1)),
                ),
            });
        }
        let keys: Vec<String> = objects().map(|object| object.address.key.clone()).collect();
        let heads = rest.match_indices('.').map(|(at, _)| &rest[..at]).chain([rest]);
        let near = heads.filter_map(|head| nearest(head, keys.iter().map(String::as_str))).next();
        let near = near.map(|near| format!("did you mean `{section}.{near}`? ")).unwrap_or_default();
        let known = if keys.is_empty() { "none".to_owned() } else { some(&keys) };
        Err(Diagnostic::plain(format!("there is no `{question}` in the site"))
            .help(format!("{near}Under `{section}` there are {known}")))
    }

    fn one(&self, layers: &Layers<'_>, object: &Object, path: &str) -> Why {
        let (found, mut notes) = layers.of(object, path);
        let mut settings: Vec<Setting> = found.iter().map(|layer| self.setting(layer)).collect();
        let at = settings.iter().zip(&found).position(|(setting, layer)| !setting.takes_out && !layer.is_cut_off);
        let set = at.map(|at| settings.remove(at));
        let mut value = set.as_ref().and_then(|set| set.value.clone());
        let owner = at.map_or(&object.address, |at| &found[at].owner);
        let owner = self.site.objects.iter().find(|other| other.address == *owner).unwrap_or(object);
        // LXD's text, where the file has another spelling of it.
        if let Some((_, wanted)) = owner.fields.iter().find(|(known, _)| known.to_string() == path) {
            value = Some(Shown { value: wanted.value.clone(), sensitive: wanted.sensitive });
        }
        if path == "renamed_from"
            && let Some(old) = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.renamed_from.clone())
        {
            value = Some(Shown { value: old.into(), sensitive: false });
        }
        if set.is_none() && value.is_some() {
            notes.push("no file sets it: this is lxdeploy's default".into());
        }
        Why { address: object.address.clone(), path: path.to_owned(), value, set, overrides: settings, notes }
    }

    fn setting(&self, layer: &Layer) -> Setting {
        let locals = self.locals(&layer.owner);
        let variables = locals.iter().map(|(name, (variable, _))| (name.clone(), variable.clone())).collect();
        let (rendered, asked) = self.parts.scope.traced(&layer.node, &variables);
        let takes_out = layer.node.is_null();
        Setting {
            by: layer.by.clone(),
            value: rendered.filter(|_| !takes_out).map(|node| shown(&node)),
            takes_out,
            is_hidden: layer.is_cut_off,
            span: layer.node.span,
            template: template(&layer.node),
            reads: self.reads(asked, &locals),
        }
    }

    fn reads(&self, asked: Vec<Asked>, locals: &BTreeMap<String, (Variable, Span)>) -> Vec<Read> {
        let is_function = |asked: &Asked| matches!(asked, Asked::Variable(name) if FUNCTIONS.contains(&name.as_str()) && self.parts.scope.written(name).is_empty());
        asked.into_iter().filter(|asked| !is_function(asked)).map(|asked| self.read(asked, locals)).collect()
    }

    fn read(&self, asked: Asked, locals: &BTreeMap<String, (Variable, Span)>) -> Read {
        let of = |name: String, what: &str, span: Option<Span>| Read {
            name,
            what: what.to_owned(),
            value: None,
            span,
            template: None,
            reads: vec![],
            overrides: vec![],
        };
        let name = match asked {
            Asked::File(path) => return of(format!("file({path:?})"), "a file", None),
            Asked::Env(name) => {
                let value = std::env::var(&name).ok().map(|text| Shown { value: text.into(), sensitive: false });
                return Read { value, ..of(format!("env({name:?})"), "an environment variable", None) };
            }
            Asked::Secret(name) => {
                let value = Some(Shown { value: Value::Null, sensitive: true });
                let place = self.parts.scope.secret_place(&name);
                return Read { value, ..of(format!("secret({name:?})"), "a secret", place) };
            }
            Asked::Variable(name) => name,
        };
        let value = |variable: Variable| Shown { value: variable.value, sensitive: variable.sensitive };
        if let Some((variable, span)) = locals.get(&name) {
            return Read { value: Some(value(variable.clone())), ..of(name, "of this object", Some(*span)) };
        }
        let mut written = self.parts.scope.written(&name);
        let Some(node) = written.pop() else {
            return of(name, "not defined", None);
        };
        let known = self.parts.scope.value(&name).map(value);
        let sensitive = known.as_ref().is_some_and(|known| known.sensitive);
        let (_, asked) = self.parts.scope.traced(&node, &Locals::new());
        let overrides = written.iter().rev().map(|node| Read {
            value: template(node).is_none().then(|| Shown { value: node.to_json(), sensitive }),
            template: template(node),
            ..of(name.clone(), &self.origin(node, &name), Some(node.span))
        });
        Read {
            value: known,
            template: template(&node),
            reads: self.reads(asked, &BTreeMap::new()),
            overrides: overrides.collect(),
            ..of(name.clone(), &self.origin(&node, &name), Some(node.span))
        }
    }

    /// Which of the places of variables a node stands in.
    fn origin(&self, node: &Rc<Node>, name: &str) -> String {
        for (depth, document) in self.parts.chain.documents.iter().enumerate() {
            let whose = layers::whose(&self.parts.chain, depth);
            let is = |found: Option<&Rc<Node>>| found.is_some_and(|found| Rc::ptr_eq(found, node));
            let input = document.root.get("inputs").and_then(|inputs| inputs.get(name));
            if is(document.root.get("vars").and_then(|vars| vars.get(name))) {
                return format!("a variable of {whose}");
            }
            if is(input) {
                return format!("an input, bound by {whose}");
            }
            if is(input.and_then(|input| input.get("default"))) {
                return format!("an input's default in {whose}");
            }
        }
        if self.parts.scope.file_name(node).starts_with("--var ") { "given by --var" } else { "a variable of a file" }
            .to_owned()
    }

    /// The names that are one object's alone, and where each comes from.
    fn locals(&self, address: &Address) -> BTreeMap<String, (Variable, Span)> {
        let mut locals = BTreeMap::new();
        let Some(object) = self.site.objects.iter().find(|object| object.address == *address) else {
            return locals;
        };
        let plain = |value: Value| Variable { value, sensitive: false };
        locals.insert("name".into(), (plain(object.name.clone().into()), object.span));
        let mut groups = self.site.groups.iter();
        let group =
            groups.find_map(|(group, members)| Some((group, members.iter().position(|member| member == address)?)));
        let Some((group, at)) = group else {
            return locals;
        };
        let body = self.parts.sections.get(group.section.as_str()).and_then(|section| section.get(&group.key));
        let key = address.key.strip_prefix(&format!("{}-", group.key)).unwrap_or_default();
        if let Some(count) = body.and_then(|body| body.get("count")) {
            locals.insert("index".into(), (plain((at + 1).into()), count.span));
        }
        if let Some(each) = body.and_then(|body| body.get("for_each"))
            && let Some(rendered) = self.parts.scope.render(each, None, &mut vec![])
            && let Some(value) = rendered.get(key)
        {
            locals.insert("index".into(), (plain((at + 1).into()), each.span));
            locals.insert("key".into(), (plain(key.into()), each.span));
            let variable = Variable { value: value.to_json(), sensitive: value.any_sensitive() };
            locals.insert("value".into(), (variable, value.span));
        }
        locals
    }
}

fn shown(node: &Node) -> Shown {
    Shown { value: node.to_json(), sensitive: node.any_sensitive() }
}

/// A scalar's text, if there is anything to render in it.
fn template(node: &Node) -> Option<String> {
    match &node.value {
        Written::Scalar(scalar) if Engine::has_marks(&scalar.text) => Some(scalar.text.clone()),
        _ => None,
    }
}

/// The first few of a long list.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 40;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}
