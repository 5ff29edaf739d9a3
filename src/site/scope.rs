use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::sync::LazyLock;

use minijinja::Environment;

use super::SecretMode;
use super::files::Files;
use crate::diagnostic::{Diagnostic, nearest};
use crate::kinds;
use crate::model::{FileId, Masker, Span};
use crate::secrets::Source;
use crate::template::{self, Engine, Failure, Host, TemplateError, Variable};
use crate::tree::{Node, Value};

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(template::environment);

/// What templates can see: variables, rendered when they are first asked for, files and secrets.
pub struct Scope {
    engine: Engine<'static>,
    files: Rc<Files>,
    variables: RefCell<HashMap<String, Slot>>,
    secrets: HashMap<String, (Source, Span)>,
    read: RefCell<HashMap<String, Result<String, Failure>>>,
    mode: SecretMode,
    masker: RefCell<Masker>,
    /// Errors of variables and secrets, each at its own place.
    found: RefCell<Vec<Diagnostic>>,
    /// The variables being rendered, the innermost last.
    path: RefCell<Vec<String>>,
    /// The file to which relative paths belong.
    file: Cell<FileId>,
}

enum Slot {
    Written { node: Rc<Node>, sensitive: bool },
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
    pub fn new(files: Rc<Files>, secrets: HashMap<String, (Source, Span)>, mode: SecretMode) -> Self {
        Scope {
            engine: Engine::new(&ENVIRONMENT),
            files,
            variables: RefCell::default(),
            secrets,
            read: RefCell::default(),
            mode,
            masker: RefCell::default(),
            found: RefCell::default(),
            path: RefCell::default(),
            file: Cell::default(),
        }
    }

    /// Sets a variable; a later one of the same name is stronger.
    pub fn set(&self, name: &str, node: Rc<Node>, sensitive: bool) {
        self.variables.borrow_mut().insert(name.to_owned(), Slot::Written { node, sensitive });
    }

    /// A variable whose error was told already.
    pub fn set_failed(&self, name: &str) {
        self.variables.borrow_mut().insert(name.to_owned(), Slot::Failed);
    }

    /// Errors found while rendering variables, and the texts of the secrets that were read.
    pub fn take(&self) -> (Vec<Diagnostic>, Masker) {
        (self.found.take(), self.masker.take())
    }

