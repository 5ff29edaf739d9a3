//! `script`: runs a script of the operator's in the guest.
//!
//! ```yaml
//! - script: setup.sh --fast          # from files/ of the role or playbook
//!   args: {creates: /etc/done, chdir: /srv, executable: /bin/bash}
//! ```
//!
//! It is put under a name of its own for as long as it runs. Returned: `rc`, `stdout`, `stderr`.
//!
//! In a preview as `command`.

use super::program::{self, Args};
use super::words;
use crate::guest::Done;
use crate::tasks::{Call, Failure, Known, Module, Pause, Report, Verdict};

/// The module.
#[derive(Debug)]
pub struct Script;

/// DIRECTORY EXECUTABLE ARGUMENTS…; the script is what it reads.
const RUN: &str = r#"
file=$(mktemp "${TMPDIR:-/tmp}/.lxdeploy-script.XXXXXX") || exit 1
trap 'rm -f -- "$file"' EXIT INT TERM
cat > "$file" && chmod 700 "$file" || exit 1
directory=$1 executable=$2; shift 2
[ -z "$directory" ] || cd -- "$directory" || exit 1
if [ -n "$executable" ]; then $executable "$file" "$@" </dev/null; else "$file" "$@" </dev/null; fi"#;

impl Module for Script {
    fn names(&self) -> &'static [&'static str] {
        &["script"]
    }

    fn is_free_form(&self) -> bool {
        true
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args = Args::read(call)?;
        words::split(args.line()).map(drop).map_err(|error| Failure::new(format!("script: {error}")))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args = Args::read(call)?;
        let words = words::split(args.line()).map_err(|error| Failure::new(format!("script: {error}")))?;
        let (name, arguments) = words.split_first().ok_or_else(|| Failure::new("script: no script is named"))?;
        let path = call.controller.find("files", name)?;
        let content = call.controller.read(&path)?;
        let directory = args.chdir.clone().unwrap_or_default();
        let executable = args.executable.clone().unwrap_or_default();
        let all = [directory, executable].into_iter().chain(arguments.iter().cloned());
        let mut command = crate::guest::Command::script(RUN, all).stdin(content);
        command.environment.clone_from(call.environment);
        command.user = call.user.map(str::to_owned);
        args.decide(call, guest, command, args.line().into())
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        program::report(call, verdict, done)
    }
}
