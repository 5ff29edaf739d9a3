//! `include_tasks` and `include_role`: read and run where they stand.

use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use super::Position;
use super::task::{Outcome, Timed};
use super::walk::{Flow, Walk};
use crate::diagnostic::Diagnostic;
use crate::play::library::entries;
use crate::play::model::{Context, Item, Task};
use crate::play::parse;
use crate::play::roles::RoleUse;
use crate::play::scope::{Stage, View};
use crate::tasks::{Failure, Map};
use crate::template::ansible::{as_bool, text, truth};

/// What an include has read.
pub(super) struct Included {
    pub items: Vec<Item>,
    /// Handlers of the roles in it.
    pub handlers: Vec<Item>,
    /// What was included, for the result.
    pub name: String,
}

impl Walk<'_> {
    pub(super) async fn include(&self, task: &Rc<Task>, view: &View, position: Position, rescuable: bool) -> Flow {
        let started = Instant::now();
        let items = match &task.repeat {
            None => None,
            Some(repeat) => match (self.items_of(repeat, view), self.control(task, view)) {
                (Ok(items), Ok(control)) => Some((items, control)),
                (Err(failure), _) | (_, Err(failure)) => {
                    let outcome = match self.false_condition(view) {
                        Ok(Some(condition)) => Outcome::skipped("Conditional result was False", Some(&condition)),
                        _ => Outcome::failed(failure),
                    };
                    return self.conclude(task, view, Timed::since(started, outcome), rescuable);
                }
            },
        };
        let views: Vec<(View, Map)> = match &items {
            None => vec![(view.clone(), Map::new())],
            Some((items, control)) => (0..items.len())
                .map(|index| {
                    let locals = self.item_locals(control, items, index);
                    (view.with(locals.clone()), locals)
                })
                .collect(),
        };
        let mut all = vec![];
        let mut is_skipped = true;
        let mut skipped_by = None;
        let mut names = vec![];
        for (view, locals) in views {
            match self.false_condition(&view) {
                Ok(None) => {}
                Ok(Some(condition)) => {
                    skipped_by = Some(condition);
                    continue;
                }
                Err(failure) => {
                    return self.conclude(task, &view, Timed::since(started, Outcome::failed(failure)), rescuable);
                }
            }
            is_skipped = false;
            match self.run.included(&self.batch.stage, task, &view, locals) {
                Ok(included) => {
                    self.add_handlers(included.handlers);
                    names.push(included.name);
                    all.push(included.items);
                }
                Err(failure) => {
                    return self.conclude(task, &view, Timed::since(started, Outcome::failed(failure)), rescuable);
                }
            }
        }
        if is_skipped {
            let outcome = Outcome::skipped("Conditional result was False", skipped_by.as_ref());
            return self.conclude(task, view, Timed::since(started, outcome), rescuable);
        }
        let mut outcome = Outcome::default();
        outcome.result.insert("include".into(), names.join(", ").into());
        outcome.result.insert("changed".into(), false.into());
        // Ansible counts an included file of tasks as ok, and an included role not at all.
        if parse::special(&task.module) == Some("include_tasks") {
            self.conclude(task, view, Timed::since(started, outcome), rescuable);
        }
        for (index, items) in all.into_iter().enumerate() {
            let mut position = position.clone();
            position.push(index);
            // The walk borrows what it walks over.
            let flow = self.items(&items, position, rescuable).await;
            match flow {
                Flow::Next => {}
                other => return other,
            }
        }
        Flow::Next
    }

    fn add_handlers(&self, items: Vec<Item>) {
        let mut known = self.more_handlers.borrow_mut();
        let spans: Vec<_> = Item::tasks(&known).iter().map(|task| task.span).collect();
        let is_new =
            |item: &Item| !Item::tasks(std::slice::from_ref(item)).iter().any(|task| spans.contains(&task.span));
        known.extend(items.into_iter().filter(is_new));
    }
}

impl super::Interpreter<'_> {
    /// Reads what an include names.
    pub(super) fn included(
        &self,
        stage: &Rc<Stage>,
        task: &Task,
        view: &View,
        locals: Map,
    ) -> Result<Included, Failure> {
        let args = self.arguments(task, view)?;
        let told = |error: Diagnostic| {
            let place = error.span.map(|span| format!("{}: ", self.world.library.place(span))).unwrap_or_default();
            let help = error.help.map(|help| format!("; {help}")).unwrap_or_default();
            Failure::new(format!("{place}{}{help}", error.message))
        };
        // What is included inherits from around the include, its variables, and what `apply` says.
        let parent = task.context.parent.clone().unwrap_or_default();
        let mut context = Context::within(&parent);
        context.vars.clone_from(&task.context.vars);
        context.vars.extend(locals);
        context.params.clone_from(&task.context.params);
        if let Some(apply) = args.get("apply") {
            for (name, value) in entries(apply) {
                match name.as_str() {
                    "tags" => context.tags = crate::play::library::listed(&value),
                    "when" => context.when = crate::play::library::listed(&value),
                    "vars" => context.vars.extend(entries(&value)),
                    "environment" => context.environment = crate::play::library::listed(&value),
                    _ => {
                        context.settings.insert(name, value);
                    }
                }
            }
        }
        let context = Rc::new(context);
        let loader = &stage.loader;
        if parse::special(&task.module) == Some("include_role") {
            let name = args.get("name").or_else(|| args.get("role")).map(text).unwrap_or_default();
            let mut role = RoleUse::named(&name, task.module_span);
            role.from =
                ["tasks", "vars", "defaults", "handlers"].map(|what| args.get(&format!("{what}_from")).map(text));
            role.is_public = args.get("public").is_some_and(|public| truth(&as_bool(public)));
            role.is_repeatable = args.get("allow_duplicates").is_none_or(|allow| truth(&as_bool(allow)));
            let items = loader.role(&role, &context, task.is_handler).map_err(told)?;
            return Ok(Included { items, handlers: loader.take_handlers(), name });
        }
        let file = args.get("file").or_else(|| args.get("_raw_params")).map(text);
        let file = file.ok_or_else(|| Failure::new("include_tasks names no file"))?;
        let items = loader.tasks_file(file.trim(), &context, task.module_span, task.is_handler).map_err(told)?;
        let shown = Path::new(&file).display().to_string();
        Ok(Included { items, handlers: loader.take_handlers(), name: shown })
    }
}
