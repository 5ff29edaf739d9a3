//! One task on one host: from its tags to what is told of it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Position;
use super::told::Told;
use super::walk::{Flow, Walk};
use crate::model::TaskStatus;
use crate::play::library::listed;
use crate::play::model::Task;
use crate::play::scope::View;
use crate::play::{controller, parse};
use crate::tasks::{Change, Failure, Map};
use crate::template::ansible::{as_bool, partly, text, truth};
use crate::template::{Value, map};

/// What a task, or one item of its loop, came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What is registered.
    pub result: Map,
    /// Something was changed, or would be.
    pub is_changed: bool,
    /// It was not run.
    pub is_skipped: bool,
    /// The guest cannot be reached.
    pub is_unreachable: bool,
    /// It failed.
    pub failure: Option<Failure>,
    /// What differed.
    pub changes: Vec<Change>,
    /// Facts, by their names without `ansible_`, and variables.
    pub facts: Map,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What it comes to is not known before it is run, and why.
    pub unknown: Option<String>,
    /// The same of what it gives back alone.
    pub unknown_result: Option<String>,
    /// What is not known after it was laid over what is known of the guest.
    pub is_laid: bool,
}

impl Outcome {
    /// What nobody can know before it is run, and why.
    pub fn unknown(why: impl Into<String>) -> Self {
        Outcome { unknown: Some(why.into()), ..Outcome::default() }
    }

    /// A failure; or what hangs on something that is not known yet.
    pub fn failed(failure: Failure) -> Self {
        if failure.is_unknown {
            return Outcome::unknown(failure.message);
        }
        let mut result = failure.result.clone();
        result.insert("msg".into(), failure.message.as_str().into());
        result.insert("failed".into(), true.into());
        result.entry("changed".into()).or_insert_with(|| false.into());
        Outcome { result, failure: Some(failure), ..Outcome::default() }
    }

    /// Not run, and why.
    pub fn skipped(reason: &str, condition: Option<&Value>) -> Self {
        let mut result = Map::new();
        result.insert("changed".into(), false.into());
        result.insert("skipped".into(), true.into());
        result.insert("skip_reason".into(), reason.into());
        result.extend(condition.map(|condition| ("false_condition".to_owned(), condition.clone())));
        Outcome { result, is_skipped: true, ..Outcome::default() }
    }

    /// The result as it is registered.
    pub fn value(&self) -> Value {
        map(self.result.clone())
    }

    /// It was neither skipped nor failed.
    pub fn went_well(&self) -> bool {
        self.failure.is_none() && !self.is_skipped && !self.is_unreachable && self.unknown.is_none()
    }
}

