use std::fmt;

/// One leaf of an object: the unit of every diff, record and intent.
///
/// Two spellings: the plan's (`config.limits.memory`, `devices.eth0.network`, `profiles`), by `Display`,
/// and the record's shorter one (`limits.memory`, `eth0/network`, `@profiles`), by [`Path::in_record`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// A field of the object itself: `description`, `profiles`, `ingress`. Lists are owned whole.
    Field(String),
    /// A key of the object's free map: `config`, or `properties` of an image.
    Entry {
        /// The map's field name; `members` for what is one cluster member's own, see [`Path::member`].
        map: &'static str,
        /// The key in it.
        key: String,
    },
    /// A key of one of the object's devices.
    Device {
        /// The device's name.
        device: String,
        /// The key in it; `type` included.
        key: String,
    },
}

/// The map of what differs from member to member of a cluster: one flat one, of `MEMBER/KEY`.
pub const MEMBERS: &str = "members";

impl Path {
    /// A field of the object itself.
    pub fn field(name: impl Into<String>) -> Self {
        Path::Field(name.into())
    }

    /// A key of `config`.
    pub fn config(key: impl Into<String>) -> Self {
        Path::Entry { map: "config", key: key.into() }
    }

    /// A key of one device.
    pub fn device(device: impl Into<String>, key: impl Into<String>) -> Self {
        Path::Device { device: device.into(), key: key.into() }
    }

    /// A config key of one member of a cluster.
    pub fn member(member: &str, key: &str) -> Self {
        Path::Entry { map: MEMBERS, key: format!("{member}/{key}") }
    }

    /// The member and the config key, if it is one member's own.
    pub fn as_member(&self) -> Option<(&str, &str)> {
        match self {
            Path::Entry { map: MEMBERS, key } => key.split_once('/'),
            _ => None,
        }
    }

    /// The record's spelling.
    pub fn in_record(&self) -> String {
        match self {
            Path::Field(name) => format!("@{name}"),
            Path::Entry { map: MEMBERS, key } => format!("%{key}"),
            Path::Entry { key, .. } => key.clone(),
            Path::Device { device, key } => format!("{device}/{key}"),
        }
    }

    /// Reads the record's spelling; `map` is the free map of the object's kind.
    /// A device key never holds a slash, and LXD's config keys neither (`user.*` may: a name of a
    /// device has no dot in what we write, a `user.` key always has).
    pub fn from_record(text: &str, map: &'static str) -> Self {
        if let Some(field) = text.strip_prefix('@') {
            return Path::field(field);
        }
        if let Some(key) = text.strip_prefix('%') {
            return Path::Entry { map: MEMBERS, key: key.to_owned() };
        }
        match text.rsplit_once('/') {
            Some((device, key)) if !text.starts_with("user.") => Path::device(device, key),
            _ => Path::Entry { map, key: text.to_owned() },
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((member, key)) = self.as_member() {
            return write!(f, "members.{member}.config.{key}");
        }
        match self {
            Path::Field(name) => write!(f, "{name}"),
            Path::Entry { map, key } => write!(f, "{map}.{key}"),
            Path::Device { device, key } => write!(f, "devices.{device}.{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings() {
        for (path, plan, record) in [
            (Path::field("profiles"), "profiles", "@profiles"),
            (Path::config("limits.memory"), "config.limits.memory", "limits.memory"),
            (Path::config("user.a/b"), "config.user.a/b", "user.a/b"),
            (Path::member("n2.lan", "lvm.vg_name"), "members.n2.lan.config.lvm.vg_name", "%n2.lan/lvm.vg_name"),
            (Path::device("eth0", "ipv4.address"), "devices.eth0.ipv4.address", "eth0/ipv4.address"),
        ] {
            assert_eq!(path.to_string(), plan);
            assert_eq!(path.in_record(), record);
            assert_eq!(Path::from_record(record, "config"), path);
        }
    }
}
