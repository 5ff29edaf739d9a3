//! Between values and texts: Python's way to print, YAML's and Ansible's booleans, JSON.

use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};

use super::scope::is_omit;
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_filter("bool", |value: &Value| as_bool(value));
    words.add_filter("string", |value: &Value| text(value));
    words.add_filter("int", int);
    words.add_filter("float", |value: &Value, default: Option<f64>| float(value).unwrap_or(default.unwrap_or(0.0)));
    words.add_filter("type_debug", type_name);
    words.add_minding_filter("default", default);
    words.add_minding_filter("d", default);
    words.add_minding_filter("mandatory", |value: Value, message: Option<String>| {
        if value.is_undefined() {
            return Err(wrong(message.unwrap_or_else(|| "Mandatory variable not defined.".into())));
        }
        Ok(value)
    });
    words.add_filter("ternary", |value: &Value, yes: Value, no: Option<Value>, none: Option<Value>| match none {
        Some(none) if value.is_none() => none,
        _ if truth(value) => yes,
        _ => no.unwrap_or(Value::from(())),
    });
    words.add_function("undef", |kwargs: Kwargs, rest: Rest<Value>| {
        let hint = rest.first().map(text).or_else(|| kwargs.get::<String>("hint").ok());
        let _ = kwargs.assert_all_used();
        Err::<Value, Error>(Error::new(
            minijinja::ErrorKind::UndefinedError,
            format!("{} is undefined", hint.unwrap_or_else(|| "it".into())),
        ))
    });
    words.0.add_global("omit", super::omit());
}

/// Jinja's default: for what is undefined, and with `true` also for what is false.
fn default(value: Value, rest: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let boolean = match kwargs.get::<Option<Value>>("boolean")? {
        Some(boolean) => truth(&boolean),
        None => rest.get(1).is_some_and(truth),
    };
    // One that is not defined either stays so.
    let other = kwargs.get::<Option<Value>>("default_value")?.or_else(|| rest.first().cloned());
    if value.is_undefined() || boolean && !truth(&value) {
        return Ok(other.unwrap_or_else(|| Value::from("")));
    }
    Ok(value)
}

/// True as Python has it: not empty, not 0, not none.
pub fn truth(value: &Value) -> bool {
    match value.kind() {
        ValueKind::String => value.as_str().is_some_and(|text| !text.is_empty()),
        ValueKind::Plain => !is_omit(value),
        _ => value.is_true(),
    }
}

/// Ansible's `bool` filter.
pub fn as_bool(value: &Value) -> Value {
    match value.kind() {
        ValueKind::Bool | ValueKind::None => value.clone(),
        ValueKind::Number => {
            Value::from(f64::try_from(value.clone()).is_ok_and(|number| (number - 1.0).abs() < f64::EPSILON))
        }
        _ => Value::from(["yes", "on", "1", "true", "t", "y"].contains(&value.to_string().to_lowercase().as_str())),
    }
}

fn int(value: &Value, default: Option<i64>, base: Option<u32>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = kwargs.get::<Option<i64>>("default")?.or(default).unwrap_or(0);
    let base = kwargs.get::<Option<u32>>("base")?.or(base).unwrap_or(10);
    if value.kind() == ValueKind::Bool {
        return Ok(Value::from(i64::from(value.is_true())));
    }
    if let Some(text) = value.as_str() {
        let text = text.trim().replace('_', "");
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits.to_owned()),
            None => (1, text.trim_start_matches('+').to_owned()),
        };
        let prefixes = match base {
            16 => ["0x", "0X"],
            8 => ["0o", "0O"],
            2 => ["0b", "0B"],
            _ => ["\0", "\0"],
        };
        let digits = prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix)).unwrap_or(&digits);
        if let Ok(int) = i64::from_str_radix(digits, base) {
            return Ok(Value::from(sign * int));
        }
    }
    #[allow(clippy::cast_possible_truncation)] // as Python's int()
    Ok(float(value).map_or(Value::from(default), |number| Value::from(number.trunc() as i64)))
}

/// A number, or a text that is one.
pub(super) fn float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str()?.trim().parse().ok(),
        _ => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq | ValueKind::Iterable => "list",
        ValueKind::Map => "dict",
        _ => "object",
    }
}

/// A value as Python's `str()` prints it.
pub fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Undefined => String::new(),
        _ => repr(value),
    }
}

/// A value as Python's `repr()` prints it.
pub(super) fn repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => number(f64::try_from(value.clone()).unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            // Ansible makes lists of tuples before it prints them.
            let items: Vec<String> =
                value.try_iter().map(|items| items.map(|item| repr(&item)).collect()).unwrap_or_default();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map if super::dates::is_one(value) => value.to_string(),
        ValueKind::Map => {
            let entry = |key: Value| format!("{}: {}", repr(&key), repr(&value.get_item(&key).unwrap_or_default()));
            let entries: Vec<String> = value.try_iter().map(|keys| keys.map(entry).collect()).unwrap_or_default();
            format!("{{{}}}", entries.join(", "))
        }
        ValueKind::Bytes => format!("b{}", quoted(&value.to_string())),
        _ => value.to_string(),
    }
}

/// A float as Python prints it.
pub(super) fn number(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let size = number.abs();
    if number != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let text = number.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// Python prefers single quotes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// A value of JSON, its maps in their order.
pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(is) => Value::from(*is),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::from(int),
            (None, Some(int)) => Value::from(int),
            _ => Value::from(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        serde_json::Value::Object(map) => {
            crate::template::map(map.iter().map(|(key, value)| (key.clone(), from_json(value))))
        }
    }
}

/// As JSON; what JSON does not have as text.
pub fn to_json(value: &Value) -> serde_json::Value {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => serde_json::Value::Null,
        ValueKind::Bool => value.is_true().into(),
        ValueKind::Number => match i64::try_from(value.clone()) {
            Ok(int) if value.is_integer() => int.into(),
            _ => f64::try_from(value.clone()).map_or(serde_json::Value::Null, Into::into),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter().map(|items| items.map(|item| to_json(&item)).collect()).unwrap_or_default()
        }
        ValueKind::Map => {
            let entry = |key: Value| (text(&key), to_json(&value.get_item(&key).unwrap_or_default()));
            serde_json::Value::Object(value.try_iter().map(|keys| keys.map(entry).collect()).unwrap_or_default())
        }
        _ => value.to_string().into(),
    }
}
