//! Images at the server: sent or fetched once, stamped, and their aliases pointed at them.

use serde_json::Value;

use super::send::TRIES;
use super::step::{Failure, One};
use crate::kinds::{Creation, Kind, Object, Raw, body, image};
use crate::lxd::{self, Body, Call, Error, remotes};
use crate::model::{Id, Path};
use crate::plan::is_expendable;

impl One<'_> {
    /// Files are sent unless an image with their fingerprint is there already; then the stamp and the aliases.
    pub async fn create_image(&self, kind: &'static dyn Kind, object: &Object) -> Result<(), Failure> {
        let id = self.change.id.clone();
        let project = id.project.clone();
        let known =
            self.context.run.snapshot.fingerprints.get(&object.address).and_then(|known| known.as_ref().ok()).cloned();
        let leaves = kind.stamp_leaves(&self.context.plan.site, self.work.stamp.as_ref());
        let certificate = match object.spec.downcast_ref() {
            Some(image::Source::Server { server, .. }) => remotes::certificate_of(server),
            _ => None,
        };
        let creation = Creation {
            id: &id,
            stamp_leaves: leaves.clone(),
            image: None,
            certificate,
            fingerprint: known.clone(),
            members: &[],
        };
        let there = match &known {
            Some(fingerprint) => self.image(&project, fingerprint).await?,
            None => None,
        };
        let fingerprint = if there.is_some() {
            known.unwrap_or_default()
        } else {
            let mut made = None;
            for call in kind.create(object, &creation).into_iter().map(|call| self.in_its_protocol(call)) {
                made = self.bring_image(kind, &project, &call, known.as_deref()).await?;
            }
            made.or(known).ok_or_else(|| Failure::because("LXD did not say which image it made"))?
        };
        let (before, _) = self
            .image(&project, &fingerprint)
            .await?
            .ok_or_else(|| Failure::because(format!("the image {fingerprint} is not there after its creation")))?;
        let mut after = before.clone();
        body::write(&mut after, &leaves);
        for (path, wanted) in object.fields.iter().filter(|(path, _)| !is_alias_or_content(path)) {
            body::set(&mut after, path, Some(wanted.value.clone()));
        }
        for call in kind.update(&id, &before, &after) {
            self.send(&call).await?;
        }
        self.set_aliases(object, &project, &fingerprint).await?;
        self.context.images.borrow_mut().insert(object.address.clone(), fingerprint);
        Ok(())
    }

    /// The image that was there already when it was fetched. Incus 6.0 gives such a one its own aliases anew and
    /// stumbles over them: `Alias already exists: NAME`, though we sent none.
    async fn fetched_again(&self, project: &str, error: &Error) -> Result<Option<String>, Error> {
        let Error::Api { message, .. } = error else { return Ok(None) };
        let Some(alias) = message.strip_prefix("Alias already exists: ") else { return Ok(None) };
        let (found, _) = self.client.read::<Raw>(&Call::get(&["images", "aliases", alias]).project(project)).await?;
        Ok(found.get("target").and_then(Value::as_str).map(str::to_owned))
    }

    /// The protocol between servers is called by the server's own name.
    pub fn in_its_protocol(&self, mut call: Call) -> Call {
        if let Body::Json(body) = &mut call.body
            && let Some(protocol) = body.pointer_mut("/source/protocol").filter(|protocol| **protocol == "lxd")
        {
            *protocol = self.context.run.snapshot.server.protocol().into();
        }
        call
    }

    /// Sends or fetches an image until it is settled that it is there, and gives its fingerprint where LXD tells it.
    async fn bring_image(
        &self,
        kind: &dyn Kind,
        project: &str,
        call: &Call,
        known: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        let mut tries = 1;
        loop {
            let error = match self.send(call).await {
                Ok(metadata) => return Ok(metadata.get("fingerprint").and_then(Value::as_str).map(str::to_owned)),
                Err(error) => error,
            };
            let is_lost = matches!(error, Error::OutcomeUnknown(_));
            if !is_lost && !error.already_exists() {
                return Err(error.into());
            }
            if is_lost {
                self.client.at_rest(project, lxd::Running::makes_an_image).await?;
            }
            if let Some(there) = self.brought(kind, project, known).await? {
                return Ok(Some(there));
            }
            if let Some(there) = self.fetched_again(project, &error).await? {
                return Ok(Some(there));
            }
            if !is_lost || tries == TRIES {
                return Err(error.into());
            }
            tracing::debug!("{}: {error}; no image there, sent again", call.path);
            tries += 1;
        }
    }

    /// The fingerprint of the image as it is at the server: the one that is known, else the one with our stamp.
    async fn brought(&self, kind: &dyn Kind, project: &str, known: Option<&str>) -> Result<Option<String>, Error> {
        if let Some(known) = known {
            return Ok(self.image(project, known).await?.map(|_| known.to_owned()));
        }
        let list = kind.list(project, None);
        let (images, _) = self.client.read::<Option<Vec<Raw>>>(&list).await?;
        let is_ours = |raw: &Raw| self.work.stamp.as_ref().is_some_and(|stamp| kind.stamps(raw).contains(stamp));
        Ok(images.into_iter().flatten().find(is_ours).map(|raw| image::fingerprint(&raw)))
    }

    async fn image(&self, project: &str, fingerprint: &str) -> Result<Option<(Raw, Option<String>)>, Error> {
        match self.client.read::<Raw>(&Call::get(&["images", fingerprint]).project(project)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes each wanted alias, or moves it here.
    async fn set_aliases(&self, object: &Object, project: &str, fingerprint: &str) -> Result<(), Failure> {
        let id = Id { project: project.to_owned(), pool: None, name: fingerprint.to_owned() };
        for alias in object.fields.keys().filter_map(image::alias_of) {
            let mut tries = 1;
            loop {
                match self.send(&image::alias_call(&id, alias, fingerprint)).await {
                    Ok(_) => break,
                    Err(error) if error.already_exists() => {}
                    Err(error @ Error::OutcomeUnknown(_)) if tries < TRIES => {
                        tries += 1;
                        let alias = Call::get(&["images", "aliases", alias]).project(project);
                        match self.client.read::<Raw>(&alias).await {
                            Ok(_) => {}
                            // Read, and not there: it is made again.
                            Err(gone) if gone.is_not_found() => {
                                tracing::debug!("{}: {error}; not there", alias.path);
                                continue;
                            }
                            Err(error) => return Err(error.into()),
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
                self.send(&image::move_alias_call(&id, alias, fingerprint)).await?;
                break;
            }
        }
        Ok(())
    }

    /// LXD keeps a project for the sake of images that it fetched itself, or that were baked.
    pub async fn delete_expendable_images(&self, project: &str) -> Result<(), Failure> {
        let list = Call::get(&["images"]).project(project).query("recursion", "1");
        let (images, _) = self.client.read::<Option<Vec<Raw>>>(&list).await?;
        for raw in images.into_iter().flatten().filter(is_expendable) {
            let call = Call::delete(&["images", &image::fingerprint(&raw)]).project(project);
            match self.send(&call).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_alias_or_content(path: &Path) -> bool {
    let is_content = |name: &String| ["fingerprint", "source"].contains(&name.as_str());
    image::alias_of(path).is_some() || matches!(path, Path::Field(name) if is_content(name))
}
