//! `iptables`: a rule of the kernel's firewall, for now (it is not kept over a restart, as with Ansible).
//!
//! ```yaml
//! - iptables: {chain: INPUT, protocol: tcp, destination_port: "22", jump: ACCEPT, comment: ssh}
//!   # table, state, action: append, insert; rule_num, source, destination, in_interface, out_interface, ctstate, match,
//!   # source_port, destination_ports, to_ports, to_destination, to_source, reject_with, limit, syn, ip_version, policy,
//!   # flush, chain_management, wait
//! ```
//!
//! In a preview the rules are unknown until run after a change, for tasks of this module.

use serde::Deserialize;

use super::group::State;
use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Look, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Module, Pause, TextList, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Iptables;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Args {
    table: Option<String>,
    chain: Option<String>,
    state: State,
    action: Option<String>,
    rule_num: Option<String>,
    ip_version: Option<String>,
    protocol: Option<String>,
    source: Option<String>,
    destination: Option<String>,
    #[serde(rename = "match")]
    matches: TextList,
    jump: Option<String>,
    goto: Option<String>,
    in_interface: Option<String>,
    out_interface: Option<String>,
    source_port: Option<String>,
    destination_port: Option<String>,
    destination_ports: TextList,
    to_ports: Option<String>,
    to_destination: Option<String>,
    to_source: Option<String>,
    syn: Option<String>,
    ctstate: TextList,
    comment: Option<String>,
    limit: Option<String>,
    limit_burst: Option<String>,
    uid_owner: Option<String>,
    gid_owner: Option<String>,
    reject_with: Option<String>,
    icmp_type: Option<String>,
    log_prefix: Option<String>,
    log_level: Option<String>,
    set_dscp_mark: Option<String>,
    flush: Flag,
    policy: Option<String>,
    wait: Option<String>,
    chain_management: Flag,
    #[serde(rename = "numeric")]
    _numeric: Option<Flag>,
}

const RULES: &str = "iptables";

fn look(command: Command) -> Look {
    command.about(About::Named(RULES.into()))
}

