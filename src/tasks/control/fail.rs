//! `fail`: fails.
//!
//! ```yaml
//! - fail: {msg: "this release is not supported"}
//! ```

use serde::Deserialize;

use crate::tasks::{Call, Failure, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Fail;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    msg: Option<String>,
}

impl Module for Fail {
    fn names(&self) -> &'static [&'static str] {
        &["fail"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        Err(Failure::new(args.msg.unwrap_or_else(|| "Failed as requested from task".into())).into())
    }
}
