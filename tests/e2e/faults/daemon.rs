//! kill -9 of the daemon, which starts again, at random moments; on a daemon of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::random::{Random, rounds};
use super::site::{CIRCLE, Tally, arguments, converge, measure};
use crate::bed::{Case, finish};

/// A daemon that no other test uses; it ends with the test.
struct Daemon {
    directory: PathBuf,
}

impl Daemon {
    fn start() -> Daemon {
        let made = Command::new("mktemp").args(["-d", "/tmp/lxd.XXXXXX"]).output().unwrap();
        let daemon = Daemon { directory: String::from_utf8(made.stdout).unwrap().trim().into() };
        daemon.bed("start");
        daemon
    }

    /// Starts it, also again after it was killed; or stops it and takes everything away.
    fn bed(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bed.sh");
        let output = Command::new(script).arg(verb).arg(&self.directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn kill(&self) {
        let pid = std::fs::read_to_string(self.directory.join("lxd.pid")).unwrap();
        assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
        while Path::new("/proc").join(pid.trim()).join("fd").read_dir().is_ok_and(|mut fds| fds.next().is_some()) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.bed("stop");
    }
}

/// Makes the case's image larger, so that an instance takes a while to be made.
fn weigh(case: &Case, megabytes: u32) {
    let script = format!(
        "mkdir x; tar -xJf busybox.tar.xz -C x; mkdir x/rootfs/data
        for i in $(seq {megabytes}); do head -c 1048576 /dev/urandom >x/rootfs/data/$i; done
        tar -C x -cf - metadata.yaml rootfs | xz -0 >busybox.tar.xz; rm -r x"
    );
    let status = Command::new("sh").args(["-ec", &script]).current_dir(case.path(".")).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_daemon_killed_at_any_moment_leaves_nothing_lost_and_nothing_doubled() {
    let daemon = Daemon::start();
    what_it_leaves_of_a_creation_is_made_again(&daemon);
    kill(&daemon, "dkill", 8);
}

#[test]
#[ignore = "long: tests/soak/run.sh daemon"]
fn soak_daemon() {
    kill(&Daemon::start(), "soakdmn", rounds(60));
}

fn kill(daemon: &Daemon, name: &str, kills: usize) {
    let case = Case::on(&daemon.directory, name);
    weigh(&case, 12);
    let measured = measure(&case);
    let (mut random, _) = Random::seeded("kills of the daemon");
    let mut tally = Tally::default();
    let mut ridden_out = 0;
    for (to, (length, expected)) in CIRCLE.iter().zip(&measured).cycle() {
        if tally.hits >= kills && *to == CIRCLE[0] {
            break;
        }
        let mut child = case.command(&arguments(&case, *to)).spawn().unwrap();
        let moment = length.mul_f64(random.below(1000) as f64 / 1000.0);
        std::thread::sleep(moment);
        let is_hit = child.try_wait().unwrap().is_none();
        daemon.kill();
        std::thread::sleep(Duration::from_millis(random.below(500)));
        daemon.bed("start");
        let output = finish(child);
        ridden_out += usize::from(is_hit && output.code == 0);
        assert!(output.code == 0 || output.stderr.contains("error"), "no clear failure:\n{}", output.stderr);
        let what = format!("{to:?}, the daemon killed after {moment:?}\n{}{}", output.stdout, output.stderr);
        tally.count(is_hit, &what, &converge(&case, *to, expected));
    }
    println!("ridden out {ridden_out}");
    tally.finish("kills of the daemon");
}

fn what_it_leaves_of_a_creation_is_made_again(daemon: &Daemon) {
    let case = Case::on(&daemon.directory, "half");
    weigh(&case, 60);
    case.site(
        r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances:
  one: {image: bb, profiles: [base], state: stopped, protect: true}
  two: {image: bb, profiles: [base], state: stopped, depends_on: [instances.one]}
"#,
    );
    case.apply(&["--exclude", "instances.one"]);
    // lxdeploy goes, and the daemon while it unpacks.
    let mut child = case.command(&["apply", "site.yaml", "--yes", "--target", "instances.one"]).spawn().unwrap();
    while case.try_get("instances/one").is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // As long as it is made, it is no half-made one.
    let plan = case.plan(&[]);
    assert_eq!(plan.notes(), ["being-made"], "{:#}", plan.0);
    assert_eq!(plan.actions(), ["instances.two: create"]);
    daemon.kill();
    daemon.bed("start");
    let half = case.get("instances/one");
    assert_eq!(
        (&half["status"], &half["config"]["volatile.apply_template"]),
        (&"Stopped".into(), &serde_json::Value::Null)
    );
    let plan = case.plan(&[]);
    assert_eq!(plan.actions(), ["instances.one: replace", "instances.two: create"]);
    assert_eq!(plan.change("instances.one")["reason"]["code"], "half-made");
    case.apply(&[]).says("its creation was interrupted; made again");
    assert_eq!(case.get("instances/one")["config"]["volatile.apply_template"], "create");
    case.lxc(&["start", "one"]);
    case.lxc(&["exec", "one", "--", "test", "-e", "/data/60"]);
    case.lxc(&["stop", "--force", "one"]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    let text = std::fs::read_to_string(case.path("site.yaml")).unwrap();
    case.write("site.yaml", &text.replace("protect: true", "protect: false"));
    case.apply(&[]);
    case.destroy(&[]);
}
