//! Numbers and sizes.

use minijinja::Error;
use minijinja::value::{Kwargs, Value};

use super::convert::{float, text};
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    // `%`: see `rewrite`.
    words.add_function("__mod", |left: Value, right: Value| {
        if let Some(format) = left.as_str() {
            return super::texts::percent(format, &[right]).map(Value::from);
        }
        match (left.as_i64(), right.as_i64()) {
            (_, Some(0)) => Err(wrong("integer modulo by zero")),
            (Some(left), Some(right)) if left.is_negative() != right.is_negative() => {
                Ok(Value::from((left % right + right) % right))
            }
            (Some(left), Some(right)) => Ok(Value::from(left % right)),
            _ => {
                let (left, right) = (number(&left)?, number(&right)?);
                Ok(Value::from(left - right * (left / right).floor()))
            }
        }
    });
    words.add_filter("log", |value: &Value, base: Option<f64>| {
        let value = number(value)?;
        Ok::<_, Error>(base.map_or(value.ln(), |base| {
            if (base - 10.0).abs() < f64::EPSILON { value.log10() } else { value.ln() / base.ln() }
        }))
    });
    words.add_filter("pow", |value: &Value, power: f64| Ok::<_, Error>(number(value)?.powf(power)));
    words.add_filter("root", |value: &Value, base: Option<f64>| {
        let (value, base) = (number(value)?, base.unwrap_or(2.0));
        Ok::<_, Error>(if (base - 2.0).abs() < f64::EPSILON { value.sqrt() } else { value.powf(1.0 / base) })
    });
    words.add_filter("human_readable", |value: &Value, bits: Option<bool>, unit: Option<String>, kwargs: Kwargs| {
        let bits = kwargs.get::<Option<bool>>("isbits")?.or(bits).unwrap_or(false);
        let unit = kwargs.get::<Option<String>>("unit")?.or(unit);
        let size = number(value)?;
        let base = if bits { "bits" } else { "Bytes" };
        let units = ["Y", "Z", "E", "P", "T", "G", "M", "K"];
        for (index, letter) in units.iter().enumerate() {
            let limit = 1024_f64.powi(i32::try_from(units.len() - index).unwrap_or(0));
            let is_asked = unit.as_ref().map(|unit| unit.eq_ignore_ascii_case(letter));
            if is_asked.unwrap_or(size >= limit) {
                return Ok(format!("{:.2} {letter}{}", size / limit, if bits { "b" } else { "B" }));
            }
        }
        Ok::<_, Error>(format!("{size:.2} {base}"))
    });
    words.add_filter("human_to_bytes", |value: &Value, default: Option<String>, kwargs: Kwargs| {
        let default = kwargs.get::<Option<String>>("default_unit")?.or(default);
        let _ = kwargs.get::<Option<bool>>("isbits")?;
        let written = text(value);
        let written = written.trim();
        let end = written.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(written.len());
        let (digits, unit) = written.split_at(end);
        let number: f64 = digits
            .parse()
            .map_err(|_| wrong(format!("human_to_bytes() can't interpret following string: {written}")))?;
        let unit = if unit.trim().is_empty() { default.unwrap_or_default() } else { unit.trim().to_owned() };
        let power = match unit.chars().next().map(|c| c.to_ascii_uppercase()) {
            None | Some('B') => 0,
            Some('K') => 1,
            Some('M') => 2,
            Some('G') => 3,
            Some('T') => 4,
            Some('P') => 5,
            Some('E') => 6,
            Some(_) => return Err(wrong(format!("human_to_bytes() failed to convert {written}"))),
        };
        #[allow(clippy::cast_possible_truncation)] // bytes
        Ok::<_, Error>((number * 1024_f64.powi(power)).round() as i64)
    });
    words.add_filter("filesizeformat", |value: &Value, binary: Option<bool>| {
        let size = number(value)?;
        let (base, suffixes) = if binary.unwrap_or(false) {
            (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB"])
        } else {
            (1000.0, ["kB", "MB", "GB", "TB", "PB"])
        };
        if size < base {
            return Ok(if (size - 1.0).abs() < f64::EPSILON { "1 Byte".to_owned() } else { format!("{size} Bytes") });
        }
        let mut unit = base;
        for suffix in suffixes {
            if size < unit * base {
                return Ok(format!("{:.1} {suffix}", size / unit));
            }
            unit *= base;
        }
        Ok::<_, Error>(format!("{:.1} PB", size / unit * base))
    });
}

fn number(value: &Value) -> Result<f64, Error> {
    float(value).ok_or_else(|| wrong(format!("{} is no number", text(value))))
}
