//! The rules of the house, held by a test. No server is needed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which rooms a room of `src/` may use, top to bottom: nobody uses a room below its own. A room that wants
/// more is a decision: make it here, and in the tour of `src/lib.rs` where it changes the picture.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("diagnostic", &["model"]),
    ("tree", &["model", "diagnostic"]),
    ("template", &["model", "diagnostic", "tree"]),
    ("secrets", &["model", "diagnostic"]),
    ("lxd", &["model", "diagnostic"]),
    ("kinds", &["model", "diagnostic", "tree", "lxd"]), // of lxd the calls as data only, see PURE
    ("guest", &["model", "lxd", "kinds"]),
    ("forecast", &["guest"]), // of guest the questions and acts as data only, see PURE
    ("tasks", &["model", "diagnostic", "template", "guest", "forecast"]), // of guest the questions and acts as data only, see PURE
    ("site", &["model", "diagnostic", "tree", "template", "secrets", "kinds"]),
    ("live", &["model", "lxd", "kinds"]),
    // LXD only through the guest; of the site what plays run on.
    ("play", &["model", "diagnostic", "tree", "template", "secrets", "guest", "forecast", "tasks", "site"]),
    ("plan", &["model", "diagnostic", "kinds", "site", "live"]),
    ("export", &["model", "template", "kinds", "live", "plan"]), // of template what a text must not hold unprotected
    ("apply", &["model", "diagnostic", "lxd", "kinds", "guest", "live", "play", "plan"]),
    ("report", &["model", "diagnostic", "kinds", "tasks", "site", "plan"]), // of tasks what the reference says
    (
        "cli",
        &[
            "model",
            "diagnostic",
            "secrets",
            "lxd",
            "kinds",
            "guest",
            "site",
            "live",
            "play",
            "plan",
            "export",
            "apply",
            "report",
        ],
    ),
];

/// What the rooms must not name: these are values in, values out.
const IMPURE: &[&str] = &["std::fs", "std::net", "std::process", "std::env", "tokio", "reqwest", "async fn"];
const PURE: &[(&str, &[&str])] = &[
    ("model", IMPURE),
    ("diagnostic", IMPURE),
    ("tree", IMPURE),
    ("template", IMPURE),
    ("plan", IMPURE),
    ("export", IMPURE),
    ("plan", &["crate::lxd", "lxd::", "Client"]),
    ("kinds", IMPURE),
    ("forecast", IMPURE),
    ("forecast", &["Session", "GuestError"]),
    ("tasks", IMPURE),
    ("tasks", &["Session", "GuestError"]),
    ("kinds", &["lxd::Client", "lxd::client", "Client>", "&Client"]),
    ("apply/schedule", IMPURE),
    ("apply/explain", IMPURE),
    ("site", &["tokio", "reqwest", "std::net", "async fn"]),
    ("report", &["tokio", "reqwest", "std::net", "async fn", "Client"]),
];

/// A file with more lines holds more than one idea.
const LINES: usize = 500;

/// Directories of build machines, which mean nothing elsewhere. In two halves, so that this file may name them.
const ELSEWHERE: &[(&str, &str)] =
    &[("/wo", "rk/"), ("/fa", "rm/"), ("/tmp/ba", "sh_jobs"), ("/tmp/w", "t/"), ("/ro", "ot/.cargo")];

/// What a newcomer looks for in the README, in this order.
const HEADINGS: &[&str] = &[
    "# lxdeploy",
    "## Try it",
    "## A site file",
    "## Commands",
    "## Remotes",
    "## The site file",
    "## Whose is it",
    "## How fast",
];

#[test]
fn rooms_use_what_is_above_them() {
    let order: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        for used in *allowed {
            assert!(order[..index].contains(used), "the table lets {room} use {used}, which is below it");
        }
    }
    let mut wrong = vec![];
    for source in sources() {
        let room = source.room();
        if ["lib", "main", "build"].contains(&room.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: `{room}` is no room of the table in tests/tidy.rs", source.name));
            continue;
        };
        let used = rooms_used(&source.code);
        wrong.extend(
            used.iter()
                .filter(|used| **used != room && !allowed.contains(&used.as_str()))
                .map(|used| format!("{}: {room} must not use {used}", source.name)),
        );
    }
    none(&wrong);
}

#[test]
fn pure_rooms_do_no_io() {
    let mut wrong = vec![];
    for source in sources() {
        for (room, words) in PURE {
            let prefix = format!("src/{room}");
            let inside = source.name.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with('/') || rest == ".rs");
            let found = words.iter().filter(|word| inside && source.code.contains(**word));
            wrong.extend(found.map(|word| format!("{}: {room} must not name `{word}`", source.name)));
        }
    }
    none(&wrong);
}

