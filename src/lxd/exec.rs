//! Commands in instances: their streams are websockets (`/1.0/instances/NAME/exec`).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::websocket::Socket;
use super::{Call, Client, Error};
use crate::model::Id;

/// What is to be run.
#[derive(Clone, Debug, Default)]
pub struct Exec<'a> {
    /// The program and its arguments.
    pub command: &'a [String],
    /// Beside the instance's own environment.
    pub environment: BTreeMap<String, String>,
    /// Numbers of user and group; root's where this is `None`.
    pub user: Option<(u32, u32)>,
    /// Where it runs; the user's home by default.
    pub cwd: Option<&'a str>,
    /// What it reads.
    pub stdin: &'a [u8],
    /// How long it may take; it is killed then.
    pub limit: Option<Duration>,
}

/// What it left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code; 128 + N where signal N ended it.
    pub code: i64,
    /// All of its stdout.
    pub stdout: Vec<u8>,
    /// All of its stderr.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub elapsed: Duration,
    /// It ran out of time and was killed.
    pub timed_out: bool,
}

/// The operation of an exec.
#[derive(Deserialize)]
struct Started {
    id: String,
    metadata: Fds,
}

#[derive(Deserialize)]
struct Fds {
    fds: BTreeMap<String, String>,
}

/// A command that runs.
struct Running {
    operation: String,
    control: Socket,
    stdin: Socket,
    stdout: Socket,
    stderr: Socket,
}

/// A command that one talks with while it runs. When this is dropped, its stdin ends.
pub struct Attached(Running);

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attached({})", self.0.operation)
    }
}

impl Attached {
    /// Writes to its stdin.
    ///
    /// # Errors
    /// The connection broke, or it has ended.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for piece in bytes.chunks(PIECE) {
            self.0.stdin.send(Message::Binary(piece.to_vec().into())).await.map_err(|error| broke_off(&error))?;
        }
        Ok(())
    }

    /// Reads its stdout until it has just written this.
    ///
    /// # Errors
    /// As [`Attached::send`].
    pub async fn until(&mut self, is_end: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Error> {
        read_until(&mut self.0.stdout, is_end).await
    }

    /// The same of both its stdout and its stderr.
    ///
    /// # Errors
    /// As [`Attached::send`].
    pub async fn both_until(
        &mut self,
        is_end: impl Fn(&[u8]) -> bool,
        is_end_of_errors: impl Fn(&[u8]) -> bool,
    ) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let Running { stdout, stderr, .. } = &mut self.0;
        tokio::try_join!(read_until(stdout, is_end), read_until(stderr, is_end_of_errors))
    }
}

fn broke_off(error: &dyn std::fmt::Display) -> Error {
    Error::OutcomeUnknown(format!("the command's streams broke off: {error}"))
}

async fn read_until(socket: &mut Socket, is_end: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Error> {
    let mut read = vec![];
    while !is_end(&read) {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => read.extend_from_slice(&bytes),
            Some(Ok(Message::Text(_) | Message::Close(_))) | None => return Err(broke_off(&"it has ended")),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(broke_off(&error)),
        }
    }
    Ok(read)
}

/// So often a command is begun, and after this while.
const TRIES: u32 = 4;
const AGAIN: Duration = Duration::from_millis(500);

/// One piece of what is sent to stdin.
const PIECE: usize = 128 * 1024;

impl Client {
    /// Starts a command, with all its streams.
    async fn started(&self, id: &Id, exec: &Exec<'_>) -> Result<Running, Error> {
        let mut body = json!({
            "command": exec.command, "environment": exec.environment, "interactive": false,
            "wait-for-websocket": true, "record-output": false,
        });
        if let Some((user, group)) = exec.user {
            body["user"] = user.into();
            body["group"] = group.into();
        }
        if let Some(cwd) = exec.cwd {
            body["cwd"] = cwd.into();
        }
        let call = Call::post(&["instances", &id.name, "exec"], body).project(&id.project);
        let (envelope, _) = self.send::<Value>(&call, None).await?;
        let started: Started = envelope
            .metadata
            .and_then(|metadata| serde_json::from_value(metadata).ok())
            .ok_or_else(|| Error::Protocol("exec without websockets".into()))?;
        let http = self.upgradable()?;
        let connect = async |fd: &str| -> Result<Socket, Error> {
            let secret = started.metadata.fds.get(fd).map(String::as_str).unwrap_or_default();
            let path = ["operations", started.id.as_str(), "websocket"];
            self.websocket(&http, &Call::get(&path).query("secret", secret)).await
        };
        // The command starts when all of the streams are there; were control the last, it might come too late.
        let control = connect("control").await?;
        let (stdin, stdout, stderr) = tokio::try_join!(connect("0"), connect("1"), connect("2"))?;
        Ok(Running { operation: started.id.clone(), control, stdin, stdout, stderr })
    }

    /// Runs a command and gives what it wrote, however much.
    ///
    /// # Errors
    /// It could not be run at all, or the connection broke; an exit code is no error.
    pub async fn exec(&self, id: &Id, exec: &Exec<'_>) -> Result<Executed, Error> {
        let mut tries = 1;
        loop {
            match self.exec_once(id, exec).await {
                Err(error) if is_not_begun(&error) && tries < TRIES => {
                    tracing::debug!("{id}: {error}; tried again");
                    tries += 1;
                    tokio::time::sleep(AGAIN).await;
                }
                ended => return ended,
            }
        }
    }

