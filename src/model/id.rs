use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an object lives at the server: what makes two objects of one kind the same object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    /// The *effective* project: `default` for objects that have no project of their own (pools, projects)
    /// and for objects of a project whose `features.*` keeps that kind in `default`.
    pub project: String,
    /// The storage pool, for volumes.
    pub pool: Option<String>,
    /// LXD's name; of an image, its fingerprint or, until that is known, its key.
    pub name: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pool {
            Some(pool) => write!(f, "{pool}/{}", self.name)?,
            None => write!(f, "{}", self.name)?,
        }
        if self.project != "default" {
            write!(f, " (project {})", self.project)?;
        }
        Ok(())
    }
}
