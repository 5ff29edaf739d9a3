//! Facts out of what the script printed, as Ansible names and shapes them.

use super::facts_sections::Sections;
use super::{facts_hardware, facts_network};
use crate::tasks::Map;
use crate::template::ansible::parse_json;
use crate::template::{Value, map};

/// The facts, without `ansible_` before their names.
pub fn read(text: &str, now: i64) -> Map {
    let sections = Sections::read(text);
    let mut facts = Map::new();
    let mut set = |name: &str, value: Value| {
        facts.insert(name.to_owned(), value);
    };
    distribution(&sections, &mut set);
    system(&sections, &mut set);
    facts_hardware::hardware(&sections, &mut set);
    facts_network::network(&sections, &mut set);
    software(&sections, &mut set);
    date(&sections, now, &mut set);
    local(&sections, &mut set);
    facts
}

pub(super) type Set<'s> = &'s mut dyn FnMut(&str, Value);

fn distribution(sections: &Sections<'_>, set: Set<'_>) {
    let release = sections.pairs("os_release", '=');
    let id = release.get("ID").map(String::as_str).unwrap_or_default();
    let like = release.get("ID_LIKE").map(String::as_str).unwrap_or_default();
    let (name, family) = match id {
        "debian" => ("Debian", "Debian"),
        "ubuntu" => ("Ubuntu", "Debian"),
        "alpine" => ("Alpine", "Alpine"),
        "fedora" => ("Fedora", "RedHat"),
        "rhel" => ("RedHat", "RedHat"),
        "centos" => ("CentOS", "RedHat"),
        "rocky" => ("Rocky", "RedHat"),
        "almalinux" => ("AlmaLinux", "RedHat"),
        "ol" => ("OracleLinux", "RedHat"),
        "amzn" => ("Amazon", "RedHat"),
        "opensuse-leap" => ("openSUSE Leap", "Suse"),
        "opensuse-tumbleweed" => ("openSUSE Tumbleweed", "Suse"),
        "sles" => ("SLES", "Suse"),
        "arch" => ("Archlinux", "Archlinux"),
        "linuxmint" => ("Linux Mint", "Debian"),
        "raspbian" => ("Debian", "Debian"),
        "devuan" => ("Devuan", "Debian"),
        _ if like.contains("debian") => (release.get("NAME").map_or("Debian", String::as_str), "Debian"),
        _ if like.contains("rhel") || like.contains("fedora") => {
            (release.get("NAME").map_or("RedHat", String::as_str), "RedHat")
        }
        _ if !sections.line("alpine_release", 0).is_empty() => ("Alpine", "Alpine"),
        _ if !sections.line("debian_version", 0).is_empty() => ("Debian", "Debian"),
        _ => ("Linux", "Linux"),
    };
    let version_id = release.get("VERSION_ID").cloned().unwrap_or_default();
    let debian = sections.line("debian_version", 0);
    let version = match name {
        "Debian" if debian.starts_with(|c: char| c.is_ascii_digit()) => debian.to_owned(),
        "Alpine" => sections.line("alpine_release", 0).to_owned(),
        "Linux" if version_id.is_empty() => sections.line("uname", 2).to_owned(),
        _ => version_id,
    };
    let codename = release.get("VERSION_CODENAME").cloned().unwrap_or_else(|| match name {
        "Debian" | "Ubuntu" => release
            .get("VERSION")
            .and_then(|version| Some(version.split_once('(')?.1.split_once(')')?.0.to_owned()))
            .unwrap_or_else(|| "NA".into()),
        _ => "NA".into(),
    });
    let codename = if name == "Debian" && codename == "NA" {
        debian.split('/').next().unwrap_or("NA").to_owned()
    } else {
        codename
    };
    let major = version.split('.').next().unwrap_or_default().to_owned();
    set("distribution", name.into());
    set("distribution_version", version.as_str().into());
    set("distribution_major_version", major.as_str().into());
    set("distribution_release", codename.as_str().into());
    set("os_family", family.into());
    if name == "Debian" {
        let minor = version.split_once('.').map_or("", |(_, minor)| minor);
        set("distribution_minor_version", minor.into());
    }
    let (path, variety) = match name {
        "Alpine" => ("/etc/alpine-release", "Alpine"),
        _ if family == "RedHat" => ("/etc/redhat-release", "RedHat"),
        _ => ("/etc/os-release", if family == "Linux" { "NA" } else { family }),
    };
    set("distribution_file_path", path.into());
    set("distribution_file_variety", variety.into());
    set("distribution_file_parsed", true.into());
}

