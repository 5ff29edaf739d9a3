//! `deb822_repository`: a repository in apt's newer format, and its key.
//!
//! ```yaml
//! - deb822_repository:
//!     name: docker              # /etc/apt/sources.list.d/docker.sources
//!     types: [deb]
//!     uris: https://download.docker.com/linux/debian
//!     suites: bookworm
//!     components: stable
//!     architectures: amd64
//!     signed_by: https://download.docker.com/linux/debian/gpg   # a URL, a path in the guest, or the armored key itself
//!     state: present            # or absent: the file and its key go
//!     mode: "0644"
//! ```
//!
//! Also `enabled`, `trusted`, `allow_insecure`, `allow_weak`, `allow_downgrade_to_insecure`, `by_hash`, `check_date`,
//! `check_valid_until`, `date_max_future`, `inrelease_path`, `languages`, `pdiffs`, `targets`. A key behind a URL is
//! fetched by the guest once, into /etc/apt/keyrings; delete it there to fetch it again. No `apt-get update` is run:
//! do it with `apt: {update_cache: true}`. Returned: `repo`, `dest`, `key_filename`.
//!
//! In a preview a key that is fetched is unknown until run for the tasks after it.

use serde::Deserialize;

use super::fetch;
use crate::forecast::{Effect, Scope};
use crate::guest::{Attributes, Content, Probe, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Mode, Module, Pause, TextList, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct Deb822Repository;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: String,
    #[serde(default)]
    state: State,
    mode: Option<Mode>,
    allow_downgrade_to_insecure: Option<Flag>,
    allow_insecure: Option<Flag>,
    allow_weak: Option<Flag>,
    architectures: Option<TextList>,
    by_hash: Option<Flag>,
    check_date: Option<Flag>,
    check_valid_until: Option<Flag>,
    components: Option<TextList>,
    date_max_future: Option<Int>,
    enabled: Option<Flag>,
    inrelease_path: Option<String>,
    languages: Option<TextList>,
    pdiffs: Option<Flag>,
    signed_by: Option<String>,
    suites: Option<TextList>,
    targets: Option<TextList>,
    trusted: Option<Flag>,
    types: Option<TextList>,
    uris: Option<TextList>,
    #[serde(rename = "install_python_debian")]
    _install_python_debian: Option<Flag>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for Deb822Repository {
    fn names(&self) -> &'static [&'static str] {
        &["deb822_repository"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.args::<Args>().map(drop)
    }

    fn foresee(&self, _: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let why = "the key that is fetched";
        let keys = Effect::unknown(Scope::Path("/etc/apt/keyrings".into()), why);
        let fetches = verdict.writes.iter().any(|write| matches!(write, Write::Run(_)));
        Ok(verdict.effects_and(fetches.then_some(keys)))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        let args: Args = call.args()?;
        let slug = slug(&args.name);
        let path = format!("/etc/apt/sources.list.d/{slug}.sources");
        let key = |extension: &str| format!("/etc/apt/keyrings/{slug}.{extension}");
        let stat = |path: &str| Probe::Stat { path: path.to_owned(), follow: true };
        guest.want([Probe::Read { path: path.clone() }, stat(&path), stat(&key("asc")), stat(&key("gpg"))])?;
        let mut verdict = Verdict::nothing().with("dest", path.as_str());
        let before = guest.read(&path)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        if args.state == State::Absent {
            for path in [path.clone(), key("asc"), key("gpg")] {
                if guest.stat(&path)?.is_some() {
                    let change = Change::value(path.clone(), Some("file".into()), None);
                    verdict.change(change, Write::Remove { path });
                }
            }
            return Ok(verdict.with("repo", Value::from(())));
        }
        let mut key_filename = None;
        let signed_by = match &args.signed_by {
            Some(text) if text.contains("://") => {
                let there = match (guest.stat(&key("asc"))?, guest.stat(&key("gpg"))?) {
                    (Some(_), _) => Some(key("asc")),
                    (_, Some(_)) => Some(key("gpg")),
                    _ => None,
                };
                let found = match there {
                    Some(path) => path,
                    None => {
                        let change = Change::value("key", None, Some(text.clone()));
                        verdict.change(change, Write::Run(fetch::key(guest, text, &key("asc"), &key("gpg"))?));
                        if call.round == 0 && !call.check {
                            verdict.again = true;
                            return Ok(verdict);
                        }
                        key("asc")
                    }
                };
                key_filename = Some(found.clone());
                Some(found)
            }
            other => other.clone(),
        };
        let after = text(&args, signed_by.as_deref());
        let is_new_key = call.round > 0;
        let mode = args.mode.as_ref().map_or(Ok(0o644), |mode| mode.resolve(0o644, false))?;
        let current = guest.stat(&path)?.map(|stat| stat.mode);
        if before.as_deref() != Some(after.as_str()) || current != Some(mode) {
            let attributes = Attributes { mode: Some(mode), ..Attributes::default() };
            let content = Content::Bytes(after.as_bytes().into());
            if before.as_deref() != Some(after.as_str()) {
                verdict.changes.push(Change::text(path.clone(), before.clone().unwrap_or_default(), after.clone()));
            }
            if let Some(current) = current.filter(|current| *current != mode) {
                verdict.changes.push(Change::value(
                    "mode",
                    Some(format!("{current:04o}")),
                    Some(format!("{mode:04o}")),
                ));
            }
            verdict.writes.push(Write::File { path, content, attributes, backup: None, validate: None });
        }
        if is_new_key {
            verdict.changed = Some(true);
        }
        Ok(verdict.with("repo", after).with("key_filename", key_filename.map_or(Value::from(()), Value::from)))
    }
}

fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            c if (c == '_' || c.is_whitespace()) && slug.ends_with('-') => {}
            c if c == '_' || c.is_whitespace() => slug.push('-'),
            'a'..='z' | '0'..='9' | '-' => slug.push(c),
            _ => {}
        }
    }
    slug
}

