//! Facts of interfaces and addresses.

use std::collections::BTreeMap;

use super::facts::Set;
use super::facts_sections::Sections;
use crate::template::{Value, map};

#[derive(Default)]
struct Interface {
    link: Vec<(String, Value)>,
    ipv4: Vec<Value>,
    ipv6: Vec<Value>,
}

/// Interfaces, addresses, the default routes, name servers.
pub(super) fn network(sections: &Sections<'_>, set: Set<'_>) {
    let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
    let mut links: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for line in sections.lines("links") {
        if let Some((path, content)) = line.split_once(':')
            && let Some((name, attribute)) = path.split_once('/')
        {
            links.entry(name).or_default().insert(attribute, content.trim());
        }
    }
    for (name, attributes) in links {
        let value = |key: &str| attributes.get(key).copied().unwrap_or_default();
        let is_bridge = sections.lines("bridges").contains(&format!("/sys/class/net/{name}/bridge").as_str());
        let kind = match (value("type"), is_bridge) {
            ("772", _) => "loopback",
            (_, true) => "bridge",
            ("1", _) => "ether",
            _ => "unknown",
        };
        let active = matches!(value("operstate"), "up" | "unknown");
        let mut link: Vec<(String, Value)> = vec![("device".into(), name.into())];
        if kind != "loopback" && !value("address").is_empty() {
            link.push(("macaddress".into(), value("address").into()));
        }
        link.extend(value("speed").parse::<i64>().ok().map(|speed| ("speed".into(), speed.into())));
        link.push(("mtu".into(), value("mtu").parse::<i64>().unwrap_or_default().into()));
        link.push(("active".into(), active.into()));
        link.push(("type".into(), kind.into()));
        link.push(("promisc".into(), false.into()));
        interfaces.insert(name.to_owned(), Interface { link, ..Interface::default() });
    }
    let (mut all4, mut all6) = (vec![], vec![]);
    let mut current = String::new();
    for line in sections.lines("addresses") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (family, rest) = match words.as_slice() {
            // `ip -o`: `2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0`
            [number, name, family @ ("inet" | "inet6"), rest @ ..] if number.ends_with(':') => {
                (*name).clone_into(&mut current);
                (*family, rest)
            }
            // busybox without -o
            [number, name, ..] if number.ends_with(':') && number.trim_end_matches(':').parse::<u32>().is_ok() => {
                current = name.trim_end_matches(':').split('@').next().unwrap_or_default().to_owned();
                continue;
            }
            [family @ ("inet" | "inet6"), rest @ ..] => (*family, rest),
            _ => continue,
        };
        let name = current.split('@').next().unwrap_or_default().to_owned();
        let Some((address, prefix)) = rest.first().and_then(|word| word.split_once('/')) else { continue };
        let after = |word: &str| rest.iter().position(|known| *known == word).and_then(|at| rest.get(at + 1)).copied();
        let scope = after("scope").unwrap_or("global");
        let interface = interfaces.entry(name.clone()).or_default();
        if family == "inet" {
            let bits = prefix.parse::<u32>().unwrap_or(32);
            interface.ipv4.push(address4(address, bits, after("brd").unwrap_or_default()));
            if !address.starts_with("127.") {
                all4.push(address.to_owned());
            }
        } else {
            interface.ipv6.push(map([("address", address), ("prefix", prefix), ("scope", scope)]));
            if address != "::1" {
                all6.push(address.to_owned());
            }
        }
    }
    let default = |route: &str, family: &str| -> Value {
        let words: Vec<&str> = route.split_whitespace().collect();
        let after =
            |word: &str| words.iter().position(|known| *known == word).and_then(|at| words.get(at + 1)).copied();
        let (Some(device), Some(source)) = (after("dev"), after("src")) else { return map([] as [(&str, Value); 0]) };
        let Some(interface) = interfaces.get(device) else { return map([] as [(&str, Value); 0]) };
        let addresses = if family == "4" { &interface.ipv4 } else { &interface.ipv6 };
        let own = addresses
            .iter()
            .find(|value| value.get_attr("address").is_ok_and(|address| address.as_str() == Some(source)));
        let mut entry: Vec<(String, Value)> = vec![];
        entry.extend(after("via").map(|gateway| ("gateway".to_owned(), Value::from(gateway))));
        entry.push(("interface".into(), device.into()));
        entry.extend(own.map(|value| crate::tasks::entries(value).into_iter().collect::<Vec<_>>()).unwrap_or_default());
        entry.extend(
            interface.link.iter().filter(|(name, _)| ["macaddress", "mtu", "type"].contains(&name.as_str())).cloned(),
        );
        entry.push(("alias".into(), device.into()));
        map(entry)
    };
    let default4 = default(sections.line("source4", 0), "4");
    let default6 = default(sections.line("source6", 0), "6");
    set("interfaces", Value::from(interfaces.keys().cloned().collect::<Vec<_>>()));
    set("all_ipv4_addresses", Value::from(all4));
    set("all_ipv6_addresses", Value::from(all6));
    set("default_ipv4", default4);
    set("default_ipv6", default6);
    for (name, interface) in interfaces {
        let mut entry = interface.link;
        let mut four = interface.ipv4.into_iter();
        if let Some(first) = four.next() {
            entry.push(("ipv4".into(), first));
        }
        let others: Vec<Value> = four.collect();
        if !others.is_empty() {
            entry.push(("ipv4_secondaries".into(), Value::from(others)));
        }
        if !interface.ipv6.is_empty() {
            entry.push(("ipv6".into(), Value::from(interface.ipv6)));
        }
        set(&name.replace(['-', ':', '.'], "_"), map(entry));
    }
    let (mut servers, mut search) = (vec![], vec![]);
    for line in sections.lines("resolv") {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["nameserver", server, ..] => servers.push((*server).to_owned()),
            ["search" | "domain", names @ ..] => search.extend(names.iter().map(|name| (*name).to_owned())),
            _ => {}
        }
    }
    let mut dns: Vec<(&str, Value)> = vec![];
    if !servers.is_empty() {
        dns.push(("nameservers", Value::from(servers)));
    }
    if !search.is_empty() {
        dns.push(("search", Value::from(search)));
    }
    set("dns", map(dns));
}

fn address4(address: &str, bits: u32, broadcast: &str) -> Value {
    let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits.min(32)) };
    let own = address.parse::<core::net::Ipv4Addr>().map(u32::from).unwrap_or_default();
    let shown = |number: u32| core::net::Ipv4Addr::from(number).to_string();
    map([
        ("address", address.to_owned()),
        ("broadcast", broadcast.to_owned()),
        ("netmask", shown(mask)),
        ("network", shown(own & mask)),
        ("prefix", bits.to_string()),
    ])
}
