//! A template in minijinja's words: what Python's Jinja has and minijinja's grammar lacks is written otherwise before it
//! is compiled. Lines stay where they are.
//!
//! - `x | ansible.builtin.upper`: the collection goes;
//! - `'%s' % x` and `a % b` become `__mod(a, b)`, `a - b` of dates `__minus(a, b)`: minijinja's operators know no texts
//!   and no dates;
//! - `{% set x = [] %}` becomes `__changeable([])` in a template that calls `append` and its like;
//! - the newline behind `{% raw %}` stays, as in Jinja;
//! - backslashes in texts of `{{ }}` stand for themselves in values of playbooks (`escape_backslashes`).

use std::borrow::Cow;
use std::ops::Range;

/// How a template is written.
#[derive(Clone, Debug)]
pub(super) struct Marks<'a> {
    /// Around expressions.
    pub variable: (&'a str, &'a str),
    /// Around statements.
    pub block: (&'a str, &'a str),
    /// Around comments.
    pub comment: (&'a str, &'a str),
    /// A statement's own line end vanishes.
    pub trim_blocks: bool,
    /// Backslashes in the texts of expressions stand for themselves.
    pub escape_backslashes: bool,
}

impl Marks<'_> {
    /// A file's usual ones.
    pub(super) const FILE: Marks<'static> = Marks {
        variable: ("{{", "}}"),
        block: ("{%", "%}"),
        comment: ("{#", "#}"),
        trim_blocks: true,
        escape_backslashes: false,
    };
    /// Those of a playbook's values.
    pub(super) const VALUE: Marks<'static> = Marks { escape_backslashes: true, ..Marks::FILE };
}

/// Methods that change a list or a dictionary in place.
const CHANGING: &[&str] = &[
    ".append(",
    ".extend(",
    ".insert(",
    ".update(",
    ".pop(",
    ".remove(",
    ".setdefault(",
    ".clear(",
    ".sort(",
    ".reverse(",
];

const COLLECTIONS: &[&str] = &[
    "ansible.builtin",
    "ansible.utils",
    "ansible.netcommon",
    "community.general",
    "community.crypto",
    "ansible.posix",
];

/// A whole template, rewritten.
pub(super) fn template<'a>(source: &'a str, marks: &Marks<'_>) -> Cow<'a, str> {
    if !is_worth_it(source) {
        return Cow::Borrowed(source);
    }
    let whole =
        Whole { minus: source.contains("to_datetime"), changing: CHANGING.iter().any(|it| source.contains(it)) };
    let mut out = String::with_capacity(source.len() + 32);
    let mut rest = source;
    loop {
        let kinds = [(marks.comment, 0), (marks.block, 1), (marks.variable, 2)];
        let next = kinds.iter().filter_map(|(mark, kind)| rest.find(mark.0).map(|at| (at, *kind))).min();
        let Some((at, kind)) = next else {
            out.push_str(rest);
            return Cow::Owned(out);
        };
        let ((start, end), _) = kinds[kind];
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let inside = &rest[start.len()..];
        if kind == 0 {
            let length = inside.find(end).map_or(rest.len(), |at| start.len() + at + end.len());
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if kind == 1
            && let Some(raw) = raw_block(rest, marks)
        {
            if marks.trim_blocks && raw.keeps_newline {
                let sign = if inside.starts_with('-') { "-" } else { "" };
                out.push_str(&format!("{}{sign} \"\\n\" {}", marks.variable.0, marks.variable.1));
            }
            out.push_str(&rest[..raw.length]);
            rest = &rest[raw.length..];
            continue;
        }
        let tokens = tokens(inside, Some(end));
        let length = tokens.last().map_or(0, |token| token.range.end);
        let length = inside[length..].find(end).map_or(inside.len(), |at| length + at);
        out.push_str(start);
        rewritten(&inside[..length], &tokens, kind == 1, marks.escape_backslashes && kind == 2, &whole, &mut out);
        rest = &inside[length..];
        let closing = rest.strip_prefix(end).map_or(rest.len(), |_| end.len());
        out.push_str(&rest[..closing]);
        rest = &rest[closing..];
    }
}

/// One expression without marks, rewritten.
pub(super) fn expression(source: &str, escape_backslashes: bool) -> Cow<'_, str> {
    if !is_worth_it(source) {
        return Cow::Borrowed(source);
    }
    let whole = Whole { minus: source.contains("to_datetime"), changing: false };
    let mut out = String::with_capacity(source.len() + 16);
    rewritten(source, &tokens(source, None), false, escape_backslashes, &whole, &mut out);
    Cow::Owned(out)
}

