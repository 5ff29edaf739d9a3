//! What the modules of Debian's packages share: names with versions, apt's command line, what a simulation says.

use super::joined;
use crate::forecast::{Effect, Scope};
use crate::guest::{About, Command, Package, PackageManager, Probe};
use crate::tasks::{Change, Failure, Known, Pause, Verdict};

/// Prints the time now, and when the package lists were last fetched; an image that was tidied has none, however new
/// their directory is.
pub const LISTS_AGE: &str = "date +%s; set -- /var/lib/apt/lists/*_Packages*; test ! -e \"$1\" || stat -c %Y /var/lib/apt/periodic/update-success-stamp /var/lib/apt/lists 2>/dev/null; true";

/// apt-get without questions.
pub fn apt<S: Into<String>>(options: &[String], words: impl IntoIterator<Item = S>) -> Command {
    let argv = ["apt-get".to_owned(), "-y".to_owned()].into_iter().chain(options.iter().cloned());
    Command::new(argv.chain(words.into_iter().map(Into::into)))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("DEBIAN_PRIORITY", "critical")
        .env("LC_ALL", "C.UTF-8")
}

/// A package as a user names it: `nginx`, `nginx=1.22*`, `nginx>=1.22`, `nginx:amd64`, `nginx/bookworm-backports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The name, with `:ARCH` where it is said.
    pub name: String,
    /// `=` or `>=`, and the version.
    pub version: Option<(&'static str, String)>,
    /// After the slash.
    release: Option<String>,
}

impl Spec {
    /// Reads a name.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (name, version) = match (text.split_once(">="), text.split_once('=')) {
            (Some((name, version)), _) => (name, Some((">=", version.trim().to_owned()))),
            (None, Some((name, version))) => (name, Some(("=", version.trim().to_owned()))),
            (None, None) => (text, None),
        };
        let (name, release) = match name.trim().split_once('/') {
            Some((name, release)) => (name, Some(release.to_owned())),
            None => (name.trim(), None),
        };
        Spec { name: name.to_owned(), version, release }
    }

    /// Names of several packages: `linux-*`.
    pub fn is_pattern(&self) -> bool {
        self.name.contains(['*', '?', '[']) || self.name.ends_with('^')
    }

    /// What is asked about it: whether it is installed, and, where it may become that, in which version.
    pub fn probe(&self, candidate: bool) -> Probe {
        Probe::Package { manager: PackageManager::Dpkg, name: self.name.clone(), candidate }
    }

    /// As apt-get takes it. `>=` is no word of apt's: the newest is that and more.
    pub fn word(&self) -> String {
        match (&self.version, &self.release) {
            (Some(("=", version)), _) => format!("{}={version}", self.name),
            (_, Some(release)) => format!("{}/{release}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Is an installed version as wanted?
    pub fn is_satisfied_by(&self, installed: &str, guest: &Known) -> Result<bool, Pause> {
        match &self.version {
            None => Ok(true),
            Some(("=", wanted)) => Ok(matches(wanted, installed)),
            Some((_, wanted)) => compare(guest, installed, "ge", wanted),
        }
    }

    /// The version that would be installed.
    pub fn candidate(&self, package: &Package, guest: &Known, release: Option<&str>) -> Result<Option<String>, Pause> {
        let release = self.release.as_deref().or(release);
        // What is installed was not asked for its candidate.
        let options = match release {
            Some(release) => Some(vec!["-t", release]),
            None if package.installed.is_some() => Some(vec![]),
            None => None,
        };
        let newest = match options {
            Some(options) => {
                let words = ["apt-cache"].into_iter().chain(options).chain(["policy", &self.name]);
                let output = guest.output(Command::new(words).about(About::Packages))?;
                let text = output.text();
                let found = text.lines().find_map(|line| line.trim().strip_prefix("Candidate:").map(str::trim));
                found.filter(|version| *version != "(none)").map(str::to_owned)
            }
            None => package.candidate.clone(),
        };
        match &self.version {
            None => Ok(newest),
            Some((">=", wanted)) => {
                let Some(newest) = newest else { return Ok(None) };
                Ok(compare(guest, &newest, "ge", wanted)?.then_some(newest))
            }
            Some((_, wanted)) => {
                if newest.as_deref().is_some_and(|newest| matches(wanted, newest)) {
                    return Ok(newest);
                }
                let output = guest.output(Command::new(["apt-cache", "madison", &self.name]).about(About::Packages))?;
                let text = output.text();
                let mut versions = text.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
                Ok(versions.find(|version| matches(wanted, version)).map(str::to_owned))
            }
        }
    }
}

/// Does a version fit a pattern with `*`?
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((front, rest)) => text.strip_prefix(front).is_some_and(|tail| {
            rest.is_empty() || (0..=tail.len()).any(|at| tail.is_char_boundary(at) && matches(rest, &tail[at..]))
        }),
    }
}

