//! Objects whose creation is not at its end: are they still being made, or was it interrupted? Nearly always there are
//! none, and nothing is asked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Snapshot, row};
use crate::kinds::{self, Kind};
use crate::lxd::{Client, Error, Method, Running};
use crate::model::Id;

/// So long may a creation whose client is gone go on without an operation that tells of it.
const SETTLING: Duration = Duration::from_secs(2);

/// Notes what is still being made, and reads again what nothing works on: it may have been finished in between.
///
/// # Errors
/// As [`Client::read`].
pub(super) async fn settle(client: &Client, site: &str, snapshot: &mut Snapshot) -> Result<(), Error> {
    let candidates: Vec<(&'static dyn Kind, Id)> =
        kinds::all().iter().copied().flat_map(|kind| half_made(kind, site, snapshot)).collect();
    let mut running: BTreeMap<String, Vec<Running>> = BTreeMap::new();
    for (_, id) in &candidates {
        if !running.contains_key(&id.project) {
            running.insert(id.project.clone(), client.running(&id.project).await?);
        }
    }
    for (kind, id) in candidates {
        let Some(raw) = snapshot.get(kind.section(), &id) else { continue };
        let call = kind.call(Method::Get, &id, raw);
        if running.get(&id.project).into_iter().flatten().any(|running| running.changes(&call.path)) {
            snapshot.busy.insert((kind.section(), id));
            continue;
        }
        let started = Instant::now();
        loop {
            match client.read::<row::Row>(&call).await {
                // What LXD makes without an operation, a pool, is given a moment to become whole.
                Ok((row::Row(raw), _))
                    if kind.section() != "instances" && kind.is_half_made(&raw) && started.elapsed() < SETTLING =>
                {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    continue;
                }
                Ok((row::Row(raw), _)) => snapshot.insert(kind.section(), id, raw),
                Err(error) if error.is_not_found() => snapshot.remove(kind.section(), &id),
                Err(error) => return Err(error),
            }
            break;
        }
    }
    Ok(())
}

fn half_made(kind: &'static dyn Kind, site: &str, snapshot: &Snapshot) -> Vec<(&'static dyn Kind, Id)> {
    let of_site = snapshot.all(kind.section()).filter(|(_, raw)| kind.is_half_made(raw));
    let of_site = of_site.filter(|(_, raw)| kind.stamps(raw).iter().any(|stamp| stamp.site == site));
    of_site.map(|(id, _)| (kind, id.clone())).collect()
}
