//! What an object names and the site does not define.

use super::Refusal;
use super::build::Builder;
use crate::kinds::{Object, Place, by_section};
use crate::model::Id;

impl Builder<'_> {
    /// What an object names and the site does not define must be there.
    pub fn check_references(&mut self, object: &Object, id: &Id) {
        let place = object.kind.place();
        let is_wanted = self.snapshot.projects.is_wanted(&object.project);
        if place != Place::Server && !is_wanted && !self.snapshot.projects.exists(&object.project) {
            self.refuse(
                object,
                "missing",
                format!("{}: project `{}` is neither at the server nor in the file", object.address, object.project),
                "add it under `projects`, or create it",
            );
        }
        for reference in object.references.iter().filter(|reference| reference.address.is_none()) {
            let Some(kind) = by_section(reference.section) else {
                continue;
            };
            let project = self.snapshot.projects.effective(&object.project, kind.place());
            let pool = if matches!(kind.place(), Place::Pool { .. }) { reference.pool.clone() } else { None };
            let needed = Id { project, pool, name: reference.name.clone() };
            let found = self.snapshot.get(reference.section, &needed).is_some()
                || kind.is_built_in(&reference.name) && needed.project == id.project;
            if !found {
                self.plan.refused.push(Refusal {
                    address: Some(object.address.clone()),
                    code: "missing",
                    text: format!(
                        "{} needs the {} `{needed}`, which is neither at the server nor in the file",
                        object.address,
                        kind.noun()
                    ),
                    help: format!("add it under `{}`, or create it at the server", reference.section),
                    span: Some(reference.span),
                });
            }
        }
    }
}
