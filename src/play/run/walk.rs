//! One host's way through a play.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::handlers::Owed;
use super::{Batch, Interpreter, Position};
use crate::guest::Session;
use crate::play::host::HostState;
use crate::play::model::{Block, Context, Item, Task};
use crate::play::scope::View;
use crate::tasks::Map;
use crate::template::Value;
use crate::template::ansible::{as_bool, text, truth};

/// How a list of tasks has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// At its end.
    Next,
    /// A task failed, and nobody took it over.
    Failed,
    /// The guest cannot be reached.
    Unreachable,
    /// `meta: end_role`.
    EndRole,
    /// `meta: end_host` and its like, or others' failures: this host goes no further.
    End,
}

/// One host's way through a play.
pub(super) struct Walk<'a> {
    pub run: &'a Interpreter<'a>,
    pub batch: &'a Batch,
    pub host: Rc<HostState>,
    pub index: usize,
    pub session: Rc<Session>,
    /// Handlers that are to run, by their places in the list.
    pub notified: RefCell<BTreeSet<usize>>,
    /// Handlers that may be to run: whether what notifies them changes anything is not known yet.
    pub maybe_notified: RefCell<BTreeMap<usize, String>>,
    /// Of these, those that an earlier run owes and this one has not notified.
    pub recalled: RefCell<BTreeSet<usize>>,
    /// Handlers of roles that were included.
    pub more_handlers: RefCell<Vec<Item>>,
    /// What the instance's config says is owed.
    pub owed: RefCell<Vec<Owed>>,
    /// The last failure: `ansible_failed_task`, `ansible_failed_result`.
    pub failed: RefCell<Option<Map>>,
    /// The task that ended the walk.
    pub stopped_at: RefCell<Option<Rc<Task>>>,
    pub started: Cell<bool>,
    /// Where the walk stands.
    pub position: RefCell<Position>,
    /// A failure of the task where it stands would be taken over.
    pub is_rescuable: Cell<bool>,
    /// Why it is not known whether what is walked now is run.
    pub doubt: RefCell<Option<String>>,
}

pub(super) type Walking<'w> = Pin<Box<dyn Future<Output = Flow> + 'w>>;

impl<'a> Walk<'a> {
    pub(super) fn new(
        run: &'a Interpreter<'a>,
        batch: &'a Batch,
        host: Rc<HostState>,
        index: usize,
        session: Rc<Session>,
    ) -> Self {
        Walk {
            run,
            batch,
            host,
            index,
            session,
            notified: RefCell::default(),
            maybe_notified: RefCell::default(),
            recalled: RefCell::default(),
            more_handlers: RefCell::default(),
            owed: RefCell::default(),
            failed: RefCell::default(),
            stopped_at: RefCell::default(),
            started: Cell::new(run.started.get()),
            position: RefCell::default(),
            is_rescuable: Cell::new(false),
            doubt: RefCell::default(),
        }
    }

    /// The whole play.
    pub(super) async fn whole(&self) {
        let flow = self.sections().await;
        if matches!(flow, Flow::Failed | Flow::Unreachable) {
            self.tell_what_was_left(flow);
            self.run.out.borrow_mut().push(self.host.name.clone());
            self.batch.stage.hosts.borrow_mut().retain(|host| *host != self.host.name);
        }
        if let Some(gate) = &self.batch.gate {
            gate.leave(self.index);
        }
        self.batch.once_done.notify_waiters();
        if self.started.get() {
            self.run.started.set(true);
        }
    }

    async fn sections(&self) -> Flow {
        if let Err(failure) = self.recall().await {
            return self.unreachable(&failure.message);
        }
        match self.gather().await {
            Flow::Next => {}
            other => return other,
        }
        if let Err(failure) = self.read_vars_files() {
            return self.broken(&failure);
        }
        self.all_sections().await
    }

    /// What comes after where this walk begins, without what is before any task.
    pub(super) async fn the_rest(&self) -> Flow {
        let begins = self.run.ahead.as_ref().is_some_and(|ahead| ahead.from.is_empty());
        if begins && let other @ (Flow::Failed | Flow::Unreachable) = self.gather().await {
            return other;
        }
        if begins && self.read_vars_files().is_err() {
            return Flow::End;
        }
        self.all_sections().await
    }

    async fn all_sections(&self) -> Flow {
        let stage = self.batch.stage.clone();
        let play = &stage.play;
        let mut flow = Flow::Next;
        for (index, section) in play.sections.iter().enumerate() {
            flow = self.items(section, vec![index + 1, 0], false).await;
            if flow != Flow::Next {
                break;
            }
            if !self.is_behind(&[index + 1, 1]) {
                flow = self.flush(vec![index + 1, 1]).await;
            }
            if flow != Flow::Next {
                break;
            }
        }
        if flow == Flow::Next {
            self.tell_what_is_still_owed();
        }
        if flow == Flow::Failed && self.is_forced() {
            self.flush(vec![9]).await;
        }
        flow
    }

