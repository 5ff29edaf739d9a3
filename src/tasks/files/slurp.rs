//! `slurp`: a file's content, in base64.
//!
//! ```yaml
//! - slurp: {src: /etc/machine-id}     # also path
//!   register: id                      # id.content | b64decode
//! ```
//!
//! Returned: `content`, `encoding`, `source`.

use base64::Engine as _;
use serde::Deserialize;

use crate::guest::FileKind;
use crate::tasks::{Call, Failure, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Slurp;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "path")]
    src: String,
}

impl Module for Slurp {
    fn names(&self) -> &'static [&'static str] {
        &["slurp"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let Some(content) = guest.read(&args.src)? else {
            let is_directory = guest.stat(&args.src)?.is_some_and(|stat| stat.kind == FileKind::Directory);
            let reason = if is_directory { "source is a directory and must be a file" } else { "file not found" };
            return Err(Failure::new(format!("{reason}: {}", args.src)).into());
        };
        let content = base64::engine::general_purpose::STANDARD.encode(content);
        Ok(Verdict::nothing().with("content", content).with("source", args.src).with("encoding", "base64"))
    }
}
