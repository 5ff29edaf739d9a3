//! The reference under `docs/` is made of the code: of the command line as clap has it, and of the comments and
//! types of the kinds. `LXDEPLOY_UPDATE_DOCS=1 cargo test --test docs` writes it anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use lxdeploy::tasks::registry;
use lxdeploy::{kinds, site};
use serde_json::Value;

#[test]
fn the_commands() {
    is_kept("docs/cli.md", &commands());
}

#[test]
fn the_site_file() {
    is_kept("docs/site-file.md", &site_file());
}

#[test]
fn the_task_modules() {
    is_kept("docs/tasks.md", &task_modules());
}

#[test]
fn every_command_and_flag_says_what_it_does() {
    let mut wrong = vec![];
    each(&whole(), &mut vec![], &mut |path, command| {
        if command.get_about().is_none() {
            wrong.push(path.join(" "));
        }
        let silent = command.get_arguments().filter(|arg| arg.get_help().is_none() && !arg.is_hide_set());
        wrong.extend(silent.map(|arg| format!("{} {}", path.join(" "), arg.get_id())));
    });
    assert!(wrong.is_empty(), "without a word of help: {}", wrong.join(", "));
}

#[track_caller]
fn is_kept(name: &str, wanted: &str) {
    let path = root().join(name);
    if std::env::var_os("LXDEPLOY_UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first = kept.lines().zip(wanted.lines()).find(|(kept, wanted)| kept != wanted);
    assert!(
        kept == wanted,
        "{name} is not what the code says; write it anew: LXDEPLOY_UPDATE_DOCS=1 cargo test --test docs\n{first:?}"
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn whole() -> Command {
    let mut command = lxdeploy::cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Calls `look` with every command that is shown, and its words.
fn each(command: &Command, words: &mut Vec<String>, look: &mut impl FnMut(&[String], &Command)) {
    words.push(command.get_name().to_owned());
    look(words, command);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        each(sub, words, look);
    }
    words.pop();
}

fn commands() -> String {
    let mut text = String::from(
        "<!-- Made of the code; see tests/docs.rs. -->\n\n# Commands\n\n\
        `lxdeploy help COMMAND` says the same, `lxdeploy man` writes it as manual pages.\n",
    );
    each(&whole(), &mut vec![], &mut |words, command| {
        let is_main = words.len() == 1;
        let _ = write!(text, "\n## {}\n\n", if is_main { "lxdeploy".to_owned() } else { words.join(" ") });
        let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "{}\n", sentence(&about));
        let usage = command.clone().render_usage().to_string();
        let _ = writeln!(text, "```text\n{}\n```", usage.trim_start_matches("Usage:").trim());
        let own = |arg: &&Arg| !arg.is_hide_set() && (is_main || !arg.is_global_set()) && arg.get_id() != "help";
        let rows: Vec<String> = command.get_arguments().filter(own).map(row).collect();
        if !rows.is_empty() {
            let _ = writeln!(text, "\n| argument | what it says |\n|---|---|\n{}", rows.join("\n"));
        }
        let subs: Vec<String> = command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set())
            .map(|sub| {
                let name = [words, &[sub.get_name().to_owned()]].concat();
                let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
                format!("| [`{}`](#{}) | {} |", name.join(" "), name.join("-"), cell(&about))
            })
            .collect();
        if !subs.is_empty() {
            let _ = writeln!(text, "\n| command | what it does |\n|---|---|\n{}", subs.join("\n"));
        }
        if let Some(after) = command.get_after_help() {
            let _ = writeln!(text, "\n```text\n{}\n```", after.to_string().trim());
        }
    });
    text
}

/// One argument or flag.
fn row(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let takes = arg.get_action().takes_values();
    let value = if takes { values.join(" ") } else { String::new() };
    let name = match (arg.get_short(), arg.get_long()) {
        (short, Some(long)) => {
            let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
            format!("{short}--{long} {value}")
        }
        (Some(short), None) => format!("-{short} {value}"),
        (None, None) => value,
    };
    let mut help = sentence(&arg.get_help().map(ToString::to_string).unwrap_or_default());
    let choices: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|_| takes)
        .filter(|choice| !choice.is_hide_set())
        .map(|choice| format!("`{}`", choice.get_name()))
        .collect();
    if !choices.is_empty() {
        let _ = write!(help, " One of {}.", choices.join(", "));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| takes)
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() {
        let _ = write!(help, " Default: {}.", defaults.join(", "));
    }
    format!("| `{}` | {} |", cell(name.trim()), cell(&help))
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn site_file() -> String {
    let schema = site::schema::schema();
    let mut text = String::from("<!-- Made of the code; see tests/docs.rs. -->\n\n# Site files\n\n");
    let file = comment("src/site/document.rs");
    text += &format!("{}\n", file.replacen("# The file", "## The file", 1));
    text += "\n## Every object\n\nAn object is a key and its body. Every kind has these:\n\n";
    let shared: Vec<&str> =
        kinds::COMMON_KEYS.iter().copied().filter(|key| !["count", "for_each"].contains(key)).collect();
    text += &keys(&schema["$defs"]["instance"], &|key| shared.contains(&key));
    text += "\n\nThe keys under `config` and of devices are LXD's own. Those that LXD is known to have are checked; \
        an unknown one is a warning, since servers differ.\n";
    for kind in kinds::all() {
        let file = kind.noun().replace(' ', "_").to_lowercase();
        let comment = comment(&format!("src/kinds/{file}.rs"));
        let (title, body) = comment.split_once("\n\n").unwrap();
        assert!(title.starts_with(&format!("`{}`: ", kind.section())), "src/kinds/{file}.rs begins with its section");
        let _ = write!(text, "\n## {}\n\n{body}\n\n", title.trim_end_matches('.'));
        text += &keys(&schema["$defs"][&file], &|key| !shared.contains(&key));
        text.push('\n');
    }
    let _ = write!(text, "\n## `ready`\n\n{}\n\n", comment("src/kinds/ready.rs"));
    let checks = schema["$defs"]["instance"]["properties"]["ready"]["anyOf"][0]["anyOf"].as_array().unwrap();
    text += "| check | what must hold |\n|---|---|\n";
    for check in checks.iter().filter(|check| check["required"].is_array()) {
        let _ = writeln!(
            text,
            "| `{}` | {} |",
            check["required"][0].as_str().unwrap(),
            check["description"].as_str().unwrap()
        );
    }
    text
}

/// What a play may do, by families; each module's file says it in its first lines.
fn task_modules() -> String {
    let mut text = String::from("<!-- Made of the code; see tests/docs.rs. -->\n\n# Task modules\n\n");
    text += "Modules are called by their short name (`copy`) or the whole one (`ansible.builtin.copy`). Arguments, return \
        values and semantics are Ansible's; where something is left out or differs, the module says so. The interpreter \
        itself has `meta`, `group_by`, `include_tasks`, `import_tasks`, `include_role`, `import_role`, `include_vars`, \
        `import_playbook` and `validate_argument_spec`.\n\nA preview (`lxdeploy plan`, `lxdeploy run --check`) lays what each \
        task would leave over what the guest is, so that the tasks after it are foreseen. What nobody can know is *unknown \
        until run*, with the reason: whatever a module says of it below; an instance that is not created, does not run, or \
        is started again first; and what hangs on such a thing: a condition, an argument, a file that a command may have \
        changed. A task that may be run or not may leave anything that its module can touch. With `run --check` a task of \
        `check_mode: false` is run as long as nothing before it would change.\n";
    let families = [
        ("files", "Files"),
        ("packages", "Packages"),
        ("system", "System"),
        ("commands", "Commands"),
        ("control", "Control"),
    ];
    let mut unsaid: Vec<&str> = registry::all().map(|module| module.names()[0]).collect();
    for (folder, title) in families {
        let files = std::fs::read_dir(root().join("src/tasks").join(folder)).unwrap();
        let mut files: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap().replace(".rs", "")).collect();
        files.sort();
        let _ = write!(text, "\n## {title}\n");
        for file in files {
            let Some(at) = unsaid.iter().position(|name| name.rsplit('.').next() == Some(&file)) else { continue };
            let name = unsaid.remove(at);
            let comment = comment(&format!("src/tasks/{folder}/{file}.rs"));
            assert!(comment.starts_with(&format!("`{name}`")), "src/tasks/{folder}/{file}.rs begins with `{name}`");
            let (first, rest) = comment.split_once("\n\n").unwrap_or((&comment, ""));
            let (_, says) = first.split_once('`').unwrap().1.split_once('`').unwrap();
            let says = says.trim_start_matches(':').trim().replace('\n', " ");
            let _ = write!(text, "\n### `{name}`\n\n{}\n", sentence(&capital(&says)));
            if !rest.is_empty() {
                let _ = write!(text, "\n{}\n", rest.trim_end());
            }
        }
    }
    assert!(unsaid.is_empty(), "{unsaid:?} have no file of their name");
    text
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The `//!` lines of a file.
fn comment(file: &str) -> String {
    let text =
        std::fs::read_to_string(root().join(PathBuf::from(file))).unwrap_or_else(|error| panic!("{file}: {error}"));
    let lines: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    assert!(!lines.is_empty(), "{file} does not say what it is");
    lines.join("\n")
}

fn keys(object: &Value, wanted: &dyn Fn(&str) -> bool) -> String {
    let properties = object["properties"].as_object().unwrap().iter().filter(|(key, _)| wanted(key));
    let rows =
        properties.map(|(key, schema)| format!("| `{key}` | {} |", cell(schema["description"].as_str().unwrap())));
    format!("| key | meaning |\n|---|---|\n{}", rows.collect::<Vec<_>>().join("\n"))
}
