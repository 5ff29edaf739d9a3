//! Starting, stopping and renaming: acts, whose doubtful outcome is settled by looking before they are repeated.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::send::TRIES;
use super::step::{Failure, One};
use crate::guest;
use crate::kinds::{Raw, instance};
use crate::lxd::{Call, Error};
use crate::model::Verb;
use crate::plan::Action;

/// LXD gives its own hook 30 s to ask the daemon what a start needs; on a busy machine that was seen to be too few. A
/// start that fails in that hook earlier fails for a reason.
const HOOK: Duration = Duration::from_secs(25);

/// So long is LXD's cleaning up after it waited for.
const CLEAN_UP: Duration = Duration::from_secs(60);

impl One<'_> {
    pub(super) async fn start(&self) -> Result<(), Failure> {
        let status = self.work.live.as_ref().and_then(|live| live.get("status")).and_then(Value::as_str);
        let action =
            if status == Some("Frozen") && self.change.action != Action::Replace { "unfreeze" } else { "start" };
        self.power(&instance::power_call(&self.id(), action, None), "Running").await
    }

    pub(super) async fn stop(&self) -> Result<(), Failure> {
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

    pub(super) async fn restart(&self) -> Result<(), Failure> {
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
        let started = Instant::now();
        let Err(mut error) = self.switch(call, wanted).await else { return Ok(()) };
        let log =
            async || if wanted == "Running" { guest::last_log_lines(self.client, &self.id()).await } else { vec![] };
        let mut details = log().await;
        if started.elapsed() > HOOK && details.iter().any(|line| line.contains("lxc.hook.pre-start")) {
            self.until_cleaned_up().await?;
            match self.switch(call, wanted).await {
                Ok(()) => return Ok(()),
                Err(again) => (error, details) = (again, log().await),
            }
        }
        Err(Failure { message: error.to_string(), details })
    }

    /// After a failed start LXD has an instance in `Error` for a while, and starts nothing that is.
    async fn until_cleaned_up(&self) -> Result<(), Error> {
        let started = Instant::now();
        while started.elapsed() < CLEAN_UP {
            match self.read(&self.id(), &Raw::new()).await? {
                Some((raw, _)) if raw.get("status").is_some_and(|status| status == "Error") => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// A change of power is not the same sent twice, so a doubtful answer is settled by looking.
    async fn switch(&self, call: &Call, wanted: &str) -> Result<(), Error> {
        let id = if self.step.verb == Verb::Stop { &self.change.id } else { &self.id() };
        let mut tries = 1;
        loop {
            let Err(error) = self.send(call).await else { return Ok(()) };
            let is_lost = matches!(error, Error::OutcomeUnknown(_));
            if error.is_not_found() && wanted == "Stopped" {
                return Ok(());
            }
            if !is_lost && !error.is_in_that_state() && !error.ran_out() {
                return Err(error);
            }
            let now = match self.work.kind {
                Some(kind) if is_lost => self.read_at_rest(kind, id).await?,
                _ => self.read(id, &Raw::new()).await?.map(|(raw, _)| raw),
            };
            let is_reached = now.as_ref().is_some_and(|raw| raw.get("status").is_some_and(|status| status == wanted));
            if is_reached || now.is_none() && wanted == "Stopped" {
                return Ok(());
            }
            if !is_lost || tries == TRIES {
                return Err(error);
            }
            tracing::debug!("{}: {error}; not {wanted} yet, sent again", call.path);
            tries += 1;
        }
    }

    pub(super) async fn rename(&self) -> Result<(), Failure> {
        let kind = self.kind()?;
        let call = instance::rename_call(&self.change.id, &self.object()?.name);
        let mut tries = 1;
        loop {
            let error = match self.send(&call).await {
                Ok(_) => return Ok(()),
                Err(error @ (Error::OutcomeUnknown(_) | Error::Api { .. })) => error,
                Err(error) => return Err(error.into()),
            };
            let old = self.read_at_rest(kind, &self.change.id).await?;
            let new = self.read_at_rest(kind, &self.id()).await?;
            match (old, new) {
                (None, Some(_)) => return Ok(()),
                (Some(_), None) if matches!(error, Error::OutcomeUnknown(_)) && tries < TRIES => tries += 1,
                _ => return Err(error.into()),
            }
        }
    }
}
