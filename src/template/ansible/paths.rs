//! Paths and URLs.

use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};

use super::convert::text;
use super::scope::current;
use super::words::Words;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_filter("basename", |value: &Value| text(value).rsplit('/').next().unwrap_or_default().to_owned());
    words.add_filter("dirname", |value: &Value| dirname(&text(value)));
    words.add_filter("win_basename", |value: &Value| {
        text(value).rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
    });
    words.add_filter("win_dirname", |value: &Value| {
        let text = text(value);
        text.rsplit_once(['/', '\\']).map_or(String::new(), |(front, _)| front.to_owned())
    });
    words.add_filter("splitext", |value: &Value| {
        let text = text(value);
        let name = text.rsplit('/').next().unwrap_or_default();
        let dot =
            name.trim_start_matches('.').rfind('.').map(|at| at + name.len() - name.trim_start_matches('.').len());
        let at = dot.map_or(text.len(), |at| text.len() - name.len() + at);
        Value::from(vec![text[..at].to_owned(), text[at..].to_owned()])
    });
    words.add_filter("expanduser", |value: &Value| {
        let text = text(value);
        let home = current().ok().and_then(|scope| scope.env("HOME")).unwrap_or_default();
        match text.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
            _ => text,
        }
    });
    words.add_filter("expandvars", |value: &Value| {
        let mut text = text(value);
        while let Some(at) = text.find('$') {
            let rest = &text[at + 1..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let Some(found) = current().ok().and_then(|scope| scope.env(&rest[..end])) else { break };
            text.replace_range(at..=at + end, &found);
        }
        text
    });
    words.add_filter("realpath", |value: &Value| normal(&text(value)));
    words.add_filter("normpath", |value: &Value| normal(&text(value)));
    words.add_filter("relpath", |value: &Value, start: Option<String>| {
        let (path, start) = (normal(&text(value)), normal(&start.unwrap_or_default()));
        let (path, start): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), start.split('/').collect());
        let same = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
        let up = start[same..].iter().filter(|part| !part.is_empty()).map(|_| "..");
        let parts: Vec<&str> = up.chain(path[same..].iter().copied()).collect();
        if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
    });
    words.add_filter("path_join", |value: &Value| -> Result<String, Error> {
        let parts: Vec<String> = match value.kind() {
            ValueKind::Seq => value.try_iter()?.map(|part| text(&part)).collect(),
            _ => vec![text(value)],
        };
        Ok(parts.iter().fold(String::new(), |path, part| match path.as_str() {
            _ if part.starts_with('/') => part.clone(),
            "" => part.clone(),
            before if before.ends_with('/') => format!("{before}{part}"),
            before => format!("{before}/{part}"),
        }))
    });
    words.add_filter("commonpath", |value: &Value| -> Result<String, Error> {
        let paths: Vec<String> = value.try_iter()?.map(|part| text(&part)).collect();
        let mut common: Vec<&str> = paths.first().map(|path| path.split('/').collect()).unwrap_or_default();
        for path in &paths {
            let same = common.iter().zip(path.split('/')).take_while(|(a, b)| **a == *b).count();
            common.truncate(same);
        }
        Ok(common.join("/"))
    });
    words.add_filter("urlsplit", |value: &Value, part: Option<String>, kwargs: Kwargs| {
        let part = kwargs.get::<Option<String>>("query")?.or(part);
        let url = text(value);
        let (scheme, rest) = url.split_once("://").map_or(("", url.as_str()), |(scheme, rest)| (scheme, rest));
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (netloc, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user, host) = netloc.rsplit_once('@').unwrap_or(("", netloc));
        let (username, password) = user.split_once(':').unwrap_or((user, ""));
        let (hostname, port) =
            host.rsplit_once(':').filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit())).unwrap_or((host, ""));
        let some = |text: &str| if text.is_empty() { Value::from(()) } else { Value::from(text) };
        let all = crate::template::map([
            ("fragment", Value::from(fragment)),
            ("hostname", some(&hostname.to_lowercase())),
            ("netloc", Value::from(netloc)),
            ("password", some(password)),
            ("path", Value::from(path)),
            ("port", port.parse::<i64>().map_or(Value::from(()), Value::from)),
            ("query", Value::from(query)),
            ("scheme", Value::from(scheme)),
            ("username", some(username)),
        ]);
        part.map_or(Ok(all.clone()), |part| all.get_attr(&part))
    });
    words.add_filter("urldecode", |value: &Value| {
        let text = text(value).replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    });
    words.add_filter("fileglob", |pattern: &str, _rest: Rest<Value>| -> Result<Value, Error> {
        let found = current()?.glob(pattern).map_err(super::wrong)?;
        Ok(Value::from(found.into_iter().map(|path| path.display().to_string()).collect::<Vec<_>>()))
    });
}

fn dirname(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((front, _)) => {
            let trimmed = front.trim_end_matches('/');
            if trimmed.is_empty() { "/".into() } else { trimmed.to_owned() }
        }
        None => String::new(),
    }
}

fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (path.starts_with('/'), joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}
