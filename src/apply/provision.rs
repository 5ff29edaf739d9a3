//! What is run inside of instances: their own roles when they are up, and playbooks in the end.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;

use super::step::{Context, Failure, One};
use crate::diagnostic::Diagnostic;
use crate::guest::{self, Session};
use crate::kinds::{Check, Condition, Lifecycle};
use crate::live::Snapshot;
use crate::lxd::Client;
use crate::model::{Event, Id, PlayEvent, Preview, TaskStatus, Verb};
use crate::plan::{Action, Plan, Step};
use crate::play::run::Sessions;
use crate::play::{Host, Interpreter, Inventory, Loader, Play, RoleUse, Settings, Shelf};

/// How long a guest may take until its init is up.
const UP: Duration = Duration::from_secs(180);

/// What plays are run with.
#[derive(Debug)]
pub struct Plays {
    /// Playbooks, roles and variables.
    pub shelf: Shelf,
    /// The site's instances.
    pub inventory: Inventory,
    /// The command line.
    pub settings: Settings,
    /// The site's directory.
    pub directory: PathBuf,
}

impl Plays {
    /// What runs them.
    pub fn interpreter<'a>(&self, sessions: Sessions<'a>, tell: &'a dyn Fn(PlayEvent)) -> Interpreter<'a> {
        self.interpreter_with(self.settings.clone(), sessions, tell)
    }

    fn interpreter_with<'a>(
        &self,
        settings: Settings,
        sessions: Sessions<'a>,
        tell: &'a dyn Fn(PlayEvent),
    ) -> Interpreter<'a> {
        Interpreter::new(&self.shelf, self.inventory.clone(), self.directory.clone(), settings, sessions, tell)
    }

    /// The play of an instance's roles.
    fn of_roles(&self, host: &str, lifecycle: &Lifecycle) -> Result<(Play, Rc<Loader>), Diagnostic> {
        let uses = lifecycle.roles.iter().map(|role| RoleUse::of_site(&role.name, &role.vars, &role.tags));
        self.shelf.roles(&self.directory, host, &uses.collect::<Vec<_>>())
    }

    /// The hash of what an instance's roles are made of.
    ///
    /// # Errors
    /// A role cannot be read; in words.
    pub fn content_of_roles(&self, host: &str, lifecycle: &Lifecycle) -> Result<String, String> {
        self.of_roles(host, lifecycle).map_err(|problem| self.told(&problem))?.0.content()
    }

    /// Runs an instance's roles in another instance, which is to become an image.
    ///
    /// # Errors
    /// What failed, in words.
    pub async fn bake(
        &self,
        client: &Client,
        id: &Id,
        lifecycle: &Lifecycle,
        tell: &dyn Fn(PlayEvent),
    ) -> Result<(), String> {
        Session::new(client, id).wait_up(UP).await.map_err(|error| error.to_string())?;
        let mut inventory = Inventory::default();
        inventory.hosts.insert(id.name.clone(), Host::new(id.clone(), &serde_json::json!({"name": id.name})));
        let sessions = |id: &Id| Session::new(client, id);
        let (directory, settings) = (self.directory.clone(), self.settings.clone());
        let interpreter = Interpreter::new(&self.shelf, inventory, directory, settings, &sessions, tell);
        let play = self.of_roles(&id.name, lifecycle).map_err(|problem| self.told(&problem))?;
        let told = |problems: Vec<Diagnostic>| {
            problems.iter().map(|problem| self.told(problem)).collect::<Vec<_>>().join("\n  ")
        };
        let is_well = interpreter.run(vec![play]).await.map_err(told)?;
        interpreter.recap();
        if is_well { Ok(()) } else { Err(interpreter.take_failures().join("; ")) }
    }

    /// A finding in words, with its place.
    pub fn told(&self, diagnostic: &Diagnostic) -> String {
        let place = diagnostic.span.map(|span| format!("{}: ", self.shelf.library.place(span))).unwrap_or_default();
        let help = diagnostic.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{place}{}{help}", diagnostic.message)
    }
}

