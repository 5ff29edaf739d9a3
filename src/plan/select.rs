//! `--target` and `--exclude`: a part of the plan.

use std::collections::{HashMap, HashSet};

use super::options::Options;
use super::{Action, Plan, Refusal};
use crate::diagnostic::nearest;
use crate::kinds::Object;
use crate::model::Address;
use crate::site::{Site, graph};

/// Leaves out what was not asked for.
pub(super) fn select(plan: &mut Plan, site: &Site, wanted: &[Object], options: &Options) {
    if options.targets.is_empty() && options.excludes.is_empty() {
        return;
    }
    plan.partial = true;
    let known: HashSet<Address> = plan
        .changes
        .iter()
        .map(|change| change.address.clone())
        .chain(wanted.iter().map(|object| object.address.clone()))
        .chain(site.groups.keys().cloned())
        .collect();
    for (flag, addresses) in [("--target", &options.targets), ("--exclude", &options.excludes)] {
        for address in addresses.iter().filter(|address| !known.contains(address)) {
            plan.refused.push(unknown(flag, address, known.iter()));
        }
    }
    let expand = |addresses: &[Address]| -> Vec<Address> {
        addresses
            .iter()
            .flat_map(|address| site.groups.get(address).cloned().unwrap_or_else(|| vec![address.clone()]))
            .collect()
    };
    let edges = graph::edges(wanted);
    let index: HashMap<&Address, usize> = wanted.iter().enumerate().map(|(i, object)| (&object.address, i)).collect();
    let closure = |addresses: &[Address], follow: &dyn Fn((usize, usize)) -> (usize, usize)| -> HashSet<Address> {
        let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
        for edge in &edges {
            let (from, to) = follow(*edge);
            next.entry(from).or_default().push(to);
        }
        let mut found: HashSet<Address> = addresses.iter().cloned().collect();
        let mut todo: Vec<usize> = addresses.iter().filter_map(|address| index.get(address).copied()).collect();
        while let Some(from) = todo.pop() {
            for &to in next.get(&from).into_iter().flatten() {
                if found.insert(wanted[to].address.clone()) {
                    todo.push(to);
                }
            }
        }
        found
    };
    let targets = expand(&options.targets);
    // A destroy takes along what needs the target, everything else what the target needs.
    let included = if options.destroy { closure(&targets, &|(a, b)| (b, a)) } else { closure(&targets, &|edge| edge) };
    let excludes = expand(&options.excludes);
    let excluded =
        if options.destroy { closure(&excludes, &|edge| edge) } else { closure(&excludes, &|(a, b)| (b, a)) };
    let keep = |address: &Address, is_deletion: bool| {
        let asked = targets.is_empty()
            || if is_deletion && !options.destroy { targets.contains(address) } else { included.contains(address) };
        asked && !excluded.contains(address)
    };
    let kept: Vec<bool> =
        plan.changes.iter().map(|change| keep(&change.address, change.action == Action::Delete)).collect();
    let mut of_changes = kept.iter();
    plan.changes.retain(|_| *of_changes.next().unwrap_or(&true));
    let mut of_work = kept.iter();
    plan.work.retain(|_| *of_work.next().unwrap_or(&true));
    plan.refused.retain(|refusal| {
        refusal.code == "unknown-address" || refusal.address.as_ref().is_none_or(|address| keep(address, false))
    });
    plan.notes.retain(|note| note.address.as_ref().is_none_or(|address| keep(address, false)));
}

/// The refusal of an address that stands for nothing.
pub(super) fn unknown<'a>(flag: &str, address: &Address, known: impl Iterator<Item = &'a Address>) -> Refusal {
    let names: Vec<String> = known.map(ToString::to_string).collect();
    let written = address.to_string();
    let help = match nearest(&written, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => "an address is SECTION.KEY, as `lxdeploy plan` shows them".to_owned(),
    };
    Refusal {
        address: None,
        code: "unknown-address",
        text: format!("{flag} {written}: there is no such object in the site"),
        help,
        span: None,
    }
}