    /// Renders all templates in a node. What has none is shared with the original.
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
        let value = match &node.value {
            Value::Scalar(scalar) => {
                if !Engine::has_marks(&scalar.text) {
                    return Some(node.clone());
                }
                let before = self.file.replace(node.span.file);
                let rendered = self.engine.render(&scalar.text, host);
                self.file.set(before);
                return match rendered {
                    Ok(rendered) => Some(Node::from_json(&rendered.value, node.span, rendered.sensitive)),
                    Err(error) => {
                        out.extend(self.diagnostic(&error, node.span, &scalar.text, &host.names()));
                        None
                    }
                };
            }
            // All parts are tried, so that all errors are found.
            Value::Seq(items) => {
                let items: Vec<Option<Rc<Node>>> = items.iter().map(|item| self.walk(item, host, out)).collect();
                Value::Seq(items.into_iter().collect::<Option<_>>()?)
            }
            Value::Map(entries) => {
                let entries: Vec<Option<_>> =
                    entries.iter().map(|(key, value)| Some((key.clone(), self.walk(value, host, out)?))).collect();
                Value::Map(entries.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(Rc::new(Node { span: node.span, value, sensitive: node.sensitive }))
    }

    fn diagnostic(&self, error: &TemplateError, span: Span, text: &str, names: &[String]) -> Option<Diagnostic> {
        match error {
            TemplateError::Reported => None,
            TemplateError::Undefined(name, range) => {
                let place = self.part(span, text, range.as_ref());
                let diagnostic = Diagnostic::error(place, format!("`{name}` is not defined"));
                let is_live =
                    kinds::by_section(name).is_some() || ["hostvars", "groups", "live"].contains(&name.as_str());
                Some(diagnostic.help(if is_live {
                    "nothing of the running system can be referred to here: use static addresses, the name NAME.lxd, or hostvars in a playbook".to_owned()
                } else {
                    match nearest(name, names.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if names.is_empty() => "there are no variables; set it under `vars`, or with --var".to_owned(),
                        None => "set it under `vars`, as an input, or with --var; for cloud-init's own Jinja use {% raw %}".to_owned(),
                    }
                }))
            }
            TemplateError::Other(reason, range) => {
                let place = self.part(span, text, range.as_ref());
                Some(
                    Diagnostic::error(place, format!("this template fails: {reason}"))
                        .help("templates are Jinja; {% raw %} keeps braces as they are"),
                )
            }
        }
    }

    /// The place of a part of a scalar, where the file has the scalar letter by letter.
    fn part(&self, span: Span, text: &str, range: Option<&Range<usize>>) -> Span {
        let source = self.files.slice(span);
        let (Some(range), Some(at)) = (range, source.find(text)) else {
            return span;
        };
        let Some(before) = text.get(..range.start).filter(|_| range.end <= text.len()) else {
            return span;
        };
        let front = &source[..at];
        if front.contains('\n') || before.contains('\n') {
            return span;
        }
        let skipped = u32::try_from(front.chars().count() + before.chars().count()).unwrap_or(0);
        let start = span.start + u32::try_from(at + range.start).unwrap_or(0);
        Span { column: span.column + skipped, start, end: start + u32::try_from(range.len()).unwrap_or(0), ..span }
    }

    /// Renders a variable; it sees other variables, and no object's own names.
    fn rendered(self: &Rc<Self>, name: &str, node: &Rc<Node>, sensitive: bool) -> Result<Variable, Failure> {
        if self.path.borrow().iter().any(|open| open == name) {
            let path: Vec<String> = self.path.borrow().iter().cloned().chain([name.to_owned()]).collect();
            self.found.borrow_mut().push(
                Diagnostic::error(node.span, format!("the variable `{name}` refers to itself: {}", path.join(" → ")))
                    .help("give one of them a value of its own"),
            );
            return Err(Failure::Reported);
        }
        self.path.borrow_mut().push(name.to_owned());
        let mut found = vec![];
        let host: Rc<dyn Host> = Rc::new(View { scope: self.clone(), locals: Locals::new() });
        let rendered = self.walk(node, &host, &mut found);
        self.path.borrow_mut().pop();
        self.found.borrow_mut().append(&mut found);
        let node = rendered.ok_or(Failure::Reported)?;
        Ok(Variable { value: node.to_json(), sensitive: sensitive || node.any_sensitive() })
    }
}

fn has_marks(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => Engine::has_marks(&scalar.text),
        Value::Seq(items) => items.iter().any(|item| has_marks(item)),
        Value::Map(entries) => entries.iter().any(|(_, value)| has_marks(value)),
    }
}

impl Host for View {
    fn variable(&self, name: &str) -> Option<Result<Variable, Failure>> {
        if let Some(local) = self.locals.get(name) {
            return Some(Ok(local.clone()));
        }
        let (node, sensitive) = match self.scope.variables.borrow().get(name)? {
            Slot::Rendered(variable) => return Some(Ok(variable.clone())),
            Slot::Failed => return Some(Err(Failure::Reported)),
            Slot::Written { node, sensitive } => (node.clone(), *sensitive),
        };
        let rendered = self.scope.rendered(name, &node, sensitive);
        let slot = rendered.as_ref().map_or(Slot::Failed, |variable| Slot::Rendered(variable.clone()));
        if let Ok(Variable { value: serde_json::Value::String(text), sensitive: true }) = &rendered {
            self.scope.masker.borrow_mut().add(text);
        }
        self.scope.variables.borrow_mut().insert(name.to_owned(), slot);
        Some(rendered)
    }

    fn names(&self) -> Vec<String> {
        self.scope.variables.borrow().keys().chain(self.locals.keys()).cloned().collect()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.scope.files.text(&self.scope.files.directory(self.scope.file.get()).join(path))
    }

    fn env(&self, name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))
    }

    fn secret(&self, name: &str) -> Result<String, Failure> {
        let scope = &self.scope;
        let Some((source, span)) = scope.secrets.get(name) else {
            let near = nearest(name, scope.secrets.keys().map(String::as_str));
            let hint =
                near.map_or_else(|| "name it under `secrets`".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(Failure::Because(format!("there is no secret `{name}`; {hint}")));
        };
        if scope.mode == SecretMode::Placeholder {
            return Ok(format!("(secret {name})"));
        }
        if let Some(known) = scope.read.borrow().get(name) {
            return known.clone();
        }
        let read = source.read().map_err(|reason| {
            scope.found.borrow_mut().push(
                Diagnostic::error(*span, format!("the secret `{name}` cannot be read: {reason}"))
                    .help("`lxdeploy validate` needs no secrets; plan and apply do"),
            );
            Failure::Reported
        });
        if let Ok(text) = &read {
            scope.masker.borrow_mut().add(text);
        }
        scope.read.borrow_mut().insert(name.to_owned(), read.clone());
        read
    }
}