impl One<'_> {
    /// Waits until the guest is up, and runs the instance's roles.
    pub(super) async fn provision(&self) -> Result<(), Failure> {
        let (Some(interpreter), Some(plays)) = (self.context.interpreter, self.context.run.plays) else {
            return Err(Failure::because("nothing to provision with"));
        };
        let Some(lifecycle) = self.object()?.lifecycle.as_ref() else { return Ok(()) };
        let id = self.id();
        // Addresses and cloud-init come before whatever is installed; the other checks are of what the roles bring.
        let is_first = |check: &&Check| matches!(check.condition, Condition::Ipv4 | Condition::CloudInit);
        let first: Vec<Check> = lifecycle.ready.iter().filter(is_first).cloned().collect();
        guest::wait_ready(self.client, &id, &first, lifecycle.ready_timeout)
            .await
            .map_err(|not_ready| Failure { message: not_ready.message, details: not_ready.log_lines })?;
        let session = Session::new(self.client, &id);
        session.wait_up(UP).await.map_err(|error| Failure::because(error.to_string()))?;
        let address = &self.step.address;
        let play = || {
            let play = plays.of_roles(&address.key, lifecycle);
            play.map_err(|diagnostic| Failure::because(plays.told(&diagnostic)))
        };
        let Some(turn) = self.context.turns.of(address) else {
            return self.played(interpreter.run(vec![play()?]).await, interpreter, plays);
        };
        if self.changes_nothing(play()?, interpreter, plays).await {
            return Ok(());
        }
        let mut turn = turn.lock().await;
        if let Some(failed) = &*turn {
            return Err(Failure::because(format!("not tried, since it failed in {failed}, of the same group")));
        }
        let result = self.played(interpreter.run(vec![play()?]).await, interpreter, plays);
        let result = match result {
            // It serves again before the next is worked on.
            Ok(()) => self.ready().await,
            failed => failed,
        };
        if result.is_err() {
            *turn = Some(address.clone());
        }
        result
    }

    /// True if the guest is known to be as its roles want it: they need not be run, and what was found is told as theirs.
    async fn changes_nothing(&self, play: (Play, Rc<Loader>), interpreter: &Interpreter<'_>, plays: &Plays) -> bool {
        let found = RefCell::new(vec![]);
        let tell = |event: PlayEvent| found.borrow_mut().push(event);
        let sessions = |id: &Id| Session::new(self.client, id);
        let settings = Settings { check: true, only_looks: true, ..plays.settings.clone() };
        let looks = plays.interpreter_with(settings, &sessions, &tell);
        let is_done = matches!(looks.run(vec![play]).await, Ok(true));
        let unsettled = |event: &PlayEvent| {
            let settled = |status| matches!(status, TaskStatus::Ok | TaskStatus::Skipped);
            matches!(event, PlayEvent::Task(ended) if !settled(ended.status))
        };
        let found = found.take();
        let is_settled = is_done && !found.iter().any(unsettled);
        if is_settled {
            interpreter.take_in(&looks);
            found.into_iter().for_each(|event| drop(self.context.events.send(Event::Play(event))));
        }
        is_settled
    }

    fn played(
        &self,
        result: Result<bool, Vec<Diagnostic>>,
        interpreter: &Interpreter<'_>,
        plays: &Plays,
    ) -> Result<(), Failure> {
        let host = format!("{}: ", self.step.address.key);
        match result {
            Ok(true) => Ok(()),
            Ok(false) => {
                let failures = interpreter.take_failures();
                let mine = failures.iter().find_map(|failure| failure.strip_prefix(&host));
                Err(Failure::because(mine.unwrap_or("a task failed")))
            }
            Err(problems) => {
                let mut lines = problems.iter().map(|problem| plays.told(problem));
                let message = lines.next().unwrap_or_default();
                Err(Failure { message, details: lines.collect() })
            }
        }
    }
}

