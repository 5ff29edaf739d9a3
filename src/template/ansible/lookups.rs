//! `lookup(…)` and `query(…)`.

use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};

use super::convert::{text, truth};
use super::engine;
use super::lists::{items, product, subelements};
use super::scope::{current, variable};
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_function("lookup", |name: &str, terms: Rest<Value>, kwargs: Kwargs| asked(name, &terms, &kwargs, false));
    for query in ["query", "q"] {
        words.add_function(query, |name: &str, terms: Rest<Value>, kwargs: Kwargs| asked(name, &terms, &kwargs, true));
    }
}

fn asked(name: &str, terms: &[Value], kwargs: &Kwargs, is_query: bool) -> Result<Value, Error> {
    let wantlist = kwargs.get::<Option<Value>>("wantlist")?.is_some_and(|value| truth(&value)) || is_query;
    let errors = kwargs.get::<Option<String>>("errors")?.unwrap_or_else(|| "strict".into());
    let found = match find(name, terms, kwargs) {
        Ok(found) => found,
        Err(_) if errors != "strict" => {
            return Ok(if wantlist { Value::from(Vec::<Value>::new()) } else { Value::from("") });
        }
        Err(error) => return Err(error),
    };
    if wantlist {
        return Ok(Value::from(found));
    }
    Ok(match found.len() {
        1 => found.into_iter().next().unwrap_or_default(),
        _ if found.iter().all(|item| item.kind() == ValueKind::String) => {
            Value::from(found.iter().map(text).collect::<Vec<_>>().join(","))
        }
        _ => Value::from(found),
    })
}