/// dpkg's own comparison: `lt`, `le`, `eq`, `ge`, `gt`.
pub fn compare(guest: &Known, left: &str, how: &str, right: &str) -> Result<bool, Pause> {
    Ok(guest.output(Command::new(["dpkg", "--compare-versions", left, how, right]).about(About::Nothing))?.is_success())
}

/// Puts all that match in a pattern's place: of what is installed, or of what there is.
pub fn expand(specs: &mut Vec<Spec>, is_installed: bool, guest: &Known) -> Result<(), Pause> {
    if specs.iter().any(Spec::is_pattern) {
        let command = if is_installed {
            Command::new(["dpkg-query", "-W", "-f", "${Package}\\n"])
        } else {
            Command::new(["apt-cache", "pkgnames"])
        };
        let text = guest.output(command.about(About::Packages))?.text();
        let mut expanded = vec![];
        for spec in specs.drain(..) {
            if !spec.is_pattern() || spec.name.ends_with('^') {
                expanded.push(spec);
                continue;
            }
            let pattern = super::glob(&spec.name)?;
            let mut names: Vec<&str> = text.lines().filter(|name| pattern.is_match(name).unwrap_or(false)).collect();
            names.sort_unstable();
            if names.is_empty() && !is_installed {
                return Err(Failure::new(format!("No package(s) matching '{}' available", spec.name)).into());
            }
            expanded.extend(names.into_iter().map(|name| Spec { name: name.to_owned(), ..spec.clone() }));
        }
        *specs = expanded;
    }
    guest.want(specs.iter().map(|spec| spec.probe(!is_installed)))
}