/// What a plan would do inside of the instances, as far as anybody can know before it is run. Guests are asked, and
/// nothing is done.
///
/// # Errors
/// What is wrong with the plays themselves, in words.
pub async fn preview(plan: &Plan, plays: &Plays, snapshot: &Snapshot, client: &Client) -> Result<Preview, Vec<String>> {
    let events = RefCell::new(Preview::default());
    let tell = |event: PlayEvent| match event {
        PlayEvent::Task(ended) => events.borrow_mut().tasks.push(*ended),
        PlayEvent::Note { host, text } => events.borrow_mut().notes.push((host, text)),
        PlayEvent::Recap { hosts, .. } => events.borrow_mut().counts = hosts,
        PlayEvent::Play { .. } | PlayEvent::TaskStarted { .. } => {}
    };
    let sessions = |id: &Id| Session::new(client, id);
    let interpreter = plays.interpreter(&sessions, &tell);
    for change in plan.changes.iter().filter(|change| change.address.section == "instances") {
        let host = change.address.key.as_str();
        let live = snapshot.get("instances", &change.id);
        let runs = live.and_then(|live| live.get("status")).is_some_and(|status| status == "Running");
        let is_moved = |step: &&Step| {
            step.address == change.address && matches!(step.verb, Verb::Start | Verb::Stop | Verb::Restart)
        };
        match change.action {
            Action::Create => interpreter.unseen(host, "the instance is not created yet"),
            Action::Replace => interpreter.unseen(host, "the instance is replaced by a new one"),
            Action::Rename => interpreter.unseen(host, "the instance gets another name first"),
            _ if !runs => interpreter.unseen(host, "the instance does not run yet"),
            _ if plan.steps.iter().any(|step| is_moved(&step)) => {
                interpreter.unsettled(host, "the instance is started again first")
            }
            _ => {}
        }
    }
    let told = |problems: Vec<Diagnostic>| problems.iter().map(|problem| plays.told(problem)).collect::<Vec<_>>();
    let roles = plan.steps.iter().filter(|step| step.verb == Verb::Provision).filter_map(|step| {
        let lifecycle = plan.work[step.change].object.as_ref()?.lifecycle.as_ref()?;
        Some(async {
            let play = plays.of_roles(&step.address.key, lifecycle).map_err(|problem| told(vec![problem]))?;
            interpreter.run(vec![play]).await.map_err(told)
        })
    });
    let mut goes_on = true;
    for result in join_all(roles).await {
        goes_on &= result?;
    }
    // Side by side they were asked; they are told one after the other.
    let order: Vec<String> = plan.steps.iter().map(|step| step.address.key.clone()).collect();
    let place = |host: &String| order.iter().position(|other| other == host);
    events.borrow_mut().tasks.sort_by_key(|ended| place(&ended.host));
    for playbook in plan.playbooks.iter().take_while(|_| goes_on) {
        let read = plays.shelf.playbook(playbook).map_err(|problem| told(vec![problem]))?;
        interpreter.run(read).await.map_err(told)?;
    }
    interpreter.recap();
    Ok(events.into_inner())
}

/// Runs the plan's playbooks. True if all went well.
pub async fn playbooks(context: &Context<'_>, interpreter: &Interpreter<'_>) -> bool {
    let Some(plays) = context.run.plays else { return true };
    let note = |text: String| drop(context.events.send(Event::Note { text }));
    for playbook in &context.plan.playbooks {
        let result = match plays.shelf.playbook(playbook) {
            Ok(read) => interpreter.run(read).await,
            Err(problem) => Err(vec![problem]),
        };
        match result {
            Ok(true) => {}
            Ok(false) => return false,
            Err(problems) => {
                problems.iter().for_each(|problem| note(plays.told(problem)));
                return false;
            }
        }
    }
    true
}
