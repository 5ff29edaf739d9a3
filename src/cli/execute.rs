//! From a plan that was shown to its end: the question, the lock, the run.

use std::io::{BufRead, IsTerminal, Write};

use tokio::sync::watch;

use super::common::{Format, Planned, RunArgs, complain, interruptible};
use super::say::errln;
use super::{Exit, Global};
use crate::apply::lock::{self, Lock};
use crate::apply::schedule::Limits;
use crate::apply::{self, Interrupt};
use crate::kinds;
use crate::live::Snapshot;
use crate::lxd;
use crate::model::{Event, Masker, StepId, Verb};
use crate::plan::{self, Action, Plan};
use crate::play;
use crate::report::{self, JsonLines, Plain, Reporter, Style, Terminal};

/// Why a plan that was shown is not run.
enum Stopped {
    Interrupted,
    Lock(lock::Refused),
    Read(lxd::Error),
    /// What runs inside of the instances is wrong.
    Plays(String),
    /// The server is as wanted by now.
    NothingLeft,
    /// A part is as wanted by now: what is left of the plan.
    Less(Box<(Snapshot, Plan)>),
    /// The server has moved on: what differs.
    Moved(Vec<String>),
}

impl Planned {
    /// Asks where needed, takes the lock, looks again, runs the plan, and tells how it goes.
    pub async fn run(mut self, args: &RunArgs, is_agreed: bool, global: &Global) -> Exit {
        // What runs inside of instances alone is what the site says of them anyway.
        if !args.yes && !is_agreed && !self.plan.is_empty() {
            let question = if self.plan.destroy { "Destroy all of this?" } else { "Apply this plan?" };
            match interruptible(ask(question, global)).await {
                Ok(true) => {}
                Ok(false) => return complain(global, "declined; nothing was written"),
                Err(exit) => return exit,
            }
        }
        let interrupt = interrupts();
        let mut reporter = reporter(args.format, self.opened.masker.clone(), global);
        loop {
            let ended = self.attempt(args, &interrupt, reporter.as_mut()).await;
            return match (ended, *interrupt.borrow()) {
                (Ok(true), _) => Exit::Done,
                (Ok(false), 0) => Exit::Failed,
                (Ok(false), _) => Exit::Interrupted,
                // What is left was shown, too.
                (Err(Stopped::Less(rest)), _) => {
                    reporter.event(&Event::Note { text: "some of it is done meanwhile; the rest is run".into() });
                    (self.snapshot, self.plan) = *rest;
                    continue;
                }
                (Err(stopped), _) => {
                    drop(reporter);
                    self.tell(stopped, global)
                }
            };
        }
    }

    /// Runs the plan once, if it is still the right one.
    async fn attempt(
        &self,
        args: &RunArgs,
        interrupt: &Interrupt,
        reporter: &mut dyn Reporter,
    ) -> Result<bool, Stopped> {
        let plays = self
            .plan
            .has_plays()
            .then(|| self.opened.plays(&self.snapshot, self.keys.clone(), play::Settings::default(), &[]));
        let plays = plays.transpose().map_err(Stopped::Plays)?;
        let run = apply::Run {
            client: &self.opened.client,
            snapshot: &self.snapshot,
            limits: args.parallel.map_or_else(Limits::default, |parallel| Limits::of(parallel.into())),
            force_stop: args.force_stop,
            first: self.first(),
            shows_progress: reporter.shows_progress(),
            plays: plays.as_ref(),
        };
        let mut emit = |event: Event| reporter.event(&event);
        let gate = async |emit: &mut dyn FnMut(Event)| self.gate(args, interrupt.clone(), emit).await;
        apply::run(&self.plan, &run, gate, interrupt.clone(), &mut emit).await
    }

    /// The project in which the lock is: where the site's profiles live.
    fn lock_project(&self) -> String {
        let place = kinds::by_section("profiles").map(kinds::Kind::place);
        let home = &self.plan.project;
        place.map_or_else(|| home.clone(), |place| self.snapshot.projects.effective(home, place))
    }

    /// A run that was killed at its very end left nothing to do but its lock.
    pub async fn remove_dead_locks(&self) {
        let (client, site) = (&self.opened.client, &self.opened.site.name);
        let locks = self.snapshot.all("profiles").filter_map(|(id, raw)| lock::of_profile(raw, site, &id.project));
        for dead in locks.filter(|found| found.is_dead(client.server_time())) {
            if let Err(error) = lock::remove(client, &dead).await {
                tracing::info!("the dead lock {} stays: {error}", dead.profile);
            }
        }
    }

    /// The step that makes that project, where it is not there yet.
    fn first(&self) -> Option<StepId> {
        let project = self.lock_project();
        let makes_it = |step: &&plan::Step| {
            let change = &self.plan.changes[step.change];
            change.address.section == "projects" && change.action == Action::Create && change.id.name == project
        };
        let is_missing = !self.snapshot.projects.exists(&project);
        self.plan.steps.iter().filter(|step| is_missing && step.verb == Verb::Create).find(makes_it).map(|step| step.id)
    }

