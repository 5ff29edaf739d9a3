//! Baked images: a base in which an instance's roles were run already, as far as they are the same everywhere. One is taken
//! when an instance is made, if it is there; what an instance was made of is never a difference.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::build::{Builder, Objects};
use super::images::resolve;
use crate::kinds::{Condition, Object, Power, Raw, by_section, image};
use crate::live::Snapshot;
use crate::model::{Address, Path};
use crate::site::Site;

/// Files are on the disk when an instance has stopped by itself.
const STOP: Duration = Duration::from_secs(30);

/// What the aliases of baked images begin with.
pub const PREFIX: &str = "baked-";

/// The property of an image that `lxdeploy image bake` has made: its alias.
pub const PROPERTY: &str = "baked";

/// True for what can be had again and is no object of anybody's: LXD fetched it for an instance, or lxdeploy baked it.
pub fn is_expendable(live: &Raw) -> bool {
    let is_cached = live.get("cached") == Some(&Value::Bool(true));
    is_cached || live.get("properties").is_some_and(|properties| properties.get(PROPERTY).is_some())
}

/// The alias of the image that is baked of a base (its fingerprint) and roles (their content's hash).
pub fn alias(base: &str, roles: &str) -> String {
    let digest = Sha256::digest(format!("{base}\n{roles}").as_bytes());
    digest.iter().take(8).fold(PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// An instance as it is baked: on the network, and with nothing that only one instance can have.
pub fn oven(object: &Object, name: &str) -> Object {
    let is_kept = |device: &str| {
        let kind = object.fields.get(&Path::device(device, "type")).map(|wanted| &wanted.value);
        kind.is_some_and(|kind| kind == "nic") || device == "root"
    };
    let mut oven = object.clone();
    oven.address = Address::new("instances", name);
    name.clone_into(&mut oven.name);
    oven.protect = false;
    oven.depends_on.clear();
    oven.fields.retain(|path, _| match path {
        Path::Device { device, key } => is_kept(device) && !key.starts_with("ipv4.") && !key.starts_with("ipv6."),
        path => !path.to_string().starts_with("config.environment."),
    });
    oven.references.retain(|reference| reference.section != "storage_volumes");
    if let Some(lifecycle) = &mut oven.lifecycle {
        lifecycle.power = Power::Running;
        lifecycle.ready.retain(|check| check.condition == Condition::Ipv4);
        lifecycle.stop_timeout = lifecycle.stop_timeout.max(STOP);
        (lifecycle.target, lifecycle.renamed_from) = (None, None);
    }
    oven
}

/// The alias under which an instance's baked image is looked for; `None` where its base is not known at the target.
pub fn alias_of(object: &Object, site: &Site, snapshot: &Snapshot, roles: &str) -> Option<String> {
    let (image, _, _) = object.lifecycle.as_ref()?.image.as_ref()?;
    let base = resolve(image, object, &Objects::new(&site.objects), &site.name, snapshot)?;
    Some(alias(&base, roles))
}

/// A baked image that an instance would be made of.
pub struct Baked {
    /// Its alias.
    pub alias: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its base's fingerprint, as a record keeps it: whoever is made of it has seen that base.
    pub base: String,
}

impl Builder<'_> {
    /// The baked image for an instance, where the target has it.
    pub fn baked(&self, object: &Object, objects: &Objects<'_>) -> Option<Baked> {
        let roles = self.options.roles.get(&object.address)?;
        let (wanted, _, _) = object.lifecycle.as_ref()?.image.as_ref()?;
        let base = resolve(wanted, object, objects, self.site, self.snapshot)?;
        let alias = alias(&base, roles);
        let project = self.snapshot.projects.effective(&object.project, by_section("images")?.place());
        let is_it = |raw| image::alias_names(raw).contains(&alias);
        let mut images = self.snapshot.all("images").filter(|(id, _)| id.project == project);
        let fingerprint = images.find(|(_, raw)| is_it(raw)).map(|(id, _)| id.name.clone())?;
        Some(Baked { alias, fingerprint, base: base.chars().take(12).collect() })
    }

    /// The same, told to the user.
    pub fn bake_noted(&mut self, object: &Object, objects: &Objects<'_>) -> Option<Baked> {
        let baked = self.baked(object, objects)?;
        let text = format!("{} is made of the baked image {}", object.address, baked.alias);
        self.note(&object.address, "baked", text);
        Some(baked)
    }
}
