use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};

use super::lock::Lock;
use super::provision::{self, Plays};
use super::schedule::{Class, Limits, Schedule};
use super::step::{self, Context};
use crate::guest::Session;
use crate::live::Snapshot;
use crate::lxd::Client;
use crate::model::{Event, Id, Outcome, PlayEvent, StepId, Verb};
use crate::plan::Plan;

/// What a run needs beside its plan.
pub struct Run<'a> {
    /// The server.
    pub client: &'a Client,
    /// What the plan was made of.
    pub snapshot: &'a Snapshot,
    /// Bounds of parallel work.
    pub limits: Limits,
    /// Instances that go are stopped by force at once.
    pub force_stop: bool,
    /// This step first and alone: it makes the project in which the lock will be.
    pub first: Option<StepId>,
    /// Somebody looks at LXD's own progress of what runs.
    pub shows_progress: bool,
    /// What is run inside of instances; `None` where nothing is.
    pub plays: Option<&'a Plays>,
}

/// How long the lock may take to be given back.
const RELEASE: Duration = Duration::from_secs(5);

/// How often the user has asked to stop: once, no new step starts; twice, the run is left.
pub type Interrupt = watch::Receiver<usize>;

/// A thin driver: asks the schedule, runs steps, tells events. True if all steps are done.
///
/// `gate` is passed before anything is written (but for [`Run::first`]): it takes the lock, where one can
/// be had, and sees to it that the plan is still right.
///
/// # Errors
/// Those of `gate`; then nothing was written.
pub async fn run<E>(
    plan: &Plan,
    run: &Run<'_>,
    gate: impl AsyncFnOnce(&mut dyn FnMut(Event)) -> Result<Option<Lock>, E>,
    mut interrupt: Interrupt,
    emit: &mut dyn FnMut(Event),
) -> Result<bool, E> {
    let started = Instant::now();
    let classes = plan.steps.iter().map(|step| class_of(plan, step.id)).collect();
    let mut schedule = Schedule::new(&plan.steps, classes, run.limits);
    let (progress, mut told) = mpsc::unbounded_channel();
    let sessions = |id: &Id| Session::new(run.client, id);
    let teller = progress.clone();
    let tell = move |event: PlayEvent| drop(teller.send(Event::Play(event)));
    let interpreter = run.plays.map(|plays| plays.interpreter(&sessions, &tell));
    let context = Context::new(plan, run, interpreter.as_ref(), progress);
    let mut running = FuturesUnordered::new();
    let mut since: HashMap<StepId, Instant> = HashMap::new();
    let (mut done, mut failed) = (0, 0);
    let following = std::pin::pin!(follow(run));
    let mut following = following.fuse();
    let mut gate = Some(gate);
    if run.first.is_none()
        && let Some(gate) = gate.take()
    {
        gate(emit).await?.into_iter().for_each(|lock| drop(context.lock.set(lock)));
    }
    let mut losing = std::pin::pin!(lost(&context).fuse());
    emit(Event::Started { steps: plan.steps.len() });
    let mut first = run.first.inspect(|first| schedule.start(*first));
    let mut refused = None;
    loop {
        let next = |schedule: &mut Schedule| if gate.is_none() { schedule.start_next() } else { None };
        while let Some(id) = first.take().or_else(|| next(&mut schedule)) {
            let step = &plan.steps[id.0];
            since.insert(id, Instant::now());
            emit(Event::StepStarted { step: id, address: step.address.clone(), verb: step.verb });
            let context = &context;
            running.push(async move { (id, step::run(context, id).await) });
        }
        if schedule.is_done() || running.is_empty() && gate.is_some() {
            break;
        }
        tokio::select! {
            Some((id, outcome)) = running.next() => {
                while let Ok(event) = told.try_recv() {
                    emit(event);
                }
                let is_done = outcome == Outcome::Done;
                if is_done { done += 1 } else { failed += 1 }
                let elapsed = since.get(&id).map(Instant::elapsed).unwrap_or_default();
                emit(ended(plan, id, outcome, elapsed));
                for blocked in schedule.finished(id, is_done) {
                    emit(ended(plan, blocked, Outcome::Blocked { by: plan.steps[id.0].address.clone() }, Duration::ZERO));
                }
                if is_done && !schedule.is_done() && let Some(gate) = gate.take() {
                    match gate(emit).await {
                        Ok(lock) => {
                            lock.into_iter().for_each(|lock| drop(context.lock.set(lock)));
                            losing.set(lost(&context).fuse());
                        }
                        Err(error) => {
                            refused = Some(error);
                            break;
                        }
                    }
                }
            }
            Some(event) = told.recv() => emit(event),
            () = &mut following => {}
            () = &mut losing => {
                schedule.interrupt();
                emit(Event::Note { text: "the lock was taken away, or could not be renewed: no new step starts".into() });
            }
            Ok(()) = interrupt.changed() => {
                schedule.interrupt();
                emit(Event::Interrupted);
                if *interrupt.borrow() > 1 {
                    break;
                }
            }
        }
    }
    drop(running);
    for id in schedule.remaining() {
        emit(ended(plan, id, Outcome::Cancelled, Duration::ZERO));
    }
    let mut played = true;
    if let Some(interpreter) = &interpreter
        && refused.is_none()
    {
        if done == plan.steps.len() && !plan.playbooks.is_empty() {
            let playing = std::pin::pin!(provision::playbooks(&context, interpreter));
            let mut playing = playing.fuse();
            loop {
                tokio::select! {
                    result = &mut playing => {
                        played = result;
                        break;
                    }
                    Some(event) = told.recv() => emit(event),
                    () = &mut following => {}
                    Ok(()) = interrupt.changed() => {
                        emit(Event::Interrupted);
                        if *interrupt.borrow() > 1 {
                            played = false;
                            break;
                        }
                    }
                }
            }
        }
        interpreter.recap();
    }
    while let Ok(event) = told.try_recv() {
        emit(event);
    }
    let not_tried = plan.steps.len() - done - failed;
    emit(Event::Ended { done, failed, not_tried, elapsed: started.elapsed() });
    if let Some(lock) = context.lock.get() {
        // Whoever asked twice to leave does not wait for a server that does not answer.
        let _ = tokio::time::timeout(RELEASE, lock.release()).await;
    }
    refused.map_or(Ok(done == plan.steps.len() && played), Err)
}

