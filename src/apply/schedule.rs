//! Which step may start now, and what a failure blocks: a pure state machine over a plan's graph.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::{Address, StepId};
use crate::plan::Step;

/// What a step costs the server, so that each kind of work has a bound of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Making an instance or image: disk.
    Unpack,
    /// Starting, stopping, restarting.
    Power,
    /// A write to the database.
    Write,
    /// What LXD does one at a time anyway: networks, pools.
    Global,
    /// Running roles inside of a guest.
    Provision,
    /// Waiting for a guest.
    Wait,
}

impl Class {
    /// It counts for [`Limits::total`].
    fn counts(self) -> bool {
        !matches!(self, Class::Wait | Class::Provision)
    }
}

/// How many steps of each class run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`Class::Unpack`].
    pub unpack: usize,
    /// See [`Class::Power`].
    pub power: usize,
    /// See [`Class::Write`].
    pub write: usize,
    /// See [`Class::Global`].
    pub global: usize,
    /// See [`Class::Provision`].
    pub provision: usize,
    /// See [`Class::Wait`].
    pub wait: usize,
    /// All together, waiting and what runs inside of guests not counted.
    pub total: usize,
}

impl Default for Limits {
    /// Measured with a dir pool on two cores: unpacking is fastest with 4 at once (beyond, the disk's cache
    /// suffers), starting gains up to 16, and both overlap. `tests/bench/` has the script.
    fn default() -> Self {
        Limits { unpack: 4, power: 16, write: 8, global: 1, provision: 16, wait: 1000, total: 24 }
    }
}

impl Limits {
    /// `--parallel N`: so many steps of any kind.
    pub fn of(parallel: usize) -> Self {
        let n = parallel.max(1);
        Limits { unpack: n, power: n, write: n, global: 1, provision: n, total: n, ..Limits::default() }
    }

    fn of_class(&self, class: Class) -> usize {
        match class {
            Class::Unpack => self.unpack,
            Class::Power => self.power,
            Class::Write => self.write,
            Class::Global => self.global,
            Class::Provision => self.provision,
            Class::Wait => self.wait,
        }
    }
}

/// Where a run of steps stands.
#[derive(Debug)]
pub struct Schedule {
    classes: Vec<Class>,
    addresses: Vec<Address>,
    dependents: Vec<Vec<usize>>,
    /// Steps that a step still waits for.
    waiting: Vec<usize>,
    /// The longest chain of steps behind a step: the longest goes first.
    depth: Vec<usize>,
    ready: BTreeSet<(Class, Reverse<usize>, usize)>,
    running: HashMap<usize, Class>,
    busy: HashSet<Address>,
    ended: Vec<bool>,
    limits: Limits,
    is_interrupted: bool,
}

impl Schedule {
    /// A schedule of steps, each with its class.
    pub fn new(steps: &[Step], classes: Vec<Class>, limits: Limits) -> Self {
        let mut dependents = vec![vec![]; steps.len()];
        for step in steps {
            for before in &step.waits_for {
                dependents[before.0].push(step.id.0);
            }
        }
        let mut depth = vec![0; steps.len()];
        for index in (0..steps.len()).rev() {
            depth[index] = dependents[index].iter().map(|after| depth[*after] + 1).max().unwrap_or(0);
        }
        let waiting: Vec<usize> = steps.iter().map(|step| step.waits_for.len()).collect();
        let mut schedule = Schedule {
            classes,
            addresses: steps.iter().map(|step| step.address.clone()).collect(),
            dependents,
            waiting,
            depth,
            ready: BTreeSet::new(),
            running: HashMap::new(),
            busy: HashSet::new(),
            ended: vec![false; steps.len()],
            limits,
            is_interrupted: false,
        };
        for index in 0..steps.len() {
            schedule.offer(index);
        }
        schedule
    }

    fn offer(&mut self, index: usize) {
        if self.waiting[index] == 0 && !self.ended[index] {
            self.ready.insert((self.classes[index], Reverse(self.depth[index]), index));
        }
    }

    /// Starts a step before all others; it counts as running.
    pub fn start(&mut self, step: StepId) {
        let index = step.0;
        self.ready.retain(|(_, _, ready)| *ready != index);
        self.running.insert(index, self.classes[index]);
        self.busy.insert(self.addresses[index].clone());
    }

    /// A step that may start now; it counts as running.
    pub fn start_next(&mut self) -> Option<StepId> {
        if self.is_interrupted {
            return None;
        }
        let working = self.running.values().filter(|class| class.counts()).count();
        // Waiting first (it costs nothing), then what takes longest to come through.
        for class in [Class::Wait, Class::Provision, Class::Global, Class::Write, Class::Unpack, Class::Power] {
            let of_class = self.running.values().filter(|running| **running == class).count();
            if of_class >= self.limits.of_class(class) || (class.counts() && working >= self.limits.total) {
                continue;
            }
            let candidates = self.ready.range((class, Reverse(usize::MAX), 0)..=(class, Reverse(0), usize::MAX));
            let free = candidates.copied().find(|(_, _, index)| !self.busy.contains(&self.addresses[*index]));
            if let Some(entry) = free {
                self.ready.remove(&entry);
                self.running.insert(entry.2, class);
                self.busy.insert(self.addresses[entry.2].clone());
                return Some(StepId(entry.2));
            }
        }
        None
    }

