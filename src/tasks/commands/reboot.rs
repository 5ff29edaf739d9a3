//! `reboot`: starts the instance again.
//!
//! ```yaml
//! - reboot: {reboot_timeout: 600, post_reboot_delay: 0, pre_reboot_delay: 0, test_command: whoami, msg: words}
//! ```
//!
//! LXD restarts the instance; it is back when its init is up and the test command succeeds. Returned: `rebooted`,
//! `elapsed`.
//!
//! In a preview all of the guest is unknown until run after it.

use std::time::Duration;

use serde::Deserialize;

use crate::guest::{Command, Done, Write};
use crate::tasks::{Call, Change, Failure, Int, Known, Module, Pause, Report, Verdict};

/// The module.
#[derive(Debug)]
pub struct Reboot;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "reboot_timeout_sec")]
    reboot_timeout: Option<Int>,
    #[serde(default, alias = "post_reboot_delay_sec")]
    post_reboot_delay: Int,
    #[serde(default, alias = "pre_reboot_delay_sec")]
    pre_reboot_delay: Int,
    test_command: Option<String>,
    #[serde(rename = "msg")]
    _msg: Option<String>,
    #[serde(rename = "connect_timeout", alias = "connect_timeout_sec")]
    _connect_timeout: Option<Int>,
    #[serde(rename = "boot_time_command")]
    _boot_time_command: Option<String>,
    #[serde(rename = "reboot_command")]
    _reboot_command: Option<String>,
    #[serde(rename = "search_paths")]
    _search_paths: Option<crate::tasks::TextList>,
}

impl Module for Reboot {
    fn names(&self) -> &'static [&'static str] {
        &["reboot"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let seconds = |seconds: Int| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let mut verdict = Verdict::nothing();
        verdict.changes.push(Change::value("instance", Some("running".into()), Some("restarted".into())));
        let timeout = seconds(args.reboot_timeout.unwrap_or(600));
        let pauses = |delay: Int| (delay > 0).then(|| Write::Sleep(seconds(delay)));
        verdict.writes.extend(pauses(args.pre_reboot_delay));
        verdict.writes.push(Write::Restart { timeout });
        verdict.writes.extend(pauses(args.post_reboot_delay));
        let test = args.test_command.unwrap_or_else(|| "whoami".into());
        let script =
            r#"i=0; until sh -c "$1" >/dev/null 2>&1; do i=$((i + 1)); [ "$i" -lt "$2" ] || exit 1; sleep 1; done"#;
        let limit = timeout.as_secs().to_string();
        verdict.writes.push(Write::Run(Command::script(script, [test, limit])));
        Ok(verdict.with("rebooted", true).with("elapsed", 0))
    }

    fn finish(&self, _: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        let failed = done.iter().filter_map(Done::output).any(|output| !output.is_success());
        if failed {
            return Err(
                Failure::new("the instance is up, and the test command does not succeed").with("rebooted", true)
            );
        }
        Ok(verdict.report())
    }
}
