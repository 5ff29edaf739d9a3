//! `community.general.timezone`: the guest's time zone.
//!
//! ```yaml
//! - timezone: {name: Europe/Berlin}
//! ```
//!
//! /etc/localtime as systemd links it; without systemd /etc/timezone as well, where it is there. The hardware's clock (`hwclock`) is the host's, not a container's.

use serde::Deserialize;

use crate::forecast::Effect;
use crate::guest::{Attributes, Command, Content, Probe, Write};
use crate::tasks::{Call, Change, Failure, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Timezone;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: Option<String>,
    #[serde(alias = "rtc")]
    hwclock: Option<String>,
}

impl Module for Timezone {
    fn names(&self) -> &'static [&'static str] {
        &["community.general.timezone"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        match (args.name, args.hwclock) {
            (_, Some(_)) => Err(Failure::new("timezone: the hardware clock is the host's; a container cannot set it")),
            (None, None) => Err(Failure::new("the argument `name` is missing")),
            _ => Ok(()),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Named("the time zone")
    }

    fn foresee(&self, _: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        Ok(verdict.effects_and([]))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let name = args.name.unwrap_or_default();
        let zone = format!("/usr/share/zoneinfo/{name}");
        guest.want([
            Probe::Stat { path: zone.clone(), follow: true },
            Probe::Stat { path: "/etc/localtime".into(), follow: false },
            Probe::Read { path: "/etc/timezone".into() },
            Probe::Stat { path: "/run/systemd/system".into(), follow: true },
        ])?;
        if guest.stat(&zone)?.is_none() {
            return Err(Failure::new(format!(
                "given timezone \"{name}\" is not available: install tzdata, or see /usr/share/zoneinfo"
            ))
            .into());
        }
        let link = guest.lstat("/etc/localtime")?.and_then(|stat| stat.target.clone());
        let now = link.as_deref().and_then(|target| target.split_once("zoneinfo/")).map(|(_, zone)| zone.to_owned());
        let written = guest.read("/etc/timezone")?.map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        let mut verdict = Verdict::nothing();
        if now.as_ref() != Some(&name) {
            let write = Write::Symlink {
                path: "/etc/localtime".into(),
                target: format!("..{zone}"),
                attributes: Attributes::default(),
            };
            verdict.change(Change::value("timezone", now, Some(name.clone())), write);
        }
        let has_systemd = guest.stat("/run/systemd/system")?.is_some();
        if let Some(written) = written.filter(|written| *written != name && !has_systemd) {
            let content = Content::Bytes(format!("{name}\n").into_bytes().into());
            let write = Write::File {
                path: "/etc/timezone".into(),
                content,
                attributes: Attributes::default(),
                backup: None,
                validate: None,
            };
            verdict.change(Change::value("/etc/timezone", Some(written), Some(name)), write);
        }
        // Whoever asks timedated is told so.
        if !verdict.writes.is_empty() {
            let script = "[ ! -d /run/systemd/system ] || systemctl try-restart systemd-timedated.service >/dev/null 2>&1 || true";
            verdict.writes.push(Write::Run(Command::script(script, [] as [&str; 0])));
        }
        Ok(verdict)
    }
}
