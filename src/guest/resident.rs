//! A shell that stays in the guest while there is something to ask and to do: what a command of its own would take
//! LXD's exec tens of milliseconds to begin, it takes one or two.
//!
//! It reads a line with two lengths, a script of the first length, and, when it has said that it is ready for that, what
//! the script is to read, of the second. Whatever the script writes is followed by a mark that no guest can know.

use super::GuestError;
use super::command::{Command, Output};
use super::shell::{PATH, quote};
use crate::lxd::{Attached, Client, Error, Exec};
use crate::model::Id;

/// The shell, as long as it can be talked with.
#[derive(Debug)]
pub struct Resident {
    attached: Attached,
    mark: String,
}

/// A command as a script for it: the script, and what that reads.
pub struct Script {
    text: String,
    stdin: Vec<u8>,
}

impl Script {
    /// Of a command that is one; `None` of anything that needs a process of its own.
    pub fn of(command: &Command) -> Option<Script> {
        let Command { argv, stdin, environment, cwd, user, timeout } = command;
        if !environment.is_empty() || cwd.is_some() || user.is_some() || timeout.is_some() {
            return None;
        }
        let stdin = stdin.clone().unwrap_or_default();
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["sh", "-s"] => Some(Script { text: String::from_utf8(stdin).ok()?, stdin: vec![] }),
            ["sh", "-c", script, "sh", arguments @ ..] => {
                let words: Vec<String> = arguments.iter().map(|word| quote(word)).collect();
                Some(Script { text: format!("set -- {}\n{script}", words.join(" ")), stdin })
            }
            _ => None,
        }
    }

    /// Of a program that changes nothing. What it leaves running may go on talking: that must not come between the
    /// answers, so what it says goes to files without a name. Its exit code is 126 or 127 where it cannot be begun so.
    /// It ends with whoever asked, as what LXD's exec runs does.
    pub fn looking(command: &Command) -> Option<Script> {
        let Command { argv, stdin, environment, cwd, user, timeout } = command;
        let is_root = user.as_deref().is_none_or(|user| ["root", "0"].contains(&user));
        let is_program = argv.first().is_some_and(|program| !program.starts_with('-'));
        if !environment.is_empty() || stdin.is_some() || timeout.is_some() || !is_root || !is_program {
            return None;
        }
        let cwd = cwd.iter().map(|cwd| format!("cd {} || exit 127\n", quote(cwd)));
        let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
        let text = format!("{}set -- \"$1\" {}\n{LOOK}", cwd.collect::<String>(), words.join(" "));
        Some(Script { text, stdin: vec![] })
    }
}

/// MARK PROGRAM [WORD…]
const LOOK: &str = r#"
kept=/tmp/.lxdeploy-$1; shift
(umask 077; set -C; : >"$kept.1" && : >"$kept.2") 2>/dev/null || exit 126
exec 3>"$kept.1" 4>"$kept.2" 5<"$kept.1" 6<"$kept.2"
rm -f -- "$kept.1" "$kept.2"
{   # A shell has a word for a child that was killed.
    (
        if [ -n "$locale" ]; then LC_ALL=$locale; else unset LC_ALL; fi
        exec "$@" >&3 2>&4 3>&- 4>&- 5>&- 6>&- 9<&-
    ) </dev/null &
    program=$!
    # Nothing more is sent before the answer: when this comes to an end, whoever asked is gone.
    (IFS= read -r end <&9; kill -9 "$program") 3>&- 4>&- 5>&- 6>&- &
    guard=$!
    wait "$program"; code=$?
    kill "$guard"; wait "$guard"
} 2>/dev/null
cat <&5; cat <&6 >&2
exit "$code""#;

/// MARK
const LOOP: &str = r#"
locale=$LC_ALL LC_ALL=C
while IFS=' ' read -r size more; do
    script=$(head -c "$size"; echo x); script=${script%x}
    [ "${#script}" -eq "$size" ] || exit 1
    if [ "$more" -gt 0 ]; then
        printf '%s\n' "$1"
        head -c "$more" | (eval "$script")
    else (eval "$script") 9<&0 </dev/null; fi
    printf '\n%s %s\n' "$1" "$?"
    printf '\n%s\n' "$1" >&2
done"#;

impl Resident {
    /// Starts it.
    ///
    /// # Errors
    /// The instance cannot be reached.
    pub async fn start(client: &Client, id: &Id, mark: String) -> Result<Resident, Error> {
        let command = ["sh", "-c", LOOP, "sh", &mark].map(str::to_owned);
        let environment = [("PATH".to_owned(), PATH.to_owned())].into();
        let exec = Exec { command: &command, environment, ..Exec::default() };
        Ok(Resident { attached: client.attach(id, &exec).await?, mark })
    }

    /// Runs a script.
    ///
    /// # Errors
    /// It cannot be talked with any more; whether the script was run is not known.
    pub async fn run(&mut self, script: &Script) -> Result<Output, GuestError> {
        let started = std::time::Instant::now();
        let lost = |error: Error| GuestError::Unreachable(error.to_string());
        let Script { text, stdin } = script;
        let request = format!("{} {}\n{text}", text.len(), stdin.len());
        self.attached.send(request.as_bytes()).await.map_err(lost)?;
        if !stdin.is_empty() {
            let ready = format!("{}\n", self.mark);
            self.attached.until(|read| read.ends_with(ready.as_bytes())).await.map_err(lost)?;
            self.attached.send(stdin).await.map_err(lost)?;
        }
        let (end, end_of_errors) = (format!("\n{} ", self.mark), format!("\n{}\n", self.mark));
        let is_end = |read: &[u8]| read.ends_with(b"\n") && place(read, &end).is_some();
        let both = self.attached.both_until(is_end, |read| read.ends_with(end_of_errors.as_bytes()));
        let (mut stdout, mut stderr) = both.await.map_err(lost)?;
        let at = place(&stdout, &end).unwrap_or_default();
        let code = String::from_utf8_lossy(&stdout[at + end.len()..]).trim().parse().unwrap_or(-1);
        stdout.truncate(at);
        stderr.truncate(stderr.len() - end_of_errors.len());
        Ok(Output { code, stdout, stderr, elapsed: started.elapsed() })
    }
}

/// Where the last line begins, if it is the mark's.
fn place(read: &[u8], end: &str) -> Option<usize> {
    // The exit code has three digits at most.
    let from = read.len().saturating_sub(end.len() + 5);
    read[from..].windows(end.len()).position(|window| window == end.as_bytes()).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_run_and_programs_are_not() {
        let script = Script::of(&Command::script("echo \"$1\"", ["it's"])).unwrap();
        assert_eq!(script.text, "set -- 'it'\\''s'\necho \"$1\"");
        assert!(Script::of(&Command::new(["useradd", "x"])).is_none());
        assert!(Script::of(&Command::script("true", [] as [&str; 0]).user(Some("x".into()))).is_none());
    }

    #[test]
    fn the_end_is_found_after_whatever_was_said() {
        let said = b"any\n\0thing\nM 7\n";
        assert_eq!(place(said, "\nM "), Some(10));
        assert_eq!(place(b"\nM", "\nM "), None);
    }
}
