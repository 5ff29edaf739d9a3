//! A site that touches every kind, in two versions: from one to the other something is updated, restarted,
//! replaced, renamed, made and removed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Case, lxc_on};

/// What is done to the site, in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// To version one, from nothing or from two.
    One,
    /// To version two.
    Two,
    /// To nothing.
    Destroy,
}

/// The circle: everything is made, changed forth and back, and removed.
pub const CIRCLE: [Move; 4] = [Move::One, Move::Two, Move::One, Move::Destroy];

/// A subnet that no other process of these tests has: long runs go side by side.
pub fn apart(mut case: Case) -> Case {
    case.net = format!("10.{}.{}", 212 + case.name.len() % 8, std::process::id() % 250);
    case
}

/// Writes a version of the site.
pub fn write(case: &Case, version: Move) {
    let (number, port, image, name, from, count) = match version {
        Move::Two => (2, 81, "alias-@NAME@", "new", "old", 1),
        Move::One | Move::Destroy => (1, 80, "bb", "old", "new", 2),
    };
    case.site(&format!(
        r#"
projects: {{"@NAME@": {{description: v{number}}}}}
storage_pools: {{"@NAME@": {{driver: dir, description: v{number}}}}}
storage_volumes:
  data: {{pool: "@NAME@", description: v{number}}}
  only-{number}: {{pool: "@NAME@"}}
network_acls:
  "@NAME@": {{project: default, ingress: [{{action: allow, protocol: tcp, destination_port: "{port}"}}]}}
networks:
  "@BRIDGE@": {{project: default, description: v{number}, config: {{ipv4.address: @NET@.1/24, ipv6.address: none}}}}
profiles:
  base:
    config: {{user.v: "{number}"}}
    devices: {{root: {{type: disk, path: /, pool: "@NAME@"}}, eth0: {{type: nic, network: "@BRIDGE@"}}}}
  only-{number}: {{}}
images: {{bb: {{source: {{file: busybox.tar.xz}}, aliases: ["alias-@NAME@"], description: v{number}}}}}
instances:
  web: {{count: {count}, image: bb, profiles: [base], stop_timeout: 0s, config: {{user.v: "{number}"}}, ready: [{{exec: [test, -e, /etc/rc]}}]}}
  store: {{image: "{image}", profiles: [base], state: stopped, devices: {{data: {{type: disk, path: /data, pool: "@NAME@", source: data}}}}}}
  {name}: {{profiles: [base], renamed_from: {from}, state: stopped}}
"#
    ));
}

/// The arguments of a move, whose version is written before.
pub fn arguments(case: &Case, to: Move) -> Vec<&'static str> {
    if to == Move::Destroy {
        return vec!["destroy", "site.yaml", "--yes", "--delete-data", "--force-stop"];
    }
    write(case, to);
    vec!["apply", "site.yaml", "--yes", "--delete-data", "--force-stop"]
}

/// Makes each move once, unhurt, and measures it: how long it takes and what is there after it.
pub fn measure(case: &Case) -> Vec<(Duration, BTreeSet<String>)> {
    let measured = CIRCLE.map(|to| {
        let started = Instant::now();
        case.run(&arguments(case, to)).exits(0);
        let elapsed = started.elapsed();
        (elapsed, inventory(case))
    });
    assert!(measured[3].1.is_empty(), "{:?}", measured[3].1);
    measured.into()
}

/// Everything at the server that is the case's, by its stamp, its project or its name; also lock profiles, and what
/// lies in the pool's directories.
pub fn inventory(case: &Case) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let list = |path: &str| -> Vec<Value> {
        let got = lxc_on(&case.server, &["query", path]);
        if got.code != 0 {
            assert!(got.stderr.contains("not found"), "{path}: {}", got.stderr);
            return vec![];
        }
        got.json().as_array().cloned().unwrap_or_default()
    };
    let name = &case.name;
    let is_ours = |raw: &Value| raw.to_string().contains(&format!("{name}\""));
    let has_project = lxc_on(&case.server, &["query", &format!("/1.0/projects/{name}")]).code == 0;
    for project in [name.as_str(), "default"] {
        if project == name && !has_project {
            continue;
        }
        for kind in ["instances", "profiles", "networks", "network-acls", "images", "images/aliases"] {
            for raw in list(&format!("/1.0/{kind}?project={project}&recursion=1")) {
                let text = |key: &str| raw[key].as_str().unwrap_or_default().to_owned();
                let what = [text("name"), text("fingerprint")].concat();
                let is_here = project == name && (raw["project"].is_null() || raw["project"] == *name);
                let is_own = (what.starts_with(name) || raw["config"]["user.lxdeploy.site"] == *name || is_here)
                    && !(kind == "profiles" && what == "default" && !is_ours(&raw["config"]));
                // A bridge that LXD does not know any more is told as such below.
                let is_own = is_own && raw["managed"] != false;
                if is_own && !["networks", "network-acls"].contains(&kind)
                    || what == case.bridge && raw["managed"] == true
                {
                    // The server goes on calling a bridge pending that works, once it was killed while it made it.
                    let status = text("status").replace("Pending", "Created");
                    found.insert(format!("{kind}/{what} {status}"));
                }
            }
        }
    }
    for pool in list("/1.0/storage-pools?recursion=1").iter().filter(|pool| pool["name"] == *name) {
        // As of a bridge: killed between writing down where the pool lies, by when it is whole, and its status, LXD
        // calls it pending for ever.
        let status = pool["status"].as_str().unwrap_or_default();
        let is_whole = status == "Created" || status == "Pending" && !pool["config"]["source"].is_null();
        found.insert(format!("pool {}", if is_whole { "Created" } else { status }));
        let volumes = list(&format!("/1.0/storage-pools/{name}/volumes/custom?project={name}&recursion=1"));
        found.extend(volumes.iter().map(|volume| format!("volume {}", volume["name"])));
        for directory in ["containers", "custom", "images"] {
            let path = case.server.join("storage-pools").join(name).join(directory);
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            found.extend(entries.map(|entry| format!("{directory} on disk: {}", entry.file_name().display())));
        }
    }
    if has_project {
        found.insert("project".into());
    }
    if Path::new("/sys/class/net").join(&case.bridge).exists() {
        found.insert("bridge".into());
    }
    found
}

