//! The README is true: every command in it runs, and says what the README says that it says.
//!
//! Commands are the lines that begin with `$ ` in its `sh` and `console` blocks. They run in order, in one directory
//! that holds the README's own site file and the image that it names, against the LXD of `tests/bed.sh`. What
//! stands under a command must be in its output, in any order and with other durations; `...` leaves out the rest.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const README: &str = include_str!("../README.md");

/// Where the README has the server of its `remote add`; the bed's own address takes its place.
const EXAMPLE: &str = "https://lxd.example:8443";

/// Commands that set lxdeploy up or run all tests: they must be there; quickstart and run.sh are not run from here.
const SET_UP: &[&str] = &["examples/", "tests/", "cargo install "];

#[test]
fn every_command_runs_and_says_so() {
    let bed = bed();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("site.yaml"), site()).unwrap();
    std::fs::copy(bed.join("busybox.tar.xz"), directory.path().join("busybox.tar.xz")).unwrap();
    let playbook =
        "- hosts: api\n  tasks:\n    - copy: {content: \"hello from {{ inventory_hostname }}\\n\", dest: /etc/motd}\n";
    std::fs::write(directory.path().join("setup.yml"), playbook).unwrap();
    let run = Run { bed, directory: directory.path().to_path_buf() };
    run.shell("lxc config set core.trust_password \"$LXDEPLOY_TRUST_PASSWORD\""); // another test may have changed it
    // What an earlier run left behind because it failed.
    run.shell("lxdeploy destroy --yes --delete-data site.yaml");
    let mut failures = vec![];
    for step in steps() {
        if SET_UP.iter().any(|set_up| step.command.starts_with(set_up)) {
            failures.extend(missing(&step.command));
            continue;
        }
        let (is_done, output) = run.shell(&step.command.replace(EXAMPLE, &run.address()));
        if !is_done {
            failures.push(format!("$ {}\nfails:\n{output}", step.command));
        }
        let said: Vec<String> = output.lines().map(comparable).collect();
        let lacking: Vec<&str> =
            step.says.iter().map(String::as_str).filter(|line| !said.contains(&comparable(line))).collect();
        if !lacking.is_empty() {
            failures.push(format!("$ {}\ndoes not say:\n{}\nbut:\n{output}", step.command, lacking.join("\n")));
        }
    }
    run.shell("lxdeploy destroy --yes --delete-data site.yaml");
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

/// The other YAML blocks are excerpts of site files: each is a valid one when it is told whose it is.
#[test]
fn every_excerpt_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    // That of the platform is valid where its platform is; see the next test.
    let alone = blocks("yaml").into_iter().filter(|block| !block.contains("\nextends:"));
    for (number, block) in alone.enumerate() {
        let path = directory.path().join("site.yaml");
        let text = if block.contains("\nsite:") || block.starts_with("site:") {
            block
        } else {
            format!("site: readme\n{block}")
        };
        std::fs::write(&path, &text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_lxdeploy")).arg("validate").arg(&path).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "YAML block {} of the README:\n{text}\n{complaint}", number + 1);
    }
}

#[test]
fn the_platforms_site_and_its_picture_are_those_of_the_examples() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sites/local.yaml");
    let site = std::fs::read_to_string(file).unwrap();
    let (_, site) = site.split_once("\n\n").unwrap();
    assert!(blocks("yaml").iter().any(|block| block == site), "the README's site is not {file}");
    let arguments = ["graph", file, "--format", "mermaid"];
    let output = Command::new(env!("CARGO_BIN_EXE_lxdeploy")).args(arguments).output().unwrap();
    assert_eq!(blocks("mermaid"), [String::from_utf8(output.stdout).unwrap()]);
}

#[test]
fn set_up_is_mentioned() {
    for command in ["examples/quickstart.sh", "tests/run.sh"] {
        assert!(steps().iter().any(|step| step.command == command), "the README does not tell of {command}");
    }
}

/// A command and the lines under it.
struct Step {
    command: String,
    says: Vec<String>,
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = vec![];
    for block in blocks("sh").into_iter().chain(blocks("console")) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), says: vec![] }),
                (None, Some(step)) if !line.trim().is_empty() && line != "..." => step.says.push(line.to_owned()),
                (None, _) => {}
            }
        }
    }
    assert!(steps.len() > 5, "the README's commands are not found");
    steps
}

/// The blocks of a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut lines = README.lines();
    let mut blocks = vec![];
    while lines.by_ref().any(|line| line == fence) {
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(block.join("\n") + "\n");
    }
    blocks
}

fn site() -> String {
    blocks("yaml").into_iter().find(|block| block.starts_with("site: hello")).expect("the README has a site file")
}

/// A line without its durations, which are never the same, and without space at its ends.
fn comparable(line: &str) -> String {
    let is_duration = |word: &str| {
        let number = word.trim_end_matches('.').strip_suffix('s').unwrap_or_default();
        !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let words = line.split(' ').map(|word| if is_duration(word) { "TIME" } else { word });
    words.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// What a set-up command needs and is not there.
fn missing(command: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let program = command.split(' ').next().unwrap_or_default();
    if program == "cargo" {
        return None;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
    let is_program = path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    (!is_program).then(|| format!("$ {command}\nis no program of this repository"))
}

/// The daemon's directory.
fn bed() -> PathBuf {
    let directory = std::env::var_os("LXDEPLOY_TEST_DIR").map(PathBuf::from).unwrap_or_default();
    assert!(
        directory.join("unix.socket").exists(),
        "LXDEPLOY_TEST_DIR names no running LXD: run tests/run.sh, or `tests/bed.sh start DIR` and set it to DIR"
    );
    directory
}

struct Run {
    bed: PathBuf,
    directory: PathBuf,
}

impl Run {
    /// Whether a command ends with 0, and what it writes.
    fn shell(&self, command: &str) -> (bool, String) {
        let program = Path::new(env!("CARGO_BIN_EXE_lxdeploy"));
        let path = std::env::var("PATH").unwrap_or_default();
        let read = |file: &str| std::fs::read_to_string(self.bed.join(file)).unwrap_or_default();
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.directory)
            .env("PATH", format!("{}:{path}", program.parent().unwrap().display()))
            .env("HOME", &self.directory)
            .env("XDG_CONFIG_HOME", self.directory.join("config"))
            .env("XDG_CACHE_HOME", self.directory.join("cache"))
            .env("LXD_DIR", &self.bed)
            .env("LXDEPLOY_TRUST_PASSWORD", read("trust-password"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }

    /// The bed's HTTPS address.
    fn address(&self) -> String {
        let address = std::fs::read_to_string(self.bed.join("https-address")).unwrap_or_default();
        format!("https://{}", address.trim())
    }
}
