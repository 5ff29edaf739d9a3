use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error as JinjaError, ErrorKind as JinjaKind};

use super::engine;

/// What templates of playbooks may ask for. All but the variables has a default that refuses.
pub trait Scope {
    /// A variable.
    fn variable(&self, name: &str) -> Option<Variable>;

    /// The names of all variables.
    fn names(&self) -> Vec<String>;

    /// Another host's variables (`hostvars`).
    fn host(&self, name: &str) -> Option<Rc<dyn Scope>> {
        let _ = name;
        None
    }

    /// The names of all hosts.
    fn hosts(&self) -> Vec<String> {
        vec![]
    }

    /// Where a file of the operator's is; `kind` is `files`, `templates` or `vars`.
    ///
    /// # Errors
    /// Where it was looked for.
    fn find_file(&self, kind: &str, name: &str) -> Result<PathBuf, String> {
        let _ = kind;
        Err(format!("{name}: there are no files here"))
    }

    /// A file's content.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        Err(format!("{}: there are no files here", path.display()))
    }

    /// Files that fit a shell's pattern, sorted.
    ///
    /// # Errors
    /// It is no pattern.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        Err(format!("{pattern}: there are no files here"))
    }

    /// An environment variable of the operator's.
    fn env(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// The content of a password file, which is made with `content` where it is missing.
    ///
    /// # Errors
    /// It can be neither read nor made.
    fn password(&self, path: &str, content: &str) -> Result<String, String> {
        let _ = content;
        Err(format!("{path}: there are no files here"))
    }

    /// What a path is at the operator's side.
    fn path_is(&self, path: &str, what: PathTest) -> bool {
        let _ = (path, what);
        false
    }

    /// Seconds since 1970.
    fn now(&self) -> f64 {
        0.0
    }

    /// `count` bytes that nobody can guess.
    fn entropy(&self, count: usize) -> Vec<u8> {
        vec![0; count]
    }
}

/// A variable as a scope has it.
#[derive(Clone, Debug)]
pub enum Variable {
    /// As it was written: its texts are templates.
    Raw(Value),
    /// A fact, a result: never a template.
    Final(Value),
    /// Not known yet, and why.
    Unknown(String),
}

/// What a path may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathTest {
    /// Anything.
    Exists,
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

thread_local! {
    /// The scopes of the templates being rendered, the innermost last.
    static SCOPES: RefCell<Vec<Rc<dyn Scope>>> = const { RefCell::new(vec![]) };
    /// The variables being rendered, the innermost last.
    static PATH: RefCell<Vec<String>> = const { RefCell::new(vec![]) };
    /// Something that is not known yet was touched, and why.
    static UNKNOWN: Cell<Option<String>> = const { Cell::new(None) };
}

/// The innermost scope.
pub(super) fn current() -> Result<Rc<dyn Scope>, JinjaError> {
    SCOPES.with_borrow(|scopes| scopes.last().cloned()).ok_or_else(|| super::wrong("outside of a template"))
}

/// Something is rendered with a scope; also gives what was touched that is not known yet.
pub(super) fn within<T>(scope: &Rc<dyn Scope>, work: impl FnOnce() -> T) -> (T, Option<String>) {
    let before = UNKNOWN.take();
    SCOPES.with_borrow_mut(|scopes| scopes.push(scope.clone()));
    let result = work();
    SCOPES.with_borrow_mut(Vec::pop);
    let unknown = UNKNOWN.replace(before);
    (result, unknown)
}

/// Notes that something that is not known yet was touched.
pub(super) fn touch_unknown(why: String) {
    UNKNOWN.set(Some(why));
}

/// The context of all templates: the innermost scope's variables.
#[derive(Debug)]
pub(super) struct Context;

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let scope = current().ok()?;
        variable(&scope, key.as_str()?)
    }
}

