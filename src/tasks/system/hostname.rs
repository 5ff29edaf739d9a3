//! `hostname`: the guest's name.
//!
//! ```yaml
//! - hostname: {name: web-1}     # use is accepted
//! ```
//!
//! Now and in /etc/hostname. Returned: `name`, and the facts `hostname`, `fqdn`, `nodename`, `domain`.

use serde::Deserialize;

use crate::forecast::Effect;
use crate::guest::{About, Attributes, Command, Content, Look, Output, Write};
use crate::tasks::{Call, Change, Failure, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct Hostname;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: String,
    #[serde(rename = "use")]
    _strategy: Option<String>,
}

/// The name that the guest has now.
fn now() -> Look {
    Command::new(["uname", "-n"]).about(About::Named("the hostname".into()))
}

impl Module for Hostname {
    fn names(&self) -> &'static [&'static str] {
        &["hostname"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.name.is_empty() || args.name.contains(char::is_whitespace) {
            return Err(Failure::new(format!("`{}` is no host name", args.name)));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Named("the hostname")
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let args: Args = call.args()?;
        let output = Output { stdout: format!("{}\n", args.name).into_bytes(), ..Output::default() };
        let says = (!verdict.writes.is_empty()).then(|| Effect::Says(now(), output));
        Ok(verdict.effects_and(says))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let name = args.name;
        let now = guest.output(now())?.text().trim().to_owned();
        let kept = String::from_utf8_lossy(guest.read("/etc/hostname")?.unwrap_or_default()).trim().to_owned();
        let mut verdict = Verdict::nothing();
        if kept != name {
            let content = Content::Bytes(format!("{name}\n").into_bytes().into());
            let write = Write::File {
                path: "/etc/hostname".into(),
                content,
                attributes: Attributes::default(),
                backup: None,
                validate: None,
            };
            verdict.change(Change::value("/etc/hostname", Some(kept), Some(name.clone())), write);
        }
        if now != name {
            verdict.change(
                Change::value("hostname", Some(now), Some(name.clone())),
                Write::Run(Command::new(["hostname", &name])),
            );
        }
        let short = name.split('.').next().unwrap_or_default();
        let domain = name.split_once('.').map_or("", |(_, domain)| domain);
        let facts = [("hostname", short), ("nodename", &name), ("fqdn", &name), ("domain", domain)];
        verdict.facts = facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect::<Map>();
        Ok(verdict.with("name", name.as_str()))
    }
}
