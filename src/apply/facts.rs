//! The few reads that explain a failure; made only after one, and what cannot be read is left out.

use std::collections::BTreeSet;

use serde_json::Value;

use super::explain::{About, Cause, Facts, Unique, cause, lines};
use super::step::{Failure, One};
use crate::kinds::{Raw, instance};
use crate::lxd::{Call, Method};
use crate::model::{Id, Path, Verb, value};

impl One<'_> {
    /// A failure with what its words leave out.
    pub(super) async fn explained(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        let Err(mut failure) = result else { return Ok(()) };
        failure.details.extend(self.explanation(&failure.message).await);
        Err(failure)
    }

    async fn explanation(&self, message: &str) -> Vec<String> {
        let address = self.change.address.to_string();
        let Some(cause) = cause(message, &self.change.address.section) else { return vec![] };
        let name = self.id().name;
        let image = self.work.object.as_ref().and_then(|object| object.lifecycle.as_ref()?.image.as_ref());
        let is_incus = self.context.run.snapshot.server.kind == "incus";
        let about = About {
            address: &address,
            noun: self.change.noun,
            name: &name,
            image: image.map(|(_, text, _)| text.as_str()),
            program: if is_incus { "incus" } else { "lxc" },
        };
        lines(&cause, &self.facts(&cause).await, about)
    }

    async fn facts(&self, cause: &Cause) -> Facts {
        let mut facts = Facts::default();
        match cause {
            Cause::InUse => facts.live = self.now(&self.change.id).await,
            Cause::NameTaken if [Verb::Create, Verb::Rename].contains(&self.step.verb) => {
                facts.live = self.now(&self.id()).await;
                let stamps = facts.live.iter().zip(self.work.kind).flat_map(|(live, kind)| kind.stamps(live));
                facts.site = stamps.map(|stamp| stamp.site).next();
            }
            Cause::OutsideSubnet { network } => facts.network = self.network(network).await,
            Cause::Taken { value, what } => facts.holders = self.holders(value, *what).await,
            Cause::HostAddress(address) => facts.networks = self.networks_with(address).await,
            Cause::NoSpace => facts.pools = self.pools().await,
            _ => {}
        }
        facts
    }

    async fn ask(&self, call: &Call) -> Option<Raw> {
        self.client.read::<Raw>(call).await.ok().map(|(raw, _)| raw)
    }

    async fn list(&self, call: &Call) -> Option<Vec<Raw>> {
        self.client.read::<Option<Vec<Raw>>>(call).await.ok().map(|(rows, _)| rows.unwrap_or_default())
    }

    async fn now(&self, id: &Id) -> Option<Raw> {
        let live = self.work.live.clone().unwrap_or_default();
        self.ask(&self.work.kind?.call(Method::Get, id, &live)).await
    }

    async fn network(&self, name: &str) -> Option<Raw> {
        self.ask(&Call::get(&["networks", name]).project(&self.change.id.project)).await
    }

    /// Other instances, of any project, whose interface on the same network has the address or name.
    async fn holders(&self, wanted: &str, what: Unique) -> Vec<(String, String, String)> {
        let everywhere = Call::get(&["instances"]).query("all-projects", "true").query("recursion", "1");
        let here = Call::get(&["instances"]).project(&self.change.id.project).query("recursion", "1");
        let rows = match self.list(&everywhere).await {
            Some(rows) => rows,
            None => self.list(&here).await.unwrap_or_default(),
        };
        let mine = self.id();
        let text = |raw: &Raw, key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = |raw: &Raw| Id { project: text(raw, "project"), pool: None, name: text(raw, "name") };
        let networks: BTreeSet<String> = rows
            .iter()
            .filter(|raw| id(raw) == mine)
            .flat_map(interfaces)
            .map(|(_, nic)| text(nic, "network"))
            .collect();
        let mut found = vec![];
        for raw in rows.iter().filter(|raw| id(raw) != mine) {
            for (device, nic) in interfaces(raw) {
                let has = |key: &str| nic.get(key).and_then(Value::as_str) == Some(wanted);
                let mac = || raw.get("config")?.get(format!("volatile.{device}.hwaddr"))?.as_str();
                let is_taken = match what {
                    Unique::Address => has("ipv4.address") || has("ipv6.address"),
                    Unique::Mac => has("hwaddr") || mac() == Some(wanted),
                    Unique::DnsName => text(raw, "name") == wanted,
                };
                let network = text(nic, "network");
                if is_taken && networks.contains(&network) {
                    found.push((format!("the instance {}", id(raw)), device.clone(), network));
                }
            }
        }
        found
    }

    /// The networks whose own address, or whose subnet's, is in the way.
    async fn networks_with(&self, address: &str) -> Vec<(String, String)> {
        let call = Call::get(&["networks"]).project(&self.change.id.project).query("recursion", "1");
        let rows = self.list(&call).await.unwrap_or_default();
        let mut found = vec![];
        for raw in &rows {
            let name = raw.get("name").and_then(Value::as_str).unwrap_or_default();
            for key in ["ipv4.address", "ipv6.address"] {
                let has = raw.get("config").and_then(|config| config.get(key)).and_then(Value::as_str);
                if let Some(has) =
                    has.filter(|has| has.split('/').next() == Some(address) && name != self.change.id.name)
                {
                    found.push((name.to_owned(), has.to_owned()));
                }
            }
        }
        found
    }

    /// The pools that the object's bytes go to: name, used, in all.
    async fn pools(&self) -> Vec<(String, u64, u64)> {
        let mut names: BTreeSet<String> = self.change.id.pool.clone().into_iter().collect();
        if self.change.address.section == "storage_pools" {
            names.insert(self.change.id.name.clone());
        }
        if let Some(object) = self.work.object.as_ref().filter(|object| object.lifecycle.is_some()) {
            let own =
                object.fields.iter().filter(|(path, _)| matches!(path, Path::Device { key, .. } if key == "pool"));
            names.extend(own.map(|(_, wanted)| value::text(&wanted.value)));
            let profiles = object.fields.get(&Path::field("profiles")).and_then(|wanted| wanted.value.as_array());
            let profiles =
                profiles.map_or_else(|| vec!["default".to_owned()], |list| list.iter().map(value::text).collect());
            for profile in profiles {
                let call = Call::get(&["profiles", &profile]).project(&object.project);
                let uses = self.ask(&call).await.map(|raw| instance::device_uses(&raw)).unwrap_or_default();
                names.extend(uses.into_iter().filter(|(section, _)| *section == "storage_pools").map(|(_, name)| name));
            }
        }
        let mut found = vec![];
        for name in names {
            let resources = self.ask(&Call::get(&["storage-pools", &name, "resources"])).await;
            let space = |key: &str| resources.as_ref()?.get("space")?.get(key)?.as_u64();
            if let Some(total) = space("total") {
                found.push((name, space("used").unwrap_or_default(), total));
            }
        }
        found
    }
}

/// The interfaces of an instance, those of its profiles included: the device's name and keys.
fn interfaces(raw: &Raw) -> impl Iterator<Item = (&String, &Raw)> {
    let devices = raw.get("expanded_devices").and_then(Value::as_object);
    let devices = devices.into_iter().flatten().filter_map(|(name, device)| Some((name, device.as_object()?)));
    devices.filter(|(_, device)| device.get("type").is_some_and(|kind| kind == "nic"))
}
