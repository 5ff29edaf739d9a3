//! Plays at work: batches of hosts, each a walk of its own over the tasks.

mod ahead;
mod arguments;
mod driver;
mod gate;
mod handlers;
mod include;
mod loops;
mod rehearse;
mod special;
mod specs;
mod task;
mod told;
mod walk;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use futures_util::future::join_all;
use indexmap::IndexMap;
use tokio::sync::Semaphore;

use super::host::{ALL_AHEAD, HostState};
use super::inventory::Inventory;
use super::loader::{Loader, Shelf};
use super::model::Play;
use super::scope::{Stage, View, World};
use super::settings::Settings;
use crate::diagnostic::Diagnostic;
use crate::forecast::{Effect, Forecast};
use crate::guest::Session;
use crate::model::{Counts, Id, PlayEvent};
use crate::template::ansible::{Engine, text, truth};

pub use driver::unknown_module;
use gate::{Gate, Position};
use walk::Walk;

/// Makes the inside of an instance.
pub type Sessions<'a> = &'a dyn Fn(&Id) -> Session;

/// Runs plays. What it learns of hosts stays for the plays that follow.
pub struct Interpreter<'a> {
    pub(super) world: Rc<World>,
    pub(super) engine: Rc<Engine>,
    sessions: Sessions<'a>,
    /// One for each host, while its plays run.
    open: RefCell<HashMap<String, Rc<Session>>>,
    emit: &'a dyn Fn(PlayEvent),
    counts: RefCell<IndexMap<String, Counts>>,
    forks: Semaphore,
    throttles: RefCell<HashMap<usize, Rc<Semaphore>>>,
    /// What failed and on which host, a line each.
    failures: RefCell<Vec<String>>,
    /// Hosts that are out: failed or unreachable.
    out: RefCell<Vec<String>>,
    /// Names of all handlers of all plays.
    other_handlers: RefCell<Vec<String>>,
    /// `--start-at-task` was come to.
    started: Cell<bool>,
    begun: Instant,
    /// How often guests were talked to, by host and role.
    trips: RefCell<IndexMap<(String, String), u64>>,
    /// It is a walk ahead: nothing is done or told, and what is not known is noted.
    ahead: Option<ahead::Ahead>,
}

impl std::fmt::Debug for Interpreter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interpreter")
    }
}

/// Hosts of one play that are worked on together.
pub(super) struct Batch {
    stage: Rc<Stage>,
    /// `strategy: linear`.
    gate: Option<Gate>,
    /// Results of `run_once` tasks by their place: what the first host came to.
    once: RefCell<HashMap<Position, Option<task::Outcome>>>,
    once_done: tokio::sync::Notify,
    /// Nobody goes on.
    is_aborted: Cell<bool>,
    /// `meta: end_batch`, `end_play`.
    is_ended: Cell<bool>,
    failed: Cell<usize>,
    size: usize,
    most_failed: Option<f64>,
}

impl Batch {
    fn of(stage: &Rc<Stage>, size: usize, in_step: bool) -> Self {
        Batch {
            stage: stage.clone(),
            gate: in_step.then(|| Gate::new(size)),
            once: RefCell::default(),
            once_done: tokio::sync::Notify::new(),
            is_aborted: Cell::new(false),
            is_ended: Cell::new(false),
            failed: Cell::new(0),
            size,
            most_failed: None,
        }
    }
}

impl<'a> Interpreter<'a> {
    /// An interpreter for a site's hosts.
    pub fn new(
        shelf: &Shelf,
        inventory: Inventory,
        site_directory: PathBuf,
        settings: Settings,
        sessions: Sessions<'a>,
        emit: &'a dyn Fn(PlayEvent),
    ) -> Self {
        let state = |(name, host): (&String, &super::inventory::Host)| {
            let state = HostState {
                name: name.clone(),
                lxd: host.lxd.clone(),
                horizon: Cell::new(ALL_AHEAD),
                ..HostState::default()
            };
            (name.clone(), Rc::new(state))
        };
        let hosts = inventory.hosts.iter().map(state).collect();
        let forks = settings.forks.max(1);
        let world = World {
            hosts,
            inventory,
            site_vars: shelf.site_vars.clone(),
            extra_vars: shelf.extra_vars.clone(),
            settings,
            library: shelf.library.clone(),
            site_directory,
        };
        Interpreter {
            started: Cell::new(world.settings.start_at_task.is_none()),
            world: Rc::new(world),
            engine: Rc::new(Engine::new()),
            sessions,
            open: RefCell::default(),
            emit,
            counts: RefCell::default(),
            forks: Semaphore::new(forks),
            throttles: RefCell::default(),
            out: RefCell::default(),
            other_handlers: RefCell::default(),
            begun: Instant::now(),
            failures: RefCell::default(),
            trips: RefCell::default(),
            ahead: None,
        }
    }

