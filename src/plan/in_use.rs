//! A replacement begins with a deletion, and LXD deletes nothing that is used: who would still use it then?
//!
//! What goes or is made again in the same plan has let go by then, and so has what is changed to use something
//! else. For what remains the plan is refused, so that it never stops half-way.

use serde_json::Value;

use super::{Action, Plan, Refusal};
use crate::kinds::{Kind, Raw, body, by_section, used_by};
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
        let users = live.get("used_by").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let stay = users.filter(|url| !has_let_go(plan, snapshot, url, kind, &change.id));
        let Some(users) = used_by::in_words(stay) else { continue };
        let address = &change.address;
        refused.push(Refusal {
            address: Some(address.clone()),
            code: "in-use",
            text: format!(
                "{address} would have to be deleted and made again ({}), and LXD deletes nothing that is used; it is by {}",
                change.reason.text, users
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
    let Some((section, id)) = used_by::parse(url) else { return false };
    if section == "images" {
        // LXD deletes the images that it unpacked into a pool with the pool; what it fetched itself or was baked, lxdeploy does.
        return used.section() == "storage_pools" || snapshot.get("images", &id).is_some_and(super::is_expendable);
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
