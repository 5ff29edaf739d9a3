//! Everything that lives in a project, whoever's it is: what an export reads.

use std::collections::BTreeSet;

use super::{Covered, Snapshot, fetch, read, stamps_of, wanted};
use crate::kinds::instance::device_uses;
use crate::kinds::{self, Kind};
use crate::lxd::{self, Client};

/// Reads a project, all pools, what `default` provides, and whatever else carries the site's stamp.
///
/// # Errors
/// As for [`read`].
pub async fn read_project(client: &Client, site: &str, home: &str) -> Result<Snapshot, lxd::Error> {
    let mut snapshot = read(client, site, home, &[]).await?;
    let mut pools: BTreeSet<String> = snapshot.all("storage_pools").map(|(id, _)| id.name.clone()).collect();
    // Where the list of pools is refused, what uses them tells.
    let users = ["instances", "profiles"].into_iter().flat_map(|section| snapshot.all(section));
    let uses = users.flat_map(|(_, raw)| device_uses(raw)).filter(|(section, _)| *section == "storage_pools");
    pools.extend(uses.map(|(_, pool)| pool));
    let mut projects = BTreeSet::from([home.to_owned(), "default".to_owned()]);
    for kind in kinds::all().iter().copied() {
        let ours = snapshot.all(kind.section()).filter(|(_, raw)| stamps_of(kind, raw, site));
        projects.extend(
            ours.map(|(id, _)| if kind.section() == "projects" { id.name.clone() } else { id.project.clone() }),
        );
    }
    projects.retain(|project| snapshot.projects.exists(project));
    // An instance is read everywhere, and what is the server's own once: both are there.
    let is_here = |kind: &dyn Kind| kind.place().feature().is_none();
    let mut missing = wanted(&snapshot.projects, &Covered { projects, pools, sections: None });
    missing.retain(|request| !is_here(request.kind) && !request.is_closed(&snapshot.projects));
    let mut rows = fetch(client, missing).await;
    // A restricted certificate sees its own project alone, and that was read.
    rows.retain(|(_, rows)| !rows.as_ref().is_err_and(lxd::Error::is_forbidden));
    snapshot.take(rows)?;
    Ok(snapshot)
}