    /// Says of a host, before anything is run, that nobody can ask it, and why.
    pub fn unseen(&self, host: &str, why: &str) {
        if let Some(state) = self.world.hosts.get(host) {
            *state.forecast.borrow_mut() = Forecast::unseen(why);
        }
    }

    /// Says of a host, before anything is run, that it becomes another before its tasks are run, and why.
    pub fn unsettled(&self, host: &str, why: &str) {
        if let Some(state) = self.world.hosts.get(host) {
            state.forecast.borrow_mut().lay(Effect::opaque(why));
        }
    }

    /// What came of each host so far, in the order of their first tasks.
    pub fn counts(&self) -> Vec<(String, Counts)> {
        self.counts.borrow().iter().map(|(host, counts)| (host.clone(), *counts)).collect()
    }

    /// Counts what another has found, as if it were found here.
    pub fn take_in(&self, other: &Interpreter<'_>) {
        self.counts.borrow_mut().extend(other.counts());
        self.trips.borrow_mut().extend(other.trips.take());
    }

    /// Tells what came of each host.
    pub fn recap(&self) {
        let trips = self.trips.borrow();
        let trips = trips.iter().map(|((host, role), count)| (host.clone(), role.clone(), *count)).collect();
        self.tell(PlayEvent::Recap { hosts: self.counts(), trips, elapsed: self.begun.elapsed() });
    }

    /// What failed and on which host, a line each; taken.
    pub fn take_failures(&self) -> Vec<String> {
        self.failures.take()
    }

    fn tell(&self, event: PlayEvent) {
        (self.emit)(told::masked(event, &self.world.library));
    }

    fn note(&self, host: Option<&str>, text: impl Into<String>) {
        self.tell(PlayEvent::Note { host: host.map(str::to_owned), text: text.into() });
    }

    fn count(&self, host: &str, change: impl FnOnce(&mut Counts)) {
        change(self.counts.borrow_mut().entry(host.to_owned()).or_default());
    }

    pub(super) fn session(&self, host: &str) -> Option<Rc<Session>> {
        let id = &self.world.inventory.hosts.get(host)?.id;
        let mut open = self.open.borrow_mut();
        Some(open.entry(host.to_owned()).or_insert_with(|| Rc::new((self.sessions)(id))).clone())
    }

    /// A play on a stage of its own, with the hosts that it is for; those that are out are not among them.
    ///
    /// # Errors
    /// A pattern that means nobody, or a name that cannot be rendered.
    pub(super) fn stage(&self, play: Play, loader: Rc<Loader>) -> Result<Rc<Stage>, Diagnostic> {
        let shown = play.name.as_ref().map(text).unwrap_or_default();
        let stage = Rc::new(Stage {
            loader,
            name: RefCell::new(shown),
            hosts: RefCell::default(),
            all_hosts: RefCell::default(),
            batch: RefCell::default(),
            unknown: RefCell::default(),
            play,
        });
        self.fill(&stage)?;
        Ok(stage)
    }

