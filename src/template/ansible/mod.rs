//! Jinja as Ansible has it: native values, lazy variables, its filters, tests and lookups, and Python's way to print.

mod changeable;
mod convert;
mod data;
mod dates;
mod engine;
mod lists;
mod lookups;
mod net;
mod numbers;
mod paths;
mod random;
mod regexes;
mod rewrite;
mod scope;
mod source;
mod tests;
mod texts;
#[cfg(test)]
mod unit;
mod words;
mod yaml;

pub use convert::{as_bool, from_json, text, to_json, truth};
pub use data::{parse_json, python_json};
pub use engine::{Engine, Error, ErrorKind, Options, has_marks};
pub use regexes::{python_expand, python_regex, python_sub};
pub use scope::{PathTest, Scope, Variable, hostvars, is_omit, omit, own_vars, partly};
pub use yaml::{from_node, plain_scalar};

use minijinja::{Error as JinjaError, ErrorKind as JinjaKind};

/// A filter's own error.
fn wrong(message: impl Into<String>) -> JinjaError {
    JinjaError::new(JinjaKind::InvalidOperation, message.into())
}
