//! `setup`: the guest's facts; `gather_facts` is another name.
//!
//! ```yaml
//! - setup: {filter: ["distribution*", default_ipv4], gather_subset: ["!all", network], fact_path: /etc/ansible/facts.d}
//! ```
//!
//! One script asks for all of them; the guest needs no Python. They are `ansible_facts.NAME` and `ansible_NAME`, as
//! Ansible has them. `gather_subset` and `gather_timeout` are accepted: all is one round trip anyway.

use serde::Deserialize;

use super::facts;
use super::facts_script::SCRIPT;
use crate::guest::Command;
use crate::tasks::{Call, Failure, Int, Known, Map, Module, Pause, TextList, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Setup;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    filter: TextList,
    #[serde(rename = "gather_subset")]
    _gather_subset: Option<TextList>,
    #[serde(rename = "gather_timeout")]
    _gather_timeout: Option<Int>,
    fact_path: Option<String>,
}

impl Module for Setup {
    fn names(&self) -> &'static [&'static str] {
        &["setup", "gather_facts"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let path = args.fact_path.unwrap_or_else(|| "/etc/ansible/facts.d".into());
        let mut command = Command::script(SCRIPT, [path]);
        command.user = call.user.map(str::to_owned);
        let output = guest.output(command)?;
        if !output.is_success() && output.stdout.is_empty() {
            return Err(Failure::new(format!("the facts cannot be gathered: {}", output.errors().trim())).into());
        }
        let mut facts = facts::read(&output.text(), call.controller.now());
        let patterns: Vec<_> = args
            .filter
            .iter()
            .filter(|pattern| !["*", ""].contains(&pattern.as_str()))
            .map(|pattern| crate::tasks::glob_regex(pattern.strip_prefix("ansible_").unwrap_or(pattern)))
            .filter_map(|pattern| fancy_regex::Regex::new(&pattern).ok())
            .collect();
        if !patterns.is_empty() {
            facts.retain(|name, _| patterns.iter().any(|regex| regex.is_match(name).unwrap_or(false)));
        }
        Ok(Verdict { facts, ..Verdict::default() })
    }
}
