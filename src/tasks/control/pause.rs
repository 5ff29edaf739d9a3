//! `pause`: lets time pass.
//!
//! ```yaml
//! - pause: {seconds: 10}      # or minutes
//! ```
//!
//! Nobody is asked: a `prompt` without a time is refused. Returned: `start`, `stop`, `delta`, `stdout`.

use std::time::Duration;

use serde::Deserialize;

use crate::guest::Write;
use crate::tasks::{Call, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Pausing;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    seconds: Option<f64>,
    minutes: Option<f64>,
    #[serde(rename = "prompt")]
    _prompt: Option<String>,
    #[serde(rename = "echo")]
    _echo: Option<Flag>,
}

impl Module for Pausing {
    fn names(&self) -> &'static [&'static str] {
        &["pause"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        match (args.seconds, args.minutes) {
            (Some(_), Some(_)) => Err(Failure::new("pause: one of seconds, minutes is given, not both")),
            (None, None) => Err(Failure::new("pause: nobody is asked while plays run; give seconds or minutes")),
            _ => Ok(()),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let seconds = args.seconds.unwrap_or_else(|| args.minutes.unwrap_or_default() * 60.0).max(0.0);
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds, as Ansible gives them")]
        let delta = seconds as i64;
        let verdict = Verdict {
            writes: vec![Write::Sleep(Duration::from_secs_f64(seconds))],
            changed: Some(false),
            ..Verdict::default()
        };
        Ok(verdict
            .with("delta", delta)
            .with("stdout", format!("Paused for {seconds} seconds"))
            .with("echo", true)
            .with("user_input", ""))
    }
}
