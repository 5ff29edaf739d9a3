//! What LXD's words mean where they are not enough: by whom something is used or taken, how full a pool is, and the
//! command that helps. Values in, lines out; `facts` reads what the lines need. LXD's own words always come first.

use serde_json::Value;

use crate::kinds::{Raw, used_by};

/// Why LXD refused, as its words tell (5.0 to 6.9, and Incus).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something uses it, or lies in it.
    InUse,
    /// A fixed address outside of its network.
    OutsideSubnet {
        /// The network.
        network: String,
    },
    /// Another interface on the same network has it.
    Taken {
        /// An address, or a name.
        value: String,
        /// What of an interface must be one alone.
        what: Unique,
    },
    /// A network's own address is in use at the host.
    HostAddress(String),
    /// An object of that name is there.
    NameTaken,
    /// A disk is full.
    NoSpace,
    /// A project limits all of its instances together, so each must say what it takes.
    NoLimit {
        /// The key that it lacks.
        key: String,
        /// The project.
        project: String,
    },
    /// A tool or module is missing at the server.
    NoDriver,
    /// It runs no virtual machines.
    NoVirtualMachines,
    /// The image is not there.
    NoImage,
    /// LXD's own protection.
    Locked,
}

/// What no two interfaces on a network may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    Address,
    Mac,
    DnsName,
}

/// The cause of a failure, if it is one that can be explained.
pub(super) fn cause(message: &str, section: &str) -> Option<Cause> {
    let has = |words: &str| message.contains(words);
    let quoted = |after: &str| Some(message.split_once(after)?.1.split('"').nth(1)?.to_owned());
    let taken = |after: &str, what: Unique| Some(Cause::Taken { value: quoted(after)?, what });
    if has("not within network") {
        return Some(Cause::OutsideSubnet { network: quoted("not within network")? });
    }
    if has("already defined on another NIC") {
        return taken("IP address", Unique::Address).or_else(|| taken("MAC address", Unique::Mac));
    }
    if has("already used on network") {
        return taken("DNS name", Unique::DnsName);
    }
    if has("Address already in use") {
        let address = message.split_once("listening socket for ").map_or("", |(_, rest)| rest);
        return Some(Cause::HostAddress(address.split(':').next().unwrap_or_default().trim().to_owned()));
    }
    if has("in use") || has("relies on this profile's") || has("Only empty projects can be removed") {
        return Some(Cause::InUse);
    }
    if ["o space left on device", "out of disk space", "isk quota exceeded"].iter().any(|words| has(words)) {
        return Some(Cause::NoSpace);
    }
    if has("has no \"") {
        return Some(Cause::NoLimit { project: quoted("in project")?, key: quoted("has no")? });
    }
    if has("Required tool") || has("Error loading \"") {
        return Some(Cause::NoDriver);
    }
    if has("\"virtual-machine\" is not supported") {
        return Some(Cause::NoVirtualMachines);
    }
    if section == "instances" && (has("Image not provided") || has("Image not found") || has("image couldn't be found"))
    {
        return Some(Cause::NoImage);
    }
    if has("is protected") {
        return Some(Cause::Locked);
    }
    let exists = ["already exists", "already in use", "unique constraint failed"]
        .iter()
        .any(|words| message.to_lowercase().contains(words));
    exists.then_some(Cause::NameTaken)
}

/// What was read to explain a failure.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The step's object as it is now.
    pub live: Option<Raw>,
    /// The network that the words name.
    pub network: Option<Raw>,
    /// Who has the address or name: the instance in words, its interface, and the network.
    pub holders: Vec<(String, String, String)>,
    /// Networks with that address: name and address.
    pub networks: Vec<(String, String)>,
    /// Pools: name, bytes used, bytes in all.
    pub pools: Vec<(String, u64, u64)>,
    /// The site whose stamp is on the object that is there.
    pub site: Option<String>,
}

/// Whom the lines speak of.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    /// Its address.
    pub address: &'a str,
    /// Its kind's noun.
    pub noun: &'a str,
    /// LXD's name.
    pub name: &'a str,
    /// The image as the file wrote it.
    pub image: Option<&'a str>,
    /// The administrator's client.
    pub program: &'a str,
}

