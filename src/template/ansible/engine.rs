use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error as JinjaError, ErrorKind as JinjaKind, Expression, UndefinedBehavior};

use super::rewrite::{self, Marks};
use super::scope::{Context, Scope, current, is_omit, within};
use super::source::{header, marks, syntax, with_its_end};
use super::words::{self, Words, has_undefined};
use super::{changeable, convert, data, dates, lists, lookups, net, numbers, paths, random, regexes, tests, texts};
use crate::template::whole_expression;

/// Why a template cannot be rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What sort of error.
    pub kind: ErrorKind,
    /// In words.
    pub message: String,
    /// Of a template file that another one includes: which.
    pub template: Option<String>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// Bytes in the text that was rendered.
    pub range: Option<Range<usize>>,
}

/// What sort of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A name or an attribute that nothing defines.
    Undefined,
    /// Something that is not known yet.
    Unknown,
    /// No Jinja.
    Syntax,
    /// Anything else.
    Other,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// How a template file is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// A block's own line end vanishes.
    pub trim_blocks: bool,
    /// Blanks before a block vanish.
    pub lstrip_blocks: bool,
    /// What ends lines.
    pub newline: String,
    /// In place of `{{` and `}}`.
    pub variable: Option<(String, String)>,
    /// In place of `{%` and `%}`.
    pub block: Option<(String, String)>,
    /// In place of `{#` and `#}`.
    pub comment: Option<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        let (trim_blocks, newline) = (true, "\n".to_owned());
        Options { trim_blocks, lstrip_blocks: false, newline, variable: None, block: None, comment: None }
    }
}

/// So many instructions may one value's template take.
const FUEL: u64 = 20_000_000;

static STRICT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(UndefinedBehavior::Strict));
/// For `a.b.c | default(…)` where `b` is missing already.
static CHAINED: LazyLock<Environment<'static>> = LazyLock::new(|| environment(UndefinedBehavior::Chainable));

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(100);
    let syntax = SyntaxConfig::builder().trim_blocks(true).build();
    environment.set_syntax(syntax.unwrap_or_default());
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(texts::unknown_method);
    environment.set_formatter(|out, state, value| {
        // What is undefined and arrives here comes of an `if` without an `else`; for the chainable ones, of anything.
        if value.is_undefined() && state.undefined_behavior() != UndefinedBehavior::Strict {
            return Err(JinjaError::from(JinjaKind::UndefinedError));
        }
        if value.is_none() || value.is_undefined() {
            return Ok(());
        }
        if has_undefined(value) {
            return Err(JinjaError::from(JinjaKind::UndefinedError));
        }
        EMITTED.with_borrow_mut(|emitted| emitted.push(value.clone()));
        out.write_str(&convert::text(value)).map_err(JinjaError::from)
    });
    for add in [
        changeable::add,
        convert::add,
        data::add,
        dates::add,
        lists::add,
        lookups::add,
        net::add,
        numbers::add,
        paths::add,
        random::add,
        regexes::add,
        tests::add,
        texts::add,
        words::add,
    ] {
        add(&mut Words(&mut environment));
    }
    environment.set_loader(|name| {
        let scope = current()?;
        let path = match scope.find_file("templates", name) {
            Ok(path) => path,
            Err(_) => return Ok(None),
        };
        let bytes = scope.read_file(&path).map_err(super::wrong)?;
        String::from_utf8(bytes)
            .map(|text| Some(rewrite::template(&text, &Marks::FILE).into_owned()))
            .map_err(|_| super::wrong(format!("{name} is no UTF-8")))
    });
    // An included template is that of the role that includes it.
    environment.set_auto_reload(true);
    environment
}

type Expressions = HashMap<String, Option<Rc<Expression<'static, 'static>>>>;

