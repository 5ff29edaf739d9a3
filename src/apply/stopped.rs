//! When a stop is really over.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::step::{Failure, One};
use crate::kinds::Raw;
use crate::lxd::{Call, Error};

/// So long LXD's own clean-up may take before it is renamed all the same.
const LIMIT: Duration = Duration::from_secs(10);

impl One<'_> {
    /// A rename, once LXD has put down that the instance has stopped. It lists one as stopped a moment before (seen
    /// where an earlier run was killed while it stopped); renamed then, it is "busy" for the next half a minute.
    pub(super) async fn rename_once_stopped(&self) -> Result<(), Failure> {
        let started = Instant::now();
        while started.elapsed() < LIMIT && !self.has_put_down_its_stop().await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.rename().await
    }

    async fn has_put_down_its_stop(&self) -> Result<bool, Failure> {
        let id = &self.change.id;
        match self.client.read::<Raw>(&Call::get(&["instances", &id.name]).project(&id.project)).await {
            Ok((raw, _)) => {
                let power = raw.get("config").and_then(|config| config.get("volatile.last_state.power"));
                Ok(power.and_then(Value::as_str) != Some("RUNNING"))
            }
            // The rename itself says what is wrong.
            Err(Error::Api { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
