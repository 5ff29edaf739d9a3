//! What is learnt of a host while its plays run.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::forecast::Forecast;
use crate::tasks::Map;
use crate::template::Value;

/// What was learnt of a host.
#[derive(Debug, Default)]
pub struct HostState {
    /// Its name.
    pub name: String,
    /// Facts, without `ansible_` before their names.
    pub facts: RefCell<Map>,
    /// Facts that are variables by their bare names too (`services`, `packages`).
    pub bare_facts: RefCell<Map>,
    /// What was set or registered.
    pub set: RefCell<Map>,
    /// What will be set or registered, and why it is not known yet.
    pub unknown: RefCell<HashMap<String, String>>,
    /// `include_vars`.
    pub included: RefCell<Map>,
    /// `vars_files` of the play.
    pub vars_files: RefCell<Vec<Rc<Map>>>,
    /// `group_vars` and `host_vars`, the strongest first.
    pub inventory_vars: RefCell<Vec<Rc<Map>>>,
    /// `lxd.*`.
    pub lxd: Value,
    /// Facts were gathered.
    pub has_facts: Cell<bool>,
    /// Something was changed since they were gathered.
    pub has_old_facts: Cell<bool>,
    /// Groups that `group_by` has added.
    pub more_groups: RefCell<Vec<String>>,
    /// Why its facts are not known yet.
    pub unknown_facts: RefCell<Option<String>>,
    /// What is known of its inside, and what is laid over it in a preview.
    pub forecast: RefCell<Forecast>,
    /// How many tasks ahead are asked for in one round trip.
    pub horizon: Cell<usize>,
}

/// As far as the play goes.
pub const ALL_AHEAD: usize = usize::MAX;

impl HostState {
    /// The same, to be changed apart from it.
    pub fn copied(&self) -> HostState {
        HostState {
            name: self.name.clone(),
            facts: self.facts.clone(),
            bare_facts: self.bare_facts.clone(),
            set: self.set.clone(),
            unknown: self.unknown.clone(),
            included: self.included.clone(),
            vars_files: self.vars_files.clone(),
            inventory_vars: self.inventory_vars.clone(),
            lxd: self.lxd.clone(),
            has_facts: self.has_facts.clone(),
            has_old_facts: self.has_old_facts.clone(),
            more_groups: self.more_groups.clone(),
            unknown_facts: self.unknown_facts.clone(),
            forecast: self.forecast.clone(),
            horizon: self.horizon.clone(),
        }
    }

    /// What is registered or set, once it is known.
    pub fn set(&self, name: &str, value: Value) {
        self.unknown.borrow_mut().remove(name);
        self.set.borrow_mut().insert(name.to_owned(), value);
    }

    /// What will be set, and why it is not known yet.
    pub fn set_unknown(&self, name: &str, why: &str) {
        self.unknown.borrow_mut().insert(name.to_owned(), why.to_owned());
    }
}