/// Renders values; remembers the expressions that it has compiled.
#[derive(Default)]
pub struct Engine {
    values: RefCell<Expressions>,
    conditions: RefCell<Expressions>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

thread_local! {
    /// What the expressions of the value being rendered came to.
    static EMITTED: RefCell<Vec<Value>> = const { RefCell::new(vec![]) };
    static ENGINE: Rc<Engine> = Rc::new(Engine::default());
}

/// True if there is anything to render in a text.
pub fn has_marks(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// True if there is anything to render in a value. Texts that are marked as safe (`!unsafe`) are none.
pub(super) fn needs_rendering(value: &Value) -> bool {
    match value.kind() {
        ValueKind::String => !value.is_safe() && value.as_str().is_some_and(has_marks),
        ValueKind::Seq => value.try_iter().is_ok_and(|mut items| items.any(|item| needs_rendering(&item))),
        ValueKind::Map => value.try_iter().is_ok_and(|mut keys| {
            keys.any(|key| needs_rendering(&key) || value.get_item(&key).is_ok_and(|value| needs_rendering(&value)))
        }),
        _ => false,
    }
}

pub(super) fn render_nested(value: &Value) -> Result<Value, JinjaError> {
    ENGINE.with(Rc::clone).nested(value)
}

/// One expression of a filter's or lookup's own, in the innermost scope.
pub(super) fn render_text(text: &str) -> Result<Value, JinjaError> {
    ENGINE.with(Rc::clone).text(text)
}

impl Engine {
    /// An engine.
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Renders a text. One that is a whole `{{ }}` keeps the type of its expression.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn render(&self, text: &str, scope: &Rc<dyn Scope>) -> Result<Value, Error> {
        if !has_marks(text) {
            return Ok(Value::from(text));
        }
        finished(text, within(scope, || self.text(text)))
    }

    /// Renders all texts in a value; entries and items that come out as `omit` are left out.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn render_value(&self, value: &Value, scope: &Rc<dyn Scope>) -> Result<Value, Error> {
        if !needs_rendering(value) {
            return Ok(value.clone());
        }
        let text = value.as_str().unwrap_or_default().to_owned();
        finished(&text, within(scope, || self.nested(value)))
    }

    /// Is a condition true? An expression without braces, or a boolean.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn condition(&self, condition: &Value, scope: &Rc<dyn Scope>) -> Result<bool, Error> {
        let Some(text) = condition.as_str() else { return Ok(convert::truth(condition)) };
        let text = text.trim();
        let text = if whole_expression(text).is_some() || !has_marks(text) {
            whole_expression(text).map_or(text, |(_, inner)| inner)
        } else {
            let rendered = self.render(text, scope)?;
            return match rendered.as_str() {
                Some(rendered) if !has_marks(rendered) && !rendered.trim().is_empty() => {
                    self.evaluate(rendered, scope).map(|value| convert::truth(&value))
                }
                _ => Ok(convert::truth(&rendered)),
            };
        };
        self.evaluate(text, scope).map(|value| convert::truth(&value))
    }

    /// The value of an expression without braces.
    ///
    /// # Errors
    /// See [`Error`]; also an undefined result.
    pub fn evaluate(&self, expression: &str, scope: &Rc<dyn Scope>) -> Result<Value, Error> {
        finished(expression, within(scope, || self.expression(expression, expression, false)))
    }

