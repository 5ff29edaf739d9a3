//! Running members of a group in which something is changed take turns: one is worked on, and serves again, before the next.

use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Mutex;

use crate::model::Address;

/// A group's turn: whoever holds it works. It knows who failed; then nobody else tries.
pub(super) type Turn = Rc<Mutex<Option<Address>>>;

/// The turns of all groups.
pub(super) struct Turns(HashMap<Address, Turn>);

impl Turns {
    /// Of these groups.
    pub(super) fn new(groups: &[Vec<Address>]) -> Self {
        let mut turns = HashMap::new();
        for group in groups {
            let turn = Turn::default();
            turns.extend(group.iter().map(|address| (address.clone(), turn.clone())));
        }
        Turns(turns)
    }

    /// The turn that an instance waits for; `None` for one that is alone.
    pub(super) fn of(&self, address: &Address) -> Option<&Turn> {
        self.0.get(address)
    }
}
