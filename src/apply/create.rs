//! Making an object. A creation is the one request that must not be repeated blindly: where its answer was lost, what
//! is there decides whether it is sent again, and what an end of the daemon left half-made is removed first.

use std::time::{Duration, Instant};

use super::send::TRIES;
use super::step::{Failure, One};
use crate::kinds::{Creation, ImageRef, ImageSource, Kind, Object, Raw};
use crate::lxd::{Call, Error, remotes};
use crate::model::Id;

/// So long may a creation go on at the server after its connection broke.
const SETTLING: Duration = Duration::from_secs(10);

/// What is there where an object was to be made.
enum Found {
    /// Ours, whole.
    Made(Raw),
    /// Ours, and its creation did not come to its end.
    HalfMade(Raw),
    /// Nothing.
    Nothing,
    /// Somebody else's.
    Other,
}

impl One<'_> {
    pub(super) async fn create(&self) -> Result<(), Failure> {
        let (kind, object) = (self.kind()?, self.object()?);
        if kind.section() == "images" {
            return self.create_image(kind, object).await;
        }
        let id = self.id();
        let leaves = kind.stamp_leaves(&self.context.plan.site, self.work.stamp.as_ref());
        let image = self.image_source(object)?;
        let members = &self.members_to_begin(kind, object).await?;
        let creation = Creation { id: &id, stamp_leaves: leaves, image, certificate: None, fingerprint: None, members };
        let is_pending = |call: &Call| !members.is_empty() && call.query.iter().any(|(key, _)| *key == "target");
        for call in kind.create(object, &creation).into_iter().map(|call| self.in_its_protocol(call)) {
            self.make(kind, &id, &call, is_pending(&call)).await?;
        }
        self.write_description(kind, &id, object).await
    }

    /// Sends a creation until it is settled. `is_part`: on one member of a cluster, before the whole.
    async fn make(&self, kind: &dyn Kind, id: &Id, call: &Call, is_part: bool) -> Result<(), Failure> {
        let mut tries = 1;
        loop {
            let error = match self.send(call).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            // An earlier run that did not come further than some of the members.
            if is_part && error.is_pending_already() {
                return Ok(());
            }
            let is_lost = matches!(error, Error::OutcomeUnknown(_)) && tries < TRIES;
            if !is_lost && !error.already_exists() {
                return Err(error.into());
            }
            match self.found(kind, id).await? {
                // The one that we sent just now: nobody has put anything into it, or LXD refuses to delete it.
                Found::Made(raw) if is_lost && kind.hides_half_made() && self.has_restarted().await? => {
                    self.remove(kind, id, &raw).await?;
                }
                Found::Made(_) => return Ok(()),
                Found::HalfMade(raw) if tries < TRIES => self.remove(kind, id, &raw).await?,
                Found::Nothing if is_lost => {}
                _ if is_lost && is_part => {}
                _ => return Err(error.into()),
            }
            tracing::debug!("{}: {error}; not there, made again", call.path);
            tries += 1;
        }
    }

    async fn found(&self, kind: &dyn Kind, id: &Id) -> Result<Found, Error> {
        let Some(raw) = self.read_settled(kind, id).await? else { return Ok(Found::Nothing) };
        let is_ours = self.work.stamp.as_ref().is_some_and(|stamp| kind.stamps(&raw).contains(stamp));
        Ok(match is_ours {
            true if self.is_half_made(kind, &raw) => Found::HalfMade(raw),
            true => Found::Made(raw),
            false => Found::Other,
        })
    }

    /// The object as it is when its creation is at its end. What LXD makes without an operation, a pool, is given a
    /// while to become whole.
    async fn read_settled(&self, kind: &dyn Kind, id: &Id) -> Result<Option<Raw>, Error> {
        let started = Instant::now();
        loop {
            let found = self.read_at_rest(kind, id).await?;
            let is_unsettled = found.as_ref().is_some_and(|raw| self.is_half_made(kind, raw));
            if !is_unsettled || kind.section() == "instances" || started.elapsed() > SETTLING {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The server is another process than when the plan was made.
    async fn has_restarted(&self) -> Result<bool, Error> {
        Ok(self.client.server().await?.pid != self.context.run.snapshot.server.pid)
    }

    /// In a cluster a pool that is pending is between LXD's two steps, and taken up there.
    fn is_half_made(&self, kind: &dyn Kind, raw: &Raw) -> bool {
        kind.is_half_made(raw) && (kind.section() == "instances" || !self.context.run.snapshot.server.is_clustered)
    }

    async fn remove(&self, kind: &dyn Kind, id: &Id, raw: &Raw) -> Result<(), Error> {
        for call in kind.delete(&self.context.plan.site, id, raw) {
            match self.send(&call).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Before a half-made object is removed as planned: true if it is there and still what the plan showed.
    ///
    /// # Errors
    /// It was finished since: then it is not to be removed.
    pub(super) async fn is_still_half_made(&self, kind: &dyn Kind, id: &Id) -> Result<bool, Failure> {
        match self.read_settled(kind, id).await? {
            None => Ok(false),
            Some(raw) if self.is_half_made(kind, &raw) || self.context.run.snapshot.is_dead_network(kind, &raw) => {
                Ok(true)
            }
            Some(_) => Err(Failure::because("its creation has come to its end since it was planned; plan again")),
        }
    }

    pub(super) fn image_source(&self, object: &Object) -> Result<Option<ImageSource>, Failure> {
        let Some((image, text, _)) = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.image.as_ref()) else {
            return Ok(None);
        };
        if let ImageRef::Remote { remote, alias } = image {
            let server = remotes::image_server(remote)?;
            return Ok(Some(ImageSource::Server {
                server: server.url,
                protocol: server.protocol,
                alias: alias.clone(),
                certificate: server.certificate,
            }));
        }
        let made = match image {
            ImageRef::Site(address) => self.context.images.borrow().get(address).cloned(),
            _ => None,
        };
        let fingerprint = self.work.baked.clone().or(made).or_else(|| self.work.image.clone());
        fingerprint
            .map(|fingerprint| Some(ImageSource::Fingerprint(fingerprint)))
            .ok_or_else(|| Failure::because(format!("the image `{text}` is not at the server")))
    }
}