    /// Renders a template file's text.
    ///
    /// # Errors
    /// See [`Error`], with the line.
    pub fn template(
        &self,
        name: &str,
        source: &str,
        options: &Options,
        scope: &Rc<dyn Scope>,
    ) -> Result<String, Error> {
        let (source, options) = header(source, options);
        let prepared = rewrite::template(&source, &marks(&options));
        let render = |base: &Environment<'static>| {
            let mut environment;
            let used = if options == Options::default() {
                base
            } else {
                environment = base.clone();
                environment.set_syntax(syntax(&options)?);
                &environment
            };
            used.render_named_str(name, &prepared, Value::from_object(Context))
        };
        let result = within(scope, || either(&prepared, render));
        let text = with_its_end(&source, finished(&source, result)?);
        Ok(if options.newline == "\n" { text } else { text.replace('\n', &options.newline) })
    }

    fn nested(&self, value: &Value) -> Result<Value, JinjaError> {
        if !needs_rendering(value) {
            return Ok(value.clone());
        }
        match value.kind() {
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Seq => {
                let mut items = vec![];
                for item in value.try_iter()? {
                    let item = self.part(&item)?;
                    if !is_omit(&item) {
                        items.push(item);
                    }
                }
                Ok(Value::from(items))
            }
            _ => {
                let mut entries = vec![];
                for key in value.try_iter()? {
                    let rendered = self.part(&value.get_item(&key)?)?;
                    if !is_omit(&rendered) {
                        entries.push((self.nested(&key)?, rendered));
                    }
                }
                Ok(Value::from_pairs(entries))
            }
        }
    }

    /// Within a list or a map: an error says itself what is undefined, for nobody above has the text.
    fn part(&self, value: &Value) -> Result<Value, JinjaError> {
        self.nested(value).map_err(|error| match value.as_str() {
            Some(text) if is_undefined(&error) => {
                JinjaError::new(JinjaKind::UndefinedError, told(&error, text).message)
            }
            _ => error,
        })
    }

    /// As Jinja's native types: what comes to one value alone keeps its type, what comes to none is null.
    fn text(&self, text: &str) -> Result<Value, JinjaError> {
        if !has_marks(text) {
            return Ok(Value::from(text));
        }
        let line = text.strip_suffix('\n').unwrap_or(text);
        if let Some((_, inner)) = whole_expression(line)
            && line.trim() == line
            && self.compiled(inner, true).is_some()
        {
            let value = self.expression(inner, text, true)?;
            return Ok(match value.as_str() {
                Some(rendered) if text.ends_with('\n') => Value::from(with_its_end(text, rendered.to_owned())),
                _ => value,
            });
        }
        let prepared = rewrite::template(text, &Marks::VALUE);
        let outer = EMITTED.take();
        let rendered = either(&prepared, |environment| {
            EMITTED.set(vec![]);
            environment.render_named_str("value", &prepared, Value::from_object(Context))
        });
        let emitted = EMITTED.replace(outer);
        let rendered = rendered?;
        Ok(match &*emitted {
            [] if rendered.is_empty() => Value::from(()),
            [one] if one.kind() != ValueKind::String && convert::text(one) == rendered => one.clone(),
            _ => Value::from(with_its_end(text, rendered)),
        })
    }

    /// `escape`: backslashes in its texts stand for themselves.
    fn expression(&self, inner: &str, whole: &str, escape: bool) -> Result<Value, JinjaError> {
        let evaluate = |environment: &'static Environment<'static>| {
            let expression = match self.compiled(inner, escape) {
                Some(expression) if std::ptr::eq(environment, &raw const *STRICT) => expression,
                _ => Rc::new(environment.compile_expression_owned(rewrite::expression(inner, escape).into_owned())?),
            };
            let value = expression.eval(Value::from_object(Context))?;
            if has_undefined(&value) { Err(JinjaError::from(JinjaKind::UndefinedError)) } else { Ok(value) }
        };
        match evaluate(&STRICT) {
            Err(error) if is_undefined(&error) && minds_undefined(whole) => evaluate(&CHAINED).map_err(|_| error),
            result => result,
        }
    }

    fn compiled(&self, inner: &str, escape: bool) -> Option<Rc<Expression<'static, 'static>>> {
        let expressions = if escape { &self.values } else { &self.conditions };
        if let Some(known) = expressions.borrow().get(inner) {
            return known.clone();
        }
        let rewritten = rewrite::expression(inner, escape).into_owned();
        let compiled = STRICT.compile_expression_owned(rewritten).ok().map(Rc::new);
        expressions.borrow_mut().insert(inner.to_owned(), compiled.clone());
        compiled
    }
}

/// Strictly, and where that fails on a missing part in the middle that the template minds itself, chained.
fn either<T>(
    text: &str,
    render: impl Fn(&'static Environment<'static>) -> Result<T, JinjaError>,
) -> Result<T, JinjaError> {
    match render(&STRICT) {
        Err(error) if is_undefined(&error) && minds_undefined(text) => render(&CHAINED).map_err(|_| error),
        result => result,
    }
}

