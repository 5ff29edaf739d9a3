//! A module at work: its questions, its acts, its result.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::loops::is_harmless;
use super::task::{Outcome, is_true};
use super::walk::Walk;
use crate::forecast::{Belief, Effect};
use crate::guest::{Done, GuestError, Probe, Session, Write};
use crate::play::controller::Side;
use crate::play::host::HostState;
use crate::play::model::Task;
use crate::play::parse;
use crate::play::scope::View;
use crate::tasks::feasible;
use crate::tasks::{Call, Failure, Known, Map, Module, Pause, Report, registry};
use crate::template::ansible::text;
use crate::template::{Value, map};

/// Modules that do nothing in a guest: they may be "delegated" to the operator's machine.
const HARMLESS: &[&str] =
    &["debug", "assert", "fail", "set_fact", "set_stats", "pause", "ping", "group_by", "include_vars"];

/// Why a module did not come to its end.
pub(super) enum Stop {
    Failed(Failure),
    Unreachable(String),
    /// Nobody can know before it is run, and why.
    Unknown(String),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure.is_unknown {
            true => Stop::Unknown(failure.message),
            false => Stop::Failed(failure),
        }
    }
}

impl From<GuestError> for Stop {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::Unreachable(why) => Stop::Unreachable(why),
            GuestError::Refused(why) | GuestError::TimedOut(why) => Stop::Failed(Failure::new(why)),
        }
    }
}

/// What is said of an answer that a walk ahead has not got.
pub(super) const NOT_ASKED: &str = "it is not asked yet";

/// What a run of a module is given.
pub(super) struct Setting<'s> {
    pub task: &'s Task,
    pub view: &'s View,
    pub session: &'s Session,
    /// Whose inside that is.
    pub host: Rc<HostState>,
    pub args: Map,
    pub check: bool,
    pub diff: bool,
    pub user: Option<String>,
    pub environment: BTreeMap<String, String>,
    /// Handlers that are notified when something changes.
    pub notifies: &'s [usize],
    pub timeout: Option<Duration>,
}

