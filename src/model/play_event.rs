use std::time::Duration;

/// What happens while plays run: the one thing that reporters read of them. Texts are as the guest said them; whoever
/// shows them masks secrets.
#[derive(Clone, Debug)]
pub enum PlayEvent {
    /// A play starts.
    Play {
        /// Its name, or its hosts' pattern.
        name: String,
        /// The hosts that it runs on, in order.
        hosts: Vec<String>,
    },
    /// A task starts on a host; for a progress line.
    TaskStarted {
        /// The task's name.
        task: String,
        /// The host.
        host: String,
    },
    /// A task, or one item of its loop, has ended on a host.
    Task(Box<TaskEnded>),
    /// What the user should know and that changes nothing: a warning of a task's, what was not run because of a failure.
    Note {
        /// The host, if it is about one.
        host: Option<String>,
        /// The text.
        text: String,
    },
    /// All plays are at their end.
    Recap {
        /// What came of each host, in order.
        hosts: Vec<(String, Counts)>,
        /// How often each guest was talked to, by host and role (empty for what is in no role).
        trips: Vec<(String, String, u64)>,
        /// Time since the first play's start.
        elapsed: Duration,
    },
}

/// A task, or one item of its loop, that has ended on a host.
#[derive(Clone, Debug)]
pub struct TaskEnded {
    /// The play's name.
    pub play: String,
    /// The task's name: what `name:` says, else its module; within a role `ROLE : NAME`.
    pub task: String,
    /// The module as the file names it.
    pub module: String,
    /// `FILE:LINE:COL`.
    pub place: String,
    /// The host.
    pub host: String,
    /// The host on which it was done in its place (`delegate_to`).
    pub delegate: Option<String>,
    /// It is a handler.
    pub is_handler: bool,
    /// What came of it.
    pub status: TaskStatus,
    /// The item of a loop, as its label shows it; `None` for the task as a whole.
    pub item: Option<String>,
    /// Return values; with `no_log` only that they are censored.
    pub result: serde_json::Value,
    /// What differed, for `--diff`; with `no_log` none.
    pub diffs: Vec<TaskDiff>,
    /// Of a failure: what went wrong, in one or several lines: message, argv, exit code, the last lines of output.
    pub failure: Option<String>,
    /// Why it is not known before it is run what it comes to.
    pub unknown: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// One thing that a task changes, for whoever wants to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDiff {
    /// What: a file's path, `mode`, `package nginx`.
    pub what: String,
    /// As it was; `None` where it was not there.
    pub before: Option<String>,
    /// As it is; `None` where it is gone.
    pub after: Option<String>,
}

/// What came of a task on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskStatus {
    /// As it should be, nothing was changed.
    Ok,
    /// Changed.
    Changed,
    /// Not run, for its `when` or its own reasons.
    Skipped,
    /// Failed.
    Failed,
    /// Failed, and its block's `rescue` takes over.
    Rescued,
    /// Failed, and nobody minds (`ignore_errors`).
    Ignored,
    /// The guest could not be reached.
    Unreachable,
    /// What it comes to is not known before it is run.
    Unknown,
}

impl TaskStatus {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskStatus::Ok => "ok",
            TaskStatus::Changed => "changed",
            TaskStatus::Skipped => "skipped",
            TaskStatus::Failed => "failed",
            TaskStatus::Rescued => "rescued",
            TaskStatus::Ignored => "ignored",
            TaskStatus::Unreachable => "unreachable",
            TaskStatus::Unknown => "unknown",
        }
    }
}

/// What came of all tasks on one host, as Ansible's recap counts them: `ok` includes `changed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that went well, changed ones included.
    pub ok: usize,
    /// Tasks that changed something.
    pub changed: usize,
    /// 1 if the guest could not be reached.
    pub unreachable: usize,
    /// Tasks that failed.
    pub failed: usize,
    /// Tasks that were skipped.
    pub skipped: usize,
    /// Failures that a `rescue` took over.
    pub rescued: usize,
    /// Failures that nobody minds.
    pub ignored: usize,
    /// In a preview: tasks of which nobody knows before they are run what they come to.
    pub unknown: usize,
}

/// What an apply would do inside of the instances.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// Tasks and items of loops, in the order in which they would run: instance by instance, then playbooks.
    pub tasks: Vec<TaskEnded>,
    /// What the user should know.
    pub notes: Vec<(Option<String>, String)>,
    /// What came of each host.
    pub counts: Vec<(String, Counts)>,
}

impl Preview {
    /// All hosts' counts together.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for (_, counts) in &self.counts {
            total.ok += counts.ok;
            total.changed += counts.changed;
            total.unreachable += counts.unreachable;
            total.failed += counts.failed;
            total.skipped += counts.skipped;
            total.rescued += counts.rescued;
            total.ignored += counts.ignored;
            total.unknown += counts.unknown;
        }
        total
    }

    /// True if every task is known to change nothing.
    pub fn is_empty(&self) -> bool {
        let total = self.total();
        total.changed == 0 && total.unknown == 0 && !self.fails()
    }

    /// True if a task would fail, or a guest could not be asked.
    pub fn fails(&self) -> bool {
        let total = self.total();
        total.failed > 0 || total.unreachable > 0
    }
}
