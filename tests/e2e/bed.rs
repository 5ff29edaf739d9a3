//! The shared daemon, and what a test does with it: write a site, run lxdeploy, look at the server.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

/// The daemon's directory: what `tests/bed.sh start` made.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = std::env::var_os("LXDEPLOY_TEST_DIR").map(PathBuf::from).unwrap_or_default();
        assert!(
            directory.join("unix.socket").exists(),
            "LXDEPLOY_TEST_DIR names no running LXD: run tests/run.sh, or `tests/bed.sh start DIR` and set it to DIR"
        );
        directory
    })
}

/// What a command left behind.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Output {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that one of the outputs has a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Output {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(found, "no {text:?} in stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The opposite.
    #[track_caller]
    pub fn says_not(self, text: &str) -> Output {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!found, "{text:?} in stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// One test's corner of the daemon.
pub struct Case {
    /// The site's and the project's name.
    pub name: String,
    /// The first three bytes of its subnet.
    pub net: String,
    /// Its bridge.
    pub bridge: String,
    /// The daemon's directory.
    pub server: PathBuf,
    directory: tempfile::TempDir,
}

impl Case {
    /// A corner of its own; `name` at most 10 characters, once per run.
    pub fn new(name: &str) -> Case {
        Case::on(directory(), name)
    }

    /// The same on a daemon of the test's own.
    pub fn on(server: &Path, name: &str) -> Case {
        static SUBNETS: AtomicU8 = AtomicU8::new(1);
        assert!(name.len() <= 10, "bridge names have 15 characters");
        let number = SUBNETS.fetch_add(1, Ordering::Relaxed);
        let net = format!("10.211.{number}");
        let directory = tempfile::tempdir().unwrap();
        // Each its own fingerprint, by padding that xz passes over: two projects with one image share its file, and
        // LXD loses it where one of them makes the image just while the other deletes its own.
        let mut image = std::fs::read(server.join("busybox.tar.xz")).unwrap();
        image.extend(std::iter::repeat_n(0, 4 * usize::from(number)));
        std::fs::write(directory.path().join("busybox.tar.xz"), image).unwrap();
        let server = server.to_owned();
        Case { name: format!("t-{name}"), net, bridge: format!("t-{name}"), server, directory }
    }

    /// Writes a file of the case; `@NAME@`, `@NET@` and `@BRIDGE@` stand for what is the case's own.
    pub fn write(&self, file: &str, text: &str) -> PathBuf {
        let text = text.replace("@NAME@", &self.name).replace("@NET@", &self.net).replace("@BRIDGE@", &self.bridge);
        let path = self.directory.path().join(file);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The path of a file of the case.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Writes `site.yaml`: the header, then what a test adds.
    pub fn site(&self, body: &str) {
        self.write("site.yaml", &format!("site: @NAME@\nproject: @NAME@\n{body}"));
    }

    /// Changes what is in the case's image: a shell script over the unpacked `x/`.
    pub fn repack(&self, script: &str) {
        let script = format!(
            "mkdir x; tar -xJf busybox.tar.xz -C x; {script}; tar -cJf busybox.tar.xz -C x metadata.yaml rootfs; rm -r x"
        );
        let status = Command::new("sh").args(["-ec", &script]).current_dir(self.directory.path()).status().unwrap();
        assert!(status.success());
    }

    /// lxdeploy with these arguments, in the case's directory, on the shared daemon.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxdeploy"));
        command.args(arguments).current_dir(self.directory.path());
        command.env("LXD_DIR", &self.server).env("XDG_CONFIG_HOME", self.directory.path().join("config"));
        command.env("HOME", self.directory.path()).env_remove("LXD_SOCKET").env_remove("LXD_CONF");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs lxdeploy to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        output(&mut self.command(arguments))
    }

    /// `lxdeploy plan --format json`.
    #[track_caller]
    pub fn plan(&self, arguments: &[&str]) -> Plan {
        let all: Vec<&str> = ["plan", "site.yaml", "--format", "json"].iter().chain(arguments).copied().collect();
        Plan(self.run(&all).exits(0).json())
    }

    /// The codes of the refusals of a plan, which must have some.
    #[track_caller]
    pub fn refusals(&self, arguments: &[&str]) -> Vec<String> {
        let all: Vec<&str> = ["plan", "site.yaml", "--format", "json"].iter().chain(arguments).copied().collect();
        let plan = self.run(&all).exits(1).json();
        plan["refused"].as_array().unwrap().iter().map(|refusal| refusal["code"].as_str().unwrap().to_owned()).collect()
    }

    /// `lxdeploy apply --yes`, which must succeed.
    #[track_caller]
    pub fn apply(&self, arguments: &[&str]) -> Output {
        let all: Vec<&str> = ["apply", "site.yaml", "--yes"].iter().chain(arguments).copied().collect();
        self.run(&all).exits(0)
    }

    /// `lxdeploy destroy --yes`, which must succeed.
    #[track_caller]
    pub fn destroy(&self, arguments: &[&str]) -> Output {
        let all: Vec<&str> = ["destroy", "site.yaml", "--yes"].iter().chain(arguments).copied().collect();
        self.run(&all).exits(0)
    }

    /// An object of the case's project at the server.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|| panic!("{path} is not there"))
    }

    /// The same, where it may be absent.
    pub fn try_get(&self, path: &str) -> Option<Value> {
        let got = lxc_on(&self.server, &["query", &format!("/1.0/{path}?project={}", self.name)]);
        (got.code == 0).then(|| got.json())
    }

    /// `lxc` within the case's project; must succeed.
    #[track_caller]
    pub fn lxc(&self, arguments: &[&str]) -> Output {
        let all: Vec<&str> = ["--project", &self.name].iter().chain(arguments).copied().collect();
        lxc_on(&self.server, &all).exits(0)
    }
}

