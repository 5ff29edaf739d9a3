//! Filters, tests and functions as they are made known: what is undefined is refused by all that do not ask for it.

use std::borrow::Cow;

use minijinja::functions::Function;
use minijinja::value::{FunctionArgs, FunctionResult, Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, filters, tests};

use super::convert::truth;

/// An environment that words are added to.
pub(super) struct Words<'e>(pub &'e mut Environment<'static>);

impl Words<'_> {
    /// A filter of values that are defined.
    pub(super) fn add_filter<F, Rv, Args>(&mut self, name: impl Into<Cow<'static, str>>, filter: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.0.add_filter(name, defined(Value::from_function(filter)));
    }

    /// A filter that minds what is undefined itself.
    pub(super) fn add_minding_filter<F, Rv, Args>(&mut self, name: impl Into<Cow<'static, str>>, filter: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.0.add_filter(name, filter);
    }

    /// A test of values that are defined.
    pub(super) fn add_test<F, Rv, Args>(&mut self, name: impl Into<Cow<'static, str>>, test: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.0.add_test(name, defined(Value::from_function(test)));
    }

    /// A function.
    pub(super) fn add_function<F, Rv, Args>(&mut self, name: impl Into<Cow<'static, str>>, function: F)
    where
        F: Function<Rv, Args>,
        Rv: FunctionResult,
        Args: for<'a> FunctionArgs<'a>,
    {
        self.0.add_function(name, function);
    }
}

fn defined(word: Value) -> impl Fn(&mut State, Rest<Value>, Kwargs) -> Result<Value, Error> + Send + Sync + 'static {
    move |state, args, kwargs| {
        if args.first().is_some_and(Value::is_undefined) {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        let has_words = kwargs.args().next().is_some();
        let kwargs = has_words.then(|| Value::from(kwargs));
        let args: Vec<Value> = args.iter().cloned().chain(kwargs).collect();
        word.call(state, &args)
    }
}

/// True if there is something undefined in a list or a dictionary, however deep.
pub(super) fn has_undefined(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined => true,
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter().is_ok_and(|mut items| items.any(|item| has_undefined(&item)))
        }
        // Objects of our own have attributes and no entries.
        ValueKind::Map if value.len().is_some() => value.try_iter().is_ok_and(|mut keys| {
            keys.any(|key| value.get_item(&key).is_ok_and(|entry| !key.is_undefined() && has_undefined(&entry)))
        }),
        _ => false,
    }
}

/// Jinja's own words that let pass here what is undefined.
pub(super) fn add(words: &mut Words<'_>) {
    words.add_test("string", tests::is_string);
    words.add_test("none", tests::is_none);
    words.add_test("number", tests::is_number);
    words.add_test("integer", tests::is_integer);
    words.add_test("float", tests::is_float);
    words.add_test("sequence", tests::is_sequence);
    words.add_test("iterable", tests::is_iterable);
    words.add_test("mapping", tests::is_mapping);
    words.add_test("boolean", tests::is_boolean);
    words.add_test("true", tests::is_true);
    words.add_test("false", tests::is_false);
    words.add_filter("sort", |state: &mut State, value: Value, kwargs: Kwargs| {
        if let Some(attribute) = kwargs.peek::<Option<String>>("attribute")? {
            all_have(&value, &attribute)?;
        }
        filters::sort(state, value, kwargs)
    });
    words.add_filter("sum", |value: &Value, rest: Rest<Value>, kwargs: Kwargs| {
        let given = |name: &str, place: usize| {
            Ok::<_, Error>(kwargs.get::<Option<Value>>(name)?.or_else(|| rest.get(place).cloned()))
        };
        let (attribute, start) = (given("attribute", 0)?, given("start", 1)?);
        kwargs.assert_all_used()?;
        let mut sum = start.unwrap_or_else(|| Value::from(0));
        for item in value.try_iter()? {
            let item = match attribute.as_ref().filter(|attribute| !attribute.is_none()) {
                Some(attribute) => part(&item, &attribute.to_string()),
                None => item,
            };
            sum = plus(&sum, &item)?;
        }
        Ok::<_, Error>(sum)
    });
    for (name, wanted) in [("selectattr", true), ("rejectattr", false)] {
        words.add_filter(name, move |state: &mut State, value: &Value, attribute: String, rest: Rest<Value>| {
            let mut kept = vec![];
            for item in value.try_iter()? {
                let found = part(&item, &attribute);
                let fits = match rest.split_first() {
                    Some((test, args)) => {
                        let test = test.to_string();
                        let bare = test.rsplit('.').next().unwrap_or_default();
                        let args: Vec<Value> = std::iter::once(found).chain(args.iter().cloned()).collect();
                        state.perform_test(bare, &args)?
                    }
                    None if found.is_undefined() => return Err(without(&attribute)),
                    None => truth(&found),
                };
                if fits == wanted {
                    kept.push(item);
                }
            }
            Ok(Value::from(kept))
        });
    }
}

/// A part of a value, by its path; undefined where a step of it is missing.
fn part(value: &Value, path: &str) -> Value {
    path.split('.').fold(value.clone(), |value, step| {
        let index = step.parse::<usize>().ok().and_then(|index| value.get_item_by_index(index).ok());
        index.filter(|found| !found.is_undefined()).or_else(|| value.get_attr(step).ok()).unwrap_or_default()
    })
}

fn all_have(value: &Value, attributes: &str) -> Result<(), Error> {
    for item in value.try_iter()? {
        if let Some(missing) = attributes.split(',').find(|attribute| part(&item, attribute).is_undefined()) {
            return Err(without(missing));
        }
    }
    Ok(())
}

fn without(attribute: &str) -> Error {
    Error::new(ErrorKind::UndefinedError, format!("there is an item without the attribute '{attribute}'"))
}

/// Python's `+`, as far as sums need it.
fn plus(a: &Value, b: &Value) -> Result<Value, Error> {
    match (a.as_i64(), b.as_i64()) {
        _ if b.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        (Some(a), Some(b)) => Ok(Value::from(a + b)),
        _ => match (f64::try_from(a.clone()), f64::try_from(b.clone())) {
            (Ok(a), Ok(b)) => Ok(Value::from(a + b)),
            _ if matches!(a.kind(), ValueKind::Seq | ValueKind::Iterable) => {
                Ok(Value::from(a.try_iter()?.chain(b.try_iter()?).collect::<Vec<_>>()))
            }
            _ => Err(super::wrong(format!("{} and {} have no sum", a.kind(), b.kind()))),
        },
    }
}
