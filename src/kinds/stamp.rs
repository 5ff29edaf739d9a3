use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Raw;
use crate::model::Path;

/// Who owns an object and what was last applied to it, kept on the object itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The site.
    pub site: String,
    /// `PROJECT/SECTION.NAME`: the object that was stamped. On another object (a copy) it does not count.
    pub id: String,
    /// What was applied, as JSON.
    pub record: String,
    /// Which file in which git repository it was applied from, hashed; `None` outside of git.
    pub origin: Option<String>,
}

const SITE: &str = "user.lxdeploy.site";
const ID: &str = "user.lxdeploy.id";
const RECORD: &str = "user.lxdeploy.record";
const ORIGIN: &str = "user.lxdeploy.origin";

impl Stamp {
    /// The stamp in an object's `config`.
    pub fn in_config(live: &Raw) -> Option<Stamp> {
        let config = live.get("config")?;
        let text = |key| config.get(key).and_then(Value::as_str).map(str::to_owned);
        let (id, record) = (text(ID).unwrap_or_default(), text(RECORD).unwrap_or_default());
        Some(Stamp { site: text(SITE)?, id, record, origin: text(ORIGIN) })
    }

    /// The leaves of `config` that write a stamp, or that take it away.
    pub fn config_leaves(stamp: Option<&Stamp>) -> Vec<(Path, Option<Value>)> {
        let leaf = |key: &str, text: Option<&String>| (Path::config(key), text.map(|text| Value::String(text.clone())));
        vec![
            leaf(SITE, stamp.map(|stamp| &stamp.site)),
            leaf(ID, stamp.map(|stamp| &stamp.id)),
            leaf(RECORD, stamp.map(|stamp| &stamp.record)),
            leaf(ORIGIN, stamp.and_then(|stamp| stamp.origin.as_ref())),
        ]
    }

    /// The stamp in the text of an image's property, `ID [ORIGIN] RECORD`: an image has no config.
    pub fn in_property(site: &str, text: &str) -> Option<Stamp> {
        let (id, rest) = text.split_once(' ')?;
        let (origin, record) = match rest.split_once(' ').filter(|_| !rest.starts_with('{')) {
            Some((origin, record)) => (Some(origin.to_owned()), record),
            None => (None, rest),
        };
        Some(Stamp { site: site.to_owned(), id: id.to_owned(), record: record.to_owned(), origin })
    }

    /// The text that [`Stamp::in_property`] reads.
    pub fn to_property(&self) -> String {
        let origin = self.origin.as_ref().map_or_else(String::new, |origin| format!("{origin} "));
        format!("{} {origin}{}", self.id, self.record)
    }
}

/// What was last applied to an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The format; a higher one than [`Record::VERSION`] is another lxdeploy's.
    pub v: u32,
    /// Each leaf's path in the record's spelling, and its hash; empty for secrets.
    #[serde(default)]
    pub k: BTreeMap<String, String>,
    /// The image as the file wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub img: Option<String>,
    /// The image's fingerprint, shortened, at the adoption of an instance that was made of another: not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Pruning, replacing and destroying are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
}

impl Default for Record {
    fn default() -> Self {
        Record { v: Record::VERSION, k: BTreeMap::new(), img: None, seen: None, protect: false }
    }
}

impl Record {
    /// The format written here.
    pub const VERSION: u32 = 1;

    /// Reads a record.
    ///
    /// # Errors
    /// The version, where it is a newer lxdeploy's. A text that is no record at all reads as an empty one:
    /// nothing is known to have been applied, so nothing is removed.
    pub fn parse(text: &str) -> Result<Record, u32> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        if let Ok(Version { v }) = serde_json::from_str(text)
            && v > Record::VERSION
        {
            return Err(v);
        }
        Ok(serde_json::from_str(text).unwrap_or_default())
    }

    /// As JSON, in one stable order.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Eight hex digits of a canonical value's SHA-256.
pub fn hash(canonical: &str) -> String {
    Sha256::digest(canonical.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_newer_format_is_refused() {
        assert_eq!(Record::parse(r#"{"v":2,"k":[]}"#), Err(2));
        assert_eq!(Record::parse("gibberish"), Ok(Record::default()));
    }

    #[test]
    fn an_images_property_holds_a_stamp() {
        for origin in [None, Some("0a1b2c3d".to_owned())] {
            let (site, id) = ("acme".to_owned(), "p/images.base".to_owned());
            let stamp = Stamp { site, id, record: r#"{"v":1, "k":{}}"#.into(), origin };
            assert_eq!(Stamp::in_property("acme", &stamp.to_property()), Some(stamp));
        }
    }

    #[test]
    fn round_trip() {
        let record = Record {
            k: BTreeMap::from([("limits.cpu".into(), hash("2")), ("user.token".into(), String::new())]),
            img: Some("base".into()),
            protect: true,
            ..Record::default()
        };
        assert_eq!(
            record.to_text(),
            r#"{"v":1,"k":{"limits.cpu":"d4735e3a","user.token":""},"img":"base","protect":true}"#
        );
        assert_eq!(Record::parse(&record.to_text()), Ok(record));
    }
}
