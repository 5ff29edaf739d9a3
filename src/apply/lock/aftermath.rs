//! What a run that was killed had set in motion goes on at the server. It is waited for, so that a plan is of what
//! it left and not of what it was about to leave.

use std::collections::BTreeSet;

use super::of_profile;
use crate::kinds::{self, Raw};
use crate::live::Snapshot;
use crate::lxd::{Client, Error, Running};

/// True if a run was killed, by its lock; what it began is at its end then, and the snapshot an old one.
///
/// # Errors
/// As [`Client::at_rest`].
pub async fn settle(client: &Client, site: &str, snapshot: &Snapshot) -> Result<bool, Error> {
    let now = client.server_time();
    let locks = snapshot.all("profiles").filter_map(|(id, raw)| of_profile(raw, site, &id.project));
    let mut projects: BTreeSet<String> = locks.filter(|lock| lock.is_dead(now)).map(|lock| lock.project).collect();
    if projects.is_empty() {
        return Ok(false);
    }
    for kind in kinds::all() {
        let is_ours = |raw: &Raw| kind.stamps(raw).iter().any(|stamp| stamp.site == site);
        let ours = snapshot.all(kind.section()).filter(|(_, raw)| is_ours(raw));
        projects.extend(ours.map(|(id, _)| id.project.clone()));
    }
    for project in projects {
        client.at_rest(&project, Running::changes_anything).await?;
    }
    Ok(true)
}
