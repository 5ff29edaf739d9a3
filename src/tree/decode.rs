use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use serde::de::value::U32Deserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::node::{Key, Node, Resolved, Value};
use super::typed::{CAPTURED, NODE, SPANNED, TEXT};
use crate::diagnostic::{Diagnostic, nearest};
use crate::model::Span;

mod words;

use words::{KeyDe, Word};

/// So many errors of one object are shown at most.
const LIMIT: usize = 100;

/// Turns a node into a type, and collects what is wrong with it.
///
/// serde stops at the first error; so the part that is wrong is left out and the rest is read again, until
/// nothing more is found. `also_known` are keys that were taken out before: an unknown key may be meant for
/// one of them. `None` if any error was pushed.
pub fn decode<T: for<'d> Deserialize<'d>>(
    node: &Rc<Node>,
    also_known: &[&str],
    out: &mut Vec<Diagnostic>,
) -> Option<T> {
    let (value, is_whole) = decode_part(node, also_known, out);
    value.filter(|_| is_whole)
}

/// The same, with the value of what is right where that is enough for one; and whether all was right.
pub fn decode_part<T: for<'d> Deserialize<'d>>(
    node: &Rc<Node>,
    also_known: &[&str],
    out: &mut Vec<Diagnostic>,
) -> (Option<T>, bool) {
    let context = Context { dropped: RefCell::default(), also_known };
    let mut is_whole = true;
    for _ in 0..LIMIT {
        let error = match T::deserialize(De { node, context: &context }) {
            Ok(value) => return (Some(value), is_whole && !node.any_partial()),
            Err(error) => error,
        };
        is_whole = false;
        let at = error.at.clone().unwrap_or_else(|| node.clone());
        // A required field that was left out makes a false "missing field" of what holds it.
        if !context.lacks_part(&at) {
            let help = error.help.unwrap_or_default();
            let diagnostic = Diagnostic::error(error.span.unwrap_or(at.span), error.message);
            out.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
        }
        if Rc::ptr_eq(&at, node) || !context.dropped.borrow_mut().insert(Rc::as_ptr(&at)) {
            break;
        }
    }
    (None, false)
}

struct Context<'c> {
    dropped: RefCell<HashSet<*const Node>>,
    also_known: &'c [&'c str],
}

impl Context<'_> {
    fn has(&self, node: &Rc<Node>) -> bool {
        !self.dropped.borrow().contains(&Rc::as_ptr(node))
    }

    fn lacks_part(&self, node: &Node) -> bool {
        if node.partial {
            return true;
        }
        let parts = node.items().iter().chain(node.entries().iter().map(|(_, value)| value));
        parts.into_iter().any(|part| !self.has(part))
    }
}

#[derive(Debug, Default)]
struct DecodeError {
    /// What is left out in the next reading.
    at: Option<Rc<Node>>,
    /// What is pointed at; else the whole of `at`.
    span: Option<Span>,
    message: String,
    help: Option<String>,
}

impl DecodeError {
    fn at(mut self, node: &Rc<Node>) -> Self {
        self.at.get_or_insert_with(|| node.clone());
        self
    }

    fn in_entry(mut self, key: &Key, value: &Rc<Node>) -> Self {
        if self.at.is_none() {
            self.at = Some(value.clone());
            self.span = Some(key.span);
        }
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError { message: message.to_string(), ..DecodeError::default() }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let help = match nearest(field, expected.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", expected.join(", ")),
        };
        DecodeError { message: format!("there is no `{field}` here"), help: Some(help), ..DecodeError::default() }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let help = match nearest(variant, expected.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? It is one of {}", expected.join(", ")),
            None => format!("it is one of {}", expected.join(", ")),
        };
        DecodeError { message: format!("`{variant}` is not known here"), help: Some(help), ..DecodeError::default() }
    }

    fn missing_field(field: &'static str) -> Self {
        DecodeError {
            message: format!("`{field}` is missing"),
            help: Some(format!("add `{field}:`")),
            ..DecodeError::default()
        }
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        DecodeError { message: format!("{unexpected} is not in range: {expected} is wanted"), ..DecodeError::default() }
    }
}

#[derive(Clone, Copy)]
struct De<'a> {
    node: &'a Rc<Node>,
    context: &'a Context<'a>,
}

impl De<'_> {
    fn wants(&self, what: &str) -> DecodeError {
        let help = match (&self.node.value, what) {
            (Value::Scalar(scalar), "a whole number") if !scalar.plain && scalar.text.parse::<i64>().is_ok() => {
                Some("take the quotes away".to_owned())
            }
            (Value::Scalar(scalar), "a list")
                if !scalar.text.is_empty() && scalar.text.len() <= 40 && !self.node.sensitive =>
            {
                Some(format!("write [{}], or one line with `- ` for each", scalar.text.escape_debug()))
            }
            (Value::Scalar(_), "a list") => Some("write [ … ], or one line with `- ` for each".to_owned()),
            _ => Some(format!("write {what} here")),
        };
        let message = format!("{what} is wanted, and this is {}", self.node.describe());
        DecodeError { at: Some(self.node.clone()), message, help, ..DecodeError::default() }
    }

    fn int<T: TryFrom<i64>>(&self) -> Result<T, DecodeError> {
        let Value::Scalar(scalar) = &self.node.value else {
            return Err(self.wants("a whole number"));
        };
        let Resolved::Int(int) = scalar.resolve() else {
            return Err(self.wants("a whole number"));
        };
        T::try_from(int).map_err(|_| DecodeError {
            at: Some(self.node.clone()),
            message: format!("{int} is out of range"),
            help: Some(if int < 0 { "a number from 0 on is wanted" } else { "a smaller number is wanted" }.into()),
            ..DecodeError::default()
        })
    }

    fn text(&self) -> Result<&str, DecodeError> {
        self.node.as_str().ok_or_else(|| self.wants("text"))
    }
}

