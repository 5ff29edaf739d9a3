use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join};
use tokio::sync::Mutex;

use super::acts::{self, Act, From};
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

    /// Does one act: [`Session::apply_all`].
    ///
    /// # Errors
    /// As there.
    pub async fn apply(&self, write: &Write) -> Result<Done, GuestError> {
        self.apply_all(std::slice::from_ref(write)).await.map(|mut done| done.pop().unwrap_or(Done::Written))
    }

    /// Does these acts, in their order, up to the first command that fails; what came of each. Those that follow each
    /// other and are no commands travel together.
    ///
    /// # Errors
    /// The guest cannot be reached, or refuses; then no act is half done, and none after it. A command's exit code is
    /// no error.
    pub async fn apply_all(&self, writes: &[Write]) -> Result<Vec<Done>, GuestError> {
        let mut done = vec![];
        let mut acts = vec![];
        for write in writes {
            if is_long(write) {
                // Where it is sent to must be there.
                self.act_together(&mut acts, &mut done).await?;
            }
            if let Some(act) = self.act(write).await? {
                acts.push(act);
                if acts::is_enough(&acts) {
                    self.act_together(&mut acts, &mut done).await?;
                }
                continue;
            }
            self.act_together(&mut acts, &mut done).await?;
            let one = match write {
                Write::Fetch { path, to } => self.fetch(path, to).await?,
                Write::Run(command) => Done::Ran(self.run(command).await?),
                Write::Restart { timeout } => self.restart(*timeout).await?,
                Write::Sleep(time) => {
                    tokio::time::sleep(*time).await;
                    Done::Written
                }
                // These are acts.
                Write::File { .. }
                | Write::Directory { .. }
                | Write::Attributes { .. }
                | Write::Symlink { .. }
                | Write::Hardlink { .. }
                | Write::Remove { .. }
                | Write::Touch { .. } => Done::Written,
            };
            let is_end = one.output().is_some_and(|output| !output.is_success());
            done.push(one);
            if is_end {
                return Ok(done);
            }
        }
        self.act_together(&mut acts, &mut done).await?;
        Ok(done)
    }

    /// The act that a write is, if it needs no more than a shell.
    async fn act(&self, write: &Write) -> Result<Option<Act>, GuestError> {
        match write {
            Write::Remove { path } if path.trim_matches('/').is_empty() => {
                Err(GuestError::Refused(format!("{path}: the whole root file system is not removed")))
            }
            Write::File { path, content: Content::Local { path: source, .. }, .. } => {
                Ok(match self.send(source, path).await? {
                    Sent::Beside(temporary) => acts::file(write, From::Sent(&temporary)),
                    Sent::Read(bytes) => acts::file(write, From::Stdin(bytes)),
                })
            }
            _ => Ok(Act::of(write)),
        }
    }

    async fn act_together(&self, acts: &mut Vec<Act>, done: &mut Vec<Done>) -> Result<(), GuestError> {
        for command in acts::together(acts) {
            let output = self.script(command).await?;
            if output.is_success() {
                continue;
            }
            let said = [output.errors(), output.text(), format!("it ended with {}", output.code)];
            let said = said.iter().map(|said| said.trim()).find(|said| !said.is_empty());
            return Err(GuestError::Refused(said.unwrap_or_default().to_owned()));
        }
        done.extend(acts.drain(..).map(|_| Done::Written));
        Ok(())
    }

    /// Runs a script of ours, which may be run twice: by the shell that stays in the guest, or, where that is lost, by
    /// one of its own.
    async fn script(&self, command: Command) -> Result<Output, GuestError> {
        match Script::of(&command) {
            Some(script) => match self.stay(&script).await? {
                Some(output) => Ok(output),
                None => self.run(&command).await,
            },
            None => self.run(&command).await,
        }
    }

    /// Runs a command that changes nothing in the guest, so that it may be run twice: by the shell that stays there.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn look(&self, command: &Command) -> Result<Output, GuestError> {
        if let Some(script) = Script::looking(command)
            && let Some(output) = self.stay(&script).await?
            // What cannot be begun, exec has words for.
            && ![126, 127].contains(&output.code)
        {
            return Ok(output);
        }
        self.run(command).await
    }

    /// Has a script run by the shell that stays in the guest; `None` where there is none any more.
    async fn stay(&self, script: &Script) -> Result<Option<Output>, GuestError> {
        let mut stay = self.resident.lock().await;
        // Whoever gives up waiting leaves a shell in the middle of an answer: it is taken out as long as it works.
        let mut resident = match std::mem::take(&mut *stay) {
            Stay::There(resident) => resident,
            Stay::NotYet => match Resident::start(&self.client, &self.id, mark()).await {
                Ok(resident) => Box::new(resident),
                Err(error) => return Err(GuestError::Unreachable(format!("{}: {error}", self.id))),
            },
            Stay::Without => {
                *stay = Stay::Without;
                return Ok(None);
            }
        };
        let ended = resident.run(script).await;
        *stay = if ended.is_ok() { Stay::There(resident) } else { Stay::Without };
        match ended {
            Ok(output) => {
                self.trips.fetch_add(1, Ordering::Relaxed);
                Ok(Some(output))
            }
            Err(error) => {
                tracing::debug!("{}: the shell in it is lost: {error}", self.id);
                Ok(None)
            }
        }
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

/// True for what goes over SFTP, beside its place.
fn is_long(write: &Write) -> bool {
    matches!(write, Write::File { content: Content::Local { size, .. }, .. } if *size > LONG)
}

enum Sent {
    Beside(String),
    Read(Vec<u8>),
}
