//! How a step's calls are sent: again where nothing was done, and never twice what is not safe twice. Where an
//! answer was lost, the step waits until nothing runs on its object and then reads it.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;

use super::step::One;
use crate::kinds::{Kind, Raw};
use crate::lxd::{self, Call, Error, Method, Progress};
use crate::model::{Event, Id};

/// So often is a step tried that fails for a passing reason.
pub(super) const TRIES: u32 = 6;

impl One<'_> {
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

    /// Sends a call, again where the reason was a passing one and nothing was done.
    pub(super) async fn send(&self, call: &Call) -> Result<Value, Error> {
        let (mut pause, mut tries) = (Duration::from_millis(100), 1);
        let mut away: Option<Instant> = None;
        let progress = matches!(self.step.address.section.as_str(), "images" | "instances").then(|| self.progress());
        loop {
            let error = match self.client.run(call, progress.as_ref()).await {
                Err(error) => error,
                done => return done,
            };
            let is_again = match &error {
                // It starts again, or the way to it does.
                error if error.is_away() => away.get_or_insert_with(Instant::now).elapsed() < lxd::AWAY,
                error if error.is_transient() => tries < TRIES,
                // Writing or removing may be done twice; the answer to the second is the outcome.
                Error::OutcomeUnknown(_) => call.is_safe_twice() && call.if_match.is_none() && tries < TRIES,
                _ => false,
            };
            if !is_again {
                return Err(error);
            }
            self.tell_retried(&error);
            if !error.is_away() {
                tries += 1;
                away = None;
            }
            match path_of_object(call) {
                Some(path) if error.is_busy() => self.at_rest(&path, project_of(call)).await?,
                _ => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
    }

    fn tell_retried(&self, error: &Error) {
        let (step, address) = (self.step.id, self.step.address.clone());
        // The receiver may be gone when the apply was left.
        let _ = self.context.events.send(Event::StepRetried { step, address, message: error.to_string() });
    }

    /// Waits until nothing runs on an object; what runs may be what this step began.
    async fn at_rest(&self, path: &str, project: &str) -> Result<(), Error> {
        self.client.at_rest(project, |running| running.changes(path)).await
    }

    /// The object as it is now.
    pub(super) async fn read(&self, id: &Id, live: &Raw) -> Result<Option<(Raw, Option<String>)>, Error> {
        let Some(kind) = self.work.kind else { return Ok(None) };
        match self.client.read::<Raw>(&kind.call(Method::Get, id, live)).await {
            Ok((raw, etag)) => Ok(Some((raw, etag))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The object as it is when nothing runs on it any more: what settles a lost answer.
    pub(super) async fn read_at_rest(&self, kind: &dyn Kind, id: &Id) -> Result<Option<Raw>, Error> {
        let live = self.work.live.clone().unwrap_or_default();
        self.at_rest(&kind.call(Method::Get, id, &live).path, &id.project).await?;
        Ok(self.read(id, &live).await?.map(|(raw, _)| raw))
    }
}

/// `/1.0/instances/a` of a call on an instance or anything below it.
fn path_of_object(call: &Call) -> Option<String> {
    let parts: Vec<&str> = call.path.splitn(5, '/').collect();
    match parts.as_slice() {
        ["", version, "instances", name, ..] => Some(format!("/{version}/instances/{name}")),
        // A creation that collides with what runs on the name.
        ["", version, "instances"] => {
            let lxd::Body::Json(body) = &call.body else { return None };
            Some(format!("/{version}/instances/{}", lxd::escape(body.get("name")?.as_str()?)))
        }
        _ => None,
    }
}

fn project_of(call: &Call) -> &str {
    call.query.iter().find(|(key, _)| *key == "project").map_or("default", |(_, project)| project)
}
