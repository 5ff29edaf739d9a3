//! How `ready:` is written: a list of checks, each a word or a map of one key, optionally with `timeout`.

use std::rc::Rc;
use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Check, Condition};
use crate::diagnostic::{Diagnostic, nearest};
use crate::model::units;
use crate::tree::{self, Node, Value as Written};

const WORDS: &[&str] = &["ipv4", "cloud-init", "tcp", "http", "exec"];
const HELP: &str = "a check is `ipv4`, `cloud-init`, {tcp: PORT}, {http: {url: URL}} or {exec: [COMMAND, ARGUMENT]}";

/// What [`decode`] reads.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    let timeout =
        || json!({"type": ["string", "integer"], "description": "How long this check may take, for example `60s`."});
    let one = |word: &str, description: &str, value: Value| {
        json!({
            "type": "object", "description": description, "required": [word], "additionalProperties": false,
            "properties": {word: value, "timeout": timeout()},
        })
    };
    let url = json!({"type": "string"});
    let http = json!({"anyOf": [
        url,
        {"type": "object", "required": ["url"], "additionalProperties": false, "properties": {"url": url}},
    ]});
    let check = json!({"anyOf": [
        {"enum": ["ipv4", "cloud-init"]},
        one("ipv4", "It has a global IPv4 address.", json!({"enum": [true, null]})),
        one("cloud-init", "cloud-init is done, without an error.", json!({"enum": [true, null]})),
        one("tcp", "Something listens on this port inside the guest.", json!({"type": "integer", "minimum": 1, "maximum": 65535})),
        one("http", "It answers with 2xx or 3xx; asked inside the guest.", http),
        one("exec", "A command inside the guest ends with 0.", json!({"type": "array", "minItems": 1, "items": {"type": "string"}})),
    ]});
    json_schema!({"anyOf": [check, {"type": "array", "items": check}]})
}

/// Reads the value of `ready:`; a single check is a list of one.
pub fn decode(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Vec<Check> {
    match &node.value {
        Written::Seq(items) => items.iter().filter_map(|item| check(item, out)).collect(),
        _ => check(node, out).into_iter().collect(),
    }
}

fn check(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<Check> {
    match &node.value {
        Written::Scalar(scalar) => match scalar.text.as_str() {
            "ipv4" => Some(Check { condition: Condition::Ipv4, timeout: None }),
            "cloud-init" => Some(Check { condition: Condition::CloudInit, timeout: None }),
            word if WORDS.contains(&word) => {
                out.push(Diagnostic::error(node.span, format!("`{word}` needs a value")).help(HELP));
                None
            }
            word => {
                out.push(unknown(node, word));
                None
            }
        },
        Written::Seq(_) => {
            out.push(Diagnostic::error(node.span, "a check of `ready` is no list").help(HELP));
            None
        }
        Written::Map(_) if node.partial => None,
        Written::Map(entries) => {
            let timeout = node.get("timeout").and_then(|value| timeout(value, out));
            let named: Vec<_> = entries.iter().filter(|(key, _)| key.text != "timeout").collect();
            let [(key, value)] = named[..] else {
                let names: Vec<String> = named.iter().map(|(key, _)| format!("`{}`", key.text)).collect();
                let message = match &names[..] {
                    [] => "this check of `ready` checks nothing".to_owned(),
                    names => format!("a check of `ready` has one kind, and this has {}", names.join(" and ")),
                };
                out.push(Diagnostic::error(node.span, message).help(HELP));
                return None;
            };
            let condition = match key.text.as_str() {
                "ipv4" if is_yes(value) => Condition::Ipv4,
                "cloud-init" if is_yes(value) => Condition::CloudInit,
                "tcp" => Condition::Tcp(port(value, out)?),
                "http" => Condition::Http(url(value, out)?),
                "exec" => Condition::Exec(command(value, out)?),
                "ipv4" | "cloud-init" => {
                    out.push(
                        Diagnostic::error(value.span, format!("`{}` takes no value but `true`", key.text)).help(HELP),
                    );
                    return None;
                }
                word => {
                    out.push(Diagnostic { span: Some(key.span), ..unknown(node, word) });
                    return None;
                }
            };
            Some(Check { condition, timeout })
        }
    }
}

fn unknown(node: &Rc<Node>, word: &str) -> Diagnostic {
    let help = match nearest(word, WORDS.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {HELP}"),
        None => HELP.to_owned(),
    };
    Diagnostic::error(node.span, format!("`{word}` is no check of `ready`")).help(help)
}

fn is_yes(node: &Rc<Node>) -> bool {
    node.is_null() || node.as_str() == Some("true")
}

fn port(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<u16> {
    let port: i64 = tree::decode(node, &[], out)?;
    let known = u16::try_from(port).ok().filter(|port| *port != 0);
    if known.is_none() {
        out.push(Diagnostic::error(node.span, format!("{port} is no port")).help("ports are 1 to 65535"));
    }
    known
}

fn url(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Http {
        url: String,
    }
    let url = match node.as_str() {
        Some(url) => url.to_owned(),
        None => tree::decode::<Http>(node, &[], out)?.url,
    };
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']) && !rest.contains(char::is_whitespace))
    {
        return Some(url);
    }
    let place = node.get("url").map_or(node.span, |url| url.span);
    out.push(
        Diagnostic::error(place, format!("`{url}` is no http URL"))
            .help("for example http://127.0.0.1:8000/healthz; it is asked inside the guest"),
    );
    None
}

fn command(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<Vec<String>> {
    let words: Vec<tree::Text> = tree::decode(node, &[], out)?;
    if words.is_empty() {
        out.push(Diagnostic::error(node.span, "an empty command").help("for example {exec: [test, -e, /ready]}"));
        return None;
    }
    Some(words.into_iter().map(|word| word.0).collect())
}

fn timeout(node: &Rc<Node>, out: &mut Vec<Diagnostic>) -> Option<Duration> {
    match units::parse_duration(node.as_str().unwrap_or_default()) {
        Ok(timeout) => Some(timeout),
        Err(reason) => {
            out.push(Diagnostic::error(node.span, reason).help("write a duration such as `60s`"));
            None
        }
    }
}
