//! `find`: paths below directories.
//!
//! ```yaml
//! - find:
//!     paths: [/var/log]            # also path, name
//!     patterns: ["*.log", "*.gz"]  # with use_regex: true regular expressions
//!     excludes: ["boot.*"]
//!     file_type: file              # any, directory, file, link
//!     recurse: true                # depth: 2, hidden: false, follow: false
//!     age: 4w                      # negative: younger; age_stamp: mtime, atime, ctime
//!     size: 1m                     # negative: smaller
//!     contains: "^ERROR"           # a regular expression for lines
//!     get_checksum: false          # limit: 10
//! ```
//!
//! Returned: `files` (as with `stat`), `matched`, `examined`, `skipped_paths`.

use fancy_regex::Regex;
use serde::Deserialize;

use super::stat::{algorithm, described};
use crate::guest::{Entry, FileKind, Probe};
use crate::tasks::{Call, Failure, Flag, Int, Known, Map, Module, Pause, TextList, Touches, Verdict};
use crate::template::ansible::python_regex;
use crate::template::{Value, map};

/// The module.
#[derive(Debug)]
pub struct Find;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(alias = "path", alias = "name")]
    paths: TextList,
    #[serde(default, alias = "pattern")]
    patterns: TextList,
    #[serde(default, alias = "exclude")]
    excludes: TextList,
    contains: Option<String>,
    #[serde(default)]
    file_type: Kind,
    #[serde(default)]
    recurse: Flag,
    depth: Option<u32>,
    #[serde(default)]
    hidden: Flag,
    #[serde(default)]
    follow: Flag,
    age: Option<String>,
    age_stamp: Option<String>,
    size: Option<String>,
    #[serde(default)]
    use_regex: Flag,
    #[serde(default, alias = "checksum")]
    get_checksum: Flag,
    checksum_algorithm: Option<String>,
    limit: Option<Int>,
    mode: Option<crate::tasks::Mode>,
    exact_mode: Option<Flag>,
    #[serde(rename = "read_whole_file")]
    _read_whole_file: Option<Flag>,
    #[serde(rename = "encoding")]
    _encoding: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Any,
    Directory,
    #[default]
    File,
    Link,
}

impl Module for Find {
    fn names(&self) -> &'static [&'static str] {
        &["find"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        args.names(&args.patterns)?;
        args.names(&args.excludes)?;
        args.age.as_deref().map(age).transpose()?;
        args.size.as_deref().map(size).transpose().map(drop)
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Nothing
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        let depth = if args.recurse { args.depth } else { Some(1) };
        let list = |path: &String| Probe::List { path: trimmed(path), depth, follow: args.follow };
        guest.want(args.paths.iter().map(list))?;
        let (patterns, excludes) = (args.names(&args.patterns)?, args.names(&args.excludes)?);
        let mut found: Vec<&Entry> = vec![];
        let (mut examined, mut skipped) = (0, vec![]);
        for path in args.paths.iter() {
            let path = trimmed(path);
            let Some(entries) = guest.list(&path, depth, args.follow)? else {
                skipped.push((path.clone(), Value::from(format!("'{path}' is not a directory"))));
                continue;
            };
            examined += entries.len();
            let is_hidden = |entry: &Entry| entry.path[path.len()..].split('/').any(|part| part.starts_with('.'));
            for entry in entries.iter().filter(|entry| args.hidden || !is_hidden(entry)) {
                let name = entry.path.rsplit('/').next().unwrap_or_default();
                let fits = |names: &[Regex]| names.iter().any(|regex| regex.is_match(name).unwrap_or(false));
                if (patterns.is_empty() || fits(&patterns)) && !fits(&excludes) && args.fits(entry, call)? {
                    found.push(entry);
                }
            }
        }
        if let Some(contains) = &args.contains {
            guest.want(found.iter().map(|entry| Probe::Read { path: entry.path.clone() }))?;
            let regex = python_regex(contains, false).map_err(Failure::new)?;
            let mut left = vec![];
            for entry in found {
                let content = guest.read(&entry.path)?.unwrap_or_default();
                let text = String::from_utf8_lossy(content).into_owned();
                // Ansible matches at the start of each line.
                let matches = |line: &str| regex.find(line).ok().flatten().is_some_and(|found| found.start() == 0);
                if text.lines().any(matches) {
                    left.push(entry);
                }
            }
            found = left;
        }
        if let Some(limit) = args.limit {
            found.truncate(usize::try_from(limit).unwrap_or_default());
        }
        let algorithm = algorithm(args.checksum_algorithm.as_deref().unwrap_or("sha1"))?;
        let files = |entry: &&&Entry| entry.stat.kind == FileKind::File && args.get_checksum;
        guest.want(found.iter().filter(files).map(|entry| Probe::Hash { path: entry.path.clone(), algorithm }))?;
        let mut files = vec![];
        for entry in found {
            let mut file = described(&entry.path, &entry.stat);
            if args.get_checksum
                && entry.stat.kind == FileKind::File
                && let Some(hash) = guest.hash(&entry.path, algorithm)?
            {
                file.insert("checksum".into(), hash.into());
            }
            files.push(map(file));
        }
        let message = if skipped.is_empty() {
            "All paths examined"
        } else {
            "Not all paths examined, check warnings for details"
        };
        Ok(Verdict::nothing()
            .with("matched", files.len())
            .with("files", Value::from(files))
            .with("examined", examined)
            .with("skipped_paths", map(skipped))
            .with("msg", message))
    }
}

