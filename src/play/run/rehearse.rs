//! Before anything runs: facts are gathered, and every host's tasks are gone through without a guest.
//!
//! What is not supported and would surely run is an error; what hangs on a result that is not known yet may be reached,
//! and is told; what a condition excludes is not looked at.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use futures_util::future::join_all;

use super::Interpreter;
use super::unknown_module;
use crate::diagnostic::Diagnostic;
use crate::play::controller::Side;
use crate::play::host::HostState;
use crate::play::library::{entries, listed};
use crate::play::loader::Loader;
use crate::play::model::{Block, Context, Item, Play, Task};
use crate::play::parse;
use crate::play::scope::{Stage, View};
use crate::tasks::{Call, Failure, Map, registry};
use crate::template::ansible::{ErrorKind, text};
use crate::template::map;

/// Whether what comes next is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Surely,
    Maybe,
    Never,
}

/// One host's way through a play, rehearsed.
struct Rehearsal<'a, 'r> {
    run: &'r Interpreter<'a>,
    stage: &'r Rc<Stage>,
    host: Rc<HostState>,
    problems: RefCell<Vec<Diagnostic>>,
    may: &'r RefCell<BTreeSet<String>>,
    is_over: Cell<bool>,
    depth: Cell<usize>,
}

impl Interpreter<'_> {
    /// Goes through plays on all their hosts; what is wrong and would be reached, each once.
    pub(super) fn rehearse(&self, stages: &[Rc<Stage>]) -> Vec<Diagnostic> {
        let mut problems: Vec<Diagnostic> = vec![];
        let may = RefCell::default();
        // What is set on the way is of the rehearsal alone.
        let hosts: Vec<Rc<HostState>> = self.world.hosts.values().map(|host| Rc::new(host.copied())).collect();
        for stage in stages {
            let names = stage.all_hosts.borrow().clone();
            for host in hosts.iter().filter(|host| names.contains(&host.name)) {
                host.vars_files.borrow_mut().clear();
                if let Err(failure) = self.read_vars_files(stage, host) {
                    problems.push(Diagnostic::plain(failure.message));
                    continue;
                }
                let rehearsal = Rehearsal {
                    run: self,
                    stage,
                    host: host.clone(),
                    problems: RefCell::default(),
                    may: &may,
                    is_over: Cell::new(false),
                    depth: Cell::new(0),
                };
                for section in &stage.play.sections {
                    rehearsal.items(section, Reach::Surely);
                }
                for handler in Item::tasks(&stage.play.handlers) {
                    rehearsal.task(&handler, Reach::Maybe);
                }
                for problem in rehearsal.problems.into_inner() {
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
            // Handlers of roles that were read here are read again when they are included.
            stage.loader.take_handlers();
        }
        for text in may.into_inner() {
            self.warn(text);
        }
        problems
    }

    /// Gathers the facts that the plays want, all hosts side by side.
    pub(super) async fn gather_ahead(&self, stages: &[Rc<Stage>]) {
        let mut wanted: Vec<(Rc<HostState>, Rc<Stage>)> = vec![];
        for stage in stages {
            for host in stage.all_hosts.borrow().iter().filter_map(|host| self.world.hosts.get(host)) {
                let is_new = !wanted.iter().any(|(known, _)| known.name == host.name);
                if is_new
                    && !host.has_facts.get()
                    && stage.play.gather.is_empty()
                    && self.gathering(stage, host).is_some()
                {
                    wanted.push((host.clone(), stage.clone()));
                }
            }
        }
        join_all(wanted.iter().map(|(host, stage)| self.gather_one(host, stage))).await;
    }
}

impl Rehearsal<'_, '_> {
    fn view(&self, context: &Rc<Context>) -> View {
        View { context: context.clone(), ..self.run.view(self.stage, &self.host) }
    }

    fn items(&self, items: &[Item], reach: Reach) {
        for item in items {
            if self.is_over.get() || reach == Reach::Never {
                return;
            }
            match item {
                Item::Task(task) => self.task(task, reach),
                Item::Block(block) => self.block(block, reach),
            }
        }
    }

    fn block(&self, block: &Block, reach: Reach) {
        // A failure in it is expected: what would be an error elsewhere may be the point.
        let inner = if block.rescue.is_empty() { reach } else { reach.max(Reach::Maybe) };
        self.items(&block.body, inner);
        self.items(&block.rescue, Reach::Maybe);
        self.items(&block.always, reach);
    }

    fn task(&self, task: &Rc<Task>, reach: Reach) {
        let view = self.view(&task.context);
        if !self.run.is_tagged(&task.context, &view) || self.is_over.get() {
            return;
        }
        let items = match &task.repeat {
            None => Some(vec![]),
            Some(repeat) => self.run.loop_items(repeat, &view).ok(),
        };
        let first = items.as_ref().and_then(|items| items.first().cloned());
        let view = match first {
            Some(item) => {
                let var = task.loop_control.get("loop_var").map_or_else(|| "item".to_owned(), text);
                let locals = [(var.clone(), item), ("ansible_loop_var".to_owned(), var.into())];
                view.with(locals.into_iter().collect())
            }
            None => view,
        };
        let reach = match (&task.repeat, &items) {
            (Some(_), None) => Reach::Maybe,
            (Some(_), Some(items)) if items.is_empty() => Reach::Never,
            (Some(_), Some(items)) if items.len() > 1 && self.reach(&view) == Reach::Never => Reach::Maybe,
            _ => reach.max(self.reach(&view)),
        };
        if reach == Reach::Never {
            if let Some(name) = &task.register {
                let skipped = [("changed", false), ("skipped", true), ("failed", false)];
                self.host.set(name, map(skipped));
            }
            return;
        }
        self.known_task(task, &view, reach);
        if let Some(name) = &task.register {
            self.host.set_unknown(name, &format!("what `{}` will say", task.module));
        }
    }

    fn reach(&self, view: &View) -> Reach {
        let scope = view.scope();
        let mut reach = Reach::Surely;
        for condition in view.context.conditions() {
            match self.run.engine.condition(condition, &scope) {
                Ok(true) => {}
                Ok(false) => return Reach::Never,
                Err(_) => reach = Reach::Maybe,
            }
        }
        reach
    }

    fn known_task(&self, task: &Rc<Task>, view: &View, reach: Reach) {
        match parse::special(&task.module) {
            Some("meta") => {
                let action = entries(&task.args).get("_raw_params").map(text).unwrap_or_default();
                if reach == Reach::Surely && ["end_host", "end_play", "end_batch"].contains(&action.trim()) {
                    self.is_over.set(true);
                }
            }
            Some("include_tasks" | "include_role") => self.include(task, view, reach),
            Some("include_vars") => {
                let read = self.run.arguments(task, view).and_then(|args| self.run.include_vars(&args, view));
                if read.is_err() && reach == Reach::Surely {
                    // Told when it is run: what it names may be made until then.
                    tracing::debug!("{}: variables are not known yet", task.module);
                }
            }
            Some("group_by" | "validate_argument_spec") => {}
            Some(_) => self.problem(task, reach, &unknown_module(&task.module)),
            None => match registry::find(&task.module) {
                None => self.problem(task, reach, &unknown_module(&task.module)),
                Some(_) if task.action() == "set_fact" => self.set_fact(task, view, reach),
                Some(module) => {
                    let is_minded = self.run.flag(view, "ignore_errors").unwrap_or(true) || task.failed_when.is_some();
                    let Ok(args) = self.run.arguments(task, view) else { return };
                    if is_minded || reach != Reach::Surely {
                        return;
                    }
                    let facts = map(self.host.facts.borrow().clone());
                    let side = Side { engine: &self.run.engine, view };
                    let environment = std::collections::BTreeMap::new();
                    let call = Call {
                        name: &task.module,
                        args: &args,
                        check: true,
                        diff: false,
                        user: None,
                        environment: &environment,
                        facts: &facts,
                        unknown_facts: None,
                        controller: &side,
                        round: 0,
                    };
                    if let Err(failure) = module.check(&call) {
                        self.problem(task, reach, &failure);
                    }
                }
            },
        }
    }

    fn set_fact(&self, task: &Task, view: &View, reach: Reach) {
        let raw = entries(&task.args);
        for (name, value) in &raw {
            if name == "cacheable" {
                continue;
            }
            let rendered = self.run.engine.render_value(value, &view.scope());
            match rendered {
                Ok(value) if reach == Reach::Surely && task.repeat.is_none() => self.host.set(name, value),
                Err(error) if error.kind == ErrorKind::Unknown => self.host.set_unknown(name, &error.message),
                _ => self.host.set_unknown(name, "whether it is set hangs on what is not known yet"),
            }
        }
    }

    fn include(&self, task: &Rc<Task>, view: &View, reach: Reach) {
        if self.depth.get() > 30 {
            return;
        }
        let included = self.run.included(self.stage, task, view, Map::new());
        match included {
            Ok(included) => {
                self.depth.set(self.depth.get() + 1);
                let reach = if task.repeat.is_some() { reach.max(Reach::Maybe) } else { reach };
                self.items(&included.items, reach);
                for handler in Item::tasks(&included.handlers) {
                    self.task(&handler, Reach::Maybe);
                }
                self.depth.set(self.depth.get() - 1);
            }
            Err(failure) => {
                let is_known = self.run.arguments(task, view).is_ok();
                let is_minded = self.run.flag(view, "ignore_errors").unwrap_or(true);
                if is_known && reach == Reach::Surely && task.repeat.is_none() && !is_minded {
                    self.problem(task, reach, &failure);
                }
            }
        }
    }

    fn problem(&self, task: &Task, reach: Reach, failure: &Failure) {
        if reach == Reach::Surely {
            let error = Diagnostic::error(task.module_span, failure.message.clone());
            self.problems.borrow_mut().push(error);
            return;
        }
        let place = self.run.world.library.place(task.module_span);
        self.may.borrow_mut().insert(format!("{place}: may reach what is not supported: {}", failure.message));
    }
}

/// A play and its tasks by name, for `--list-tasks`.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The play's name.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its tasks and their tags.
    pub tasks: Vec<(String, Vec<String>)>,
}