    /// Finds the hosts of a play, anew since groups may have been added.
    fn fill(&self, stage: &Rc<Stage>) -> Result<(), Diagnostic> {
        let play = &stage.play;
        let view = self.play_view(stage);
        let failed = |message: String| match play.span.line {
            0 => Diagnostic::plain(message),
            _ => Diagnostic::error(play.span, message),
        };
        let scope = view.scope();
        let hosts =
            self.engine.render_value(&play.hosts, &scope).map_err(|error| failed(format!("`hosts`: {error}")))?;
        let pattern = super::library::listed(&hosts).iter().map(text).collect::<Vec<_>>().join(":");
        let name = play.name.as_ref().and_then(|name| self.engine.render_value(name, &scope).ok());
        *stage.name.borrow_mut() = name.map_or_else(|| pattern.clone(), |name| text(&name));
        let mut inventory = self.world.inventory.clone();
        for host in self.world.hosts.values() {
            for group in host.more_groups.borrow().iter() {
                inventory.groups.entry(group.clone()).or_default().push(host.name.clone());
            }
        }
        let chosen = inventory.select_known(&pattern);
        let (mut chosen, unknown) = chosen.map_err(|error| failed(format!("`hosts: {pattern}`: {error}")))?;
        *stage.unknown.borrow_mut() = unknown;
        if let Some(limit) = &self.world.settings.limit {
            let within = inventory.select(limit).map_err(|error| failed(format!("--limit {limit}: {error}")))?;
            chosen.retain(|host| within.contains(host));
        }
        chosen.retain(|host| !self.out.borrow().contains(host));
        match play.order.as_ref().map(text).as_deref() {
            Some("reverse_inventory") => chosen.reverse(),
            Some("sorted") => chosen.sort(),
            Some("reverse_sorted") => chosen.sort_by(|a, b| b.cmp(a)),
            _ => {}
        }
        stage.all_hosts.borrow_mut().clone_from(&chosen);
        *stage.hosts.borrow_mut() = chosen;
        Ok(())
    }

    /// What is known of a play apart from its hosts.
    fn play_view(&self, stage: &Rc<Stage>) -> View {
        View {
            world: self.world.clone(),
            stage: Some(stage.clone()),
            host: Rc::new(HostState::default()),
            context: stage.play.context.clone(),
            locals: Rc::default(),
        }
    }

    pub(super) fn view(&self, stage: &Rc<Stage>, host: &Rc<HostState>) -> View {
        View { host: host.clone(), ..self.play_view(stage) }
    }

    /// Reads `group_vars` and `host_vars` for a play's hosts.
    fn read_variables(&self, stage: &Stage) -> Result<(), Diagnostic> {
        let site = super::library::tidied(&self.world.site_directory);
        let mut directories = vec![site];
        let playbook = super::library::tidied(&stage.play.directory);
        if !directories.contains(&playbook) {
            directories.push(playbook);
        }
        for host in stage.all_hosts.borrow().iter() {
            if let Some(state) = self.world.hosts.get(host) {
                *state.inventory_vars.borrow_mut() =
                    self.world.inventory.variables(host, &directories, &self.world.library)?;
            }
        }
        Ok(())
    }

    /// Runs plays, one after the other. True if all went well on all hosts.
    ///
    /// # Errors
    /// What is wrong with the plays themselves: then nothing was changed.
    pub async fn run(&self, plays: Vec<(Play, Rc<Loader>)>) -> Result<bool, Vec<Diagnostic>> {
        let mut stages = vec![];
        for (play, loader) in plays {
            let stage = self.stage(play, loader).map_err(|error| vec![error])?;
            self.read_variables(&stage).map_err(|error| vec![error])?;
            stages.push(stage);
        }
        *self.other_handlers.borrow_mut() = stages.iter().flat_map(|stage| handler_names(&stage.play)).collect();
        let before = self.out.borrow().len();
        self.gather_ahead(&stages).await;
        let known: Vec<_> = stages.iter().map(|stage| stage.loader.public_roles()).collect();
        let problems = self.rehearse(&stages);
        stages.iter().zip(&known).for_each(|(stage, roles)| stage.loader.forget_roles(roles));
        if !problems.is_empty() {
            return Err(problems);
        }
        for (index, stage) in stages.iter().enumerate() {
            self.fill(stage).map_err(|error| vec![error])?;
            self.read_variables(stage).map_err(|error| vec![error])?;
            let name = stage.name.borrow().clone();
            self.tell(PlayEvent::Play { name, hosts: stage.hosts.borrow().clone() });
            for unknown in stage.unknown.borrow().iter() {
                self.note(None, format!("`hosts:` of this play: {unknown}"));
            }
            if !self.play(stage).await.map_err(|error| vec![error])? {
                match stages.len() - index - 1 {
                    0 => {}
                    left => self.note(None, format!("{left} more plays are not begun")),
                }
                break;
            }
        }
        Ok(self.out.borrow().len() == before)
    }