/// What remains to be said, and what helps.
pub(super) fn lines(cause: &Cause, facts: &Facts, about: About<'_>) -> Vec<String> {
    let About { address, noun, name, program, .. } = about;
    let (mut lines, help): (Vec<String>, String) = match cause {
        Cause::InUse => {
            let users = facts.live.as_ref().and_then(|live| live.get("used_by")).and_then(Value::as_array);
            let is_own = |url: &&str| noun == "project" && url.contains("/profiles/default");
            let urls = users.into_iter().flatten().filter_map(Value::as_str).filter(|url| !is_own(url));
            let Some(users) = used_by::in_words(urls) else { return vec![] };
            let show = match noun {
                "storage pool" => format!("`{program} storage show {name}`"),
                "storage volume" => format!("`{program} storage volume show POOL {name}`"),
                "network ACL" => format!("`{program} network acl show {name}`"),
                noun => format!("`{program} {noun} show {name}`"),
            };
            let verb = if noun == "project" { "in it are" } else { "it is used by" };
            let help = format!(
                "{show} lists them; delete them, or let them use something else, and apply again; or keep it: with `external: true` the site leaves it alone"
            );
            (vec![format!("{verb} {users}")], help)
        }
        Cause::OutsideSubnet { network } => {
            let config = facts.network.as_ref().and_then(|raw| raw.get("config"));
            let config = |key: &str| config.and_then(|config| config.get(key)).and_then(Value::as_str);
            let has: Vec<&str> = ["ipv4.address", "ipv6.address"].into_iter().filter_map(config).collect();
            let line = format!("the network {network} has {}", has.join(" and "));
            let help = format!("choose an address in it, or give `networks.{network}` the subnet that is meant");
            (if has.is_empty() { vec![] } else { vec![line] }, help)
        }
        Cause::Taken { value, what } => {
            let mut lines: Vec<String> = facts
                .holders
                .iter()
                .map(|(who, device, network)| format!("{who} has it: its {device} on the network {network}"))
                .collect();
            if lines.is_empty() {
                lines.push("by an instance that this client's certificate does not see".into());
            }
            let network = facts.holders.first().map_or("NETWORK", |(_, _, network)| network.as_str());
            let help = match what {
                Unique::Address => format!(
                    "give one of them another address; `{program} network list-leases {network}` shows those that are taken"
                ),
                Unique::Mac => "take the `hwaddr` away at one of them: LXD chooses one that is free".to_owned(),
                Unique::DnsName => format!(
                    "one bridge has one `{value}`, whatever the projects: give this one another `name`, or another network"
                ),
            };
            (lines, help)
        }
        Cause::HostAddress(_) => {
            let lines = facts.networks.iter().map(|(name, has)| format!("the network {name} has {has}")).collect();
            let help = format!(
                "choose another subnet; `{program} network list` shows the networks', `ip address` at the server all that are taken"
            );
            (lines, help)
        }
        Cause::NameTaken if facts.live.is_none() => return vec![],
        Cause::NameTaken => {
            let whose = match &facts.site {
                Some(site) => format!("the site `{site}`'s"),
                None => "nobody's".to_owned(),
            };
            let line = format!("the {noun} {name} was made since this was planned, and is {whose}");
            (vec![line], format!("plan again; `--adopt {address}` takes in what is nobody's"))
        }
        Cause::NoSpace => {
            let line = |(pool, used, total): &(String, u64, u64)| {
                format!("the pool {pool} has {} free of {}, without what LXD took away again", in_mib(total.saturating_sub(*used)), in_mib(*total))
            };
            let pool = facts.pools.first().map_or("POOL", |(pool, _, _)| pool.as_str());
            let help = format!(
                "make room (`{program} storage info {pool}`, `{program} image list`), grow the pool (its `size`), or use another; where the pool has room for it, it is the disk of LXD's own directory that is full"
            );
            (facts.pools.iter().map(line).collect(), help)
        }
        Cause::NoLimit { key, project } => {
            let line = format!("the project {project} limits all of its instances together, so each must have its own");
            let what = if key == "size" { "`size` of the root device" } else { "it under `config`" };
            (vec![line], format!("set {what} at the instance or in a profile; or `{program} project show {project}` and take the limit away"))
        }
        Cause::NoDriver => (
            vec![],
            "install what is missing at the server and restart LXD there; its storage drivers: `storage_supported_drivers` in `".to_owned()
                + program
                + " info`",
        ),
        Cause::NoVirtualMachines => (
            vec![],
            "at the server: a CPU with virtualisation, `modprobe vhost_vsock`, and QEMU; or `type: container`".to_owned(),
        ),
        Cause::NoImage => {
            let image = about.image.unwrap_or_default();
            let list = match image.split_once(':') {
                Some((remote, _)) => format!("`{program} image list {remote}:` shows what is there"),
                None => format!("`{program} image list` shows what is there"),
            };
            (vec![], format!("{list}; what LXD fetched itself goes some days after its last use: plan again"))
        }
        Cause::Locked => (
            vec![],
            format!("`security.protection.delete` is set: apply it as `false` first, or `{program} config set {name} security.protection.delete=false`"),
        ),
    };
    lines.push(format!("help: {help}"));
    lines
}

