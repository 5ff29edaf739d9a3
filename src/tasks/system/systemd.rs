//! `systemd` (also `systemd_service`): a unit's state.
//!
//! ```yaml
//! - systemd: {name: nginx, state: started, enabled: true, masked: false, daemon_reload: true}
//!   # state: started, stopped, restarted, reloaded; daemon_reexec, no_block, force
//! ```
//!
//! `restarted` always changes; `reloaded` starts a unit that is down. `daemon_reload` comes first and changes nothing by
//! itself. Static and generated units are enabled as they are. Returned: `name`, `state`, `enabled`, `status`.
//!
//! In a preview what a unit is that is unmasked, or whose file goes, is unknown until run.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::forecast::{Effect, Scope};
use crate::guest::{About, Answer, Command, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::map;

/// The module.
#[derive(Debug)]
pub struct Systemd;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Args {
    #[serde(alias = "service", alias = "unit")]
    pub(super) name: Option<String>,
    pub(super) state: Option<State>,
    pub(super) enabled: Option<Flag>,
    pub(super) masked: Option<Flag>,
    #[serde(alias = "daemon-reload")]
    pub(super) daemon_reload: Flag,
    #[serde(alias = "daemon-reexec")]
    pub(super) daemon_reexec: Flag,
    pub(super) no_block: Flag,
    #[serde(rename = "force")]
    pub(super) _force: Option<Flag>,
    pub(super) scope: Option<String>,
}

/// What a service is to be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Started,
    Stopped,
    Restarted,
    Reloaded,
}

impl State {
    /// Ansible's word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Started => "started",
            State::Stopped => "stopped",
            State::Restarted => "restarted",
            State::Reloaded => "reloaded",
        }
    }
}

