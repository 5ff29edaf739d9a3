//! `set_fact`: variables of a host, for the rest of the run.
//!
//! ```yaml
//! - set_fact: {listen_port: "{{ base_port + 1 }}", roles_done: true}
//! ```
//!
//! `cacheable` is accepted; facts are kept for one run.

use crate::tasks::{Call, Failure, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::map;

/// The module.
#[derive(Debug)]
pub struct SetFact;

impl Module for SetFact {
    fn names(&self) -> &'static [&'static str] {
        &["set_fact"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        match call.args.keys().find(|name| !is_name(name)) {
            Some(name) => Err(Failure::new(format!(
                "The variable name '{name}' is not valid. Variables must start with a letter or underscore character, and contain only letters, numbers and underscores."
            ))),
            None if call.args.keys().all(|name| name == "cacheable") => {
                Err(Failure::new("No key/value pairs provided, at least one is required for this action to succeed"))
            }
            None => Ok(()),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let facts = call.args.iter().filter(|(name, _)| *name != "cacheable");
        let facts: crate::tasks::Map = facts.map(|(name, value)| (name.clone(), value.clone())).collect();
        let shown = map(facts.clone());
        Ok(Verdict { facts, ..Verdict::default() }.with("ansible_facts", shown))
    }
}
