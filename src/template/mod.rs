//! Jinja over single values. What a template may ask for (variables, files, secrets) is the caller's to give.

pub mod ansible;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, Serde};
pub use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error as JinjaError, ErrorKind, Expression, UndefinedBehavior};

/// A map in this order.
pub fn map<K: Into<String>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (Value::from(key.into()), value.into()));
    Value::from(entries.collect::<indexmap::IndexMap<Value, Value>>())
}

/// What a template may ask for.
pub trait Host {
    /// A variable; `None` where there is none.
    fn variable(&self, name: &str) -> Option<Result<Variable, Failure>>;
    /// The names of all variables.
    fn names(&self) -> Vec<String>;
    /// `file(path)`: the file's text.
    fn file(&self, path: &str) -> Result<String, String>;
    /// `env(name)`: an environment variable.
    fn env(&self, name: &str) -> Result<String, String>;
    /// `secret(name)`: a secret's text.
    fn secret(&self, name: &str) -> Result<String, Failure>;
}

/// A variable's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// The value.
    pub value: serde_json::Value,
    /// It came from a secret.
    pub sensitive: bool,
}

/// Why something that a template asks for cannot be had.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// It was told already, at its own place.
    Reported,
    /// For this reason.
    Because(String),
}

/// What a template became.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Text, or of a value that is one whole `{{ }}` whatever the expression gives.
    pub value: serde_json::Value,
    /// A secret was read on the way.
    pub sensitive: bool,
}

/// Why a template cannot be rendered.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplateError {
    /// The cause was told already, at its own place.
    Reported,
    /// A name that nothing defines; where in the text.
    Undefined(String, Option<Range<usize>>),
    /// Anything else; where in the text.
    Other(String, Option<Range<usize>>),
    /// The same after a secret was read.
    OfSecret(String, Option<Range<usize>>),
}

/// So many instructions may one value's template take (a second or so): loops in loops end with an error.
const FUEL: u64 = 1_000_000;

/// Jinja as Ansible's users know it: a block's own line vanishes, undefined is an error.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build().unwrap_or_default());
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("file", |path: String| ask(|host| host.file(&path).map_err(Failure::Because)));
    environment.add_function("env", |name: String| ask(|host| host.env(&name).map_err(Failure::Because)));
    environment.add_function("fail", |message: String| {
        Err::<Value, _>(JinjaError::new(ErrorKind::InvalidOperation, format!("{REFUSED}{message}")))
    });
    environment.add_function("secret", |name: String| {
        let secret = ask(|host| host.secret(&name))?;
        TAINTED.set(true);
        Ok::<_, JinjaError>(secret)
    });
    environment
}

/// What the message of `fail(MESSAGE)` begins with.
pub const REFUSED: &str = "refused: ";

thread_local! {
    /// The hosts of the templates being rendered, the innermost last: minijinja's functions and objects must
    /// be `Send`, and the trees that hosts hold are not.
    static HOSTS: RefCell<Vec<Rc<dyn Host>>> = const { RefCell::new(vec![]) };
    /// A secret was read since the innermost rendering began.
    static TAINTED: Cell<bool> = const { Cell::new(false) };
    /// A cause was told already.
    static REPORTED: Cell<bool> = const { Cell::new(false) };
}

fn ask(question: impl FnOnce(&dyn Host) -> Result<String, Failure>) -> Result<Value, JinjaError> {
    let host = HOSTS.with_borrow(|hosts| hosts.last().cloned());
    let Some(host) = host else {
        return Err(JinjaError::new(ErrorKind::InvalidOperation, "outside of a template"));
    };
    question(&*host).map(Value::from).map_err(jinja)
}

fn jinja(failure: Failure) -> JinjaError {
    match failure {
        Failure::Reported => {
            REPORTED.set(true);
            JinjaError::new(ErrorKind::InvalidOperation, "told already")
        }
        Failure::Because(reason) => JinjaError::new(ErrorKind::InvalidOperation, reason),
    }
}