macro_rules! ints {
    ($($method:ident $visit:ident $type:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.$visit::<DecodeError>(self.int::<$type>()?).map_err(|error| error.at(self.node))
        })*
    };
}

impl<'de> Deserializer<'de> for De<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Seq(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
            Value::Scalar(scalar) => match scalar.resolve() {
                Resolved::Null => visitor.visit_unit(),
                Resolved::Bool(is) => visitor.visit_bool(is),
                Resolved::Int(int) => visitor.visit_i64(int),
                Resolved::Float(float) => visitor.visit_f64(float),
                Resolved::Text(text) => visitor.visit_str(text),
            }
            .map_err(|error: DecodeError| error.at(self.node)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let is = self.node.as_bool().ok_or_else(|| self.wants("true or false"))?;
        visitor.visit_bool(is)
    }

    ints!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let Value::Scalar(scalar) = &self.node.value else {
            return Err(self.wants("a number"));
        };
        match scalar.resolve() {
            #[allow(clippy::cast_precision_loss)] // nobody writes a number of 2^53 here
            Resolved::Int(int) => visitor.visit_f64(int as f64),
            Resolved::Float(float) => visitor.visit_f64(float),
            _ => Err(self.wants("a number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str::<DecodeError>(self.text()?).map_err(|error| error.at(self.node))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            SPANNED => visitor.visit_seq(Placed::new(self.node.span, self.node.any_sensitive(), self)),
            TEXT => self.deserialize_str(visitor),
            NODE => {
                CAPTURED.set(Some(self.node.clone()));
                visitor.visit_unit()
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// An empty value is an empty list.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if !matches!(self.node.value, Value::Seq(_)) && !self.node.is_null() {
            return Err(self.wants("a list"));
        }
        visitor
            .visit_seq(Items { items: self.node.items().iter(), context: self.context })
            .map_err(|error| error.at(self.node))
    }

    /// An empty value is an empty map.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if !matches!(self.node.value, Value::Map(_)) && !self.node.is_null() {
            return Err(self.wants("a map"));
        }
        visitor
            .visit_map(Entries { entries: self.node.entries().iter(), value: None, context: self.context })
            .map_err(|error| error.at(self.node))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_enum(Word { text: self.text()? }).map_err(|error| error.at(self.node))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { char bytes byte_buf unit unit_struct tuple tuple_struct identifier i128 u128 }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Rc<Node>>,
    context: &'a Context<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let context = self.context;
        match self.items.by_ref().find(|item| context.has(item)) {
            Some(node) => seed.deserialize(De { node, context }).map(Some).map_err(|error| error.at(node)),
            None => Ok(None),
        }
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Rc<Node>)>,
    value: Option<&'a (Key, Rc<Node>)>,
    context: &'a Context<'a>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let context = self.context;
        self.value = self.entries.by_ref().find(|(_, value)| context.has(value));
        let Some((key, value)) = self.value else {
            return Ok(None);
        };
        seed.deserialize(KeyDe { key }).map(Some).map_err(|mut error| {
            if error.message.starts_with("there is no ")
                && let Some(near) = nearest(&key.text, context.also_known.iter().copied())
            {
                error.help = Some(format!("did you mean `{near}`?"));
            }
            error.in_entry(key, value)
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some((_, node)) = self.value.take() else {
            return Err(DecodeError::custom("a value without a key"));
        };
        seed.deserialize(De { node, context: self.context }).map_err(|error| error.at(node))
    }
}

/// A place, and then what stands there.
struct Placed<D> {
    numbers: std::array::IntoIter<u32, 6>,
    value: Option<D>,
}

impl<D> Placed<D> {
    fn new(span: Span, sensitive: bool, value: D) -> Self {
        let numbers = [span.file.0, span.line, span.column, span.start, span.end, u32::from(sensitive)];
        Placed { numbers: numbers.into_iter(), value: Some(value) }
    }
}

impl<'de, D: Deserializer<'de, Error = DecodeError>> SeqAccess<'de> for Placed<D> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        if let Some(number) = self.numbers.next() {
            let number: U32Deserializer<DecodeError> = number.into_deserializer();
            return seed.deserialize(number).map(Some);
        }
        self.value.take().map(|value| seed.deserialize(value)).transpose()
    }
}

#[cfg(test)]
mod tests;
