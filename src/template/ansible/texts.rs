//! Filters on texts, and Python's methods that minijinja-contrib lacks.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Error, State};

use super::convert::{text, truth};
use super::words::{Words, has_undefined};
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_filter("quote", |value: &Value| shell_quote(&text(value)));
    words.add_filter("comment", comment);
    words.add_filter("center", |value: &Value, width: Option<usize>| centered(&text(value), width.unwrap_or(80), " "));
    words.add_filter("wordcount", |value: &Value| text(value).split_whitespace().count());
    words.add_filter("truncate", truncate);
    words.add_filter("wordwrap", wordwrap);
    words.add_filter("striptags", |value: &Value| {
        let mut out = String::new();
        let mut is_tag = false;
        for c in text(value).chars() {
            match c {
                '<' => is_tag = true,
                '>' if is_tag => is_tag = false,
                c if !is_tag => out.push(c),
                _ => {}
            }
        }
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    for name in ["escape", "e", "forceescape"] {
        words.add_filter(name, |value: &Value| {
            let value = text(value).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            value.replace('\'', "&#39;").replace('"', "&#34;")
        });
    }
    words.add_filter("urlencode", |value: &Value| -> Result<String, Error> {
        let quoted = |value: &Value, kept: &str| {
            let is_kept =
                |byte: u8| byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || kept.as_bytes().contains(&byte);
            let encoded = |byte: u8| if is_kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
            text(value).bytes().map(encoded).collect::<String>()
        };
        // As Python's `quote_plus`.
        let part = |value: &Value| quoted(value, " ").replace(' ', "+");
        match value.kind() {
            ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => {
                let entries = super::lists::dict_of(value)?;
                let entries = entries.iter().map(|(key, value)| format!("{}={}", part(key), part(value)));
                Ok(entries.collect::<Vec<_>>().join("&"))
            }
            _ => Ok(quoted(value, "/")),
        }
    });
    words.add_filter("indent", indent);
    words.add_filter("format", |format: &str, rest: Rest<Value>| percent(format, &rest));
    words.add_filter("split", |value: &Value, separator: Option<String>, most: Option<i64>| {
        let text = text(value);
        let most = most.filter(|most| *most >= 0).and_then(|most| usize::try_from(most).ok());
        let parts: Vec<String> = match (separator, most) {
            (Some(separator), Some(most)) => text.splitn(most + 1, separator.as_str()).map(str::to_owned).collect(),
            (Some(separator), None) => text.split(separator.as_str()).map(str::to_owned).collect(),
            (None, _) => text.split_whitespace().map(str::to_owned).collect(),
        };
        Value::from(parts)
    });
    words.add_filter("splitlines", |value: &Value| {
        Value::from(text(value).lines().map(str::to_owned).collect::<Vec<_>>())
    });
    words.add_filter("trim", |value: &Value, chars: Option<String>| match chars {
        Some(chars) => text(value).trim_matches(|c| chars.contains(c)).to_owned(),
        None => text(value).trim().to_owned(),
    });
    words.add_filter("upper", |value: &Value| text(value).to_uppercase());
    words.add_filter("lower", |value: &Value| text(value).to_lowercase());
    words.add_filter("replace", |value: &Value, from: &Value, to: &Value, count: Option<usize>| {
        let (value, from, to) = (text(value), text(from), text(to));
        match count {
            Some(count) => value.replacen(&from, &to, count),
            None => value.replace(&from, &to),
        }
    });
    words.add_filter("join", |value: &Value, separator: Option<String>, attribute: Option<String>, kwargs: Kwargs| {
        let separator = kwargs.get::<Option<String>>("d")?.or(separator).unwrap_or_default();
        let attribute = kwargs.get::<Option<String>>("attribute")?.or(attribute);
        kwargs.assert_all_used()?;
        if value.is_undefined() {
            return Err(Error::from(minijinja::ErrorKind::UndefinedError));
        }
        let mut parts = vec![];
        for item in value.try_iter()? {
            let item = match &attribute {
                Some(name) => item.get_attr(name)?,
                None => item,
            };
            if item.is_undefined() {
                return Err(Error::from(minijinja::ErrorKind::UndefinedError));
            }
            parts.push(text(&item));
        }
        Ok(parts.join(&separator))
    });
}

/// As Python: the odd blank is at the left where the width is odd.
fn centered(text: &str, width: usize, fill: &str) -> String {
    let free = width.saturating_sub(text.chars().count());
    let left = free / 2 + (free & width & 1);
    format!("{}{text}{}", fill.repeat(left), fill.repeat(free - left))
}

fn shell_quote(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

/// Ansible's `comment`: a text with something before each of its lines.
fn comment(value: &Value, style: Option<String>, kwargs: Kwargs) -> Result<String, Error> {
    let style = kwargs.get::<Option<String>>("style")?.or(style).unwrap_or_else(|| "plain".into());
    let (beginning, decoration, end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(wrong(format!("Invalid style '{other}'."))),
    };
    let given = |name: &str, default: &str| {
        Ok::<_, Error>(kwargs.get::<Option<String>>(name)?.unwrap_or_else(|| default.to_owned()))
    };
    let newline = given("newline", "\n")?;
    let (beginning, decoration, end) =
        (given("beginning", beginning)?, given("decoration", decoration)?, given("end", end)?);
    let trimmed = decoration.trim_end().to_owned();
    let (prefix, postfix) = (given("prefix", &trimmed)?, given("postfix", &trimmed)?);
    let (prefix_count, postfix_count) = (
        kwargs.get::<Option<usize>>("prefix_count")?.unwrap_or(1),
        kwargs.get::<Option<usize>>("postfix_count")?.unwrap_or(1),
    );
    kwargs.assert_all_used()?;
    let beginning = if beginning.is_empty() { String::new() } else { format!("{beginning}{newline}") };
    let before = if prefix.is_empty() {
        String::new()
    } else {
        format!("{}{newline}", vec![prefix.as_str(); prefix_count].join(&newline))
    };
    let after = if postfix.is_empty() {
        String::new()
    } else {
        vec![postfix.as_str(); postfix_count].iter().map(|line| format!("{newline}{line}")).collect()
    };
    let end = if end.is_empty() { String::new() } else { format!("{newline}{end}") };
    let body = text(value).replace(&newline, &format!("{newline}{decoration}"));
    // A line without words has no blank at its end.
    let body = format!("{decoration}{body}").replace(&format!("{decoration}{newline}"), &format!("{trimmed}{newline}"));
    Ok(format!("{beginning}{before}{body}{after}{end}"))
}

fn truncate(value: &Value, rest: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let given = |name: &str, place: usize| {
        Ok::<_, Error>(kwargs.get::<Option<Value>>(name)?.or_else(|| rest.get(place).cloned()))
    };
    let length = given("length", 0)?.and_then(|value| value.as_usize()).unwrap_or(255);
    let killwords = given("killwords", 1)?.is_some_and(|value| truth(&value));
    let end = given("end", 2)?.map_or_else(|| "...".into(), |value| text(&value));
    let leeway = given("leeway", 3)?.and_then(|value| value.as_usize()).unwrap_or(5);
    kwargs.assert_all_used()?;
    let text = text(value);
    let count = text.chars().count();
    if count <= length + leeway {
        return Ok(text);
    }
    let kept: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let kept = if killwords { kept.as_str() } else { kept.rsplit_once(' ').map_or(kept.as_str(), |(front, _)| front) };
    Ok(format!("{kept}{end}"))
}

fn indent(
    value: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let width = kwargs.get::<Option<Value>>("width")?.or(width);
    let first = kwargs.get::<Option<bool>>("first")?.or(first).unwrap_or(false);
    let blank = kwargs.get::<Option<bool>>("blank")?.or(blank).unwrap_or(false);
    kwargs.assert_all_used()?;
    let indentation = match width {
        Some(width) if width.kind() == ValueKind::String => text(&width),
        Some(width) => " ".repeat(width.as_usize().ok_or_else(|| wrong("indent: its width is a number or a text"))?),
        None => " ".repeat(4),
    };
    let line = |(at, line): (usize, &str)| {
        let is_indented = if at == 0 { first } else { blank || !line.is_empty() };
        format!("{}{line}", if is_indented { &*indentation } else { "" })
    };
    Ok(text(value).split('\n').enumerate().map(line).collect::<Vec<_>>().join("\n"))
}

fn wordwrap(value: &Value, width: Option<usize>, long: Option<bool>, with: Option<String>) -> String {
    let (width, with) = (width.unwrap_or(79), with.unwrap_or_else(|| "\n".into()));
    let long = long.unwrap_or(true);
    let wrap = |line: &str| {
        let (mut lines, mut current) = (vec![], String::new());
        for word in line.split_whitespace() {
            let mut word = word.to_owned();
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut current));
            }
            while long && word.chars().count() > width {
                lines.push(word.chars().take(width).collect());
                word = word.chars().skip(width).collect();
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(&word);
        }
        lines.push(current);
        lines.join(&with)
    };
    text(value).lines().map(wrap).collect::<Vec<_>>().join(&with)
}