fn system(sections: &Sections<'_>, set: Set<'_>) {
    let machine = sections.line("uname", 3);
    let nodename = sections.line("uname", 1);
    let fqdn = sections.line("fqdn", 0);
    let fqdn = if fqdn.is_empty() { nodename } else { fqdn };
    set("system", sections.line("uname", 0).into());
    set("nodename", nodename.into());
    set("hostname", nodename.split('.').next().unwrap_or_default().into());
    set("fqdn", fqdn.into());
    set("domain", fqdn.split_once('.').map_or("", |(_, domain)| domain).into());
    set("kernel", sections.line("uname", 2).into());
    set("kernel_version", sections.line("uname", 4).into());
    set("machine", machine.into());
    let architecture = match machine {
        "i486" | "i586" | "i686" => "i386",
        other => other,
    };
    set("architecture", architecture.into());
    let bits = match sections.line("bits", 0) {
        "" if machine.contains("64") || machine == "s390x" => "64",
        "" => "32",
        bits => bits,
    };
    set("userspace_bits", bits.into());
    let userspace = if bits == "32" && machine == "x86_64" { "i386" } else { architecture };
    set("userspace_architecture", userspace.into());
    set("machine_id", sections.line("machine_id", 0).into());
    let words = |section: &str| {
        let mut all: Vec<(String, Value)> = vec![];
        for word in sections.text(section).split_whitespace() {
            let (name, value) =
                word.split_once('=').map_or((word, Value::from(true)), |(name, value)| (name, value.into()));
            all.push((name.to_owned(), value));
        }
        map(all)
    };
    set("cmdline", words("cmdline"));
    set("proc_cmdline", words("cmdline"));
    let load: Vec<f64> = sections.line("loadavg", 0).split(' ').take(3).filter_map(|word| word.parse().ok()).collect();
    if let [one, five, fifteen] = load[..] {
        set("loadavg", map([("1m", one), ("5m", five), ("15m", fifteen)]));
    }
    let virt = sections.text("virt");
    let kind = match () {
        () if virt.contains("lxd") || virt.contains("lxc") => "lxc",
        () if virt.contains("docker") => "docker",
        () if virt.contains("podman") => "podman",
        () if virt.contains("systemd-nspawn") => "systemd-nspawn",
        () => "NA",
    };
    let dmi = sections.pairs("dmi", ':');
    let is_kvm = ["QEMU", "KVM"].iter().any(|word| dmi.values().any(|value| value.contains(word)));
    let kind = if kind == "NA" && is_kvm { "kvm" } else { kind };
    set("virtualization_type", kind.into());
    set("virtualization_role", if kind == "NA" { "NA" } else { "guest" }.into());
    let mut tech: Vec<&str> = vec![];
    if kind != "NA" {
        tech.push(kind);
        if kind != "kvm" {
            tech.insert(0, "container");
        }
    }
    set("virtualization_tech_guest", Value::from(tech));
    set("virtualization_tech_host", Value::from(Vec::<Value>::new()));
    let names = [
        ("product_name", "product_name"),
        ("product_serial", "product_serial"),
        ("product_uuid", "product_uuid"),
        ("product_version", "product_version"),
        ("sys_vendor", "system_vendor"),
        ("bios_date", "bios_date"),
        ("bios_version", "bios_version"),
        ("bios_vendor", "bios_vendor"),
        ("board_name", "board_name"),
        ("board_vendor", "board_vendor"),
        ("chassis_vendor", "chassis_vendor"),
    ];
    for (dmi_name, name) in names {
        set(name, dmi.get(dmi_name).map_or("NA", String::as_str).into());
    }
    let inode = |index: usize| sections.line("chroot", index).to_owned();
    set("is_chroot", (!inode(1).is_empty() && inode(0) != inode(1)).into());
}

