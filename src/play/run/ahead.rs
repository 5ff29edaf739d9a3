//! Looking ahead: what the tasks to come will ask a guest is asked together with what this one asks.
//!
//! The host's way is walked on from where it stands, on a copy of all that is known of the host, in check mode and
//! without the guest: a question without an answer is noted, its task counts as unknown, and the walk goes on. What is
//! noted is only asked: whatever comes of it, each task decides when it is its turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::FutureExt;
use tokio::sync::Semaphore;

use super::walk::Walk;
use super::{Batch, Interpreter, Position};
use crate::guest::Probe;
use crate::play::scope::{Stage, World};

/// What is looked for on a walk ahead.
pub(super) struct Ahead {
    /// What is not known of the guest.
    pub wanted: RefCell<Vec<Probe>>,
    /// Where the walk begins.
    pub from: Position,
    /// So many more tasks are looked at.
    pub left: Cell<usize>,
    /// The host's own tasks come after a change that is done for real: what was asked would be asked again.
    pub stops_at_change: bool,
}

/// No more than this is asked at once: a script has an end.
const MOST: usize = 2000;

impl Ahead {
    pub(super) fn want(&self, probe: Probe) {
        let mut wanted = self.wanted.borrow_mut();
        if wanted.len() < MOST && !wanted.contains(&probe) {
            wanted.push(probe);
        }
    }
}

impl Walk<'_> {
    /// What the tasks from here on will ask, as far as it is known by now.
    pub(super) fn look_ahead(&self) -> Vec<Probe> {
        let limit = self.host.horizon.get();
        self.host.horizon.set(limit.saturating_mul(4));
        if limit <= 1 || self.run.ahead.is_some() {
            return vec![];
        }
        let stage = &self.batch.stage;
        let world = &self.run.world;
        let host = Rc::new(self.host.copied());
        let mut hosts = world.hosts.clone();
        hosts.insert(host.name.clone(), host.clone());
        let copy = World {
            inventory: world.inventory.clone(),
            hosts,
            site_vars: world.site_vars.clone(),
            extra_vars: world.extra_vars.clone(),
            settings: world.settings.clone(),
            library: world.library.clone(),
            site_directory: world.site_directory.clone(),
        };
        let ahead = Ahead {
            wanted: RefCell::default(),
            from: self.position.borrow().clone(),
            left: Cell::new(limit),
            stops_at_change: !world.settings.check,
        };
        let silent = |_| {};
        let run = Interpreter {
            world: Rc::new(copy),
            engine: self.run.engine.clone(),
            sessions: self.run.sessions,
            open: RefCell::default(),
            emit: &silent,
            counts: RefCell::default(),
            forks: Semaphore::new(1),
            throttles: RefCell::default(),
            failures: RefCell::default(),
            out: RefCell::default(),
            other_handlers: self.run.other_handlers.clone(),
            started: self.run.started.clone(),
            begun: self.run.begun,
            trips: RefCell::default(),
            ahead: Some(ahead),
        };
        let batch = Batch { stage: Rc::new(stage.copied()), ..Batch::of(stage, 1, false) };
        let session = self.session.clone();
        let walk = Walk {
            notified: self.notified.clone(),
            maybe_notified: self.maybe_notified.clone(),
            recalled: self.recalled.clone(),
            more_handlers: self.more_handlers.clone(),
            failed: self.failed.clone(),
            started: self.started.clone(),
            ..Walk::new(&run, &batch, host, 0, session)
        };
        let roles = stage.loader.public_roles();
        // It waits for nothing: what would wait is left.
        let _ = walk.the_rest().now_or_never();
        drop(walk);
        stage.loader.forget_roles(&roles);
        stage.loader.take_handlers();
        run.ahead.map(|ahead| ahead.wanted.into_inner()).unwrap_or_default()
    }

    /// True if a walk ahead has nothing to do with what stands here.
    pub(super) fn is_behind(&self, position: &[usize]) -> bool {
        let Some(ahead) = &self.run.ahead else { return false };
        position < ahead.from.as_slice() && !ahead.from.starts_with(position)
    }

    /// A walk ahead comes to a task: true if it goes no further.
    pub(super) fn is_far(&self) -> bool {
        let Some(ahead) = &self.run.ahead else { return false };
        let left = ahead.left.get();
        ahead.left.set(left.saturating_sub(1));
        left == 0
    }
}

impl Stage {
    /// The same, to be changed apart from it.
    pub(super) fn copied(&self) -> Stage {
        Stage {
            play: self.play.clone(),
            loader: self.loader.clone(),
            name: self.name.clone(),
            hosts: self.hosts.clone(),
            all_hosts: self.all_hosts.clone(),
            batch: self.batch.clone(),
            unknown: self.unknown.clone(),
        }
    }
}
