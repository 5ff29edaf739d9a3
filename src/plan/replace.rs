//! What must hold before something is made again: nothing is deleted whose successor could not be made.

use super::build::{Builder, Objects};
use super::images;
use crate::kinds::{Object, Raw, Record, body};
use crate::model::{Id, Path, value};

impl Builder<'_> {
    /// Refuses to replace what must stay.
    pub fn may_replace(&mut self, object: &Object, id: &Id, live: &Raw, record: Option<&Record>) -> bool {
        if object.kind.is_built_in(&id.name) {
            let text = format!("{} is LXD's own, which is never deleted, and so never made again", object.address);
            self.refuse(object, "built-in", text, "change it in place");
            return false;
        }
        if object.protect || record.is_some_and(|record| record.protect) {
            let text = format!("{} is protected and would be replaced", object.address);
            self.refuse(object, "protected", text, "apply it once with `protect: false` first");
            return false;
        }
        let lock = body::get(live, &Path::config("security.protection.delete"));
        if lock.is_some_and(|lock| value::as_bool(&value::text(&lock)) == Some(true)) {
            let text = format!("{} would be replaced, and LXD's own security.protection.delete is set", object.address);
            self.refuse(object, "protected", text, "apply it once with `security.protection.delete: false` first");
            return false;
        }
        if object.kind.holds_data(live) && !self.options.delete_data {
            let text = format!("{} would be replaced, and its data lost: {id}", object.address);
            self.refuse(
                object,
                "holds-data",
                text,
                "--delete-data allows it; or give the new one another name and move the data",
            );
            return false;
        }
        true
    }

    /// Refuses what LXD would not make, as far as the server has told: of a replacement it would be too late then.
    pub fn can_be_made(&mut self, object: &Object, objects: &Objects<'_>) -> bool {
        let wanted = |field: &str| object.fields.get(&Path::field(field)).map(|wanted| value::text(&wanted.value));
        let address = &object.address;
        let server = &self.snapshot.server;
        if object.kind.section() == "storage_pools"
            && let Some(driver) = wanted("driver")
            && !server.is_clustered
            && !server.storage_drivers.is_empty()
            && !server.storage_drivers.contains(&driver)
        {
            let has: Vec<&str> = server.storage_drivers.iter().map(String::as_str).collect();
            let text = format!("{address}: the server has no storage driver `{driver}`; it has {}", has.join(", "));
            self.refuse(
                object,
                "no-driver",
                text,
                "install the driver's tools and kernel module at the server and restart LXD, or choose another `driver`",
            );
            return false;
        }
        if object.lifecycle.is_none() {
            return true;
        }
        if let Some(image) = self.unresolved_image(object, objects) {
            self.refuse(
                object,
                "missing",
                format!("{address}: there is no image `{image}` at the server"),
                "add it under `images`, import it, or name REMOTE:ALIAS",
            );
            return false;
        }
        let wants = wanted("type").unwrap_or_else(|| "container".into());
        if wants == "virtual-machine"
            && !server.is_clustered
            && !server.instance_drivers.is_empty()
            && !server.instance_drivers.contains("qemu")
        {
            let text = format!("{address} is a virtual machine, and the server runs none: it has no driver qemu");
            let help = "at the server: a CPU with virtualisation, `modprobe vhost_vsock`, QEMU (the snap has it), and LXD restarted";
            self.refuse(object, "no-driver", text, help);
            return false;
        }
        let image = self.image_now(object, objects).and_then(|fingerprint| {
            self.snapshot.all("images").find(|(id, _)| id.name == fingerprint).map(|(_, raw)| raw)
        });
        if let Some(of) = image.and_then(images::type_of)
            && of != wants
        {
            let text = format!("{address} is a {wants}, and its image is one of a {of}");
            self.refuse(object, "image-type", text, &format!("write `type: {of}`, or name another image"));
            return false;
        }
        true
    }
}