/// The innermost host's variables, as a template's context.
#[derive(Debug)]
struct Scope;

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let host = HOSTS.with_borrow(|hosts| hosts.last().cloned())?;
        Some(match host.variable(key.as_str()?)? {
            Ok(variable) => {
                TAINTED.set(TAINTED.get() || variable.sensitive);
                Value::from(Serde(variable.value))
            }
            Err(failure) => Value::from(jinja(failure)),
        })
    }
}

/// Renders values, and remembers the expressions that it has compiled.
pub struct Engine<'e> {
    environment: &'e Environment<'static>,
    expressions: RefCell<HashMap<String, Option<Rc<Expression<'e, 'static>>>>>,
}

impl<'e> Engine<'e> {
    /// An engine over an [`environment`].
    pub fn new(environment: &'e Environment<'static>) -> Self {
        Engine { environment, expressions: RefCell::default() }
    }

    /// True if there is anything to render in a text.
    pub fn has_marks(text: &str) -> bool {
        text.contains("{{") || text.contains("{%") || text.contains("{#")
    }

    /// Renders one value. A value that is one whole `{{ }}` keeps the type of its expression.
    ///
    /// # Errors
    /// See [`TemplateError`]; the ranges are bytes in `text`.
    pub fn render(&self, text: &str, host: &Rc<dyn Host>) -> Result<Rendered, TemplateError> {
        let (tainted, reported) = (TAINTED.replace(false), REPORTED.replace(false));
        HOSTS.with_borrow_mut(|hosts| hosts.push(host.clone()));
        let result = self.value(text, host);
        HOSTS.with_borrow_mut(Vec::pop);
        let sensitive = TAINTED.replace(tainted);
        let was_reported = REPORTED.replace(reported);
        match result {
            Ok(value) => Ok(Rendered { value, sensitive }),
            Err(_) if was_reported => Err(TemplateError::Reported),
            Err(TemplateError::Other(reason, range)) if sensitive => Err(TemplateError::OfSecret(reason, range)),
            Err(error) => Err(error),
        }
    }

    fn value(&self, text: &str, host: &Rc<dyn Host>) -> Result<serde_json::Value, TemplateError> {
        if let Some((offset, inner)) = whole_expression(text)
            && let Some(expression) = self.expression(inner)
        {
            let shift = |range: Range<usize>| range.start + offset..range.end + offset;
            let context = Value::from_object(Scope);
            let undefined =
                |at: Option<Range<usize>>| undefined(expression.undeclared_variables(false), host, at.map(shift), text);
            let value = expression.eval(context).map_err(|error| match error {
                error if is_undefined(&error) => undefined(error.range()),
                error => TemplateError::Other(reason(&error), error.range().map(shift)),
            })?;
            if value.is_undefined() {
                return Err(undefined(None));
            }
            return serde_json::to_value(&value).map_err(|error| TemplateError::Other(error.to_string(), None));
        }
        let rendered = self.environment.render_named_str("value", text, Value::from_object(Scope));
        rendered.map(serde_json::Value::String).map_err(|error| match error {
            error if is_undefined(&error) => {
                let template = self.environment.template_from_str(text);
                let names = template.map(|template| template.undeclared_variables(false)).unwrap_or_default();
                undefined(names, host, error.range(), text)
            }
            error => TemplateError::Other(reason(&error), error.range()),
        })
    }

    fn expression(&self, inner: &str) -> Option<Rc<Expression<'e, 'static>>> {
        if let Some(known) = self.expressions.borrow().get(inner) {
            return known.clone();
        }
        let compiled = self.environment.compile_expression_owned(inner.to_owned()).ok().map(Rc::new);
        let mut known = self.expressions.borrow_mut();
        if known.len() < KEPT_EXPRESSIONS {
            known.insert(inner.to_owned(), compiled.clone());
        }
        drop(known);
        compiled
    }
}

/// What comes again and again (in a `count`, in a platform) comes early; a compiled expression takes some kB.
const KEPT_EXPRESSIONS: usize = 256;

