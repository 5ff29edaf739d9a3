//! What helps where a project's restrictions forbid something: LXD's and Incus' words name the rule, not its key.

/// LXD's words (its `project/permissions.go`, the same in Incus), the project's key, and the value that permits it.
const RULES: &[(&str, &str, &str)] = &[
    ("Container nesting is forbidden", "restricted.containers.nesting", "allow"),
    ("Privileged containers are forbidden", "restricted.containers.privilege", "allow"),
    ("Non-isolated containers are forbidden", "restricted.containers.privilege", "unprivileged"),
    ("syscall interception is forbidden", "restricted.containers.interception", "allow"),
    ("Use of low-level", "restricted.containers.lowlevel", "allow"),
    ("Network devices are forbidden", "restricted.devices.nic", "managed"),
    ("Only managed network devices are allowed", "restricted.devices.nic", "allow"),
    ("Network not allowed in project", "restricted.networks.access", "NETWORK,NETWORK"),
    ("Disk devices are forbidden", "restricted.devices.disk", "managed"),
    ("Attaching disks not backed by a pool is forbidden", "restricted.devices.disk", "allow"),
    ("Disk source path", "restricted.devices.disk.paths", "PATH,PATH"),
    ("Proxy devices are forbidden", "restricted.devices.proxy", "allow"),
    ("GPU devices are forbidden", "restricted.devices.gpu", "allow"),
    ("USB devices are forbidden", "restricted.devices.usb", "allow"),
    ("PCI devices are forbidden", "restricted.devices.pci", "allow"),
    ("Infiniband devices are forbidden", "restricted.devices.infiniband", "allow"),
    ("Unix character devices are forbidden", "restricted.devices.unix-char", "allow"),
    ("Unix block devices are forbidden", "restricted.devices.unix-block", "allow"),
    ("Unix hotplug devices are forbidden", "restricted.devices.unix-hotplug", "allow"),
];

/// What permits what was refused, or how it is done without. `program` is the administrator's client.
pub fn remedy(message: &str, program: &str) -> Option<String> {
    if let Some((_, key, value)) = RULES.iter().find(|(words, _, _)| message.contains(words)) {
        let project = project(message)?;
        // The one rule whose key depends on what it is about.
        let key = match *key {
            "restricted.containers.lowlevel" if message.contains("virtual-machine") => {
                "restricted.virtual-machines.lowlevel"
            }
            key => key,
        };
        return Some(format!(
            "the project `{project}` is restricted; `{program} project set {project} {key}={value}` at the server, by \
             somebody whose certificate is not, permits it"
        ));
    }
    if message.starts_with("Reached maximum") {
        let project = project(message)?;
        return Some(format!(
            "the project `{project}` has limits; `{program} project info {project}` shows what is used of them, and \
             `{program} project set {project} LIMIT=VALUE` at the server raises one"
        ));
    }
    let is_restricted =
        message == "not authorized" || message == "Forbidden" || message.starts_with("Certificate is restricted");
    (is_restricted || message.starts_with("User does not have permission")).then(|| {
        format!(
            "this client's certificate is restricted; `{program} config trust list` at the server shows to which projects"
        )
    })
}

/// The project's name, as it stands in LXD's words: `of project "acme"`.
fn project(message: &str) -> Option<&str> {
    message.split_once("project \"")?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_behind_the_words() {
        let device = "Failed checking if instance creation allowed: Invalid device \"p\" on container \"a\" of project \"acme\": Proxy devices are forbidden";
        assert!(remedy(device, "lxc").unwrap().contains("`lxc project set acme restricted.devices.proxy=allow`"));
        let lowlevel = "Use of low-level config \"raw.qemu\" on virtual-machine \"a\" of project \"acme\" is forbidden";
        assert!(
            remedy(lowlevel, "incus")
                .unwrap()
                .contains("`incus project set acme restricted.virtual-machines.lowlevel=allow`")
        );
        let limit = "Reached maximum aggregate value \"1GiB\" for \"limits.memory\" in project \"acme\"";
        assert!(remedy(limit, "lxc").unwrap().contains("lxc project info acme"));
        assert!(remedy("Certificate is restricted", "lxc").unwrap().contains("config trust list"));
        assert_eq!(remedy("Invalid devices: no pool", "lxc"), None);
    }
}
