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
    /// Its process, which is another one after it was restarted.
    pub pid: i64,
    /// Part of a cluster.
    pub is_clustered: bool,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Its own config is hidden from us: our certificate is restricted to some projects. Incus shows an empty one
    /// in that case, so there it is the refused lists that tell; see [`crate::live::read`].
    pub is_restricted: bool,
    /// SHA-256 of the certificate by which it knows us; none at a socket.
    pub client: Option<String>,
    /// How it runs instances: `lxc` containers, `qemu` virtual machines.
    pub instance_drivers: BTreeSet<String>,
    /// The storage drivers that it could make a pool with.
    pub storage_drivers: BTreeSet<String>,
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
    server_pid: i64,
    server_clustered: bool,
    certificate_fingerprint: String,
    driver: String,
    storage_supported_drivers: Option<Vec<Driver>>,
}

#[derive(Deserialize)]
struct Driver {
    #[serde(rename = "Name", alias = "name")]
    name: String,
}

impl Server {
    /// The client that its administrators use.
    pub fn program(&self) -> &'static str {
        if self.kind == "incus" { "incus" } else { "lxc" }
    }

    /// By which protocol it fetches images from others of its kind.
    pub fn protocol(&self) -> &'static str {
        if self.kind == "incus" { "incus" } else { "lxd" }
    }

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
        let drivers = environment.driver.split('|').map(|driver| driver.trim().to_owned());
        let storage = environment.storage_supported_drivers.unwrap_or_default();
        Ok(Server {
            instance_drivers: drivers.filter(|driver| !driver.is_empty()).collect(),
            storage_drivers: storage.into_iter().map(|driver| driver.name).collect(),
            kind: environment.server,
            version: environment.server_version,
            name: environment.server_name,
            pid: environment.server_pid,
            is_clustered: environment.server_clustered,
            fingerprint: environment.certificate_fingerprint,
            is_restricted: answer.config.is_none(),
            client: self.identity(),
            extensions: answer.api_extensions.into_iter().collect(),
        })
    }
}