impl Module for Iptables {
    fn names(&self) -> &'static [&'static str] {
        &["iptables"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.chain.is_none() && !args.flush {
            return Err(Failure::new("either chain or flush parameter must be specified"));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Named(RULES)
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let why = format!("what `{}` makes of the rules", call.name);
        let all = Effect::unknown(Scope::Named(RULES.into()), why);
        Ok(verdict.effects_and((!verdict.writes.is_empty()).then_some(all)))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let tool = if args.ip_version.as_deref() == Some("ipv6") { "ip6tables" } else { "iptables" };
        if guest.which(tool)?.is_none() {
            return Err(Failure::new(format!("the guest has no {tool}")).into());
        }
        let chain = args.chain.clone().unwrap_or_default();
        let table = args.table.clone().unwrap_or_else(|| "filter".into());
        let command = |words: &[String]| {
            let wait = args.wait.iter().flat_map(|wait| ["-w".to_owned(), wait.clone()]);
            let all =
                [tool.to_owned(), "-t".into(), table.clone()].into_iter().chain(wait).chain(words.iter().cloned());
            Command::new(all.collect::<Vec<_>>())
        };
        let words = |text: &[&str]| {
            text.iter().filter(|word| !word.is_empty()).map(|word| (*word).to_owned()).collect::<Vec<_>>()
        };
        let mut verdict = Verdict::nothing();
        if args.flush {
            verdict.change(
                Change::value(format!("{table} {chain}"), None, Some("flushed".into())),
                Write::Run(command(&words(&["-F", &chain]))),
            );
            return Ok(verdict);
        }
        if let Some(policy) = &args.policy {
            let listed = guest.output(look(command(&words(&["-S", &chain]))))?.text();
            let there = listed.lines().find_map(|line| line.strip_prefix(&format!("-P {chain} "))).map(str::to_owned);
            if there.as_ref() != Some(policy) {
                verdict.change(
                    Change::value(format!("policy {chain}"), there, Some(policy.clone())),
                    Write::Run(command(&words(&["-P", &chain, policy]))),
                );
            }
            return Ok(verdict);
        }
        let rule = args.rule();
        let has_chain = guest.output(look(command(&words(&["-S", &chain]))))?.is_success();
        if args.chain_management && rule.is_empty() {
            match (args.state, has_chain) {
                (State::Present, false) => verdict.change(
                    Change::value(chain.clone(), None, Some("chain".into())),
                    Write::Run(command(&words(&["-N", &chain]))),
                ),
                (State::Absent, true) => verdict.change(
                    Change::value(chain.clone(), Some("chain".into()), None),
                    Write::Run(command(&words(&["-X", &chain]))),
                ),
                _ => {}
            }
            return Ok(verdict);
        }
        let with = |flag: &str, number: Option<&String>| {
            let mut all = vec![flag.to_owned(), chain.clone()];
            all.extend(number.cloned());
            all.extend(rule.iter().cloned());
            all
        };
        let is_there = has_chain && guest.output(look(command(&with("-C", None))))?.is_success();
        match (args.state, is_there) {
            (State::Present, false) => {
                if args.chain_management && !has_chain {
                    verdict.writes.push(Write::Run(command(&words(&["-N", &chain]))));
                }
                let inserts = args.action.as_deref() == Some("insert");
                let words = if inserts { with("-I", args.rule_num.as_ref()) } else { with("-A", None) };
                verdict.change(Change::value("rule", None, Some(words.join(" "))), Write::Run(command(&words)));
            }
            (State::Absent, true) => {
                let words = with("-D", None);
                verdict.change(Change::value("rule", Some(words.join(" ")), None), Write::Run(command(&words)));
            }
            _ => {}
        }
        Ok(verdict.with("rule", rule.join(" ")).with("chain", chain).with("table", table.as_str()))
    }
}

impl Args {
    fn rule(&self) -> Vec<String> {
        let mut rule: Vec<String> = vec![];
        fn negated(rule: &mut Vec<String>, flag: &str, value: &str) {
            match value.strip_prefix('!') {
                Some(value) => rule.extend(["!".to_owned(), flag.to_owned(), value.trim().to_owned()]),
                None => rule.extend([flag.to_owned(), value.to_owned()]),
            }
        }
        let mut add = |flag: &str, value: &Option<String>| {
            if let Some(value) = value {
                negated(&mut rule, flag, value);
            }
        };
        add("-p", &self.protocol);
        add("-s", &self.source);
        add("-d", &self.destination);
        for module in self.matches.iter() {
            add("-m", &Some(module.clone()));
        }
        add("-i", &self.in_interface);
        add("-o", &self.out_interface);
        add("--source-port", &self.source_port);
        add("--destination-port", &self.destination_port);
        let has = |name: &str| self.matches.iter().any(|known| known == name);
        let some = |text: &str| Some(text.to_owned());
        if !self.destination_ports.is_empty() {
            add("-m", &some("multiport").filter(|_| !has("multiport")));
            add("--dports", &Some(self.destination_ports.join(",")));
        }
        if !self.ctstate.is_empty() {
            add("-m", &some("conntrack").filter(|_| !has("conntrack")));
            add("--ctstate", &Some(self.ctstate.join(",")));
        }
        if self.limit.is_some() || self.limit_burst.is_some() {
            add("-m", &some("limit").filter(|_| !has("limit")));
            add("--limit", &self.limit);
            add("--limit-burst", &self.limit_burst);
        }
        if self.uid_owner.is_some() || self.gid_owner.is_some() {
            add("-m", &some("owner").filter(|_| !has("owner")));
            add("--uid-owner", &self.uid_owner);
            add("--gid-owner", &self.gid_owner);
        }
        add("--icmp-type", &self.icmp_type);
        if let Some(comment) = &self.comment {
            add("-m", &some("comment").filter(|_| !has("comment")));
            add("--comment", &Some(comment.clone()));
        }
        add("-j", &self.jump);
        add("-g", &self.goto);
        add("--to-ports", &self.to_ports);
        add("--to-destination", &self.to_destination);
        add("--to-source", &self.to_source);
        add("--reject-with", &self.reject_with);
        add("--log-prefix", &self.log_prefix);
        add("--log-level", &self.log_level);
        add("--set-dscp", &self.set_dscp_mark);
        match self.syn.as_deref() {
            Some("match") => rule.push("--syn".into()),
            Some("negate") => rule.extend(["!".to_owned(), "--syn".to_owned()]),
            _ => {}
        }
        rule
    }
}
