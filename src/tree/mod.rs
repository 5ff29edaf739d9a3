//! The one tree that user files become: every node knows its file, line and column.
//!
//! [`parse`] makes it from YAML text; merging and rendering make new trees of old ones; [`decode`] turns a
//! node into a plain `#[derive(Deserialize)]` struct and collects every error with its place instead of
//! stopping at the first. Kinds deserialise from here, so the room lies above them.

mod decode;
mod node;
mod parse;
mod schema;
mod typed;
mod yaml11;

pub use decode::{decode, decode_part};
pub use node::{Key, Node, Scalar, Tag, Value};
pub use parse::{NotText, parse, text_of};
pub use typed::{Mapping, Raw, Settings, Spanned, Text};
pub use yaml11::{Plain, plain};
