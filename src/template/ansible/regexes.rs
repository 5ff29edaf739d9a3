//! Python's regular expressions, by fancy-regex.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fancy_regex::{Captures, Regex};
use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value};

use super::convert::{text, truth};
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_filter("regex_replace", |value: &Value, rest: Rest<Value>, kwargs: Kwargs| {
        let argument = |index: usize, name: &str| argument(&rest, &kwargs, index, name);
        let (pattern, replacement) = (argument(0, "pattern")?, argument(1, "replacement")?);
        let (pattern, replacement) =
            (pattern.map(|p| text(&p)).unwrap_or_default(), replacement.map(|r| text(&r)).unwrap_or_default());
        let flags = Flags::of(&kwargs)?;
        let count = kwargs.get::<Option<usize>>("count")?.unwrap_or(0);
        let _ = kwargs.get::<Option<i64>>("mandatory_count")?;
        kwargs.assert_all_used()?;
        let regex = compiled(&pattern, flags)?;
        replace(&regex, &text(value), &replacement, count)
    });
    words.add_filter("regex_search", |value: &Value, pattern: &str, rest: Rest<Value>, kwargs: Kwargs| {
        let regex = compiled(pattern, Flags::of(&kwargs)?)?;
        kwargs.assert_all_used()?;
        let subject = text(value);
        let Some(captures) = regex.captures(&subject).map_err(|error| wrong(error.to_string()))? else {
            return Ok(Value::from(()));
        };
        let group = |name: &str| -> Result<Value, Error> {
            let found = match name.strip_prefix("\\g<").and_then(|name| name.strip_suffix('>')) {
                Some(name) => name.parse().map_or_else(|_| captures.name(name), |index| captures.get(index)),
                None => {
                    let index = name.strip_prefix('\\').and_then(|digits| digits.parse().ok());
                    let index: usize =
                        index.ok_or_else(|| wrong("Unknown argument; write '\\\\1' or '\\\\g<name>'"))?;
                    captures.get(index)
                }
            };
            Ok(found.map_or(Value::from(()), |found| Value::from(found.as_str())))
        };
        if rest.is_empty() {
            return Ok(captures.get(0).map_or(Value::from(()), |found| Value::from(found.as_str())));
        }
        rest.iter().map(|name| group(&text(name))).collect::<Result<Vec<_>, _>>().map(Value::from)
    });
    words.add_filter("regex_findall", |value: &Value, pattern: &str, kwargs: Kwargs| {
        let regex = compiled(pattern, Flags::of(&kwargs)?)?;
        kwargs.assert_all_used()?;
        let subject = text(value);
        let mut found = vec![];
        for captures in regex.captures_iter(&subject) {
            let captures = captures.map_err(|error| wrong(error.to_string()))?;
            let group = |index: usize| captures.get(index).map(|found| found.as_str().to_owned()).unwrap_or_default();
            found.push(match captures.len() {
                1 => Value::from(group(0)),
                2 => Value::from(group(1)),
                count => Value::from((1..count).map(group).collect::<Vec<_>>()),
            });
        }
        Ok::<_, Error>(Value::from(found))
    });
    words.add_filter("regex_escape", |value: &Value, kind: Option<String>, kwargs: Kwargs| {
        let kind = kwargs.get::<Option<String>>("re_type")?.or(kind);
        let subject = text(value);
        if kind.as_deref() == Some("posix_basic") {
            return Ok(subject
                .chars()
                .flat_map(|c| if "[]\\^$*.".contains(c) { vec!['\\', c] } else { vec![c] })
                .collect());
        }
        // As Python's re.escape.
        let special = |c: char| "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}".contains(c);
        Ok::<String, Error>(subject.chars().flat_map(|c| if special(c) { vec!['\\', c] } else { vec![c] }).collect())
    });
    for (name, anchor, default_prefix) in
        [("match", Anchor::Start, true), ("search", Anchor::None, false), ("regex", Anchor::Given, false)]
    {
        let _ = default_prefix;
        words.add_test(name, move |value: &Value, pattern: &str, kwargs: Kwargs| {
            let anchor = match anchor {
                Anchor::Given => match kwargs.get::<Option<String>>("match_type")?.as_deref() {
                    Some("match") => Anchor::Start,
                    Some("fullmatch") => Anchor::Both,
                    _ => Anchor::None,
                },
                other => other,
            };
            let pattern = match anchor {
                Anchor::Start => format!("\\A(?:{pattern})"),
                Anchor::Both => format!("\\A(?:{pattern})\\z"),
                _ => pattern.to_owned(),
            };
            let regex = compiled(&pattern, Flags::of(&kwargs)?)?;
            kwargs.assert_all_used()?;
            regex.is_match(&text(value)).map_err(|error| wrong(error.to_string()))
        });
    }
}

#[derive(Clone, Copy)]
enum Anchor {
    None,
    Start,
    Both,
    Given,
}

