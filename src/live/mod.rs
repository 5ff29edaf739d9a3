//! The bulk reader: one round of concurrent requests, as many for five objects as for five thousand.
//!
//! Their number depends on how many projects and pools the site names. A second round is read only where the
//! first one shows that something of this site lies beyond: a project or pool with its stamp that the file no
//! longer names, a project whose features are not what the file says, or a network whose keys differ from member
//! to member of a cluster.

pub mod cluster;
pub mod dump;
mod half_made;
mod hashes;
mod narrow;
mod projects;
mod row;
mod sites;
mod whole;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::join_all;
use serde_json::Value;

use crate::kinds::{self, Kind, Object, Place, Raw};
use crate::lxd::{self, Client, Server};
use crate::model::{Address, Id};

pub use cluster::{Cluster, Member};
pub use hashes::of_images as fingerprints;
pub use projects::Projects;
pub use whole::read_project;

/// What was read of the server, and of whatever else a plan needs from outside.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The server itself.
    pub server: Server,
    /// The cluster that it is a member of.
    pub cluster: Cluster,
    /// Which project each kind's objects live in.
    pub projects: Projects,
    /// The live objects by section.
    pub objects: HashMap<&'static str, BTreeMap<Id, Raw>>,
    /// Of the site's objects whose creation is not at its end: those that something at the server still works on.
    pub busy: BTreeSet<(&'static str, Id)>,
    /// The fingerprints of the site's image files, each or why it could not be read.
    pub fingerprints: BTreeMap<Address, Result<String, String>>,
}

impl Snapshot {
    /// A live object.
    pub fn get(&self, section: &str, id: &Id) -> Option<&Raw> {
        self.objects.get(section)?.get(id)
    }

    /// Every live object of a section.
    pub fn all(&self, section: &str) -> impl Iterator<Item = (&Id, &Raw)> {
        self.objects.get(section).into_iter().flatten()
    }

    /// The member of the cluster that holds an object and does not answer now: nothing is known of the object, and
    /// nothing can be done to it. A GET of it alone would take 10 s to fail.
    pub fn silent_member<'a>(&self, raw: &'a Raw) -> Option<&'a str> {
        cluster::location(raw).filter(|member| self.cluster.is_offline(member))
    }

    /// A member that died a moment ago is still called online; LXD lists its instances without their config.
    fn hear(&mut self) {
        let instances = self.objects.get("instances").into_iter().flat_map(BTreeMap::values);
        let silent =
            instances.filter(|raw| raw.get("config").is_some_and(Value::is_null)).filter_map(cluster::location);
        let silent: BTreeSet<String> = silent.map(str::to_owned).collect();
        self.cluster.silence(silent);
    }

    /// False for what is shared with others and closed to our certificate: the server and its pools, and what
    /// lies in `default` of a project without the kind's feature. Some of it LXD would let us write, without
    /// having shown us what we overwrite; some of it Incus lets us make and never remove.
    pub fn may_write(&self, kind: &dyn Kind, id: &Id) -> bool {
        !self.server.is_restricted || kind.place() != Place::Server && !self.projects.is_closed(&id.project)
    }

    /// True for a network whose creation ended with its connection: Incus 6.0 leaves it pending, without a bridge,
    /// and never takes it up. (LXD's are there, and work when the daemon starts again, as does what something uses.)
    pub fn is_dead_network(&self, kind: &dyn Kind, live: &Raw) -> bool {
        let is_pending = live.get("status").is_some_and(|status| status == "Pending");
        let is_used = live.get("used_by").and_then(Value::as_array).is_some_and(|users| !users.is_empty());
        is_pending
            && !is_used
            && kind.section() == "networks"
            && self.server.kind == "incus"
            && !self.server.is_clustered
    }

    /// Adds a live object.
    pub fn insert(&mut self, section: &'static str, id: Id, raw: Raw) {
        self.objects.entry(section).or_default().insert(id, raw);
    }

    /// Takes a live object out.
    pub fn remove(&mut self, section: &'static str, id: &Id) {
        self.objects.entry(section).or_default().remove(id);
    }
}

