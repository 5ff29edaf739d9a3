//! Devices without `type`: laid over the namesake of the instance's profiles, key by key.
//!
//! LXD itself replaces a profile's device by the instance's whole one, so the profile's keys are written out
//! on the instance; when the profile changes, the next plan carries the change on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Refusal;
use crate::kinds::{Object, Wanted};
use crate::live::Snapshot;
use crate::model::{Address, Id, Path};

/// Completes the devices of all instances, and says which have no namesake.
pub fn complete(objects: &mut [Object], snapshot: &Snapshot) -> Vec<Refusal> {
    let profiles: BTreeMap<Address, Object> = objects
        .iter()
        .filter(|object| object.kind.section() == "profiles")
        .map(|object| (object.address.clone(), object.clone()))
        .collect();
    let mut refused = vec![];
    for object in objects.iter_mut().filter(|object| object.lifecycle.is_some()) {
        for device in untyped(object) {
            let Some(base) = namesake(object, &device, &profiles, snapshot) else {
                let span = object.fields.iter().find(|(path, _)| is_of(path, &device)).map(|(_, wanted)| wanted.span);
                refused.push(Refusal {
                    address: Some(object.address.clone()),
                    code: "no-such-device",
                    text: format!(
                        "device `{device}` has no `type`, and no profile of {} has a device of that name",
                        object.address
                    ),
                    help: "give the device a `type`, or name a profile that has it".into(),
                    span,
                });
                continue;
            };
            for (key, wanted) in base {
                object.fields.entry(Path::device(&device, key)).or_insert(wanted);
            }
        }
    }
    refused
}

fn is_of(path: &Path, name: &str) -> bool {
    matches!(path, Path::Device { device, .. } if device == name)
}

fn untyped(object: &Object) -> Vec<String> {
    let mut devices: Vec<String> = object
        .fields
        .keys()
        .filter_map(|path| match path {
            Path::Device { device, .. } if !object.fields.contains_key(&Path::device(device, "type")) => {
                Some(device.clone())
            }
            _ => None,
        })
        .collect();
    devices.dedup();
    devices
}

/// The device of the last profile that has it: of the file where the site defines the profile, with what is
/// live beside it; else of the server.
fn namesake(
    object: &Object,
    device: &str,
    profiles: &BTreeMap<Address, Object>,
    snapshot: &Snapshot,
) -> Option<BTreeMap<String, Wanted>> {
    let span = object.span;
    let references: Vec<_> = object.references.iter().filter(|reference| reference.section == "profiles").collect();
    references.iter().rev().find_map(|reference| {
        let mut keys = BTreeMap::new();
        let place = crate::kinds::by_section("profiles")?.place();
        let project = snapshot.projects.effective(&object.project, place);
        let id = Id { project, pool: None, name: reference.name.clone() };
        let wanted =
            reference.address.as_ref().and_then(|address| profiles.get(address)).filter(|profile| !profile.external);
        if wanted.is_none() {
            let live = snapshot.get("profiles", &id).and_then(|raw| raw.get("devices")?.get(device)?.as_object());
            for (key, value) in live.into_iter().flatten() {
                keys.insert(key.clone(), Wanted { value: text(value), sensitive: false, span });
            }
        }
        for (path, leaf) in wanted.into_iter().flat_map(|profile| &profile.fields) {
            if let Path::Device { device: name, key } = path
                && name == device
            {
                keys.insert(key.clone(), leaf.clone());
            }
        }
        keys.contains_key("type").then_some(keys)
    })
}

fn text(value: &Value) -> Value {
    Value::String(crate::model::value::text(value))
}