/// The expression of a value that is one whole `{{ }}`, and where it starts in the text.
pub(in crate::template) fn whole_expression(text: &str) -> Option<(usize, &str)> {
    let start = text.len() - text.trim_start().len();
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    let offset = start + 2 + usize::from(text.trim_start().starts_with("{{-"));
    // `{{ a }} and {{ b }}` also starts and ends with braces; it does not compile as one expression.
    (!inner.contains("{{")).then_some((offset, inner))
}

/// Which of a template's names is the undefined one: the first at the error that the host does not have; else
/// what stands at the error, if it is an attribute; else the first of all.
fn undefined(
    names: std::collections::HashSet<String>,
    host: &Rc<dyn Host>,
    range: Option<Range<usize>>,
    text: &str,
) -> TemplateError {
    let known = host.names();
    let range = range.filter(|range| text.get(range.clone()).is_some()).map(|range| from_its_start(text, range));
    let unknown: Vec<String> =
        names.into_iter().filter(|name| !known.contains(name) && !FUNCTIONS.contains(&name.as_str())).collect();
    let first = |area: Range<usize>| {
        let places = unknown.iter().filter_map(|name| Some((word(text, name, area.clone())?, name)));
        places.min_by_key(|(at, _)| at.start).map(|(at, name)| TemplateError::Undefined(name.clone(), Some(at)))
    };
    let attribute = || {
        let range = range.clone()?;
        let part = text.get(range.clone())?.split('|').next()?.trim_end();
        let range = range.start..range.start + part.len();
        let is_chain = part.contains(['.', '[']) && part.starts_with(|c: char| c.is_alphabetic() || c == '_');
        is_chain.then(|| TemplateError::Undefined(part.to_owned(), Some(range)))
    };
    range.clone().and_then(first).or_else(attribute).or_else(|| first(0..text.len())).unwrap_or_else(|| {
        let inner = whole_expression(text).map(|(offset, inner)| {
            let start = offset + inner.len() - inner.trim_start().len();
            let name = inner.split('|').next().unwrap_or_default().trim();
            (name.to_owned(), Some(start..start + name.len()))
        });
        let (name, at) = inner.unwrap_or_else(|| ("a part of it".into(), range));
        TemplateError::Undefined(name, at)
    })
}

/// The whole of `map.x.y`, of which the error may have `.y` alone.
fn from_its_start(text: &str, range: Range<usize>) -> Range<usize> {
    let chain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '\'');
    if !text[range.clone()].starts_with(['.', '[']) {
        return range;
    }
    text[..range.start].trim_end_matches(chain).len()..range.end
}

/// What templates may call; Jinja looks for them among the variables first.
pub const FUNCTIONS: &[&str] = &["file", "env", "secret", "fail", "range", "dict", "namespace", "debug"];

/// Where a name stands as a whole word.
fn word(text: &str, name: &str, area: Range<usize>) -> Option<Range<usize>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let found = text.get(area.clone())?.match_indices(name).map(|(at, _)| area.start + at);
    let mut whole = found.filter(|at| {
        let (before, after) = (&text[..*at], &text[at + name.len()..]);
        !before.ends_with(|c: char| is_part(c) || c == '.') && !after.starts_with(is_part)
    });
    whole.next().map(|at| at..at + name.len())
}

/// True for what an undefined name is behind: `x`, and also `x + 1`.
fn is_undefined(error: &JinjaError) -> bool {
    error.kind() == ErrorKind::UndefinedError || error.detail().is_some_and(|detail| detail.ends_with("is undefined)"))
}

