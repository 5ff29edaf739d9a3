//! A template's text as it is written: its header, its marks and its end.

use minijinja::Error as JinjaError;
use minijinja::syntax::SyntaxConfig;

use super::engine::Options;
use super::rewrite::Marks;

/// `#jinja2: trim_blocks: False, lstrip_blocks: True` in the first line.
pub(super) fn header(source: &str, options: &Options) -> (String, Options) {
    let mut options = options.clone();
    let Some(rest) = source.strip_prefix("#jinja2:") else { return (source.to_owned(), options) };
    let (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    for pair in line.split(',') {
        let Some((name, value)) = pair.split_once(':') else { continue };
        let value = value.trim().trim_matches(['\'', '"']);
        let is = value.eq_ignore_ascii_case("true");
        match name.trim() {
            "trim_blocks" => options.trim_blocks = is,
            "lstrip_blocks" => options.lstrip_blocks = is,
            "newline_sequence" => options.newline = value.replace("\\r", "\r").replace("\\n", "\n"),
            "variable_start_string" => options.variable.get_or_insert(("{{".into(), "}}".into())).0 = value.to_owned(),
            "variable_end_string" => options.variable.get_or_insert(("{{".into(), "}}".into())).1 = value.to_owned(),
            "block_start_string" => options.block.get_or_insert(("{%".into(), "%}".into())).0 = value.to_owned(),
            "block_end_string" => options.block.get_or_insert(("{%".into(), "%}".into())).1 = value.to_owned(),
            _ => {}
        }
    }
    (rest.to_owned(), options)
}

pub(super) fn syntax(options: &Options) -> Result<SyntaxConfig, JinjaError> {
    let mut builder = SyntaxConfig::builder();
    builder.trim_blocks(options.trim_blocks).lstrip_blocks(options.lstrip_blocks);
    if let Some((start, end)) = &options.variable {
        builder.variable_delimiters(start.clone(), end.clone());
    }
    if let Some((start, end)) = &options.block {
        builder.block_delimiters(start.clone(), end.clone());
    }
    if let Some((start, end)) = &options.comment {
        builder.comment_delimiters(start.clone(), end.clone());
    }
    builder.build()
}

/// The marks that a template file is written with.
pub(super) fn marks(options: &Options) -> Marks<'_> {
    fn of<'a>(given: Option<&'a (String, String)>, usual: (&'a str, &'a str)) -> (&'a str, &'a str) {
        given.map_or(usual, |(start, end)| (start, end))
    }
    Marks {
        variable: of(options.variable.as_ref(), Marks::FILE.variable),
        block: of(options.block.as_ref(), Marks::FILE.block),
        comment: of(options.comment.as_ref(), Marks::FILE.comment),
        trim_blocks: options.trim_blocks,
        escape_backslashes: false,
    }
}

/// Jinja takes one newline from the end of a template; Ansible gives back as many as the result then lacks.
pub(super) fn with_its_end(source: &str, mut rendered: String) -> String {
    let newlines = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let missing = newlines(source).saturating_sub(newlines(&rendered));
    rendered.push_str(&"\n".repeat(missing));
    rendered
}