fn software(sections: &Sections<'_>, set: Set<'_>) {
    let manager = match sections.line("pkg", 0) {
        "apt-get" => "apt",
        "" => "unknown",
        "yum" if sections.lines("pkg").contains(&"dnf") => "dnf",
        other => other,
    };
    set("pkg_mgr", manager.into());
    let init = sections.text("init");
    let services = match () {
        () if init.contains("systemd") => "systemd",
        () if init.contains("openrc") => "openrc",
        () if init.contains("upstart") => "upstart",
        () if init.contains("runit") => "runit",
        () => "sysvinit",
    };
    set("service_mgr", services.into());
    let python = sections.line("python", 0);
    if !python.is_empty() {
        let version = sections.line("python", 1);
        set("python_version", version.into());
        let numbers: Vec<&str> = version.split('.').collect();
        let number =
            |index: usize| numbers.get(index).and_then(|number| number.parse::<i64>().ok()).unwrap_or_default();
        let info = vec![Value::from(number(0)), number(1).into(), number(2).into(), "final".into(), 0.into()];
        set(
            "python",
            map([
                (
                    "version",
                    map([
                        ("major", Value::from(number(0))),
                        ("minor", number(1).into()),
                        ("micro", number(2).into()),
                        ("releaselevel", "final".into()),
                        ("serial", 0.into()),
                    ]),
                ),
                ("version_info", Value::from(info)),
                ("executable", sections.line("python", 2).into()),
                ("has_sslcontext", true.into()),
                ("type", sections.line("python", 3).into()),
            ]),
        );
        set("discovered_interpreter_python", python.into());
    }
    let (uid, gid) = (sections.line("user", 0), sections.line("user", 1));
    let entry: Vec<&str> = sections.line("user", 3).split(':').collect();
    let field = |index: usize| entry.get(index).copied().unwrap_or_default();
    let number = |text: &str| text.parse::<i64>().unwrap_or_default();
    set("user_id", sections.line("user", 2).into());
    set("user_uid", number(uid).into());
    set("user_gid", number(gid).into());
    set("user_gecos", field(4).into());
    set("user_dir", field(5).into());
    set("user_shell", field(6).into());
    for name in ["real_user_id", "effective_user_id"] {
        set(name, number(uid).into());
    }
    for name in ["real_group_id", "effective_group_id"] {
        set(name, number(gid).into());
    }
    let mut variables: Vec<(String, String)> = vec![];
    for line in sections.lines("env") {
        match line.split_once('=') {
            Some((name, value)) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                variables.push((name.to_owned(), value.to_owned()));
            }
            // A value of several lines.
            _ => {
                if let Some((_, value)) = variables.last_mut() {
                    value.push('\n');
                    value.push_str(line);
                }
            }
        }
    }
    set("env", map(variables));
    let selinux = sections.line("selinux", 0).to_lowercase();
    let status = match selinux.as_str() {
        "" | "disabled" => map([("status", "disabled")]),
        mode => map([("status", "enabled"), ("mode", mode), ("config_mode", mode), ("type", "targeted")]),
    };
    set("selinux", status);
    set("selinux_python_present", true.into());
    let apparmor = if sections.line("apparmor", 0).is_empty() { "disabled" } else { "enabled" };
    set("apparmor", map([("status", apparmor)]));
    set("fips", (sections.line("fips", 0) == "1").into());
    for kind in ["rsa", "dsa", "ecdsa", "ed25519"] {
        let line = sections.line(&format!("sshkey {kind}"), 0).to_owned();
        let words: Vec<&str> = line.split(' ').collect();
        if let [kind_of_key, key, ..] = words.as_slice() {
            set(&format!("ssh_host_key_{kind}_public"), (*key).into());
            set(&format!("ssh_host_key_{kind}_public_keytype"), (*kind_of_key).into());
        }
    }
    let lsb = sections.pairs("lsb", ':');
    if lsb.is_empty() {
        set("lsb", map([] as [(&str, Value); 0]));
    } else {
        let get = |name: &str| lsb.get(name).cloned().unwrap_or_default();
        let release = get("Release");
        let major = release.split('.').next().unwrap_or_default().to_owned();
        set(
            "lsb",
            map([
                ("id", get("Distributor ID")),
                ("description", get("Description")),
                ("release", release),
                ("codename", get("Codename")),
                ("major_release", major),
            ]),
        );
    }
    set("gather_subset", Value::from(vec!["all"]));
    set("module_setup", true.into());
}