impl Walk<'_> {
    /// Runs a task's module once; also gives the handlers that a change notifies.
    pub(super) async fn acted(&self, task: &Rc<Task>, view: &View) -> (Outcome, Vec<usize>) {
        let notifies = match self.notified_by(task, view) {
            Ok(notifies) => notifies,
            Err(failure) => return (Outcome::failed(failure), vec![]),
        };
        let before = self.session.trips();
        let ended = self.module(task, view, &notifies).await;
        self.run.count_trips(&self.host.name, task, self.session.trips() - before);
        let outcome = match ended {
            Ok(mut report) => {
                report.unknown_result = report.unknown_result.map(|why| self.veiled(task, view, why));
                outcome_of(task, report)
            }
            Err(Stop::Failed(failure)) => Outcome::failed(failure),
            // On a walk ahead that is no doubt: what comes after it is asked as well.
            Err(Stop::Unknown(why)) if self.run.ahead.is_some() && why == NOT_ASKED => {
                Outcome { is_laid: true, ..Outcome::unknown(why) }
            }
            // In check mode alone it is not done, whatever it would do: Ansible calls that skipped.
            Err(Stop::Unknown(_)) if self.is_never_done(view) => not_done(),
            Err(Stop::Unknown(why)) => {
                let outcome = self.doubted(task, view, Outcome::unknown(why));
                self.ensure(task, view);
                outcome
            }
            Err(Stop::Unreachable(why)) => {
                let failure = Failure { message: why, ..Failure::default() };
                Outcome { is_unreachable: true, ..Outcome::failed(failure.with("unreachable", true)) }
            }
        };
        (outcome, notifies)
    }

    /// A task that is surely run, whatever it finds: what is so after it, is laid over what is known of the guest.
    fn ensure(&self, task: &Rc<Task>, view: &View) {
        // Where the play goes on although it failed, nothing is sure.
        let is_minded = task.failed_when.is_none() && !self.is_rescuable.get();
        if !is_minded || self.run.flag(view, "ignore_errors").unwrap_or(true) {
            return;
        }
        let Some(module) = registry::find(&task.module) else { return };
        let Ok(args) = self.run.arguments(task, view) else { return };
        let facts = map(self.host.facts.borrow().clone());
        let unknown_facts = self.host.unknown_facts.borrow().clone();
        let side = Side { engine: &self.run.engine, view };
        let call = Call {
            name: &task.module,
            args: &args,
            check: true,
            diff: false,
            user: None,
            environment: &BTreeMap::new(),
            facts: &facts,
            unknown_facts: unknown_facts.as_deref(),
            controller: &side,
            round: 0,
        };
        let effects = module.ensure(&call).unwrap_or_default();
        effects.into_iter().for_each(|effect| self.host.forecast.borrow_mut().lay(effect));
    }

    async fn module(&self, task: &Rc<Task>, view: &View, notifies: &[usize]) -> Result<Report, Stop> {
        let args = self.run.arguments(task, view)?;
        match parse::special(&task.module) {
            Some("include_vars") => return Ok(self.include_vars(&args, view)?),
            Some("group_by") => return Ok(self.group_by(&args)?),
            _ => {}
        }
        let module = registry::find(&task.module).ok_or_else(|| unknown_module(&task.module))?;
        let delegate = match view.context.setting("delegate_to") {
            Some(delegate) => Some(text(&self.rendered(delegate, view)?)).filter(|name| !name.is_empty()),
            None => None,
        };
        let other;
        let (session, host) = match delegate.as_deref() {
            None => (&*self.session, self.host.clone()),
            Some(name) if name == self.host.name => (&*self.session, self.host.clone()),
            Some(name) if HARMLESS.contains(&task.action()) && is_operator(name) => (&*self.session, self.host.clone()),
            Some(_) if self.run.ahead.is_some() => return Err(Stop::Unknown(NOT_ASKED.to_owned())),
            Some(name) => {
                let session = self.run.session(name).filter(|_| !is_operator(name));
                let host = self.run.world.hosts.get(name).cloned();
                let (session, host) = session.zip(host).ok_or_else(|| not_there(name, &task.module))?;
                other = session;
                (&*other, host)
            }
        };
        let keyword = |name: &str| view.context.setting(name).map(|value| self.rendered(value, view)).transpose();
        if keyword("connection")?.is_some_and(|connection| text(&connection) == "local")
            && !HARMLESS.contains(&task.action())
        {
            return Err(not_there("localhost", &task.module).into());
        }
        let flag =
            |name: &str, default: bool| Ok::<_, Failure>(keyword(name)?.map_or(default, |value| is_true(&value)));
        let settings = &self.run.world.settings;
        let user = keyword("become_user")?.map(|user| text(&user)).filter(|user| !user.is_empty() && user != "root");
        let user = if flag("become", false)? { user } else { None };
        let limit = self.number(view.context.setting("timeout"), view, "timeout")?.filter(|limit| *limit > 0.0);
        let limit = match &task.background {
            Some((seconds, poll)) => {
                if poll.as_ref().is_some_and(|poll| text(poll) == "0") {
                    let message =
                        "a task that nobody waits for (`poll: 0`) is not supported: write a unit, or wait for it";
                    return Err(Failure::new(message).into());
                }
                self.number(Some(seconds), view, "async")?.filter(|limit| *limit > 0.0).or(limit)
            }
            None => limit,
        };
        let is_unseen = host.forecast.borrow().is_unseen().is_some();
        // `check_mode: false` has no say where the guest is not yet what it will be by then.
        let is_early = settings.check && host.forecast.borrow().is_ahead();
        let only_looks = settings.only_looks || self.run.ahead.is_some() || is_unseen || is_early;
        let setting = Setting {
            task,
            view,
            session,
            host,
            args,
            check: only_looks || flag("check_mode", settings.check)?,
            diff: flag("diff", settings.diff)?,
            user,
            environment: self.run.environment(view)?,
            notifies,
            timeout: limit.map(Duration::from_secs_f64),
        };
        let work = self.converge(module, &setting);
        match setting.timeout {
            None => work.await,
            Some(limit) => match tokio::time::timeout(limit, work).await {
                Ok(result) => result,
                Err(_) => Err(Failure::new(format!(
                    "The {} action failed to execute in the expected time frame ({}) and was terminated",
                    task.module,
                    limit.as_secs_f64()
                ))
                .into()),
            },
        }
    }

    /// True for a task that says itself that it is in check mode, also when all others are done.
    fn is_never_done(&self, view: &View) -> bool {
        self.run.flag(view, "check_mode").unwrap_or(false)
    }

    /// Looks until nothing is missing, and does what differs; in check mode only tells of it, and lays what it would
    /// leave over what is known of the guest.
    async fn converge(&self, module: &dyn Module, setting: &Setting<'_>) -> Result<Report, Stop> {
        let facts = map(self.host.facts.borrow().clone());
        let unknown_facts = self.host.unknown_facts.borrow().clone();
        let side = Side { engine: &self.run.engine, view: setting.view };
        let forecast = &setting.host.forecast;
        let is_never_done = self.is_never_done(setting.view);
        let mut known = Known::default();
        let mut changes = vec![];
        let mut was_changed = false;
        let mut unknown_result = None;
        let mut round = 0;
        loop {
            let call = Call {
                name: &setting.task.module,
                args: &setting.args,
                check: setting.check,
                diff: setting.diff,
                user: setting.user.as_deref(),
                environment: &setting.environment,
                facts: &facts,
                unknown_facts: unknown_facts.as_deref(),
                controller: &side,
                round,
            };
            let verdict = self.told(&mut known, setting, |known| module.inspect(&call, known)).await?;
            let again = verdict.again;
            let is_last = !again || round > 20;
            let mut report = if setting.check && is_never_done {
                verdict.report()
            } else if setting.check {
                let foresee = |known: &Known| {
                    feasible::check(&verdict, known)?;
                    module.foresee(&call, &verdict, known)
                };
                let effects = self.told(&mut known, setting, foresee).await?;
                for effect in effects {
                    let effect = match effect {
                        Effect::Unknown { scope, why } => {
                            Effect::Unknown { scope, why: self.veiled(setting.task, setting.view, why) }
                        }
                        other => other,
                    };
                    forecast.borrow_mut().lay(effect);
                }
                verdict.report()
            } else {
                if !verdict.writes.is_empty() && !setting.notifies.is_empty() {
                    self.promise(setting.notifies).await?;
                }
                let done = self.done(&verdict.writes, setting).await;
                if !verdict.writes.is_empty() {
                    forecast.borrow_mut().forget();
                }
                let is_changed = verdict.is_changed();
                let report = module.finish(&call, verdict, &done?)?;
                Report { changed: report.changed || is_changed && !is_last, ..report }
            };
            changes.append(&mut report.changes);
            was_changed |= report.changed;
            unknown_result = report.unknown_result.take().or(unknown_result);
            if is_last {
                return Ok(Report { changed: was_changed, changes, unknown_result, ..report });
            }
            known = Known::default();
            round += 1;
        }
    }

    /// Runs what asks until all is answered that it asks.
    async fn told<T>(
        &self,
        known: &mut Known,
        setting: &Setting<'_>,
        asks: impl Fn(&Known) -> Result<T, Pause>,
    ) -> Result<T, Stop> {
        loop {
            match asks(known) {
                Ok(told) => return Ok(told),
                Err(Pause::Failed(failure)) => return Err(failure.into()),
                Err(Pause::Unknown(why)) => return Err(Stop::Unknown(why)),
                Err(Pause::Asked) => {
                    let wanted = known.take_wanted();
                    if wanted.is_empty() {
                        return Err(Failure::new("the module asks for nothing and cannot go on").into());
                    }
                    self.answer(wanted, known, setting).await?;
                }
            }
        }
    }

    /// Answers a module's questions: from what is known, else the guest is asked, and with it what the tasks to come
    /// will want to know.
    async fn answer(&self, wanted: Vec<Probe>, known: &mut Known, setting: &Setting<'_>) -> Result<(), Stop> {
        let forecast = &setting.host.forecast;
        loop {
            let mut missing: Vec<Probe> = vec![];
            for probe in &wanted {
                let belief = forecast.borrow().believe(probe);
                match belief {
                    Belief::Known(answer) => known.learn(probe.clone(), answer),
                    Belief::Unknown(why) => known.learn_unknown(probe.clone(), why),
                    Belief::Ask(probe) if !missing.contains(&probe) => missing.push(probe),
                    Belief::Ask(_) => {}
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if let Some(ahead) = &self.run.ahead {
                missing.into_iter().for_each(|probe| ahead.want(probe));
                return Err(Stop::Unknown(NOT_ASKED.to_owned()));
            }
            if Rc::ptr_eq(&setting.host, &self.host) {
                for probe in self.look_ahead() {
                    if !missing.contains(&probe) {
                        missing.push(probe);
                    }
                }
            }
            let started = std::time::Instant::now();
            let answers = setting.session.ask(&missing).await?;
            let (task, count, elapsed) = (setting.task.name.as_ref().map(text), missing.len(), started.elapsed());
            tracing::debug!(
                "{}: {count} questions from `{}` on, {elapsed:.1?}",
                setting.host.name,
                task.unwrap_or_default()
            );
            let mut forecast = forecast.borrow_mut();
            missing.into_iter().zip(answers).for_each(|(probe, answer)| forecast.learn(probe, answer));
        }
    }

    /// Does the acts in their order; the first command that fails is the last.
    async fn done(&self, writes: &[Write], setting: &Setting<'_>) -> Result<Vec<Done>, Stop> {
        if let ([Write::Run(command)], None, true) = (writes, setting.timeout, is_harmless(setting.task)) {
            return Ok(vec![Done::Ran(setting.session.look(command).await?)]);
        }
        let limited: Vec<Write>;
        let writes = match setting.timeout {
            Some(limit) => {
                limited = writes.iter().map(|write| with_limit(write, limit)).collect();
                &limited
            }
            None => writes,
        };
        Ok(setting.session.apply_all(writes).await?)
    }
}

/// The same act, which may take no longer than its task.
fn with_limit(write: &Write, limit: Duration) -> Write {
    match write {
        Write::Run(command) if command.timeout.is_none() => {
            Write::Run(crate::guest::Command { timeout: Some(limit), ..command.clone() })
        }
        other => other.clone(),
    }
}

/// What Ansible says of a command that is not run because it is in check mode.
fn not_done() -> Outcome {
    let mut outcome = Outcome::skipped("Command would have run if not in check mode", None);
    let empty = [("rc", Value::from(0)), ("stdout", "".into()), ("stderr", "".into())];
    outcome.result.extend(empty.map(|(name, value)| (name.to_owned(), value)));
    outcome
}

fn outcome_of(task: &Task, report: Report) -> Outcome {
    let Report { changed, skipped, mut result, facts, changes, warnings, unknown_result } = report;
    result.insert("changed".into(), changed.into());
    if let Some(reason) = &skipped {
        result.insert("skipped".into(), true.into());
        result.entry("msg".into()).or_insert_with(|| reason.as_str().into());
    }
    for stream in ["stdout", "stderr"] {
        if let Some(said) = result.get(stream).and_then(|value| value.as_str().map(str::to_owned)) {
            let lines = Value::from(said.lines().map(str::to_owned).collect::<Vec<_>>());
            result.entry(format!("{stream}_lines")).or_insert(lines);
        }
    }
    if !facts.is_empty() && !result.contains_key("ansible_facts") {
        let prefixed = ["setup", "gather_facts"].contains(&task.action());
        let name = |name: &String| if prefixed { format!("ansible_{name}") } else { name.clone() };
        result.insert("ansible_facts".into(), map(facts.iter().map(|(key, value)| (name(key), value.clone()))));
    }
    if !warnings.is_empty() {
        result.insert("warnings".into(), Value::from(warnings.clone()));
    }
    Outcome {
        result,
        is_changed: changed,
        is_skipped: skipped.is_some(),
        changes,
        facts,
        warnings,
        unknown_result,
        ..Outcome::default()
    }
}

fn is_operator(name: &str) -> bool {
    ["localhost", "127.0.0.1", "::1"].contains(&name)
}

fn not_there(name: &str, module: &str) -> Failure {
    if is_operator(name) {
        return Failure::new(format!(
            "`{module}` is delegated to {name}: lxdeploy runs nothing on the machine that it runs on; delegate it to an instance of the site, or do it before"
        ));
    }
    Failure::new(format!("`{module}` is delegated to {name}, and the site has no such instance"))
}

/// What is said of a module that there is none of.
pub fn unknown_module(name: &str) -> Failure {
    let reason = match name.rsplit('.').next().unwrap_or(name) {
        "add_host" => "the hosts are the site's instances: name it in the site".to_owned(),
        "async_status" => "no task runs in the background here".to_owned(),
        _ => match registry::nearest(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "docs/tasks.md lists what there is; modules are built in, and Python plugins and `library/` are not run"
                    .to_owned()
            }
        },
    };
    Failure::new(format!("there is no module `{name}`; {reason}"))
}

impl super::Interpreter<'_> {
    fn count_trips(&self, host: &str, task: &Task, trips: u64) {
        if trips > 0 {
            let role = task.context.role().map(|role| role.name.clone()).unwrap_or_default();
            *self.trips.borrow_mut().entry((host.to_owned(), role)).or_default() += trips;
        }
    }
}
