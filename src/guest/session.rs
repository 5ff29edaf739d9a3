use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join};
use tokio::sync::Mutex;

use super::acts::{self, From};
use super::resident::{Resident, Script};
use super::shell::PATH;
use super::{Answer, Command, Content, Done, Output, Probe, Write, answers, ask};
use crate::kinds::instance;
use crate::lxd::{Client, Error, Exec};
use crate::model::Id;

/// The inside of one instance. Cheap to make.
#[derive(Debug)]
pub struct Session {
    client: Client,
    id: Id,
    trips: AtomicU64,
    resident: Mutex<Stay>,
}

/// The shell that stays in the guest.
#[derive(Debug, Default)]
enum Stay {
    #[default]
    NotYet,
    There(Box<Resident>),
    /// It cannot be had, or was lost: each script gets a process of its own.
    Without,
}

/// Why something cannot be had of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestError {
    /// The instance cannot be reached: it is stopped or gone, or LXD does not answer. What Ansible calls unreachable.
    Unreachable(String),
    /// The guest refused, or lacks what is needed; in its own words.
    Refused(String),
    /// A command took longer than it may.
    TimedOut(String),
}

impl std::fmt::Display for GuestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GuestError::Unreachable(why) | GuestError::Refused(why) | GuestError::TimedOut(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for GuestError {}

/// What is longer than this goes over SFTP; what is shorter goes with the script that puts it in its place.
const LONG: u64 = 256 * 1024;

impl Session {
    /// The inside of an instance.
    pub fn new(client: &Client, id: &Id) -> Self {
        Session { client: client.clone(), id: id.clone(), trips: AtomicU64::new(0), resident: Mutex::default() }
    }

    /// The instance.
    pub fn id(&self) -> &Id {
        &self.id
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// How often the guest was talked to.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// Asks; the answers are in the order of the probes. All travel together, but for commands that read something, or
    /// run as somebody else: these run beside it.
    ///
    /// # Errors
    /// The guest cannot be reached, or cannot answer.
    pub async fn ask(&self, probes: &[Probe]) -> Result<Vec<Answer>, GuestError> {
        let plain: Vec<&Probe> = probes.iter().filter(|probe| !ask::is_apart(probe)).collect();
        let questions = async {
            if plain.is_empty() {
                return Ok(vec![]);
            }
            let mut tries = 0;
            loop {
                let command = Command::new(["sh", "-s"]).stdin(ask::script(&plain));
                let output = self.script(command).await?;
                match answers::read(&plain, &output.stdout) {
                    Ok(answers) => return Ok(answers),
                    // Files come and go while they are looked at.
                    Err(why) if why == answers::MOVED && tries < 3 => tries += 1,
                    Err(why) => {
                        let said = output.errors();
                        let text = format!("{}: {why} {}", self.id, said.trim());
                        return Err(GuestError::Refused(text.trim_end().to_owned()));
                    }
                }
            }
        };
        let commands = probes.iter().filter_map(|probe| match probe {
            Probe::Output(look) if ask::is_apart(probe) => Some(self.run(&look.command)),
            _ => None,
        });
        let outputs = async { join_all(commands).await.into_iter().collect::<Result<Vec<Output>, _>>() };
        let (answers, outputs) = try_join(questions, outputs).await?;
        let (mut answers, mut outputs) = (answers.into_iter(), outputs.into_iter());
        let next = |probe: &Probe| match probe {
            Probe::Output(_) if ask::is_apart(probe) => outputs.next().map(Answer::Output),
            _ => answers.next(),
        };
        Ok(probes.iter().filter_map(next).collect())
    }

    /// Does one act.
    ///
    /// # Errors
    /// The guest cannot be reached, or refuses; then nothing is half done. A command's exit code is no error.
    pub async fn apply(&self, write: &Write) -> Result<Done, GuestError> {
        let command = match write {
            Write::File { path, content, attributes, backup, validate } => {
                let (backup, validate) = (backup.as_deref(), validate.as_deref());
                match content {
                    Content::Bytes(bytes) => {
                        acts::file(path, attributes, backup, validate, From::Stdin(bytes.len())).stdin(&**bytes)
                    }
                    Content::Guest(source) => acts::file(path, attributes, backup, validate, From::Copy(source)),
                    Content::Local { path: source, .. } => match self.send(source, path).await? {
                        Sent::Beside(temporary) => {
                            acts::file(path, attributes, backup, validate, From::Sent(&temporary))
                        }
                        Sent::Read(bytes) => {
                            acts::file(path, attributes, backup, validate, From::Stdin(bytes.len())).stdin(bytes)
                        }
                    },
                }
            }
            Write::Directory { path, attributes } => acts::directory(path, attributes),
            Write::Attributes { path, attributes, follow } => acts::attributes(path, attributes, *follow),
            Write::Symlink { path, target, attributes } => acts::link(path, target, true, attributes),
            Write::Hardlink { path, target } => acts::link(path, target, false, &super::Attributes::default()),
            Write::Remove { path } if path.trim_matches('/').is_empty() => {
                return Err(GuestError::Refused(format!("{path}: the whole root file system is not removed")));
            }
            Write::Remove { path } => acts::remove(path),
            Write::Touch { path, accessed, modified } => acts::touch(path, *accessed, *modified),
            Write::Fetch { path, to } => return self.fetch(path, to).await,
            Write::Run(command) => return self.run(command).await.map(Done::Ran),
            Write::Restart { timeout } => return self.restart(*timeout).await,
            Write::Sleep(time) => {
                tokio::time::sleep(*time).await;
                return Ok(Done::Written);
            }
        };
        let output = self.script(command).await?;
        if output.is_success() {
            return Ok(Done::Written);
        }
        let (said, words) = (output.errors(), output.text());
        let said = if said.trim().is_empty() { words } else { said };
        Err(GuestError::Refused(if said.trim().is_empty() {
            format!("it ended with {}", output.code)
        } else {
            said.trim().to_owned()
        }))
    }

    /// Runs a script of ours, which may be run twice: by the shell that stays in the guest, or, where that is lost, by
    /// one of its own.
    async fn script(&self, command: Command) -> Result<Output, GuestError> {
        let Some(script) = Script::of(&command) else { return self.run(&command).await };
        let mut stay = self.resident.lock().await;
        if matches!(*stay, Stay::NotYet) {
            *stay = match Resident::start(&self.client, &self.id, mark()).await {
                Ok(resident) => Stay::There(Box::new(resident)),
                Err(error) => return Err(GuestError::Unreachable(format!("{}: {error}", self.id))),
            };
        }
        if let Stay::There(resident) = &mut *stay {
            match resident.run(&script).await {
                Ok(output) => {
                    self.trips.fetch_add(1, Ordering::Relaxed);
                    return Ok(output);
                }
                Err(error) => tracing::debug!("{}: the shell in it is lost: {error}", self.id),
            }
            *stay = Stay::Without;
        }
        drop(stay);
        self.run(&command).await
    }

    /// Runs a command.
    ///
    /// # Errors
    /// It could not be run at all; an exit code other than 0 is no error. A program that is not there ends with 127.
    pub async fn run(&self, command: &Command) -> Result<Output, GuestError> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        let wrapped;
        let (argv, cwd) = match command.user.as_deref().filter(|user| !["root", "0"].contains(user)) {
            Some(user) => {
                wrapped = acts::as_user(user, command);
                (&wrapped, None)
            }
            None => (&command.argv, command.cwd.as_deref()),
        };
        let mut environment = command.environment.clone();
        environment.entry("PATH".into()).or_insert_with(|| PATH.to_owned());
        let exec = Exec {
            command: argv,
            environment,
            user: None,
            cwd,
            stdin: command.stdin.as_deref().unwrap_or_default(),
            limit: command.timeout,
        };
        match self.client.exec(&self.id, &exec).await {
            Ok(done) if done.timed_out => {
                let limit = crate::model::units::format_duration(command.timeout.unwrap_or_default());
                let program = command.argv.first().map(String::as_str).unwrap_or_default();
                Err(GuestError::TimedOut(format!("{program}: not at its end within {limit}, and killed")))
            }
            Ok(done) => Ok(Output { code: done.code, stdout: done.stdout, stderr: done.stderr, elapsed: done.elapsed }),
            Err(error) => Err(GuestError::Unreachable(format!("{}: {error}", self.id))),
        }
    }

    /// Waits until the guest's init has come up, and for a while until it has an address.
    ///
    /// # Errors
    /// It cannot be reached, or is not up in time.
    pub async fn wait_up(&self, timeout: Duration) -> Result<(), GuestError> {
        let command = Command { timeout: Some(timeout), ..Command::script(WAIT_UP, [] as [&str; 0]) };
        self.run(&command).await.map(drop)
    }

    /// A local file's content: sent beside its place where it is long, else to be sent with what puts it there.
    async fn send(&self, source: &Path, path: &str) -> Result<Sent, GuestError> {
        let failed = |error: std::io::Error| GuestError::Refused(format!("{}: {error}", source.display()));
        let length = tokio::fs::metadata(source).await.map_err(failed)?.len();
        let read = async || tokio::fs::read(source).await.map(Sent::Read).map_err(failed);
        if length <= LONG {
            return read().await;
        }
        // An open session holds up whatever would stop or delete the instance, so it is open for one file.
        let sftp = match self.client.sftp(&self.id).await {
            Ok(sftp) => sftp,
            Err(error) => {
                tracing::debug!("{}: no SFTP ({error}); {path} goes through exec", self.id);
                return read().await;
            }
        };
        // Where the path is a link, its end is replaced: the file must be beside that.
        let script = "if [ -L \"$1\" ]; then readlink -f -- \"$1\"; else printf '%s\\n' \"$1\"; fi";
        let real = self.run(&Command::script(script, [path])).await?.text();
        let real = real.trim_end_matches('\n');
        let (directory, name) = real.rsplit_once('/').unwrap_or(("", real));
        let mut name: String = name.chars().take(100).collect();
        name.retain(|c| c != '\n');
        let temporary = format!("{directory}/.lxdeploy-{name}.sftp");
        let sent = sftp.send(source, &temporary).await;
        sftp.close();
        sent.map_err(GuestError::Refused)?;
        Ok(Sent::Beside(temporary))
    }

    async fn fetch(&self, path: &str, to: &Path) -> Result<Done, GuestError> {
        let answers = self.ask(&[Probe::Read { path: path.to_owned() }]).await?;
        let Some(Answer::Read(Some(bytes))) = answers.into_iter().next() else {
            return Err(GuestError::Refused(format!("{path}: there is no such file in the guest")));
        };
        let failed = |error: std::io::Error| GuestError::Refused(format!("{}: {error}", to.display()));
        let directory = to.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(failed)?;
        let file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        std::fs::write(file.path(), bytes).map_err(failed)?;
        file.persist(to).map_err(|error| failed(error.error))?;
        Ok(Done::Written)
    }

    /// LXD's restart, and then the guest's init that has come up.
    async fn restart(&self, timeout: Duration) -> Result<Done, GuestError> {
        let started = Instant::now();
        *self.resident.lock().await = Stay::NotYet;
        let unreachable = |error: Error| GuestError::Unreachable(format!("{}: {error}", self.id));
        let stop = instance::power_call(&self.id, "restart", Some(Duration::from_secs(60).min(timeout)));
        if let Err(error) = self.client.run(&stop, None).await {
            tracing::debug!("{}: {error}; by force now", self.id);
            self.client
                .run(&instance::power_call(&self.id, "restart", Some(Duration::ZERO)), None)
                .await
                .map_err(unreachable)?;
        }
        let check = Command::script(UP, [] as [&str; 0]);
        while started.elapsed() < timeout {
            if self.run(&check).await.is_ok_and(|output| output.is_success()) {
                return Ok(Done::Written);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(GuestError::TimedOut(format!("{}: its init has not come up", self.id)))
    }
}

/// systemd's own word where it runs, else that a command can be run.
const UP: &str = r#"
command -v systemctl >/dev/null 2>&1 || exit 0
case $(systemctl is-system-running 2>/dev/null) in running | degraded) exit 0 ;; *) exit 1 ;; esac"#;

const WAIT_UP: &str = r#"
pause() { sleep 0.1 2>/dev/null || sleep 1; }
if [ -d /run/systemd/system ]; then
    until case $(systemctl is-system-running 2>/dev/null) in running | degraded | maintenance) true ;; *) false ;; esac; do pause; done
fi
command -v ip >/dev/null 2>&1 && [ -e /sys/class/net/eth0 ] || exit 0
tries=0
while [ "$tries" -lt 100 ] && ! ip -o addr show 2>/dev/null | grep -v ' lo ' | grep -E 'inet |inet6 [23]' >/dev/null; do
    tries=$((tries + 1)); pause
done
exit 0"#;

/// Sixteen bytes that nobody can guess.
fn mark() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    format!("{:016x}{:016x}", RandomState::new().build_hasher().finish(), RandomState::new().build_hasher().finish())
}

enum Sent {
    Beside(String),
    Read(Vec<u8>),
}