/// The file, its fields in the order of their arguments' names, as Ansible writes it.
fn text(args: &Args, signed_by: Option<&str>) -> String {
    let flag = |is: Option<bool>| is.map(|is| if is { "yes" } else { "no" }.to_owned());
    let list = |list: &Option<TextList>| list.as_ref().map(|list| list.join(" "));
    let types = list(&args.types).or_else(|| Some("deb".into()));
    let fields = [
        ("Allow-Downgrade-To-Insecure", flag(args.allow_downgrade_to_insecure)),
        ("Allow-Insecure", flag(args.allow_insecure)),
        ("Allow-Weak", flag(args.allow_weak)),
        ("Architectures", list(&args.architectures)),
        ("By-Hash", flag(args.by_hash)),
        ("Check-Date", flag(args.check_date)),
        ("Check-Valid-Until", flag(args.check_valid_until)),
        ("Components", list(&args.components)),
        ("Date-Max-Future", args.date_max_future.map(|seconds| seconds.to_string())),
        ("Enabled", flag(args.enabled)),
        ("Inrelease-Path", args.inrelease_path.clone()),
        ("Languages", list(&args.languages)),
        ("X-Repolib-Name", Some(args.name.clone())),
        ("Pdiffs", flag(args.pdiffs)),
        ("Signed-By", signed_by.map(str::to_owned)),
        ("Suites", list(&args.suites)),
        ("Targets", list(&args.targets)),
        ("Trusted", flag(args.trusted)),
        ("Types", types),
        ("URIs", list(&args.uris)),
    ];
    let line = |(name, value): (&str, Option<String>)| {
        let value = value?;
        if !value.trim_end().contains('\n') {
            return Some(format!("{name}: {}\n", value.trim_end_matches('\n')));
        }
        let lines = value.trim().lines().map(|line| if line.trim().is_empty() { "." } else { line.trim() });
        Some(format!("{name}:\n{}", lines.map(|line| format!("    {line}\n")).collect::<String>()))
    };
    fields.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_ansible_writes() {
        assert_eq!(slug("My Repo_x!"), "my-repo-x");
        let map =
            [("name", "x".into()), ("uris", "http://a".into()), ("suites", "s,t".into()), ("trusted", true.into())];
        let map = map.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect();
        let args: Args = crate::tasks::decode(&map).unwrap();
        let wanted = "X-Repolib-Name: x\nSigned-By:\n    a\n    .\n    b\nSuites: s t\nTrusted: yes\nTypes: deb\nURIs: http://a\n";
        assert_eq!(text(&args, Some("a\n\nb\n")), wanted);
    }
}
