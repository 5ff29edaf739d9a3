//! Facts of memory, processors and file systems.

use std::collections::BTreeMap;

use super::facts::Set;
use super::facts_sections::Sections;
use crate::template::{Value, map};

/// Memory, processors, mounts.
pub(super) fn hardware(sections: &Sections<'_>, set: Set<'_>) {
    let memory = sections.pairs("meminfo", ':');
    let megabytes = |name: &str| {
        let kilobytes = memory.get(name).and_then(|value| value.split(' ').next()?.parse::<i64>().ok());
        kilobytes.unwrap_or_default() / 1024
    };
    let (total, free) = (megabytes("MemTotal"), megabytes("MemFree"));
    let (cached, buffers) = (megabytes("Cached"), megabytes("Buffers"));
    let (swap, swap_free) = (megabytes("SwapTotal"), megabytes("SwapFree"));
    set("memtotal_mb", total.into());
    set("memfree_mb", free.into());
    set("swaptotal_mb", swap.into());
    set("swapfree_mb", swap_free.into());
    let unused = free + cached + buffers;
    set(
        "memory_mb",
        map([
            ("real", map([("total", total), ("used", total - free), ("free", free)])),
            ("nocache", map([("free", unused), ("used", total - unused)])),
            (
                "swap",
                map([
                    ("total", swap),
                    ("used", swap - swap_free),
                    ("free", swap_free),
                    ("cached", megabytes("SwapCached")),
                ]),
            ),
        ]),
    );
    let mut processors: Vec<String> = vec![];
    let (mut vcpus, mut sockets, mut cores, mut siblings) = (0_i64, std::collections::BTreeSet::new(), 1_i64, 1_i64);
    for line in sections.lines("cpuinfo") {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.trim() {
            "processor" => {
                vcpus += 1;
                processors.push(value.to_owned());
            }
            "vendor_id" | "model name" | "Processor" => processors.push(value.to_owned()),
            "physical id" => {
                sockets.insert(value.to_owned());
            }
            "cpu cores" => cores = value.parse().unwrap_or(1),
            "siblings" => siblings = value.parse().unwrap_or(1),
            _ => {}
        }
    }
    let count = i64::try_from(sockets.len()).unwrap_or(1);
    let count = if count == 0 { vcpus } else { count };
    let threads = (siblings / cores.max(1)).max(1);
    set("processor", Value::from(processors));
    set("processor_count", count.into());
    set("processor_cores", cores.into());
    set("processor_threads_per_core", threads.into());
    set("processor_vcpus", vcpus.into());
    let nproc = sections.line("nproc", 0).parse::<i64>().unwrap_or(vcpus);
    set("processor_nproc", nproc.into());
    let uptime = sections.line("uptime", 0).split('.').next().and_then(|seconds| seconds.parse::<i64>().ok());
    set("uptime_seconds", uptime.unwrap_or_default().into());
    let sizes: BTreeMap<&str, Vec<&str>> = sections
        .lines("sizes")
        .iter()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some((*words.last()?, words))
        })
        .collect();
    let mut mounts = vec![];
    for line in sections.lines("mounts") {
        let words: Vec<&str> = line.split(' ').collect();
        let &[device, mount, kind, options, ..] = words.as_slice() else { continue };
        let is_shown =
            device.starts_with('/') || device.contains(":/") || kind == "fuseblk" || kind == "zfs" || kind == "btrfs";
        if !is_shown || kind == "none" {
            continue;
        }
        let mut entry: Vec<(&str, Value)> = vec![
            ("mount", mount.into()),
            ("device", device.into()),
            ("fstype", kind.into()),
            ("options", options.into()),
            ("dump", 0.into()),
            ("passno", 0.into()),
        ];
        if let Some(words) = sizes.get(mount) {
            let number = |index: usize| words.get(index).and_then(|word| word.parse::<i64>().ok()).unwrap_or_default();
            let [free, blocks, inodes, free_inodes, size, unit] = [0, 1, 2, 3, 4, 5].map(number);
            let sizes = [
                ("size_total", blocks * unit),
                ("size_available", free * unit),
                ("block_size", size),
                ("block_total", blocks),
                ("block_available", free),
                ("block_used", blocks - free),
                ("inode_total", inodes),
                ("inode_available", free_inodes),
                ("inode_used", inodes - free_inodes),
            ];
            entry.extend(sizes.map(|(name, number)| (name, number.into())));
        }
        entry.push(("uuid", "N/A".into()));
        mounts.push(map(entry));
    }
    set("mounts", Value::from(mounts));
    set("devices", map([] as [(&str, Value); 0]));
    let empty = || map([("ids", map([] as [(&str, Value); 0]))]);
    set("device_links", empty());
}