/// Python's `%` on texts: `%s`, `%d`, `%05.2f`, `%x`, `%%`, `%(name)s`.
pub(super) fn percent(format: &str, values: &[Value]) -> Result<String, Error> {
    if values.iter().any(has_undefined) {
        return Err(Error::from(minijinja::ErrorKind::UndefinedError));
    }
    let values: Vec<Value> = match values {
        [one] if one.is_tuple() => one.try_iter()?.collect(),
        other => other.to_vec(),
    };
    let mut values_left = values.iter();
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut named = None;
        if let Some(tail) = rest.strip_prefix('(') {
            let (name, tail) = tail.split_once(')').ok_or_else(|| wrong("incomplete format key"))?;
            named = Some(values.first().ok_or_else(|| wrong("format requires a mapping"))?.get_attr(name)?);
            rest = tail;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic() || c == '%').ok_or_else(|| wrong("incomplete format"))?;
        let (flags, letter) = (&rest[..end], rest[end..].chars().next().unwrap_or('s'));
        rest = &rest[end + letter.len_utf8()..];
        if letter == '%' {
            out.push('%');
            continue;
        }
        let value = match named {
            Some(value) => value,
            None => values_left.next().cloned().ok_or_else(|| wrong("not enough arguments for format string"))?,
        };
        out.push_str(&formatted(&value, flags, letter)?);
    }
    out.push_str(rest);
    Ok(out)
}