/// What an apt-get that changes packages leaves, as its own simulation tells: packages that come with whatever they
/// bring, and packages that go with their files.
pub fn foreseen(command: &Command, verdict: &Verdict, guest: &Known) -> Result<Vec<Effect>, Pause> {
    let named =
        || joined(verdict.changes.iter().filter_map(|change| change.what.strip_prefix("package ").map(str::to_owned)));
    let brings = || Effect::unknown(Scope::Packages, format!("what the package {} brings", named()));
    let is_awaited = verdict.changes.iter().any(|change| change.after.as_deref() == Some("(the newest)"));
    let start = command.argv.iter().position(|word| word == "apt-get").unwrap_or_default();
    if is_awaited || !verdict.changes.iter().all(|change| change.what.starts_with("package ")) {
        // The lists are not there yet that would tell; what is asked for is known.
        let own = verdict.changes.iter().filter_map(|change| {
            let name = change.what.strip_prefix("package ")?.to_owned();
            let package = Package { installed: change.after.clone(), ..Package::default() };
            Some(Effect::Package { manager: PackageManager::Dpkg, name, package })
        });
        return Ok(std::iter::once(brings()).chain(own).collect());
    }
    let mut simulated = Command { argv: command.argv[start..].to_vec(), ..command.clone() };
    simulated.argv.insert(1, "-s".into());
    let said = guest.output(simulated.about(About::Packages))?;
    let changes = self::simulated(&said.text());
    let name = |change: &Change| change.what.strip_prefix("package ").unwrap_or_default().to_owned();
    let mut effects = vec![];
    if changes.iter().any(|change| change.after.is_some()) {
        let why = format!(
            "what the package {} brings",
            joined(changes.iter().filter(|change| change.after.is_some()).map(name))
        );
        effects.push(Effect::unknown(Scope::Missing, why));
    }
    let going: Vec<String> = changes.iter().filter(|change| change.after.is_none()).map(name).collect();
    if !going.is_empty() {
        let purges = command.argv.iter().any(|word| word == "--purge");
        let why = format!("what goes with the package {}", joined(going.iter().cloned()));
        let list = Command::new(["dpkg", "-L"].into_iter().map(str::to_owned).chain(going)).about(About::Packages);
        let files = guest.output(list)?.text();
        let mut paths: Vec<&str> = files.lines().filter(|path| path.starts_with('/')).collect();
        paths.sort_unstable();
        for (index, path) in paths.iter().enumerate() {
            let is_directory = paths[index + 1..]
                .iter()
                .take_while(|next| next.starts_with(path))
                .any(|next| next[path.len()..].starts_with('/'));
            if !is_directory && *path != "/." && (purges || !path.starts_with("/etc/")) {
                effects.push(Effect::unknown(Scope::Path((*path).to_owned()), why.clone()));
            }
        }
        let units = files.lines().filter_map(|path| path.rsplit_once("/systemd/system/")).map(|(_, unit)| unit);
        effects.extend(units.map(|unit| Effect::unknown(Scope::Unit(unit.to_owned()), why.clone())));
    }
    effects.extend(changes.iter().map(|change| Effect::Package {
        manager: PackageManager::Dpkg,
        name: name(change),
        package: Package {
            installed: change.after.clone(),
            candidate: change.after.clone().or_else(|| change.before.clone()),
            is_configured: change.after.is_none(),
            ..Package::default()
        },
    }));
    Ok(effects)
}

/// What `apt-get -s` says it would do.
pub fn simulated(text: &str) -> Vec<Change> {
    let change = |line: &str| -> Option<Change> {
        let (word, rest) = line.split_once(' ')?;
        let mut parts = rest.split_whitespace();
        let name = parts.next()?;
        let bracketed = |open: char, close: char| {
            // What is installed stands before the parenthesis of what will be.
            let rest = if open == '[' { rest.split(" (").next()? } else { rest };
            let start = rest.find(open)? + 1;
            let inner = &rest[start..start + rest[start..].find(close)?];
            inner.split_whitespace().next().map(str::to_owned)
        };
        match word {
            "Inst" => Some(Change::value(format!("package {name}"), bracketed('[', ']'), bracketed('(', ')'))),
            "Remv" | "Purg" => Some(Change::value(format!("package {name}"), bracketed('[', ']'), None)),
            _ => None,
        }
    };
    text.lines().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_versions() {
        let spec = Spec::parse("nginx=1.22*");
        assert_eq!((spec.name.as_str(), spec.word().as_str()), ("nginx", "nginx=1.22*"));
        assert_eq!(Spec::parse("nginx>=1.2").word(), "nginx");
        assert_eq!(Spec::parse("nginx/stable").word(), "nginx/stable");
        assert!(Spec::parse("lib*").is_pattern() && !Spec::parse("a=1*").is_pattern());
        assert!(matches("5:7.*", "5:7.0.15-1") && !matches("7.*", "5:7.0") && matches("*-1", "2-1"));
    }

    #[test]
    fn simulations_are_read() {
        let text = "Inst libc6 [2.36-9] (2.36-10 Debian:12.9/stable [amd64])\nInst curl (7.88 Debian:12 [amd64])\nConf curl\nRemv vim [9.0]\n";
        let changes = simulated(text);
        assert_eq!(changes.len(), 3);
        assert_eq!(changes[0], Change::value("package libc6", Some("2.36-9".into()), Some("2.36-10".into())));
        assert_eq!(changes[1].before, None);
        assert_eq!(changes[2].after, None);
    }
}