/// What a lookup finds.
fn find(name: &str, terms: &[Value], kwargs: &Kwargs) -> Result<Vec<Value>, Error> {
    let scope = current()?;
    let bare =
        name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("community.general.")).unwrap_or(name);
    let flag = |name: &str, default: bool| {
        Ok::<_, Error>(kwargs.get::<Option<Value>>(name)?.map_or(default, |value| truth(&value)))
    };
    let default = kwargs.get::<Option<Value>>("default")?;
    // Terms may come as one list.
    let flat = || -> Result<Vec<Value>, Error> {
        let mut all = vec![];
        for term in terms {
            if term.kind() == ValueKind::Seq { all.extend(items(term)?) } else { all.push(term.clone()) }
        }
        Ok(all)
    };
    match bare {
        "file" | "unvault" => {
            let strip = flag("rstrip", true)?;
            flat()?
                .iter()
                .map(|term| {
                    let path = scope.find_file("files", &text(term)).map_err(wrong)?;
                    let bytes = scope.read_file(&path).map_err(wrong)?;
                    let content =
                        String::from_utf8(bytes).map_err(|_| wrong(format!("{} is no UTF-8", path.display())))?;
                    Ok(Value::from(if strip { content.trim_end().to_owned() } else { content }))
                })
                .collect()
        }
        "template" => flat()?
            .iter()
            .map(|term| {
                let path = scope.find_file("templates", &text(term)).map_err(wrong)?;
                let bytes = scope.read_file(&path).map_err(wrong)?;
                let source = String::from_utf8(bytes).map_err(|_| wrong(format!("{} is no UTF-8", path.display())))?;
                let rendered = engine::Engine::new().template(
                    &path.display().to_string(),
                    &source,
                    &engine::Options::default(),
                    &scope,
                );
                rendered.map(Value::from).map_err(|error| wrong(format!("{}: {}", path.display(), error.message)))
            })
            .collect(),
        "env" => Ok(flat()?
            .iter()
            .map(|term| match scope.env(&text(term)) {
                Some(found) => Value::from(found),
                None => default.clone().unwrap_or_else(|| Value::from("")),
            })
            .collect()),
        "vars" => flat()?
            .iter()
            .map(|term| match (variable(&scope, &text(term)), &default) {
                (Some(found), _) => Ok(found),
                (None, Some(default)) => Ok(default.clone()),
                (None, None) => {
                    Err(Error::new(minijinja::ErrorKind::UndefinedError, format!("'{}' is undefined", text(term))))
                }
            })
            .collect(),
        "varnames" => {
            let mut names = vec![];
            for term in flat()? {
                let pattern = fancy_regex::Regex::new(&text(&term)).map_err(|error| wrong(error.to_string()))?;
                names.extend(scope.names().into_iter().filter(|name| pattern.is_match(name).unwrap_or(false)));
            }
            Ok(names.into_iter().map(Value::from).collect())
        }
        "first_found" => first_found(terms, kwargs),
        "fileglob" => {
            let mut found = vec![];
            for term in flat()? {
                let pattern = text(&term);
                let pattern = if pattern.starts_with('/') {
                    pattern
                } else {
                    let (directory, file) = pattern
                        .rsplit_once('/')
                        .map_or((String::new(), pattern.as_str()), |(directory, file)| (directory.to_owned(), file));
                    match scope.find_file("files", if directory.is_empty() { "." } else { &directory }) {
                        Ok(directory) => format!("{}/{file}", directory.display()),
                        Err(_) => continue,
                    }
                };
                found.extend(
                    scope
                        .glob(&pattern)
                        .map_err(wrong)?
                        .into_iter()
                        .map(|path| Value::from(path.display().to_string())),
                );
            }
            Ok(found)
        }
        "password" => flat()?.iter().map(|term| password(&text(term), kwargs)).collect(),
        "items" => {
            let mut all = vec![];
            for term in terms {
                if term.kind() == ValueKind::Seq { all.extend(items(term)?) } else { all.push(term.clone()) }
            }
            Ok(all)
        }
        "list" => Ok(terms.to_vec()),
        "flattened" => {
            fn flatten(value: &Value, out: &mut Vec<Value>) -> Result<(), Error> {
                for item in items(value)? {
                    if item.kind() == ValueKind::Seq {
                        flatten(&item, out)?
                    } else if !item.is_none() {
                        out.push(item)
                    }
                }
                Ok(())
            }
            let mut out = vec![];
            flatten(&Value::from(terms.to_vec()), &mut out)?;
            Ok(out)
        }
        "dict" => {
            let mut pairs = vec![];
            for term in terms {
                let maps = if term.kind() == ValueKind::Seq { items(term)? } else { vec![term.clone()] };
                for map in maps {
                    for key in map.try_iter()? {
                        let value = map.get_item(&key)?;
                        pairs.push(crate::template::map([("key", key), ("value", value)]));
                    }
                }
            }
            Ok(pairs)
        }
        "sequence" => flat()?
            .iter()
            .map(|term| sequence(&text(term)))
            .collect::<Result<Vec<_>, _>>()
            .map(|lists| lists.concat())
            .and_then(|found| if terms.is_empty() { sequence_of(kwargs) } else { Ok(found) }),
        "nested" | "cartesian" => {
            let lists = terms
                .iter()
                .map(|term| if term.kind() == ValueKind::Seq { items(term) } else { Ok(vec![term.clone()]) })
                .collect::<Result<Vec<_>, _>>()?;
            Ok(product(&lists))
        }
        "together" => {
            let lists = terms.iter().map(items).collect::<Result<Vec<_>, _>>()?;
            let count = lists.iter().map(Vec::len).max().unwrap_or(0);
            let row = |n: usize| {
                Value::from(
                    lists.iter().map(|list| list.get(n).cloned().unwrap_or(Value::from(()))).collect::<Vec<_>>(),
                )
            };
            Ok((0..count).map(row).collect())
        }
        "subelements" => {
            let [list, path, rest @ ..] = terms else { return Err(wrong("subelements needs a list and a key")) };
            let skip =
                rest.first().and_then(|options| options.get_attr("skip_missing").ok()).is_some_and(|skip| truth(&skip));
            items(&subelements(list, &text(path), skip)?)
        }
        "indexed_items" => Ok(flat()?
            .into_iter()
            .enumerate()
            .map(|(index, item)| Value::from(vec![Value::from(index), item]))
            .collect()),
        "random_choice" => {
            let list: Vec<Value> = terms.to_vec();
            let mut random = super::random::generator(None)?;
            let at = usize::try_from(random.below(list.len().max(1) as u64)).unwrap_or(0);
            Ok(list.get(at).cloned().into_iter().collect())
        }
        "inventory_hostnames" => Ok(scope.hosts().into_iter().map(Value::from).collect()),
        "lines" | "pipe" | "csvfile" | "ini" | "url" | "dig" | "redis" => Err(wrong(format!(
            "lookup('{bare}') is not supported: nothing runs and nothing is fetched at the operator's machine; register a task's result in its place"
        ))),
        other => Err(wrong(format!("there is no lookup `{other}`, and Python plugins are not run"))),
    }
}

