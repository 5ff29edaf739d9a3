//! `strategy: linear`: no host begins a task before all others have come to it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tokio::sync::Notify;

/// Where a task stands: its index in its list, within that of what is around it. In the order of running.
pub type Position = Vec<usize>;

/// Hosts that go in step.
#[derive(Debug, Default)]
pub struct Gate {
    positions: RefCell<BTreeMap<usize, Position>>,
    moved: Notify,
}

impl Gate {
    /// For so many hosts, all before the first task.
    pub fn new(hosts: usize) -> Self {
        Gate { positions: RefCell::new((0..hosts).map(|host| (host, vec![])).collect()), moved: Notify::new() }
    }

    /// A host has come to a task; waits until nobody is before it. True for the first of those that are at it.
    pub async fn arrive(&self, host: usize, position: &[usize]) -> bool {
        self.positions.borrow_mut().insert(host, position.to_vec());
        self.moved.notify_waiters();
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.positions.borrow().values().all(|other| other.as_slice() >= position) {
                let positions = self.positions.borrow();
                return positions
                    .iter()
                    .find(|(_, other)| other.as_slice() == position)
                    .is_some_and(|(first, _)| *first == host);
            }
            moved.await;
        }
    }

    /// A host is at its end.
    pub fn leave(&self, host: usize) {
        self.positions.borrow_mut().remove(&host);
        self.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_two_tasks_ahead() {
        let gate = Gate::new(3);
        let log = RefCell::new(vec![]);
        let walk = async |host: usize, last: usize| {
            for task in 0..=last {
                let is_first = gate.arrive(host, &[task]).await;
                log.borrow_mut().push((task, host, is_first));
                for _ in 0..host {
                    tokio::task::yield_now().await;
                }
            }
            gate.leave(host);
        };
        tokio::join!(walk(0, 2), walk(1, 2), walk(2, 1));
        let log = log.into_inner();
        assert!(log.is_sorted_by_key(|(task, ..)| *task), "{log:?}");
        assert_eq!(log.len(), 8);
        assert!(log.iter().filter(|(_, host, _)| *host == 0).all(|(.., is_first)| *is_first), "{log:?}");
    }
}
