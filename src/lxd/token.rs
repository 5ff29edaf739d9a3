//! What `lxc config trust add` prints: who may enrol where, once.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::Error;

/// A trust token. Its text is a secret: whoever has it first becomes the client.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The name under which the server will know the client.
    pub client: String,
    /// SHA-256 of the server's certificate, in lower-case hex.
    pub fingerprint: String,
    /// `host:port`, as the server knows itself; perhaps not all of them are reachable from here.
    pub addresses: Vec<String>,
    /// It makes an identity with groups (`lxc auth identity create`), not a certificate.
    pub is_identity: bool,
    /// As base64.
    pub text: String,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    client_name: String,
    #[serde(default)]
    server_name: Option<String>,
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default, rename = "type")]
    kind: String,
}

impl Token {
    /// Reads a token; `None` where the text is none.
    ///
    /// # Errors
    /// It is a token and not of use: run out, of another sort, or with a part missing. The text is never quoted.
    pub fn read(text: &str) -> Result<Option<Token>, Error> {
        let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
        let tolerant = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let Ok(bytes) = GeneralPurpose::new(&alphabet::STANDARD, tolerant).decode(&text) else {
            return Ok(None);
        };
        let Ok(content) = serde_json::from_slice::<Content>(&bytes) else {
            return Ok(None);
        };
        let bad = |why: &str| Err(Error::Config(why.to_owned()));
        if content.client_name.is_empty() && content.server_name.is_some() {
            return bad(
                "that token lets a server join a cluster; `lxc config trust add --name NAME` prints one for a client",
            );
        }
        let is_hex =
            content.fingerprint.len() == 64 && content.fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
        if content.secret.is_empty() || !is_hex {
            return bad(
                "the token has no secret or no fingerprint; copy the whole of what `lxc config trust add` printed",
            );
        }
        let token = Token {
            client: content.client_name,
            fingerprint: content.fingerprint.to_ascii_lowercase(),
            addresses: content.addresses,
            is_identity: !content.kind.is_empty(),
            // LXD wants the padding that a copy may have lost.
            text: STANDARD.encode(&bytes),
        };
        match content.expires_at {
            Some(at) if seconds(&at).is_some_and(|end| end > ZERO && end <= now()) => Err(Error::Config(format!(
                "the token for `{}` ran out at {at}; `lxc config trust add --name {}` at the server prints a new one",
                token.client, token.client
            ))),
            _ => Ok(Some(token)),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token { client, fingerprint, addresses, .. } = self;
        write!(f, "Token {{ client: {client:?}, fingerprint: {fingerprint:?}, addresses: {addresses:?}, .. }}")
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Go's zero time (0001-01-01) is before this, and says that there is no end.
const ZERO: i64 = 0;

/// Seconds since 1970 of a time as Go writes it in JSON: `2026-01-31T12:00:00.123456Z`, or with `+02:00`.
fn seconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let numbers =
        |text: &str, separator| -> Option<Vec<i64>> { text.split(separator).map(|part| part.parse().ok()).collect() };
    let (date, time) = (numbers(date, '-')?, numbers(time.split('.').next()?, ':')?);
    let (&[year, month, day], &[hour, minute, second]) = (&date[..], &time[..]) else {
        return None;
    };
    let offset = match zone.split_at_checked(1)? {
        ("Z", _) => 0,
        (sign, zone) => {
            let zone = numbers(zone, ':')?;
            let &[hours, minutes] = &zone[..] else { return None };
            (hours * 3600 + minutes * 60) * if sign == "-" { -1 } else { 1 }
        }
    };
    // Years that begin in March have their odd day at the end; eras of 400 years are all of one length.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECRET: &str = "5ec7e7000000000000000000000000000000000000000000000000000000beef";

    fn token(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut content = json!({
            "client_name": "ci", "fingerprint": "AB".repeat(32), "addresses": ["10.0.0.1:8443", "[fd42::1]:8443"],
            "secret": SECRET, "expires_at": "0001-01-01T00:00:00Z",
        });
        change(&mut content);
        STANDARD.encode(content.to_string())
    }

    #[test]
    fn a_token_is_read() {
        let text = token(|_| {});
        let read = Token::read(&format!(" {text}\n")).unwrap().unwrap();
        assert_eq!((read.client.as_str(), read.addresses.len(), read.is_identity), ("ci", 2, false));
        assert_eq!(read.fingerprint, "ab".repeat(32));
        assert_eq!(read.text, text);
        assert_eq!(Token::read(text.trim_end_matches('=')).unwrap().unwrap().text, text);
        let newer = Token::read(&token(|content| content["type"] = json!("Client certificate"))).unwrap().unwrap();
        assert!(newer.is_identity);
        assert!(!Token::read(&token(|content| content["type"] = json!(""))).unwrap().unwrap().is_identity);
    }

    #[test]
    fn what_is_no_token() {
        for text in ["", "https://10.0.0.1:8443", "server.example", "bm90IGpzb24=", "abcd"] {
            assert_eq!(Token::read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn tokens_of_no_use_say_why_and_never_show_the_secret() {
        let join = token(|content| {
            content["server_name"] = json!("n2");
            content["client_name"] = json!("");
        });
        let cases = [
            (join, "join a cluster"),
            (token(|content| content["secret"] = json!("")), "no secret"),
            (token(|content| content["fingerprint"] = json!("ab")), "no fingerprint"),
            (token(|content| content["expires_at"] = json!("2024-02-29T23:59:59.5+01:00")), "ran out at 2024-02-29"),
        ];
        for (text, why) in cases {
            let error = Token::read(&text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains(SECRET) && !error.contains(&text));
        }
        let later =
            Token::read(&token(|content| content["expires_at"] = json!("2199-01-01T00:00:00Z"))).unwrap().unwrap();
        assert!(!format!("{later:?}").contains(SECRET) && !format!("{later:?}").contains(&later.text));
    }

    #[test]
    fn times_are_read() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:00:00.123Z", Some(1_709_208_000)),
            ("2024-02-29T13:00:00+01:00", Some(1_709_208_000)),
            ("2024-02-29T07:30:00-04:30", Some(1_709_208_000)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("tomorrow", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        assert!(seconds("0001-01-01T00:00:00Z").unwrap() < ZERO);
    }
}