/// The first file that is there, of names or of `{files: […], paths: […]}`.
fn first_found(terms: &[Value], kwargs: &Kwargs) -> Result<Vec<Value>, Error> {
    let scope = current()?;
    let list = |value: Option<Value>| -> Result<Vec<String>, Error> {
        match value {
            Some(value) if value.kind() == ValueKind::Seq => Ok(items(&value)?.iter().map(text).collect()),
            Some(value) if !value.is_none() && !value.is_undefined() => {
                Ok(text(&value).split([',', ';', ':']).map(str::to_owned).collect())
            }
            _ => Ok(vec![]),
        }
    };
    let mut wanted: Vec<String> = vec![];
    let mut skip = kwargs.get::<Option<Value>>("skip")?.is_some_and(|skip| truth(&skip));
    let add = |files: Vec<String>, paths: Vec<String>, wanted: &mut Vec<String>| {
        if paths.is_empty() {
            wanted.extend(files);
        } else {
            for path in paths {
                wanted.extend(files.iter().map(|file| format!("{}/{file}", path.trim_end_matches('/'))));
            }
        }
    };
    add(list(kwargs.get("files")?)?, list(kwargs.get("paths")?)?, &mut wanted);
    let mut flat = vec![];
    for term in terms {
        if term.kind() == ValueKind::Seq { flat.extend(items(term)?) } else { flat.push(term.clone()) }
    }
    for term in flat {
        if term.kind() == ValueKind::Map {
            let part = |name: &str| term.get_attr(name).ok().filter(|value| !value.is_undefined());
            add(list(part("files"))?, list(part("paths"))?, &mut wanted);
            skip |= part("skip").is_some_and(|skip| truth(&skip));
        } else {
            wanted.push(text(&term));
        }
    }
    for name in &wanted {
        for kind in ["vars", "files", "templates", "tasks"] {
            if let Ok(path) = scope.find_file(kind, name) {
                return Ok(vec![Value::from(path.display().to_string())]);
            }
        }
    }
    if skip {
        Ok(vec![])
    } else {
        Err(wrong(format!("No file was found when using first_found: {}", wanted.join(", "))))
    }
}

/// `start=1 end=5 stride=2 format=x%02d`, `count=3`, `1-5/2:x%02d`.
fn sequence(term: &str) -> Result<Vec<Value>, Error> {
    let number = |text: &str| {
        text.strip_prefix("0x")
            .map_or_else(|| text.parse::<i64>(), |hex| i64::from_str_radix(hex, 16))
            .map_err(|_| wrong(format!("with_sequence: `{text}` is no number")))
    };
    let (mut start, mut end, mut count, mut stride, mut format) = (1, None, None, 1, "%d".to_owned());
    if term.contains('=') {
        for pair in term.split_whitespace() {
            match pair.split_once('=') {
                Some(("start", value)) => start = number(value)?,
                Some(("end", value)) => end = Some(number(value)?),
                Some(("count", value)) => count = Some(number(value)?),
                Some(("stride", value)) => stride = number(value)?,
                Some(("format", value)) => format = value.to_owned(),
                _ => return Err(wrong(format!("with_sequence: `{pair}` is not start, end, count, stride or format"))),
            }
        }
    } else {
        let (range, given) = term.split_once(':').map_or((term, None), |(range, format)| (range, Some(format)));
        let (range, step) = range.split_once('/').map_or((range, None), |(range, step)| (range, Some(step)));
        if let Some(given) = given {
            format = given.to_owned();
        }
        if let Some(step) = step {
            stride = number(step)?;
        }
        match range.split_once('-') {
            Some((from, to)) => (start, end) = (number(from)?, Some(number(to)?)),
            None => end = Some(number(range)?),
        }
    }
    numbers(start, end, count, stride, &format)
}

