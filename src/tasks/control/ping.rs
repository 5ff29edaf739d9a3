//! `ping`: can the guest be reached?
//!
//! ```yaml
//! - ping: {data: pong}
//! ```
//!
//! Returned: `ping`.

use serde::Deserialize;

use crate::guest::{About, Command};
use crate::tasks::{Call, Failure, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Ping;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    data: Option<String>,
}

impl Module for Ping {
    fn names(&self) -> &'static [&'static str] {
        &["ping"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let data = args.data.unwrap_or_else(|| "pong".into());
        if data == "crash" {
            return Err(Failure::new("boom").into());
        }
        guest.output(Command::new(["true"]).about(About::Nothing))?;
        Ok(Verdict::nothing().with("ping", data))
    }
}
