//! LXD's own progress of what runs: told in its events, which are best effort. Whether an operation is done
//! is never read here, but waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::client::Progress;
use super::{Call, Client, Error};

/// Who wants to know of which operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Followers(Arc<Mutex<HashMap<String, Progress>>>);

/// Until it is dropped, an operation is followed.
pub(super) struct Followed {
    followers: Followers,
    operation: String,
}

impl Followers {
    /// Sends what LXD tells of an operation to `progress`.
    pub fn follow(&self, operation: &str, progress: &Progress) -> Followed {
        let mut followers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followers.insert(operation.to_owned(), progress.clone());
        Followed { followers: self.clone(), operation: operation.to_owned() }
    }

    fn tell(&self, event: Event) {
        let followers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(progress) = followers.get(&event.metadata.id) else { return };
        let told = event.metadata.metadata.iter().flatten().find(|(key, _)| key.ends_with("_progress"));
        if let Some((_, Value::String(text))) = told {
            // The step may have ended.
            let _ = progress.send(text.clone());
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.followers.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.operation);
    }
}

/// One message of `/1.0/events?type=operation`.
#[derive(Deserialize)]
struct Event {
    metadata: Operation,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    id: String,
    #[serde(default)]
    metadata: Option<HashMap<String, Value>>,
}

impl Client {
    /// Listens to the server's operations for as long as this is awaited.
    ///
    /// # Errors
    /// The server does not let us: a restricted certificate, or a proxy that knows no upgrades.
    pub async fn follow_operations(&self) -> Result<(), Error> {
        let call = Call::get(&["events"]).query("type", "operation").query("all-projects", "true");
        let failed = |error: &dyn std::fmt::Display| Error::Protocol(format!("{}: {error}", call.path));
        let mut events = self.websocket(&self.upgradable()?, &call).await?;
        while let Some(message) = events.next().await {
            if let Message::Text(text) = message.map_err(|error| failed(&error))?
                && let Ok(event) = serde_json::from_str(&text)
            {
                self.followers().tell(event);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lxd_tells_reaches_who_follows_and_nobody_else() {
        let followers = Followers::default();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let tell = |id: &str, text: &str| {
            let event = format!(
                r#"{{"type":"operation","metadata":{{"id":"{id}","metadata":{{"create_instance_from_image_unpack_progress":"{text}"}}}}}}"#
            );
            followers.tell(serde_json::from_str(&event).unwrap());
        };
        let followed = followers.follow("a", &sender);
        tell("b", "no");
        tell("a", "Unpack: 40%");
        followers.tell(serde_json::from_str(r#"{"metadata":{"id":"a","metadata":null}}"#).unwrap());
        drop(followed);
        tell("a", "no");
        drop(sender);
        assert_eq!(receiver.blocking_recv(), Some("Unpack: 40%".into()));
        assert_eq!(receiver.blocking_recv(), None);
    }
}