/// False where nothing that is looked for can be.
fn is_worth_it(source: &str) -> bool {
    let bytes = source.as_bytes();
    let is_operator =
        |at: usize| bytes[at] == b'%' && (at == 0 || bytes[at - 1] != b'{') && bytes.get(at + 1) != Some(&b'}');
    source.contains('\\')
        || (0..bytes.len()).any(is_operator)
        || source.contains("to_datetime")
        || source.contains("raw")
        || CHANGING.iter().chain(COLLECTIONS).any(|part| source.contains(part))
}

/// What is to be minded throughout a template.
struct Whole {
    minus: bool,
    changing: bool,
}

struct Raw {
    length: usize,
    keeps_newline: bool,
}

/// A raw block at the beginning of a text, to its end.
fn raw_block(text: &str, marks: &Marks<'_>) -> Option<Raw> {
    let (start, end) = marks.block;
    let opened = |text: &str, word: &str| {
        let inside = text.strip_prefix(start)?;
        let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start().strip_prefix(word)?.trim_start();
        let (inside, keeps) = match inside.strip_prefix('-') {
            Some(inside) => (inside, false),
            None => (inside.strip_prefix('+').unwrap_or(inside), true),
        };
        let after = inside.strip_prefix(end)?;
        Some((text.len() - after.len(), keeps && after.starts_with('\n')))
    };
    let (mut length, keeps_newline) = opened(text, "raw")?;
    while let Some(at) = text[length..].find(start) {
        length += at;
        if let Some((end, _)) = opened(&text[length..], "endraw") {
            return Some(Raw { length: length + end, keeps_newline });
        }
        length += start.len();
    }
    Some(Raw { length: text.len(), keeps_newline })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Name,
    Number,
    Open,
    Close,
    Operator,
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    range: Range<usize>,
}

/// The tokens up to the closing mark.
fn tokens(text: &str, end: Option<&str>) -> Vec<Token> {
    let bytes = text.as_bytes();
    let (mut tokens, mut depth, mut at) = (vec![], 0_usize, 0);
    while at < bytes.len() {
        let rest = &text[at..];
        if depth == 0
            && let Some(end) = end
            && (rest.starts_with(end) || rest.strip_prefix(['-', '+']).is_some_and(|rest| rest.starts_with(end)))
        {
            break;
        }
        let first = rest.chars().next().unwrap_or(' ');
        let while_of = |is: fn(char) -> bool| rest.find(|c: char| !is(c)).unwrap_or(rest.len());
        let (kind, length) = match first {
            '\'' | '"' => (Kind::Text, text_length(rest, first)),
            '(' | '[' | '{' => {
                depth += 1;
                (Kind::Open, 1)
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                (Kind::Close, 1)
            }
            c if c.is_ascii_digit() => (Kind::Number, while_of(|c| c.is_alphanumeric() || c == '_' || c == '.')),
            c if c.is_alphabetic() || c == '_' => (Kind::Name, while_of(|c| c.is_alphanumeric() || c == '_')),
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            c => {
                let two = ["//", "**", "==", "!=", "<=", ">="].iter().any(|operator| rest.starts_with(operator));
                (Kind::Operator, if two { 2 } else { c.len_utf8() })
            }
        };
        tokens.push(Token { kind, range: at..at + length });
        at += length;
    }
    tokens
}

