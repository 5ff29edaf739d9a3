//! JSON, YAML, base64, checksums, passwords' hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::Error;
use minijinja::value::{Kwargs, Value, ValueKind};
use sha2::Digest;

use super::convert::{from_json, number, text, truth};
use super::scope::current;
use super::words::Words;
use super::{wrong, yaml};
use crate::diagnostic::Diagnostic;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_filter("to_json", |value: &Value, kwargs: Kwargs| {
        let indent = kwargs.get::<Option<usize>>("indent")?;
        let sort = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
        json(value, indent, sort, is_ascii(&kwargs)?)
    });
    words.add_filter("tojson", |value: &Value, indent: Option<usize>| {
        let json = json(value, indent, true, true)?;
        let safe = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        Ok::<_, Error>(safe.replace('\'', "\\u0027"))
    });
    words.add_filter("to_nice_json", |value: &Value, kwargs: Kwargs| {
        let indent = kwargs.get::<Option<usize>>("indent")?.unwrap_or(4);
        let sort = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(true);
        json(value, Some(indent), sort, is_ascii(&kwargs)?)
    });
    words.add_filter("from_json", |value: &Value| -> Result<Value, Error> {
        let parsed: Ordered =
            serde_json::from_str(&text(value)).map_err(|error| wrong(format!("from_json: {error}")))?;
        Ok(parsed.0)
    });
    words.add_filter("to_yaml", |value: &Value, kwargs: Kwargs| dumped(value, &kwargs, None, 2));
    words.add_filter("to_nice_yaml", |value: &Value, kwargs: Kwargs| dumped(value, &kwargs, Some(false), 4));
    words.add_filter("from_yaml", |value: &Value| parsed(&text(value)));
    words.add_filter("from_yaml_all", |value: &Value| {
        let whole = text(value);
        let documents = whole.split("\n---").map(|part| part.strip_prefix("---").unwrap_or(part));
        documents.filter(|part| !part.trim().is_empty()).map(parsed).collect::<Result<Vec<_>, _>>().map(Value::from)
    });
    words.add_filter("b64encode", |value: &Value| match value.as_bytes() {
        Some(bytes) => STANDARD.encode(bytes),
        None => STANDARD.encode(text(value)),
    });
    words.add_filter("b64decode", |value: &Value| -> Result<Value, Error> {
        let bytes = STANDARD
            .decode(text(value).replace(['\n', '\r', ' '], ""))
            .map_err(|error| wrong(format!("b64decode: {error}")))?;
        Ok(String::from_utf8(bytes).map_or_else(|error| Value::from_bytes(error.into_bytes()), Value::from))
    });
    words.add_filter("hash", |value: &Value, kind: Option<String>| {
        hashed(&text(value), kind.as_deref().unwrap_or("sha1"))
    });
    words.add_filter("checksum", |value: &Value| hashed(&text(value), "sha1"));
    for kind in ["sha1", "md5"] {
        words.add_filter(kind, move |value: &Value| hashed(&text(value), kind));
    }
    words.add_filter("password_hash", |value: &Value, kind: Option<String>, salt: Option<String>, kwargs: Kwargs| {
        let kind = kwargs.get::<Option<String>>("hashtype")?.or(kind).unwrap_or_else(|| "sha512".into());
        let salt = kwargs.get::<Option<Value>>("salt")?.filter(|salt| !salt.is_none()).map(|salt| text(&salt)).or(salt);
        let rounds = kwargs.get::<Option<u32>>("rounds")?;
        let _ = (kwargs.get::<Option<Value>>("salt_size")?, kwargs.get::<Option<Value>>("ident")?);
        password_hash(&text(value), &kind, salt, rounds)
    });
    words.add_filter("to_uuid", |value: &Value, kwargs: Kwargs| {
        let namespace =
            kwargs.get::<Option<String>>("namespace")?.unwrap_or_else(|| "361E6D51-FAEC-444A-9079-341386DA8E2E".into());
        let namespace = uuid::Uuid::parse_str(&namespace).map_err(|error| wrong(format!("to_uuid: {error}")))?;
        Ok::<_, Error>(uuid::Uuid::new_v5(&namespace, text(value).as_bytes()).to_string())
    });
    words.add_filter("vault", |_: &Value| -> Result<Value, Error> {
        Err(wrong("vault: secrets are written with `lxdeploy secrets encrypt`"))
    });
}

