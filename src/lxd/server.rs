use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Call, Client, Error};

/// What a server says of itself (`GET /1.0`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `lxd` or `incus`.
    pub kind: String,
    /// For people; what the server can do is told by its extensions.
    pub version: String,
    /// Its name, of a cluster the member's.
    pub name: String,
    /// Part of a cluster.
    pub is_clustered: bool,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Its own config is hidden from a restricted certificate.
    pub is_restricted: bool,
    extensions: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    api_extensions: Vec<String>,
    #[serde(default)]
    auth: String,
    #[serde(default)]
    config: Option<serde_json::Map<String, serde_json::Value>>,
    environment: Option<Environment>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Environment {
    server: String,
    server_version: String,
    server_name: String,
    server_clustered: bool,
    certificate_fingerprint: String,
}

impl Server {
    /// True if the server has an API extension.
    pub fn has(&self, extension: &str) -> bool {
        self.extensions.contains(extension)
    }
}

impl Client {
    /// Asks the server what it is.
    ///
    /// # Errors
    /// [`Error::Untrusted`] where it does not know our certificate.
    pub async fn server(&self) -> Result<Server, Error> {
        let (answer, _) = self.read::<Answer>(&Call::get(&[])).await?;
        if answer.auth != "trusted" {
            return Err(Error::Untrusted(self.name().to_owned()));
        }
        let environment = answer.environment.unwrap_or_default();
        Ok(Server {
            kind: environment.server,
            version: environment.server_version,
            name: environment.server_name,
            is_clustered: environment.server_clustered,
            fingerprint: environment.certificate_fingerprint,
            is_restricted: answer.config.is_none(),
            extensions: answer.api_extensions.into_iter().collect(),
        })
    }
}
