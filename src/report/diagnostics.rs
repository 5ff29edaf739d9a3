//! Errors and warnings with their place, as rustc shows them.

use std::collections::BTreeMap;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Severity};
use crate::model::{FileId, Sources, Span};

/// Renders all of them, in the order of the files; those without a place last.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| {
        diagnostic.span.map_or((1, FileId(u32::MAX), 0, 0), |span| (0, span.file, span.line, span.column))
    });
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let texts: Vec<String> = sorted.into_iter().map(|diagnostic| one(diagnostic, sources, &renderer)).collect();
    texts.join("\n\n")
}

fn one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let help: Vec<(&str, &str)> = diagnostic.help.iter().map(|help| ("help", help.as_str())).collect();
    let related = diagnostic.related.iter().map(|(span, label)| (*span, Some(label.as_str())));
    let places: Vec<_> = diagnostic.span.map(|span| (span, None)).into_iter().chain(related).collect();
    block(level, &diagnostic.message, diagnostic.span, &places, &help, sources, renderer)
}

/// A place that is no error: a word, a line, the excerpt, and remarks by their words.
pub fn excerpt(
    (word, message): (&str, &str),
    span: Option<Span>,
    remarks: &[(&str, &str)],
    sources: &Sources,
    color: bool,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let places: Vec<_> = span.map(|span| (span, None)).into_iter().collect();
    block(Level::NOTE.with_name(word), message, span, &places, remarks, sources, &renderer)
}

fn block(
    level: Level<'_>,
    message: &str,
    main: Option<Span>,
    all: &[(Span, Option<&str>)],
    remarks: &[(&str, &str)],
    sources: &Sources,
    renderer: &Renderer,
) -> String {
    let message = shown(message);
    let remarks: Vec<(&str, String)> = remarks.iter().map(|(word, text)| (*word, shown(text))).collect();
    let title = level.primary_title(message.as_str());
    let mut places: BTreeMap<FileId, Vec<(Span, Option<&str>)>> = BTreeMap::new();
    for (span, label) in all {
        places.entry(span.file).or_default().push((*span, *label));
    }
    let first = main.map(|span| span.file);
    let paths: BTreeMap<FileId, String> =
        places.keys().map(|file| (*file, sources.path(*file).display().to_string())).collect();
    let mut files: Vec<FileId> = places.keys().copied().collect();
    files.sort_by_key(|file| Some(*file) != first);
    let mut group = Group::with_title(title);
    for file in files {
        let text = sources.text(file);
        let (area, line) = lines(&places[&file], text);
        let mut snippet = Snippet::source(&text[area.clone()]).line_start(line).path(paths[&file].as_str()).fold(true);
        for (span, label) in &places[&file] {
            let range = within(*span, text);
            let range = range.start - area.start..range.end - area.start;
            snippet = snippet.annotation(match label {
                None => AnnotationKind::Primary.span(range),
                Some(label) => AnnotationKind::Context.span(range).label(*label),
            });
        }
        group = group.element(snippet);
    }
    for (word, text) in &remarks {
        group = group.element(Level::HELP.with_name(*word).message(text.as_str()));
    }
    renderer.render(&[group]).to_string()
}

/// What a file or a server says, without what would steer the terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The lines that hold all places, and the number of their first: a long file is not read once per error.
fn lines(places: &[(Span, Option<&str>)], text: &str) -> (std::ops::Range<usize>, usize) {
    let ranges = || places.iter().map(|(span, _)| within(*span, text));
    let first = ranges().map(|range| range.start).min().unwrap_or(0);
    let last = ranges().map(|range| range.end).max().unwrap_or(0);
    let start = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[last..].find('\n').map_or(text.len(), |newline| last + newline + 1);
    let line = places.iter().map(|(span, _)| span.line).min().unwrap_or(1);
    (start..end, usize::try_from(line).unwrap_or(1))
}

/// The bytes of a place that are there, on character borders, and in one line: long values are not quoted whole.
fn within(span: Span, text: &str) -> std::ops::Range<usize> {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = floor(span.start as usize);
    let line = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    start..floor(span.end as usize).clamp(start, line.max(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_excerpt_label_and_remedy() {
        let mut sources = Sources::default();
        let file = sources.add("site.yaml", "site: acme\nnetworks:\n  br0: {}\n  br0: {}\n");
        let at = |line, column, start, end| Span { file, line, column, start, end };
        let diagnostics = [
            Diagnostic::plain("no server").help("start it"),
            Diagnostic::error(at(4, 3, 33, 36), "`br0` is there twice")
                .related(at(3, 3, 23, 26), "first here")
                .help("take one away"),
            Diagnostic::warning(at(1, 7, 6, 10), "a short name"),
        ];
        insta::assert_snapshot!(render(&diagnostics, &sources, false));
    }
}
