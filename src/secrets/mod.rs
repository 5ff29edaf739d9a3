//! Where secret values come from, and how encrypted files are opened.

pub mod age;
mod keys;
mod make;
mod open;
mod seal;
mod store;
pub mod vault;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use keys::{Ask, Keys, VaultKey, VaultSource};
pub use make::{Made, RENEWED_BEFORE, Recipe, today};
pub use open::{Opened, decrypt_value, is_encrypted, open};
pub use seal::{Form, seal, vault_key};
pub use store::{Places, Store};

/// A secret's source, as `secrets:` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
    /// What a command prints.
    Command {
        /// The program and its arguments.
        words: Vec<String>,
        /// Where it runs: the directory of the file that names it.
        directory: PathBuf,
    },
}

impl Source {
    /// Reads the secret; one newline at the end is not part of it.
    ///
    /// # Errors
    /// Why it cannot be had; never with the text of it.
    pub fn read(&self) -> Result<String, String> {
        let text = match self {
            Source::Env(name) => std::env::var(name)
                .ok()
                .filter(|value| !value.is_empty())
                .ok_or(format!("the environment variable {name} is not set"))?,
            Source::File(path) => {
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?
            }
            Source::Command { words, directory } => run(words, directory)?,
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
    }
}

fn run(words: &[String], directory: &Path) -> Result<String, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("an empty command".into());
    };
    // A path belongs to the file in which it stands; a bare word is looked for in PATH.
    let path = directory.join(program).canonicalize().ok().filter(|_| program.contains('/'));
    let mut command = path.map_or_else(|| Command::new(program), Command::new);
    let command = command.args(arguments).current_dir(directory).stdin(Stdio::inherit());
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        // What a password manager writes to stderr is about the secret and not the secret.
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {}: {}", output.status, complaint.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} printed something that is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Result<String, String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Source::Command { words, directory: ".".into() }.read()
    }

    #[test]
    fn the_newline_at_the_end_is_not_part_of_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "two\nlines\n").unwrap();
        assert_eq!(Source::File(file.path().into()).read(), Ok("two\nlines".into()));
        assert_eq!(command(&["printf", "%s\\n", "x"]), Ok("x".into()));
    }

    #[test]
    fn failures_say_why() {
        assert!(Source::Env("LXDEPLOY_NO_SUCH_VARIABLE".into()).read().unwrap_err().contains("is not set"));
        assert!(Source::File("/no/such/file".into()).read().unwrap_err().contains("No such file"));
        assert!(command(&["sh", "-c", "echo locked >&2; exit 3"]).unwrap_err().contains("locked"));
        assert!(command(&["/no/such/program"]).unwrap_err().contains("/no/such/program"));
    }
}
