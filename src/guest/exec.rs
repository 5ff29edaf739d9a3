use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::lxd::{Call, Client, Error};
use crate::model::Id;

/// Runs a command in an instance as root, without input and output, and gives its exit code.
///
/// # Errors
/// The command could not be run at all; a code other than 0 is no error.
pub async fn exec(
    client: &Client,
    id: &Id,
    command: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<i64, Error> {
    let body = json!({
        "command": command, "environment": environment, "interactive": false,
        "wait-for-websocket": false, "record-output": false,
    });
    let call = Call::post(&["instances", &id.name, "exec"], body).project(&id.project);
    let metadata = client.run(&call, None).await?;
    metadata.get("return").and_then(Value::as_i64).ok_or_else(|| Error::Protocol("exec without an exit code".into()))
}

/// Runs a command and gives what it wrote to stdout, at most `limit` bytes of its end.
///
/// # Errors
/// As [`exec`].
pub async fn output(client: &Client, id: &Id, command: &[String]) -> Result<String, Error> {
    let body = json!({"command": command, "interactive": false, "wait-for-websocket": false, "record-output": true});
    let call = Call::post(&["instances", &id.name, "exec"], body).project(&id.project);
    let metadata = client.run(&call, None).await?;
    let output = metadata.get("output").and_then(Value::as_object);
    let mut text = String::new();
    for (fd, path) in output.into_iter().flatten() {
        let Some(path) = path.as_str() else { continue };
        if fd == "1" {
            text = client.text(path, &id.project).await?;
        }
        // LXD keeps recorded output as long as the instance lives.
        client.remove(path, &id.project).await?;
    }
    Ok(text)
}
