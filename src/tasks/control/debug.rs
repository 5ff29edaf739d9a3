//! `debug`: says something.
//!
//! ```yaml
//! - debug: {msg: "listening on {{ port }}"}
//! - debug: {var: result.stdout, verbosity: 0}
//! ```
//!
//! `msg` may be of any type; `var` is a variable's name or an expression. Returned: `msg`, or the variable under its name.

use serde::Deserialize;

use crate::tasks::{Call, Failure, Int, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct Debug;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(rename = "msg")]
    _msg: Option<serde::de::IgnoredAny>,
    var: Option<String>,
    #[serde(rename = "verbosity")]
    _verbosity: Option<Int>,
}

impl Module for Debug {
    fn names(&self) -> &'static [&'static str] {
        &["debug"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args._msg.is_some() && args.var.is_some() {
            return Err(Failure::new("debug: one of msg, var is given, not both"));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        if let Some(name) = args.var {
            let value = call.controller.evaluate(&name)?;
            let value = value.unwrap_or_else(|| Value::from("VARIABLE IS NOT DEFINED!"));
            return Ok(Verdict::nothing().with(&name, value));
        }
        let message = call.args.get("msg").cloned().unwrap_or_else(|| Value::from("Hello world!"));
        Ok(Verdict::nothing().with("msg", message))
    }
}
