//! LXD's config keys, offline: which there are, of which type, and what a change of them does.
//!
//! Servers differ, so an unknown key is a warning; a value that no server would take is an error.

mod tables;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, nearest};
use crate::model::{Path, Span, units, value};

/// What a config key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity<'a> {
    /// An instance or a profile.
    Instance,
    /// A device, of this type where the file says so.
    Device(Option<&'a str>),
    /// A network, of this type where it is known.
    Network(Option<&'a str>),
    /// A storage pool, of this driver where it is known.
    StoragePool(Option<&'a str>),
    /// A custom volume.
    StorageVolume,
    /// A project.
    Project,
    /// A network ACL.
    NetworkAcl,
    /// An image: its properties are free.
    Image,
}

/// What a key's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// LXD's booleans.
    Bool,
    /// A whole number.
    Integer,
    /// Anything else; sizes among it.
    Text,
}

/// Keys that LXD applies when an instance starts. (`liveupdate: no` in the catalogue also marks keys that are
/// read when they are needed, such as `boot.autostart` and `snapshots.*`; a restart would do nothing for those.)
const AT_START: &[&str] = &[
    "agent.nic_config",
    "boot.debug_edk2",
    "boot.mode",
    "environment.*",
    "limits.cpu.pin_strategy",
    "limits.kernel.*",
    "limits.max_bus_ports",
    "limits.memory.hugepages",
    "linux.kernel_modules",
    "linux.kernel_modules.load",
    "linux.sysctl.*",
    "migration.stateful",
    "nvidia.*",
    "raw.*",
    "security.agent.metrics",
    "security.bpffs.path",
    "security.csm",
    "security.delegate_bpf",
    "security.delegate_bpf.*",
    "security.devlxd",
    "security.guestapi",
    "security.idmap.base",
    "security.idmap.isolated",
    "security.idmap.size",
    "security.nesting",
    "security.privileged",
    "security.secureboot",
    "security.sev",
    "security.sev.*",
    "security.syscalls.*",
];

/// Keys whose values are sizes.
const SIZES: &[&str] = &["size", "size.state", "limits.memory", "limits.disk", "volume.size", "volatile.size"];

/// True if a change of the key waits for the instance to start again.
pub fn needs_restart(entity: &Entity<'_>, key: &str) -> bool {
    *entity == Entity::Instance && AT_START.iter().any(|pattern| matches(pattern, key))
}

fn matches(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => key.len() > prefix.len() && key.starts_with(prefix),
        None => pattern == key,
    }
}

/// The text by which values are compared: LXD's spellings of one value are one text.
///
/// Booleans of any spelling where the key is a boolean; sizes in bytes; everything else as it is. Keys under
/// `user.` are the user's own and compared letter by letter.
pub fn canonical(entity: &Entity<'_>, path: &Path, wanted: &Value) -> String {
    let text = value::text(wanted);
    let key = match path {
        Path::Entry { key, .. } | Path::Device { key, .. } => key.as_str(),
        Path::Field(_) => return text,
    };
    if key.starts_with("user.") || key.starts_with("environment.") {
        return text;
    }
    match lookup(entity, key) {
        Some(Type::Bool) => value::as_bool(&text).map_or(text, |is| is.to_string()),
        None if value::as_bool(&text).is_some_and(|_| text.parse::<u8>().is_err()) => {
            value::as_bool(&text).unwrap_or_default().to_string()
        }
        _ if text.ends_with('B') => units::parse_size(&text).map_or(text, |bytes| bytes.to_string()),
        _ => text,
    }
}

/// Checks one key and its value.
pub fn check(entity: &Entity<'_>, key: &str, text: &str, at_key: Span, at_value: Span) -> Vec<Diagnostic> {
    if key.starts_with("user.lxdeploy.") {
        return vec![
            Diagnostic::error(at_key, format!("`{key}` is lxdeploy's own stamp"))
                .help("take it away; lxdeploy writes it itself"),
        ];
    }
    if key.starts_with("volatile.") || (key.starts_with("image.") && *entity == Entity::Instance) {
        return vec![
            Diagnostic::error(at_key, format!("`{key}` is LXD's own")).help("take it away; LXD keeps it itself"),
        ];
    }
    let Some(kind) = lookup(entity, key) else {
        if is_free(entity) {
            return vec![];
        }
        let warning = Diagnostic::warning(at_key, format!("`{key}` is no option that LXD is known to have"));
        return vec![match near(entity, key) {
            Some(near) => warning.help(format!("did you mean `{near}`?")),
            None => warning.help("it is sent as it is; the server decides"),
        }];
    };
    value_error(kind, key, text)
        .map(|(message, help)| Diagnostic::error(at_value, message).help(help))
        .into_iter()
        .collect()
}

