//! LXD's sizes and lxdeploy's durations.

use std::time::Duration;

/// LXD's units of size (shared/units): decimal and binary, never a bare letter.
const SIZES: &[(&str, u64)] = &[
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("EB", 1_000_000_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("EiB", 1 << 60),
    ("B", 1),
    ("", 1),
];

/// Bytes of a size as LXD takes it: a whole number and a unit, or bare bytes.
///
/// # Errors
/// What is wrong, with the spelling that was meant where it can be guessed.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let Ok(number) = number.parse::<u64>() else {
        return Err(format!("`{text}` is no size: it starts with a whole number"));
    };
    if let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) {
        return number.checked_mul(*factor).ok_or_else(|| format!("`{text}` is beyond any size"));
    }
    let letter = unit.trim().chars().next().unwrap_or_default().to_ascii_uppercase();
    if unit.starts_with('.') {
        return Err(format!("`{text}` is no size to LXD: it takes whole numbers alone (1.5GiB is 1536MiB)"));
    }
    match letter {
        'K' => Err(format!("`{text}` is no size to LXD: write {number}KiB or {number}kB")),
        'M' | 'G' | 'T' | 'P' | 'E' => {
            Err(format!("`{text}` is no size to LXD: write {number}{letter}iB or {number}{letter}B"))
        }
        _ => Err(format!("`{text}` is no size: `{}` is no unit", unit.trim())),
    }
}

/// A duration such as `30s`, `2m`, `1h30m`, `500ms` or `0s`.
///
/// # Errors
/// What is wrong; of a bare number with the spelling that was meant.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    if text.is_empty() {
        return Err("a duration is wanted".into());
    }
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Ok(number) = rest[..digits].parse::<u64>() else {
            return Err(format!("`{text}` is no duration"));
        };
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = rest.split_at(letters);
        rest = after;
        if unit.is_empty() && total == 0 && rest.is_empty() {
            return Err(format!("`{text}` has no unit: write {text}s for seconds"));
        }
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let Some(factor) = factor else {
            return Err(format!("`{text}` is no duration: `{unit}` is none of ms, s, m, h, d"));
        };
        total = number
            .checked_mul(factor)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("`{text}` is too long"))?;
    }
    Ok(Duration::from_millis(total))
}

/// A duration for people: `0.4s`, `12s`, `2m05s`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 if duration.subsec_millis() > 0 || seconds == 0 => format!("{:.1}s", duration.as_secs_f64()),
        0..60 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// A moment in UTC, `2026-01-02T03:04:05Z`, of the seconds since 1970.
pub fn format_utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Civil from days (Howard Hinnant's algorithm), with years that begin in March.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("1024", 1024), ("1kB", 1000), ("1KiB", 1024), ("2GiB", 2 << 30), ("7B", 7)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, hint) in [
            ("1G", "1GiB or 1GB"),
            ("1gb", "1GiB or 1GB"),
            ("1KB", "1KiB or 1kB"),
            ("1.5GB", "whole numbers"),
            ("1 GiB", "1GiB or 1GB"),
            ("x", "starts with"),
            ("99999999EiB", "beyond"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [("0s", 0), ("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("2d", 172_800_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, hint) in [
            ("60", "60s"),
            ("", "wanted"),
            ("1x", "none of"),
            ("s", "no duration"),
            ("99999999999999999999s", "no duration"),
        ] {
            assert!(parse_duration(text).unwrap_err().contains(hint), "{text}");
        }
        assert_eq!(format_duration(Duration::from_millis(125_000)), "2m05s");
        assert_eq!(format_duration(Duration::from_millis(432)), "0.4s");
    }

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(format_utc(seconds), text);
        }
    }

    proptest! {
        #[test]
        fn a_size_is_its_number_times_its_unit(number in 0_u64..1_000_000, unit in 0_usize..12) {
            let (name, factor) = SIZES[unit];
            prop_assert_eq!(parse_size(&format!("{number}{name}")).ok(), number.checked_mul(factor));
        }

        #[test]
        fn a_duration_for_people_is_read_back(seconds in 10_u64..1_000_000) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_duration_is_the_sum_of_its_parts(hours in 0_u64..100, minutes in 0_u64..100, millis in 0_u64..10_000) {
            let text = format!("{hours}h{minutes}m{millis}ms");
            prop_assert_eq!(parse_duration(&text), Ok(Duration::from_millis((hours * 60 + minutes) * 60_000 + millis)));
        }

        #[test]
        fn no_text_makes_them_panic(text in ".{0,12}") {
            let _ = (parse_size(&text), parse_duration(&text));
        }
    }
}
