use std::collections::BTreeMap;
use std::time::Duration;

/// A program to be run in an instance. Nothing in it passes a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Command {
    /// The program and its arguments; a bare name is looked for in the guest's PATH.
    pub argv: Vec<String>,
    /// What it reads; nothing where this is `None`.
    pub stdin: Option<Vec<u8>>,
    /// Added to the environment: it is on the host's process list for everybody to see, so secrets go through `stdin`.
    pub environment: BTreeMap<String, String>,
    /// Where it runs; the user's home where this is `None`.
    pub cwd: Option<String>,
    /// The name (or number) of the user it runs as, with its groups and HOME, USER, LOGNAME and SHELL; root where
    /// this is `None`.
    pub user: Option<String>,
    /// How long it may take; without end where this is `None`.
    pub timeout: Option<Duration>,
}

/// What a program left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; 128 + N where signal N ended it.
    pub code: i64,
    /// What it wrote to stdout; any bytes.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr; any bytes.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Command {
    /// A command without anything else, as root.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Command { argv: argv.into_iter().map(Into::into).collect(), ..Command::default() }
    }

    /// A script for the guest's POSIX shell; the arguments are its `$1`, `$2` …
    pub fn script<S: Into<String>>(script: &str, arguments: impl IntoIterator<Item = S>) -> Self {
        let words = ["sh", "-c", script, "sh"].map(str::to_owned);
        Command::new(words.into_iter().chain(arguments.into_iter().map(Into::into)))
    }

    /// The same with something to read.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// The same as another user.
    #[must_use]
    pub fn user(mut self, user: Option<String>) -> Self {
        self.user = user;
        self
    }
}

impl Output {
    /// stdout as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// stderr as text; what is no UTF-8 is replaced.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// True for exit code 0.
    pub fn is_success(&self) -> bool {
        self.code == 0
    }
}
