use std::time::Duration;

use super::Address;

/// The index of a step in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub usize);

/// What a step does at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Make the object, stamped, in one request.
    Create,
    /// Write what differs into the object as read right before.
    Update,
    /// Remove the object.
    Delete,
    /// Give an instance its new name.
    Rename,
    /// Start an instance.
    Start,
    /// Stop an instance, gracefully and then by force.
    Stop,
    /// Stop and start an instance, so that a change takes effect.
    Restart,
    /// Run an instance's `roles`.
    Provision,
    /// Wait for an instance's `ready` checks.
    Ready,
}

impl Verb {
    /// "creating", for a line about a running step.
    pub fn running(self) -> &'static str {
        match self {
            Verb::Create => "creating",
            Verb::Update => "updating",
            Verb::Delete => "deleting",
            Verb::Rename => "renaming",
            Verb::Start => "starting",
            Verb::Stop => "stopping",
            Verb::Restart => "restarting",
            Verb::Provision => "provisioning",
            Verb::Ready => "waiting until ready",
        }
    }

    /// "created", for a line about a step that is done.
    pub fn done(self) -> &'static str {
        match self {
            Verb::Create => "created",
            Verb::Update => "updated",
            Verb::Delete => "deleted",
            Verb::Rename => "renamed",
            Verb::Start => "started",
            Verb::Stop => "stopped",
            Verb::Restart => "restarted",
            Verb::Provision => "provisioned",
            Verb::Ready => "ready",
        }
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As planned.
    Done,
    /// Tried, and refused or broken: LXD's own words, and what else helps to understand them.
    Failed {
        /// What went wrong, in the server's words where there are any.
        message: String,
        /// Further lines: an instance's last log lines.
        details: Vec<String>,
    },
    /// Not tried: a step that it waits for failed.
    Blocked {
        /// The address of the step that failed.
        by: Address,
    },
    /// Not tried: the user interrupted.
    Cancelled,
}

/// Everything that happens during an apply or a destroy: the one thing that reporters read.
#[derive(Clone, Debug)]
pub enum Event {
    /// The schedule starts; so many steps are to be run.
    Started {
        /// Number of steps.
        steps: usize,
    },
    /// A step starts.
    StepStarted {
        /// The step.
        step: StepId,
        /// Its object.
        address: Address,
        /// What it does.
        verb: Verb,
    },
    /// A running step reports LXD's own progress.
    StepProgress {
        /// The step.
        step: StepId,
        /// Its object.
        address: Address,
        /// LXD's text, for example `Unpack: 40% (1.2GB/s)`.
        text: String,
    },
    /// A transient error; the step is tried again.
    StepRetried {
        /// The step.
        step: StepId,
        /// Its object.
        address: Address,
        /// Why.
        message: String,
    },
    /// A step ended, or will not be tried.
    StepEnded {
        /// The step.
        step: StepId,
        /// Its object.
        address: Address,
        /// What it does.
        verb: Verb,
        /// How it ended.
        outcome: Outcome,
        /// How long it ran; zero if it was not tried.
        elapsed: Duration,
    },
    /// The first Ctrl-C: no new step starts.
    Interrupted,
    /// What happens inside of the instances.
    Play(super::PlayEvent),
    /// Something that the user should know and that changes nothing.
    Note {
        /// The text.
        text: String,
    },
    /// The schedule is at its end.
    Ended {
        /// Steps done.
        done: usize,
        /// Steps failed.
        failed: usize,
        /// Steps not tried.
        not_tried: usize,
        /// Time since [`Event::Started`].
        elapsed: Duration,
    },
}