impl Drop for Case {
    /// What a failed test left behind goes; a test that passed has destroyed what it made.
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("LXDEPLOY_TEST_KEEP").is_none() {
            let _ = self.run(&["destroy", "site.yaml", "--yes", "--delete-data", "--force-stop"]);
        }
    }
}

/// A plan as JSON.
pub struct Plan(pub Value);

impl Plan {
    /// `address: action` of everything that is not a no-op, in the plan's order.
    pub fn actions(&self) -> Vec<String> {
        let text = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
        let changes = self.0["changes"].as_array().unwrap().iter();
        changes
            .filter(|change| change["action"] != "no-op")
            .map(|change| format!("{}: {}", text(change, "address"), text(change, "action")))
            .collect()
    }

    /// One change.
    #[track_caller]
    pub fn change(&self, address: &str) -> &Value {
        let found = self.0["changes"].as_array().unwrap().iter().find(|change| change["address"] == address);
        found.unwrap_or_else(|| panic!("no {address} in {:#}", self.0))
    }

    /// The paths of a change's diff.
    #[track_caller]
    pub fn paths(&self, address: &str) -> Vec<&str> {
        self.change(address)["diff"].as_array().unwrap().iter().map(|field| field["path"].as_str().unwrap()).collect()
    }

    /// One leaf of a change's diff.
    #[track_caller]
    pub fn leaf(&self, address: &str, path: &str) -> &Value {
        let found = self.change(address)["diff"].as_array().unwrap().iter().find(|field| field["path"] == path);
        found.unwrap_or_else(|| panic!("no {path} in {:#}", self.change(address)))
    }

    /// The codes of the notes.
    pub fn notes(&self) -> Vec<&str> {
        self.0["notes"].as_array().unwrap().iter().map(|note| note["code"].as_str().unwrap()).collect()
    }
}

/// True if the shared daemon is an Incus.
pub fn is_incus() -> bool {
    directory().join("incus").exists()
}

/// The administrator's client, as lxdeploy names it.
pub fn program() -> &'static str {
    if is_incus() { "incus" } else { "lxc" }
}