/// A variable's value, rendered; an error as an invalid value.
pub(super) fn variable(scope: &Rc<dyn Scope>, name: &str) -> Option<Value> {
    match scope.variable(name)? {
        Variable::Final(value) => Some(value),
        Variable::Unknown(why) => {
            touch_unknown(why.clone());
            Some(Value::from(JinjaError::new(JinjaKind::InvalidOperation, format!("not known yet: {why}"))))
        }
        Variable::Raw(value) => {
            if !engine::needs_rendering(&value) {
                return Some(value);
            }
            let is_within_itself = PATH.with_borrow(|path| path.iter().any(|known| known == name));
            if is_within_itself
                && PATH.with_borrow(|path| path.len() > MOST_NESTED || path.last().is_some_and(|last| last == name))
            {
                let path = PATH.with_borrow(|path| path.join(" → "));
                return Some(Value::from(super::wrong(format!(
                    "recursive loop detected in variables: {path} → {name}"
                ))));
            }
            PATH.with_borrow_mut(|path| path.push(name.to_owned()));
            let rendered = engine::render_nested(&value);
            PATH.with_borrow_mut(Vec::pop);
            Some(rendered.unwrap_or_else(Value::from))
        }
    }
}

/// So deep may variables refer to variables.
const MOST_NESTED: usize = 40;

/// Ansible's `omit`: an argument of this value is as if it were not there.
pub fn omit() -> Value {
    Value::from_object(Omit)
}

/// True for [`omit`].
pub fn is_omit(value: &Value) -> bool {
    value.downcast_object_ref::<Omit>().is_some()
}

#[derive(Debug)]
struct Omit;

impl Object for Omit {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("__omit_place_holder__")
    }
}

/// A map of which only a part is known: whoever asks for something else touches what is not known yet, and why.
pub fn partly(known: IndexMap<String, Value>, unknown: BTreeMap<String, String>, rest: Option<String>) -> Value {
    Value::from_object(Partly { known, unknown, rest })
}

#[derive(Debug)]
struct Partly {
    known: IndexMap<String, Value>,
    unknown: BTreeMap<String, String>,
    /// Why nothing else is known either.
    rest: Option<String>,
}

impl Object for Partly {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        if let Some(value) = self.known.get(name) {
            return Some(value.clone());
        }
        let why = self.unknown.get(name).or(self.rest.as_ref())?;
        touch_unknown(why.clone());
        Some(Value::from(JinjaError::new(JinjaKind::InvalidOperation, format!("not known yet: {why}"))))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if let Some(why) = self.unknown.values().next().or(self.rest.as_ref()) {
            touch_unknown(why.clone());
        }
        Enumerator::Values(self.known.keys().map(|key| Value::from(key.as_str())).collect())
    }
}

/// `hostvars`: every host's variables, rendered when they are asked for.
pub fn hostvars() -> Value {
    Value::from_object(Hosts)
}

#[derive(Debug)]
struct Hosts;

impl Object for Hosts {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        current().ok()?.host(name)?;
        Some(Value::from_object(Host(name.to_owned())))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let hosts = current().map(|scope| scope.hosts()).unwrap_or_default();
        Enumerator::Values(hosts.into_iter().map(Value::from).collect())
    }
}

#[derive(Debug)]
struct Host(String);

impl Object for Host {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let scope = current().ok()?.host(&self.0)?;
        let (value, unknown) = within(&scope, || variable(&scope, key.as_str()?));
        if let Some(why) = unknown {
            touch_unknown(why);
        }
        value
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = current().ok().and_then(|scope| scope.host(&self.0)).map(|scope| scope.names()).unwrap_or_default();
        Enumerator::Values(names.into_iter().map(Value::from).collect())
    }
}

/// `vars`: the variables of whoever asks, rendered when they are asked for.
pub fn own_vars() -> Value {
    Value::from_object(Own)
}

#[derive(Debug)]
struct Own;

impl Object for Own {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        variable(&current().ok()?, key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = current().map(|scope| scope.names()).unwrap_or_default();
        Enumerator::Values(names.into_iter().map(Value::from).collect())
    }
}
