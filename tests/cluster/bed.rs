//! The shared cluster, and what a test does with it: write a site, run lxdeploy at a member, look at another.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

pub use crate::machine::{Output, Plan};

/// The members of the cluster.
pub const MEMBERS: [&str; 3] = ["n1", "n2", "n3"];

/// The cluster's directory: what `tests/cluster.sh start` made.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = std::env::var_os("LXDEPLOY_TEST_CLUSTER_DIR").map(PathBuf::from).unwrap_or_default();
        assert!(
            directory.join("n1/unix.socket").exists(),
            "LXDEPLOY_TEST_CLUSTER_DIR names no running cluster: run tests/run.sh, or `tests/cluster.sh start DIR` and set it to DIR"
        );
        directory
    })
}

/// One test at a time: some kill members, and LXD 5.0.2 locks up for good when networks are made through two
/// members at once (each holds its own lock and waits for the other's).
static TURN: Mutex<()> = Mutex::new(());

/// One test's corner of the cluster.
pub struct Case {
    /// The site's and the project's name, and the first part of all names that are the machine's.
    pub name: String,
    /// The first three bytes of its subnet.
    pub net: String,
    directory: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Case {
    /// A corner of its own; `name` at most 8 characters, once per run.
    pub fn new(name: &str) -> Case {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        static SUBNETS: AtomicU8 = AtomicU8::new(1);
        assert!(name.len() <= 8, "interfaces have 15 characters");
        let net = format!("10.212.{}", SUBNETS.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::tempdir().unwrap();
        std::fs::copy(self::directory().join("busybox.tar.xz"), directory.path().join("busybox.tar.xz")).unwrap();
        Case { name: format!("t-{name}"), net, directory, _turn: turn }
    }

    /// A directory for a pool: on one machine every member sees it, and each pool needs its own.
    pub fn make_directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir(&path).unwrap();
        path
    }

    /// The path of a file of the case.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Writes `site.yaml`: the header, then what a test adds. `@NAME@`, `@NET@` and `@DIR@` stand for what is the
    /// case's own.
    pub fn site(&self, body: &str) {
        let text = format!("site: @NAME@\nproject: @NAME@\nprojects: {{\"@NAME@\": {{}}}}\n{body}");
        let directory = self.directory.path().to_str().unwrap();
        let text = text.replace("@NAME@", &self.name).replace("@NET@", &self.net).replace("@DIR@", directory);
        std::fs::write(self.path("site.yaml"), text).unwrap();
    }

    /// Runs lxdeploy with a member as its endpoint.
    pub fn run(&self, member: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxdeploy"));
        command.args(arguments).current_dir(self.directory.path());
        command.env("LXD_DIR", directory().join(member)).env("XDG_CONFIG_HOME", self.path("config"));
        command.env("HOME", self.directory.path()).env_remove("LXD_SOCKET").env_remove("LXD_CONF");
        output(command)
    }

    /// `lxdeploy plan --format json`.
    #[track_caller]
    pub fn plan(&self, member: &str) -> Plan {
        Plan(self.run(member, &["plan", "site.yaml", "--format", "json"]).exits(0).json())
    }

    /// The refusals of a plan, which must have some: `code: text`.
    #[track_caller]
    pub fn refusals(&self, member: &str) -> Vec<String> {
        let plan = self.run(member, &["plan", "site.yaml", "--format", "json"]).exits(1).json();
        let text = |refusal: &Value, key: &str| refusal[key].as_str().unwrap().to_owned();
        let refused = plan["refused"].as_array().unwrap().iter();
        refused.map(|refusal| format!("{}: {}", text(refusal, "code"), text(refusal, "text"))).collect()
    }

    /// `lxdeploy apply --yes`, which must succeed.
    #[track_caller]
    pub fn apply(&self, member: &str) -> Output {
        self.run(member, &["apply", "site.yaml", "--yes"]).exits(0)
    }

    /// `lxdeploy destroy --yes`, which must succeed and leave nothing.
    #[track_caller]
    pub fn destroy(&self, member: &str) {
        self.run(member, &["destroy", "site.yaml", "--yes", "--delete-data"]).exits(0);
        for collection in ["projects", "networks", "storage-pools"] {
            let left = query(member, &format!("{collection}?recursion=1")).unwrap();
            let left = left.as_array().unwrap().iter().filter_map(|row| row["name"].as_str());
            let left: Vec<&str> = left.filter(|name| name.starts_with(&self.name)).collect();
            assert!(left.is_empty(), "{collection} are left: {left:?}");
        }
    }

    /// An object of the case's project, asked at a member.
    #[track_caller]
    pub fn get(&self, member: &str, path: &str) -> Value {
        let and = if path.contains('?') { '&' } else { '?' };
        query(member, &format!("{path}{and}project={}", self.name)).unwrap_or_else(|| panic!("{path} is not there"))
    }

    /// Where an instance is.
    #[track_caller]
    pub fn location(&self, instance: &str) -> String {
        self.get("n1", &format!("instances/{instance}"))["location"].as_str().unwrap().to_owned()
    }

    /// `lxc` in the case's project, which must succeed.
    #[track_caller]
    pub fn lxc(&self, member: &str, arguments: &[&str]) -> Output {
        let all: Vec<&str> = ["--project", &self.name].iter().chain(arguments).copied().collect();
        lxc(member, &all).exits(0)
    }

    /// Kills a member's daemon; it is back when what this gives is dropped.
    #[must_use]
    pub fn kill(&self, member: &'static str) -> Dead {
        script("kill", member);
        Dead(member)
    }
}

impl Drop for Case {
    /// What a failed test left behind goes; a test that passed has destroyed what it made.
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("LXDEPLOY_TEST_KEEP").is_none() {
            let _ = self.run("n1", &["destroy", "site.yaml", "--yes", "--delete-data", "--force-stop"]);
        }
    }
}

/// A member that was killed.
pub struct Dead(&'static str);

impl Dead {
    /// Waits until the others call it offline.
    pub fn is_lost(&self) {
        script("lost", self.0);
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        script("revive", self.0);
    }
}

fn script(verb: &str, member: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster.sh");
    let status = Command::new(script).arg(verb).arg(directory()).arg(member).stdin(Stdio::null()).status().unwrap();
    // In a drop while a test fails, a second panic would hide the first.
    assert!(status.success() || std::thread::panicking(), "tests/cluster.sh {verb} {member}");
}

/// `lxc` at a member.
pub fn lxc(member: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("lxc");
    command.args(arguments).env("LXD_DIR", directory().join(member)).env("LXD_CONF", directory().join("client"));
    output(command)
}

/// `GET /1.0/PATH` at a member, where it answers.
pub fn query(member: &str, path: &str) -> Option<Value> {
    let got = lxc(member, &["query", &format!("/1.0/{path}")]);
    (got.code == 0).then(|| got.json())
}

fn output(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