/// minijinja's words without its own "(in value:1)".
fn reason(error: &JinjaError) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("it takes more than {FUEL} steps to render this");
    }
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    struct Fixed;

    impl Host for Fixed {
        fn variable(&self, name: &str) -> Option<Result<Variable, Failure>> {
            let plain = |value| Some(Ok(Variable { value, sensitive: false }));
            match name {
                "count" => plain(json!(3)),
                "name" => plain(json!("api")),
                "list" => plain(json!([1, 2])),
                "map" => plain(json!({"a": {"b": true}})),
                "token" => Some(Ok(Variable { value: json!("hush"), sensitive: true })),
                "broken" => Some(Err(Failure::Reported)),
                _ => None,
            }
        }

        fn names(&self) -> Vec<String> {
            ["count", "name", "list", "map", "token", "broken"].map(str::to_owned).to_vec()
        }

        fn file(&self, path: &str) -> Result<String, String> {
            if path == "there" { Ok("text\n".into()) } else { Err(format!("{path}: not there")) }
        }

        fn env(&self, name: &str) -> Result<String, String> {
            Err(format!("{name} is not set"))
        }

        fn secret(&self, name: &str) -> Result<String, Failure> {
            if name == "db" { Ok("s3cret".into()) } else { Err(Failure::Because(format!("no secret `{name}`"))) }
        }
    }

    fn run(text: &str) -> Result<Rendered, TemplateError> {
        let environment = environment();
        let host: Rc<dyn Host> = Rc::new(Fixed);
        Engine::new(&environment).render(text, &host)
    }

    fn value(text: &str) -> serde_json::Value {
        run(text).unwrap().value
    }

    #[test]
    fn a_whole_expression_keeps_its_type() {
        assert_eq!(value("{{ count }}"), json!(3));
        assert_eq!(value(" {{ count + 1 }} "), json!(4));
        assert_eq!(value("{{ list }}"), json!([1, 2]));
        assert_eq!(value("{{ map.a }}"), json!({"b": true}));
        assert_eq!(value("{{ name }}-{{ count }}"), json!("api-3"));
        assert_eq!(value("{% if count > 2 %}many{% else %}few{% endif %}"), json!("many"));
        assert_eq!(value("{% raw %}{{ ds.meta }}{% endraw %}"), json!("{{ ds.meta }}"));
        assert_eq!(value("{{ file('there') }}"), json!("text\n"));
        assert_eq!(value("{{ nothing | default('x') }}"), json!("x"));
    }

    #[test]
    fn secrets_taint_what_they_touch() {
        assert!(run("{{ secret('db') }}").unwrap().sensitive);
        assert!(run("postgres://{{ secret('db') }}@h").unwrap().sensitive);
        assert!(run("{{ token }}").unwrap().sensitive);
        assert!(!run("{{ name }}").unwrap().sensitive);
    }

    #[test]
    fn errors_say_what_and_where() {
        assert_eq!(run("{{ nmae }}"), Err(TemplateError::Undefined("nmae".into(), Some(3..7))));
        assert_eq!(run("a {{ nmae }}"), Err(TemplateError::Undefined("nmae".into(), Some(5..9))));
        for (text, name, at) in [
            ("{{ map.x.y }}", "map.x.y", 3..10),
            ("{{ map.x }}", "map.x", 3..8),
            ("{{ map.q|upper }}", "map.q", 3..8),
            ("{{ a|default('x') }}{{ map.q }}", "map.q", 23..28),
            ("{{ counter }}{{ count }}", "counter", 3..10),
            ("{{ 10 + nope }}", "nope", 8..12),
            ("{% for i in nope %}{% endfor %}", "nope", 12..16),
        ] {
            assert_eq!(run(text), Err(TemplateError::Undefined(name.into(), Some(at))), "{text}");
        }
        assert!(matches!(run("{{ 1 +  }}"), Err(TemplateError::Other(..))));
        assert!(
            matches!(run("{{ file('gone') }}"), Err(TemplateError::Other(reason, _)) if reason.contains("gone: not there"))
        );
        assert_eq!(run("{{ broken }}"), Err(TemplateError::Reported));
        assert_eq!(run("x{{ broken }}"), Err(TemplateError::Reported));
    }

    proptest! {
        #[test]
        fn text_without_marks_stays_as_it_is(text in "[^{]{0,40}") {
            prop_assert!(!Engine::has_marks(&text));
            prop_assert_eq!(value(&text), json!(text));
        }

        #[test]
        fn no_template_makes_it_panic(text in "[{}% a-z.|()'\"0-9+-]{0,40}") {
            let _ = run(&text);
        }
    }
}