fn value_error(kind: Type, key: &str, text: &str) -> Option<(String, String)> {
    let is_size = SIZES.contains(&key);
    match kind {
        _ if text.is_empty() => None,
        Type::Bool if value::as_bool(text).is_none() => {
            Some((format!("`{key}` is true or false, and this is `{text}`"), "write true or false".into()))
        }
        Type::Integer if text.parse::<i64>().is_err() => {
            Some((format!("`{key}` is a whole number, and this is `{text}`"), "write a whole number".into()))
        }
        _ if is_size && !text.ends_with('%') => units::parse_size(text)
            .err()
            .map(|reason| (format!("`{key}`: {reason}"), "sizes are such as 512MiB, 10GiB or 20GB".into())),
        _ => None,
    }
}

fn is_free(entity: &Entity<'_>) -> bool {
    matches!(entity, Entity::Image | Entity::Device(None)) || tables_of(entity).is_empty()
}

/// The type of a known key.
pub fn lookup(entity: &Entity<'_>, key: &str) -> Option<Type> {
    tables_of(entity).iter().find_map(|table| {
        let index = index(table);
        index.exact.get(key).copied().or_else(|| {
            index
                .patterns
                .iter()
                .find(|(prefix, _)| key.len() > prefix.len() && key.starts_with(prefix))
                .map(|(_, kind)| *kind)
        })
    })
}

/// The known keys and their types, patterns left out; where two tables disagree, any text may be the value.
pub fn known(entity: &Entity<'_>) -> BTreeMap<&'static str, Type> {
    let mut known = BTreeMap::new();
    for (key, kind) in tables_of(entity).iter().flat_map(|table| &index(table).exact) {
        let agreed = known.entry(*key).or_insert(*kind);
        if agreed != kind {
            *agreed = Type::Text;
        }
    }
    known
}

fn near(entity: &Entity<'_>, key: &str) -> Option<&'static str> {
    nearest(key, tables_of(entity).iter().flat_map(|table| index(table).exact.keys().copied()))
}

static DEVICES: &[(&str, tables::Table)] = &[
    ("disk", tables::DEVICE_DISK),
    ("nic", tables::DEVICE_NIC),
    ("gpu", tables::DEVICE_GPU),
    ("infiniband", tables::DEVICE_INFINIBAND),
    ("none", tables::DEVICE_NONE),
    ("pci", tables::DEVICE_PCI),
    ("proxy", tables::DEVICE_PROXY),
    ("tpm", tables::DEVICE_TPM),
    ("unix-block", tables::DEVICE_UNIX_BLOCK),
    ("unix-char", tables::DEVICE_UNIX_CHAR),
    ("unix-hotplug", tables::DEVICE_UNIX_HOTPLUG),
    ("usb", tables::DEVICE_USB),
];

static NETWORKS: &[(&str, tables::Table)] = &[
    ("bridge", tables::NETWORK_BRIDGE),
    ("ovn", tables::NETWORK_OVN),
    ("macvlan", tables::NETWORK_MACVLAN),
    ("sriov", tables::NETWORK_SRIOV),
    ("physical", tables::NETWORK_PHYSICAL),
];

/// The types of devices.
pub fn device_types() -> impl Iterator<Item = &'static str> {
    DEVICES.iter().map(|(name, _)| *name)
}

/// The types of networks.
pub fn network_types() -> impl Iterator<Item = &'static str> {
    NETWORKS.iter().map(|(name, _)| *name)
}

/// The drivers of storage pools.
pub fn storage_drivers() -> impl Iterator<Item = &'static str> {
    ["dir", "zfs", "btrfs", "lvm", "ceph", "cephfs", "cephobject", "powerflex", "pure", "alletra"].into_iter()
}

/// The tables that may hold a key: of a device or network of unknown type those of all types.
fn tables_of(entity: &Entity<'_>) -> Vec<tables::Table> {
    let of = |tables: &[(&str, tables::Table)], wanted: Option<&str>| {
        tables.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name)).map(|(_, table)| *table).collect()
    };
    match entity {
        Entity::Instance => vec![tables::INSTANCE],
        Entity::Device(kind) => of(DEVICES, *kind),
        Entity::Network(kind) => of(NETWORKS, *kind),
        Entity::StoragePool(_) => vec![tables::STORAGE_POOL],
        Entity::StorageVolume => vec![tables::STORAGE_VOLUME],
        Entity::Project => vec![tables::PROJECT],
        Entity::NetworkAcl => vec![tables::NETWORK_ACL],
        Entity::Image => vec![],
    }
}