fn argument(rest: &[Value], kwargs: &Kwargs, index: usize, name: &str) -> Result<Option<Value>, Error> {
    Ok(kwargs.get::<Option<Value>>(name)?.or_else(|| rest.get(index).cloned()))
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Flags {
    ignorecase: bool,
    multiline: bool,
}

impl Flags {
    fn of(kwargs: &Kwargs) -> Result<Self, Error> {
        let flag = |name: &str| Ok::<_, Error>(kwargs.get::<Option<Value>>(name)?.is_some_and(|value| truth(&value)));
        Ok(Flags { ignorecase: flag("ignorecase")?, multiline: flag("multiline")? })
    }
}

thread_local! {
    static COMPILED: RefCell<HashMap<(String, Flags), Rc<Regex>>> = RefCell::default();
}

fn compiled(pattern: &str, flags: Flags) -> Result<Rc<Regex>, Error> {
    let key = (pattern.to_owned(), flags);
    if let Some(known) = COMPILED.with_borrow(|known| known.get(&key).cloned()) {
        return Ok(known);
    }
    let letters = [(flags.ignorecase, 'i'), (flags.multiline, 'm')];
    let letters: String = letters.iter().filter(|(is, _)| *is).map(|(_, letter)| letter).collect();
    let python = of_python(pattern, flags.multiline);
    let whole = if letters.is_empty() { python } else { format!("(?{letters}){python}") };
    let regex = Regex::new(&whole).map_err(|error| wrong(format!("`{pattern}` is no regular expression: {error}")))?;
    let regex = Rc::new(regex);
    COMPILED.with_borrow_mut(|known| known.insert(key, regex.clone()));
    Ok(regex)
}

/// A pattern in fancy-regex's words. Python's `\Z` is the very end, its `$` also stands before a last newline; braces
/// that count nothing and brackets within classes stand for themselves.
fn of_python(pattern: &str, multiline: bool) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut at, mut is_class) = (0, false);
    while let Some(&c) = chars.get(at) {
        at += 1;
        match (c, is_class) {
            ('\\', _) => {
                let next = chars.get(at).copied();
                at += 1;
                match next {
                    Some('Z') if !is_class => out.push_str("\\z"),
                    Some(next) => out.extend(['\\', next]),
                    None => out.push('\\'),
                }
            }
            ('[', false) => {
                out.push('[');
                if chars.get(at) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                // A bracket in the first place closes nothing.
                if chars.get(at) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
                is_class = true;
            }
            (']', true) => {
                out.push(']');
                is_class = false;
            }
            ('[' | '&' | '~', true) => out.extend(['\\', c]),
            ('$', false) if !multiline => out.push_str("(?=\\n?\\z)"),
            ('{', false) => match count(&chars[at..]).filter(|_| !out.is_empty()) {
                Some(count) => {
                    at += count.len() + 1;
                    out.push_str(&format!("{{{count}}}"));
                }
                None => out.push_str("\\{"),
            },
            ('}', false) => out.push_str("\\}"),
            (c, _) => out.push(c),
        }
    }
    out
}

/// What stands before a closing brace, if it counts: `2`, `2,`, `2,3`, `,3`.
fn count(rest: &[char]) -> Option<String> {
    let end = rest.iter().position(|c| *c == '}')?;
    let text: String = rest[..end].iter().collect();
    let is_count = text.contains(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == ',');
    is_count.then_some(text)
}

/// Python's `re.sub`: `\1`, `\g<name>`, `\n`.
fn replace(regex: &Regex, subject: &str, replacement: &str, count: usize) -> Result<String, Error> {
    let mut out = String::new();
    let (mut last, mut from, mut done) = (0, 0, 0);
    while from <= subject.len() && (count == 0 || done < count) {
        let captures = regex.captures_from_pos(subject, from).map_err(|error| wrong(error.to_string()))?;
        let Some((captures, whole)) = captures.and_then(|captures| captures.get(0).map(|whole| (captures, whole)))
        else {
            break;
        };
        out.push_str(&subject[last..whole.start()]);
        expand(&captures, replacement, &mut out)?;
        last = whole.end();
        done += 1;
        // As Python since 3.7: an empty match may follow another match, but no other empty one at its place.
        from = if whole.start() == whole.end() {
            whole.end() + subject[whole.end()..].chars().next().map_or(1, char::len_utf8)
        } else {
            whole.end()
        };
    }
    out.push_str(&subject[last..]);
    Ok(out)
}

/// What a replacement is for one match.
fn expand(captures: &Captures<'_, str>, replacement: &str, out: &mut String) -> Result<(), Error> {
    let mut rest = replacement;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix("g<") {
            let (name, tail) = tail.split_once('>').ok_or_else(|| wrong("missing >, unterminated name"))?;
            let found = name.parse().map_or_else(|_| captures.name(name), |index| captures.get(index));
            out.push_str(found.map_or("", |found| found.as_str()));
            rest = tail;
            continue;
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let digits = digits.min(2);
        if digits > 0 {
            let index = rest[..digits].parse::<usize>().unwrap_or_default();
            out.push_str(captures.get(index).map_or("", |found| found.as_str()));
            rest = &rest[digits..];
            continue;
        }
        let mut chars = rest.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') | None => out.push('\\'),
            Some(c) => out.extend(['\\', c]),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Ok(())
}

/// A regular expression of Python's; with `multiline`, `^` and `$` are at every line's ends.
///
/// # Errors
/// It is none.
pub fn python_regex(pattern: &str, multiline: bool) -> Result<Rc<Regex>, String> {
    compiled(pattern, Flags { ignorecase: false, multiline }).map_err(|error| error.to_string())
}

/// Python's `re.sub`: the text, and how often it was replaced.
///
/// # Errors
/// The replacement is none.
pub fn python_sub(regex: &Regex, subject: &str, replacement: &str) -> Result<(String, usize), String> {
    let count = regex.find_iter(subject).filter(Result::is_ok).count();
    replace(regex, subject, replacement, 0).map(|text| (text, count)).map_err(|error| error.to_string())
}

/// Python's `match.expand` of the first match in a text; `None` where there is none.
///
/// # Errors
/// The replacement is none.
pub fn python_expand(regex: &Regex, subject: &str, replacement: &str) -> Result<Option<String>, String> {
    let Ok(Some(captures)) = regex.captures(subject) else { return Ok(None) };
    let mut out = String::new();
    expand(&captures, replacement, &mut out).map_err(|error| error.to_string())?;
    Ok(Some(out))
}
