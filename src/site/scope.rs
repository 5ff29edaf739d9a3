use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::sync::LazyLock;

use minijinja::Environment;

use super::files::Files;
use super::inputs::Input;
use super::secrets::Secrets;
use super::{Options, SecretMode};
use crate::diagnostic::{Diagnostic, nearest};
use crate::kinds;
use crate::model::{FileId, Masker, Span};
use crate::secrets::Keys;
use crate::template::{self, Engine, Failure, Host, TemplateError, Variable};
use crate::tree::{Node, Tag, Value};

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(template::environment);

/// So deep may variables refer to variables.
const MOST_NESTED: usize = 40;

/// What templates can see: variables, rendered when they are first asked for, files and secrets.
pub struct Scope {
    engine: Engine<'static>,
    files: Rc<Files>,
    pub(super) variables: RefCell<HashMap<String, Slot>>,
    /// The platform's inputs by name; `None` where the declaration is wrong.
    inputs: RefCell<BTreeMap<String, Option<Rc<Input>>>>,
    /// A file of variables could not be read: what is not defined may be in it.
    is_incomplete: Cell<bool>,
    /// A file of variables is encrypted and stays closed: what is not defined may be in it, and is a secret.
    pub(super) is_closed: Cell<bool>,
    secrets: Secrets,
    read: RefCell<HashMap<String, Result<String, Failure>>>,
    pub(super) mode: SecretMode,
    pub(super) keys: Rc<Keys>,
    pub(super) masker: RefCell<Masker>,
    /// Errors of variables and secrets, each at its own place.
    found: RefCell<Vec<Diagnostic>>,
    /// The variables being rendered, the innermost last.
    path: RefCell<Vec<String>>,
    /// The file to which relative paths belong.
    file: Cell<FileId>,
    /// What each variable was set to, the weakest first: why it is what it is.
    written: RefCell<HashMap<String, Vec<Rc<Node>>>>,
    /// What the template being looked at asks for; `None` while nobody wants to know.
    asked: RefCell<Option<Vec<Asked>>>,
}

/// What a template asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A variable.
    Variable(String),
    /// `file(PATH)`.
    File(String),
    /// `env(NAME)`.
    Env(String),
    /// `secret(NAME)`.
    Secret(String),
}

pub(super) enum Slot {
    Written(Rc<Node>),
    Rendered(Variable),
    Failed,
}

/// Names that are one object's alone: `index`, `key`, `value`, `name`.
pub type Locals = BTreeMap<String, Variable>;

/// The scope as a template sees it, one object's own names before it.
struct View {
    scope: Rc<Scope>,
    locals: Locals,
}

