//! `expect` is refused: it needs Python's pexpect in the guest.

use crate::tasks::{Call, Failure, Known, Module, Pause, Verdict};

/// The module.
#[derive(Debug)]
pub struct Expect;

impl Module for Expect {
    fn names(&self) -> &'static [&'static str] {
        &["expect"]
    }

    fn check(&self, _: &Call<'_>) -> Result<(), Failure> {
        Err(Failure::new(
            "expect is not supported: it answers a terminal, through pexpect in the guest; answer with `shell` and `stdin:`, or with the program's own flags",
        ))
    }

    fn inspect(&self, call: &Call<'_>, _: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        Ok(Verdict::nothing())
    }
}