fn in_mib(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// LXD's words as they were seen, and what is understood.
    #[test]
    fn causes() {
        let of = |message: &str| cause(message, "instances");
        for words in [
            "The network is currently in use",
            "Cannot delete an ACL that is in use",
            "Profile is currently in use",
            "The storage pool is currently in use",
            "The storage volume is still in use",
            "Only empty projects can be removed",
            "At least one instance relies on this profile's root disk device",
        ] {
            assert_eq!(of(words), Some(Cause::InUse), "{words}");
        }
        assert_eq!(
            of(
                "Failed creating instance record: Failed initialising instance: Invalid devices: Device validation failed for \"eth0\": Device IP address \"10.99.2.5\" not within network \"pb0\" subnet"
            ),
            Some(Cause::OutsideSubnet { network: "pb0".into() })
        );
        let taken = |value: &str, what| Some(Cause::Taken { value: value.into(), what });
        assert_eq!(
            of("Failed start validation for device \"eth0\": IP address \"10.99.1.5\" already defined on another NIC"),
            taken("10.99.1.5", Unique::Address)
        );
        assert_eq!(
            of(
                "Failed start validation for device \"eth0\": MAC address \"00:16:3e:00:00:01\" already defined on another NIC"
            ),
            taken("00:16:3e:00:00:01", Unique::Mac)
        );
        assert_eq!(
            of("Failed start validation for device \"eth0\": Instance DNS name \"p1\" already used on network"),
            taken("p1", Unique::DnsName)
        );
        assert_eq!(
            of(
                "The DNS and DHCP service exited prematurely: Process exited with non-zero value 2 (\"dnsmasq: failed to create listening socket for 10.99.1.1: Address already in use\")"
            ),
            Some(Cause::HostAddress("10.99.1.1".into()))
        );
        assert_eq!(
            of(
                "Failed checking if instance creation allowed: Failed getting usage of project entities: Instance \"p2\" in project \"pj\" has no \"limits.memory\" config, either directly or via a profile"
            ),
            Some(Cause::NoLimit { key: "limits.memory".into(), project: "pj".into() })
        );
        assert_eq!(
            of("Add instance info to the database: This \"instances\" entry already exists"),
            Some(Cause::NameTaken)
        );
        assert_eq!(of("Required tool \"btrfs\" is missing"), Some(Cause::NoDriver));
        assert_eq!(of("Container is protected"), Some(Cause::Locked));
        assert_eq!(of("Image not provided for instance creation"), Some(Cause::NoImage));
        assert_eq!(cause("Image not found", "images"), None);
        for words in ["write /x: no space left on device", "Unable to unpack image, run out of disk space"] {
            assert_eq!(of(words), Some(Cause::NoSpace), "{words}");
        }
        assert_eq!(of("Invalid devices: no such thing"), None);
    }

    const ABOUT: About<'_> = About { address: "networks.br", noun: "network", name: "br", image: None, program: "lxc" };

    #[test]
    fn by_whom_and_what_helps() {
        let live = json!({"used_by": ["/1.0/instances/p2?project=pj", "/1.0/profiles/pp"]});
        let facts = Facts { live: live.as_object().cloned(), ..Facts::default() };
        let told = lines(&Cause::InUse, &facts, ABOUT);
        assert_eq!(told[0], "it is used by the instance p2 (project pj), the profile pp");
        assert!(told[1].starts_with("help: `lxc network show br`"), "{told:?}");
        assert_eq!(lines(&Cause::InUse, &Facts::default(), ABOUT), Vec::<String>::new(), "nothing is made up");
        let pools = vec![("tiny".to_owned(), 7 << 20, 8 << 20)];
        let told = lines(&Cause::NoSpace, &Facts { pools, ..Facts::default() }, ABOUT);
        assert_eq!(told[0], "the pool tiny has 1.0 MiB free of 8.0 MiB, without what LXD took away again");
    }
}
