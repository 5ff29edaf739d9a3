//! What runs at the server on an object: what somebody else began, or we, when the answer was lost.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::{Call, Client, Error};

/// An operation that is not at its end.
#[derive(Clone, Debug, Deserialize)]
pub struct Running {
    id: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    resources: Option<BTreeMap<String, Option<Vec<String>>>>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, Value>>,
}

impl Running {
    /// True if it changes the object at this path (`/1.0/instances/a`), and not only runs a command in it.
    pub fn changes(&self, path: &str) -> bool {
        if !self.changes_anything() {
            return false;
        }
        let listed = self.resources.iter().flatten().flat_map(|(_, urls)| urls.iter().flatten().map(String::as_str));
        // LXD 6 says it in the metadata alone.
        let entities = ["entity_url", "original_entity_url"];
        let entities = self.metadata.iter().flat_map(|all| entities.iter().filter_map(|key| all.get(*key)?.as_str()));
        listed.chain(entities).any(|url| {
            let of = url.split('?').next().unwrap_or_default();
            of == path || of.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// True if it is no command, console or the like.
    pub fn changes_anything(&self) -> bool {
        self.class == "task" && !self.description.starts_with("Executing command")
    }

    /// True if it fetches or unpacks an image for the project's store.
    pub fn makes_an_image(&self) -> bool {
        self.class == "task" && self.description.to_ascii_lowercase().contains("image")
    }
}

impl Client {
    /// What runs in a project now.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub async fn running(&self, project: &str) -> Result<Vec<Running>, Error> {
        let call = Call::get(&["operations"]).project(project).query("recursion", "1");
        let (mut by_status, _) = self.read::<Option<BTreeMap<String, Vec<Running>>>>(&call).await?;
        let mut take = |status: &str| by_status.as_mut().and_then(|all| all.remove(status)).unwrap_or_default();
        Ok(["running", "pending", "cancelling"].into_iter().flat_map(&mut take).collect())
    }

    /// Waits until nothing of this sort runs in the project any more; how it ends is for who reads the object.
    ///
    /// # Errors
    /// As [`Client::read`], and that it takes longer than the timeout.
    pub async fn at_rest(&self, project: &str, is_meant: impl Fn(&Running) -> bool) -> Result<(), Error> {
        let started = Instant::now();
        while let Some(running) = self.running(project).await?.into_iter().find(&is_meant) {
            let left = self.timeout.saturating_sub(started.elapsed());
            tracing::debug!("{} ({}) runs at the server: waited for", running.id, running.description);
            match tokio::time::timeout(left, self.wait(&running.id)).await {
                Ok(Err(error @ Error::NotSent(_))) => return Err(error),
                Ok(_) => {}
                Err(_) => return Err(Error::TimedOut(format!("`{}`, which runs at the server,", running.description))),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn running(value: Value) -> Running {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_changes_an_instance_in_every_servers_words() {
        let lxd_5 = json!({"id": "1", "class": "task", "description": "Creating instance",
            "resources": {"containers": ["/1.0/containers/a"], "instances": ["/1.0/instances/a"]}, "metadata": null});
        let lxd_5_21 = json!({"id": "1", "class": "task", "resources": {"instances": ["/1.0/instances/a?project=p"]}});
        let lxd_6 = json!({"id": "1", "class": "task", "resources": {},
            "metadata": {"entity_url": "/1.0/instances/a?project=p", "progress": {"stage": "x"}}});
        for value in [lxd_5, lxd_5_21, lxd_6] {
            assert!(running(value.clone()).changes("/1.0/instances/a"), "{value}");
            assert!(!running(value.clone()).changes("/1.0/instances/ab"), "{value}");
        }
    }

    #[test]
    fn a_command_that_runs_is_no_change() {
        let urls = json!({"instances": ["/1.0/instances/a"]});
        let exec =
            json!({"id": "1", "class": "task", "description": "Executing command", "resources": urls, "metadata": {}});
        assert!(!running(exec).changes("/1.0/instances/a"));
        assert!(!running(json!({"id": "1", "class": "websocket", "resources": urls})).changes("/1.0/instances/a"));
    }
}
