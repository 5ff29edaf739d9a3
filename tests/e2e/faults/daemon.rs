//! kill -9 of the daemon, which starts again, at random moments; on a daemon of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::random::{Random, rounds};
use super::site::{CIRCLE, Tally, apart, arguments, converge, end_leftovers, measure, take_back_the_rename};
use crate::bed::{Case, finish, lxc_on};

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
    a_network_that_it_cannot_bring_up_is_told(&daemon);
    kill(&daemon, "dkill", 4);
}

#[test]
#[ignore = "long: tests/soak/run.sh daemon"]
fn soak_daemon() {
    kill(&Daemon::start(), "soakdmn", rounds(60));
}

fn kill(daemon: &Daemon, name: &str, kills: usize) {
    let case = apart(Case::on(&daemon.directory, name));
    weigh(&case, 6);
    let measured = measure(&case);
    let (mut random, _) = Random::seeded("kills of the daemon");
    let mut tally = Tally::default();
    let (mut ridden_out, mut by_hand) = (0, 0);
    for (round, (to, (length, expected))) in CIRCLE.iter().zip(&measured).cycle().enumerate() {
        if tally.hits >= kills && round.is_multiple_of(CIRCLE.len()) {
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
        let is_clear = output.code == 0 || output.stderr.contains("error:") || output.stderr.contains("failed");
        assert!(is_clear, "no clear failure:\n{}", output.stderr);
        let what = format!("{to:?}, the daemon killed after {moment:?}\n{}{}", output.stdout, output.stderr);
        let mut result = converge(&case, *to, expected);
        let is_known =
            |why: &String| ["at the server", "[\"bridge", "Unavailable"].iter().any(|known| why.contains(known));
        if result.as_ref().is_err_and(is_known) {
            by_hand += 1;
            if result.as_ref().is_err_and(|why| why.contains("Instance storage pool not found")) {
                take_back_the_rename(&case);
            }
            let is_empty = end_leftovers(&case);
            if is_empty || is_pending(daemon, &case) {
                // LXD tries again each minute, and when it starts.
                daemon.kill();
                daemon.bed("start");
            }
            result = converge(&case, *to, expected);
        }
        tally.count(is_hit, &what, &result);
    }
    println!("ridden out {ridden_out}; after something by hand at the server, as the error says, {by_hand}");
    tally.finish("kills of the daemon");
}

fn is_pending(daemon: &Daemon, case: &Case) -> bool {
    let network = lxc_on(&daemon.directory, &["query", &format!("/1.0/networks/{}", case.bridge)]);
    network.code == 0 && network.json()["managed"] != false
}

/// As when it was killed before it wrote down the dnsmasq that it had started.
fn a_network_that_it_cannot_bring_up_is_told(daemon: &Daemon) {
    let case = Case::on(&daemon.directory, "unavail");
    case.site(
        r#"
projects: {"@NAME@": {}}
networks: {"@BRIDGE@": {project: default, config: {ipv4.address: @NET@.1/24, ipv6.address: none}}}
"#,
    );
    case.apply(&[]);
    daemon.kill();
    std::fs::remove_file(daemon.directory.join("networks").join(&case.bridge).join("dnsmasq.pid")).unwrap();
    daemon.bed("start");
    let told = case.run(&["plan", "site.yaml"]);
    told.exits(0).says("LXD could not bring the network up").says(&format!("--interface={}` shows it", case.bridge));
    end_leftovers(&case);
    daemon.kill();
    daemon.bed("start");
    assert_eq!(case.plan(&[]).notes(), Vec::<&str>::new());
    case.destroy(&[]);
}

fn what_it_leaves_of_a_creation_is_made_again(daemon: &Daemon) {
    let case = Case::on(&daemon.directory, "half");
    weigh(&case, 40);
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
    case.lxc(&["exec", "one", "--", "test", "-e", "/data/40"]);
    case.lxc(&["stop", "--force", "one"]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    let text = std::fs::read_to_string(case.path("site.yaml")).unwrap();
    case.write("site.yaml", &text.replace("protect: true", "protect: false"));
    case.apply(&[]);
    case.destroy(&[]);
}
