//! One step at the server: its calls, and what is done when their outcome is in doubt.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedSender};

use super::driver::Run;
use crate::guest;
use crate::kinds::{Creation, ImageRef, ImageSource, Kind, Object, Raw, body, image, instance};
use crate::lxd::{Call, Client, Error, Method, Progress, remotes};
use crate::model::{Address, Event, Id, Outcome, Path, StepId, Verb};
use crate::plan::{Action, Change, Plan, Step, Work};

/// What all steps of a run share.
pub struct Context<'a> {
    pub(super) plan: &'a Plan,
    pub(super) run: &'a Run<'a>,
    events: UnboundedSender<Event>,
    /// Fingerprints of images that this run made.
    pub(super) images: RefCell<HashMap<Address, String>>,
    /// The cluster's members, read once, when something is made on each of them.
    members: tokio::sync::OnceCell<Vec<String>>,
}

/// Why a step failed.
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) details: Vec<String>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { message: error.to_string(), details: vec![] }
    }
}

impl Failure {
    pub(super) fn because(message: impl Into<String>) -> Self {
        Failure { message: message.into(), details: vec![] }
    }
}

impl<'a> Context<'a> {
    /// For one run.
    pub fn new(plan: &'a Plan, run: &'a Run<'a>, events: UnboundedSender<Event>) -> Self {
        Context { plan, run, events, images: RefCell::default(), members: Default::default() }
    }
}

/// Runs one step to its end.
pub async fn run(context: &Context<'_>, id: StepId) -> Outcome {
    let step = &context.plan.steps[id.0];
    let one = One {
        context,
        client: context.run.client,
        step,
        change: &context.plan.changes[step.change],
        work: &context.plan.work[step.change],
    };
    let result = match step.verb {
        Verb::Create => one.create().await,
        Verb::Update => one.update().await,
        Verb::Delete => one.delete().await,
        Verb::Rename => one.rename_once_stopped().await,
        Verb::Start => one.start().await,
        Verb::Stop => one.stop().await,
        Verb::Restart => one.restart().await,
        Verb::Ready => one.ready().await,
    };
    let result = one.explained(result).await;
    match result {
        Ok(()) => Outcome::Done,
        Err(Failure { message, details }) => Outcome::Failed { message, details },
    }
}

/// So often is a step tried that fails for a passing reason.
const TRIES: u32 = 6;

/// So often is a write repeated that found its object changed in an unrelated way.
const MERGES: u32 = 3;

/// One step, with all that it looks at.
pub(super) struct One<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) client: &'a Client,
    pub(super) step: &'a Step,
    pub(super) change: &'a Change,
    pub(super) work: &'a Work,
}

