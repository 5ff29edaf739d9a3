//! `service_facts`: the guest's services, as `ansible_facts.services`.
//!
//! ```yaml
//! - service_facts:
//! - debug: {msg: "{{ services['nginx.service'].state }}"}   # state, status, name, source
//! ```

use serde::Deserialize;

use crate::guest::{About, Command};
use crate::tasks::{Call, Failure, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::map;

/// The module.
#[derive(Debug)]
pub struct ServiceFacts;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {}

const LIST: &str = r#"
if [ -d /run/systemd/system ]; then
    systemctl list-units --all --type=service --no-legend --no-pager --plain 2>/dev/null | while read -r name load active sub rest; do
        echo "unit $name $load $active $sub"; done
    systemctl list-unit-files --type=service --no-legend --no-pager 2>/dev/null | while read -r name state rest; do echo "file $name $state"; done
elif command -v rc-status >/dev/null 2>&1; then
    rc-status -a -s 2>/dev/null | while read -r name bracket state rest; do echo "openrc $name $state"; done
else
    for script in /etc/init.d/*; do
        [ -x "$script" ] || continue
        name=${script##*/}; "$script" status >/dev/null 2>&1 && echo "sysv $name running" || echo "sysv $name stopped"
    done
fi"#;

impl Module for ServiceFacts {
    fn names(&self) -> &'static [&'static str] {
        &["service_facts"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let text = guest.output(Command::script(LIST, [] as [&str; 0]).about(About::Units))?.text();
        let mut services: indexmap::IndexMap<String, [String; 3]> = indexmap::IndexMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["unit", name, load, active, sub] => {
                    let state = if (*active, *sub) == ("active", "running") { "running" } else { "stopped" };
                    let status = if *load == "not-found" { "not-found" } else { "unknown" };
                    services.insert((*name).to_owned(), [state.into(), status.into(), "systemd".into()]);
                }
                ["file", name, status] => {
                    let new = || ["unknown".to_owned(), String::new(), "systemd".to_owned()];
                    let entry = services.entry((*name).to_owned()).or_insert_with(new);
                    (*status).clone_into(&mut entry[1]);
                    if entry[0] == "unknown" && !name.contains('@') {
                        entry[0] = "inactive".into();
                    }
                }
                ["openrc", name, state] => {
                    let state = if *state == "started" { "running" } else { "stopped" };
                    services.insert((*name).to_owned(), [state.into(), String::new(), "openrc".into()]);
                }
                ["sysv", name, state] => {
                    services.insert((*name).to_owned(), [(*state).into(), String::new(), "sysv".into()]);
                }
                _ => {}
            }
        }
        let services = services.into_iter().map(|(name, [state, status, source])| {
            let mut entry = vec![("name", name.clone()), ("state", state), ("source", source)];
            if !status.is_empty() {
                entry.push(("status", status));
            }
            (name, map(entry))
        });
        let facts = Map::from_iter([("services".to_owned(), map(services))]);
        Ok(Verdict { facts, ..Verdict::default() })
    }
}