/// Reads everything that a plan of these objects needs.
///
/// # Errors
/// The server cannot be reached, does not trust us, or answers something else than the API says.
pub async fn read(client: &Client, site: &str, home: &str, objects: &[Object]) -> Result<Snapshot, lxd::Error> {
    gather(client, site, objects, &Covered::of(objects, home)).await
}

/// Reads what there is to know of instances before something is done inside of them, and of the lock: of networks alone
/// LXD takes longer to tell than of all the rest.
///
/// # Errors
/// As [`read`].
pub async fn read_instances(
    client: &Client,
    site: &str,
    home: &str,
    objects: &[Object],
) -> Result<Snapshot, lxd::Error> {
    let sections = Some(["projects", "instances", "profiles"].as_slice());
    gather(client, site, objects, &Covered { sections, ..Covered::of(objects, home) }).await
}

/// Reads all projects and pools, for want of a file that says which ones a site is in.
///
/// # Errors
/// As [`read`].
pub async fn read_everywhere(client: &Client, site: &str) -> Result<Snapshot, lxd::Error> {
    let names = async |section: &str| -> Result<BTreeSet<String>, lxd::Error> {
        let Some(kind) = kinds::by_section(section) else { return Ok(BTreeSet::new()) };
        let (rows, _) = client.read::<Option<Vec<row::Row>>>(&kind.list("default", None)).await?;
        Ok(rows.into_iter().flatten().map(|row| kind.name_of(&row.0)).collect())
    };
    let (projects, pools) = futures_util::future::join(names("projects"), names("storage_pools")).await;
    gather(client, site, &[], &Covered { projects: projects?, pools: pools?, sections: None }).await
}

/// What is read.
#[derive(Clone, Debug, Default)]
struct Covered {
    projects: BTreeSet<String>,
    pools: BTreeSet<String>,
    /// These kinds; `None` is all.
    sections: Option<&'static [&'static str]>,
}

impl Covered {
    /// The projects and pools that objects name.
    fn of(objects: &[Object], home: &str) -> Covered {
        let mut projects: BTreeSet<String> = objects.iter().map(|object| object.project.clone()).collect();
        projects.insert(home.to_owned());
        let pools = objects.iter().filter(|object| object.kind.section() == "storage_pools");
        let pools = objects.iter().filter_map(|object| object.pool.clone()).chain(pools.map(|pool| pool.name.clone()));
        // A volume that is named and not defined must be there.
        let references = objects.iter().flat_map(|object| &object.references).filter(|needs| needs.address.is_none());
        let pools = pools.chain(references.filter_map(|needs| needs.pool.clone())).collect();
        Covered { projects, pools, sections: None }
    }

    fn has(&self, section: &str) -> bool {
        self.sections.is_none_or(|sections| sections.contains(&section))
    }
}

async fn gather(client: &Client, site: &str, objects: &[Object], covered: &Covered) -> Result<Snapshot, lxd::Error> {
    for _ in 0..RACES {
        match gather_once(client, site, objects, covered.clone()).await {
            // A project that somebody made or deleted between two of the lists.
            Err(error) if error.is_missing_project() => tracing::debug!("{error}; read again"),
            result => return result,
        }
    }
    gather_once(client, site, objects, covered.clone()).await
}