impl Walk<'_> {
    /// A task, if it is among those that are to be run.
    pub(super) async fn task(&self, task: &Rc<Task>, position: Position, rescuable: bool) -> Flow {
        let view = self.task_view(task);
        if !self.is_chosen(task, &view) {
            return Flow::Next;
        }
        let is_first = match &self.batch.gate {
            Some(gate) => gate.arrive(self.index, &position).await,
            None => true,
        };
        if self.batch.is_aborted.get() || self.batch.is_ended.get() || self.is_far() {
            return Flow::End;
        }
        self.position.borrow_mut().clone_from(&position);
        self.is_rescuable.set(rescuable);
        // What others have set meanwhile is seen.
        let view = self.task_view(task);
        if parse::special(&task.module).is_some_and(|special| special != "group_by" && special != "include_vars") {
            return self.special(task, &view, position, rescuable).await;
        }
        match self.run.flag(&view, "run_once") {
            Ok(true) => self.once(task, &view, position, rescuable, is_first).await,
            Ok(false) => {
                let outcome = self.outcome(task, &view).await;
                self.conclude(task, &view, outcome, rescuable)
            }
            Err(failure) => self.conclude(task, &view, Timed::now(Outcome::failed(failure)), rescuable),
        }
    }

    /// `run_once`: the first host does it, for all.
    async fn once(&self, task: &Rc<Task>, view: &View, position: Position, rescuable: bool, is_first: bool) -> Flow {
        let is_mine = {
            let mut once = self.batch.once.borrow_mut();
            let is_mine = is_first && !once.contains_key(&position);
            if is_mine {
                once.insert(position.clone(), None);
            }
            is_mine
        };
        if is_mine {
            let outcome = self.outcome(task, view).await;
            self.batch.once.borrow_mut().insert(position, Some(outcome.outcome.clone()));
            self.batch.once_done.notify_waiters();
            let flow = self.conclude(task, view, outcome, rescuable);
            if flow == Flow::Failed && !rescuable {
                self.batch.is_aborted.set(true);
            }
            return flow;
        }
        loop {
            let done = self.batch.once_done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            if self.batch.is_aborted.get() {
                return Flow::End;
            }
            let outcome = self.batch.once.borrow().get(&position).cloned().flatten();
            if let Some(outcome) = outcome {
                self.learn(task, &outcome);
                return if outcome.failure.is_some() && !self.is_ignored(view) { Flow::Failed } else { Flow::Next };
            }
            done.await;
        }
    }

    /// Is it among the tasks that `--tags`, `--skip-tags` and `--start-at-task` leave?
    pub(super) fn is_chosen(&self, task: &Task, view: &View) -> bool {
        if !self.run.is_tagged(&task.context, view) {
            return false;
        }
        if self.started.get() || task.is_handler {
            return true;
        }
        let wanted = self.run.world.settings.start_at_task.as_deref().unwrap_or_default();
        let name = self.task_name(task, view);
        let bare = task.name.as_ref().map(text).unwrap_or_default();
        let fits = |name: &str| {
            let regex = fancy_regex::Regex::new(&crate::play::inventory::glob(wanted));
            name == wanted || regex.is_ok_and(|regex| regex.is_match(name).unwrap_or(false))
        };
        if fits(&name) || fits(&bare) {
            self.started.set(true);
        }
        self.started.get()
    }

    fn is_ignored(&self, view: &View) -> bool {
        self.run.flag(view, "ignore_errors").unwrap_or(false)
    }

    /// What came of it is kept: the register, facts, variables.
    pub(super) fn learn(&self, task: &Task, outcome: &Outcome) {
        if outcome.unknown.is_none() {
            self.learn_facts(task, &outcome.facts);
        }
        if let Some(name) = &task.register {
            match (&outcome.unknown, &outcome.unknown_result) {
                (Some(why), _) => self.host.set_unknown(name, why),
                (None, Some(why)) => {
                    let known = ["changed", "failed", "skipped", "cmd"];
                    let result = outcome.result.iter().filter(|(name, _)| known.contains(&name.as_str()));
                    let result = result.map(|(name, value)| (name.clone(), value.clone())).collect();
                    self.host.set(name, partly(result, BTreeMap::new(), Some(why.clone())));
                }
                (None, None) => self.host.set(name, outcome.value()),
            }
        }
    }

    pub(super) fn learn_facts(&self, task: &Task, facts: &Map) {
        for (name, value) in facts {
            match task.action() {
                "set_fact" => self.host.set(name, value.clone()),
                "setup" | "gather_facts" => {
                    self.host.facts.borrow_mut().insert(name.clone(), value.clone());
                }
                _ => {
                    self.host.facts.borrow_mut().insert(name.clone(), value.clone());
                    self.host.bare_facts.borrow_mut().insert(name.clone(), value.clone());
                }
            }
        }
        if task.action() == "setup" {
            self.host.has_facts.set(true);
            self.host.has_old_facts.set(false);
            self.host.unknown_facts.take();
        }
    }

    /// Counts it, tells of it, and says how the walk goes on.
    pub(super) fn conclude(&self, task: &Rc<Task>, view: &View, timed: Timed, rescuable: bool) -> Flow {
        let Timed { outcome, elapsed } = timed;
        self.learn(task, &outcome);
        let name = self.task_name(task, view);
        let is_hidden = self.run.flag(view, "no_log").unwrap_or(true);
        let ignores = self.is_ignored(view);
        let ignores_unreachable = self.run.flag(view, "ignore_unreachable").unwrap_or(false);
        let status = match &outcome {
            outcome if outcome.is_unreachable && !ignores_unreachable => TaskStatus::Unreachable,
            outcome if outcome.failure.is_some() || outcome.is_unreachable => match (ignores, rescuable) {
                _ if outcome.is_unreachable => TaskStatus::Ignored,
                (true, _) => TaskStatus::Ignored,
                (false, true) => TaskStatus::Rescued,
                (false, false) => TaskStatus::Failed,
            },
            outcome if outcome.is_skipped => TaskStatus::Skipped,
            outcome if outcome.is_changed => TaskStatus::Changed,
            outcome if outcome.unknown.is_some() => TaskStatus::Unknown,
            _ => TaskStatus::Ok,
        };
        self.run.count(&self.host.name, |counts| match status {
            TaskStatus::Ok => counts.ok += 1,
            TaskStatus::Changed => (counts.ok, counts.changed) = (counts.ok + 1, counts.changed + 1),
            TaskStatus::Skipped => counts.skipped += 1,
            TaskStatus::Failed => counts.failed += 1,
            TaskStatus::Rescued => counts.rescued += 1,
            TaskStatus::Ignored => {
                counts.ok += 1;
                counts.ignored += 1;
                counts.changed += usize::from(outcome.is_changed);
            }
            TaskStatus::Unreachable => counts.unreachable = 1,
            TaskStatus::Unknown => counts.unknown += 1,
        });
        if let Some(ahead) = self.run.ahead.as_ref().filter(|ahead| outcome.is_changed && ahead.stops_at_change) {
            ahead.left.set(0);
        }
        let delegate = view.context.setting("delegate_to").map(|delegate| self.plain(delegate, view));
        let delegate = delegate.filter(|delegate| *delegate != self.host.name);
        self.tell(Told { task, name: &name, outcome: &outcome, status, item: None, delegate, is_hidden, elapsed });
        for warning in &outcome.warnings {
            self.run.note(Some(&self.host.name), format!("{name}: {warning}"));
        }
        match status {
            TaskStatus::Failed | TaskStatus::Rescued => {
                self.remember_failure(task, &name, &outcome);
                if status == TaskStatus::Failed {
                    let message = outcome.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
                    let message =
                        if is_hidden { "(censored)".to_owned() } else { self.run.world.library.mask(message) };
                    self.run.failures.borrow_mut().push(format!("{}: {name}: {message}", self.host.name));
                    *self.stopped_at.borrow_mut() = Some(task.clone());
                    self.fail();
                    if self.run.flag(view, "any_errors_fatal").unwrap_or(false) {
                        self.batch.is_aborted.set(true);
                    }
                }
                Flow::Failed
            }
            TaskStatus::Unreachable => {
                let message = outcome.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
                self.run.failures.borrow_mut().push(format!("{}: {name}: unreachable: {message}", self.host.name));
                *self.stopped_at.borrow_mut() = Some(task.clone());
                self.fail();
                Flow::Unreachable
            }
            _ => Flow::Next,
        }
    }

    pub(super) fn plain(&self, value: &Value, view: &View) -> String {
        text(&self.run.engine.render_value(value, &view.scope()).unwrap_or_else(|_| value.clone()))
    }

    fn remember_failure(&self, task: &Task, name: &str, outcome: &Outcome) {
        let told = map([("name", Value::from(name)), ("action", task.module.as_str().into())]);
        let failed = [("ansible_failed_task", told), ("ansible_failed_result", outcome.value())];
        *self.failed.borrow_mut() = Some(failed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    }

    /// Renders one of a task's own keywords.
    pub(super) fn rendered(&self, value: &Value, view: &View) -> Result<Value, Failure> {
        self.run.engine.render_value(value, &view.scope()).map_err(|error| controller::failure(&error))
    }

    /// The first of the conditions that does not hold.
    pub(super) fn false_condition(&self, view: &View) -> Result<Option<Value>, Failure> {
        for condition in view.context.conditions() {
            let holds =
                self.run.engine.condition(condition, &view.scope()).map_err(|error| unmet(condition, &error))?;
            if !holds {
                return Ok(Some(condition.clone()));
            }
        }
        Ok(None)
    }

    /// Are all of these true?
    pub(super) fn all_hold(&self, conditions: &[Value], view: &View) -> Result<bool, Failure> {
        for condition in conditions.iter().flat_map(listed) {
            let holds =
                self.run.engine.condition(&condition, &view.scope()).map_err(|error| unmet(&condition, &error))?;
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A number of a task's own.
    pub(super) fn number(&self, value: Option<&Value>, view: &View, what: &str) -> Result<Option<f64>, Failure> {
        let Some(value) = value else { return Ok(None) };
        let rendered = self.rendered(value, view)?;
        let written = text(&rendered);
        written
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| Failure::new(format!("`{what}`: a number is wanted, and this is `{written}`")))
    }
}

/// A condition that cannot be decided.
fn unmet(condition: &Value, error: &crate::template::ansible::Error) -> Failure {
    let message = format!("The conditional check '{}' failed: {}", text(condition), error.message);
    match controller::failure(error) {
        failure if failure.is_unknown => failure,
        failure => Failure { message, ..failure },
    }
}

/// An outcome and how long it took.
pub(super) struct Timed {
    pub outcome: Outcome,
    pub elapsed: Duration,
}

impl Timed {
    pub(super) fn now(outcome: Outcome) -> Self {
        Timed { outcome, elapsed: Duration::ZERO }
    }

    pub(super) fn since(start: Instant, outcome: Outcome) -> Self {
        Timed { outcome, elapsed: start.elapsed() }
    }
}

impl super::Interpreter<'_> {
    /// Do `--tags` and `--skip-tags` leave what inherits these tags?
    pub(super) fn is_tagged(&self, context: &crate::play::model::Context, view: &View) -> bool {
        let settings = &view.world.settings;
        let render =
            |tag: &Value| listed(&self.engine.render_value(tag, &view.scope()).unwrap_or_else(|_| tag.clone()));
        let tags: Vec<String> =
            context.chain().flat_map(|context| &context.tags).flat_map(render).map(|tag| text(&tag)).collect();
        let has = |tag: &str| tags.iter().any(|known| known == tag);
        let any_of = |wanted: &[String]| {
            wanted.iter().any(|wanted| match wanted.as_str() {
                "all" => !has("never"),
                "tagged" => !tags.is_empty() && !has("never"),
                "untagged" => tags.is_empty(),
                name => has(name),
            })
        };
        let is_wanted = match settings.tags.is_empty() {
            true => !has("never") || has("always"),
            false => any_of(&settings.tags) || has("always"),
        };
        let is_left_out = settings.skip_tags.iter().any(|left| match left.as_str() {
            "all" => !has("always") || settings.skip_tags.iter().any(|tag| tag == "always"),
            "tagged" => !tags.is_empty(),
            "untagged" => tags.is_empty(),
            name => has(name),
        });
        is_wanted && !is_left_out
    }
}

/// True for what a keyword's value means so.
pub(super) fn is_true(value: &Value) -> bool {
    truth(&as_bool(value))
}
