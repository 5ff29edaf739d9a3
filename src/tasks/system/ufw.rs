//! `community.general.ufw`: the firewall ufw.
//!
//! ```yaml
//! - ufw: {state: enabled, policy: deny, direction: incoming}     # state: enabled, disabled, reloaded, reset
//! - ufw: {rule: allow, port: "443", proto: tcp, from_ip: 10.0.0.0/8, comment: https}
//!   # rule: allow, deny, reject, limit; to_ip, from_port, to_port, interface, direction, name, delete, insert, route, log
//! ```
//!
//! ufw itself says by its dry run what a rule would change.
//!
//! In a preview the firewall is unknown until run after a change, for tasks of this module.

use serde::Deserialize;

use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Look, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Ufw;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    state: Option<String>,
    #[serde(alias = "policy")]
    default: Option<String>,
    logging: Option<String>,
    direction: Option<String>,
    rule: Option<String>,
    #[serde(default)]
    log: Flag,
    #[serde(alias = "from", alias = "src")]
    from_ip: Option<String>,
    from_port: Option<String>,
    #[serde(alias = "dest", alias = "to")]
    to_ip: Option<String>,
    #[serde(alias = "port")]
    to_port: Option<String>,
    #[serde(alias = "protocol")]
    proto: Option<String>,
    #[serde(alias = "app")]
    name: Option<String>,
    #[serde(alias = "if")]
    interface: Option<String>,
    #[serde(alias = "if_in")]
    interface_in: Option<String>,
    #[serde(alias = "if_out")]
    interface_out: Option<String>,
    #[serde(default)]
    delete: Flag,
    insert: Option<Int>,
    #[serde(default)]
    route: Flag,
    comment: Option<String>,
}

const FIREWALL: &str = "ufw";

fn look(command: Command) -> Look {
    command.env("LC_ALL", "C").about(About::Named(FIREWALL.into()))
}