async fn gather_once(
    client: &Client,
    site: &str,
    objects: &[Object],
    mut covered: Covered,
) -> Result<Snapshot, lxd::Error> {
    let mut snapshot = Snapshot { projects: Projects::wanted(objects), ..Snapshot::default() };
    let files: Vec<Object> =
        objects.iter().filter(|object| object.kind.section() == "images" && covered.has("images")).cloned().collect();
    let hashing = tokio::task::spawn_blocking(move || hashes::of_images(&files));
    // Beside the lists: a machine by itself is asked nothing more.
    let server = async {
        let server = client.server().await?;
        let cluster = if server.is_clustered { Cluster::read(client, &server.name).await? } else { Cluster::default() };
        Ok::<_, lxd::Error>((server, cluster))
    };
    let first = wanted(&snapshot.projects, &covered);
    let (server, rows) = futures_util::future::join(server, fetch(client, first.clone())).await;
    (snapshot.server, snapshot.cluster) = server?;
    let projects = rows.iter().find(|(request, _)| request.kind.section() == "projects");
    if let Some((_, Ok(rows))) = projects {
        snapshot.projects.learn(rows.iter().map(|row| &row.0));
        covered.projects.extend(stamped(rows, "projects", site));
    }
    if let Some((_, Ok(rows))) = rows.iter().find(|(request, _)| request.kind.section() == "storage_pools") {
        covered.pools.extend(stamped(rows, "storage_pools", site));
    }
    let now = wanted(&snapshot.projects, &covered);
    // What a project's features, now that they are known, place elsewhere is read there.
    let (mut rows, mut refused): (Vec<Answer>, Vec<Answer>) = rows
        .into_iter()
        .filter(|(request, _)| now.contains(request))
        .partition(|(_, rows)| !rows.as_ref().is_err_and(lxd::Error::is_forbidden));
    let mut missing: Vec<Request> = now.into_iter().filter(|request| !first.contains(request)).collect();
    if snapshot.server.is_restricted || !refused.is_empty() {
        snapshot.server.is_restricted = true;
        snapshot.projects.restrict();
        let is_closed = |(request, _): &mut Answer| request.is_closed(&snapshot.projects);
        refused.extend(rows.extract_if(.., is_closed));
        missing.extend(refused.into_iter().map(|(request, _)| request));
        missing = narrow::narrow(missing, &snapshot.projects, objects);
    }
    snapshot.take(rows)?;
    if !missing.is_empty() {
        let rows = fetch(client, missing).await;
        snapshot.take(rows)?;
    }
    if !snapshot.cluster.members.is_empty() {
        snapshot.hear();
        cluster::read_members(client, &mut snapshot, objects).await?;
    }
    half_made::settle(client, site, &mut snapshot).await?;
    snapshot.fingerprints = hashing.await.unwrap_or_default();
    Ok(snapshot)
}

#[derive(Clone, Debug)]
struct Request {
    kind: &'static dyn Kind,
    /// Where the objects live; `None` is everywhere.
    project: Option<String>,
    pool: Option<String>,
    /// The project that is asked in that one's place, since it is closed to us: it shows what it uses of
    /// `default`, without its config.
    through: Option<String>,
    /// This object alone.
    one: Option<String>,
}

impl PartialEq for Request {
    fn eq(&self, other: &Request) -> bool {
        (self.kind.section(), &self.project, &self.pool) == (other.kind.section(), &other.project, &other.pool)
    }
}

/// So often is a list read again that an object vanished from while it was read.
const RACES: usize = 5;

impl Request {
    /// A list of what lies in a project (and pool), or everywhere.
    fn list(kind: &'static dyn Kind, project: Option<String>, pool: Option<String>) -> Request {
        Request { kind, project, pool, through: None, one: None }
    }

    /// True if it is the project or pool itself that is not there.
    fn is_of_a_missing_place(&self, error: &lxd::Error) -> bool {
        self.pool.is_some() || error.is_missing_project()
    }
}

type Answer = (Request, Result<Vec<row::Row>, lxd::Error>);

