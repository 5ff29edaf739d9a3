//! One apply at a time: a profile in the site's project says who is at it.
//!
//! Taken by making the profile and *then* looking who else has one: of two at once, both may see each other and
//! step back, and never do both go on. A lock whose holder is gone is removed by its own name.

mod aftermath;
mod holder;

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::kinds::Raw;
use crate::lxd::{Call, Client, Error};
use crate::model::Event;

pub use aftermath::settle;
pub use holder::Holder;

/// How the profiles are named: this, the site, `-`, and the run.
const PREFIX: &str = "lxdeploy-lock-";

/// The config key that says who holds the lock.
const KEY: &str = "user.lxdeploy.lock";

/// So often does a holder say that it is alive.
const RENEWAL: Duration = Duration::from_secs(20);

/// Why the lock was not had.
#[derive(Debug)]
pub enum Refused {
    /// Somebody else has it.
    Held {
        /// The site.
        site: String,
        /// Who.
        holder: String,
    },
    /// The server did not let us.
    Failed(Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Held { site, holder } => write!(
                f,
                "another apply of the site `{site}` is running: {holder}. Nothing was written. Wait for it (--lock-timeout 10m), \
                 or, if you know that it is gone, `lxdeploy unlock`"
            ),
            Refused::Failed(error) => write!(f, "the lock cannot be taken: {error}"),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Failed(error)
    }
}

/// A lock as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The profile.
    pub profile: String,
    /// The project that it is in.
    pub project: String,
    /// Who holds it; `None` if it cannot be read.
    pub holder: Option<Holder>,
}

impl Found {
    /// True if nobody holds it any more.
    pub fn is_dead(&self, now: u64) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.is_dead(now))
    }

    /// For people.
    pub fn describe(&self, now: u64) -> String {
        self.holder.as_ref().map_or_else(|| format!("the profile {}", self.profile), |holder| holder.describe(now))
    }
}

