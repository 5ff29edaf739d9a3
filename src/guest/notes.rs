use serde_json::{Value, json};

use super::{GuestError, Session};
use crate::lxd::{Call, Error, Method};

impl Session {
    /// What the instance's own config has under a key; `None` where it has none.
    ///
    /// # Errors
    /// The instance cannot be read.
    pub async fn note(&self, key: &str) -> Result<Option<String>, GuestError> {
        let instance = self.instance().await?;
        Ok(instance["config"][key].as_str().filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// Keeps a text under a key of the instance's own config, or takes it away.
    ///
    /// # Errors
    /// The instance cannot be read or written.
    pub async fn set_note(&self, key: &str, text: Option<&str>) -> Result<(), GuestError> {
        // LXD's PATCH merges `config`, takes `""` for "not there", and erases a description that is left out.
        let instance = self.instance().await?;
        let body = json!({ "config": { key: text.unwrap_or_default() }, "description": instance["description"] });
        let call = self.call(Method::Patch).json(body);
        self.client().run(&call, None).await.map(drop).map_err(|error| self.unreachable(&error))
    }

    async fn instance(&self) -> Result<Value, GuestError> {
        let read = self.client().read::<Value>(&self.call(Method::Get)).await;
        read.map(|(instance, _)| instance).map_err(|error| self.unreachable(&error))
    }

    fn call(&self, method: Method) -> Call {
        Call::new(method, &["instances", &self.id().name]).project(&self.id().project)
    }

    fn unreachable(&self, error: &Error) -> GuestError {
        GuestError::Unreachable(format!("{}: {error}", self.id()))
    }
}