impl Module for Ufw {
    fn names(&self) -> &'static [&'static str] {
        &["community.general.ufw"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.state.is_none() && args.default.is_none() && args.rule.is_none() && args.logging.is_none() {
            return Err(Failure::new("one of the following is required: state, default, rule, logging"));
        }
        let is_state = |state: &String| ["enabled", "disabled", "reloaded", "reset"].contains(&state.as_str());
        if let Some(state) = args.state.as_ref().filter(|state| !is_state(state)) {
            return Err(Failure::new(format!("`state`: `{state}` is not one of enabled, disabled, reloaded, reset")));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Named(FIREWALL)
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let why = format!("what `{}` makes of the firewall", call.name);
        let all =
            [Scope::Named(FIREWALL.into()), Scope::Path("/etc/ufw".into()), Scope::Path("/etc/default/ufw".into())];
        let all =
            all.into_iter().map(|scope| Effect::unknown(scope, why.clone())).filter(|_| !verdict.writes.is_empty());
        Ok(verdict.effects_and(all))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        if guest.which("ufw")?.is_none() {
            return Err(Failure::new("the guest has no ufw").into());
        }
        let status = guest.output(look(Command::new(["ufw", "status", "verbose"])))?.text();
        let is_active = status.lines().any(|line| line == "Status: active");
        let mut verdict = Verdict::nothing();
        let run = |words: &[String]| {
            // It asks before these, and takes the flag with nothing else.
            let asks = matches!(words.first().map(String::as_str), Some("enable" | "reset"));
            let force = asks.then(|| "--force".to_owned());
            let all = std::iter::once("ufw".to_owned()).chain(force).chain(words.iter().cloned());
            Write::Run(Command::new(all.collect::<Vec<_>>()))
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        if let Some(policy) = &args.default {
            let direction = args.direction.as_deref().unwrap_or("incoming");
            let direction = match direction {
                "in" => "incoming",
                "out" => "outgoing",
                other => other,
            };
            let kept = guest
                .read("/etc/default/ufw")?
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                .unwrap_or_default();
            let key = match direction {
                "outgoing" => "DEFAULT_OUTPUT_POLICY",
                "routed" => "DEFAULT_FORWARD_POLICY",
                _ => "DEFAULT_INPUT_POLICY",
            };
            let there = kept
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(|value| value.trim_matches('"').to_lowercase());
            let there = match there.as_deref() {
                Some("accept") => "allow",
                Some("drop") => "deny",
                Some("reject") => "reject",
                _ => "",
            };
            if there != policy {
                verdict.change(
                    Change::value(format!("policy {direction}"), Some(there.into()), Some(policy.clone())),
                    run(&words(&format!("default {policy} {direction}"))),
                );
            }
        }
        if let Some(logging) = &args.logging {
            let there = status.lines().find_map(|line| line.strip_prefix("Logging: ")).unwrap_or_default();
            let is_same = there.starts_with(logging.as_str()) || there.contains(&format!("({logging})"));
            if !is_same {
                verdict.change(
                    Change::value("logging", Some(there.into()), Some(logging.clone())),
                    run(&words(&format!("logging {logging}"))),
                );
            }
        }
        if let Some(rule) = &args.rule {
            let rule = args.words(rule);
            let dry = ["ufw".to_owned(), "--dry-run".to_owned()].into_iter().chain(rule.iter().cloned());
            let said = guest.output(look(Command::new(dry.collect::<Vec<_>>())))?;
            if !said.is_success() {
                return Err(Failure::new(format!("ufw: {}", said.errors().trim())).into());
            }
            let text = said.text();
            let skips = [
                "Skipping adding existing rule",
                "Skipping inserting existing rule",
                "Could not delete non-existent rule",
            ];
            if !skips.iter().any(|skip| text.contains(skip)) {
                verdict.change(Change::value("rule", None, Some(rule.join(" "))), run(&rule));
            }
        }
        match args.state.as_deref() {
            Some("enabled") if !is_active => {
                verdict.change(
                    Change::value("state", Some("inactive".into()), Some("active".into())),
                    run(&words("enable")),
                );
            }
            Some("disabled") if is_active => {
                verdict.change(
                    Change::value("state", Some("active".into()), Some("inactive".into())),
                    run(&words("disable")),
                );
            }
            Some("reloaded") => {
                verdict.change(Change::value("state", None, Some("reloaded".into())), run(&words("reload")))
            }
            Some("reset") => verdict.change(Change::value("state", None, Some("reset".into())), run(&words("reset"))),
            _ => {}
        }
        Ok(verdict)
    }
}

impl Args {
    fn words(&self, rule: &str) -> Vec<String> {
        let mut words: Vec<String> = vec![];
        let mut add = |word: &str, value: Option<&String>| {
            if let Some(value) = value {
                words.extend(
                    [word, value.as_str()].iter().filter(|word| !word.is_empty()).map(|word| (*word).to_owned()),
                );
            }
        };
        let yes = String::new();
        let flag = |is: bool| is.then_some(&yes);
        add("route", flag(self.route));
        add("delete", flag(self.delete));
        let insert = self.insert.map(|place| place.to_string());
        add("insert", insert.as_ref());
        add("", Some(&rule.to_owned()));
        add("", self.direction.as_ref().filter(|_| self.interface.is_none() || self.direction.is_some()));
        add("on", self.interface.as_ref());
        add("in on", self.interface_in.as_ref());
        add("out on", self.interface_out.as_ref());
        add("log", flag(self.log));
        let any = "any".to_owned();
        let is_simple = self.name.is_some() && self.from_ip.is_none() && self.to_ip.is_none();
        if !is_simple {
            add("from", Some(self.from_ip.as_ref().unwrap_or(&any)));
            add("port", self.from_port.as_ref());
            add("to", Some(self.to_ip.as_ref().unwrap_or(&any)));
            add("port", self.to_port.as_ref());
            add("proto", self.proto.as_ref().filter(|proto| *proto != "any"));
            add("app", self.name.as_ref());
        } else {
            add("", self.name.as_ref());
        }
        add("comment", self.comment.as_ref());
        words
            .iter()
            .flat_map(|word| {
                if word == "in on" || word == "out on" {
                    word.split(' ').map(str::to_owned).collect()
                } else {
                    vec![word.clone()]
                }
            })
            .collect()
    }
}