    /// A running step ended. Of a failure, the steps that will not be tried for it.
    pub fn finished(&mut self, step: StepId, is_done: bool) -> Vec<StepId> {
        let index = step.0;
        self.running.remove(&index);
        self.busy.remove(&self.addresses[index]);
        self.ended[index] = true;
        let dependents = self.dependents[index].clone();
        if is_done {
            for after in dependents {
                self.waiting[after] -= 1;
                self.offer(after);
            }
            return vec![];
        }
        let mut blocked = BTreeSet::new();
        let mut todo = dependents;
        while let Some(after) = todo.pop() {
            if !self.ended[after] {
                self.ended[after] = true;
                blocked.insert(after);
                todo.extend(&self.dependents[after]);
            }
        }
        blocked.into_iter().map(StepId).collect()
    }

    /// No new step starts; running ones may finish.
    pub fn interrupt(&mut self) {
        self.is_interrupted = true;
    }

    /// Nothing runs, and nothing more will start.
    pub fn is_done(&self) -> bool {
        self.running.is_empty() && (self.is_interrupted || self.ready.is_empty())
    }

    /// Steps that have not ended: after an interruption those that were not tried.
    pub fn remaining(&self) -> Vec<StepId> {
        (0..self.ended.len())
            .filter(|index| !self.ended[*index] && !self.running.contains_key(index))
            .map(StepId)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Verb;

    /// Steps whose dependencies are earlier steps, and the class of each.
    fn plan() -> impl Strategy<Value = (Vec<Step>, Vec<Class>)> {
        let class = prop_oneof![
            Just(Class::Unpack),
            Just(Class::Power),
            Just(Class::Write),
            Just(Class::Global),
            Just(Class::Wait),
            Just(Class::Provision)
        ];
        prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..12usize, class), 0..40)
            .prop_map(|raw| {
                let steps = raw.iter().enumerate().map(|(index, (before, address, _))| {
                    let mut waits_for: Vec<StepId> =
                        before.iter().filter(|_| index > 0).map(|before| StepId(before.index(index))).collect();
                    waits_for.sort_unstable();
                    waits_for.dedup();
                    let address = Address::new("instances", format!("i{address}"));
                    Step { id: StepId(index), address, verb: Verb::Update, change: 0, waits_for }
                });
                (steps.collect(), raw.iter().map(|(_, _, class)| *class).collect())
            })
    }

    fn dependents_of(steps: &[Step], failed: &HashSet<usize>) -> HashSet<usize> {
        let mut blocked = HashSet::new();
        for step in steps {
            if step.waits_for.iter().any(|before| failed.contains(&before.0) || blocked.contains(&before.0)) {
                blocked.insert(step.id.0);
            }
        }
        blocked
    }

    proptest! {
        #[test]
        fn every_step_ends_once_and_in_its_order(
            (steps, classes) in plan(),
            fails in prop::collection::vec(any::<bool>(), 40),
            order in any::<u64>(),
            parallel in 1..6usize,
        ) {
            let limits = Limits::of(parallel);
            let mut schedule = Schedule::new(&steps, classes.clone(), limits);
            let (mut running, mut done, mut failed, mut blocked) = (vec![], HashSet::new(), HashSet::new(), HashSet::new());
            let mut pick = order;
            loop {
                while let Some(step) = schedule.start_next() {
                    prop_assert!(steps[step.0].waits_for.iter().all(|before| done.contains(&before.0)));
                    prop_assert!(running.iter().all(|other: &StepId| steps[other.0].address != steps[step.0].address));
                    running.push(step);
                    let working = running.iter().filter(|step| classes[step.0].counts()).count();
                    prop_assert!(working <= parallel);
                    prop_assert!(running.iter().filter(|step| classes[step.0] == Class::Global).count() <= 1);
                }
                if running.is_empty() { break; }
                pick = pick.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let step = running.remove(usize::try_from(pick >> 33).unwrap() % running.len());
                let is_done = !fails[step.0 % fails.len()];
                for other in schedule.finished(step, is_done) {
                    prop_assert!(blocked.insert(other.0));
                }
                if is_done { done.insert(step.0) } else { failed.insert(step.0) };
            }
            prop_assert!(schedule.is_done() && schedule.remaining().is_empty());
            prop_assert_eq!(&blocked, &dependents_of(&steps, &failed));
            prop_assert_eq!(done.len() + failed.len() + blocked.len(), steps.len());
        }

        #[test]
        fn nothing_starts_after_an_interruption((steps, classes) in plan(), before in 0..5usize) {
            let mut schedule = Schedule::new(&steps, classes, Limits::default());
            let started: Vec<StepId> = std::iter::from_fn(|| schedule.start_next()).take(before).collect();
            schedule.interrupt();
            for step in &started {
                schedule.finished(*step, true);
                prop_assert_eq!(schedule.start_next(), None);
            }
            prop_assert!(schedule.is_done());
            prop_assert_eq!(schedule.remaining().len(), steps.len() - started.len());
        }
    }
}
