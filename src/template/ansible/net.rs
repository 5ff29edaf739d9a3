//! `ipaddr` and its like, as far as they are used for configuration.

use core::net::IpAddr;

use ipnet::IpNet;
use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::convert::text;
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    for (name, version) in [("ipaddr", None), ("ipv4", Some(4)), ("ipv6", Some(6))] {
        words.add_filter(name, move |value: &Value, query: Option<Value>| -> Result<Value, Error> {
            let query = query.map(|query| text(&query)).unwrap_or_default();
            if matches!(value.kind(), ValueKind::Seq) {
                let found =
                    value.try_iter()?.map(|value| ipaddr(&value, &query, version)).collect::<Result<Vec<_>, _>>()?;
                return Ok(Value::from(
                    found.into_iter().filter(|value| *value != Value::from(false)).collect::<Vec<_>>(),
                ));
            }
            ipaddr(value, &query, version)
        });
    }
    words.add_filter("ipwrap", |value: &Value| {
        let text = text(value);
        if text.split('/').next().is_some_and(|ip| ip.parse::<core::net::Ipv6Addr>().is_ok()) {
            let (ip, prefix) =
                text.split_once('/').map_or((text.as_str(), String::new()), |(ip, prefix)| (ip, format!("/{prefix}")));
            return format!("[{ip}]{prefix}");
        }
        text
    });
    words.add_filter("ipsubnet", |value: &Value, prefix: Option<u8>, index: Option<usize>| -> Result<Value, Error> {
        let network: IpNet = parse(&text(value)).ok_or_else(|| wrong(format!("{} is no network", text(value))))?.1;
        let Some(prefix) = prefix else { return Ok(Value::from(network.to_string())) };
        let mut subnets = network.subnets(prefix).map_err(|error| wrong(error.to_string()))?;
        match index {
            Some(index) => Ok(subnets.nth(index).map_or(Value::from(false), |subnet| Value::from(subnet.to_string()))),
            None => Ok(Value::from(subnets.count().to_string())),
        }
    });
    words.add_test("ip_address", |value: &Value| text(value).parse::<IpAddr>().is_ok());
    words.add_test("ip", |value: &Value| text(value).parse::<IpAddr>().is_ok());
}

/// An address with its network; a bare address is a network of its own.
fn parse(text: &str) -> Option<(IpAddr, IpNet, bool)> {
    match text.split_once('/') {
        Some((ip, prefix)) => {
            let ip: IpAddr = ip.parse().ok()?;
            let prefix = match prefix.parse::<u8>() {
                Ok(prefix) => prefix,
                Err(_) => ipnet::ip_mask_to_prefix(prefix.parse().ok()?).ok()?,
            };
            Some((ip, IpNet::new(ip, prefix).ok()?, true))
        }
        None => {
            let ip: IpAddr = text.parse().ok()?;
            Some((ip, IpNet::from(ip), false))
        }
    }
}

fn ipaddr(value: &Value, query: &str, version: Option<u8>) -> Result<Value, Error> {
    let no = Ok(Value::from(false));
    let written = text(value);
    let Some((ip, net, has_prefix)) = parse(written.trim()) else { return no };
    if version.is_some_and(|version| (version == 4) != ip.is_ipv4()) {
        return no;
    }
    let network = net.trunc();
    let text = |text: String| Ok(Value::from(text));
    match query {
        "" => text(written),
        "address" | "ip" => text(ip.to_string()),
        "network" => text(network.addr().to_string()),
        "netmask" => text(net.netmask().to_string()),
        "hostmask" | "wildcard" => text(net.hostmask().to_string()),
        "broadcast" => text(net.broadcast().to_string()),
        "prefix" => Ok(Value::from(i64::from(net.prefix_len()))),
        "host" | "host/prefix" | "address/prefix" if has_prefix || query == "host" => {
            text(format!("{ip}/{}", net.prefix_len()))
        }
        "subnet" | "network/prefix" => text(network.to_string()),
        "net" => {
            if has_prefix && net.addr() == network.addr() && net.prefix_len() < net.max_prefix_len() {
                text(network.to_string())
            } else {
                no
            }
        }
        "size" => {
            let bits = u32::from(net.max_prefix_len() - net.prefix_len());
            Ok(1_u64.checked_shl(bits).map_or(Value::from(2_f64.powi(i32::try_from(bits).unwrap_or(0))), Value::from))
        }
        "version" => Ok(Value::from(if ip.is_ipv4() { 4 } else { 6 })),
        "private" => match ip {
            IpAddr::V4(ip) if ip.is_private() => text(written),
            IpAddr::V6(ip) if (ip.segments()[0] & 0xfe00) == 0xfc00 => text(written),
            _ => no,
        },
        "public" => match ip {
            IpAddr::V4(ip) if !ip.is_private() && !ip.is_loopback() && !ip.is_link_local() => text(written),
            IpAddr::V6(ip) if (ip.segments()[0] & 0xe000) == 0x2000 => text(written),
            _ => no,
        },
        "loopback" => {
            if ip.is_loopback() {
                text(written)
            } else {
                no
            }
        }
        "first_usable" | "range_usable" | "last_usable" | "gateway" | "gw" => {
            let mut hosts = network.hosts();
            let first = hosts.next();
            match query {
                "last_usable" => hosts.last().or(first).map_or(no, |ip| text(ip.to_string())),
                "range_usable" => match (first, hosts.last()) {
                    (Some(first), Some(last)) => text(format!("{first}-{last}")),
                    _ => no,
                },
                _ => first.map_or(no, |ip| text(ip.to_string())),
            }
        }
        "revdns" => match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                text(format!("{d}.{c}.{b}.{a}.in-addr.arpa."))
            }
            IpAddr::V6(_) => Err(wrong("ipaddr('revdns') is for IPv4 here")),
        },
        number if number.parse::<i128>().is_ok() => {
            let index: i128 = number.parse().unwrap_or(0);
            let pick = |first: u128, last: u128| {
                let offset =
                    if index < 0 { last.checked_add_signed(index + 1) } else { first.checked_add_signed(index) };
                offset.filter(|found| *found >= first && *found <= last)
            };
            let found = match (network.addr(), network.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    pick(u128::from(u32::from(first)), u128::from(u32::from(last)))
                        .and_then(|found| u32::try_from(found).ok())
                        .map(|found| core::net::Ipv4Addr::from(found).to_string())
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    pick(u128::from(first), u128::from(last)).map(|found| core::net::Ipv6Addr::from(found).to_string())
                }
                _ => None,
            };
            found.map_or(no, |found| text(format!("{found}/{}", net.prefix_len())))
        }
        within => match parse(within) {
            Some((_, other, _)) => {
                if other.trunc().contains(&ip) {
                    text(written)
                } else {
                    no
                }
            }
            None => Err(wrong(format!("ipaddr has no query `{within}`"))),
        },
    }
}
