use std::fmt::Write;

use clap::{Arg, Command};

use super::{MADE, cell, sentence};

/// Calls `look` with every command that is shown, and its words.
pub fn each(command: &Command, words: &mut Vec<String>, look: &mut impl FnMut(&[String], &Command)) {
    words.push(command.get_name().to_owned());
    look(words, command);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        each(sub, words, look);
    }
    words.pop();
}

/// The reference of the command line; the command is built.
pub fn commands(whole: &Command) -> String {
    let mut text = format!(
        "{MADE}# Commands\n\n`lxdeploy help COMMAND` says the same, `lxdeploy man` writes it as manual pages.\n",
    );
    each(whole, &mut vec![], &mut |words, command| {
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
