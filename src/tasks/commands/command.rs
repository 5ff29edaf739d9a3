//! `command`: runs a program; no shell sees its words.
//!
//! ```yaml
//! - command: /usr/bin/make install
//! - command:
//!     argv: [/usr/bin/make, install]   # or cmd: words
//!     chdir: /src
//!     creates: /usr/local/bin/x        # not run where this is (a glob may be); removes: where this is not
//!     stdin: "y"                       # with a newline unless stdin_add_newline: false
//!     strip_empty_ends: true
//!     expand_argument_vars: true       # $NAME of `environment:` and of the facts, and ~
//! ```
//!
//! Changed whenever it runs (see `changed_when`). Returned: `cmd`, `rc`, `stdout`, `stderr`, `start`, `end`, `delta`.
//! In a preview nobody knows what it does, unless `creates` or `removes` tell whether it is run: what it says, and all of
//! the guest after it, is unknown until run. `changed_when: false` says that it changes nothing: then the guest stays known.

use super::program::{self, Args};
use super::words;
use crate::guest::Done;
use crate::tasks::{Call, Failure, Known, Module, Pause, Report, Verdict};

/// The module.
#[derive(Debug)]
pub struct Command;

impl Module for Command {
    fn names(&self) -> &'static [&'static str] {
        &["command"]
    }

    fn is_free_form(&self) -> bool {
        true
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        argv(&Args::read(call)?).map(drop)
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args = Args::read(call)?;
        let argv = args.expanded(call, argv(&args)?);
        let shown = program::shown(&argv);
        args.decide(call, guest, args.command(call, argv), shown)
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        program::report(call, verdict, done)
    }
}

fn argv(args: &Args) -> Result<Vec<String>, Failure> {
    let argv = match &args.argv {
        Some(argv) => argv.to_vec(),
        None => words::split(args.line()).map_err(|error| Failure::new(format!("command: {error}")))?,
    };
    if argv.is_empty() { Err(Failure::new("command: no command given").with("rc", 256)) } else { Ok(argv) }
}
