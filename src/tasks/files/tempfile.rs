//! `tempfile`: a temporary file or directory in the guest.
//!
//! ```yaml
//! - tempfile: {state: directory, suffix: build, prefix: ansible., path: /var/tmp}
//!   register: place         # place.path
//! ```
//!
//! In a preview its name is unknown until run.

use serde::Deserialize;

use crate::forecast::Effect;
use crate::guest::{Command, Done, Write};
use crate::tasks::{Call, Change, Failure, Known, Map, Module, Pause, Report, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct TempFile;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    state: State,
    path: Option<String>,
    prefix: Option<String>,
    #[serde(default)]
    suffix: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    File,
    Directory,
}

impl Module for TempFile {
    fn names(&self) -> &'static [&'static str] {
        &["tempfile"]
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
        let (flag, state) = if args.state == State::Directory { ("-d", "directory") } else { ("", "file") };
        // busybox knows no suffix after the X: the name gets it afterwards.
        let script = r#"
made=$(mktemp ${1:+"$1"} "${2:-${TMPDIR:-/tmp}}/$3XXXXXXXX") || exit 1
[ -z "$4" ] || { mv -- "$made" "$made$4" && made=$made$4; } || exit 1
printf %s "$made""#;
        let prefix = args.prefix.as_deref().unwrap_or("ansible.");
        let words = [flag, args.path.as_deref().unwrap_or_default(), prefix, &args.suffix];
        let mut verdict = Verdict::nothing();
        let command = Command::script(script, words).user(call.user.map(str::to_owned));
        verdict.change(Change::value("temporary path", None, Some(state.into())), Write::Run(command));
        let mode = if args.state == State::Directory { "0700" } else { "0600" };
        verdict.unknown_result = call.check.then(|| "the name of a temporary file".to_owned());
        Ok(verdict.with("state", state).with("mode", mode))
    }

    fn finish(&self, _: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        let path = done.iter().find_map(Done::output).map(crate::guest::Output::text).unwrap_or_default();
        let mut report = verdict.report_after(done)?;
        report.result.insert("path".into(), path.into());
        Ok(report)
    }
}