    /// Runs a play; false if so many hosts failed that nothing more is to be run, as with Ansible.
    async fn play(&self, stage: &Rc<Stage>) -> Result<bool, Diagnostic> {
        let view = self.play_view(stage);
        let scope = view.scope();
        let render = |value: &crate::template::Value| {
            self.engine
                .render_value(value, &scope)
                .map_err(|error| Diagnostic::error(stage.play.span, error.to_string()))
        };
        let hosts = stage.all_hosts.borrow().clone();
        let mut sizes = vec![];
        for value in &stage.play.serial {
            let written = text(&render(value)?);
            let size = match written.strip_suffix('%') {
                Some(percent) => percent.parse::<usize>().ok().map(|percent| (hosts.len() * percent / 100).max(1)),
                None => written.parse::<usize>().ok().map(|size| if size == 0 { hosts.len() } else { size }),
            };
            let wrong = || {
                Diagnostic::error(stage.play.span, format!("`serial: {written}` is no number of hosts"))
                    .help("write a number, a percentage such as `30%`, or a list of them")
            };
            sizes.push(size.ok_or_else(wrong)?);
        }
        let most_failed = stage.play.max_fail_percentage.as_ref().map(render).transpose()?;
        let most_failed = most_failed.and_then(|value| text(&value).trim_end_matches('%').parse::<f64>().ok());
        let mut rest = hosts.as_slice();
        let mut index = 0;
        while !rest.is_empty() {
            let size = sizes.get(index).or(sizes.last()).copied().unwrap_or(rest.len()).clamp(1, rest.len());
            index += 1;
            let (batch, others) = rest.split_at(size);
            rest = others;
            stage.batch.borrow_mut().clone_from(&batch.to_vec());
            let batch = Batch { most_failed, ..Batch::of(stage, size, !stage.play.is_free) };
            let walks = stage.batch.borrow().clone();
            let walks = walks.iter().enumerate().filter_map(|(index, host)| {
                let state = self.world.hosts.get(host)?.clone();
                Some(Walk::new(self, &batch, state, index, self.session(host)?))
            });
            let walks: Vec<Walk<'_>> = walks.collect();
            join_all(walks.iter().map(Walk::whole)).await;
            let is_over = batch.is_aborted.get() || batch.failed.get() == size;
            if is_over {
                let (failed, left) = (batch.failed.get(), rest.len());
                if left > 0 {
                    self.note(
                        None,
                        format!("the play ends here: {failed} of {size} hosts failed, {left} were not begun"),
                    );
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// True for a keyword that is set and true.
    pub(super) fn flag(&self, view: &View, name: &str) -> Result<bool, crate::tasks::Failure> {
        let Some(value) = view.context.setting(name) else { return Ok(false) };
        self.engine
            .render_value(value, &view.scope())
            .map(|value| truth(&crate::template::ansible::as_bool(&value)))
            .map_err(|error| super::controller::failure(&error))
    }
}

/// The names of a play's handlers as they are written, within a role `ROLE : NAME`.
fn handler_names(play: &Play) -> Vec<String> {
    let name = |task: Rc<super::model::Task>| {
        let own = task.name.as_ref().map_or_else(|| task.module.clone(), text);
        task.context.role().map_or_else(|| own.clone(), |role| format!("{} : {own}", role.name))
    };
    super::model::Item::tasks(&play.handlers).into_iter().map(name).collect()
}

impl Interpreter<'_> {
    /// What may go wrong and is not known yet.
    pub(super) fn warn(&self, text: String) {
        self.note(None, text);
    }

    /// Gathers a host's facts ahead of a play; what fails is told when the play comes to it.
    pub(super) async fn gather_one(&self, host: &Rc<HostState>, stage: &Rc<Stage>) {
        let (Some(session), Some(task)) = (self.session(&host.name), self.gathering(stage, host)) else { return };
        let batch = Batch::of(stage, 1, false);
        let walk = Walk::new(self, &batch, host.clone(), 0, session);
        let view = walk.task_view(&task);
        let timed = walk.outcome(&task, &view).await;
        if timed.outcome.went_well() {
            walk.learn(&task, &timed.outcome);
        }
    }
}
