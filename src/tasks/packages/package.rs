//! `package`: packages by whatever the guest has: apt, apk or dnf.
//!
//! ```yaml
//! - package: {name: [git, curl], state: present}   # present, latest, absent
//! ```
//!
//! The fact `pkg_mgr` chooses; `use: apt` does so where facts are not gathered. Other arguments are those of the module
//! that is chosen, and what it returns is returned.
//!
//! In a preview as the guest's own module.

use serde::Deserialize;

use super::{apk, apt, dnf};
use crate::forecast::Effect;
use crate::guest::Done;
use crate::tasks::{Call, Failure, Known, Map, Module, Pause, Report, Touches, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct Package;

#[derive(Deserialize)]
struct Args {
    #[serde(rename = "use")]
    uses: Option<String>,
    #[serde(rename = "name", alias = "pkg")]
    _name: serde::de::IgnoredAny,
    #[serde(rename = "state")]
    _state: String,
}

impl Module for Package {
    fn names(&self) -> &'static [&'static str] {
        &["package"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Packages
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        let (module, args) = chosen(call, guest)?;
        module.foresee(&Call { args: &args, name: module.names()[0], ..*call }, verdict, guest)
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let (module, args) = chosen(call, guest)?;
        module.inspect(&Call { args: &args, name: module.names()[0], ..*call }, guest)
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        apt::finish(call, verdict, done)
    }
}

/// The guest's own module, and the arguments without `use`.
fn chosen(call: &Call<'_>, guest: &Known) -> Result<(&'static dyn Module, Map), Pause> {
    let args: Args = call.args()?;
    let manager = match args.uses.filter(|name| name != "auto") {
        Some(name) => name,
        None => match call.fact("pkg_mgr")? {
            name if name.is_empty() => by_tools(guest)?,
            name => name,
        },
    };
    let bare = manager.rsplit('.').next().unwrap_or(&manager);
    let module: &'static dyn Module = match bare {
        "apt" => &apt::Apt,
        "apk" => &apk::Apk,
        "dnf" | "dnf5" | "yum" => &dnf::Dnf,
        other => {
            return Err(Failure::new(format!(
                "package: the guest's packages are {other}'s, and lxdeploy knows apt, apk and dnf"
            ))
            .into());
        }
    };
    let mut args = call.args.clone();
    args.shift_remove("use");
    if bare == "apk" && args.get("state").and_then(Value::as_str) == Some("installed") {
        args.insert("state".into(), "present".into());
    }
    Ok((module, args))
}

fn by_tools(guest: &Known) -> Result<String, Pause> {
    let tools = [("apt-get", "apt"), ("apk", "apk"), ("dnf", "dnf"), ("yum", "dnf")];
    guest.want(tools.map(|(tool, _)| crate::guest::Probe::Which(tool.into())))?;
    for (tool, module) in tools {
        if guest.which(tool)?.is_some() {
            return Ok(module.to_owned());
        }
    }
    Err(Failure::new("package: the guest has none of apt-get, apk, dnf").into())
}