/// `lxc` on the shared daemon.
pub fn lxc(arguments: &[&str]) -> Output {
    lxc_on(directory(), arguments)
}

/// The same on a daemon of the test's own.
pub fn lxc_on(server: &Path, arguments: &[&str]) -> Output {
    // An Incus understands LXD's lxc, but for what is streamed as a file.
    let own = server.join("incus");
    let is_streamed = arguments.iter().any(|word| ["export", "import"].contains(word));
    let mut command = if is_streamed && own.exists() { Command::new(own) } else { Command::new("lxc") };
    for (product, variable) in [("lxc", "LXD"), ("incus", "INCUS")] {
        command.env(format!("{variable}_DIR"), server);
        command.env(format!("{variable}_CONF"), server.join(format!("{product}-config")));
    }
    command.args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Incus stumbles where it makes a bridge while an interface of somebody else's goes at the host.
    for _ in 0..5 {
        let done = output(&mut command);
        if !done.stderr.contains("Failed to delete bridge children interfaces") {
            return done;
        }
    }
    output(&mut command)
}

/// A token that enrols one client certificate, which the server will know by this name.
pub fn token(name: &str, arguments: &[&str]) -> String {
    let all: Vec<&str> =
        ["config", "trust", "add", "--quiet", "--name", name].iter().chain(arguments).copied().collect();
    lxc(&all).exits(0).stdout.lines().last().unwrap().to_owned()
}

/// The client certificates that the server knows.
pub fn certificates() -> Vec<Value> {
    lxc(&["query", "/1.0/certificates?recursion=1"]).exits(0).json().as_array().unwrap().clone()
}

pub fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The lifecycle events at the server while something is done, of objects whose name or project is the case's.
pub fn lifecycle_events(case: &Case, work: impl FnOnce()) -> Vec<Value> {
    let mut monitor = Command::new("lxc")
        .args(["monitor", "--type=lifecycle", "--all-projects", "--format=json"])
        .env("LXD_DIR", directory())
        .env("LXD_CONF", directory().join("lxc-config"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Killed)
        .unwrap();
    let lines = BufReader::new(monitor.0.stdout.take().unwrap());
    let found = std::sync::Arc::new(Mutex::new(vec![]));
    let reader = {
        let found = found.clone();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok).filter(|line| !line.is_empty()) {
                found.lock().unwrap().push(serde_json::from_str::<Value>(&line).unwrap());
            }
        })
    };
    // The monitor is connected when an event of ours is seen; so is the end of the work.
    let mark = |text: &str| {
        let marker = format!("{}-{text}", case.name);
        for _ in 0..200 {
            lxc(&["profile", "create", &marker]);
            lxc(&["profile", "delete", &marker]);
            std::thread::sleep(std::time::Duration::from_millis(20));
            let seen = found.lock().unwrap().iter().any(|event| event.to_string().contains(&marker));
            if seen {
                return;
            }
        }
        panic!("no event within the time");
    };
    mark("before");
    work();
    mark("after");
    drop(monitor);
    reader.join().unwrap();
    let events = std::mem::take(&mut *found.lock().unwrap());
    let is_of_the_work = |event: &Value| {
        let text = event.to_string();
        text.contains(&case.name)
            && !text.contains(&format!("{}-before", case.name))
            && !text.contains(&format!("{}-after", case.name))
    };
    events.into_iter().filter(is_of_the_work).collect()
}

/// A child that ends with the test, also where that fails.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything that a child says until its end, with its exit code; it may be signalled before.
pub fn finish(mut child: std::process::Child) -> Output {
    let mut stdout = String::new();
    let mut stderr = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    Output { code: child.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
}

/// The Debian image that `tests/run.sh` makes by `tests/debian.sh`: busybox has no systemd and no packages.
pub fn debian() -> String {
    std::env::var("LXDEPLOY_TEST_DEBIAN").expect("LXDEPLOY_TEST_DEBIAN names an image that tests/debian.sh has made")
}
