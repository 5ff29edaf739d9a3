//! From a live server to a site file: what lives in a project, as a person would write it.
//!
//! The file plans to `adopt` and nothing else: each leaf that it declares is as it is at the server. What LXD
//! fills in itself is left out, and so is what other sites own. What the file names and does not define (a
//! shared pool, a bridge of `default`) is external.

mod objects;
mod yaml;

use std::collections::{BTreeMap, HashMap};

use crate::kinds::{self, Kind, Place, Raw, Record, image};
use crate::live::Snapshot;
use crate::model::{Address, Id};
use crate::plan::{Owner, owner, stamped_name};
use yaml::{Entry, Yaml};

/// What is to be exported.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The site's name; `None` makes one of the project's.
    pub site: Option<String>,
    /// The project.
    pub project: String,
    /// The remote as the user named it.
    pub remote: Option<String>,
    /// Objects that the file is to define too: beyond the project (pools, networks of `default`), or of nobody where
    /// the site has applied something already.
    pub with: Vec<Address>,
}

/// A site file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its text.
    pub text: String,
    /// How many objects it defines.
    pub objects: usize,
}

/// An object that goes into the file.
struct Found<'a> {
    kind: &'static dyn Kind,
    id: &'a Id,
    live: &'a Raw,
    /// What was last applied, where it is the very site's.
    record: Option<Record>,
    key: String,
}

/// The name of the site of a project, where the user gives none.
pub fn site_name(project: &str) -> String {
    let mut name: String = project
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(32)
        .collect();
    if name.len() < 2 {
        name = format!("site-{name}");
    }
    name
}

/// Writes the site file of a project.
///
/// # Errors
/// The project, or what `with` names, is not there.
pub fn site_file(snapshot: &Snapshot, options: &Options) -> Result<Exported, String> {
    let project = &options.project;
    if !snapshot.projects.exists(project) {
        let names: Vec<&str> = snapshot.all("projects").map(|(id, _)| id.name.as_str()).collect();
        let known = if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) };
        return Err(format!("there is no project `{project}` at the server{known}"));
    }
    let site = options.site.clone().unwrap_or_else(|| site_name(project));
    if site_name(&site) != site {
        return Err(format!("--site {site}: a site's name has 2 to 32 characters of a-z, 0-9 and `-`"));
    }
    let called = names_of_images(snapshot, &site);
    // A site that has applied something is written as it applied it, so that its next plan is empty.
    let is_applied = kinds::all().iter().copied().any(|kind| {
        snapshot.all(kind.section()).any(|(id, live)| matches!(owner(kind, id, live, &site), Owner::Ours(_)))
    });
    let mut left = vec![];
    let mut sections: BTreeMap<usize, Vec<Found<'_>>> = BTreeMap::new();
    for (rank, kind) in kinds::all().iter().copied().enumerate() {
        let mut found = vec![];
        for (id, live) in snapshot.all(kind.section()) {
            let is_asked = is_named(&options.with, kind, id);
            let is_here = is_asked || lives_in(kind, id, project);
            match owner(kind, id, live, &site) {
                Owner::Ours(record) => found.push(Found { kind, id, live, record: Some(record), key: String::new() }),
                _ if !is_here || is_a_part(kind, live) => {}
                _ if live.get("config").is_some_and(serde_json::Value::is_null) => {
                    left.push(format!("{}.{}: the server does not show it now", kind.section(), named(kind, id)));
                }
                Owner::Nobody | Owner::Copy(_) if unspeakable(kind, id, live).is_some() => {
                    let why = unspeakable(kind, id, live).unwrap_or_default();
                    left.push(format!("{}.{}: no site file can say it: {why}", kind.section(), named(kind, id)));
                }
                Owner::Nobody | Owner::Copy(_) => {
                    let is_untouched = kind.is_built_in(&id.name) && objects::is_untouched(kind, id, live);
                    // An image is only named: nothing is taken in by that.
                    let is_named_only = kind.section() == "images";
                    if is_applied && !is_asked && !is_untouched && !is_named_only {
                        let address = format!("{}.{}", kind.section(), named(kind, id));
                        left.push(format!("{address}: it is nobody's; --with {address} takes it in"));
                    } else if is_asked || !is_untouched {
                        found.push(Found { kind, id, live, record: None, key: String::new() });
                    }
                }
                Owner::Other(other) => {
                    left.push(format!("{}.{}: it is the site {other}'s", kind.section(), named(kind, id)));
                }
                Owner::Newer(version) => left.push(format!(
                    "{}.{}: a newer lxdeploy applied it last (record version {version})",
                    kind.section(),
                    named(kind, id)
                )),
            }
        }
        name(kind, &mut found, &called);
        found.sort_by_cached_key(|found| natural(&found.key));
        sections.insert(rank, found);
    }
    for address in &options.with {
        let is_there = kinds::by_section(&address.section)
            .is_some_and(|kind| snapshot.all(kind.section()).any(|(id, _)| is_named(&options.with, kind, id)));
        if !is_there {
            return Err(format!("--with {address}: there is no such object at the server"));
        }
    }
    let all: Vec<&Found<'_>> = sections.values().flatten().collect();
    let context = objects::Context::new(snapshot, project, &all);
    let mut entries = vec![Entry::new("format", Yaml::Natural("1".into())), Entry::new("site", Yaml::Text(site))];
    if let Some(remote) = &options.remote {
        entries.push(Entry::new("remote", Yaml::Text(remote.clone())));
    }
    entries.push(Entry::new("project", Yaml::Text(project.clone())));
    let mut text = head(snapshot, project, &left) + &yaml::write(&entries);
    for found in sections.values().filter(|found| !found.is_empty()) {
        let bodies = found.iter().map(|one| Entry::new(&one.key, context.body(one))).collect();
        text.push('\n');
        text += &yaml::write(&[Entry::new(found[0].kind.section(), Yaml::Map(bodies))]);
    }
    Ok(Exported { text, objects: all.len() })
}

