//! The sections of what the facts' script printed.

use std::collections::BTreeMap;

/// The sections by name.
pub(super) struct Sections<'a>(BTreeMap<&'a str, Vec<&'a str>>);

/// What files are called here; those below other directories go by what follows the directory.
const FILES: &[(&str, &str)] = &[
    ("/etc/os-release", "os_release"),
    ("/etc/debian_version", "debian_version"),
    ("/etc/alpine-release", "alpine_release"),
    ("/etc/redhat-release", "redhat_release"),
    ("/etc/machine-id", "machine_id"),
    ("/etc/resolv.conf", "resolv"),
    ("/proc/meminfo", "meminfo"),
    ("/proc/cpuinfo", "cpuinfo"),
    ("/proc/uptime", "uptime"),
    ("/proc/cmdline", "cmdline"),
    ("/proc/loadavg", "loadavg"),
    ("/proc/1/comm", "init"),
    ("/proc/sys/crypto/fips_enabled", "fips"),
    ("/proc/mounts", "mounts"),
    ("/run/systemd/container", "virt"),
    ("/etc/ssh/ssh_host_rsa_key.pub", "sshkey rsa"),
    ("/etc/ssh/ssh_host_dsa_key.pub", "sshkey dsa"),
    ("/etc/ssh/ssh_host_ecdsa_key.pub", "sshkey ecdsa"),
    ("/etc/ssh/ssh_host_ed25519_key.pub", "sshkey ed25519"),
];

/// Directories whose files are lines `NAME:CONTENT` of one section.
const DIRECTORIES: &[(&str, &str)] = &[("/sys/class/dmi/id/", "dmi"), ("/sys/class/net/", "links")];

impl<'a> Sections<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut name = "";
        for line in text.lines() {
            match line.strip_prefix("=== ") {
                Some(next) => {
                    // The empty line before a mark is the mark's own.
                    if let Some(lines) = sections.get_mut(name)
                        && lines.last() == Some(&"")
                    {
                        lines.pop();
                    }
                    name = next;
                    sections.entry(name).or_default();
                }
                None => sections.entry(name).or_default().push(line),
            }
        }
        for line in sections.remove("files").unwrap_or_default() {
            if let Some((name, rest)) =
                DIRECTORIES.iter().find_map(|(path, name)| Some((name, line.strip_prefix(path)?)))
            {
                sections.entry(name).or_default().push(rest);
            } else if let Some((path, content)) = line.split_once(':')
                && let Some((_, name)) = FILES.iter().find(|(known, _)| *known == path)
            {
                sections.entry(name).or_default().push(content);
            }
        }
        Sections(sections)
    }

    /// Every section and its lines.
    pub(super) fn all(&self) -> &BTreeMap<&'a str, Vec<&'a str>> {
        &self.0
    }

    /// Is there such a section?
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn lines(&self, name: &str) -> &[&'a str] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn line(&self, name: &str, index: usize) -> &'a str {
        self.lines(name).get(index).copied().unwrap_or_default().trim()
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.lines(name).join("\n")
    }

    pub(super) fn pairs(&self, name: &str, separator: char) -> BTreeMap<&'a str, String> {
        let pair = |line: &&'a str| {
            let (name, value) = line.split_once(separator)?;
            Some((name.trim(), value.trim().trim_matches('"').trim_matches('\'').to_owned()))
        };
        self.lines(name).iter().filter_map(pair).collect()
    }
}