    fn is_forced(&self) -> bool {
        let Some(value) = &self.batch.stage.play.force_handlers else { return false };
        let view = self.view(&self.batch.stage.play.context);
        self.run.engine.render_value(value, &view.scope()).is_ok_and(|value| truth(&as_bool(&value)))
    }

    /// What a context's tasks see on this host.
    pub(super) fn view(&self, context: &Rc<Context>) -> View {
        let mut locals = Map::new();
        if let Some(failed) = &*self.failed.borrow() {
            locals.extend(failed.clone());
        }
        View { context: context.clone(), locals: Rc::new(locals), ..self.run.view(&self.batch.stage, &self.host) }
    }

    pub(super) fn task_view(&self, task: &Task) -> View {
        self.view(&task.context)
    }

    /// What `name:` says, else the module; within a role `ROLE : NAME`.
    pub(super) fn task_name(&self, task: &Task, view: &View) -> String {
        let own = match &task.name {
            // What is not known by then stays as it was written.
            Some(name) => text(&self.run.engine.render_value(name, &view.scope()).unwrap_or_else(|_| name.clone())),
            None => task.module.clone(),
        };
        match task.context.role() {
            Some(role) => format!("{} : {own}", role.name),
            None => own,
        }
    }

    /// Tasks and blocks, one after the other. `rescuable`: a failure will be taken over.
    pub(super) fn items<'w>(&'w self, items: &'w [Item], position: Position, rescuable: bool) -> Walking<'w> {
        Box::pin(async move {
            for (index, item) in items.iter().enumerate() {
                let mut position = position.clone();
                position.push(index);
                if self.is_behind(&position) {
                    continue;
                }
                let flow = match item {
                    Item::Task(task) => self.task(task, position, rescuable).await,
                    Item::Block(block) => self.block(block, position, rescuable).await,
                };
                match flow {
                    Flow::Next => {}
                    Flow::EndRole if matches!(item, Item::Block(block) if block.is_role) => {}
                    other => return other,
                }
            }
            Flow::Next
        })
    }

    async fn block(&self, block: &Block, position: Position, rescuable: bool) -> Flow {
        let part = |index| {
            let mut position = position.clone();
            position.push(index);
            position
        };
        let can_rescue = !block.rescue.is_empty();
        let unknown = || self.run.counts.borrow().get(&self.host.name).map_or(0, |counts| counts.unknown);
        let before = unknown();
        let mut flow = self.items(&block.body, part(0), rescuable || can_rescue).await;
        if flow == Flow::Next && can_rescue && unknown() > before {
            let doubt = "whether something before it fails".to_owned();
            self.doubting(Some(doubt), self.items(&block.rescue, part(1), true)).await;
        }
        if flow == Flow::Failed && can_rescue {
            flow = self.items(&block.rescue, part(1), rescuable).await;
            if flow == Flow::Next {
                self.failed.take();
            }
        }
        if !block.always.is_empty() && !matches!(flow, Flow::Unreachable | Flow::End) {
            let last = self.items(&block.always, part(2), rescuable).await;
            if last != Flow::Next {
                flow = last;
            }
        }
        flow
    }

