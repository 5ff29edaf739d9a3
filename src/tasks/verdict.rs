use super::Map;
use crate::forecast::Effect;
use crate::guest::{Done, Write};
use crate::template::Value;

/// What an inspection came to.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What differs; nothing is wanted to be done where this is empty (but see `changed`).
    pub changes: Vec<Change>,
    /// What makes it as wanted, in this order; the first that fails ends the task.
    pub writes: Vec<Write>,
    /// Whether the task counts as changed, where that is not just whether there are changes.
    pub changed: Option<bool>,
    /// After the writes: look again ([`super::Call::round`] is one higher), for what comes next depends on what they did.
    /// The changes of this round count. In check mode it is looked again with the answers that there are.
    pub again: bool,
    /// The task is skipped, for this reason (Ansible's `skipped`, `msg`).
    pub skipped: Option<String>,
    /// Return values, as Ansible documents them.
    pub result: Map,
    /// Facts that it sets, by their names without `ansible_`, or variables (`set_fact`).
    pub facts: Map,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Return values are not known before it is run, and why.
    pub unknown_result: Option<String>,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What: `mode`, `content`, `package nginx`, `state`.
    pub what: String,
    /// As it is; `None` where it is not there.
    pub before: Option<String>,
    /// As it will be; `None` where it will not be there.
    pub after: Option<String>,
    /// Of a text: both wholes, for a unified diff.
    pub diff: Option<Diff>,
}

/// A text before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// The file, or what it is about.
    pub header: String,
    /// As it is.
    pub before: String,
    /// As it will be.
    pub after: String,
}

/// What a task came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Something was changed (in check mode: would be).
    pub changed: bool,
    /// Why it was skipped.
    pub skipped: Option<String>,
    /// Return values.
    pub result: Map,
    /// Facts or variables that it sets.
    pub facts: Map,
    /// What differed.
    pub changes: Vec<Change>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Return values are not known before it is run, and why.
    pub unknown_result: Option<String>,
}

/// Why a task failed, and what it gives back all the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failure {
    /// Ansible's `msg`: what is wrong, and what helps.
    pub message: String,
    /// Return values: `rc`, `stdout`, `stderr`, `cmd` …
    pub result: Map,
    /// The place within a file of the operator's that is wrong (a template), as `FILE:LINE`.
    pub place: Option<Box<str>>,
    /// It is no failure yet: it hangs on what nobody can know before it is run, which the message names.
    pub is_unknown: bool,
}

impl Change {
    /// A value that becomes another one.
    pub fn value(what: impl Into<String>, before: Option<String>, after: Option<String>) -> Self {
        Change { what: what.into(), before, after, diff: None }
    }

    /// A text that becomes another one.
    pub fn text(header: impl Into<String>, before: impl Into<String>, after: impl Into<String>) -> Self {
        let diff = Diff { header: header.into(), before: before.into(), after: after.into() };
        Change { what: "content".into(), before: None, after: None, diff: Some(diff) }
    }
}

impl Failure {
    /// A failure with a message alone.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), ..Failure::default() }
    }

    /// What hangs on something that nobody can know before it is run.
    pub fn unknown(why: impl Into<String>) -> Self {
        Failure { message: why.into(), is_unknown: true, ..Failure::default() }
    }

    /// The same with a return value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.result.insert(name.to_owned(), value.into());
        self
    }
}

impl Verdict {
    /// Nothing differs.
    pub fn nothing() -> Self {
        Verdict::default()
    }

    /// The same with a return value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.result.insert(name.to_owned(), value.into());
        self
    }

    /// A difference, and the act that ends it.
    pub fn change(&mut self, change: Change, write: Write) {
        self.changes.push(change);
        self.writes.push(write);
    }

    /// What its acts leave behind, as far as they say so themselves; what commands leave nobody knows.
    pub fn effects(&self, module: &str) -> Vec<Effect> {
        let effect = |write: &Write| match write {
            Write::Run(_) | Write::Restart { .. } => Effect::opaque(format!("what `{module}` does before it")),
            other => Effect::Written(other.clone()),
        };
        self.writes.iter().map(effect).collect()
    }

    /// The same, where this is what all its commands leave together.
    pub fn effects_and(&self, commands: impl IntoIterator<Item = Effect>) -> Vec<Effect> {
        let plain = self.writes.iter().filter(|write| !matches!(write, Write::Run(_)));
        plain.cloned().map(Effect::Written).chain(commands).collect()
    }

    /// True if the task counts as changed.
    pub fn is_changed(&self) -> bool {
        self.changed.unwrap_or(!self.changes.is_empty())
    }

    /// As a report.
    pub fn report(self) -> Report {
        let changed = self.is_changed();
        let Verdict { changes, skipped, result, facts, warnings, unknown_result, .. } = self;
        Report { changed, skipped, result, facts, changes, warnings, unknown_result }
    }

    /// As a report, after its acts. A command that ended with another code than 0 is a failure; those modules for which
    /// it is none have a `finish` of their own.
    ///
    /// # Errors
    /// Such a command.
    pub fn report_after(self, done: &[Done]) -> Result<Report, Failure> {
        for (write, done) in self.writes.iter().zip(done) {
            let (Write::Run(command), Some(output)) = (write, done.output()) else { continue };
            if !output.is_success() {
                let words = output.errors();
                let said = if words.trim().is_empty() { output.text() } else { words };
                let last = said.trim().lines().last().unwrap_or_default().to_owned();
                let program = command.argv.first().cloned().unwrap_or_default();
                return Err(Failure::new(format!("{program} ended with {}: {last}", output.code))
                    .with("rc", output.code)
                    .with("cmd", command.argv.clone())
                    .with("stdout", output.text())
                    .with("stderr", output.errors()));
            }
        }
        Ok(self.report())
    }
}
