//! One step at the server: its calls, and what is done when their outcome is in doubt.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::cluster;
use super::driver::Run;
use super::leftovers;
use super::lock::Lock;
use super::send::TRIES;
use super::turns::Turns;
use crate::guest;
use crate::kinds::{Kind, Object, Raw, body, image};
use crate::live::Cluster;
use crate::lxd::{Client, Error, Method, forbidden};
use crate::model::{Address, Event, Id, Outcome, Path, StepId, Verb};
use crate::plan::{Action, Change, HALF_MADE, Plan, Step, Work};
use crate::play::Interpreter;

/// What all steps of a run share.
pub struct Context<'a> {
    pub(super) plan: &'a Plan,
    pub(super) run: &'a Run<'a>,
    pub(super) events: UnboundedSender<Event>,
    /// Fingerprints of images that this run made.
    pub(super) images: RefCell<HashMap<Address, String>>,
    /// The run's lock, as soon as it is had.
    pub(super) lock: std::cell::OnceCell<Lock>,
    /// What runs inside of instances, where something does.
    pub(super) interpreter: Option<&'a Interpreter<'a>>,
    /// Who may change something inside of a running member of a group.
    pub(super) turns: Turns,
    /// The cluster as the run finds it, read once, when something is made on each of its members.
    pub(super) cluster: tokio::sync::OnceCell<Cluster>,
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
    pub fn new(
        plan: &'a Plan,
        run: &'a Run<'a>,
        interpreter: Option<&'a Interpreter<'a>>,
        events: UnboundedSender<Event>,
    ) -> Self {
        let (images, lock, cluster) = Default::default();
        let turns = Turns::new(&plan.in_turn);
        Context { plan, run, events, images, lock, interpreter, turns, cluster }
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
        Verb::Provision => one.provision().await,
        Verb::Ready => one.ready().await,
    };
    let result = one.explained(result).await;
    match result {
        Ok(()) => Outcome::Done,
        Err(Failure { message, mut details }) => {
            details.extend(forbidden::remedy(&message, context.run.snapshot.server.program()));
            details.extend(leftovers::remedy(&message));
            Outcome::Failed { message: cluster::explained(message, &context.run.snapshot.cluster), details }
        }
    }
}

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
    pub(super) fn kind(&self) -> Result<&'static dyn Kind, Failure> {
        self.work.kind.ok_or_else(|| Failure::because("a step without a kind"))
    }

    pub(super) fn object(&self) -> Result<&Object, Failure> {
        self.work.object.as_ref().ok_or_else(|| Failure::because("a step without an object"))
    }

    /// Where the object lives under its new name.
    pub(super) fn id(&self) -> Id {
        match &self.work.object {
            Some(object) if object.lifecycle.is_some() => Id { name: object.name.clone(), ..self.change.id.clone() },
            _ => self.change.id.clone(),
        }
    }

    /// GET, check that what is managed is as the plan showed it, merge, PUT with If-Match.
    async fn update(&self) -> Result<(), Failure> {
        let kind = self.kind()?;
        let id = self.id();
        let planned = self.work.live.clone().unwrap_or_default();
        let leaves = kind.stamp_leaves(&self.context.plan.site, self.work.stamp.as_ref());
        self.finish(kind, &id, &planned).await?;
        let (mut merges, mut doubts) = (0, 0);
        while merges < MERGES {
            let (mut before, etag) =
                self.read(&id, &planned).await?.ok_or_else(|| Failure::because("it is no longer there; plan again"))?;
            self.read_members(kind, &id, &mut before).await?;
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
                Err(error) if error.is_precondition_failed() => merges += 1,
                // What was sent may have been done, or be under way: reading again tells what is left to write.
                Err(Error::OutcomeUnknown(_)) if doubts < TRIES => {
                    doubts += 1;
                    self.read_at_rest(kind, &id).await?;
                }
                result => return result.map_err(Failure::from),
            }
        }
        Err(Failure::because("changed under us, again and again; plan again when it is at rest"))
    }

    pub(super) async fn write(
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
            self.delete_expendable_images(&id.name).await?;
            if let Some(lock) = self.context.lock.get().filter(|lock| lock.project() == id.name) {
                lock.release().await;
            }
        }
        if self.context.images.borrow().values().any(|made| *made == id.name) {
            // The image that replaces it turned out to be the same.
            return Ok(());
        }
        if self.change.reason.code == HALF_MADE && !self.is_still_half_made(kind, id).await? {
            return Ok(());
        }
        for call in kind.delete(&self.context.plan.site, id, &live) {
            match self.send(&call).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() && self.read(id, &live).await?.is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        if kind.section() == "networks"
            && let Some((left, _)) = self.read(id, &live).await?
            && !kind.is_managed(&left)
        {
            // LXD lists the machine's own interfaces, too.
            return Err(Failure::because(leftovers::bridge(&id.name)));
        }
        Ok(())
    }

    /// Nothing goes whose successor's image cannot be found.
    pub(super) fn check_successor(&self) -> Result<(), Failure> {
        if self.change.action == Action::Replace {
            self.image_source(self.object()?)?;
        }
        Ok(())
    }

    pub(super) async fn ready(&self) -> Result<(), Failure> {
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