/// The move again, to its end: it converges, and the server holds what it held after the unhurt one and no more.
pub fn converge(case: &Case, to: Move, expected: &BTreeSet<String>) -> Result<(), String> {
    let again = case.run(&arguments(case, to));
    if again.code != 0 {
        return Err(format!("the next run failed\n{}\n{}", again.stdout, again.stderr));
    }
    if to != Move::Destroy {
        let plan = case.run(&["plan", "site.yaml", "--delete-data", "--detailed-exitcode"]);
        if plan.code != 0 {
            return Err(format!("the next plan is not empty\n{}\n{}", plan.stdout, plan.stderr));
        }
    }
    let found = inventory(case);
    if found != *expected {
        let orphans: Vec<_> = found.difference(expected).collect();
        let lost: Vec<_> = expected.difference(&found).collect();
        return Err(format!("orphans: {orphans:?}\nmissing: {lost:?}"));
    }
    Ok(())
}

/// What the error says is to be done at the server: LXD 5.0.2, whose daemon was killed, and Incus 6.0, whose client was,
/// lose sight of the bridge and the dnsmasq of a network that they were about to make or to delete.
///
/// True if what it had written down of the dnsmasq was empty: LXD must start again.
pub fn end_leftovers(case: &Case) -> bool {
    let interface = format!("--interface={}", case.bridge);
    for process in std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let read = |file: &str| std::fs::read_to_string(process.join(file)).unwrap_or_default();
        if read("comm").trim() == "dnsmasq" && read("cmdline").split('\0').any(|word| word == interface) {
            let pid = process.file_name().unwrap();
            assert!(Command::new("kill").arg(pid).status().unwrap().success());
        }
    }
    let network = lxc_on(&case.server, &["query", &format!("/1.0/networks/{}", case.bridge)]);
    if network.code != 0 || network.json()["managed"] == false {
        let _ = Command::new("ip").args(["link", "delete", &case.bridge]).status();
    }
    let written = case.server.join("networks").join(&case.bridge).join("dnsmasq.pid");
    let is_empty = std::fs::metadata(&written).is_ok_and(|file| file.len() == 0);
    if is_empty {
        std::fs::remove_file(written).unwrap();
    }
    is_empty
}

/// What the error says of a rename in whose middle LXD was killed: the volume gets its old name back.
pub fn take_back_the_rename(case: &Case) {
    let project = format!("project_id = (SELECT id FROM projects WHERE name = '{}')", case.name);
    let has = |name: &str| format!("EXISTS (SELECT 1 FROM instances WHERE name = '{name}' AND {project})");
    let directory = case.server.join("storage-pools").join(&case.name).join("containers");
    let path = |name: &str| directory.join(format!("{}_{name}", case.name));
    for (old, new) in [("old", "new"), ("new", "old")] {
        let sql = format!(
            "UPDATE storage_volumes SET name = '{old}' WHERE type = 0 AND name = '{new}' AND {project} AND {} AND NOT {}",
            has(old),
            has(new)
        );
        let done = Command::new("lxd").args(["sql", "global", &sql]).env("LXD_DIR", &case.server).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        if said.contains("affected: 1") && path(new).exists() && !path(old).exists() {
            std::fs::rename(path(new), path(old)).unwrap();
        }
    }
}

/// What a soak counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Moves that were hit.
    pub hits: usize,
    converged: usize,
    orphans: usize,
    bad: Vec<String>,
}

impl Tally {
    /// One move and how it ended.
    pub fn count(&mut self, is_hit: bool, what: &str, result: &Result<(), String>) {
        self.hits += usize::from(is_hit);
        match result {
            Ok(()) => self.converged += usize::from(is_hit),
            Err(why) => {
                self.orphans += usize::from(why.starts_with("orphans: [\""));
                println!("{}: {why}\n{what}", self.hits);
                self.bad.push(format!("{why}\n{what}"));
            }
        }
        if is_hit && self.hits.is_multiple_of(20) {
            println!("{} so far, {} converged, {} with orphans", self.hits, self.converged, self.orphans);
        }
    }

    /// Tells the sum; every move must have converged.
    pub fn finish(&self, what: &str) {
        println!("{what} {}, converged {}, with orphans {}", self.hits, self.converged, self.orphans);
        assert!(self.bad.is_empty(), "{}", self.bad.join("\n"));
    }
}
