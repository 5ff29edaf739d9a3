//! What a daemon's end left half-made is made again; what is still being made is waited for.

use super::build::{Builder, Objects};
use super::{Action, Work};
use crate::kinds::{Kind, Object, Raw, Record};
use crate::model::Id;

/// The reason of what is made again because its creation was interrupted. Such a thing never ran and holds nothing,
/// so that `protect` and `--delete-data` have nothing to say.
pub const HALF_MADE: &str = "half-made";

/// What is the matter with a network that LXD calls unavailable, and what to do.
pub fn unavailable(network: &str) -> String {
    format!(
        "LXD could not bring the network up; its log says why, and it tries again each minute. If the log says `Address \
         already in use`, an earlier dnsmasq holds it: at the server, end it (`pgrep -af -- --interface={network}` shows it)"
    )
}

impl Builder<'_> {
    /// Plans an object of ours anew if its creation was interrupted; false if it is whole, or still being made.
    pub fn remake(&mut self, object: &Object, id: &Id, live: &Raw, objects: &Objects<'_>) -> bool {
        let is_pending = live.get("status").is_some_and(|status| status == "Pending");
        let is_dead = self.snapshot.is_dead_network(object.kind, live);
        if object.kind.section() == "networks" && is_pending && !is_dead && !self.snapshot.server.is_clustered {
            // Seen on LXD 5.0.2. Deleting and making it again would fail on that bridge.
            let text = format!(
                "{}: its creation was interrupted. It works, for LXD brings it up when it starts, and takes changes then; \
                 deleting it leaves its bridge behind",
                object.address
            );
            self.note(&object.address, "pending", text);
        }
        if object.kind.section() == "networks" && live.get("status").is_some_and(|status| status == "Unavailable") {
            self.note(&object.address, "unavailable", format!("{}: {}", object.address, unavailable(&id.name)));
        }
        if !is_dead && !self.is_half_made(object.kind, live) {
            return false;
        }
        if self.snapshot.busy.contains(&(object.kind.section(), id.clone())) {
            let text = format!("{}: its creation runs at the server; an apply waits for its end", object.address);
            self.note(&object.address, "being-made", text);
            return false;
        }
        let text = "its creation was interrupted; made again".to_owned();
        let baked = self.bake_noted(object, objects);
        let record = self.record(object, &super::diff::applied(object.kind, &object.fields));
        let record = Record { seen: baked.as_ref().map(|baked| baked.base.clone()), ..record };
        let change = self.change(object, id, Action::Replace, HALF_MADE, text);
        let (image, baked) = (self.image_now(object, objects), baked.map(|baked| baked.fingerprint));
        let work = Work { image, baked, ..self.work(object, Some(live), id, &record, true) };
        self.push(change, work);
        true
    }

    /// In a cluster a pool that is pending is between LXD's two steps, and is taken up there.
    fn is_half_made(&self, kind: &dyn Kind, live: &Raw) -> bool {
        kind.is_half_made(live) && (kind.section() == "instances" || !self.snapshot.server.is_clustered)
    }
}
