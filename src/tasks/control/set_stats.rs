//! `set_stats`: accepted, for what is written with Ansible's own runner in mind.
//!
//! ```yaml
//! - set_stats: {data: {deployed: 3}}
//! ```
//!
//! Returned: `ansible_stats`. Nothing shows them beyond the result.

use serde::Deserialize;

use crate::tasks::{Call, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct SetStats;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(rename = "data")]
    _data: serde::de::IgnoredAny,
    #[serde(rename = "per_host")]
    _per_host: Option<Flag>,
    #[serde(rename = "aggregate")]
    _aggregate: Option<Flag>,
}

impl Module for SetStats {
    fn names(&self) -> &'static [&'static str] {
        &["set_stats"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let data = call.args.get("data").cloned().unwrap_or_default();
        Ok(Verdict::nothing().with("ansible_stats", crate::template::map([("data", data)])))
    }
}
