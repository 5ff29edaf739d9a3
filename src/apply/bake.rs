//! From an instance that runs to an image of it: its roles as far as they are the same everywhere, tidied, published.

use serde_json::{Value, json};

use crate::guest::{Command, Session};
use crate::kinds::instance;
use crate::lxd::{Call, Client, Error};
use crate::model::Id;
use crate::plan::BAKED_PROPERTY;

/// What every instance is to have of its own, and what only takes up space.
const TIDY: &str = "\
    apt-get clean 2>/dev/null
    rm -rf /var/lib/apt/lists/* /var/lib/dhcp/* /var/log/journal/* /tmp/* /var/tmp/* /root/.ansible
    rm -f /etc/ssh/ssh_host_*
    test ! -e /etc/machine-id || : >/etc/machine-id
    sync";

/// Takes out of a guest what must not be in an image of it.
///
/// # Errors
/// Why it cannot be done.
pub async fn tidy(client: &Client, id: &Id) -> Result<(), String> {
    let command = Command { argv: ["sh", "-c", TIDY].map(str::to_owned).to_vec(), ..Command::default() };
    let output = Session::new(client, id).run(&command).await.map_err(|error| error.to_string())?;
    match output.code {
        0 => Ok(()),
        _ => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Stops an instance and makes an image of it, of this alias. Gives the fingerprint.
///
/// # Errors
/// The server's refusal.
pub async fn publish(
    client: &Client,
    id: &Id,
    alias: &str,
    description: &str,
    compression: Option<&str>,
) -> Result<String, Error> {
    client.run(&instance::power_call(id, "stop", Some(instance::STOP_TIMEOUT)), None).await?;
    let mut body = json!({
        "source": {"type": "instance", "name": id.name},
        "properties": {"description": description, BAKED_PROPERTY: alias},
    });
    if let Some(compression) = compression {
        body["compression_algorithm"] = compression.into();
    }
    let made = client.run(&Call::post(&["images"], body).project(&id.project), None).await?;
    let fingerprint = made.pointer("/metadata/fingerprint").or_else(|| made.get("fingerprint"));
    let fingerprint = fingerprint.and_then(Value::as_str).unwrap_or_default().to_owned();
    let body = json!({"name": alias, "description": description, "target": fingerprint});
    client.run(&Call::post(&["images", "aliases"], body).project(&id.project), None).await?;
    Ok(fingerprint)
}

/// Takes away the instance that an image was made of, be it stopped or not.
///
/// # Errors
/// The server's refusal.
pub async fn remove(client: &Client, id: &Id) -> Result<(), Error> {
    let stop = instance::power_call(id, "stop", Some(std::time::Duration::ZERO));
    if let Err(error) = client.run(&stop, None).await {
        tracing::debug!("{id}: {error}"); // it is stopped already
    }
    client.run(&Call::delete(&["instances", &id.name]).project(&id.project), None).await.map(drop)
}