fn head(snapshot: &Snapshot, project: &str, left: &[String]) -> String {
    let server = &snapshot.server;
    let mut lines = vec![
        format!("What lives in the project {project} of {} ({} {}).", server.name, server.kind, server.version),
        "Keep it as you keep secrets: LXD has config in clear text, and so has this file.".to_owned(),
        "What a server does not know is not in it: ready, depends_on, stop_timeout, counts, templates.".to_owned(),
        "`lxdeploy plan FILE --adopt all` shows what it takes in; `apply` with the same flag does it.".to_owned(),
    ];
    if !left.is_empty() {
        lines.push(String::new());
        lines.push("Left out:".to_owned());
        lines.extend(left.iter().map(|line| format!("- {line}")));
    }
    let lines = lines.into_iter().map(|line| line.replace(|c: char| c.is_control(), "?"));
    lines.map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect()
}

/// What of a project's own is in it, and of the server where the project is `default`.
fn lives_in(kind: &dyn Kind, id: &Id, project: &str) -> bool {
    match kind.section() {
        "projects" => id.name == project,
        _ if kind.place() == Place::Server => project == "default",
        _ => id.project == project,
    }
}

/// A snapshot among the volumes, an image that LXD fetched or lxdeploy baked: no object of its own.
fn is_a_part(kind: &dyn Kind, live: &Raw) -> bool {
    match kind.section() {
        "storage_volumes" => kind.name_of(live).contains('/'),
        "images" => crate::plan::is_expendable(live),
        _ => false,
    }
}

/// Why no site file can speak of a live object: newer servers have more than the format.
fn unspeakable(kind: &dyn Kind, id: &Id, live: &Raw) -> Option<String> {
    let content = live.get("content_type").and_then(serde_json::Value::as_str).unwrap_or("filesystem");
    if kind.section() == "storage_volumes" && !["filesystem", "block"].contains(&content) {
        return Some(format!("its content is {content}"));
    }
    // An image's name is its key, and that is ours to give.
    if kind.section() == "images" { None } else { kind.check_name(&id.name).err() }
}

fn named(kind: &dyn Kind, id: &Id) -> String {
    let name = if kind.section() == "images" { id.name.get(..12).unwrap_or(&id.name) } else { &id.name };
    id.pool.as_ref().map_or_else(|| name.to_owned(), |pool| format!("{pool}/{name}"))
}

fn is_named(addresses: &[Address], kind: &dyn Kind, id: &Id) -> bool {
    addresses
        .iter()
        .any(|address| address.section == kind.section() && (address.key == id.name || address.key == named(kind, id)))
}

/// Gives each object of a section its key: its name, with the pool or project before it where that is needed.
fn name(kind: &dyn Kind, found: &mut [Found<'_>], called: &HashMap<&str, String>) {
    let base = |found: &Found<'_>| match kind.section() {
        "images" => image_name(found, called),
        _ => found.id.name.clone(),
    };
    let mut counts: HashMap<String, usize> = HashMap::new();
    for one in found.iter() {
        *counts.entry(base(one)).or_default() += 1;
    }
    let mut taken: HashMap<String, usize> = HashMap::new();
    for one in found {
        let base = base(one);
        let key = match (&one.id.pool, counts[&base]) {
            (_, 1) => base,
            (Some(pool), _) => format!("{pool}-{base}"),
            (None, _) if kind.section() == "images" => format!("{base}-{}", &one.id.name[..one.id.name.len().min(12)]),
            (None, _) => format!("{}-{base}", one.id.project),
        };
        let count = taken.entry(key.clone()).or_default();
        *count += 1;
        one.key = if *count == 1 { key } else { format!("{key}-{count}") };
    }
}

/// What the site's instances call the images that they were made of, by fingerprint.
fn names_of_images<'a>(snapshot: &'a Snapshot, site: &str) -> HashMap<&'a str, String> {
    let instances = snapshot.all("instances").filter_map(|(id, live)| {
        let base = live.get("config")?.get("volatile.base_image")?.as_str()?;
        match owner(kinds::by_section("instances")?, id, live, site) {
            Owner::Ours(record) => Some((base, record.img.filter(|name| !name.contains([':', '/']))?)),
            _ => None,
        }
    });
    instances.collect()
}

/// An image's key: as the site named it, else its first alias, else its fingerprint's first digits.
fn image_name(found: &Found<'_>, called: &HashMap<&str, String>) -> String {
    if found.record.is_some() {
        let stamps = found.kind.stamps(found.live);
        let ours = stamps.iter().map(|stamp| stamped_name(found.kind, stamp)).find(|name| !name.is_empty());
        if let Some(name) = ours {
            return name.to_owned();
        }
    }
    if let Some(name) = called.get(found.id.name.as_str()) {
        return name.clone();
    }
    let alias = image::alias_names(found.live).into_iter().next();
    alias.map_or_else(|| named(found.kind, found.id), |alias| alias.replace('/', "-"))
}

/// Numbers at the end count as numbers: api-2 comes before api-10.
fn natural(text: &str) -> (String, u64, String) {
    let stem = text.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), text[stem.len()..].parse().unwrap_or(0), text.to_owned())
}

#[cfg(test)]
mod tests;