    /// Under the lock the server is read again: what runs is what was shown.
    async fn gate(
        &self,
        args: &RunArgs,
        mut interrupt: Interrupt,
        emit: &mut dyn FnMut(Event),
    ) -> Result<Option<Lock>, Stopped> {
        let (client, site) = (&self.opened.client, &self.opened.site);
        let project = self.lock_project();
        let lock = if self.snapshot.projects.is_closed(&project) {
            // Incus would let us make a profile there, and never remove it.
            let text = format!(
                "without a lock, since the profiles of the project `{}` lie in `default`, which is closed to this \
                 client's certificate: see to it that nobody else applies this site now",
                site.project
            );
            emit(Event::Note { text });
            None
        } else {
            tokio::select! {
                lock = lock::take(client, &site.name, &project, args.lock_timeout, emit) => Some(lock.map_err(Stopped::Lock)?),
                Ok(()) = interrupt.changed() => return Err(Stopped::Interrupted),
            }
        };
        let looked = tokio::select! {
            looked = self.look_again() => looked,
            Ok(()) = interrupt.changed() => Err(Stopped::Interrupted),
        };
        match looked {
            Ok(()) => Ok(lock),
            Err(stopped) => {
                if let Some(lock) = &lock {
                    lock.release().await;
                }
                Err(stopped)
            }
        }
    }

    async fn look_again(&self) -> Result<(), Stopped> {
        let snapshot = self.opened.snapshot().await.map_err(Stopped::Read)?;
        let now = plan::build(&self.opened.site, &snapshot, &self.options);
        if now.is_empty() && now.refused.is_empty() && !now.has_plays() {
            return Err(Stopped::NothingLeft);
        }
        // With the project its own profile has come, and that is as it should be.
        let made = self.first().map(|first| self.plan.steps[first.0].address.to_string());
        let built_in = self.plan.changes.iter().zip(&self.plan.work).filter(|(_, work)| work.is_built_in);
        let passed_over: Vec<String> = match made {
            Some(made) => built_in.map(|(change, _)| change.address.to_string()).chain([made]).collect(),
            None => vec![],
        };
        let (then, left) = (self.opened.document(&self.plan, None), self.opened.document(&now, None));
        let differences = report::saved::differences(&then, &left, &passed_over);
        let refused = now.refused.iter().map(|refusal| format!("refused: {}", refusal.text));
        let refused: Vec<String> = refused.map(|text| self.opened.masker.mask(&text)).collect();
        match () {
            () if differences.is_empty() && refused.is_empty() => Ok(()),
            () if refused.is_empty() && differences.iter().all(|difference| difference.is_done) => {
                Err(Stopped::Less(Box::new((snapshot, now))))
            }
            () => {
                let differences = report::saved::in_words(differences);
                Err(Stopped::Moved(differences.into_iter().chain(refused).collect()))
            }
        }
    }

    fn tell(&self, stopped: Stopped, global: &Global) -> Exit {
        match stopped {
            Stopped::NothingLeft => {
                errln!("Nothing is left to do: another apply has done it meanwhile.");
                Exit::Done
            }
            Stopped::Less(_) => complain(global, "the plan has become another; plan again"),
            Stopped::Moved(differences) => {
                complain(global, &moved("the server has changed since the plan was made", &differences))
            }
            Stopped::Plays(reason) => complain(global, &reason),
            Stopped::Interrupted => Exit::Interrupted,
            Stopped::Lock(refused) => complain(global, &refused.to_string()),
            Stopped::Read(error) => complain(global, &self.opened.masker.mask(&error.to_string())),
        }
    }
}

/// Who tells what happens, in this format.
pub fn reporter(format: Format, masker: Masker, global: &Global) -> Box<dyn Reporter> {
    let stderr = std::io::stderr();
    match format {
        Format::Json => Box::new(JsonLines::new(Box::new(std::io::stdout()), masker)),
        Format::Text if stderr.is_terminal() => Box::new(Terminal::new(Style::of(&stderr, global.no_color), masker)),
        Format::Text => Box::new(Plain::new(Box::new(stderr), Style::default(), masker)),
    }
}

/// What differs, a line each, and what to do.
pub fn moved(what: &str, differences: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = format!("{what}:\n");
    for line in differences.iter().take(SHOWN) {
        text += &format!("    {line}\n");
    }
    if differences.len() > SHOWN {
        text += &format!("    and {} more\n", differences.len() - SHOWN);
    }
    text + "  nothing was written; plan again"
}

/// A yes or no; without a terminal nobody can be asked.
pub async fn ask(question: impl Into<String>, global: &Global) -> Result<bool, Exit> {
    let question = question.into();
    if !std::io::stdin().is_terminal() {
        return Err(complain(global, "there is no terminal to ask at; --yes goes on without asking"));
    }
    // On a thread of its own, so that Ctrl-C is heard meanwhile.
    let asking = tokio::task::spawn_blocking(move || {
        let mut input: Box<dyn BufRead> = Box::new(std::io::stdin().lock());
        let mut output: Box<dyn Write> = Box::new(std::io::stderr());
        report::confirm(&question, &mut input, &mut output)
    });
    let answer = asking.await.map_err(std::io::Error::other).and_then(|answer| answer);
    answer.map_err(|error| complain(global, &error.to_string()))
}

/// Counts Ctrl-C.
fn interrupts() -> Interrupt {
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            sender.send_modify(|count| *count += 1);
        }
    });
    receiver
}
