use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::node::Node;
use crate::model::{FileId, Span};

/// A decoded value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
    /// Its text came from a secret.
    pub sensitive: bool,
}

/// The text of any scalar but null, as it was written: `2`, `true`, `0644`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

/// A map in the order of the file, with the places of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping<T>(pub Vec<(Spanned<String>, T)>);

/// Keys and texts: LXD's config.
pub type Settings = Mapping<Spanned<Text>>;

/// The node itself, to be decoded by hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw(pub Rc<Node>);

impl<T> Default for Mapping<T> {
    fn default() -> Self {
        Mapping(vec![])
    }
}

/// The names under which our deserializer gives what serde has no word for.
pub(super) const SPANNED: &str = "$spanned";
pub(super) const TEXT: &str = "$text";
pub(super) const NODE: &str = "$node";

thread_local! {
    /// The way of a node through serde, which carries only its own types.
    pub(super) static CAPTURED: RefCell<Option<Rc<Node>>> = const { RefCell::new(None) };
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let mut number = || parts.next_element::<u32>().map(Option::unwrap_or_default);
                let (file, line, column, start, end, sensitive) =
                    (number()?, number()?, number()?, number()?, number()?, number()?);
                let value = parts.next_element()?.ok_or_else(|| A::Error::custom("a place without a value"))?;
                let span = Span { file: FileId(file), line, column, start, end };
                Ok(Spanned { value, span, sensitive: sensitive != 0 })
            }
        }
        deserializer.deserialize_newtype_struct(SPANNED, Parts(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }
        deserializer.deserialize_newtype_struct(TEXT, Scalar)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: Error>(self) -> Result<Raw, E> {
                CAPTURED.take().map(Raw).ok_or_else(|| E::custom("only our own trees hold nodes"))
            }
        }
        deserializer.deserialize_newtype_struct(NODE, Whole)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Mapping<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Mapping<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mapping<T>, A::Error> {
                let mut entries = vec![];
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Mapping(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}