fn date(sections: &Sections<'_>, now: i64, set: Set<'_>) {
    let words: Vec<&str> = sections.line("date", 0).split(' ').collect();
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let epoch = sections.line("date", 1);
    let utc = sections.line("date", 2);
    let epoch = if epoch.is_empty() { now.to_string() } else { epoch.to_owned() };
    let (year, month, day) = (word(0), word(1), word(2));
    let (hour, minute, second) = (word(3), word(4), word(5));
    let values: [(&str, String); 20] = [
        ("year", year.into()),
        ("month", month.into()),
        ("weekday", word(11).into()),
        ("weekday_number", word(6).into()),
        ("weeknumber", word(8).into()),
        ("day", day.into()),
        ("hour", hour.into()),
        ("minute", minute.into()),
        ("second", second.into()),
        ("epoch", epoch.clone()),
        ("epoch_int", epoch),
        ("date", format!("{year}-{month}-{day}")),
        ("time", format!("{hour}:{minute}:{second}")),
        ("iso8601_micro", format!("{utc}.000000Z")),
        ("iso8601", format!("{utc}Z")),
        ("iso8601_basic", format!("{year}{month}{day}T{hour}{minute}{second}000000")),
        ("iso8601_basic_short", format!("{year}{month}{day}T{hour}{minute}{second}")),
        ("tz", word(9).into()),
        ("tz_dst", word(9).into()),
        ("tz_offset", word(10).into()),
    ];
    set("date_time", map(values));
}

fn local(sections: &Sections<'_>, set: Set<'_>) {
    let mut facts: Vec<(String, Value)> = vec![];
    for (name, lines) in sections.all() {
        let Some(name) = name.strip_prefix("local ") else { continue };
        let text = lines.join("\n");
        let value = parse_json(&text).ok().or_else(|| ini(&text));
        let value = value.unwrap_or_else(|| {
            Value::from(format!("error loading facts as JSON or ini - please check content: {name}.fact"))
        });
        facts.push((name.to_owned(), value));
    }
    if sections.has("facts.d") {
        set("local", map(facts));
    }
}

/// An INI file: sections of texts.
fn ini(text: &str) -> Option<Value> {
    let mut sections: Vec<(String, Vec<(String, String)>)> = vec![];
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push((name.to_owned(), vec![]));
            continue;
        }
        let (name, value) = line.split_once('=').or_else(|| line.split_once(':'))?;
        sections.last_mut()?.1.push((name.trim().to_lowercase(), value.trim().to_owned()));
    }
    Some(map(sections.into_iter().map(|(name, entries)| (name, map(entries)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "
=== files
/etc/os-release:NAME=\"Debian GNU/Linux\"
/etc/os-release:VERSION_ID=\"12\"
/etc/os-release:VERSION_CODENAME=bookworm
/etc/os-release:ID=debian
/etc/debian_version:12.5
/proc/meminfo:MemTotal:        2048000 kB
/proc/meminfo:MemFree:         1024000 kB
/proc/1/comm:systemd
/sys/class/net/eth0/address:00:16:3e:00:00:01
/sys/class/net/eth0/mtu:1500
/sys/class/net/eth0/operstate:up
/sys/class/net/eth0/type:1

=== uname
Linux
web-1
6.1.0-18-amd64
x86_64
#1 SMP

=== addresses
2: eth0    inet 10.0.3.5/24 brd 10.0.3.255 scope global eth0\\       valid_lft forever

=== source4
8.8.8.8 via 10.0.3.1 dev eth0 src 10.0.3.5 uid 0

=== pkg
apt-get

=== init
/usr/lib/systemd/systemd
systemd

=== facts.d
=== local app
[general]
Port = 80

=== end
";

    #[test]
    fn facts_as_ansible_names_them() {
        let facts = read(PRINTED, 0);
        let text = |name: &str| facts[name].to_string();
        assert_eq!(text("distribution"), "Debian");
        assert_eq!(text("distribution_version"), "12.5");
        assert_eq!(text("distribution_release"), "bookworm");
        assert_eq!(text("os_family"), "Debian");
        assert_eq!(text("memtotal_mb"), "2000");
        assert_eq!(text("pkg_mgr"), "apt");
        assert_eq!(text("service_mgr"), "systemd");
        let default = &facts["default_ipv4"];
        assert_eq!(default.get_attr("gateway").unwrap().to_string(), "10.0.3.1");
        assert_eq!(default.get_attr("network").unwrap().to_string(), "10.0.3.0");
        assert_eq!(facts["eth0"].get_attr("ipv4").unwrap().get_attr("address").unwrap().to_string(), "10.0.3.5");
        let port = facts["local"].get_attr("app").unwrap().get_attr("general").unwrap().get_attr("port").unwrap();
        assert_eq!(port.to_string(), "80");
    }
}