fn formatted(value: &Value, flags: &str, letter: char) -> Result<String, Error> {
    let is_left = flags.contains('-');
    let flags_only: String = flags.chars().take_while(|c| "-+ #0".contains(*c)).collect();
    let rest = &flags[flags_only.len()..];
    let (width, precision) =
        rest.split_once('.').map_or((rest, None), |(width, precision)| (width, precision.parse::<usize>().ok()));
    let width: usize = width.parse().unwrap_or(0);
    let number = || {
        super::convert::float(value)
            .ok_or_else(|| wrong(format!("%{letter} format: a real number is required, not {}", text(value))))
    };
    #[allow(clippy::cast_possible_truncation)] // as Python's %d
    let body = match letter {
        'd' | 'i' | 'u' => (number()?.trunc() as i64).to_string(),
        'x' => format!("{:x}", number()? as i64),
        'X' => format!("{:X}", number()? as i64),
        'o' => format!("{:o}", number()? as i64),
        'f' | 'F' => format!("{:.*}", precision.unwrap_or(6), number()?),
        'e' | 'g' => super::convert::number(number()?),
        'r' => super::convert::repr(value),
        's' => match precision {
            Some(precision) => text(value).chars().take(precision).collect(),
            None => text(value),
        },
        other => return Err(wrong(format!("unsupported format character '{other}'"))),
    };
    let is_number = "diuxXofFeg".contains(letter);
    let body = if is_number && flags_only.contains('+') && !body.starts_with('-') { format!("+{body}") } else { body };
    let missing = width.saturating_sub(body.chars().count());
    Ok(match (is_left, is_number && flags_only.contains('0')) {
        (true, _) => format!("{body}{}", " ".repeat(missing)),
        (false, true) => {
            let (sign, digits) = body.strip_prefix('-').map_or(("", body.as_str()), |digits| ("-", digits));
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        (false, false) => format!("{}{body}", " ".repeat(missing)),
    })
}

/// Methods of Python's that minijinja-contrib does not have.
pub(super) fn unknown_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let first = || args.first().map(text).unwrap_or_default();
    match (value.kind(), method) {
        (ValueKind::String, _) => {
            let own = value.as_str().unwrap_or_default();
            let index =
                |found: Option<usize>| found.map(|at| i64::try_from(own[..at].chars().count()).unwrap_or(i64::MAX));
            match method {
                "index" => index(own.find(&first())).map(Value::from).ok_or_else(|| wrong("substring not found")),
                "rindex" => index(own.rfind(&first())).map(Value::from).ok_or_else(|| wrong("substring not found")),
                "partition" => Ok(Value::from(match own.split_once(&first()) {
                    Some((front, back)) => vec![front.to_owned(), first(), back.to_owned()],
                    None => vec![own.to_owned(), String::new(), String::new()],
                })),
                "rpartition" => Ok(Value::from(match own.rsplit_once(&first()) {
                    Some((front, back)) => vec![front.to_owned(), first(), back.to_owned()],
                    None => vec![String::new(), String::new(), own.to_owned()],
                })),
                "rsplit" => {
                    let separator = args.first().filter(|value| !value.is_none()).map(text);
                    let most = args.get(1).and_then(Value::as_i64).and_then(|most| usize::try_from(most).ok());
                    let mut parts: Vec<String> = match (separator, most) {
                        (Some(separator), Some(most)) => own.rsplitn(most + 1, &separator).map(str::to_owned).collect(),
                        (Some(separator), None) => own.rsplit(&separator).map(str::to_owned).collect(),
                        (None, _) => own.split_whitespace().rev().map(str::to_owned).collect(),
                    };
                    parts.reverse();
                    Ok(Value::from(parts))
                }
                "zfill" => {
                    let width = args.first().and_then(Value::as_usize).unwrap_or(0);
                    formatted(value, "", 's').map(|text| Value::from(format!("{text:0>width$}")))
                }
                "ljust" | "rjust" => {
                    let width = args.first().and_then(Value::as_usize).unwrap_or(0);
                    let fill = args.get(1).map_or_else(|| " ".to_owned(), text);
                    let padding = fill.repeat(width.saturating_sub(own.chars().count()));
                    Ok(Value::from(if method == "ljust" {
                        format!("{own}{padding}")
                    } else {
                        format!("{padding}{own}")
                    }))
                }
                "center" => {
                    let width = args.first().and_then(Value::as_usize).unwrap_or(0);
                    Ok(Value::from(centered(own, width, &args.get(1).map_or_else(|| " ".to_owned(), text))))
                }
                "casefold" => Ok(Value::from(own.to_lowercase().replace('ß', "ss"))),
                "expandtabs" => {
                    let size = args.first().and_then(Value::as_usize).unwrap_or(8);
                    let (mut out, mut column) = (String::new(), 0);
                    for c in own.chars() {
                        let blanks = if size == 0 { 0 } else { size - column % size };
                        match c {
                            '\t' => {
                                out.push_str(&" ".repeat(blanks));
                                column += blanks;
                            }
                            c => {
                                out.push(c);
                                column = if c == '\n' { 0 } else { column + 1 };
                            }
                        }
                    }
                    Ok(Value::from(out))
                }
                "removeprefix" => Ok(Value::from(own.strip_prefix(&first()).unwrap_or(own))),
                "removesuffix" => Ok(Value::from(own.strip_suffix(&first()).unwrap_or(own))),
                "swapcase" => {
                    Ok(Value::from(
                        own.chars()
                            .map(|c| {
                                if c.is_uppercase() {
                                    c.to_lowercase().to_string()
                                } else {
                                    c.to_uppercase().to_string()
                                }
                            })
                            .collect::<String>(),
                    ))
                }
                "isidentifier" => Ok(Value::from(
                    own.chars().all(|c| c.is_alphanumeric() || c == '_')
                        && !own.starts_with(|c: char| c.is_ascii_digit()),
                )),
                "encode" => Ok(Value::from(own)),
                _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
            }
        }
        (ValueKind::Seq, "index") => {
            let position = value.try_iter()?.position(|item| Some(&item) == args.first());
            position.map(Value::from).ok_or_else(|| wrong("the value is not in the list"))
        }
        (
            ValueKind::Seq | ValueKind::Map,
            "append" | "extend" | "insert" | "update" | "pop" | "setdefault" | "remove" | "sort" | "clear",
        ) => Err(wrong(format!(
            "a template's values cannot be changed in place ({method}); build a new one: `a + [b]`, `a | combine(b)`"
        ))),
        (ValueKind::Bytes, "decode") => Ok(Value::from(value.to_string())),
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// True where any of the values is true.
pub(super) fn any(values: &Value) -> Result<bool, Error> {
    Ok(values.try_iter()?.any(|value| truth(&value)))
}