fn text_length(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// A change of the source: what stands in `range` becomes `text`. Of several at one place the later ones come first.
struct Edit {
    range: Range<usize>,
    text: String,
    /// Opening parts of operators that bind less come first.
    order: u8,
}

fn rewritten(source: &str, tokens: &[Token], is_block: bool, escape: bool, whole: &Whole, out: &mut String) {
    let word = |at: usize| tokens.get(at).map_or("", |token| &source[token.range.clone()]);
    let mut edits = vec![];
    let mut edit = |range: Range<usize>, text: String, order: u8| edits.push(Edit { range, text, order });
    if is_block && whole.changing {
        let first = usize::from(matches!(word(0), "-" | "+"));
        if word(first) == "set"
            && let Some(equals) = (first..tokens.len()).find(|at| word(*at) == "=")
            && let Some(last) = tokens.last()
        {
            let last = last.range.end;
            edit(tokens[equals].range.end..tokens[equals].range.end, " __changeable(".into(), 0);
            edit(last..last, ")".into(), 9);
        }
    }
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Text => {
                let text = &source[token.range.clone()];
                if text.contains('\\') {
                    edit(token.range.clone(), python_text(text, escape), 5);
                }
            }
            Kind::Name if at > 0 && ["|", "is", "not"].contains(&word(at - 1)) && word(at + 1) == "." => {
                let named = format!("{}.{}", word(at), word(at + 2));
                if COLLECTIONS.contains(&named.as_str()) && word(at + 3) == "." {
                    edit(token.range.start..tokens[at + 3].range.end, String::new(), 5);
                }
            }
            Kind::Operator if word(at) == "%" || (word(at) == "-" && whole.minus) => {
                let (level, name, order) = if word(at) == "%" { (2, "__mod(", 2) } else { (1, "__minus(", 1) };
                let Some(left) = left_of(tokens, &word, at, level) else { continue };
                let right = right_of(tokens, &word, at, level);
                let Some(last) = right.checked_sub(1).filter(|last| *last > at) else { continue };
                edit(tokens[left].range.start..tokens[left].range.start, name.into(), order);
                edit(token.range.clone(), ",".into(), 5);
                edit(tokens[last].range.end..tokens[last].range.end, ")".into(), 8);
            }
            _ => {}
        }
    }
    edits.sort_by_key(|edit| (edit.range.start, is_insertion_before(edit), edit.order));
    let mut done = 0;
    for edit in edits {
        out.push_str(&source[done.min(edit.range.start)..edit.range.start]);
        out.push_str(&edit.text);
        done = edit.range.end.max(done);
    }
    out.push_str(&source[done..]);
}

/// Closing parts at a place come before what opens there, and both before what replaces what stands there.
fn is_insertion_before(edit: &Edit) -> u8 {
    match (edit.range.is_empty(), edit.text.as_str()) {
        (true, ")") => 0,
        (true, _) => 1,
        (false, _) => 2,
    }
}

/// How an operator binds: 0 less than `+`, 1 as `+`, 2 as `*`, 3 closer. None for what is no operator.
fn level(word: &str, kind: Kind) -> Option<u8> {
    match (kind, word) {
        (Kind::Operator, "+" | "-") => Some(1),
        (Kind::Operator, "*" | "/" | "//" | "%") => Some(2),
        (Kind::Operator, "." | "|" | "**") => Some(3),
        (Kind::Operator, _) | (Kind::Name, "in" | "not" | "and" | "or" | "if" | "else") => Some(0),
        (Kind::Name, "is") => Some(3),
        _ => None,
    }
}

/// True if an operator stands after something that it can be the operator of.
fn is_binary<'a>(tokens: &[Token], word: &impl Fn(usize) -> &'a str, at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| match tokens[before].kind {
        Kind::Text | Kind::Number | Kind::Close => true,
        Kind::Name => level(word(before), Kind::Name).is_none(),
        _ => false,
    })
}

/// The first token of what is left of an operator, with all that binds as it does or closer.
fn left_of<'a>(tokens: &[Token], word: &impl Fn(usize) -> &'a str, operator: usize, own: u8) -> Option<usize> {
    if !is_binary(tokens, word, operator) {
        return None;
    }
    let (mut at, mut depth) = (operator, 0_usize);
    while let Some(before) = at.checked_sub(1) {
        match tokens[before].kind {
            Kind::Close => depth += 1,
            Kind::Open if depth == 0 => break,
            Kind::Open => depth -= 1,
            kind if depth == 0 => {
                if let Some(found) = level(word(before), kind)
                    && found < own
                    && (found == 0 || is_binary(tokens, word, before))
                {
                    break;
                }
                // `set x = …`, `if …`, `for … in`: a statement's own words.
                if kind == Kind::Name && before == 0 && is_statement(word(before)) {
                    break;
                }
            }
            _ => {}
        }
        at = before;
    }
    Some(at).filter(|at| *at < operator)
}