impl One<'_> {
    fn kind(&self) -> Result<&'static dyn Kind, Failure> {
        self.work.kind.ok_or_else(|| Failure::because("a step without a kind"))
    }

    fn object(&self) -> Result<&Object, Failure> {
        self.work.object.as_ref().ok_or_else(|| Failure::because("a step without an object"))
    }

    /// Where the object lives under its new name.
    pub(super) fn id(&self) -> Id {
        match &self.work.object {
            Some(object) if object.lifecycle.is_some() => Id { name: object.name.clone(), ..self.change.id.clone() },
            _ => self.change.id.clone(),
        }
    }

    /// LXD's progress of this step, as events.
    fn progress(&self) -> Progress {
        let (sender, mut receiver) = mpsc::unbounded_channel::<String>();
        let (events, step, address) = (self.context.events.clone(), self.step.id, self.step.address.clone());
        tokio::spawn(async move {
            while let Some(text) = receiver.recv().await {
                if events.send(Event::StepProgress { step, address: address.clone(), text }).is_err() {
                    break;
                }
            }
        });
        sender
    }

    /// Sends a call, again where the reason was a passing one.
    pub(super) async fn send(&self, call: &Call) -> Result<Value, Error> {
        let mut pause = Duration::from_millis(100);
        let progress = matches!(self.step.address.section.as_str(), "images" | "instances").then(|| self.progress());
        for _ in 1..TRIES {
            match self.client.run(call, progress.as_ref()).await {
                Err(error) if error.is_transient() => {
                    let event = Event::StepRetried {
                        step: self.step.id,
                        address: self.step.address.clone(),
                        message: error.to_string(),
                    };
                    let _ = self.context.events.send(event);
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                // A replacement or removal may be sent twice; the answer to the second is the outcome.
                Err(Error::OutcomeUnknown(why)) if call.is_safe_twice() && call.if_match.is_none() => {
                    tracing::debug!("{}: {why}; sent again", call.path);
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
        self.client.run(call, progress.as_ref()).await
    }

    /// The object as it is now.
    async fn read(&self, id: &Id, live: &Raw) -> Result<Option<(Raw, Option<String>)>, Error> {
        let Some(kind) = self.work.kind else { return Ok(None) };
        match self.client.read::<Raw>(&kind.call(Method::Get, id, live)).await {
            Ok((raw, etag)) => Ok(Some((raw, etag))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(&self) -> Result<(), Failure> {
        let (kind, object) = (self.kind()?, self.object()?);
        if kind.section() == "images" {
            return self.create_image(kind, object).await;
        }
        let id = self.id();
        let leaves = kind.stamp_leaves(&self.context.plan.site, self.work.stamp.as_ref());
        let image = self.image_source(object)?;
        let members: &[String] = if kind.is_made_per_member(object) { self.members().await? } else { &[] };
        let creation = Creation { id: &id, stamp_leaves: leaves, image, certificate: None, fingerprint: None, members };
        let is_pending = |call: &Call| !members.is_empty() && call.query.iter().any(|(key, _)| *key == "target");
        for call in kind.create(object, &creation) {
            match self.send(&call).await {
                Ok(_) => {}
                // An earlier run that did not come further than some of the members.
                Err(error) if is_pending(&call) && error.is_pending_already() => {}
                // Lost answers and repeated requests: what counts is whether our object is there.
                Err(error) if error.already_exists() || matches!(error, Error::OutcomeUnknown(_)) => {
                    if !self.is_made(kind, &id).await? {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The members of the cluster; none on a machine by itself.
    async fn members(&self) -> Result<&[String], Failure> {
        let read = async || {
            if !self.context.run.snapshot.server.is_clustered {
                return Ok(vec![]);
            }
            let call = Call::get(&["cluster", "members"]).query("recursion", "1");
            let (members, _) = self.client.read::<Vec<Raw>>(&call).await?;
            let name = |member: &Raw| member.get("server_name").and_then(Value::as_str).map(str::to_owned);
            Ok::<_, Error>(members.iter().filter_map(name).collect())
        };
        Ok(self.context.members.get_or_try_init(read).await?)
    }

    /// True if the object is there with this run's stamp.
    async fn is_made(&self, kind: &dyn Kind, id: &Id) -> Result<bool, Failure> {
        let found = self.read(id, &Raw::new()).await?;
        Ok(found
            .is_some_and(|(raw, _)| self.work.stamp.as_ref().is_some_and(|stamp| kind.stamps(&raw).contains(stamp))))
    }

    fn image_source(&self, object: &Object) -> Result<Option<ImageSource>, Failure> {
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
        let fingerprint = made.or_else(|| self.work.image.clone());
        fingerprint
            .map(|fingerprint| Some(ImageSource::Fingerprint(fingerprint)))
            .ok_or_else(|| Failure::because(format!("the image `{text}` is not at the server")))
    }

    /// GET, check that what is managed is as the plan showed it, merge, PUT with If-Match.
    async fn update(&self) -> Result<(), Failure> {
        let kind = self.kind()?;
        let id = self.id();
        let planned = self.work.live.clone().unwrap_or_default();
        let leaves = kind.stamp_leaves(&self.context.plan.site, self.work.stamp.as_ref());
        for _ in 0..MERGES {
            let (before, etag) =
                self.read(&id, &planned).await?.ok_or_else(|| Failure::because("it is no longer there; plan again"))?;
            let mut after = before.clone();
            for field in self.change.diff.iter().filter(|field| !is_power(&field.path)) {
                let now = kind.live(&before, &field.path);
                let is_as_shown = self.work.is_built_in
                    || kind.is_rewritten(&field.path)
                    || same(kind, &field.path, &now, &field.before);
                if !is_as_shown && !same(kind, &field.path, &now, &field.after) {
                    let shown = |value: &Option<Value>| match value {
                        _ if field.sensitive => "(sensitive)".to_owned(),
                        Some(value) => value.to_string(),
                        None => "nothing".to_owned(),
                    };
                    return Err(Failure::because(format!(
                        "changed under us: {} is {}, and the plan showed {}; plan again",
                        field.path,
                        shown(&now),
                        shown(&field.before)
                    )));
                }
                body::set(&mut after, &field.path, field.after.clone());
            }
            body::write(&mut after, &leaves);
            match self.write(kind, &id, &before, &after, etag).await {
                Err(error) if error.is_precondition_failed() => {}
                result => return result.map_err(Failure::from),
            }
        }
        Err(Failure::because("changed under us, again and again; plan again when it is at rest"))
    }

    async fn write(
        &self,
        kind: &dyn Kind,
        id: &Id,
        before: &Raw,
        after: &Raw,
        etag: Option<String>,
    ) -> Result<(), Error> {
        for (index, mut call) in kind.update(id, before, after).into_iter().enumerate() {
            if index == 0 && call.method == Method::Put {
                call.if_match.clone_from(&etag);
            }
            match self.send(&call).await {
                Ok(_) => {}
                // What was sent may have been done: reading again tells.
                Err(Error::OutcomeUnknown(why)) => {
                    let stamp = self.work.stamp.as_ref();
                    let now = self.read(id, after).await?;
                    if !now.is_some_and(|(raw, _)| stamp.is_some_and(|stamp| kind.stamps(&raw).contains(stamp))) {
                        return Err(Error::OutcomeUnknown(why));
                    }
                }
                Err(error) if error.already_exists() && call.path.contains("/aliases") => {
                    let alias = call.path.rsplit('/').next().unwrap_or_default();
                    tracing::debug!("the alias {alias} is there already");
                    let name = match &call.body {
                        crate::lxd::Body::Json(body) => {
                            body.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
                        }
                        _ => String::new(),
                    };
                    self.send(&image::move_alias_call(id, &name, &image::fingerprint(after))).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn delete(&self) -> Result<(), Failure> {
        let kind = self.kind()?;
        self.check_successor()?;
        let (id, live) = (&self.change.id, self.work.live.clone().unwrap_or_default());
        if kind.section() == "projects" {
            self.delete_cached_images(&id.name).await?;
        }
        if self.context.images.borrow().values().any(|made| *made == id.name) {
            // The image that replaces it turned out to be the same.
            return Ok(());
        }
        for call in kind.delete(&self.context.plan.site, id, &live) {
            match self.send(&call).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() && self.read(id, &live).await?.is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(super) async fn rename(&self) -> Result<(), Failure> {
        let call = instance::rename_call(&self.change.id, &self.object()?.name);
        match self.send(&call).await {
            Err(error @ (Error::OutcomeUnknown(_) | Error::Api { .. })) => {
                if self.read(&self.id(), &Raw::new()).await?.is_some()
                    && self.read(&self.change.id, &Raw::new()).await?.is_none()
                {
                    return Ok(());
                }
                Err(error.into())
            }
            result => result.map(drop).map_err(Failure::from),
        }
    }

    async fn start(&self) -> Result<(), Failure> {
        let status = self.work.live.as_ref().and_then(|live| live.get("status")).and_then(Value::as_str);
        let action =
            if status == Some("Frozen") && self.change.action != Action::Replace { "unfreeze" } else { "start" };
        self.power(&instance::power_call(&self.id(), action, None), "Running").await
    }

    /// Nothing goes whose successor's image cannot be found.
    fn check_successor(&self) -> Result<(), Failure> {
        if self.change.action == Action::Replace {
            self.image_source(self.object()?)?;
        }
        Ok(())
    }

    async fn stop(&self) -> Result<(), Failure> {
        self.check_successor()?;
        let id = &self.change.id;
        let lifecycle = self.work.object.as_ref().and_then(|object| object.lifecycle.as_ref());
        let timeout = lifecycle.map_or(instance::STOP_TIMEOUT, |lifecycle| lifecycle.stop_timeout);
        let timeout = if self.context.run.force_stop { Duration::ZERO } else { timeout };
        if !timeout.is_zero() {
            match self.switch(&instance::power_call(id, "stop", Some(timeout)), "Stopped").await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::info!("{}: not stopped in time ({error}); by force now", self.step.address),
            }
        }
        let force = instance::power_call(id, "stop", Some(Duration::ZERO));
        match self.switch(&force, "Stopped").await {
            // LXD gives a stop by force 30 s to clean up; on a busy machine that was seen to be too few.
            Err(error) if error.ran_out() => self.power(&force, "Stopped").await,
            result => result.map_err(Failure::from),
        }
    }

    async fn restart(&self) -> Result<(), Failure> {
        if self.work.live.as_ref().and_then(|live| live.get("ephemeral")) == Some(&Value::Bool(true)) {
            return self.restart_in_one().await;
        }
        self.stop().await?;
        self.power(&instance::power_call(&self.id(), "start", None), "Running").await
    }

    /// LXD deletes an ephemeral instance that stops, and spares it only where it restarts it itself.
    async fn restart_in_one(&self) -> Result<(), Failure> {
        let lifecycle = self.object()?.lifecycle.as_ref();
        let timeout = lifecycle.map_or(instance::STOP_TIMEOUT, |lifecycle| lifecycle.stop_timeout);
        let timeout = if self.context.run.force_stop { Duration::ZERO } else { timeout };
        let call = |timeout| instance::power_call(&self.id(), "restart", Some(timeout));
        if !timeout.is_zero() {
            match self.send(&call(timeout)).await {
                Ok(_) => return Ok(()),
                Err(error) => tracing::info!("{}: not stopped in time ({error}); by force now", self.step.address),
            }
        }
        self.send(&call(Duration::ZERO)).await.map(drop).map_err(Failure::from)
    }

    /// A change of power; where it fails to run, with what the instance has to say.
    async fn power(&self, call: &Call, wanted: &str) -> Result<(), Failure> {
        let Err(error) = self.switch(call, wanted).await else { return Ok(()) };
        let details = if wanted == "Running" { guest::last_log_lines(self.client, &self.id()).await } else { vec![] };
        Err(Failure { message: error.to_string(), details })
    }

    /// A change of power is not the same sent twice, so a doubtful answer is settled by looking.
    async fn switch(&self, call: &Call, wanted: &str) -> Result<(), Error> {
        let Err(error) = self.send(call).await else { return Ok(()) };
        let is_doubtful = matches!(error, Error::OutcomeUnknown(_)) || error.is_in_that_state() || error.ran_out();
        if error.is_not_found() && wanted == "Stopped" {
            return Ok(());
        }
        let id = if self.step.verb == Verb::Stop { &self.change.id } else { &self.id() };
        let now = if is_doubtful { self.read(id, &Raw::new()).await? } else { None };
        let is_reached = now.is_some_and(|(raw, _)| raw.get("status").is_some_and(|status| status == wanted));
        if is_reached { Ok(()) } else { Err(error) }
    }

    async fn ready(&self) -> Result<(), Failure> {
        let Some(lifecycle) = self.object()?.lifecycle.as_ref() else {
            return Ok(());
        };
        let id = self.id();
        guest::wait_ready(self.client, &id, &lifecycle.ready, lifecycle.ready_timeout)
            .await
            .map_err(|not_ready| Failure { message: not_ready.message, details: not_ready.log_lines })
    }
}

fn is_power(path: &Path) -> bool {
    *path == Path::field("state")
}

fn same(kind: &dyn Kind, path: &Path, a: &Option<Value>, b: &Option<Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => kind.same(path, b, a),
        (None, None) => true,
        (Some(value), None) | (None, Some(value)) => {
            *value == Value::Array(vec![]) || *value == Value::Bool(false) || *value == Value::String(String::new())
        }
    }
}
