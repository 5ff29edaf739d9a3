//! From a site and what is live to the hosts that plays run on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Value, json};

use super::common::Opened;
use crate::apply::Plays;
use crate::kinds::{Object, Raw, image};
use crate::live::Snapshot;
use crate::model::{Address, Id};
use crate::plan::BAKED;
use crate::play::{Host, Inventory, Library, Settings, Shelf};
use crate::secrets::Keys;

impl Opened {
    /// What plays of the site are run with.
    ///
    /// # Errors
    /// What is wrong with `-e`.
    pub fn plays(
        &self,
        snapshot: &Snapshot,
        keys: Rc<Keys>,
        settings: Settings,
        extra_vars: &[String],
    ) -> Result<Plays, String> {
        let library = Rc::new(Library::new(keys));
        library.add_secrets(&self.masker);
        let extra_vars = Shelf::extra_vars(extra_vars, &library)?;
        let site = &self.site;
        let named = site.roles_path.iter().map(|path| path.value.clone());
        let beside =
            site.directories.iter().flat_map(|directory| [directory.join("roles"), directory.join("playbooks/roles")]);
        let roles_path: Vec<PathBuf> = named.chain(beside).collect();
        Ok(Plays {
            shelf: Shelf::new(library, roles_path, extra_vars, &site.variables),
            inventory: self.inventory(snapshot),
            settings,
            directory: site.directories.first().cloned().unwrap_or_else(|| PathBuf::from(".")),
        })
    }

    /// What the roles of each instance are made of, where the server has baked images that could be of them.
    ///
    /// # Errors
    /// A role cannot be read.
    pub fn role_contents(&self, snapshot: &Snapshot, keys: Rc<Keys>) -> Result<BTreeMap<Address, String>, String> {
        let is_baked = |(_, raw): (_, &Raw)| image::alias_names(raw).iter().any(|alias| alias.starts_with(BAKED));
        if !snapshot.all("images").any(is_baked) {
            return Ok(BTreeMap::new());
        }
        let plays = self.plays(snapshot, keys, Settings::default(), &[])?;
        let mut contents = BTreeMap::new();
        for object in &self.site.objects {
            let Some(lifecycle) = object.lifecycle.as_ref().filter(|lifecycle| !lifecycle.roles.is_empty()) else {
                continue;
            };
            contents.insert(object.address.clone(), plays.content_of_roles(&object.address.key, lifecycle)?);
        }
        Ok(contents)
    }

    /// The site's instances and their groups.
    fn inventory(&self, snapshot: &Snapshot) -> Inventory {
        let mut inventory = Inventory::default();
        for object in self.site.objects.iter().filter(|object| object.address.section == "instances") {
            let name = object.address.key.clone();
            let id = Id {
                project: snapshot.projects.effective(&object.project, object.kind.place()),
                pool: None,
                name: object.name.clone(),
            };
            let lxd = known_of(object, &id, snapshot);
            inventory.hosts.insert(name.clone(), Host::new(id, &lxd));
            for group in object.lifecycle.iter().flat_map(|lifecycle| &lifecycle.groups) {
                inventory.groups.entry(group.clone()).or_default().push(name.clone());
            }
        }
        for (address, members) in self.site.groups.iter().filter(|(address, _)| address.section == "instances") {
            let group = inventory.groups.entry(address.key.clone()).or_default();
            for member in members.iter().map(|member| member.key.clone()) {
                if !group.contains(&member) {
                    group.push(member);
                }
            }
        }
        inventory
    }
}

/// `lxd.*` of an instance: as it is at the server, or as it is wanted where it is not there yet.
fn known_of(object: &Object, id: &Id, snapshot: &Snapshot) -> Value {
    let live = snapshot.get("instances", id);
    let live = |name: &str| live.and_then(|live| live.get(name)).cloned();
    let of = |name: &str, default: Value| live(name).unwrap_or(default);
    json!({
        "name": id.name,
        "project": id.project,
        "location": of("location", "none".into()),
        "config": of("config", json!({})),
        "profiles": of("profiles", json!([])),
        "type": of("type", "container".into()),
        "description": of("description", "".into()),
        "address": object.address.to_string(),
    })
}
