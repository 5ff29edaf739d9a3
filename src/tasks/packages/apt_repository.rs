//! `apt_repository`: a line of sources.list.
//!
//! ```yaml
//! - apt_repository:
//!     repo: "deb [signed-by=/etc/apt/keyrings/x.asc] https://x.example/debian bookworm main"
//!     state: present            # or absent
//!     filename: x               # /etc/apt/sources.list.d/x.list; made of the URL where it is not said
//!     mode: "0644"              # of a new file
//!     update_cache: true        # `apt-get update` after a change
//! ```
//!
//! A line counts as there wherever in sources.list and sources.list.d/*.list it is; one that is commented out is
//! switched on in its place. If the update fails, the file is put back as it was. `ppa:…` is refused, for it needs
//! Launchpad and its keys: write the line. Returned: `repo`, `sources_added`, `sources_removed`, `state`.
//!
//! In a preview, with `update_cache`, the versions of what is not installed are unknown until run.

use serde::Deserialize;

use crate::forecast::Effect;
use crate::guest::{Attributes, Command, Content, Entry, PackageManager, Write};
use crate::tasks::{Call, Change, Failure, Flag, Int, Known, Mode, Module, Pause, Verdict};
use crate::template::Value;

/// The module.
#[derive(Debug)]
pub struct AptRepository;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: String,
    #[serde(default)]
    state: State,
    mode: Option<Mode>,
    filename: Option<String>,
    #[serde(default = "yes", alias = "update-cache")]
    update_cache: Flag,
    #[serde(rename = "codename")]
    _codename: Option<String>,
    #[serde(rename = "validate_certs")]
    _validate_certs: Option<Flag>,
    #[serde(rename = "install_python_apt")]
    _install_python_apt: Option<Flag>,
    #[serde(rename = "update_cache_retries")]
    _update_cache_retries: Option<Int>,
    #[serde(rename = "update_cache_retry_max_delay")]
    _update_cache_retry_max_delay: Option<Int>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

const MAIN: &str = "/etc/apt/sources.list";
const PARTS: &str = "/etc/apt/sources.list.d";

impl Module for AptRepository {
    fn names(&self) -> &'static [&'static str] {
        &["apt_repository"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.repo.starts_with("ppa:") {
            let why = "a PPA needs Launchpad and its keys; write its `deb [signed-by=…] https://ppa.launchpadcontent.net/… CODENAME main`";
            return Err(Failure::new(format!("apt_repository: {why}")));
        }
        if parse(&args.repo).is_none_or(|line| !line.is_enabled) {
            return Err(Failure::new(format!(
                "apt_repository: `{}` is no line of sources.list (deb URL SUITE …)",
                args.repo
            )));
        }
        Ok(())
    }

    fn foresee(&self, _: &Call<'_>, verdict: &Verdict, _: &Known) -> Result<Vec<Effect>, Pause> {
        let update = verdict.writes.iter().any(|write| matches!(write, Write::Run(_)));
        Ok(verdict.effects_and(update.then_some(Effect::Listed(PackageManager::Dpkg))))
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let Some(wanted) = parse(&args.repo) else { return Err(Failure::new("no line of sources.list").into()) };
        let files = sources(guest)?;
        let mut verdict = Verdict::nothing().with("repo", args.repo.as_str());
        let (mut added, mut removed) = (vec![], vec![]);
        let mut update = vec![];
        let is_present =
            |text: &str| text.lines().filter_map(parse).any(|line| line.is_enabled && line.source == wanted.source);
        match args.state {
            State::Present if files.iter().any(|(_, text)| is_present(text)) => {}
            State::Present => {
                let commented = |text: &str| text.lines().filter_map(parse).any(|line| line.source == wanted.source);
                let (path, before) = match files.iter().find(|(_, text)| commented(text)) {
                    Some((path, text)) => (path.clone(), Some(text.clone())),
                    None => {
                        let path = path_for(&args, &wanted.source);
                        let before = files.iter().find(|(known, _)| *known == path).map(|(_, text)| text.clone());
                        (path, before)
                    }
                };
                let after = match &before {
                    Some(text) if commented(text) => switched_on(text, &wanted.source),
                    Some(text) if !text.is_empty() && !text.ends_with('\n') => format!("{text}\n{}\n", wanted.whole()),
                    Some(text) => format!("{text}{}\n", wanted.whole()),
                    None => format!("{}\n", wanted.whole()),
                };
                if before.is_none() {
                    added.push(path.clone());
                }
                let mode = match (&args.mode, &before) {
                    (Some(mode), None) => Some(mode.resolve(0o644, false)?),
                    (None, None) => Some(0o644),
                    (_, Some(_)) => None,
                };
                let attributes = Attributes { mode, ..Attributes::default() };
                let content = Content::Bytes(after.as_bytes().into());
                let write = Write::File { path: path.clone(), content, attributes, backup: None, validate: None };
                verdict.change(Change::text(path.clone(), before.clone().unwrap_or_default(), after), write);
                update.push((path, before));
            }
            State::Absent => {
                for (path, text) in files.iter().filter(|(_, text)| is_present(text)) {
                    let after = without(text, &wanted.source);
                    let is_empty = after.lines().all(|line| line.trim().is_empty());
                    let write = if is_empty && path != MAIN {
                        removed.push(path.clone());
                        Write::Remove { path: path.clone() }
                    } else {
                        let (content, attributes) = (Content::Bytes(after.as_bytes().into()), Attributes::default());
                        Write::File { path: path.clone(), content, attributes, backup: None, validate: None }
                    };
                    verdict.change(Change::text(path.clone(), text.clone(), after), write);
                    update.push((path.clone(), Some(text.clone())));
                }
            }
        }
        if args.update_cache && !update.is_empty() {
            verdict.writes.push(Write::Run(update_or_undo(update)));
        }
        let state = if args.state == State::Present { "present" } else { "absent" };
        Ok(verdict
            .with("state", state)
            .with("sources_added", Value::from(added))
            .with("sources_removed", Value::from(removed)))
    }
}