impl Scope {
    /// A scope over variables as they were written.
    pub fn new(files: Rc<Files>, secrets: Secrets, options: &Options) -> Self {
        Scope {
            engine: Engine::new(&ENVIRONMENT),
            files,
            variables: RefCell::default(),
            inputs: RefCell::default(),
            is_incomplete: Cell::default(),
            is_closed: Cell::default(),
            secrets,
            read: RefCell::default(),
            mode: options.secrets,
            keys: options.keys.clone(),
            masker: RefCell::default(),
            found: RefCell::default(),
            path: RefCell::default(),
            file: Cell::default(),
            written: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// What a variable was set to, the weakest first.
    pub fn written(&self, name: &str) -> Vec<Rc<Node>> {
        self.written.borrow().get(name).cloned().unwrap_or_default()
    }

    /// Where a secret is declared.
    pub fn secret_place(&self, name: &str) -> Option<Span> {
        self.secrets.get(name).map(|(_, span)| *span)
    }

    /// The secrets that are declared.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The file in which a node stands; of `--var` these words.
    pub fn file_name(&self, node: &Node) -> String {
        self.files.name(node.span.file)
    }

    /// A variable's value.
    pub fn value(self: &Rc<Self>, name: &str) -> Option<Variable> {
        View { scope: self.clone(), locals: Locals::new() }.variable(name)?.ok()
    }

    /// What the variables are. One that cannot be rendered is left out, for nobody may have asked for it.
    pub fn rendered_variables(self: &Rc<Self>) -> BTreeMap<String, serde_json::Value> {
        let names: Vec<String> = self.variables.borrow().keys().cloned().collect();
        let told = self.found.borrow().len();
        let value = |name: String| Some((name.clone(), self.value(&name)?.value));
        let all = names.into_iter().filter_map(value).collect();
        self.found.borrow_mut().truncate(told);
        all
    }

    /// Renders a node and gives what its own templates asked for, each once.
    pub fn traced(self: &Rc<Self>, node: &Rc<Node>, locals: &Locals) -> (Option<Rc<Node>>, Vec<Asked>) {
        let before = self.asked.replace(Some(vec![]));
        let rendered = self.render(node, Some(locals), &mut vec![]);
        (rendered, self.asked.replace(before).unwrap_or_default())
    }

    /// What variables ask for in their turn is theirs.
    fn note(&self, asked: impl FnOnce() -> Asked) {
        if let Some(known) = self.asked.borrow_mut().as_mut().filter(|_| self.path.borrow().is_empty()) {
            let asked = asked();
            if !known.contains(&asked) {
                known.push(asked);
            }
        }
    }

    /// Sets a variable; a later one of the same name is stronger. Of an input whose declaration is wrong, no
    /// value is right or wrong.
    pub fn set(&self, name: &str, node: Rc<Node>) {
        self.written.borrow_mut().entry(name.to_owned()).or_default().push(node.clone());
        let is_unknown = matches!(self.inputs.borrow().get(name), Some(None));
        self.variables
            .borrow_mut()
            .insert(name.to_owned(), if is_unknown { Slot::Failed } else { Slot::Written(node) });
    }

    /// A variable whose error was told already.
    pub fn set_failed(&self, name: &str) {
        self.variables.borrow_mut().insert(name.to_owned(), Slot::Failed);
    }

    /// Not all variables could be read; the error was told already.
    pub fn set_incomplete(&self) {
        self.is_incomplete.set(true);
    }

    /// Makes an input of a variable: whoever gives it a value, the value must be of its type.
    pub fn declare(&self, name: &str, input: Option<Rc<Input>>) {
        self.variables.borrow_mut().remove(name);
        self.written.borrow_mut().remove(name);
        if input.is_none() {
            self.set_failed(name);
        }
        self.inputs.borrow_mut().insert(name.to_owned(), input);
    }

    /// The inputs that are declared well.
    pub fn inputs(&self) -> Vec<Rc<Input>> {
        self.inputs.borrow().values().flatten().cloned().collect()
    }

    /// Renders a variable now, so that its errors are found even if nobody uses it; false if there is none.
    pub fn ask(self: &Rc<Self>, name: &str) -> bool {
        View { scope: self.clone(), locals: Locals::new() }.variable(name).is_some()
    }

    /// The secrets that were read, by name.
    pub fn secrets_read(&self) -> BTreeMap<String, String> {
        let read = self.read.borrow();
        read.iter().filter_map(|(name, text)| Some((name.clone(), text.as_ref().ok()?.clone()))).collect()
    }

    /// Errors found while rendering variables, and the texts of the secrets that were read.
    pub fn take(&self) -> (Vec<Diagnostic>, Masker) {
        (self.found.take(), self.masker.take())
    }

    /// Renders all templates in a node. What has none is shared with the original; of a list or map, what cannot be
    /// rendered is left out.
    pub fn render(
        self: &Rc<Self>,
        node: &Rc<Node>,
        locals: Option<&Locals>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Rc<Node>> {
        if !has_marks(node) {
            return Some(node.clone());
        }
        let host: Rc<dyn Host> = Rc::new(View { scope: self.clone(), locals: locals.cloned().unwrap_or_default() });
        self.walk(node, &host, out)
    }

    fn walk(&self, node: &Rc<Node>, host: &Rc<dyn Host>, out: &mut Vec<Diagnostic>) -> Option<Rc<Node>> {
        if node.is_unsafe() {
            return Some(node.clone());
        }
        if node.tag == Some(Tag::Vault) {
            return self.decrypted(node, out);
        }
        let value = match &node.value {
            Value::Scalar(scalar) => {
                if !Engine::has_marks(&scalar.text) {
                    return Some(node.clone());
                }
                let before = self.file.replace(node.span.file);
                let rendered = self.engine.render(&scalar.text, host);
                self.file.set(before);
                return match rendered {
                    Ok(rendered) => {
                        if (rendered.sensitive || node.sensitive) && self.mode == SecretMode::Read {
                            self.mask(&rendered.value);
                        }
                        Some(Node::from_json(&rendered.value, node.span, rendered.sensitive || node.sensitive))
                    }
                    // What a filter makes of a secret is not known without the secret.
                    Err(TemplateError::OfSecret(..)) if self.mode == SecretMode::Placeholder => {
                        Some(Node::from_json(&"(secret)".into(), node.span, true))
                    }
                    Err(TemplateError::Undefined(..)) if self.is_closed.get() => {
                        Some(Node::from_json(&"(secret)".into(), node.span, true))
                    }
                    Err(error) => {
                        out.extend(self.diagnostic(&error, node.span, &scalar.text, &host.names()));
                        None
                    }
                };
            }
            // All parts are tried, so that all errors are found; what fails is left out.
            Value::Seq(items) => Value::Seq(items.iter().filter_map(|item| self.walk(item, host, out)).collect()),
            Value::Map(entries) => Value::Map(
                entries.iter().filter_map(|(key, value)| Some((key.clone(), self.walk(value, host, out)?))).collect(),
            ),
        };
        let partial = node.partial || size(&value) < size(&node.value);
        Some(Rc::new(Node { span: node.span, value, sensitive: node.sensitive, partial, tag: node.tag }))
    }

    /// What was made of a secret is masked as the secret is.
    pub(super) fn mask(&self, value: &serde_json::Value) {
        use serde_json::Value as Json;
        match value {
            Json::String(text) => self.masker.borrow_mut().add_whole(text),
            Json::Number(number) => self.masker.borrow_mut().add_whole(&number.to_string()),
            Json::Array(items) => items.iter().for_each(|item| self.mask(item)),
            Json::Object(map) => map.values().for_each(|item| self.mask(item)),
            Json::Null | Json::Bool(_) => {}
        }
    }

    fn diagnostic(&self, error: &TemplateError, span: Span, text: &str, names: &[String]) -> Option<Diagnostic> {
        match error {
            TemplateError::Reported => None,
            TemplateError::Undefined(..) if self.is_incomplete.get() => None,
            TemplateError::Undefined(name, range) => {
                let place = self.part(span, text, range.as_ref());
                let diagnostic = Diagnostic::error(place, format!("`{name}` is not defined"));
                let is_live =
                    kinds::by_section(name).is_some() || ["hostvars", "groups", "live"].contains(&name.as_str());
                Some(diagnostic.help(if is_live {
                    "nothing of the running system can be referred to here: use static addresses, the name NAME.lxd, or hostvars in a playbook".to_owned()
                } else if ["index", "key", "value"].contains(&name.as_str()) {
                    "`index` is known inside what has a `count` or a `for_each`, `key` and `value` inside a `for_each`".to_owned()
                } else {
                    match nearest(name, names.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if names.is_empty() => "there are no variables; set it under `vars`, or with --var".to_owned(),
                        None => "set it under `vars`, as an input, or with --var; for cloud-init's own Jinja use {% raw %}".to_owned(),
                    }
                }))
            }
            TemplateError::Other(reason, range) | TemplateError::OfSecret(reason, range) => {
                let place = self.part(span, text, range.as_ref());
                let asked = [
                    ("there is no secret", "secrets are declared under `secrets`, in the site or its platform"),
                    ("the environment variable", "set it where lxdeploy runs, or take it from elsewhere"),
                    (template::REFUSED, "the platform asks for this with fail(…)"),
                    ("cannot read", "a relative path belongs to the file in which the template stands"),
                    ("it takes more than", "loops in loops multiply: make it simpler"),
                ];
                Some(match asked.into_iter().find(|(start, _)| reason.starts_with(start)) {
                    Some((_, help)) => Diagnostic::error(place, reason.as_str()).help(help),
                    None => Diagnostic::error(place, format!("this template fails: {reason}"))
                        .help("templates are Jinja; {% raw %} keeps braces as they are"),
                })
            }
        }
    }

    /// The place of a part of a scalar, where the file has it letter by letter.
    fn part(&self, span: Span, text: &str, range: Option<&Range<usize>>) -> Span {
        let source = self.files.slice(span);
        let Some(range) = range.filter(|range| text.get((*range).clone()).is_some_and(|part| !part.is_empty())) else {
            return span;
        };
        let Some(at) = offset(&source, text, range) else {
            return span;
        };
        let (start, length) = (at, range.len().min(source.len() - at));
        let front = &source[..start];
        let line = number(front.matches('\n').count());
        let column = number(front.rsplit('\n').next().unwrap_or_default().chars().count());
        Span {
            line: span.line + line,
            column: if line == 0 { span.column + column } else { column + 1 },
            start: span.start + number(start),
            end: span.start + number(start + length),
            ..span
        }
    }

    /// Renders a variable; it sees other variables, and no object's own names.
    fn rendered(self: &Rc<Self>, name: &str, node: &Rc<Node>) -> Result<Variable, Failure> {
        let open = self.path.borrow().iter().position(|open| open == name);
        if let Some(from) = open {
            let path: Vec<String> = self.path.borrow()[from..].iter().cloned().chain([name.to_owned()]).collect();
            self.found.borrow_mut().push(
                Diagnostic::error(node.span, format!("the variable `{name}` refers to itself: {}", path.join(" → ")))
                    .help("give one of them a value of its own"),
            );
            return Err(Failure::Reported);
        }
        if self.path.borrow().len() >= MOST_NESTED {
            self.found.borrow_mut().push(
                Diagnostic::error(node.span, format!("variables refer to variables more than {MOST_NESTED} deep here"))
                    .help("give one of them a value of its own"),
            );
            return Err(Failure::Reported);
        }
        let input = self.inputs.borrow().get(name).cloned().flatten();
        self.path.borrow_mut().push(name.to_owned());
        let mut found = vec![];
        let host: Rc<dyn Host> = Rc::new(View { scope: self.clone(), locals: Locals::new() });
        let mut rendered = self.walk(node, &host, &mut found);
        self.path.borrow_mut().pop();
        if let Some(input) = &input {
            rendered = rendered.filter(|node| !node.any_partial()).and_then(|node| input.check(&node, &mut found));
        }
        self.found.borrow_mut().append(&mut found);
        let node = rendered.filter(|node| !node.any_partial()).ok_or(Failure::Reported)?;
        let sensitive = node.any_sensitive() || input.is_some_and(|input| input.secret);
        let value = node.to_json();
        if sensitive && self.mode == SecretMode::Read {
            self.mask(&value);
        }
        Ok(Variable { value, sensitive })
    }
}

/// Where in the source of a scalar a part of its text stands.
fn offset(source: &str, text: &str, range: &Range<usize>) -> Option<usize> {
    if let Some(at) = source.find(text) {
        return Some(at + range.start);
    }
    // A block scalar: its lines are indented in the source, the first one perhaps not.
    let before = &text[..range.start];
    let in_line = range.start - before.rfind('\n').map_or(0, |newline| newline + 1);
    let count = before.matches('\n').count();
    let line = text.lines().nth(count)?;
    let mut at = 0;
    let mut found = source.split_inclusive('\n').map(|written| {
        at += written.len();
        (at - written.len(), written.trim_end_matches(['\n', '\r']))
    });
    let indented = |(at, written): (usize, &str)| {
        let indent = written.strip_suffix(line)?;
        indent.trim().is_empty().then_some(at + indent.len() + in_line)
    };
    // With or without the line of the `|`.
    found.by_ref().nth(count).and_then(indented).or_else(|| found.next().and_then(indented))
}

fn size(value: &Value) -> usize {
    match value {
        Value::Seq(items) => items.len(),
        Value::Map(entries) => entries.len(),
        Value::Scalar(_) => 0,
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn has_marks(node: &Node) -> bool {
    if node.is_unsafe() {
        return false;
    }
    match &node.value {
        _ if node.tag == Some(Tag::Vault) => true,
        Value::Scalar(scalar) => Engine::has_marks(&scalar.text),
        Value::Seq(items) => items.iter().any(|item| has_marks(item)),
        Value::Map(entries) => entries.iter().any(|(_, value)| has_marks(value)),
    }
}

impl Host for View {
    fn variable(&self, name: &str) -> Option<Result<Variable, Failure>> {
        self.scope.note(|| Asked::Variable(name.to_owned()));
        if let Some(local) = self.locals.get(name) {
            return Some(Ok(local.clone()));
        }
        let node = match self.scope.variables.borrow().get(name)? {
            Slot::Rendered(variable) => return Some(Ok(variable.clone())),
            Slot::Failed => return Some(Err(Failure::Reported)),
            Slot::Written(node) => node.clone(),
        };
        let rendered = self.scope.rendered(name, &node);
        let slot = rendered.as_ref().map_or(Slot::Failed, |variable| Slot::Rendered(variable.clone()));
        self.scope.variables.borrow_mut().insert(name.to_owned(), slot);
        Some(rendered)
    }

    fn names(&self) -> Vec<String> {
        self.scope.variables.borrow().keys().chain(self.locals.keys()).cloned().collect()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.scope.note(|| Asked::File(path.to_owned()));
        self.scope.files.text(&self.scope.files.directory(self.scope.file.get()).join(path))
    }

    fn env(&self, name: &str) -> Result<String, String> {
        self.scope.note(|| Asked::Env(name.to_owned()));
        std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))
    }

    fn secret(&self, name: &str) -> Result<String, Failure> {
        self.scope.note(|| Asked::Secret(name.to_owned()));
        let scope = &self.scope;
        let Some((origin, span)) = scope.secrets.get(name) else {
            let near = nearest(name, scope.secrets.names());
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(Failure::Because(format!("there is no secret `{name}`{hint}")));
        };
        let Some(origin) = origin else {
            return Err(Failure::Reported);
        };
        if scope.mode == SecretMode::Placeholder {
            return Ok(format!("(secret {name})"));
        }
        if let Some(known) = scope.read.borrow().get(name) {
            return known.clone();
        }
        let read = scope.secrets.read(name, origin, scope, &scope.keys).map_err(|(reason, help)| {
            let message = format!("the secret `{name}` cannot be read: {reason}");
            scope.found.borrow_mut().push(Diagnostic::error(*span, message).help(help));
            Failure::Reported
        });
        if let Ok(text) = &read {
            scope.masker.borrow_mut().add(text);
        }
        scope.read.borrow_mut().insert(name.to_owned(), read.clone());
        read
    }
}