fn is_statement(word: &str) -> bool {
    ["if", "elif", "set", "for", "include", "extends", "call", "filter", "with", "do", "import", "from"].contains(&word)
}

/// The token behind what is right of an operator.
fn right_of<'a>(tokens: &[Token], word: &impl Fn(usize) -> &'a str, operator: usize, own: u8) -> usize {
    let ends = |at: usize, kind: Kind| {
        level(word(at), kind).is_some_and(|found| found <= own && (found == 0 || is_binary(tokens, word, at)))
    };
    let (mut at, mut depth) = (operator + 1, 0_usize);
    while at < tokens.len() {
        match tokens[at].kind {
            Kind::Open => depth += 1,
            Kind::Close if depth == 0 => break,
            Kind::Close => depth -= 1,
            kind if depth == 0 && ends(at, kind) => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// A quoted text in minijinja's words; with `escape`, its backslashes stand for themselves.
fn python_text(token: &str, escape: bool) -> String {
    let quote = token.chars().next().unwrap_or('"');
    let mut out = String::with_capacity(token.len() + 4);
    let inner = token.strip_prefix(quote).unwrap_or(token);
    let inner = inner.strip_suffix(quote).unwrap_or(inner);
    out.push(quote);
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match (c, escape) {
            ('\\', true) => out.push_str("\\\\"),
            ('\\', false) => match chars.next() {
                Some('/') => out.push_str("\\\\/"),
                Some('a') => out.push_str("\\x07"),
                Some('v') => out.push_str("\\x0b"),
                Some('\n') | None => {}
                Some(next) => out.extend(['\\', next]),
            },
            (c, true) if c == quote => out.extend(['\\', c]),
            (c, _) => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_get_all_that_is_theirs() {
        for (written, wanted) in [
            ("'%s' % x", "__mod('%s' , x)"),
            ("a * b % c", "__mod(a * b , c)"),
            ("a + b % c + d", "a + __mod(b , c) + d"),
            ("a % b % c", "__mod(__mod(a , b) , c)"),
            ("-a % 3 == 0 and x", "__mod(-a , 3) == 0 and x"),
            ("f('%d' % (1, 2), 3) | upper", "f(__mod('%d' , (1, 2)), 3) | upper"),
            ("'%s' % x.y[1] | d('%') ~ 'z'", "__mod('%s' , x.y[1] | d('%')) ~ 'z'"),
            ("x if y % 2 else z", "x if __mod(y , 2) else z"),
            ("(a | to_datetime - b - c).days - 1", "__minus((__minus(__minus(a | to_datetime , b) , c)).days , 1)"),
            ("[-1, x|to_datetime]", "[-1, x|to_datetime]"),
        ] {
            assert_eq!(expression(written, false), wanted, "{written}");
        }
    }

    #[test]
    fn backslashes_stand_for_themselves_in_values_alone() {
        assert_eq!(expression(r"'a\.b' ~ 'it\'s'", true), r"'a\\.b' ~ 'it\\\'s'");
        assert_eq!(expression(r"'a\.b\n' ~ 'it\'s' ~ '\/'", false), r"'a\.b\n' ~ 'it\'s' ~ '\\/'");
        assert_eq!(template(r"\1 {{ '\1' }}{% if '\1' %}", &Marks::VALUE), r"\1 {{ '\\1' }}{% if '\1' %}");
    }

    #[test]
    fn statements_and_raw_blocks() {
        let file = |source| template(source, &Marks::FILE).into_owned();
        assert_eq!(file("{% raw %}\n{{ x % y }}{% endraw %}%"), "{{ \"\\n\" }}{% raw %}\n{{ x % y }}{% endraw %}%");
        assert_eq!(file("{%- set l = [] -%}{{ l.append(1) }}"), "{%- set l = __changeable( []) -%}{{ l.append(1) }}");
        assert_eq!(file("{% if x % 2 %}50 % {# % #}"), "{% if __mod(x , 2) %}50 % {# % #}");
        assert_eq!(file("{{ x | ansible.builtin.upper }} | ansible.builtin.x"), "{{ x | upper }} | ansible.builtin.x");
        assert_eq!(file("{{ {'a': {'b': '}}'}} % 1 }}x"), "{{ __mod({'a': {'b': '}}'}} , 1) }}x");
    }
}
