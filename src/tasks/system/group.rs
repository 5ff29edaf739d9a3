//! `group`: a group of users.
//!
//! ```yaml
//! - group: {name: app, gid: 1200, system: false, state: present}   # local, non_unique, force
//! ```
//!
//! By groupadd and its like, or busybox' addgroup. Returned: `name`, `gid`, `state`, `system`.
//!
//! In a preview the number of a new group is unknown until run.

use serde::Deserialize;

use crate::forecast::Effect;
use crate::guest::{Command, Group, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct GroupModule;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: String,
    gid: Option<u32>,
    #[serde(default)]
    state: State,
    #[serde(default)]
    system: Flag,
    #[serde(rename = "local")]
    _local: Option<Flag>,
    #[serde(default)]
    non_unique: Flag,
    #[serde(rename = "force")]
    _force: Option<Flag>,
    #[serde(rename = "gid_min")]
    _gid_min: Option<Int>,
    #[serde(rename = "gid_max")]
    _gid_max: Option<Int>,
}

/// There or not.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    #[default]
    Present,
    Absent,
}

impl Module for GroupModule {
    fn names(&self) -> &'static [&'static str] {
        &["group"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Accounts(&[])
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        if verdict.writes.is_empty() {
            return Ok(vec![]);
        }
        let there = guest.group(&args.name)?.cloned();
        let group = (args.state == State::Present).then(|| Group {
            name: args.name.clone(),
            gid: args.gid.or(there.as_ref().map(|group| group.gid)).unwrap_or_else(|| foreseen_id(&args.name)),
            members: there.map(|group| group.members).unwrap_or_default(),
        });
        Ok(vec![Effect::Group { name: args.name, group }])
    }

    fn ensure(&self, call: &Call<'_>) -> Result<Vec<Effect>, Failure> {
        let args: Args = call.args()?;
        let group = (args.state == State::Present).then(|| Group {
            name: args.name.clone(),
            gid: args.gid.unwrap_or_else(|| foreseen_id(&args.name)),
            members: vec![],
        });
        Ok(vec![Effect::Group { name: args.name, group }])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let there = guest.group(&args.name)?.cloned();
        let number =
            args.gid.filter(|gid| args.state == State::Present && there.as_ref().is_none_or(|it| it.gid != *gid));
        if let Some(gid) = number.filter(|_| !args.non_unique)
            && let Some(other) = guest.group(&gid.to_string())?.filter(|other| other.gid == gid)
        {
            return Err(taken(gid, "group", &other.name).into());
        }
        let mut verdict = Verdict::nothing().with("name", args.name.as_str());
        match (args.state, &there) {
            (State::Absent, None) => {}
            (State::Absent, Some(_)) => {
                let change = Change::value(format!("group {}", args.name), Some("present".into()), None);
                let program = guest.either("groupdel", "delgroup")?;
                verdict.change(change, Write::Run(Command::new([program, &args.name])));
            }
            (State::Present, None) => {
                let program = guest.either("groupadd", "addgroup")?;
                let is_busybox = program == "addgroup";
                let mut words = vec![program.to_owned()];
                words.extend(args.gid.into_iter().flat_map(|gid| ["-g".to_owned(), gid.to_string()]));
                words.extend(args.system.then(|| if is_busybox { "-S" } else { "-r" }.to_owned()));
                words.extend((args.non_unique && !is_busybox).then(|| "-o".to_owned()));
                words.push(args.name.clone());
                let change = Change::value(format!("group {}", args.name), None, Some("present".into()));
                verdict.change(change, Write::Run(Command::new(words)));
            }
            (State::Present, Some(group)) => {
                if let Some(gid) = args.gid.filter(|gid| *gid != group.gid) {
                    let mut words = vec!["groupmod", "-g"];
                    let number = gid.to_string();
                    words.push(&number);
                    words.extend(args.non_unique.then_some("-o"));
                    words.push(&args.name);
                    let change = Change::value("gid", Some(group.gid.to_string()), Some(gid.to_string()));
                    verdict.change(change, Write::Run(Command::new(words)));
                }
            }
        }
        if args.state == State::Present {
            if call.check && args.gid.is_none() && there.is_none() {
                verdict.unknown_result = Some(format!("the number that the group {} gets", args.name));
            }
            if let Some(gid) = args.gid.or(there.map(|group| group.gid)) {
                verdict = verdict.with("gid", gid);
            }
            verdict = verdict.with("system", args.system);
        }
        Ok(verdict.with("state", if args.state == State::Present { "present" } else { "absent" }))
    }
}

/// Two of one number are wanted seldom: then it is said.
pub(super) fn taken(number: u32, what: &str, by: &str) -> Failure {
    Failure::new(format!("the number {number} is that of the {what} {by} already; `non_unique: true` allows it"))
}

/// The number of a user or group that the guest will choose: nobody has it, and it is never shown.
pub(super) fn foreseen_id(name: &str) -> u32 {
    let sum = name.bytes().fold(5381_u32, |sum, byte| sum.wrapping_mul(33) ^ u32::from(byte));
    0xF000_0000 | (sum & 0x0FFF_FFFF)
}
