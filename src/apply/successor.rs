//! What goes down to come up again, and must be able to.

use std::time::Duration;

use serde_json::Value;

use super::step::{Failure, One};
use crate::kinds::instance;
use crate::plan::Action;

impl One<'_> {
    /// Nothing goes whose successor's image cannot be found.
    pub(super) fn check_successor(&self) -> Result<(), Failure> {
        if self.change.action == Action::Replace {
            self.image_source(self.object()?)?;
        }
        Ok(())
    }

    pub(super) fn is_ephemeral(&self) -> bool {
        self.work.live.as_ref().and_then(|live| live.get("ephemeral")) == Some(&Value::Bool(true))
    }

    /// LXD deletes an ephemeral instance that stops, and spares it only where it restarts it itself.
    pub(super) async fn restart_in_one(&self) -> Result<(), Failure> {
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
}
