//! `package_facts`: what is installed, as the fact `packages`.
//!
//! ```yaml
//! - package_facts: {manager: auto}   # auto (default), apt, apk, rpm
//! - debug: {msg: "{{ ansible_facts.packages['nginx'][0].version }}"}
//! ```
//!
//! Each name has a list of what is installed under it: `name`, `version`, `arch`, `source`; of rpm also `release` and
//! `epoch`. Changes nothing, and runs in check mode.

use indexmap::IndexMap;
use serde::Deserialize;

use crate::guest::{About, Command, Probe};
use crate::tasks::{Call, Failure, Known, Map, Module, Pause, TextList, Touches, Verdict};
use crate::template::{Value, map};

/// The module.
#[derive(Debug)]
pub struct PackageFacts;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    manager: TextList,
    #[serde(rename = "strategy")]
    _strategy: Option<String>,
}

const DPKG: &str = "${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\t${Section}\\n";
const RPM: &str = "%{NAME}\\t%{VERSION}\\t%{ARCH}\\t%{RELEASE}\\t%{EPOCH}\\n";

impl Module for PackageFacts {
    fn names(&self) -> &'static [&'static str] {
        &["package_facts"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let tools = [("apt", "dpkg-query"), ("apk", "apk"), ("rpm", "rpm")];
        let is_wanted = |manager: &str| {
            args.manager.is_empty() || args.manager.iter().any(|name| name == "auto" || name == manager)
        };
        guest.want(tools.map(|(_, tool)| Probe::Which(tool.into())))?;
        for (manager, tool) in tools {
            if !is_wanted(manager) || guest.which(tool)?.is_none() {
                continue;
            }
            let packages = match manager {
                "apt" => {
                    dpkg(&guest.output(Command::new(["dpkg-query", "-W", "-f", DPKG]).about(About::Packages))?.text())
                }
                "apk" => apk(&guest.output(Command::new(["apk", "info", "-v"]).about(About::Packages))?.text()),
                _ => rpm(&guest
                    .output(Command::new(["rpm", "-qa", "--queryformat", RPM]).about(About::Packages))?
                    .text()),
            };
            let mut verdict = Verdict::nothing();
            let packages = packages.into_iter().map(|(name, list)| (name, Value::from(list)));
            verdict.facts.insert("packages".into(), map(packages));
            return Ok(verdict);
        }
        Err(Failure::new("package_facts: the guest has none of dpkg-query, apk, rpm").into())
    }
}

type Packages = IndexMap<String, Vec<Value>>;

fn add(packages: &mut Packages, name: &str, fields: &[(&str, Value)]) {
    let value = map(fields.iter().cloned());
    packages.entry(name.to_owned()).or_default().push(value);
}

fn dpkg(text: &str) -> Packages {
    let mut packages = Packages::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[status, name, version, arch, section] = fields.as_slice() else { continue };
        if status.starts_with("ii") || status.starts_with("hi") {
            let fields = [
                ("name", name.into()),
                ("version", version.into()),
                ("arch", arch.into()),
                ("category", section.into()),
                ("source", "apt".into()),
            ];
            add(&mut packages, name, &fields);
        }
    }
    packages
}

fn rpm(text: &str) -> Packages {
    let mut packages = Packages::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[name, version, arch, release, epoch] = fields.as_slice() else { continue };
        let epoch = epoch.parse::<i64>().map_or(Value::from(()), Value::from);
        let fields = [
            ("name", name.into()),
            ("version", version.into()),
            ("arch", arch.into()),
            ("release", release.into()),
            ("epoch", epoch),
            ("source", "rpm".into()),
        ];
        add(&mut packages, name, &fields);
    }
    packages
}

/// Lines such as `alpine-baselayout-3.4.3-r2`.
fn apk(text: &str) -> Packages {
    let mut packages = Packages::new();
    for line in text.lines() {
        let mut parts = line.rsplitn(3, '-');
        let (Some(release), Some(version), Some(name)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let fields =
            [("name", name.into()), ("version", version.into()), ("release", release.into()), ("source", "apk".into())];
        add(&mut packages, name, &fields);
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_is_not_installed() {
        let packages = dpkg("ii \tcurl\t7.88\tamd64\tweb\nrc \tvim\t9\tamd64\teditors\nhi \theld\t1\tall\tmisc\n");
        assert_eq!(packages.keys().collect::<Vec<_>>(), ["curl", "held"]);
        assert_eq!(packages["curl"][0].get_attr("version").unwrap().as_str(), Some("7.88"));
        let packages = apk("alpine-baselayout-3.4.3-r2\n");
        assert_eq!(packages["alpine-baselayout"][0].get_attr("version").unwrap().as_str(), Some("3.4.3"));
    }
}
