//! `ansible.posix.authorized_key`: keys that may log in.
//!
//! ```yaml
//! - authorized_key:
//!     user: deploy
//!     key: "{{ lookup('file', 'deploy.pub') }}"   # several lines are several keys
//!     state: present
//!     exclusive: false                            # true: no others
//!     key_options: 'from="10.0.0.0/8"'            # comment, path, manage_dir, follow
//! ```
//!
//! The directory and the file are made with the modes that sshd wants. A key by URL is refused: fetch it before.

use serde::Deserialize;

use crate::guest::{Attributes, Content, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Known, Map, Module, Pause, Touches, Verdict};

/// The module.
#[derive(Debug)]
pub struct AuthorizedKey;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    user: String,
    key: String,
    path: Option<String>,
    manage_dir: Option<Flag>,
    #[serde(default)]
    state: State,
    key_options: Option<String>,
    comment: Option<String>,
    #[serde(default)]
    exclusive: Flag,
    #[serde(rename = "validate_certs")]
    _validate_certs: Option<Flag>,
    #[serde(rename = "follow")]
    _follow: Option<Flag>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for AuthorizedKey {
    fn names(&self) -> &'static [&'static str] {
        &["ansible.posix.authorized_key"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.key.trim_start().starts_with("http://") || args.key.trim_start().starts_with("https://") {
            return Err(Failure::new("authorized_key: a key by URL is not fetched; give the key itself"));
        }
        let lines = args.key.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match lines.into_iter().find(|line| Key::read(line).is_none()) {
            Some(line) => {
                Err(Failure::new(format!("invalid key specified: {}", line.chars().take(60).collect::<String>())))
            }
            None => Ok(()),
        }
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Anything
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let Some(user) = guest.user(&args.user)?.cloned() else {
            return Err(Failure::new(format!("Failed to lookup user {}: no such user", args.user)).into());
        };
        let path = args.path.clone().unwrap_or_else(|| format!("{}/.ssh/authorized_keys", user.home));
        let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory).to_owned();
        guest.want([
            Probe::Read { path: path.clone() },
            Probe::Stat { path: path.clone(), follow: true },
            Probe::Stat { path: directory.clone(), follow: true },
        ])?;
        let before = String::from_utf8_lossy(guest.read(&path)?.unwrap_or_default()).into_owned();
        let after = args.edited(&before);
        let mut verdict = Verdict::nothing();
        let manages = args.manage_dir.unwrap_or(true);
        let owner = |mode: u32| Attributes {
            mode: Some(mode),
            owner: Some(user.uid.to_string()),
            group: Some(user.gid.to_string()),
        };
        if after != before || guest.stat(&path)?.is_none() && args.state == State::Present {
            if manages && guest.stat(&directory)?.is_none() {
                verdict.writes.push(Write::Directory { path: directory, attributes: owner(0o700) });
            }
            let content = Content::Bytes(after.clone().into_bytes().into());
            let write =
                Write::File { path: path.clone(), content, attributes: owner(0o600), backup: None, validate: None };
            verdict.change(Change::text(path.clone(), before, after), write);
        }
        let state = if args.state == State::Present { "present" } else { "absent" };
        Ok(verdict
            .with("user", args.user.as_str())
            .with("key", args.key.as_str())
            .with("keyfile", path)
            .with("exclusive", args.exclusive)
            .with("state", state)
            .with("unique", false))
    }
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    options: String,
    kind: String,
    blob: String,
    comment: String,
}

impl Key {
    fn read(line: &str) -> Option<Key> {
        // Options may hold blanks within quotes.
        let (mut words, mut word, mut quoted) = (vec![], String::new(), false);
        for c in line.trim().chars() {
            match c {
                '"' => {
                    quoted = !quoted;
                    word.push(c);
                }
                ' ' | '\t' if !quoted => {
                    if !word.is_empty() {
                        words.push(std::mem::take(&mut word));
                    }
                }
                c => word.push(c),
            }
        }
        words.push(word);
        let is_kind = |word: &String| word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-");
        let at = words.iter().position(is_kind)?;
        let blob = words.get(at + 1).filter(|blob| !blob.is_empty())?.clone();
        Some(Key { options: words[..at].join(" "), kind: words[at].clone(), blob, comment: words[at + 2..].join(" ") })
    }

    fn line(&self) -> String {
        let parts = [&self.options, &self.kind, &self.blob, &self.comment];
        parts.iter().filter(|part| !part.is_empty()).map(|part| part.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl Args {
    fn edited(&self, text: &str) -> String {
        let wanted: Vec<Key> = self
            .key
            .lines()
            .filter_map(Key::read)
            .map(|key| Key {
                options: self.key_options.clone().unwrap_or(key.options),
                comment: self.comment.clone().unwrap_or(key.comment),
                ..key
            })
            .collect();
        let mut lines: Vec<String> = vec![];
        let mut seen = vec![];
        for line in text.lines() {
            let Some(key) = Key::read(line).filter(|_| !line.trim_start().starts_with('#')) else {
                lines.push(line.to_owned());
                continue;
            };
            match (wanted.iter().find(|wanted| wanted.blob == key.blob), self.state) {
                (Some(_), State::Absent) => {}
                (Some(wanted), State::Present) => {
                    seen.push(wanted.blob.clone());
                    // Options and comment are changed only where they are asked for.
                    let options = if self.key_options.is_some() || !wanted.options.is_empty() {
                        &wanted.options
                    } else {
                        &key.options
                    };
                    let comment = if wanted.comment.is_empty() { &key.comment } else { &wanted.comment };
                    let new = Key { options: options.clone(), comment: comment.clone(), ..key.clone() };
                    lines.push(if new == key { line.to_owned() } else { new.line() });
                }
                (None, State::Present) if self.exclusive => {}
                (None, _) => lines.push(line.to_owned()),
            }
        }
        if self.state == State::Present {
            lines.extend(wanted.iter().filter(|key| !seen.contains(&key.blob)).map(Key::line));
        }
        if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(key: &str, state: State) -> Args {
        Args {
            user: "u".into(),
            key: key.into(),
            path: None,
            manage_dir: None,
            state,
            key_options: None,
            comment: None,
            exclusive: false,
            _validate_certs: None,
            _follow: None,
        }
    }

    #[test]
    fn keys_come_and_go() {
        let there = "# ours\nfrom=\"a b\" ssh-ed25519 AAA one\n";
        let added = args("ssh-rsa BBB two", State::Present).edited(there);
        assert_eq!(added, format!("{there}ssh-rsa BBB two\n"));
        assert_eq!(args("ssh-rsa BBB two", State::Present).edited(&added), added);
        assert_eq!(args("ssh-ed25519 AAA", State::Present).edited(there), there);
        assert_eq!(args("ssh-ed25519 AAA", State::Absent).edited(there), "# ours\n");
        let only = Args { exclusive: true, ..args("ssh-rsa BBB two", State::Present) };
        assert_eq!(only.edited(there), "# ours\nssh-rsa BBB two\n");
    }
}
