//! Images at the server: sent or fetched once, stamped, and their aliases pointed at them.

use serde_json::Value;

use super::step::{Failure, One};
use crate::kinds::{Creation, Kind, Object, Raw, body, image};
use crate::lxd::{Body, Call, Error, remotes};
use crate::model::{Id, Path};

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
                match self.send(&call).await {
                    Ok(metadata) => made = metadata.get("fingerprint").and_then(Value::as_str).map(str::to_owned),
                    Err(error) if error.already_exists() || matches!(error, Error::OutcomeUnknown(_)) => match &known {
                        Some(fingerprint) if self.image(&project, fingerprint).await?.is_some() => {}
                        _ => match self.fetched_again(&project, &error).await? {
                            Some(fingerprint) => made = Some(fingerprint),
                            None => return Err(error.into()),
                        },
                    },
                    Err(error) => return Err(error.into()),
                }
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
            match self.send(&image::alias_call(&id, alias, fingerprint)).await {
                Ok(_) => {}
                Err(error) if error.already_exists() => {
                    self.send(&image::move_alias_call(&id, alias, fingerprint)).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// LXD keeps a project for the sake of images that it fetched itself.
    pub async fn delete_cached_images(&self, project: &str) -> Result<(), Failure> {
        let list = Call::get(&["images"]).project(project).query("recursion", "1");
        let (images, _) = self.client.read::<Option<Vec<Raw>>>(&list).await?;
        for raw in images.into_iter().flatten().filter(|raw| raw.get("cached") == Some(&Value::Bool(true))) {
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