/// JSON whose maps keep their order.
struct Ordered(Value);

impl<'de> serde::Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> serde::de::Visitor<'de> for Any {
            type Value = Ordered;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Ordered, E> {
                Ok(Ordered(Value::from(())))
            }
            fn visit_bool<E>(self, is: bool) -> Result<Ordered, E> {
                Ok(Ordered(Value::from(is)))
            }
            fn visit_i64<E>(self, int: i64) -> Result<Ordered, E> {
                Ok(Ordered(Value::from(int)))
            }
            fn visit_u64<E>(self, int: u64) -> Result<Ordered, E> {
                Ok(Ordered(from_json(&int.into())))
            }
            fn visit_f64<E>(self, float: f64) -> Result<Ordered, E> {
                Ok(Ordered(Value::from(float)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Ordered, E> {
                Ok(Ordered(Value::from(text)))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
                let mut list = vec![];
                while let Some(Ordered(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(Ordered(Value::from(list)))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Ordered, A::Error> {
                let mut map = indexmap::IndexMap::new();
                while let Some((key, Ordered(value))) = entries.next_entry::<String, Ordered>()? {
                    map.insert(Value::from(key), value);
                }
                Ok(Ordered(Value::from(map)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// JSON that keeps its order, as a value.
///
/// # Errors
/// It is no JSON.
pub fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str::<Ordered>(text).map(|parsed| parsed.0).map_err(|error| error.to_string())
}

fn parsed(text: &str) -> Result<Value, Error> {
    let mut problems: Vec<Diagnostic> = vec![];
    let node = crate::tree::parse(crate::model::FileId::default(), text, &mut problems);
    match (node, problems.into_iter().find(Diagnostic::is_error)) {
        (_, Some(problem)) => Err(wrong(format!("from_yaml: {}", problem.message))),
        (Some(node), None) => yaml::from_node(&node, &|_| Err("an encrypted value".into())).map_err(wrong),
        (None, None) => Ok(Value::from(())),
    }
}

fn dumped(value: &Value, kwargs: &Kwargs, flow: Option<bool>, indent: usize) -> Result<String, Error> {
    let indent = kwargs.get::<Option<usize>>("indent")?.unwrap_or(indent);
    let width = kwargs.get::<Option<usize>>("width")?.unwrap_or(80);
    let sort = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(true);
    let flow = kwargs.get::<Option<Value>>("default_flow_style")?.map_or(flow, |value| Some(truth(&value)));
    let _ = (kwargs.get::<Option<Value>>("allow_unicode")?, kwargs.get::<Option<Value>>("explicit_start")?);
    if value.is_undefined() {
        return Err(Error::from(minijinja::ErrorKind::UndefinedError));
    }
    Ok(yaml::dump(value, yaml::Style { indent, flow, sort, width }))
}

/// `ensure_ascii`: other letters are written as `\u…`, as Python does unless it is told not to.
fn is_ascii(kwargs: &Kwargs) -> Result<bool, Error> {
    Ok(kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(true))
}

/// JSON as Python's `json.dumps` writes it: blanks after separators, ASCII only.
pub fn python_json(value: &Value) -> String {
    json(value, None, false, true).unwrap_or_default()
}

fn json(value: &Value, indent: Option<usize>, sort: bool, ascii: bool) -> Result<String, Error> {
    let mut out = String::new();
    write(value, Json { indent, sort, ascii }, 0, &mut out)?;
    Ok(out)
}

#[derive(Clone, Copy)]
struct Json {
    indent: Option<usize>,
    sort: bool,
    ascii: bool,
}

fn write(value: &Value, style: Json, depth: usize, out: &mut String) -> Result<(), Error> {
    let newline = |out: &mut String, depth: usize| {
        if let Some(indent) = style.indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    };
    let separator = if style.indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::Undefined => return Err(Error::from(minijinja::ErrorKind::UndefinedError)),
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&number(f64::try_from(value.clone()).unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(separator);
                }
                newline(out, depth + 1);
                write(item, style, depth + 1, out)?;
            }
            if !items.is_empty() {
                newline(out, depth);
            }
            out.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sort {
                keys.sort();
            }
            out.push('{');
            for (index, key) in keys.iter().enumerate() {
                if index > 0 {
                    out.push_str(separator);
                }
                newline(out, depth + 1);
                quoted(&text(key), style.ascii, out);
                out.push_str(": ");
                write(&value.get_item(key)?, style, depth + 1, out)?;
            }
            if !keys.is_empty() {
                newline(out, depth);
            }
            out.push('}');
        }
        _ => quoted(&text(value), style.ascii, out),
    }
    Ok(())
}

fn quoted(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii() && !c.is_ascii_control() => out.push(c),
            c if !ascii && (c as u32) >= 0x20 => out.push(c),
            c => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hashed(text: &str, kind: &str) -> Result<String, Error> {
    let bytes = text.as_bytes();
    Ok(match kind {
        "md5" => hex(&md5::Md5::digest(bytes)),
        "sha1" => hex(&sha1::Sha1::digest(bytes)),
        "sha224" => hex(&sha2::Sha224::digest(bytes)),
        "sha256" => hex(&sha2::Sha256::digest(bytes)),
        "sha384" => hex(&sha2::Sha384::digest(bytes)),
        "sha512" => hex(&sha2::Sha512::digest(bytes)),
        other => {
            return Err(wrong(format!("there is no checksum `{other}`: md5, sha1, sha224, sha256, sha384, sha512")));
        }
    })
}

/// crypt(3)'s SHA-2 hashes, as they stand in shadow.
fn password_hash(password: &str, kind: &str, salt: Option<String>, rounds: Option<u32>) -> Result<String, Error> {
    let salt = match salt {
        Some(salt) => salt,
        None => {
            let entropy = current()?.entropy(16);
            entropy.into_iter().map(|byte| LETTERS[usize::from(byte) % 64] as char).collect()
        }
    };
    let salt: String = salt.chars().take(16).collect();
    let (id, default) = match kind {
        "sha512" | "sha512_crypt" => (6, 656_000),
        "sha256" | "sha256_crypt" => (5, 535_000),
        other => return Err(wrong(format!("password_hash knows sha512 and sha256, not `{other}`"))),
    };
    let rounds = rounds.unwrap_or(default);
    let params =
        sha_crypt::Params::new(rounds).map_err(|_| wrong(format!("password_hash: {rounds} rounds are not allowed")))?;
    let bytes = (password.as_bytes(), salt.as_bytes());
    let hash = if id == 6 {
        crypt_letters(&sha_crypt::sha512_crypt(bytes.0, bytes.1, params), 21, |(a, b, c)| (b + 1, c + 1, a + 1))
    } else {
        crypt_letters(&sha_crypt::sha256_crypt(bytes.0, bytes.1, params), 10, |(a, b, c)| (c + 1, a + 1, b + 1))
    };
    let shown = if rounds == 5000 { String::new() } else { format!("rounds={rounds}$") };
    Ok(format!("${id}${shown}{salt}${hash}"))
}

const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Places of three bytes that become four letters.
type Triple = (usize, usize, usize);

/// crypt(3) takes the bytes three by three in an order of its own.
fn crypt_letters(bytes: &[u8], triples: usize, next: fn(Triple) -> Triple) -> String {
    let mut out = String::new();
    let mut put = |mut bits: u32, count: usize| {
        for _ in 0..count {
            out.push(LETTERS[(bits & 0x3f) as usize] as char);
            bits >>= 6;
        }
    };
    let mut at = (0, triples, 2 * triples);
    for _ in 0..triples {
        put(u32::from(bytes[at.0]) << 16 | u32::from(bytes[at.1]) << 8 | u32::from(bytes[at.2]), 4);
        at = next(at);
    }
    if triples == 21 {
        put(u32::from(bytes[63]), 2)
    } else {
        put(u32::from(bytes[31]) << 8 | u32::from(bytes[30]), 3)
    }
    out
}