fn sequence_of(kwargs: &Kwargs) -> Result<Vec<Value>, Error> {
    let number = |name: &str| {
        Ok::<_, Error>(kwargs.get::<Option<Value>>(name)?.and_then(|value| text(&value).parse::<i64>().ok()))
    };
    let format = kwargs.get::<Option<String>>("format")?.unwrap_or_else(|| "%d".into());
    numbers(number("start")?.unwrap_or(1), number("end")?, number("count")?, number("stride")?.unwrap_or(1), &format)
}

fn numbers(start: i64, end: Option<i64>, count: Option<i64>, stride: i64, format: &str) -> Result<Vec<Value>, Error> {
    let end = match (end, count) {
        (Some(end), _) => end,
        (None, Some(0)) => return Ok(vec![]),
        (None, Some(count)) => start + stride * (count - 1),
        (None, None) => return Err(wrong("must specify count or end in with_sequence")),
    };
    if stride == 0 {
        return Ok(vec![]);
    }
    let mut out = vec![];
    let mut at = start;
    while (stride > 0 && at <= end) || (stride < 0 && at >= end) {
        out.push(Value::from(super::texts::percent(format, &[Value::from(at)])?));
        at += stride;
    }
    Ok(out)
}

/// `PATH length=20 chars=ascii_letters,digits`: read, or made once.
fn password(term: &str, kwargs: &Kwargs) -> Result<Value, Error> {
    let scope = current()?;
    let mut words = term.split_whitespace();
    let path = words.next().unwrap_or_default().to_owned();
    let mut length = kwargs.get::<Option<usize>>("length")?.unwrap_or(20);
    let mut chars = kwargs.get::<Option<Value>>("chars")?.map(|chars| match chars.kind() {
        ValueKind::Seq => items(&chars).map(|parts| parts.iter().map(text).collect::<Vec<_>>()).unwrap_or_default(),
        _ => text(&chars).split(',').map(str::to_owned).collect(),
    });
    let mut hash = kwargs.get::<Option<String>>("encrypt")?;
    for word in words {
        match word.split_once('=') {
            Some(("length", value)) => length = value.parse().map_err(|_| wrong("password: length is a number"))?,
            Some(("chars", value)) => chars = Some(value.split(',').map(str::to_owned).collect()),
            Some(("encrypt", value)) => hash = Some(value.to_owned()),
            _ => return Err(wrong(format!("password: `{word}` is not length, chars or encrypt"))),
        }
    }
    let chars = chars.unwrap_or_else(|| ["ascii_letters", "digits", ".,:-_"].map(str::to_owned).to_vec());
    let letters: Vec<char> = chars
        .iter()
        .flat_map(|part| match part.as_str() {
            "ascii_letters" => ('a'..='z').chain('A'..='Z').collect::<Vec<_>>(),
            "ascii_lowercase" => ('a'..='z').collect(),
            "ascii_uppercase" => ('A'..='Z').collect(),
            "digits" => ('0'..='9').collect(),
            "hexdigits" => "0123456789abcdefABCDEF".chars().collect(),
            "punctuation" => "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".chars().collect(),
            other => other.chars().collect(),
        })
        .collect();
    if letters.is_empty() {
        return Err(wrong("password: there are no characters to choose from"));
    }
    let made: String =
        scope.entropy(length).into_iter().map(|byte| letters[usize::from(byte) % letters.len()]).collect();
    let password = if path == "/dev/null" { made } else { scope.password(&path, &made).map_err(wrong)? };
    match hash {
        Some(kind) => engine::render_text(&format!(
            "{{{{ '{}' | password_hash('{kind}') }}}}",
            password.replace('\\', "\\\\").replace('\'', "\\'")
        )),
        None => Ok(Value::from(password)),
    }
}
