//! `assert`: fails unless all conditions hold.
//!
//! ```yaml
//! - assert:
//!     that: [port > 1024, name is defined]
//!     fail_msg: the port is too low     # also msg
//!     success_msg: all is well
//!     quiet: false
//! ```
//!
//! Returned: `msg`; of a failure `assertion` and `evaluated_to`.

use serde::Deserialize;

use crate::tasks::{Call, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::ansible::text;
use crate::template::{Value, ValueKind};

/// The module.
#[derive(Debug)]
pub struct Assert;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(rename = "that")]
    _that: serde::de::IgnoredAny,
    #[serde(alias = "msg", rename = "fail_msg")]
    _fail_msg: Option<serde::de::IgnoredAny>,
    #[serde(rename = "success_msg")]
    _success_msg: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "quiet")]
    _quiet: Flag,
}

impl Module for Assert {
    fn names(&self) -> &'static [&'static str] {
        &["assert"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let that = call.args.get("that").cloned().unwrap_or_default();
        let conditions: Vec<Value> = match that.kind() {
            ValueKind::Seq => that.try_iter().map(Iterator::collect).unwrap_or_default(),
            _ => vec![that],
        };
        for condition in conditions {
            if !call.controller.condition(&condition)? {
                let given = call.args.get("fail_msg").or_else(|| call.args.get("msg"));
                let message = given.map_or_else(|| "Assertion failed".to_owned(), text);
                return Err(Failure::new(message).with("assertion", condition).with("evaluated_to", false).into());
            }
        }
        let message = call.args.get("success_msg").cloned().unwrap_or_else(|| "All assertions passed".into());
        Ok(Verdict::nothing().with("msg", message))
    }
}