    /// Runs the handlers that are notified, in the order of their list.
    pub(super) fn flush(&self, position: Position) -> Walking<'_> {
        Box::pin(async move {
            let mut rounds = 0;
            loop {
                let handlers = self.handlers();
                // What an earlier run owes may need what the tasks to come will set.
                let waits =
                    |index: usize| handlers.get(index).is_some_and(|handler| self.missing(index, handler).is_some());
                let is_due = self.notified.borrow().iter().any(|index| !waits(*index));
                let is_due = is_due || !self.maybe_notified.borrow().is_empty();
                if !is_due || rounds > 20 {
                    break;
                }
                for (index, handler) in handlers.iter().enumerate() {
                    // Handlers may notify others that stand below them.
                    let is_notified = self.notified.borrow().contains(&index) && !waits(index);
                    let doubt = self.maybe_notified.borrow_mut().remove(&index);
                    if !is_notified && doubt.is_none() {
                        continue;
                    }
                    if is_notified {
                        self.notified.borrow_mut().remove(&index);
                    }
                    let mut position = position.clone();
                    position.extend([rounds, index]);
                    let doubt = doubt.filter(|_| !is_notified);
                    let flow = self.doubting(doubt, self.task(&handler.task, position, false)).await;
                    if flow != Flow::Next {
                        // It is still owed.
                        self.notified.borrow_mut().insert(index);
                        return flow;
                    }
                }
                rounds += 1;
            }
            match self.settle().await {
                Ok(()) => Flow::Next,
                Err(failure) => self.unreachable(&failure.message),
            }
        })
    }

    /// Walks something that may not be run at all, and why that is not known.
    pub(super) async fn doubting<T>(&self, doubt: Option<String>, walking: impl Future<Output = T>) -> T {
        let Some(doubt) = doubt else { return walking.await };
        let before = self.doubt.replace(Some(doubt));
        let result = walking.await;
        self.doubt.replace(before);
        result
    }

    /// A failure without a task.
    pub(super) fn broken(&self, failure: &crate::tasks::Failure) -> Flow {
        self.run.count(&self.host.name, |counts| counts.failed += 1);
        self.run.note(Some(&self.host.name), failure.message.clone());
        self.run.failures.borrow_mut().push(format!("{}: {}", self.host.name, failure.message));
        self.fail();
        Flow::Failed
    }

    pub(super) fn unreachable(&self, why: &str) -> Flow {
        self.run.count(&self.host.name, |counts| counts.unreachable = 1);
        self.run.note(Some(&self.host.name), format!("unreachable: {why}"));
        self.run.failures.borrow_mut().push(format!("{}: unreachable: {why}", self.host.name));
        self.fail();
        Flow::Unreachable
    }

    /// One host less; is that one too many?
    pub(super) fn fail(&self) {
        let batch = self.batch;
        batch.failed.set(batch.failed.get() + 1);
        #[expect(clippy::cast_precision_loss, reason = "few hosts")]
        let share = batch.failed.get() as f64 * 100.0 / batch.size as f64;
        if batch.most_failed.is_some_and(|most| share > most) {
            batch.is_aborted.set(true);
        }
    }

    /// After a failure: what was not run because of it.
    fn tell_what_was_left(&self, flow: Flow) {
        let play = &self.batch.stage.play;
        let all: Vec<Rc<Task>> = play.sections.iter().flat_map(|section| Item::tasks(section)).collect();
        let stopped = self.stopped_at.borrow();
        let at = stopped.as_ref().and_then(|stopped| all.iter().position(|task| Rc::ptr_eq(task, stopped)));
        let left: Vec<String> = match (at, &*stopped) {
            (Some(at), _) => all[at + 1..].iter().map(|task| self.task_name(task, &self.task_view(task))).collect(),
            _ => vec![],
        };
        let mut parts = vec![];
        if !left.is_empty() {
            let shown = left.iter().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let more = if left.len() > 3 { format!(" and {} more", left.len() - 3) } else { String::new() };
            parts.push(format!("not run because of this: {shown}{more}"));
        }
        let handlers = self.handlers();
        let owed = self.notified.borrow();
        let owed: Vec<String> =
            owed.iter().filter_map(|index| handlers.get(*index)).map(|handler| format!("`{}`", handler.full)).collect();
        if !owed.is_empty() && flow == Flow::Failed {
            parts.push(format!("owed to the next run: {}", owed.join(", ")));
        }
        if !parts.is_empty() {
            self.run.note(Some(&self.host.name), parts.join("; "));
        }
    }

    fn read_vars_files(&self) -> Result<(), crate::tasks::Failure> {
        let stage = &self.batch.stage;
        self.run.read_vars_files(stage, &self.host)
    }
}

impl Interpreter<'_> {
    /// The play's `vars_files` for a host.
    pub(super) fn read_vars_files(
        &self,
        stage: &Rc<super::Stage>,
        host: &Rc<HostState>,
    ) -> Result<(), crate::tasks::Failure> {
        let mut read = vec![];
        host.vars_files.borrow_mut().clear();
        for (span, names) in &stage.play.vars_files {
            let view = self.view(stage, host);
            let candidates = crate::play::library::listed(names);
            let failed =
                |message: String| crate::tasks::Failure::new(format!("{}: {message}", self.world.library.place(*span)));
            let mut looked = vec![];
            let mut found = None;
            for name in &candidates {
                let rendered = self.engine.render_value(name, &view.scope());
                let name: Value = match rendered {
                    Ok(name) => name,
                    Err(_) if candidates.len() > 1 => continue,
                    Err(error) => return Err(failed(error.to_string())),
                };
                let places = view.places("vars", &text(&name));
                found = places.iter().find(|place| place.is_file()).cloned();
                if found.is_some() {
                    break;
                }
                looked.extend(places.iter().map(|place| place.display().to_string()));
            }
            let Some(path) = found else {
                return Err(failed(format!(
                    "no file of variables is there; it was looked for at {}",
                    looked.join(", ")
                )));
            };
            let variables = self.world.library.variables(&path, Some(*span)).map_err(|error| {
                let place = error.span.map(|span| format!("{}: ", self.world.library.place(span))).unwrap_or_default();
                crate::tasks::Failure::new(format!("{place}{}", error.message))
            })?;
            read.push(Rc::new(variables));
            host.vars_files.borrow_mut().clone_from(&read);
        }
        Ok(())
    }
}
