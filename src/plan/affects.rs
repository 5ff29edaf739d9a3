//! Which running instances feel the edit of a profile or network, and which must restart for it.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Action, Effect, Plan, Reason};
use crate::kinds::{Object, Raw, by_section};
use crate::live::Snapshot;
use crate::model::{Id, Path};

/// Fills `affects`, and plans the restarts that a profile's edit needs.
pub fn fill(plan: &mut Plan, wanted: &[Object], snapshot: &Snapshot) {
    let instances: HashMap<Id, usize> = plan
        .changes
        .iter()
        .enumerate()
        .filter(|(_, change)| change.noun == "instance")
        .map(|(index, change)| (change.id.clone(), index))
        .collect();
    let going: HashSet<Id> = plan
        .changes
        .iter()
        .filter(|change| matches!(change.action, Action::Delete | Action::Replace) && change.noun == "instance")
        .map(|change| change.id.clone())
        .collect();
    let mut restarts: Vec<(Id, String, Vec<String>)> = vec![];
    for change in &mut plan.changes {
        if !matches!(change.action, Action::Update | Action::Adopt | Action::Replace) || change.diff.is_empty() {
            continue;
        }
        let section = change.address.section.as_str();
        if !["profiles", "networks", "network_acls"].contains(&section) {
            continue;
        }
        let reached: Vec<&Id> = snapshot
            .all("instances")
            .filter(|(id, raw)| runs(raw) && !going.contains(*id) && uses(section, &change.id, id, raw, snapshot))
            .map(|(id, _)| id)
            .collect();
        let needing: Vec<String> = change
            .diff
            .iter()
            .filter(|field| field.effect == Effect::Restart)
            .map(|field| field.path.to_string())
            .collect();
        if reached.is_empty() {
            for field in &mut change.diff {
                if field.effect == Effect::Restart {
                    (field.effect, field.why) = (Effect::Live, String::new());
                }
            }
        } else if !needing.is_empty() {
            restarts.extend(reached.iter().map(|id| ((*id).clone(), change.address.to_string(), needing.clone())));
        }
        change.affects = reached.into_iter().map(|id| id.to_string()).collect();
    }
    for (id, profile, paths) in restarts {
        let paths = paths.join(", ");
        let Some(&index) = instances.get(&id) else {
            plan.notes.push(super::Note {
                address: None,
                code: "restart-needed",
                text: format!(
                    "{id} uses {profile}, and this plan does not restart it: {paths} takes effect when it is restarted"
                ),
            });
            continue;
        };
        let change = &mut plan.changes[index];
        if change.action == Action::NoOp {
            change.action = Action::Update;
            change.reason =
                Reason { code: "profile-changed", text: format!("restarts, since {profile} changes {paths}") };
        }
        let work = &mut plan.work[index];
        work.restarts = true;
        work.object = wanted.iter().find(|object| object.address == change.address).cloned();
        work.live = snapshot.get("instances", &id).cloned();
    }
    name_by_address(plan, &instances);
}

fn name_by_address(plan: &mut Plan, instances: &HashMap<Id, usize>) {
    let names: HashMap<String, String> =
        instances.iter().map(|(id, index)| (id.to_string(), plan.changes[*index].address.to_string())).collect();
    for change in &mut plan.changes {
        for name in &mut change.affects {
            if let Some(address) = names.get(name) {
                name.clone_from(address);
            }
        }
    }
}

fn runs(raw: &Raw) -> bool {
    raw.get("status").is_some_and(|status| status == "Running" || status == "Frozen")
}

/// True if an instance uses the profile, network or ACL, by itself or through a profile.
fn uses(section: &str, wanted: &Id, instance: &Id, raw: &Raw, snapshot: &Snapshot) -> bool {
    let Some(kind) = by_section("instances") else {
        return false;
    };
    let lives_in = |section: &str| {
        by_section(section)
            .map_or_else(String::new, |kind| snapshot.projects.effective(&instance.project, kind.place()))
    };
    let names = |raw: &Raw| kind.live_uses(raw).iter().any(|(of, name)| *of == section && *name == wanted.name);
    if lives_in(section) != wanted.project {
        return false;
    }
    if names(raw) {
        return true;
    }
    let profiles = kind.live(raw, &Path::field("profiles"));
    let profiles = profiles.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let project = lives_in("profiles");
    section != "profiles"
        && profiles.into_iter().any(|name| {
            let id = Id { project: project.clone(), pool: None, name: name.to_owned() };
            snapshot.get("profiles", &id).is_some_and(names)
        })
}
