//! A replacement begins with a deletion, and LXD deletes nothing that is used: who would still use it then?
//!
//! What goes or is made again in the same plan has let go by then, and so has what is changed to use something
//! else. For what remains the plan is refused, so that it never stops half-way.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Action, Plan, Refusal};
use crate::kinds::{Kind, Raw, body, by_section};
use crate::live::Snapshot;
use crate::model::{Id, Path};

/// Refuses the replacements that LXD would refuse.
pub(super) fn check(plan: &mut Plan, snapshot: &Snapshot) {
    let mut refused = vec![];
    for (change, work) in plan.changes.iter().zip(&plan.work) {
        let (Some(kind), Some(live)) = (work.kind, &work.live) else { continue };
        if change.action != Action::Replace || kind.creates_first() || change.noun == "instance" {
            continue;
        }
        let mut users: Vec<String> = live
            .get("used_by")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|url| !has_let_go(plan, snapshot, url, kind, &change.id))
            .map(in_words)
            .collect();
        users.sort();
        users.dedup();
        if users.is_empty() {
            continue;
        }
        let address = &change.address;
        refused.push(Refusal {
            address: Some(address.clone()),
            code: "in-use",
            text: format!(
                "{address} would have to be deleted and made again ({}), and LXD deletes nothing that is used; it is by {}",
                change.reason.text,
                listed(&users)
            ),
            help: format!(
                "give the new one another `name` and let its users name that (it is made, they move over, the old one goes); or make its users again with it (`--replace {address} --replace …`)"
            ),
            span: work.object.as_ref().map(|object| object.span),
        });
    }
    plan.refused.extend(refused);
}

/// True if what a URL of `used_by` names does not use the object when its deletion's turn comes.
fn has_let_go(plan: &Plan, snapshot: &Snapshot, url: &str, used: &dyn Kind, of: &Id) -> bool {
    let Some((section, id)) = parse(url) else { return false };
    if section == "images" {
        // LXD deletes the images that it unpacked into a pool with the pool; what it fetched itself, lxdeploy does.
        let is_cached = snapshot.get("images", &id).and_then(|raw| raw.get("cached")) == Some(&Value::Bool(true));
        return used.section() == "storage_pools" || is_cached;
    }
    let Some(kind) = by_section(section) else { return false };
    if used.section() == "projects" && kind.is_built_in(&id.name) {
        return true;
    }
    match after(plan, snapshot, section, &id) {
        After::Gone => true,
        // Their disks lie in it, whatever their devices say.
        After::Stays(_) if ["storage_pools", "projects"].contains(&used.section()) && section != "profiles" => false,
        After::Stays(_) if used.section() == "projects" => false,
        After::Stays(raw) => {
            !uses(kind, &raw, used, of)
                && (section != "instances" || !profiles_use(plan, snapshot, &id, &raw, used, of))
        }
        After::Unknown => false,
    }
}

/// What is left of an object after its own change.
enum After {
    Gone,
    Stays(Raw),
    /// Not ours to see.
    Unknown,
}

fn after(plan: &Plan, snapshot: &Snapshot, section: &str, id: &Id) -> After {
    let found = plan.changes.iter().position(|change| change.address.section == section && change.id == *id);
    let Some(mut raw) = snapshot.get(section, id).cloned() else { return After::Unknown };
    match found.map(|index| &plan.changes[index]) {
        Some(change) if matches!(change.action, Action::Delete | Action::Replace) => After::Gone,
        Some(change) => {
            for field in change.diff.iter().filter(|field| field.path != Path::field("state")) {
                body::set(&mut raw, &field.path, field.after.clone());
            }
            After::Stays(raw)
        }
        None => After::Stays(raw),
    }
}

fn uses(kind: &dyn Kind, raw: &Raw, used: &dyn Kind, of: &Id) -> bool {
    kind.live_uses(raw).iter().any(|(section, name)| *section == used.section() && *name == of.name)
}

/// An instance uses what the devices of its profiles name.
fn profiles_use(plan: &Plan, snapshot: &Snapshot, instance: &Id, raw: &Raw, used: &dyn Kind, of: &Id) -> bool {
    let Some(kind) = by_section("profiles") else { return true };
    let project = snapshot.projects.effective(&instance.project, kind.place());
    let names = raw.get("profiles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    names.into_iter().any(|name| {
        let id = Id { project: project.clone(), pool: None, name: name.to_owned() };
        match after(plan, snapshot, "profiles", &id) {
            After::Gone => false,
            After::Stays(raw) => uses(kind, &raw, used, of),
            After::Unknown => true,
        }
    })
}

/// Section and place of what a URL names: `/1.0/instances/api?project=acme`.
fn parse(url: &str) -> Option<(&'static str, Id)> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let project = query.split('&').find_map(|part| part.strip_prefix("project=")).unwrap_or("default").to_owned();
    let parts: Vec<&str> = path.strip_prefix("/1.0/")?.split('/').collect();
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let id = |name: &str, pool: Option<&str>| Id { project: project.clone(), pool: pool.map(plain), name: plain(name) };
    match parts.as_slice() {
        ["instances" | "containers" | "virtual-machines", name, ..] => Some(("instances", id(name, None))),
        ["storage-pools", pool, "volumes", "custom", name, ..] => Some(("storage_volumes", id(name, Some(pool)))),
        [collection, name] => {
            let kind = crate::kinds::all().iter().find(|kind| kind.collection() == *collection)?;
            Some((kind.section(), id(name, None)))
        }
        _ => None,
    }
}

fn in_words(url: &str) -> String {
    match parse(url) {
        Some((section, id)) => format!("the {} {id}", by_section(section).map_or("object", |kind| kind.noun())),
        None => url.to_owned(),
    }
}

fn listed(users: &[String]) -> String {
    const SHOWN: usize = 6;
    let more = users.len().saturating_sub(SHOWN);
    let shown = users[..users.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_users() {
        let shown = |url: &str| parse(url).map(|(section, id)| format!("{section} {id}"));
        assert_eq!(shown("/1.0/instances/p2?project=pj").as_deref(), Some("instances p2 (project pj)"));
        assert_eq!(shown("/1.0/profiles/p%20p").as_deref(), Some("profiles p p"));
        assert_eq!(
            shown("/1.0/storage-pools/fast/volumes/custom/v1?project=q").as_deref(),
            Some("storage_volumes fast/v1 (project q)")
        );
        assert_eq!(shown("/1.0/network-acls/web").as_deref(), Some("network_acls web"));
        assert_eq!(shown("/1.0/nonsense"), None);
    }
}
