//! The one tree that user files become: every node knows its file, line and column.
//!
//! [`parse`] makes it from YAML text; merging and rendering make new trees of old ones; [`decode`] turns a
//! node into a plain `#[derive(Deserialize)]` struct and collects every error with its place instead of
//! stopping at the first. Kinds deserialise from here, so the room lies above them.

use std::rc::Rc;

use crate::model::Span;

/// One value that the user wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
    /// Its text came from a secret: it is masked wherever it is shown.
    pub sensitive: bool,
}

/// What a node can be. Tags and anchors are resolved away by the parser.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A scalar as it was written.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Rc<Node>>),
    /// A map, in the order of the file.
    Map(Vec<(Key, Rc<Node>)>),
}

/// A scalar as it was written: its text, and whether YAML may read a number, a boolean or null in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text without quotes.
    pub text: String,
    /// Written without quotes (or made by a template that yields a number, boolean or null).
    pub plain: bool,
}

/// A key of a map and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

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
