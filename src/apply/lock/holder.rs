use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::units::format_duration;

/// A lock lives so long after its last renewal where nothing else can be known of its holder.
pub const LIFETIME: Duration = Duration::from_secs(90);

/// Who holds a lock, as the lock itself says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The site that is locked.
    pub site: String,
    /// Whose machine.
    pub host: String,
    /// Who.
    pub user: String,
    /// The process.
    pub pid: u32,
    /// When that process started, in ticks since the machine's start: a pid is used again.
    pub started: String,
    /// The machine's run. Empty where it cannot be known.
    pub boot_id: String,
    /// The processes among which `pid` counts: two containers have one boot and two lists of processes.
    pub pid_namespace: String,
    /// When the lock was taken, in seconds since 1970, by the server's clock.
    pub since: u64,
    /// When it was renewed last.
    pub renewed: u64,
}

impl Holder {
    /// This process. `now` is the server's time.
    pub fn me(site: &str, now: u64) -> Holder {
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        Holder {
            site: site.to_owned(),
            host: read("/proc/sys/kernel/hostname"),
            user: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned()),
            pid: std::process::id(),
            started: start_time(std::process::id()).unwrap_or_default(),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            pid_namespace: pid_namespace(),
            since: now,
            renewed: now,
        }
    }

    /// True if nobody holds the lock any more.
    pub fn is_dead(&self, now: u64) -> bool {
        let here = Holder::me("", now);
        let is_of_this_machine =
            !here.boot_id.is_empty() && (&self.boot_id, &self.pid_namespace) == (&here.boot_id, &here.pid_namespace);
        let is_gone = is_of_this_machine && start_time(self.pid).is_none_or(|started| started != self.started);
        is_gone || now.saturating_sub(self.renewed) > LIFETIME.as_secs()
    }

    /// For people: who, where, since when.
    pub fn describe(&self, now: u64) -> String {
        let age = |since: u64| format_duration(Duration::from_secs(now.saturating_sub(since)));
        format!(
            "{}@{} (process {}), taken {} ago, last seen {} ago",
            self.user,
            self.host,
            self.pid,
            age(self.since),
            age(self.renewed)
        )
    }
}

/// Field 22 of /proc/PID/stat, counted after the name, which may hold anything.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    // A process that nobody reaped is gone all the same.
    if state == "Z" { None } else { fields.nth(18).map(str::to_owned) }
}

fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_holds_until_its_time_is_over() {
        let me = Holder::me("acme", 1000);
        assert!(!me.is_dead(1000) && !me.is_dead(1090) && me.is_dead(1091));
    }

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let holder = Holder { pid: child.id(), started: start_time(child.id()).unwrap(), ..Holder::me("acme", 1000) };
        assert!(!holder.is_dead(1000));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(holder.is_dead(1000));
        // The same number in another list of processes says nothing.
        let elsewhere = Holder { pid_namespace: "pid:[1]".into(), ..holder };
        assert!(!elsewhere.is_dead(1000));
        let other_process = Holder { started: "1".into(), ..Holder::me("acme", 1000) };
        assert!(other_process.is_dead(1000));
    }
}
