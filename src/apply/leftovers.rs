//! What a daemon that was killed leaves on its host, beyond the reach of its own API. Seen on LXD 5.0.2: it forgets
//! the bridge and the dnsmasq of a network whose creation it did not end, deletes the network without them, and
//! cannot make it again.

/// Why a network that is deleted is not gone.
pub(super) fn bridge(name: &str) -> String {
    format!(
        "deleted, but its bridge is left, since its creation or deletion was interrupted: at the server, end its \
         dnsmasq (`pgrep -af -- --interface={name}` shows it) and `ip link delete {name}`"
    )
}

/// What to do at the server, where LXD's words are those of such a leftover.
pub(super) fn remedy(message: &str) -> Option<String> {
    let quoted = |before: &str| message.split_once(before)?.1.split_once('"').map(|(name, _)| name);
    if let Some(name) = quoted("Network interface \"").filter(|_| message.contains("already exists")) {
        return Some(format!(
            "LXD does not know that interface; a creation that was interrupted leaves one behind. If it is that: at the \
             server, end its dnsmasq (`pgrep -af -- --interface={name}` shows it), `ip link delete {name}`, apply again"
        ));
    }
    if let Some(name) = quoted("Network \"").filter(|_| message.contains("unavailable on this server")) {
        return Some(crate::plan::unavailable(name));
    }
    if message.contains("dnsmasq: Could not") && message.contains("process not initialized") {
        return Some(
            "LXD was ended while it wrote down the dnsmasq of a network: at the server, below LXD's directory (the snap's is \
             /var/snap/lxd/common/lxd), one of networks/*/dnsmasq.pid is empty; end that network's dnsmasq (`pgrep -af -- \
             --interface=NAME` shows it), delete the file, restart LXD, apply again"
                .to_owned(),
        );
    }
    if message.contains("Instance storage pool not found") {
        return Some(
            "LXD was ended in the middle of a rename: the instance's volume has the new name already; at the server, give it \
             the old one back: `lxd sql global \"UPDATE storage_volumes SET name = 'OLD' WHERE name = 'NEW'\"`, and move its \
             directory below storage-pools back if that has the new name too; apply again"
                .to_owned(),
        );
    }
    let address = message.split_once("listening socket for ")?.1.split_once(": Address already in use")?.0;
    Some(format!(
        "another dnsmasq answers there; a network whose creation was interrupted leaves one behind: at the server, \
         end it (`pgrep -af -- --listen-address={address}` shows it), apply again"
    ))
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[test]
    fn lxds_words_of_what_it_left() {
        let bridge = remedy(r#"Network interface "acmebr0" already exists"#).unwrap();
        assert!(bridge.contains("ip link delete acmebr0"), "{bridge}");
        let start = remedy(r#"Failed pre-start check for device "eth0": Network "acmebr0" unavailable on this server"#)
            .unwrap();
        assert!(start.contains("--interface=acmebr0`"), "{start}");
        let dns = r#"exited prematurely: ("dnsmasq: failed to create listening socket for 10.1.2.1: Address already in use")"#;
        assert!(remedy(dns).unwrap().contains("--listen-address=10.1.2.1`"));
        let reload = "Failed to add device \"eth0\": Could not reload dnsmasq: Could not reload process: os: process not initialized";
        assert!(remedy(reload).unwrap().contains("networks/*/dnsmasq.pid is empty"));
        let rename = "Failed loading instance storage pool: Failed getting instance storage pool name: Instance storage pool not found";
        assert!(remedy(rename).unwrap().contains("UPDATE storage_volumes SET name"));
        assert_eq!(remedy("The network already exists"), None);
        assert_eq!(remedy("Invalid devices"), None);
    }
}