/// A table made ready for look-ups.
struct Index {
    exact: HashMap<&'static str, Type>,
    patterns: Vec<(&'static str, Type)>,
}

fn index(table: &tables::Table) -> &'static Index {
    static INDEXES: OnceLock<HashMap<usize, Index>> = OnceLock::new();
    let indexes = INDEXES.get_or_init(|| {
        let all =
            [tables::INSTANCE, tables::STORAGE_POOL, tables::STORAGE_VOLUME, tables::PROJECT, tables::NETWORK_ACL];
        let all = all.into_iter().chain(DEVICES.iter().chain(NETWORKS).map(|(_, table)| *table));
        all.map(|table| (table.as_ptr() as usize, build(table))).collect()
    });
    static EMPTY: OnceLock<Index> = OnceLock::new();
    indexes.get(&(table.as_ptr() as usize)).unwrap_or_else(|| EMPTY.get_or_init(|| build(&[])))
}

fn build(table: tables::Table) -> Index {
    let keys = || table.iter().flat_map(|(kind, keys)| keys.split_whitespace().map(|key| (key, *kind)));
    Index {
        exact: keys().filter(|(key, _)| !key.contains('*')).collect(),
        patterns: keys().filter_map(|(key, kind)| Some((key.split_once('*')?.0, kind))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(entity: Entity<'_>, key: &str, text: &str) -> Vec<String> {
        let span = Span::default();
        let line = |d: Diagnostic| format!("{:?} {} ({})", d.severity, d.message, d.help.unwrap_or_default());
        check(&entity, key, text, span, span).into_iter().map(line).collect()
    }

    #[test]
    fn known_keys_and_values_pass() {
        for (entity, key, text) in [
            (Entity::Instance, "limits.memory", "256MiB"),
            (Entity::Instance, "limits.memory", "50%"),
            (Entity::Instance, "user.anything", "x"),
            (Entity::Instance, "linux.sysctl.net.ipv4.ip_forward", "1"),
            (Entity::Device(Some("nic")), "network", "br0"),
            (Entity::Device(Some("disk")), "size", "10GiB"),
            (Entity::Network(Some("bridge")), "ipv4.nat", "true"),
            (Entity::StoragePool(Some("dir")), "source", "/srv"),
            (Entity::StorageVolume, "size", "1GiB"),
            (Entity::Project, "features.images", "false"),
            (Entity::Image, "os", "debian"),
        ] {
            assert_eq!(errors(entity, key, text), Vec::<String>::new(), "{key}");
        }
    }

    #[test]
    fn what_no_server_takes_is_an_error_and_what_is_unknown_a_warning() {
        insta::assert_snapshot!(
            [
                errors(Entity::Instance, "limits.memroy", "1GiB"),
                errors(Entity::Instance, "security.nesting", "maybe"),
                errors(Entity::Instance, "boot.stop.priority", "high"),
                errors(Entity::Instance, "limits.memory", "1G"),
                errors(Entity::Instance, "volatile.eth0.hwaddr", "x"),
                errors(Entity::Instance, "user.lxdeploy.site", "x"),
                errors(Entity::Device(Some("nic")), "parant", "eth0"),
            ]
            .concat()
            .join("\n")
        );
    }

    #[test]
    fn spellings_of_one_value() {
        let same = |entity: Entity<'_>, key: &str, a: &str, b: &str| {
            canonical(&entity, &Path::config(key), &a.into()) == canonical(&entity, &Path::config(key), &b.into())
        };
        assert!(same(Entity::Instance, "security.nesting", "1", "True"));
        assert!(same(Entity::Instance, "limits.memory", "1GiB", "1024MiB"));
        assert!(same(Entity::Network(None), "ipv4.nat", "yes", "true"));
        assert!(!same(Entity::Instance, "user.flag", "yes", "true"));
        assert!(!same(Entity::Instance, "limits.cpu", "1", "true"));
    }

    #[test]
    fn restarts() {
        for (key, restarts) in [
            ("security.privileged", true),
            ("raw.lxc", true),
            ("limits.cpu", false),
            ("user.x", false),
            ("boot.autostart", false),
        ] {
            assert_eq!(needs_restart(&Entity::Instance, key), restarts, "{key}");
        }
    }
}