#[test]
fn only_reports_and_commands_print() {
    let mut wrong = vec![];
    for source in sources() {
        let may =
            ["src/report/", "src/cli/", "src/main.rs", "src/build.rs"].iter().any(|room| source.name.starts_with(room));
        let prints = ["println!", "print!", "eprintln!", "eprint!", "std::io::stdout", "std::io::stderr"];
        if !may && prints.iter().any(|print| source.code.contains(print)) {
            wrong.push(format!("{}: prints; tell it by an Event, a Diagnostic or an error", source.name));
        }
    }
    none(&wrong);
}

#[test]
fn files_are_short() {
    let long = ["src", "tests"].iter().flat_map(|directory| files_below(&root().join(directory)));
    let long = long.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).filter_map(|path| {
        let lines = read(&path).lines().count();
        (lines > LINES).then(|| format!("{}: {lines} lines, the limit is {LINES}", name(&path)))
    });
    none(&long.collect::<Vec<_>>());
}

#[test]
fn nothing_names_a_build_machine() {
    let mut wrong = vec![];
    for path in tracked() {
        for (number, line) in read(&path).lines().enumerate() {
            for (front, back) in ELSEWHERE {
                let place = format!("{front}{back}");
                let starts = line.match_indices(&place).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c))
                });
                if starts {
                    wrong.push(format!("{}:{}: names {place}", name(&path), number + 1));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn no_snapshot_waits_for_review() {
    let waiting = files_below(root()).into_iter().filter(|path| path.to_string_lossy().ends_with(".snap.new"));
    none(&waiting.map(|path| format!("{}: accept it or take it away", name(&path))).collect::<Vec<_>>());
}

#[test]
fn the_readme_has_its_parts() {
    let readme = read(&root().join("README.md"));
    let mut lines = readme.lines();
    let missing = HEADINGS.iter().filter(|heading| !lines.by_ref().any(|line| line == **heading));
    none(&missing.map(|heading| format!("README.md: `{heading}` is missing, or not in its place")).collect::<Vec<_>>());
    assert!(read(&root().join("CHANGELOG.md")).contains("## [Unreleased]"));
}

#[test]
fn the_scanner_sees_every_spelling() {
    let code =
        "use crate::{\n    kinds::{self, Kind},\n    lxd,\n};\nuse crate::model::Id;\nfn f(x: crate::plan::Plan) {}\n";
    assert_eq!(rooms_used(code).into_iter().collect::<Vec<_>>(), ["kinds", "lxd", "model", "plan"]);
    let text = "a;\n// crate::cli\n#[cfg(test)]\nmod tests;\nb;\n#[cfg(test)]\nmod more {\n    crate::cli;\n}\nc;\n";
    assert_eq!(without_tests(text), "a;\nb;\nc;\n");
}

/// A file of `src/` that is no test.
struct Source {
    name: String,
    /// Without comments and tests.
    code: String,
}

impl Source {
    /// `src/kinds/image.rs` is of the room `kinds`, `src/diagnostic.rs` of `diagnostic`.
    fn room(&self) -> String {
        let below = self.name.trim_start_matches("src/");
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs").to_owned()
    }
}

fn sources() -> Vec<Source> {
    let files = files_below(&root().join("src")).into_iter();
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let files =
        files.filter(|path| !path.ends_with("tests.rs") && !path.components().any(|part| part.as_os_str() == "tests"));
    files.map(|path| Source { name: name(&path), code: without_tests(&read(&path)) }).collect()
}

/// Leaves out comment lines and whatever `#[cfg(test)]` stands before.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if line.trim() != "#[cfg(test)]" {
            code += line;
            code.push('\n');
            continue;
        }
        // The item ends with its line, or with the brace at its own depth.
        let indent = &line[..line.len() - line.trim_start().len()];
        if lines.next().is_some_and(|item| !item.trim_end().ends_with(';')) {
            lines.by_ref().find(|line| *line == format!("{indent}}}"));
        }
    }
    code
}

/// Every first name after `crate::`, also in `crate::{a::…, b}`.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut item) = (0, String::new());
            for c in list.chars() {
                match c {
                    '}' if depth == 0 => break,
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.extend(first_name(&std::mem::take(&mut item))),
                    _ => {}
                }
                if depth == 0 && c != ',' {
                    item.push(c);
                }
            }
            rooms.extend(first_name(&item));
        } else {
            rooms.extend(first_name(rest));
        }
    }
    rooms
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What git keeps; where there is no git, everything but what is built.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    match output {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8_lossy(&output.stdout).into_owned();
            let paths = names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name));
            paths.filter(|path| path.is_file()).collect()
        }
        _ => files_below(root()),
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_made = ["target", ".git", "dist", "proptest-regressions"].iter().any(|made| path.ends_with(made));
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !is_made => directories.push(path),
                Ok(kind) if kind.is_file() && !is_made => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