impl Module for Systemd {
    fn names(&self) -> &'static [&'static str] {
        &["systemd", "systemd_service"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.scope.as_deref().is_some_and(|scope| scope != "system") {
            return Err(Failure::new("systemd: only the system's own manager is reached; scope is `system`"));
        }
        let needs_name = args.state.is_some() || args.enabled.is_some() || args.masked.is_some();
        if needs_name && args.name.is_none() {
            return Err(Failure::new("name is required with state, enabled, masked"));
        }
        if !needs_name && args.name.is_none() && !args.daemon_reload && !args.daemon_reexec {
            return Err(Failure::new(
                "one of the following is required: state, enabled, masked, daemon_reload, daemon_reexec",
            ));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Units(&["name", "service", "unit"])
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        let _ = guest;
        let args: Args = call.args()?;
        Ok(foresee(args.name.as_deref().unwrap_or_default(), verdict))
    }

    fn ensure(&self, call: &Call<'_>) -> Result<Vec<Effect>, Failure> {
        let args: Args = call.args()?;
        Ok(ensure(&args))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        inspect(&call.args()?, call, guest)
    }
}

/// What a unit surely is by then. Which state of enablement it has is systemd's to say.
pub(super) fn ensure(args: &Args) -> Vec<Effect> {
    let Some(name) = &args.name else { return vec![] };
    let mut properties = vec![("LoadState", "loaded".to_owned())];
    let state = match args.state {
        Some(State::Stopped) => "inactive",
        Some(_) => "active",
        None => return vec![],
    };
    properties.push(("ActiveState", state.to_owned()));
    let Some(enabled) = args.enabled else { return vec![] };
    properties.push(("UnitFileState", if enabled { "enabled" } else { "disabled" }.to_owned()));
    let unit = properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    vec![Effect::Is(Probe::Unit { name: name.clone(), user: None }, Answer::Unit(Some(unit)))]
}

/// What systemctl's words leave of a unit.
pub(super) fn foresee(name: &str, verdict: &Verdict) -> Vec<Effect> {
    let mut effects = vec![];
    for write in &verdict.writes {
        let Write::Run(command) = write else { continue };
        let word = command.argv.get(1).map(String::as_str).unwrap_or_default();
        let set = |properties: &[(&'static str, &str)]| Effect::Unit {
            name: name.to_owned(),
            properties: properties.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        };
        effects.extend(match word {
            "start" | "restart" | "reload" => Some(set(&[("ActiveState", "active"), ("SubState", "running")])),
            "stop" => Some(set(&[("ActiveState", "inactive"), ("SubState", "dead")])),
            "enable" => Some(set(&[("UnitFileState", "enabled")])),
            "disable" => Some(set(&[("UnitFileState", "disabled")])),
            "mask" => Some(set(&[("LoadState", "masked"), ("UnitFileState", "masked")])),
            "unmask" => {
                Some(Effect::unknown(Scope::Unit(name.to_owned()), format!("what {name} is when it is unmasked")))
            }
            _ => None,
        });
    }
    effects
}

/// As a module; `service` comes here as well.
pub(super) fn inspect(args: &Args, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
    let mut verdict = Verdict { changed: None, ..Verdict::default() };
    let mut first = vec![];
    if args.daemon_reload {
        first.push(Write::Run(Command::new(["systemctl", "daemon-reload"])));
    }
    if args.daemon_reexec {
        first.push(Write::Run(Command::new(["systemctl", "daemon-reexec"])));
    }
    // What is asked about a unit may depend on the reload.
    if !first.is_empty() && call.round == 0 {
        let again = args.name.is_some();
        return Ok(Verdict { writes: first, again, changed: Some(false), ..Verdict::default() });
    }
    let Some(name) = &args.name else { return Ok(verdict) };
    if name.contains(['*', '?', '[']) {
        return Err(Failure::new(
            "This module does not currently support using glob patterns, found '*' in service name",
        )
        .into());
    }
    let Some(unit) = guest.unit(name)?.cloned() else {
        return Err(Failure::new("the guest has no systemd that runs: use `service`").into());
    };
    let get = |name: &str| unit.get(name).map(String::as_str).unwrap_or_default();
    verdict.result.insert("name".into(), name.as_str().into());
    let status = |unit: &BTreeMap<String, String>| map(unit.iter().map(|(name, value)| (name.clone(), value.clone())));
    verdict.result.insert("status".into(), status(&unit));
    let is_known = get("LoadState") != "not-found" || !get("UnitFileState").is_empty();
    if !is_known {
        if args.state == Some(State::Stopped) && args.enabled != Some(true) {
            return Ok(verdict.with("state", "stopped").with("enabled", false));
        }
        return Err(Failure::new(format!("Could not find the requested service {name}: host"))
            .with("name", name.as_str())
            .into());
    }
    let systemctl = |words: &[&str]| {
        let mut all: Vec<&str> = vec!["systemctl"];
        all.extend(words);
        all.push(name);
        Write::Run(Command::new(all))
    };
    let is_masked = get("LoadState") == "masked" || get("UnitFileState").starts_with("masked");
    if let Some(masked) = args.masked
        && masked != is_masked
    {
        let word = if masked { "mask" } else { "unmask" };
        verdict
            .change(Change::value("masked", Some(is_masked.to_string()), Some(masked.to_string())), systemctl(&[word]));
    }
    if let Some(enabled) = args.enabled {
        let file_state = get("UnitFileState");
        // Generated from an init script: systemctl hands it to update-rc.d, and `is-enabled` knows.
        let is_enabled = match file_state {
            "enabled" | "static" | "transient" => true,
            // Only for now, or by another name: systemd knows what enabling it means.
            "enabled-runtime" | "indirect" | "alias" => false,
            "generated" | "" => {
                guest
                    .output(Command::new(["systemctl", "is-enabled", "--quiet", name.as_str()]).about(About::Units))?
                    .is_success()
                    || file_state == "generated"
            }
            _ => false,
        };
        let is_fixed = ["static", "generated", "transient"].contains(&file_state);
        if enabled != is_enabled && !(is_fixed && enabled) && file_state != "static" {
            let word = if enabled { "enable" } else { "disable" };
            verdict.change(
                Change::value("enabled", Some(is_enabled.to_string()), Some(enabled.to_string())),
                systemctl(&[word]),
            );
        }
        verdict.result.insert("enabled".into(), enabled.into());
    }
    if let Some(state) = args.state {
        let active = get("ActiveState");
        let runs = ["active", "activating", "reloading"].contains(&active);
        let word = match state {
            State::Started if !runs => Some("start"),
            State::Stopped if runs || active == "deactivating" => Some("stop"),
            State::Restarted => Some("restart"),
            State::Reloaded if runs => Some("reload"),
            State::Reloaded => Some("start"),
            _ => None,
        };
        if let Some(word) = word {
            let words: &[&str] = if args.no_block { &[word, "--no-block"] } else { &[word] };
            verdict
                .change(Change::value("state", Some(active.to_owned()), Some(state.as_str().into())), systemctl(words));
        }
        let shown = if state == State::Stopped { "stopped" } else { "started" };
        verdict.result.insert("state".into(), shown.into());
    }
    Ok(verdict)
}
