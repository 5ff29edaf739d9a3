//! How long a read is tried again. Reading twice does no harm, so a read outlives a connection that was cut, an
//! answer that broke off, and a server that starts again; a write is never sent again from here.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::client::Envelope;
use super::{Call, Client, Error};

/// So long is a server waited for that answered before: LXD starts within seconds.
pub const AWAY: Duration = Duration::from_secs(30);

/// A server that was never there is most likely a wrong address.
const NEVER_THERE: Duration = Duration::from_secs(2);

/// So often is a read begun again whose answer broke off.
const BREAKS: u32 = 12;

/// The pause before the first try again; it doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// After so long without an answer a read is begun again, on another connection: the first may lead nowhere.
const SILENCE: Duration = Duration::from_secs(30);

/// A server under load may need this much for a list, however short the timeout of an operation is.
const LEAST: Duration = Duration::from_secs(5);

impl Client {
    /// A read that outlives what passes. A wait for an operation is a read too: it is taken up again.
    pub(super) async fn patiently<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<(Envelope<T>, Option<String>), Error> {
        let started = Instant::now();
        let limit = self.timeout.max(LEAST);
        let silence = (self.timeout / 3).clamp(LEAST, SILENCE);
        let (mut pause, mut breaks) = (SHORTEST, 0);
        loop {
            let error = match tokio::time::timeout(silence, self.send(call, None)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                // Nothing is amiss with a wait that lasts, but its connection may be dead.
                Err(_) if call.path.ends_with("/wait") => continue,
                Err(_) => super::client::too_long(call),
            };
            let patience = match &error {
                Error::NotSent(why) if why.contains("certificate") => Duration::ZERO,
                error if error.is_away() && self.answered.load(Ordering::Relaxed) => AWAY,
                error if error.is_away() => NEVER_THERE,
                Error::OutcomeUnknown(_) if breaks < BREAKS => limit,
                Error::TimedOut(_) => limit,
                // A cluster that lost its leader has none for a moment.
                error if error.is_transient() => AWAY,
                _ => return Err(error),
            };
            if started.elapsed() + pause > patience.min(limit) {
                return Err(error);
            }
            breaks += u32::from(matches!(error, Error::OutcomeUnknown(_)));
            tracing::debug!("{}: {error}; read again", call.path);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }
}
