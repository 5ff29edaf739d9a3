//! `apt_key`: a key that apt trusts for all repositories. Debian has given this up: `deb822_repository` with
//! `signed_by` is what comes in its place.
//!
//! ```yaml
//! - apt_key: {url: https://x.example/key.asc, id: 0123ABCD, state: present}   # or data, file (in the guest), keyserver with id
//! - apt_key: {url: https://x.example/key.asc, keyring: /etc/apt/trusted.gpg.d/x.gpg}
//! - apt_key: {id: 0123ABCD, state: absent}
//! ```
//!
//! Needs gpg and apt-key in the guest. Returned: `id`, `key_id`, `short_id`, `fp`, `before`, `after`.
//!
//! In a preview apt's keys are unknown until run after a change.

use serde::Deserialize;

use super::fetch;
use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct AptKey;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    id: Option<String>,
    url: Option<String>,
    data: Option<String>,
    file: Option<String>,
    keyring: Option<String>,
    keyserver: Option<String>,
    #[serde(default)]
    state: State,
    #[serde(rename = "validate_certs")]
    _validate_certs: Option<Flag>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

const KEYS: &str = "apt's keys";

impl Module for AptKey {
    fn names(&self) -> &'static [&'static str] {
        &["apt_key"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        let sources = [&args.data, &args.file, &args.keyserver, &args.url].into_iter().flatten().count();
        match args.state {
            _ if sources > 1 => Err(Failure::new("apt_key: one of data, file, keyserver, url")),
            State::Present if sources == 0 => Err(Failure::new("apt_key: one of data, file, keyserver, url is needed")),
            State::Present if args.keyserver.is_some() && args.id.is_none() => {
                Err(Failure::new("apt_key: a keyserver needs the key's `id`"))
            }
            State::Absent if args.id.is_none() && sources == 0 => Err(Failure::new("apt_key: `id` is needed")),
            _ => Ok(()),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Named(KEYS)
    }

    fn foresee(&self, call: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let all = [Scope::Named(KEYS.into()), Scope::Path("/etc/apt".into())];
        let why = format!("what `{}` makes of apt's keys", call.name);
        Ok(verdict.effects_and(
            all.map(|scope| Effect::unknown(scope, why.clone())).into_iter().filter(|_| !verdict.writes.is_empty()),
        ))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        for tool in ["gpg", "apt-key"] {
            if guest.which(tool)?.is_none() {
                let help = "install gnupg first (`apt: name=gnupg`), or use deb822_repository with signed_by";
                return Err(Failure::new(format!("apt_key: the guest has no {tool}; {help}")).into());
            }
        }
        let id = match &args.id {
            Some(id) => id.clone(),
            None => id_of(&args, guest)?,
        };
        let id = id.trim_start_matches("0x").to_uppercase().replace(' ', "");
        let long = id.get(id.len().saturating_sub(16)..).unwrap_or(&id).to_owned();
        let short = id.get(id.len().saturating_sub(8)..).unwrap_or(&id).to_owned();
        let listed = guest.output(
            apt_key(&args, &["adv", "--list-public-keys", "--keyid-format=long"]).about(About::Named(KEYS.into())),
        )?;
        let keys = ids(&listed.text());
        let is_there = keys.iter().any(|key| if id.len() <= 8 { key.ends_with(&short) } else { *key == long });
        let mut verdict = Verdict::nothing()
            .with("id", id.as_str())
            .with("key_id", long.as_str())
            .with("short_id", short.as_str())
            .with("fp", id.as_str())
            .with("before", Value::from(keys));
        match (args.state, is_there) {
            (State::Present, false) => {
                let change = Change::value(format!("key {id}"), None, Some("trusted".into()));
                verdict.change(change, Write::Run(add(&args, &id)));
            }
            (State::Absent, true) => {
                let change = Change::value(format!("key {id}"), Some("trusted".into()), None);
                verdict.change(change, Write::Run(apt_key(&args, &["del", &short])));
            }
            _ => {}
        }
        Ok(verdict)
    }
}

/// Whose key it is that is to be added.
fn id_of(args: &Args, guest: &Known) -> Result<String, Pause> {
    // gpg makes itself a home where there is none: this one goes with it.
    let show = r#"GNUPGHOME=$(mktemp -d) || exit 1
export GNUPGHOME
trap 'rm -rf "$GNUPGHOME"' EXIT
"#;
    let gpg = "gpg --batch --with-colons --show-keys";
    let command = match (&args.url, &args.file, &args.data) {
        (Some(url), _, _) => fetch::printed(url, &format!("{show}download - | {gpg}")),
        (_, Some(file), _) => Command::script(&format!("{show}{gpg} \"$1\""), [file.as_str()]),
        (_, _, Some(data)) => Command::script(&format!("{show}{gpg}"), [] as [&str; 0]).stdin(data.as_bytes()),
        _ => return Err(Failure::new("apt_key: `id` is needed").into()),
    };
    let output = guest.output(command.about(About::Named("a key".into())))?;
    match ids(&output.text()).first() {
        Some(id) => Ok(id.clone()),
        None => Err(Failure::new(format!("apt_key: no key in what was given: {}", output.errors().trim())).into()),
    }
}

fn apt_key(args: &Args, words: &[&str]) -> Command {
    let mut argv = vec!["apt-key"];
    if let Some(keyring) = &args.keyring {
        argv.extend(["--keyring", keyring]);
    }
    argv.extend(words);
    Command::new(argv).env("APT_KEY_DONT_WARN_ON_DANGEROUS_USAGE", "1").env("LC_ALL", "C.UTF-8")
}

fn add(args: &Args, id: &str) -> Command {
    if let Some(server) = &args.keyserver {
        return apt_key(args, &["adv", "--no-tty", "--keyserver", server, "--recv", id]);
    }
    if let Some(file) = &args.file {
        return apt_key(args, &["add", file]);
    }
    if let Some(data) = &args.data {
        return apt_key(args, &["add", "-"]).stdin(data.as_bytes());
    }
    let keyring = args
        .keyring
        .as_ref()
        .map(|keyring| format!("--keyring '{}'", keyring.replace('\'', r"'\''")))
        .unwrap_or_default();
    fetch::printed(args.url.as_deref().unwrap_or_default(), &format!("download - | apt-key {keyring} add -"))
        .env("APT_KEY_DONT_WARN_ON_DANGEROUS_USAGE", "1")
}

/// The long ids of public keys and subkeys, in gpg's own listing or the one with colons.
fn ids(text: &str) -> Vec<String> {
    let id = |line: &str| {
        if !(line.starts_with("pub") || line.starts_with("sub")) || line.contains("expired") {
            return None;
        }
        match line.split_once(':') {
            Some(_) if line[3..].starts_with(':') => line.split(':').nth(4).map(str::to_owned),
            _ => Some(line.split_whitespace().nth(1)?.split_once('/')?.1.to_owned()),
        }
    };
    text.lines().filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_both_listings() {
        let text =
            "pub   rsa4096/8D81803C0EBFCD88 2017-02-22 [SCEA]\nuid x\nsub   rsa4096/7EA0A9C3F273FCD8 2017-02-22 [S]\n";
        assert_eq!(ids(text), ["8D81803C0EBFCD88", "7EA0A9C3F273FCD8"]);
        assert_eq!(ids("pub:-:4096:1:8D81803C0EBFCD88:1487788586:::-:::scESCA:\n"), ["8D81803C0EBFCD88"]);
    }
}
