use std::collections::BTreeMap;

use crate::model::Address;
use crate::site::Site;

/// What the user asks of a plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these, and what they need.
    pub targets: Vec<Address>,
    /// Not these, nor what needs them.
    pub excludes: Vec<Address>,
    /// Made again, changed or not.
    pub replace: Vec<Address>,
    /// Objects of nobody that may be taken in.
    pub adopt: Adopt,
    /// Volumes, and pools that hold data, may go.
    pub delete_data: bool,
    /// Everything that is stamped goes.
    pub destroy: bool,
    /// What was applied from another place in git may be deleted; what stays is taken over.
    pub origin_changed: bool,
    /// Roles and playbooks are left alone.
    pub skip_tasks: bool,
    /// The hash of what each instance's roles are made of: which baked image is one of them.
    pub roles: BTreeMap<Address, String>,
    /// More deletions than these are refused.
    pub max_deletes: Option<usize>,
}

impl Options {
    /// The same, with every member of a group in its group's place, where they are looked at one by one.
    pub(super) fn of_members(&self, site: &Site) -> Options {
        let members = |addresses: &[Address]| -> Vec<Address> {
            let of = |address: &Address| site.groups.get(address).cloned().unwrap_or_else(|| vec![address.clone()]);
            addresses.iter().flat_map(of).collect()
        };
        let adopt = match &self.adopt {
            Adopt::These(addresses) => Adopt::These(members(addresses)),
            other => other.clone(),
        };
        Options { replace: members(&self.replace), adopt, ..self.clone() }
    }
}

/// Which objects of nobody may be taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Adopt {
    /// None.
    #[default]
    None,
    /// These.
    These(Vec<Address>),
    /// All that the file names.
    All,
}

impl Adopt {
    /// True if the object at an address may be taken in.
    pub fn allows(&self, address: &Address) -> bool {
        match self {
            Adopt::None => false,
            Adopt::These(addresses) => addresses.contains(address),
            Adopt::All => true,
        }
    }
}
