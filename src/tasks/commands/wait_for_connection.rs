//! `wait_for_connection`: waits until a command can be run in the guest.
//!
//! ```yaml
//! - wait_for_connection: {timeout: 600, delay: 0, sleep: 1}
//! ```
//!
//! Returned: `elapsed`.

use std::time::Duration;

use serde::Deserialize;

use crate::forecast::Effect;
use crate::guest::{Command, Write};
use crate::tasks::{Call, Failure, Int, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct WaitForConnection;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    delay: Int,
    #[serde(rename = "timeout")]
    _timeout: Option<Int>,
    #[serde(rename = "sleep")]
    _sleep: Option<Int>,
    #[serde(rename = "connect_timeout")]
    _connect_timeout: Option<Int>,
}

impl Module for WaitForConnection {
    fn names(&self) -> &'static [&'static str] {
        &["wait_for_connection"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn foresee(&self, _: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        Ok(verdict.effects_and([]))
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let mut verdict = Verdict { changed: Some(false), ..Verdict::default() };
        if args.delay > 0 {
            verdict.writes.push(Write::Sleep(Duration::from_secs(args.delay.unsigned_abs())));
        }
        verdict.writes.push(Write::Run(Command::new(["true"])));
        Ok(verdict.with("elapsed", args.delay))
    }
}
