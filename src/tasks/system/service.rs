//! `service`: a service's state, by whatever the guest runs services with.
//!
//! ```yaml
//! - service: {name: nginx, state: started, enabled: true}
//!   # state: started, stopped, restarted, reloaded; sleep, pattern, arguments, runlevel
//! ```
//!
//! systemd as with `systemd`, OpenRC (Alpine), else the scripts in /etc/init.d. Returned: `name`, `state`, `enabled`.
//!
//! In a preview, without systemd, what the service does after a change is unknown until run.

use serde::Deserialize;

use super::systemd::{self, State};
use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Service;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: String,
    state: Option<State>,
    enabled: Option<Flag>,
    #[serde(rename = "sleep")]
    _sleep: Option<Int>,
    pattern: Option<String>,
    #[serde(rename = "arguments", alias = "args")]
    _arguments: Option<String>,
    runlevel: Option<String>,
    #[serde(rename = "use")]
    _manager: Option<String>,
    #[serde(rename = "daemon_reload")]
    _daemon_reload: Option<Flag>,
}

/// What commands say about a service without systemd.
fn topic(name: &str) -> String {
    format!("the service {name}")
}

impl Module for Service {
    fn names(&self) -> &'static [&'static str] {
        &["service", "sysvinit"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.state.is_none() && args.enabled.is_none() {
            return Err(Failure::new("one of the following is required: state, enabled"));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Units(&["name"])
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        if guest.stat("/run/systemd/system")?.is_some() {
            return Ok(systemd::foresee(&args.name, verdict));
        }
        let why = format!("what `{}` does to {}", call.name, args.name);
        let all = Effect::unknown(Scope::Named(topic(&args.name)), why);
        Ok(verdict.effects_and((!verdict.writes.is_empty()).then_some(all)))
    }

    fn ensure(&self, call: &Call<'_>) -> Result<Vec<Effect>, Failure> {
        let args: Args = call.args()?;
        Ok(systemd::ensure(&systemd::Args {
            name: Some(args.name),
            state: args.state,
            enabled: args.enabled,
            ..systemd::Args::default()
        }))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let runs_systemd = guest.stat("/run/systemd/system")?.is_some();
        if runs_systemd {
            let of_systemd = systemd::Args {
                name: Some(args.name),
                state: args.state,
                enabled: args.enabled,
                ..systemd::Args::default()
            };
            return systemd::inspect(&of_systemd, call, guest);
        }
        let script = format!("/etc/init.d/{}", args.name);
        guest.want([
            Probe::Stat { path: script.clone(), follow: true },
            Probe::Which("rc-service".into()),
            Probe::Which("update-rc.d".into()),
            Probe::Which("chkconfig".into()),
        ])?;
        if guest.stat(&script)?.is_none() {
            return Err(Failure::new(format!("Could not find the requested service {}: host", args.name)).into());
        }
        let is_openrc = guest.which("rc-service")?.is_some();
        let mut verdict = Verdict::nothing().with("name", args.name.as_str());
        let name = args.name.as_str();
        if let Some(enabled) = args.enabled {
            let level = args.runlevel.as_deref().unwrap_or("default");
            let (ask, on, off): (Command, Vec<&str>, Vec<&str>) = if is_openrc {
                let shown = r#"rc-update show "$2" 2>/dev/null | grep -q "^ *$1 ""#;
                (
                    Command::script(shown, [name, level]),
                    vec!["rc-update", "add", name, level],
                    vec!["rc-update", "delete", name, level],
                )
            } else if guest.which("update-rc.d")?.is_some() {
                let shown = r#"ls /etc/rc[2345].d/S[0-9][0-9]"$1" >/dev/null 2>&1"#;
                (
                    Command::script(shown, [name]),
                    vec!["update-rc.d", name, "defaults"],
                    vec!["update-rc.d", name, "disable"],
                )
            } else {
                (Command::new(["chkconfig", name]), vec!["chkconfig", name, "on"], vec!["chkconfig", name, "off"])
            };
            let is_enabled = guest.output(ask.about(About::Named(topic(name))))?.is_success();
            if is_enabled != enabled {
                let words = if enabled { on } else { off };
                verdict.change(
                    Change::value("enabled", Some(is_enabled.to_string()), Some(enabled.to_string())),
                    Write::Run(Command::new(words)),
                );
            }
            verdict = verdict.with("enabled", enabled);
        }
        if let Some(state) = args.state {
            let status = if is_openrc {
                Command::new(["rc-service", name, "status"])
            } else {
                Command::new([script.as_str(), "status"])
            };
            let output = guest.output(status.about(About::Named(topic(name))))?;
            let said = output.text().to_lowercase();
            let runs = match &args.pattern {
                Some(pattern) => {
                    let find = r#"ps -ef 2>/dev/null | grep -v grep | grep -q -- "$1""#;
                    guest
                        .output(Command::script(find, [pattern.as_str()]).about(About::Named(topic(name))))?
                        .is_success()
                }
                None => output.is_success() && !said.contains("stopped") && !said.contains("not running"),
            };
            let word = match state {
                State::Started if !runs => Some("start"),
                State::Stopped if runs => Some("stop"),
                State::Restarted => Some("restart"),
                State::Reloaded if runs => Some("reload"),
                State::Reloaded => Some("start"),
                _ => None,
            };
            if let Some(word) = word {
                let command = if is_openrc {
                    Command::new(["rc-service", name, word])
                } else {
                    Command::new([script.as_str(), word])
                };
                let before = if runs { "started" } else { "stopped" };
                verdict.change(
                    Change::value("state", Some(before.into()), Some(state.as_str().into())),
                    Write::Run(command),
                );
            }
            let shown = if state == State::Stopped { "stopped" } else { "started" };
            verdict = verdict.with("state", shown);
        }
        Ok(verdict)
    }
}
