//! What lxdeploy writes about itself: completions, manual pages, the schema.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

const LXDEPLOY: &str = env!("CARGO_BIN_EXE_lxdeploy");

fn lxdeploy(args: &[&str]) -> String {
    text(Command::new(LXDEPLOY).args(args).output().unwrap())
}

#[track_caller]
fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of all commands, with those of their own: `remote add`.
fn commands() -> Vec<String> {
    fn below(command: &clap::Command, before: &str, names: &mut Vec<String>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = format!("{before}{}", sub.get_name());
            below(sub, &format!("{name} "), names);
            names.push(name);
        }
    }
    let mut names = vec![];
    below(&lxdeploy::cli::command(), "", &mut names);
    names
}

/// What bash offers for a line whose last word is being typed.
fn completed(words: &[&str]) -> BTreeSet<String> {
    let script = r#"
        source <("$0" completions bash)
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _lxdeploy lxdeploy "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash").args(["-euc", script, LXDEPLOY]).args(words).output().unwrap();
    text(output).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_words() {
    assert_eq!(completed(&["lxdeploy", "val"]), BTreeSet::from(["validate".to_owned()]));
    let all = completed(&["lxdeploy", ""]);
    for command in commands().iter().filter(|command| !command.contains(' ')) {
        assert!(all.contains(command), "{command} is none of {all:?}");
    }
    assert!(completed(&["lxdeploy", "plan", "--de"]).contains("--detailed-exitcode"));
    assert!(completed(&["lxdeploy", "plan", "--format", "m"]).contains("markdown"));
    assert!(completed(&["lxdeploy", "remote", "a"]).contains("add"));
}

#[test]
fn every_shell_knows_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lxdeploy(&["completions", shell]);
        for command in commands() {
            let word = command.split(' ').next_back().unwrap();
            assert!(script.contains(word), "{shell} does not know {command}");
        }
    }
}

/// The requests of man(7) that our pages may use; whatever else begins with a dot is a slip of quoting.
const REQUESTS: &[&str] = &["TH", "SH", "SS", "TP", "PP", "RS", "RE", "IP", "br", "ie", "el", "nf", "fi"];

fn check_page(page: &str, name: &str) {
    let titles: Vec<&str> = page.lines().filter(|line| line.starts_with(".TH ")).collect();
    assert_eq!(titles.len(), 1, "{name}");
    assert!(titles[0].starts_with(&format!(".TH {name} 1")), "{}", titles[0]);
    for section in [".SH NAME", ".SH SYNOPSIS"] {
        assert!(page.lines().any(|line| line == section), "{name} has no {section}");
    }
    for line in page.lines() {
        if let Some(request) = line.strip_prefix('.') {
            let request = request.split(' ').next().unwrap();
            assert!(REQUESTS.contains(&request), "{name}: {line}");
        }
        assert!(!line.starts_with('\'') || line.starts_with("'\\\""), "{name}: {line}");
        for escape in line.split('\\').skip(1).filter_map(|rest| rest.chars().next()) {
            assert!("-fe&(n*\"' ".contains(escape), "{name}: \\{escape} in {line}");
        }
    }
}

#[test]
fn the_main_page_is_on_stdout_and_all_pages_in_a_directory() {
    let main = lxdeploy(&["man"]);
    check_page(&main, "lxdeploy");
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("man1");
    assert_eq!(lxdeploy(&["man", "--out", out.to_str().unwrap()]), "");
    let written: BTreeSet<String> =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut wanted: BTreeSet<String> =
        commands().iter().map(|command| format!("lxdeploy-{}.1", command.replace(' ', "-"))).collect();
    wanted.insert("lxdeploy.1".into());
    assert_eq!(written, wanted);
    for name in written {
        let page = std::fs::read_to_string(out.join(&name)).unwrap();
        check_page(&page, name.trim_end_matches(".1"));
    }
}

#[test]
fn the_schema_is_the_committed_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/site.schema.json");
    assert_eq!(lxdeploy(&["schema"]), std::fs::read_to_string(path).unwrap());
}

/// Whoever reads only the first lines closes the pipe; that is no error.
#[test]
fn a_closed_pipe_is_no_error() {
    for args in [&["man"][..], &["completions", "zsh"], &["schema"]] {
        let mut child =
            Command::new(LXDEPLOY).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

/// What `lxdeploy plan | head` is to whoever has read enough.
#[test]
fn whoever_stops_reading_is_no_error_and_a_full_disk_is_one() {
    let said = |stdout: Stdio, stderr: Stdio| {
        let mut command = Command::new(LXDEPLOY);
        command.args(["validate", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sites/local.yaml")]);
        command.stdout(stdout).stderr(stderr).spawn().unwrap().wait_with_output().unwrap()
    };
    let gone = || Stdio::from(std::io::pipe().unwrap().1);
    let output = said(gone(), Stdio::piped());
    assert_eq!((output.status.code(), text(output).as_str()), (Some(0), ""));
    assert_eq!(said(gone(), gone()).status.code(), Some(0));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = said(full.into(), Stdio::piped());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: stdout: No space left on device"));
}