fn trimmed(path: &str) -> String {
    if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path.to_owned() }
}

impl Args {
    fn names(&self, patterns: &[String]) -> Result<Vec<Regex>, Failure> {
        let regex = |pattern: &String| {
            let text = if self.use_regex { format!("^(?:{pattern})") } else { crate::tasks::glob_regex(pattern) };
            Regex::new(&text).map_err(|error| Failure::new(format!("`{pattern}` is no pattern: {error}")))
        };
        patterns.iter().map(regex).collect()
    }

    fn fits(&self, entry: &Entry, call: &Call<'_>) -> Result<bool, Failure> {
        let stat = &entry.stat;
        let is_kind = match self.file_type {
            Kind::Any => true,
            Kind::Directory => stat.kind == FileKind::Directory,
            Kind::File => stat.kind == FileKind::File,
            Kind::Link => stat.kind == FileKind::Link,
        };
        let stamp = match self.age_stamp.as_deref() {
            Some("atime") => stat.atime,
            Some("ctime") => stat.ctime,
            _ => stat.mtime,
        };
        let is_old = match self.age.as_deref().map(age).transpose()? {
            None => true,
            Some(age) if age >= 0 => call.controller.now() - stamp >= age,
            Some(age) => call.controller.now() - stamp <= -age,
        };
        let is_sized = match self.size.as_deref().map(size).transpose()? {
            None => true,
            Some(size) if size >= 0 => stat.size >= size.unsigned_abs(),
            Some(size) => stat.size <= size.unsigned_abs(),
        };
        let has_mode = match &self.mode {
            None => true,
            Some(mode) => {
                let mode = mode.resolve(0, false)?;
                if self.exact_mode.unwrap_or(true) { stat.mode == mode } else { stat.mode & mode != 0 }
            }
        };
        Ok(is_kind && is_old && is_sized && has_mode)
    }
}

fn unit(text: &str, units: &[(char, i64)], what: &str) -> Result<i64, Failure> {
    let text = text.trim().to_lowercase();
    let (digits, factor) = match units.iter().find(|(letter, _)| text.ends_with(*letter)) {
        Some((_, factor)) => (&text[..text.len() - 1], *factor),
        None => (text.as_str(), 1),
    };
    digits
        .parse::<i64>()
        .map(|number| number * factor)
        .map_err(|_| Failure::new(format!("failed to process {what} {text}")))
}

fn age(text: &str) -> Result<i64, Failure> {
    unit(text, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)], "age")
}

fn size(text: &str) -> Result<i64, Failure> {
    unit(text, &[('b', 1), ('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)], "size")
}
