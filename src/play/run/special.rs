//! What is the interpreter's own: `meta`, includes, facts, groups.

use std::rc::Rc;

use super::task::{Outcome, Timed};
use super::walk::{Flow, Walk};
use super::{Position, Stage};
use crate::model::Span;
use crate::play::library::{entries, listed};
use crate::play::model::{Context, Task};
use crate::play::parse;
use crate::play::roles::folder_variables;
use crate::play::scope::View;
use crate::tasks::{Failure, Map, Report};
use crate::template::ansible::{as_bool, text, truth};
use crate::template::{Value, map};

impl Walk<'_> {
    pub(super) async fn special(&self, task: &Rc<Task>, view: &View, position: Position, rescuable: bool) -> Flow {
        match parse::special(&task.module) {
            Some("meta") => self.meta(task, view, position, rescuable).await,
            Some("include_tasks" | "include_role") => self.include(task, view, position, rescuable).await,
            Some("validate_argument_spec") => {
                let args = self.run.arguments(task, view);
                let outcome = match args.and_then(|args| super::specs::validate(&self.run.engine, view, &args)) {
                    Ok(message) => Outcome {
                        result: Map::from_iter([("msg".to_owned(), Value::from(message))]),
                        ..Outcome::default()
                    },
                    Err(failure) => Outcome::failed(failure),
                };
                self.conclude(task, view, Timed::now(outcome), rescuable)
            }
            _ => {
                let failure = super::driver::unknown_module(&task.module);
                self.conclude(task, view, Timed::now(Outcome::failed(failure)), rescuable)
            }
        }
    }

    async fn meta(&self, task: &Rc<Task>, view: &View, position: Position, rescuable: bool) -> Flow {
        let args = entries(&task.args);
        let action = args.get("_raw_params").map(text).unwrap_or_default();
        match self.false_condition(view) {
            Ok(None) => {}
            Ok(Some(_)) => return Flow::Next,
            Err(failure) => return self.conclude(task, view, Timed::now(Outcome::failed(failure)), rescuable),
        }
        match action.trim() {
            "flush_handlers" => self.flush(position).await,
            "noop" | "refresh_inventory" | "reset_connection" => Flow::Next,
            "clear_facts" => {
                self.host.facts.borrow_mut().clear();
                self.host.has_facts.set(false);
                Flow::Next
            }
            "clear_host_errors" => {
                self.run.out.borrow_mut().clear();
                Flow::Next
            }
            "end_host" => Flow::End,
            "end_role" => Flow::EndRole,
            "end_batch" | "end_play" => {
                self.batch.is_ended.set(true);
                Flow::End
            }
            other => {
                let failure = Failure::new(format!(
                    "`meta: {other}` is not known; there are flush_handlers, noop, clear_facts, clear_host_errors, end_host, end_role, end_batch, end_play"
                ));
                self.conclude(task, view, Timed::now(Outcome::failed(failure)), rescuable)
            }
        }
    }

    /// Gathers facts, if the play says so.
    pub(super) async fn gather(&self) -> Flow {
        let Some(task) = self.run.gathering(&self.batch.stage, &self.host) else { return Flow::Next };
        let view = self.task_view(&task);
        // Facts are gathered once, but for a play that says itself that it wants them, after something was changed.
        let wants_new = self.batch.stage.play.gather_facts.is_some() && self.host.has_old_facts.get();
        if self.host.has_facts.get() && !wants_new {
            return self.conclude(&task, &view, Timed::now(Outcome::default()), false);
        }
        let outcome = self.outcome(&task, &view).await;
        self.conclude(&task, &view, outcome, false)
    }

    pub(super) fn group_by(&self, args: &Map) -> Result<Report, Failure> {
        let key = args.get("key").map(text).ok_or_else(|| Failure::new("group_by: the argument `key` is missing"))?;
        let mut names = vec![key.replace(' ', "-")];
        names.extend(args.get("parents").map(listed).unwrap_or_default().iter().map(text));
        let mut groups = self.host.more_groups.borrow_mut();
        let before = groups.len();
        for name in names {
            if !groups.contains(&name) {
                groups.push(name);
            }
        }
        Ok(Report { changed: groups.len() > before, ..Report::default() })
    }

    pub(super) fn include_vars(&self, args: &Map, view: &View) -> Result<Report, Failure> {
        self.run.include_vars(args, view)
    }
}

impl super::Interpreter<'_> {
    /// The task that gathers a host's facts at a play's start; none where the play does without.
    pub(super) fn gathering(&self, stage: &Rc<Stage>, host: &Rc<crate::play::host::HostState>) -> Option<Rc<Task>> {
        let view = self.view(stage, host);
        let gathers = match &stage.play.gather_facts {
            Some(value) => self.engine.render_value(value, &view.scope()).is_ok_and(|value| truth(&as_bool(&value))),
            None => true,
        };
        let context = Context { tags: vec!["always".into()], ..Context::within(&stage.play.context) };
        let args = map(stage.play.gather.clone());
        let name = "Gathering Facts".to_owned();
        gathers.then(|| Rc::new(Task::of_ours(Span::default(), name, "ansible.builtin.setup", args, context)))
    }

    /// Reads variables in the middle of a play.
    pub(super) fn include_vars(&self, args: &Map, view: &View) -> Result<Report, Failure> {
        let library = &self.world.library;
        let told = |error: crate::diagnostic::Diagnostic| {
            let place = error.span.map(|span| format!("{}: ", library.place(span))).unwrap_or_default();
            Failure::new(format!("{place}{}", error.message))
        };
        let mut read = Map::new();
        let mut files = vec![];
        if let Some(directory) = args.get("dir") {
            let path = view.find("vars", &text(directory)).map_err(Failure::new)?;
            read = folder_variables(library, &path).map_err(told)?;
            files.push(path.display().to_string());
        } else {
            let name = args.get("file").or_else(|| args.get("_raw_params")).map(text);
            let name = name.ok_or_else(|| Failure::new("include_vars: one of file, dir is needed"))?;
            let path = view.find("vars", name.trim()).map_err(Failure::new)?;
            read.extend(library.variables(&path, None).map_err(told)?);
            files.push(path.display().to_string());
        }
        let shown = map(read.clone());
        let mut included = view.host.included.borrow_mut();
        match args.get("name").map(text) {
            Some(name) => {
                included.insert(name, shown.clone());
            }
            None => {
                // What was set before and is read now is what was read.
                for (name, value) in read {
                    view.host.unknown.borrow_mut().remove(&name);
                    included.insert(name, value);
                }
            }
        }
        let mut report = Report::default();
        report.result.insert("ansible_facts".into(), shown);
        report.result.insert("ansible_included_var_files".into(), Value::from(files));
        Ok(report)
    }
}