/// All files of the old format, with their text.
fn sources(guest: &Known) -> Result<Vec<(String, String)>, Pause> {
    let listed = guest.list(PARTS, Some(1), false)?.unwrap_or_default();
    let parts = listed.iter().map(|Entry { path, .. }| path.clone()).filter(|path| path.ends_with(".list"));
    let paths: Vec<String> = [MAIN.to_owned()].into_iter().chain(parts).collect();
    guest.want(paths.iter().map(|path| crate::guest::Probe::Read { path: path.clone() }))?;
    let mut files = vec![];
    for path in paths {
        if let Some(bytes) = guest.read(&path)? {
            files.push((path, String::from_utf8_lossy(bytes).into_owned()));
        }
    }
    Ok(files)
}

/// `apt-get update`; where it fails, the files are put back and the failure stands.
fn update_or_undo(files: Vec<(String, Option<String>)>) -> Command {
    let mut script = String::from("apt-get update && exit 0\ncode=$?\n");
    let mut arguments = vec![];
    for (path, before) in files {
        let n = arguments.len() + 1;
        arguments.push(path);
        match before {
            Some(text) => {
                script += &format!("printf %s \"${{{}}}\" >\"${{{n}}}\"\n", n + 1);
                arguments.push(text);
            }
            None => script += &format!("rm -f -- \"${{{n}}}\"\n"),
        }
    }
    script += "exit \"$code\"";
    Command::script(&script, arguments).env("LC_ALL", "C.UTF-8")
}

struct Line {
    is_enabled: bool,
    /// Without double blanks and comment.
    source: String,
    comment: String,
}

impl Line {
    fn whole(&self) -> String {
        if self.comment.is_empty() { self.source.clone() } else { format!("{} # {}", self.source, self.comment) }
    }
}

fn parse(line: &str) -> Option<Line> {
    let line = line.trim();
    let (is_enabled, line) = match line.strip_prefix('#') {
        Some(rest) => (false, rest),
        None => (true, line),
    };
    let (source, comment) = line.split_once('#').unwrap_or((line, ""));
    let words: Vec<&str> = source.split_whitespace().collect();
    let is_source = matches!(words.first(), Some(&("deb" | "deb-src"))) && words.len() >= 3;
    is_source.then(|| Line { is_enabled, source: words.join(" "), comment: comment.trim().to_owned() })
}

fn switched_on(text: &str, source: &str) -> String {
    let line = |line: &str| match parse(line) {
        Some(parsed) if parsed.source == source => parsed.whole() + "\n",
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn without(text: &str, source: &str) -> String {
    let others =
        text.lines().filter(|line| parse(line).is_none_or(|parsed| !parsed.is_enabled || parsed.source != source));
    others.map(|line| format!("{line}\n")).collect()
}

fn path_for(args: &Args, source: &str) -> String {
    let name = match &args.filename {
        Some(name) if name.starts_with('/') => {
            return if name.ends_with(".list") { name.clone() } else { format!("{name}.list") };
        }
        Some(name) => name.trim_end_matches(".list").to_owned(),
        None => suggested(source),
    };
    format!("{PARTS}/{name}.list")
}

/// As Ansible names it: the URL without protocol and user, whatever is no letter or digit as `_`.
fn suggested(source: &str) -> String {
    let mut rest = source.to_owned();
    while let (Some(start), Some(end)) = (rest.find('['), rest.find(']')) {
        if end < start {
            break;
        }
        rest.replace_range(start..=end, "");
    }
    let url = rest.split_whitespace().find(|word| !["deb", "deb-src"].contains(word)).unwrap_or_default();
    let url = url.split_once("://").map_or(url, |(_, rest)| rest);
    let url = url.split_once('@').map_or(url, |(_, rest)| rest);
    let words: Vec<&str> = url.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_ansible_names_them() {
        assert_eq!(
            suggested("deb [arch=amd64 signed-by=/k] https://u:p@download.docker.com/linux/debian bookworm stable"),
            "download_docker_com_linux_debian"
        );
        assert_eq!(suggested("deb http://nginx.org/packages/debian/ bookworm nginx"), "nginx_org_packages_debian");
    }

    #[test]
    fn lines_are_switched_on_and_taken_out() {
        let text = "# deb http://a b  c\ndeb http://x y z # kept\n";
        assert_eq!(switched_on(text, "deb http://a b c"), "deb http://a b c\ndeb http://x y z # kept\n");
        assert_eq!(without(text, "deb http://x y z"), "# deb http://a b  c\n");
    }
}
