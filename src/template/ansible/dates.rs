//! Dates: `strftime`, `to_datetime`, `now()`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use minijinja::Error;
use minijinja::value::{Kwargs, Object, Value};
use std::sync::Arc;

use super::convert::{float, text};
use super::scope::current;
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_filter("strftime", |format: &str, seconds: Option<Value>, kwargs: Kwargs| {
        let _ = kwargs.get::<Option<bool>>("utc")?;
        let seconds = match kwargs.get::<Option<Value>>("second")?.or(seconds).filter(|seconds| !seconds.is_none()) {
            Some(seconds) => float(&seconds).ok_or_else(|| wrong("Invalid value for epoch value"))?,
            None => current()?.now(),
        };
        Ok::<_, Error>(at(seconds)?.strftime(format).to_string())
    });
    words.add_filter("to_datetime", |value: &Value, format: Option<String>| {
        let format = format.unwrap_or_else(|| "%Y-%m-%d %H:%M:%S".into());
        let parsed = jiff::fmt::strtime::parse(&format, text(value)).and_then(|broken| {
            broken
                .to_datetime()
                .or_else(|_| broken.to_date().map(|date| date.to_datetime(jiff::civil::Time::midnight())))
        });
        let moment = parsed.map_err(|error| wrong(format!("to_datetime: {error}")))?;
        Ok::<_, Error>(Value::from_object(Moment(moment)))
    });
    // `-`: see `rewrite`.
    words.add_function("__minus", |left: Value, right: Value| {
        let moment = |value: &Value| value.downcast_object_ref::<Moment>().map(|moment| moment.0);
        match (moment(&left), moment(&right), right.downcast_object_ref::<Span>()) {
            (Some(left), Some(right), _) => {
                let span = left.duration_since(right);
                Ok(Value::from_object(Span(span)))
            }
            (Some(left), None, Some(span)) => left
                .checked_sub(span.0)
                .map(|moment| Value::from_object(Moment(moment)))
                .map_err(|error| wrong(error.to_string())),
            _ => match (left.as_i64(), right.as_i64(), float(&left), float(&right)) {
                (Some(left), Some(right), ..) => Ok(Value::from(left - right)),
                (_, _, Some(left), Some(right)) => Ok(Value::from(left - right)),
                _ => Err(wrong(format!("{} and {} have no difference", text(&left), text(&right)))),
            },
        }
    });
    words.add_function("now", |kwargs: Kwargs| {
        let _ = kwargs.get::<Option<bool>>("utc")?;
        let moment = at(current()?.now())?;
        Ok::<_, Error>(match kwargs.get::<Option<String>>("fmt")? {
            Some(format) => Value::from(moment.strftime(&format).to_string()),
            None => Value::from_object(Moment(moment)),
        })
    });
}

/// True for Python's `datetime` and `timedelta`.
pub(super) fn is_one(value: &Value) -> bool {
    value.downcast_object_ref::<Moment>().is_some() || value.downcast_object_ref::<Span>().is_some()
}

fn at(seconds: f64) -> Result<DateTime, Error> {
    #[allow(clippy::cast_possible_truncation)] // microseconds
    let moment = Timestamp::from_microsecond((seconds * 1e6) as i64).map_err(|error| wrong(error.to_string()))?;
    Ok(TimeZone::UTC.to_datetime(moment))
}

/// Python's `timedelta`.
#[derive(Debug)]
struct Span(jiff::SignedDuration);

impl Span {
    /// Whole days, and the seconds that are left, which are never negative.
    fn days(&self) -> (i64, i64) {
        (self.0.as_secs().div_euclid(86_400), self.0.as_secs().rem_euclid(86_400))
    }
}

impl Object for Span {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "days" => Some(Value::from(self.days().0)),
            "seconds" => Some(Value::from(self.days().1)),
            "microseconds" => Some(Value::from(self.0.subsec_micros())),
            _ => None,
        }
    }

    fn call_method(self: &Arc<Self>, _: &mut minijinja::State, method: &str, _: &[Value]) -> Result<Value, Error> {
        match method {
            "total_seconds" => Ok(Value::from(self.0.as_secs_f64())),
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, seconds) = self.days();
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Python's `datetime`.
#[derive(Debug)]
struct Moment(DateTime);

impl Object for Moment {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => Value::from(i64::from(self.0.year())),
            "month" => Value::from(i64::from(self.0.month())),
            "day" => Value::from(i64::from(self.0.day())),
            "hour" => Value::from(i64::from(self.0.hour())),
            "minute" => Value::from(i64::from(self.0.minute())),
            "second" => Value::from(i64::from(self.0.second())),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut minijinja::State, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "strftime" => Ok(Value::from(self.0.strftime(&args.first().map(text).unwrap_or_default()).to_string())),
            "isoformat" => Ok(Value::from(self.0.strftime("%Y-%m-%dT%H:%M:%S").to_string())),
            #[allow(clippy::cast_precision_loss)] // seconds
            "timestamp" => TimeZone::UTC
                .to_timestamp(self.0)
                .map(|moment| Value::from(moment.as_second() as f64))
                .map_err(|error| wrong(error.to_string())),
            "date" => Ok(Value::from(self.0.strftime("%Y-%m-%d").to_string())),
            "time" => Ok(Value::from(self.0.strftime("%H:%M:%S").to_string())),
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%d %H:%M:%S"))
    }
}