impl Listed {
    /// As text; the tasks or the hosts.
    pub fn shown(&self, tasks: bool) -> String {
        let lines: Vec<String> = match tasks {
            true => self.tasks.iter().map(|(name, tags)| format!("  {name}  [{}]", tags.join(", "))).collect(),
            false => self.hosts.iter().map(|host| format!("  {host}")).collect(),
        };
        let head = format!("{} ({} hosts)", self.name, self.hosts.len());
        std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
    }
}

impl Interpreter<'_> {
    /// The plays with their hosts and tasks; nothing is run.
    ///
    /// # Errors
    /// A pattern that means nobody.
    pub fn list(&self, plays: Vec<(Play, Rc<Loader>)>) -> Result<Vec<Listed>, Diagnostic> {
        let stages: Vec<Rc<Stage>> =
            plays.into_iter().map(|(play, loader)| self.stage(play, loader)).collect::<Result<_, _>>()?;
        Ok(self.listed(&stages))
    }

    /// The plays' tasks as `--tags` and its like leave them.
    fn listed(&self, stages: &[Rc<Stage>]) -> Vec<Listed> {
        let each = |stage: &Rc<Stage>| {
            let host = Rc::new(HostState::default());
            let tasks = stage.play.sections.iter().flat_map(|section| Item::tasks(section)).filter_map(|task| {
                let view = View { context: task.context.clone(), ..self.view(stage, &host) };
                if !self.is_tagged(&task.context, &view) || task.action() == "meta" {
                    return None;
                }
                let name = task.name.as_ref().map_or_else(|| task.module.clone(), text);
                let name = task.context.role().map_or_else(|| name.clone(), |role| format!("{} : {name}", role.name));
                let tags =
                    task.context.chain().flat_map(|context| &context.tags).flat_map(listed).map(|tag| text(&tag));
                let tags: BTreeSet<String> = tags.collect();
                Some((name, tags.into_iter().collect()))
            });
            let (name, hosts) = (stage.name.borrow().clone(), stage.all_hosts.borrow().clone());
            Listed { name, hosts, tasks: tasks.collect() }
        };
        stages.iter().map(each).collect()
    }
}
