//! `shell`: runs a line of the shell. `raw` is another name of it, for nothing here needs Python.
//!
//! ```yaml
//! - shell: dmesg | tail -n 3 > /var/log/last
//! - shell:
//!     cmd: set -o pipefail; a | b
//!     executable: /bin/bash     # /bin/sh where it is not said
//!     chdir: /src               # creates, removes, stdin as with command
//! ```
//!
//! Returned as with `command`; `cmd` is the line.
//!
//! In a preview as `command`.

use super::program::{self, Args};
use crate::guest::Done;
use crate::tasks::{Call, Failure, Known, Module, Pause, Report, Verdict};

/// The module.
#[derive(Debug)]
pub struct Shell;

impl Module for Shell {
    fn names(&self) -> &'static [&'static str] {
        &["shell", "raw"]
    }

    fn is_free_form(&self) -> bool {
        true
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args = Args::read(call)?;
        if args.argv.is_some() {
            return Err(Failure::new("shell: there is no argument `argv`; use command"));
        }
        Ok(())
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args = Args::read(call)?;
        let shell = args.executable.clone().unwrap_or_else(|| "/bin/sh".into());
        let argv = vec![shell, "-c".into(), args.line().to_owned()];
        args.decide(call, guest, args.command(call, argv), args.line().into())
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        program::report(call, verdict, done)
    }
}