fn minds_undefined(text: &str) -> bool {
    ["default", "defined", "d("].iter().any(|word| text.contains(word))
}

/// True for what an undefined name is behind.
fn is_undefined(error: &JinjaError) -> bool {
    let mut cause = Some(error as &dyn std::error::Error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<JinjaError>()
            && (error.kind() == JinjaKind::UndefinedError
                || error.detail().is_some_and(|detail| detail.contains("is undefined")))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

fn finished<T>(text: &str, (result, unknown): (Result<T, JinjaError>, Option<String>)) -> Result<T, Error> {
    if let Some(why) = unknown {
        let message = why;
        return Err(Error { kind: ErrorKind::Unknown, message, template: None, line: None, range: None });
    }
    result.map_err(|error| told(&error, text))
}

fn told(error: &JinjaError, text: &str) -> Error {
    let kind = match error.kind() {
        _ if is_undefined(error) => ErrorKind::Undefined,
        JinjaKind::SyntaxError | JinjaKind::UnknownFilter | JinjaKind::UnknownTest | JinjaKind::UnknownFunction => {
            ErrorKind::Syntax
        }
        _ => ErrorKind::Other,
    };
    // The innermost cause says what is wrong; the outermost, where.
    let mut innermost = error;
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if let Some(next) = next.downcast_ref::<JinjaError>() {
            innermost = next;
        }
        cause = next.source();
    }
    let range = error.range().filter(|range| text.get(range.clone()).is_some());
    let message = match (kind, innermost.detail()) {
        (ErrorKind::Undefined, Some(detail)) if detail.contains("is undefined") => detail.replace('`', "'"),
        (ErrorKind::Undefined, _) => undefined_words(text, range.clone()),
        (_, Some(detail)) if innermost.kind() == JinjaKind::InvalidOperation => detail.to_owned(),
        (_, Some(detail)) => format!("{}: {detail}", innermost.kind()),
        (_, None) => innermost.kind().to_string(),
    };
    let template = error.name().filter(|name| !["value", "<expression>"].contains(name)).map(str::to_owned);
    Error { kind, message, template, line: error.line(), range }
}

/// Which name is not defined.
fn undefined_words(text: &str, range: Option<Range<usize>>) -> String {
    let known = current_names();
    let names: Vec<String> = match STRICT.template_from_str(text) {
        Ok(template) if has_marks(text) => template.undeclared_variables(false).into_iter().collect(),
        _ => STRICT
            .compile_expression(text)
            .map(|expression| expression.undeclared_variables(false).into_iter().collect())
            .unwrap_or_default(),
    };
    let globals = [
        "lookup",
        "query",
        "q",
        "range",
        "dict",
        "namespace",
        "now",
        "undef",
        "omit",
        "debug",
        "cycler",
        "joiner",
        "lipsum",
    ];
    let mut missing: Vec<(usize, String)> = names
        .into_iter()
        .filter(|name| !known.contains(name) && !globals.contains(&name.as_str()))
        .map(|name| (text.find(name.as_str()).unwrap_or(usize::MAX), name))
        .collect();
    missing.sort();
    if let Some((_, name)) = missing.first() {
        return format!("'{name}' is undefined");
    }
    let part = range.and_then(|range| text.get(range)).map(str::trim).filter(|part| !part.is_empty());
    format!("'{}' is undefined", part.unwrap_or(text.trim()))
}

thread_local! {
    static NAMES: RefCell<Vec<String>> = const { RefCell::new(vec![]) };
}

/// The names that the last scope had: errors are told after it was left.
fn current_names() -> Vec<String> {
    current().map(|scope| scope.names()).unwrap_or_else(|_| NAMES.with_borrow(Clone::clone))
}

impl Engine {
    /// Makes names known for the errors of what is rendered next.
    pub fn note_names(&self, names: Vec<String>) {
        NAMES.set(names);
    }
}