/// The reads that cover these projects and pools. An instance is looked for in every project: one that is
/// stamped elsewhere than the file says is refused, never made twice.
fn wanted(projects: &Projects, covered: &Covered) -> Vec<Request> {
    let mut requests = vec![];
    for kind in kinds::all().iter().copied().filter(|kind| covered.has(kind.section())) {
        let effective: BTreeSet<String> =
            covered.projects.iter().map(|project| projects.effective(project, kind.place())).collect();
        match kind.place() {
            Place::Server | Place::Project { feature: None } => requests.push(Request::list(kind, None, None)),
            Place::Project { .. } => {
                requests.extend(effective.into_iter().map(|project| Request::list(kind, Some(project), None)));
            }
            Place::Pool { .. } => {
                for pool in &covered.pools {
                    let projects = effective.iter().cloned();
                    requests.extend(projects.map(|project| Request::list(kind, Some(project), Some(pool.clone()))));
                }
            }
        }
    }
    requests
}

async fn fetch(client: &Client, requests: Vec<Request>) -> Vec<Answer> {
    join_all(requests.into_iter().map(|request| async {
        if let Some(name) = &request.one {
            let rows = narrow::read_one(client, &request, name).await;
            return (request, rows);
        }
        let call = match (&request.project, request.kind.place()) {
            (None, Place::Project { .. }) => request.kind.list_everywhere(),
            (project, _) => {
                let project = request.through.as_ref().or(project.as_ref()).map_or("default", String::as_str);
                request.kind.list(project, request.pool.as_deref())
            }
        };
        let mut rows = client.read::<Option<Vec<row::Row>>>(&call).await;
        for _ in 0..RACES {
            match &rows {
                // LXD lists names and then reads each: somebody's object that goes in between fails the whole list.
                Err(error) if error.is_not_found() && !request.is_of_a_missing_place(error) => {
                    rows = client.read(&call).await;
                }
                _ => break,
            }
        }
        (request, rows.map(|(rows, _)| rows.unwrap_or_default()))
    }))
    .await
}

impl Snapshot {
    fn take(&mut self, answers: Vec<Answer>) -> Result<(), lxd::Error> {
        for (request, rows) in answers {
            let rows = match rows {
                Ok(rows) => rows,
                Err(error) if self.is_about_what_is_not_there(&request, &error) => continue,
                Err(error) => return Err(error),
            };
            for row::Row(mut raw) in rows {
                if !request.kind.is_managed(&raw) {
                    continue;
                }
                let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
                let project = match request.kind.place() {
                    Place::Server => "default".to_owned(),
                    _ => request.project.clone().or_else(|| text("project")).unwrap_or_else(|| "default".to_owned()),
                };
                if request.through.is_some() {
                    raw.insert("config".into(), Value::Null);
                }
                if let Some(pool) = &request.pool {
                    raw.insert("pool".into(), pool.clone().into());
                }
                let id = Id { project, pool: request.pool.clone(), name: request.kind.name_of(&raw) };
                // Volumes of one name may lie on several members of a cluster: the one with a stamp counts.
                let is_known = |known: &Raw| !request.kind.stamps(known).is_empty();
                if request.pool.is_some() && self.get(request.kind.section(), &id).is_some_and(is_known) {
                    continue;
                }
                self.insert(request.kind.section(), id, raw);
            }
        }
        Ok(())
    }

    /// A project or pool that is yet to be made has nothing in it; LXD 5.0 answers some of these with an
    /// empty list, others and newer servers with an error.
    fn is_about_what_is_not_there(&self, request: &Request, error: &lxd::Error) -> bool {
        let no_project = request.project.as_ref().is_some_and(|project| !self.projects.exists(project));
        no_project || (request.pool.is_some() && error.is_not_found())
    }
}

/// The names of the rows that carry a site's stamp.
fn stamped(rows: &[row::Row], section: &str, site: &str) -> Vec<String> {
    let Some(kind) = kinds::by_section(section) else {
        return vec![];
    };
    rows.iter().filter(|row| stamps_of(kind, &row.0, site)).map(|row| kind.name_of(&row.0)).collect()
}

/// True if a live object carries a site's stamp.
fn stamps_of(kind: &dyn Kind, raw: &Raw, site: &str) -> bool {
    kind.stamps(raw).iter().any(|stamp| stamp.site == site)
}
