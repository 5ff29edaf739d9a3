//! Handlers: who is notified, what is owed, and that nothing of it is lost.
//!
//! What a task may notify is written on the instance's own config before the task changes anything, and taken away
//! when the handler has run. A kill or a failure in between leaves it there, and the next run does it.

use serde::{Deserialize, Serialize};

use super::walk::Walk;
use crate::play::model::{Item, Task};
use crate::play::scope::View;
use crate::tasks::Failure;
use crate::template::ansible::{ErrorKind, text};

/// Where it is kept, on the instance.
pub const KEY: &str = "user.lxdeploy.handlers";

/// A handler that is owed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owed {
    /// The playbook whose play has it; `roles` for the roles of an instance.
    pub book: String,
    /// Its name, within a role `ROLE : NAME`.
    pub handler: String,
}

/// A handler as it can be notified.
pub(super) struct Handler {
    pub task: std::rc::Rc<Task>,
    /// Its name.
    pub name: String,
    /// `ROLE : NAME`.
    pub full: String,
    listen: Vec<String>,
}

impl Walk<'_> {
    /// All handlers of the play, in the order in which they run.
    pub(super) fn handlers(&self) -> Vec<Handler> {
        let stage = &self.batch.stage;
        let mut items: Vec<Item> = stage.play.handlers.clone();
        items.extend(self.more_handlers.borrow().iter().cloned());
        let handler = |task: std::rc::Rc<Task>| {
            let view = self.task_view(&task);
            let name = self.task_name(&task, &view);
            let bare = task.name.as_ref().map_or_else(|| task.module.clone(), |name| self.shown(name, &view));
            let listen = task.listen.iter().map(|topic| self.shown(topic, &view)).collect();
            Handler { name: bare, full: name, listen, task }
        };
        Item::tasks(&items).into_iter().map(handler).collect()
    }

    fn shown(&self, value: &crate::template::Value, view: &View) -> String {
        text(&self.run.engine.render_value(value, &view.scope()).unwrap_or_else(|_| value.clone()))
    }

    /// The handlers that a task's `notify` names, by their places in the list.
    pub(super) fn notified_by(&self, task: &Task, view: &View) -> Result<Vec<usize>, Failure> {
        if task.notify.is_empty() {
            return Ok(vec![]);
        }
        let handlers = self.handlers();
        let mut found = vec![];
        for wanted in &task.notify {
            let rendered = self.run.engine.render_value(wanted, &view.scope());
            let rendered = rendered.map_err(|error| crate::play::controller::failure(&error))?;
            for name in crate::play::library::listed(&rendered).iter().map(text).filter(|name| !name.is_empty()) {
                let before = found.len();
                // Of several with one name the last counts, as Ansible has it, also among those that listen.
                let is = |handler: &Handler| handler.name == name || handler.full == name;
                found.extend(handlers.iter().rposition(is));
                let listening = handlers.iter().enumerate().rev().filter(|(_, handler)| handler.listen.contains(&name));
                let mut seen = vec![];
                for (index, handler) in listening {
                    if handler.task.name.is_none() || !seen.contains(&&handler.name) {
                        seen.push(&handler.name);
                        found.push(index);
                    }
                }
                if found.len() == before {
                    let names = handlers.iter().map(|handler| handler.name.as_str());
                    let help = match crate::diagnostic::nearest(&name, names) {
                        Some(near) => format!("; did you mean `{near}`?"),
                        None => String::new(),
                    };
                    return Err(Failure::new(format!(
                        "The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list{help}"
                    )));
                }
            }
        }
        found.dedup();
        Ok(found)
    }

    /// Writes down what will be owed, before anything is changed.
    pub(super) async fn promise(&self, handlers: &[usize]) -> Result<(), Failure> {
        let all = self.handlers();
        let names = handlers.iter().filter_map(|index| all.get(*index)).map(|handler| handler.full.clone());
        let mut owed = self.owed.borrow().clone();
        for handler in names {
            let entry = Owed { book: self.batch.stage.play.book.clone(), handler };
            if !owed.contains(&entry) {
                owed.push(entry);
            }
        }
        self.keep(owed).await
    }

    /// Takes away what is owed no longer: all of this play's but those that are still notified.
    pub(super) async fn settle(&self) -> Result<(), Failure> {
        let all = self.handlers();
        let waiting: Vec<String> = self
            .notified
            .borrow()
            .iter()
            .filter_map(|index| all.get(*index))
            .map(|handler| handler.full.clone())
            .collect();
        let book = &self.batch.stage.play.book;
        let mut owed = self.owed.borrow().clone();
        owed.retain(|entry| {
            entry.book != *book
                || waiting.contains(&entry.handler)
                || !all.iter().any(|handler| handler.full == entry.handler)
        });
        self.keep(owed).await
    }

    async fn keep(&self, owed: Vec<Owed>) -> Result<(), Failure> {
        let does_nothing = self.run.world.settings.check || self.run.ahead.is_some();
        if *self.owed.borrow() == owed || does_nothing {
            return Ok(());
        }
        let text = serde_json::to_string(&owed).unwrap_or_default();
        let text = (!owed.is_empty()).then_some(text);
        let failed = |error: crate::guest::GuestError| {
            Failure::new(format!("what handlers are owed cannot be written on the instance: {error}"))
        };
        self.session.set_note(KEY, text.as_deref()).await.map_err(failed)?;
        *self.owed.borrow_mut() = owed;
        Ok(())
    }

    /// Reads what an earlier run still owes: it is notified again; what the file has no longer is dropped.
    pub(super) async fn recall(&self) -> Result<(), Failure> {
        let handlers = self.handlers();
        let is_needless = handlers.is_empty() && self.batch.stage.play.book != "roles";
        if is_needless || self.host.forecast.borrow().is_unseen().is_some() {
            return Ok(());
        }
        let kept = self.session.note(KEY).await.map_err(|error| Failure::new(error.to_string()))?;
        let Some(kept) = kept else { return Ok(()) };
        let owed: Vec<Owed> = serde_json::from_str(&kept).unwrap_or_default();
        let book = &self.batch.stage.play.book;
        let mut remaining = vec![];
        for entry in &owed {
            if entry.book != *book {
                remaining.push(entry.clone());
                continue;
            }
            match handlers.iter().rposition(|handler| handler.full == entry.handler) {
                Some(index) => {
                    self.run.note(
                        Some(&self.host.name),
                        format!("the handler `{}` is owed from an earlier run", entry.handler),
                    );
                    self.notified.borrow_mut().insert(index);
                    self.recalled.borrow_mut().insert(index);
                    remaining.push(entry.clone());
                }
                None if self.may_be_of_another_play(entry) => remaining.push(entry.clone()),
                None => {
                    let text = format!(
                        "the handler `{}` is owed from an earlier run, and there is none of that name any more: dropped",
                        entry.handler
                    );
                    self.run.note(Some(&self.host.name), text);
                }
            }
        }
        *self.owed.borrow_mut() = owed;
        self.keep(remaining).await
    }

    /// A task has changed something.
    pub(super) fn notify(&self, handlers: &[usize]) {
        self.notified.borrow_mut().extend(handlers);
        self.recalled.borrow_mut().retain(|index| !handlers.contains(index));
    }

    /// A task may have changed something, and why that is not known.
    pub(super) fn maybe_notify(&self, handlers: &[usize], why: &str) {
        let mut maybe = self.maybe_notified.borrow_mut();
        for index in handlers {
            maybe.entry(*index).or_insert_with(|| why.to_owned());
        }
    }

    /// What a handler that an earlier run owes cannot be run without yet: a role's own `set_fact` comes later, or is
    /// left out by `--tags`. It waits, and is not lost.
    pub(super) fn missing(&self, index: usize, handler: &Handler) -> Option<String> {
        let task = &handler.task;
        if !self.recalled.borrow().contains(&index) || task.repeat.is_some() {
            return None;
        }
        let view = self.task_view(task);
        let scope = view.scope();
        let engine = &self.run.engine;
        let mut errors = vec![];
        for condition in view.context.conditions() {
            match engine.condition(condition, &scope) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => errors.push(error),
            }
        }
        let args = task.more_args.iter().chain([&task.args]);
        errors.extend(args.filter_map(|value| engine.render_value(value, &scope).err()));
        errors.into_iter().find(|error| error.kind == ErrorKind::Undefined).map(|error| error.message)
    }

    /// At the play's end: what waited in vain.
    pub(super) fn tell_what_is_still_owed(&self) {
        let handlers = self.handlers();
        for index in self.notified.borrow().iter() {
            if let Some(handler) = handlers.get(*index)
                && let Some(why) = self.missing(*index, handler)
            {
                let text = format!("the handler `{}` is still owed, and cannot be run: {why}", handler.full);
                self.run.note(Some(&self.host.name), text);
            }
        }
    }

    /// A playbook has several plays, each with handlers of its own.
    fn may_be_of_another_play(&self, entry: &Owed) -> bool {
        self.run.other_handlers.borrow().contains(&entry.handler)
    }
}