/// Returns when the lock is no longer ours.
async fn lost(context: &Context<'_>) {
    match context.lock.get() {
        Some(lock) => lock.lost().await,
        None => std::future::pending().await,
    }
}

/// LXD's progress, as long as it lasts; without it nothing but the percentages is missing.
async fn follow(run: &Run<'_>) {
    if run.shows_progress
        && let Err(error) = run.client.follow_operations().await
    {
        tracing::debug!("no progress from the server: {error}");
    }
}

fn ended(plan: &Plan, id: StepId, outcome: Outcome, elapsed: Duration) -> Event {
    let step = &plan.steps[id.0];
    Event::StepEnded { step: id, address: step.address.clone(), verb: step.verb, outcome, elapsed }
}

/// What a step costs the server.
fn class_of(plan: &Plan, id: StepId) -> Class {
    let step = &plan.steps[id.0];
    match (step.verb, step.address.section.as_str()) {
        (Verb::Ready, _) => Class::Wait,
        (Verb::Provision, _) => Class::Provision,
        (Verb::Start | Verb::Stop | Verb::Restart | Verb::Rename, _) => Class::Power,
        (Verb::Create, "instances" | "images") => Class::Unpack,
        (_, "networks" | "storage_pools" | "network_acls" | "projects") => Class::Global,
        _ => Class::Write,
    }
}
