use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::kinds::Raw;

/// One object of a bulk answer, without the parts that a plan never reads and that make up half of it.
#[derive(Clone, Debug, Default)]
pub struct Row(pub Raw);

/// What LXD computes from the rest (`expanded_*`) or what belongs to single reads.
const UNREAD: &[&str] = &["expanded_config", "expanded_devices", "backups", "snapshots"];

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut raw = Raw::new();
                while let Some(key) = map.next_key::<String>()? {
                    if UNREAD.contains(&key.as_str()) {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        let value: Value = map.next_value()?;
                        raw.insert(key, value);
                    }
                }
                Ok(Row(raw))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_lxd_computes() {
        let row: Row = serde_json::from_str(r#"{"name":"a","expanded_config":{"x":"y"},"config":{"x":"y"}}"#).unwrap();
        assert_eq!(serde_json::to_string(&row.0).unwrap(), r#"{"config":{"x":"y"},"name":"a"}"#);
    }
}