/// The lock of one run. It is given back by [`Lock::release`]; dropped without, it dies with the process.
#[derive(Debug)]
pub struct Lock {
    client: Client,
    profile: String,
    project: String,
    renewing: AbortHandle,
    lost: watch::Receiver<bool>,
    is_released: Cell<bool>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// The locks of a site in a project.
///
/// # Errors
/// As [`Client::read`].
pub async fn find(client: &Client, site: &str, project: &str) -> Result<Vec<Found>, Error> {
    let call = Call::get(&["profiles"]).project(project).query("recursion", "1");
    let (rows, _) = client.read::<Option<Vec<Raw>>>(&call).await?;
    Ok(rows.into_iter().flatten().filter_map(|row| of_profile(&row, site, project)).collect())
}

/// The lock that a profile is, if it is one of the site's.
pub fn of_profile(row: &Raw, site: &str, project: &str) -> Option<Found> {
    let profile = row.get("name").and_then(Value::as_str)?;
    let run = profile.strip_prefix(PREFIX)?.strip_prefix(site)?.strip_prefix('-')?;
    // The lock of the site `a-b` is none of the site `a`.
    if run.len() != 16 || !run.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let text = row.get("config").and_then(|config| config.get(KEY)).and_then(Value::as_str);
    let holder = text.and_then(|text| serde_json::from_str(text).ok());
    Some(Found { profile: profile.to_owned(), project: project.to_owned(), holder })
}

/// Removes a lock by its own name.
///
/// # Errors
/// As [`Client::run`]; that it is gone already is none.
pub async fn remove(client: &Client, found: &Found) -> Result<(), Error> {
    match client.run(&Call::delete(&["profiles", &found.profile]).project(&found.project), None).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Takes the lock of a site, waiting for it at most `patience`.
///
/// # Errors
/// Somebody else holds it all that time, or the server refuses.
pub async fn take(
    client: &Client,
    site: &str,
    project: &str,
    patience: Duration,
    emit: &mut dyn FnMut(Event),
) -> Result<Lock, Refused> {
    let deadline = Instant::now() + patience;
    let run = random();
    let profile = format!("{PREFIX}{site}-{run:016x}");
    let is_mine = |found: &Found| found.profile == profile;
    let mut has_told = false;
    loop {
        match create(client, site, project, &profile).await {
            // An answer that was lost: the list tells whether the profile is there.
            Ok(()) | Err(Error::OutcomeUnknown(_)) => {}
            Err(error) if error.already_exists() => {}
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                pause().await;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let mut found = living(client, site, project).await?;
        let is_there = found.iter().any(is_mine);
        found.retain(|found| !is_mine(found));
        if found.is_empty() && is_there {
            return Ok(hold(client.clone(), site, project, profile));
        }
        let mine = Found { profile: profile.clone(), project: project.to_owned(), holder: None };
        remove(client, &mine).await?;
        // Until nobody else is there, looking is enough.
        while let Some(other) = found.first() {
            let holder = other.describe(client.server_time());
            if Instant::now() >= deadline {
                return Err(Refused::Held { site: site.to_owned(), holder });
            }
            if !has_told {
                emit(Event::Note { text: format!("waiting for the lock of the site `{site}`: {holder}") });
                has_told = true;
            }
            pause().await;
            found = living(client, site, project).await?;
        }
    }
}

/// The locks whose holders live; the others are removed on the way.
async fn living(client: &Client, site: &str, project: &str) -> Result<Vec<Found>, Error> {
    let mut living = vec![];
    for found in find(client, site, project).await? {
        if found.is_dead(client.server_time()) {
            tracing::info!("the lock {} is dead: {}", found.profile, found.describe(client.server_time()));
            remove(client, &found).await?;
        } else {
            living.push(found);
        }
    }
    Ok(living)
}

async fn create(client: &Client, site: &str, project: &str, profile: &str) -> Result<(), Error> {
    let holder = Holder::me(site, client.server_time());
    let call = Call::post(&["profiles"], body(profile, &holder)).project(project);
    client.run(&call, None).await.map(drop)
}

fn body(profile: &str, holder: &Holder) -> Value {
    json!({
        "name": profile,
        "description": format!("an lxdeploy of the site {} is running: {}@{}", holder.site, holder.user, holder.host),
        "config": {KEY: serde_json::to_string(holder).unwrap_or_default()},
        "devices": {},
    })
}

/// Says every now and then that the holder is alive; notices when somebody took the lock away.
fn hold(client: Client, site: &str, project: &str, profile: String) -> Lock {
    let (sender, lost) = watch::channel(false);
    let renewing = {
        let (client, project, profile) = (client.clone(), project.to_owned(), profile.clone());
        let mut holder = Holder::me(site, client.server_time());
        tokio::spawn(async move {
            let mut seen = Instant::now();
            while seen.elapsed() < holder::LIFETIME {
                tokio::time::sleep(RENEWAL).await;
                // The server's clock counts: a request first, to read it.
                let call = Call::get(&["profiles", &profile]).project(&project);
                match client.read::<Raw>(&call).await {
                    Err(error) if error.is_not_found() => break,
                    Err(_) => continue,
                    Ok(_) => {}
                }
                holder.renewed = client.server_time();
                let mut body = body(&profile, &holder);
                body.as_object_mut().map(|body| body.remove("name"));
                let call = Call::put(&["profiles", &profile], body).project(&project);
                if client.run(&call, None).await.is_ok() {
                    seen = Instant::now();
                }
            }
            let _ = sender.send(true);
        })
        .abort_handle()
    };
    Lock { client, profile, project: project.to_owned(), renewing, lost, is_released: Cell::new(false) }
}

impl Lock {
    /// The project that the lock is in.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Returns when the lock was taken away, or could not be renewed for as long as it lives.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            // The renewal was ended by us.
            std::future::pending::<()>().await;
        }
    }

    /// Gives the lock back; a second time does nothing.
    pub async fn release(&self) {
        if self.is_released.replace(true) {
            return;
        }
        self.renewing.abort();
        let mine = Found { profile: self.profile.clone(), project: self.project.clone(), holder: None };
        for _ in 0..5 {
            match remove(&self.client, &mine).await {
                Err(error) if error.is_transient() => pause().await,
                Err(error) => {
                    tracing::warn!(
                        "the lock {} is left behind ({error}); it is dead as soon as this ends",
                        self.profile
                    );
                    return;
                }
                Ok(()) => return,
            }
        }
    }
}

/// Of two that step back for each other, one is to come first.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(60 + random() % 300)).await;
}

/// No secret: only different each time.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_of_one_site() {
        let row = |name: &str| json!({"name": name, "config": {}}).as_object().unwrap().clone();
        let is_of = |name: &str, site: &str| of_profile(&row(name), site, "p").is_some();
        assert!(is_of("lxdeploy-lock-a-0123456789abcdef", "a"));
        assert!(!is_of("lxdeploy-lock-a-b-0123456789abcdef", "a"));
        assert!(is_of("lxdeploy-lock-a-b-0123456789abcdef", "a-b"));
        assert!(!is_of("base", "a"));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_dead() {
        let row = json!({"name": "lxdeploy-lock-a-0123456789abcdef", "config": {KEY: "of a later lxdeploy"}});
        assert!(!of_profile(row.as_object().unwrap(), "a", "p").unwrap().is_dead(u64::MAX));
    }
}
