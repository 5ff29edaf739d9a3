//! Ansible's tests: `is changed`, `is version(…)`, `is subset(…)` …

use minijinja::Error;
use minijinja::value::{Kwargs, Value, ValueKind};
use std::cmp::Ordering;

use super::convert::{as_bool, text, truth};
use super::lists::items;
use super::scope::{PathTest, current};
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    type Named = (&'static [&'static str], fn(&Value) -> bool);
    let results: &[Named] = &[
        (&["changed", "change"], |result| flag(result, "changed") || any_of(result, "changed")),
        (&["failed", "failure"], |result| flag(result, "failed")),
        (&["succeeded", "success", "successful"], |result| !flag(result, "failed")),
        (&["skipped", "skip"], |result| flag(result, "skipped")),
        (&["unreachable"], |result| flag(result, "unreachable")),
        (&["reachable"], |result| !flag(result, "unreachable")),
        (&["finished"], |result| truth(&result.get_attr("finished").unwrap_or_default())),
        (&["started"], |result| truth(&result.get_attr("started").unwrap_or_default())),
        (&["timedout"], |result| flag(result, "timedout")),
    ];
    for (names, test) in results {
        for name in *names {
            let test = *test;
            words.add_test(*name, move |value: &Value| -> Result<bool, Error> {
                if value.kind() != ValueKind::Map {
                    if value.is_undefined() {
                        return Err(Error::from(minijinja::ErrorKind::UndefinedError));
                    }
                    return Err(wrong("this test expects the result of a task (a dictionary)"));
                }
                Ok(test(value))
            });
        }
    }
    let paths = [
        ("file", PathTest::File),
        ("directory", PathTest::Directory),
        ("exists", PathTest::Exists),
        ("link", PathTest::Link),
    ];
    for (name, what) in paths {
        words.add_test(name, move |value: &Value| Ok::<_, Error>(current()?.path_is(&text(value), what)));
    }
    words.add_test("abs", |value: &Value| text(value).starts_with('/'));
    words.add_test("link_exists", |value: &Value| Ok::<_, Error>(current()?.path_is(&text(value), PathTest::Link)));
    words.add_test("truthy", |value: &Value, kwargs: Kwargs| {
        let convert = kwargs.get::<Option<bool>>("convert_bool")?.unwrap_or(false);
        Ok::<_, Error>(truth(&if convert { as_bool(value) } else { value.clone() }))
    });
    words.add_test("falsy", |value: &Value, kwargs: Kwargs| {
        let convert = kwargs.get::<Option<bool>>("convert_bool")?.unwrap_or(false);
        Ok::<_, Error>(!truth(&if convert { as_bool(value) } else { value.clone() }))
    });
    for name in ["subset", "issubset"] {
        words.add_test(name, |a: &Value, b: &Value| {
            let b = items(b)?;
            Ok::<_, Error>(items(a)?.iter().all(|item| b.contains(item)))
        });
    }
    for name in ["superset", "issuperset"] {
        words.add_test(name, |a: &Value, b: &Value| {
            let a = items(a)?;
            Ok::<_, Error>(items(b)?.iter().all(|item| a.contains(item)))
        });
    }
    words.add_test("contains", |a: &Value, b: &Value| -> Result<bool, Error> {
        match a.kind() {
            ValueKind::String => Ok(text(a).contains(&text(b))),
            _ => Ok(a.try_iter()?.any(|item| item == *b)),
        }
    });
    words.add_test("nan", |value: &Value| f64::try_from(value.clone()).is_ok_and(f64::is_nan));
    words.add_test("vault_encrypted", |_: &Value| false);
    words.add_test("urn", |value: &Value| text(value).starts_with("urn:"));
    words.add_test("uri", |value: &Value| text(value).contains(':'));
    words.add_test("url", |value: &Value| text(value).contains("://"));
    for name in ["version", "version_compare"] {
        words.add_test(name, version);
        words.add_filter(name, version);
    }
}

fn flag(result: &Value, name: &str) -> bool {
    result.get_attr(name).is_ok_and(|value| truth(&value))
}

fn any_of(result: &Value, name: &str) -> bool {
    let results = result.get_attr("results").unwrap_or_default();
    results.kind() == ValueKind::Seq
        && results.try_iter().is_ok_and(|mut results| results.any(|result| flag(&result, name)))
}

fn version(
    value: &Value,
    other: &Value,
    operator: Option<String>,
    strict: Option<Value>,
    kwargs: Kwargs,
) -> Result<bool, Error> {
    let operator = kwargs.get::<Option<String>>("operator")?.or(operator).unwrap_or_else(|| "eq".into());
    let kind = kwargs.get::<Option<String>>("version_type")?;
    let _ = (kwargs.get::<Option<Value>>("strict")?, strict);
    kwargs.assert_all_used()?;
    if value.is_undefined() || text(value).is_empty() {
        return Err(wrong("Input version value cannot be empty"));
    }
    let order = match kind.as_deref() {
        Some("semver" | "semantic") => semantic(&text(value), &text(other)),
        _ => loose(&text(value), &text(other)),
    };
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        other => return Err(wrong(format!("Invalid operator type ({other})"))),
    })
}

/// Python's LooseVersion: numbers and words, part by part.
fn loose(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let mut parts: Vec<Result<u64, String>> = vec![];
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let is_kind: fn(char) -> bool = match c {
                c if c.is_ascii_digit() => |c| c.is_ascii_digit(),
                c if c.is_ascii_lowercase() => |c| c.is_ascii_lowercase(),
                '.' => |c| c == '.',
                _ => |c| !c.is_ascii_digit() && !c.is_ascii_lowercase() && c != '.',
            };
            let end = rest.find(|c| !is_kind(c)).unwrap_or(rest.len());
            if c != '.' {
                parts.push(rest[..end].parse::<u64>().map_err(|_| rest[..end].to_owned()));
            }
            rest = &rest[end..];
        }
        parts
    };
    let (a, b) = (parts(a), parts(b));
    for (a, b) in a.iter().zip(&b) {
        let order = match (a, b) {
            (Ok(a), Ok(b)) => a.cmp(b),
            (Err(a), Err(b)) => a.cmp(b),
            // Python cannot compare a number with a word; a word is before one, as for pre-releases.
            (Ok(_), Err(_)) => Ordering::Greater,
            (Err(_), Ok(_)) => Ordering::Less,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Semantic versions: a pre-release is before its release.
fn semantic(a: &str, b: &str) -> Ordering {
    let split = |text: &str| {
        let text = text.split('+').next().unwrap_or_default().to_owned();
        match text.split_once('-') {
            Some((core, pre)) => (core.to_owned(), Some(pre.to_owned())),
            None => (text, None),
        }
    };
    let ((a, a_pre), (b, b_pre)) = (split(a), split(b));
    loose(&a, &b).then_with(|| match (a_pre, b_pre) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => loose(&a, &b),
    })
}
