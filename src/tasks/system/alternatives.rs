//! `community.general.alternatives`: which program stands behind a name.
//!
//! ```yaml
//! - alternatives: {name: editor, path: /usr/bin/vim.basic}
//! - alternatives: {name: java, path: /opt/java/bin/java, link: /usr/bin/java, priority: 200, state: selected}
//!   # state: present, selected (default), auto, absent
//! ```
//!
//! In a preview what the name leads to after a change is unknown until run.

use serde::Deserialize;

use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Write};
use crate::tasks::{Call, Change, Failure, Int, Known, Module, Pause, Verdict};

/// The module.
#[derive(Debug)]
pub struct Alternatives;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: String,
    path: Option<String>,
    link: Option<String>,
    priority: Option<Int>,
    #[serde(default)]
    state: State,
    #[serde(rename = "subcommands")]
    subcommands: Option<serde::de::IgnoredAny>,
    #[serde(rename = "family")]
    _family: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    Present,
    #[default]
    Selected,
    Auto,
    Absent,
}

impl Module for Alternatives {
    fn names(&self) -> &'static [&'static str] {
        &["community.general.alternatives"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.path.is_none() && args.state != State::Auto {
            return Err(Failure::new("the argument `path` is missing"));
        }
        if args.subcommands.is_some() {
            return Err(Failure::new(
                "alternatives: subcommands are not supported; run update-alternatives by `command`",
            ));
        }
        Ok(())
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let (name, why) =
            (format!("the alternatives of {}", args.name), format!("what the alternatives of {} lead to", args.name));
        let links = [
            args.link.unwrap_or_else(|| format!("/usr/bin/{}", args.name)),
            format!("/etc/alternatives/{}", args.name),
        ];
        let links = links.into_iter().map(|link| Effect::unknown(Scope::Path(link), why.clone()));
        let all =
            links.chain([Effect::unknown(Scope::Named(name), why.clone())]).filter(|_| !verdict.writes.is_empty());
        Ok(verdict.effects_and(all))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let tool = match guest.which("update-alternatives")? {
            Some(_) => "update-alternatives",
            None if guest.which("alternatives")?.is_some() => "alternatives",
            None => return Err(Failure::new("the guest has no update-alternatives").into()),
        };
        let query = Command::new([tool, "--query", args.name.as_str()]).env("LC_ALL", "C");
        let query = query.about(About::Named(format!("the alternatives of {}", args.name)));
        let output = guest.output(query)?;
        let text = output.text();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (current, is_auto, link) = (field("Value:"), field("Status:") == Some("auto"), field("Link:"));
        let path = args.path.clone().unwrap_or_default();
        let is_listed =
            text.lines().any(|line| line.strip_prefix("Alternative:").map(str::trim) == Some(path.as_str()));
        let priority = text
            .split("Alternative:")
            .find(|block| block.lines().next().map(str::trim) == Some(path.as_str()))
            .and_then(|block| {
                block.lines().find_map(|line| line.strip_prefix("Priority:"))?.trim().parse::<i64>().ok()
            });
        let mut verdict = Verdict::nothing();
        let run = |words: &[&str]| {
            Write::Run(Command::new([tool].iter().chain(words).map(|word| (*word).to_owned()).collect::<Vec<_>>()))
        };
        if args.state == State::Absent {
            if is_listed {
                verdict.change(
                    Change::value(args.name.clone(), Some(path.clone()), None),
                    run(&["--remove", &args.name, &path]),
                );
            }
            return Ok(verdict);
        }
        let wanted = args.priority.unwrap_or(50);
        let must_install =
            args.state != State::Auto && (!is_listed || args.priority.is_some() && priority != args.priority);
        if must_install {
            let Some(link) = args.link.as_deref().or(link) else {
                return Err(Failure::new(format!(
                    "Needed to install the alternative, but unable to do so as we are missing the link for {}",
                    args.name
                ))
                .into());
            };
            let change = Change::value(
                args.name.clone(),
                priority.map(|priority| format!("priority {priority}")),
                Some(format!("{path}, priority {wanted}")),
            );
            verdict.change(change, run(&["--install", link, &args.name, &path, &wanted.to_string()]));
        }
        match args.state {
            State::Selected if current != Some(path.as_str()) || is_auto && must_install => {
                verdict.change(
                    Change::value(args.name.clone(), current.map(str::to_owned), Some(path.clone())),
                    run(&["--set", &args.name, &path]),
                );
            }
            State::Auto if !is_auto => {
                verdict.change(
                    Change::value(args.name.clone(), Some("manual".into()), Some("auto".into())),
                    run(&["--auto", &args.name]),
                );
            }
            _ => {}
        }
        Ok(verdict)
    }
}
