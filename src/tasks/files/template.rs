//! `template`: a rendered template that is to be in the guest.
//!
//! ```yaml
//! - template:
//!     src: app.conf.j2            # from templates/ of the role or playbook
//!     dest: /etc/app.conf
//!     owner: root                 # group, mode
//!     validate: app -t %s         # before it takes its place
//!     backup: false               # force: false leaves a file that is there alone
//!     trim_blocks: true           # lstrip_blocks: false
//!     newline_sequence: "\n"
//!     variable_start_string: "[[" # variable_end_string, block_…, comment_…
//! ```
//!
//! Returned as with `copy`.

use serde::Deserialize;

use super::attributes::Wanted;
use super::place::{Holding, Placed, place};
use crate::guest::FileKind;
use crate::tasks::{Call, Failure, Flag, Known, Map, Mode, Module, Pause, TemplateOptions, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Template;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    src: String,
    dest: String,
    owner: Option<String>,
    group: Option<String>,
    mode: Option<Mode>,
    force: Option<Flag>,
    #[serde(default)]
    backup: Flag,
    validate: Option<String>,
    trim_blocks: Option<Flag>,
    #[serde(default)]
    lstrip_blocks: Flag,
    newline_sequence: Option<String>,
    variable_start_string: Option<String>,
    variable_end_string: Option<String>,
    block_start_string: Option<String>,
    block_end_string: Option<String>,
    comment_start_string: Option<String>,
    comment_end_string: Option<String>,
    output_encoding: Option<String>,
    #[serde(rename = "follow")]
    _follow: Option<Flag>,
    #[serde(rename = "unsafe_writes")]
    _unsafe_writes: Option<Flag>,
    #[serde(rename = "seuser")]
    _seuser: Option<String>,
    #[serde(rename = "serole")]
    _serole: Option<String>,
    #[serde(rename = "setype")]
    _setype: Option<String>,
    #[serde(rename = "selevel")]
    _selevel: Option<String>,
    #[serde(rename = "attributes", alias = "attr")]
    _attributes: Option<String>,
}

impl Module for Template {
    fn names(&self) -> &'static [&'static str] {
        &["template"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if let Some(encoding) =
            args.output_encoding.filter(|encoding| !["utf-8", "utf8"].contains(&encoding.to_lowercase().as_str()))
        {
            return Err(Failure::new(format!("template: output_encoding {encoding} is not supported; there is utf-8")));
        }
        let sequence = args.newline_sequence.as_deref().map(unescaped);
        if let Some(sequence) = sequence.filter(|sequence| !["\n", "\r", "\r\n"].contains(&sequence.as_str())) {
            return Err(Failure::new(format!(
                "newline_sequence needs to be one of: \\n, \\r or \\r\\n, and not {sequence:?}"
            )));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["dest"])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let path = call.controller.find("templates", &args.src)?;
        let options = TemplateOptions {
            trim_blocks: args.trim_blocks.unwrap_or(true),
            lstrip_blocks: args.lstrip_blocks,
            newline_sequence: args.newline_sequence.as_deref().map_or_else(|| "\n".into(), unescaped),
            variable_start: args.variable_start_string,
            variable_end: args.variable_end_string,
            block_start: args.block_start_string,
            block_end: args.block_end_string,
            comment_start: args.comment_start_string,
            comment_end: args.comment_end_string,
        };
        let is_directory =
            args.dest.ends_with('/') || guest.stat(&args.dest)?.is_some_and(|stat| stat.kind == FileKind::Directory);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dest = match is_directory {
            true => format!("{}/{}", args.dest.trim_end_matches('/'), name.strip_suffix(".j2").unwrap_or(&name)),
            false => args.dest.clone(),
        };
        let more = Map::from_iter([("template_destpath".to_owned(), dest.as_str().into())]);
        let text = call.controller.render(&path, &options, &more)?;
        let mode = match args.mode {
            Some(Mode::Preserve) => Some(Mode::Octal(call.controller.describe(&path)?.mode)),
            mode => mode,
        };
        let placed = Placed {
            path: &dest,
            content: Holding::Bytes(text.into_bytes()),
            wanted: Wanted { mode, owner: args.owner, group: args.group },
            backup: args.backup,
            keep: args.force == Some(false),
            validate: args.validate.as_deref(),
            makes_parent: false,
        };
        Ok(place(placed, call, guest)?.with("src", path.display().to_string()))
    }
}

fn unescaped(text: &str) -> String {
    text.replace("\\r", "\r").replace("\\n", "\n")
}
