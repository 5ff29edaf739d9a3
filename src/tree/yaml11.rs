//! Scalars as PyYAML reads them (YAML 1.1), which is what playbooks are written for: `yes`, `0644`, `1:30`.

/// What YAML 1.1 reads in a plain scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plain<'a> {
    /// `~`, `null`, nothing.
    Null,
    /// `yes`, `On`, `false` …
    Bool(bool),
    /// `12`, `0644` (420), `0x1f`, `0b1`, `1:30` (90), `1_000`.
    Int(i64),
    /// `1.5`, `1.5e+3`, `.inf`, `1:30.5`.
    Float(f64),
    /// Anything else; dates among it.
    Text(&'a str),
}

/// Reads a plain scalar.
pub fn plain(text: &str) -> Plain<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Plain::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Plain::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Plain::Float(f64::NAN),
        _ => {}
    }
    let (sign, body) = match text.strip_prefix(['-', '+']) {
        Some(body) => (if text.starts_with('-') { -1 } else { 1 }, body),
        None => (1, text),
    };
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return Plain::Float(if sign < 0 { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if let Some(int) = int(body) {
        return Plain::Int(sign * int);
    }
    #[allow(clippy::cast_precision_loss)] // the sign
    float(body).map_or(Plain::Text(text), |float| Plain::Float(sign as f64 * float))
}

fn int(body: &str) -> Option<i64> {
    let is =
        |digits: &str, allowed: fn(char) -> bool| !digits.is_empty() && digits.chars().all(|c| allowed(c) || c == '_');
    let parse = |digits: &str, radix| i64::from_str_radix(&digits.replace('_', ""), radix).ok();
    if let Some(digits) = body.strip_prefix("0b") {
        return is(digits, |c| c == '0' || c == '1').then(|| parse(digits, 2)).flatten();
    }
    if let Some(digits) = body.strip_prefix("0x") {
        return is(digits, |c| c.is_ascii_hexdigit()).then(|| parse(digits, 16)).flatten();
    }
    if body == "0" {
        return Some(0);
    }
    if let Some(digits) = body.strip_prefix('0') {
        return is(digits, |c| ('0'..='7').contains(&c)).then(|| parse(digits, 8)).flatten();
    }
    if !body.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if body.contains(':') {
        return sexagesimal(body);
    }
    is(body, |c| c.is_ascii_digit()).then(|| parse(body, 10)).flatten()
}

/// `190:20:30`: the first from 1, the others below 60.
fn sexagesimal(body: &str) -> Option<i64> {
    let mut parts = body.split(':');
    let first = parts.next().filter(|part| part.chars().all(|c| c.is_ascii_digit() || c == '_'))?;
    let mut total: i64 = first.replace('_', "").parse().ok()?;
    for part in parts {
        let is_part = (1..=2).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit());
        let value: i64 = if is_part { part.parse().ok()? } else { return None };
        if value > 59 {
            return None;
        }
        total = total.checked_mul(60)?.checked_add(value)?;
    }
    Some(total)
}

/// A dot is needed, and an exponent's sign.
fn float(body: &str) -> Option<f64> {
    if let Some((whole, fraction)) = body.split_once('.')
        && whole.contains(':')
    {
        let is_digits = fraction.chars().all(|c| c.is_ascii_digit() || c == '_');
        #[allow(clippy::cast_precision_loss)] // minutes and seconds
        let seconds = sexagesimal(whole).filter(|_| is_digits)? as f64;
        let fraction: f64 = format!("0.{}", fraction.replace('_', "")).parse().unwrap_or(0.0);
        return Some(seconds + fraction);
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let has_any = whole.starts_with(|c: char| c.is_ascii_digit())
        || whole.is_empty() && fraction.starts_with(|c: char| c.is_ascii_digit());
    if !has_any || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['-', '+'])?;
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
            return None;
        }
    }
    body.replace('_', "").parse().ok().or_else(|| format!("0{}", body.replace('_', "")).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_pyyaml_reads_them() {
        for (text, wanted) in [
            ("yes", Plain::Bool(true)),
            ("Off", Plain::Bool(false)),
            ("y", Plain::Text("y")),
            ("0644", Plain::Int(420)),
            ("0o644", Plain::Text("0o644")),
            ("08", Plain::Text("08")),
            ("1:30", Plain::Int(90)),
            ("1:60", Plain::Text("1:60")),
            ("1_000", Plain::Int(1000)),
            ("-12", Plain::Int(-12)),
            ("0x1F", Plain::Int(31)),
            ("1.5", Plain::Float(1.5)),
            ("1e3", Plain::Text("1e3")),
            ("1.0e+3", Plain::Float(1000.0)),
            ("1.0e3", Plain::Text("1.0e3")),
            (".5", Plain::Float(0.5)),
            ("1.", Plain::Float(1.0)),
            ("2026-11-26", Plain::Text("2026-11-26")),
            ("1.2.3", Plain::Text("1.2.3")),
            ("~", Plain::Null),
            ("null", Plain::Null),
            ("none", Plain::Text("none")),
        ] {
            assert_eq!(plain(text), wanted, "{text}");
        }
    }
}
