use std::collections::BTreeMap;

use super::Snapshot;
use crate::kinds;

impl Snapshot {
    /// The sites whose stamps were seen, each with the project in which most of its objects are.
    pub fn sites(&self) -> BTreeMap<String, String> {
        let mut counts: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
        for (kind, id, raw) in
            kinds::all().iter().flat_map(|kind| self.all(kind.section()).map(|(id, raw)| (*kind, id, raw)))
        {
            for stamp in kind.stamps(raw) {
                let project = if kind.section() == "projects" { &id.name } else { &id.project };
                // What lives in `default` for want of a feature says little.
                let weight = if project == "default" { 1 } else { 1000 };
                *counts.entry(stamp.site).or_default().entry(project).or_default() += weight;
            }
        }
        let home = |projects: BTreeMap<&str, usize>| {
            projects.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned())
        };
        counts.into_iter().filter_map(|(site, projects)| Some((site, home(projects)?))).collect()
    }
}