    async fn exec_once(&self, id: &Id, exec: &Exec<'_>) -> Result<Executed, Error> {
        let started = Instant::now();
        let Running { operation, mut control, mut stdin, mut stdout, mut stderr } = self.started(id, exec).await?;
        let (mut out, mut err) = (vec![], vec![]);
        let (moved, broken) = (Cell::new(0), Cell::new(false));
        let streams = async {
            let (stdout, stderr) = (drain(&mut stdout, &mut out, &moved), drain(&mut stderr, &mut err, &moved));
            let ends = tokio::join!(feed(&mut stdin, exec.stdin), stdout, stderr);
            broken.set(!(ends.1 && ends.2));
        };
        // They may have ended when time runs out all the same.
        let mut streams = Box::pin(streams.fuse());
        // LXD forgets an operation soon after its end: its end is waited for from the beginning.
        let mut end = Box::pin(self.end_of(&operation));
        let both = async {
            tokio::select! {
                end = &mut end => {
                    settle(&mut streams, &moved).await;
                    end
                }
                () = &mut streams => end.await,
            }
        };
        let ended = match exec.limit {
            Some(limit) => tokio::time::timeout(limit, both).await.ok(),
            None => Some(both.await),
        };
        let timed_out = ended.is_none();
        let ended = match ended {
            Some(ended) => ended,
            None => {
                let kill = json!({"command": "signal", "signal": 9}).to_string();
                // It may have ended in this moment.
                let _ = control.send(Message::Text(kill.into())).await;
                // What it left running keeps the streams open.
                let _ = tokio::time::timeout(Duration::from_secs(1), &mut streams).await;
                tokio::time::timeout(Duration::from_secs(5), self.end_of(&operation)).await.unwrap_or(Ok(Value::Null))
            }
        };
        drop(streams);
        let metadata = match ended {
            Ok(metadata) => metadata,
            Err(_) if timed_out => Value::Null,
            // Codes that a shell has for what it cannot run are LXD's own for the same; what was said stays.
            Err(Error::Api { message, .. }) if not_run(&message).is_some() => {
                if err.is_empty() {
                    err.extend(message.as_bytes());
                }
                json!({ "return": not_run(&message) })
            }
            Err(error) => return Err(error),
        };
        if broken.get() && !timed_out {
            return Err(Error::OutcomeUnknown("the command's output broke off".into()));
        }
        let code = metadata.get("return").and_then(Value::as_i64);
        let code =
            code.or(timed_out.then_some(137)).ok_or_else(|| Error::Protocol("exec without an exit code".into()))?;
        Ok(Executed { code, stdout: out, stderr: err, elapsed: started.elapsed(), timed_out })
    }

    /// Starts a command that one talks with.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn attach(&self, id: &Id, exec: &Exec<'_>) -> Result<Attached, Error> {
        self.started(id, exec).await.map(Attached)
    }

    /// Waits for an operation's end, however long it takes.
    async fn end_of(&self, id: &str) -> Result<Value, Error> {
        loop {
            match self.wait(id).await {
                Err(Error::TimedOut(_)) => {}
                ended => return ended,
            }
        }
    }
}

/// LXD may leave a stream open when the command is at its end and all was sent; nobody but its garbage collector closes
/// it then. This long nothing may come.
const SILENCE: Duration = Duration::from_secs(1);

/// Reads what a command that has ended left in the streams.
async fn settle(streams: &mut (impl Future<Output = ()> + Unpin), moved: &Cell<usize>) {
    loop {
        let before = moved.get();
        if tokio::time::timeout(SILENCE, &mut *streams).await.is_ok() {
            return;
        }
        if moved.get() == before {
            tracing::debug!("a command ended, and its streams are open still: all of it was read");
            return;
        }
    }
}

/// Sends all, and the end. A command that ends before it has read all is its own matter.
async fn feed(socket: &mut Socket, bytes: &[u8]) {
    for piece in bytes.chunks(PIECE) {
        if socket.send(Message::Binary(piece.to_vec().into())).await.is_err() {
            return;
        }
    }
    // An empty text is LXD's end of file.
    let _ = socket.send(Message::Text("".into())).await;
}

/// Reads until the end: an empty text, or the stream's close. False where the connection broke before it.
async fn drain(socket: &mut Socket, into: &mut Vec<u8>, moved: &Cell<usize>) -> bool {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                into.extend_from_slice(&bytes);
                moved.set(moved.get() + bytes.len());
            }
            Some(Ok(Message::Text(_) | Message::Close(_))) => return true,
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!("a stream broke after {} bytes: {error}", into.len());
                return false;
            }
            None => return false,
        }
    }
}

/// LXD's words where it could not get into the instance: the command was not begun. Seen on a busy machine, in an
/// instance whose cgroups somebody (Docker) was just changing.
fn is_not_begun(error: &Error) -> bool {
    matches!(error, Error::Api { message, .. } if message.contains("retrieve PID of executing child process"))
}

/// LXD's and Incus' words for a program that is not there, or that cannot be run; a program that ends with 127 or 126
/// is told so as well.
fn not_run(message: &str) -> Option<i64> {
    let message = message.to_ascii_lowercase();
    match () {
        () if message.contains("command not executable") => Some(126),
        () if ["command not found", "executable file not found"].iter().any(|words| message.contains(words)) => {
            Some(127)
        }
        () => None,
    }
}
