//! The members of a cluster, and what each of them keeps for itself of a pool or network.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Snapshot;
use crate::kinds::{Kind, Object, Raw, Record, body};
use crate::lxd::{Call, Client, Error, Method};
use crate::model::{Id, MEMBERS, Path};

/// A cluster as it is now; without members where the server is a machine by itself, or does not show them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its members.
    pub members: Vec<Member>,
    /// Members that did not answer when LXD listed what lives there, whatever their status says.
    silent: BTreeSet<String>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    #[serde(rename = "server_name")]
    pub name: String,
    /// Where the others reach it: `https://10.0.0.2:8443`.
    #[serde(default)]
    pub url: String,
    /// `Online`, `Offline`, `Evacuated` and others.
    #[serde(default)]
    pub status: String,
    /// The cluster groups that it is in.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Cluster {
    /// A cluster of these members.
    pub fn new(members: Vec<Member>) -> Self {
        Cluster { members, silent: BTreeSet::new() }
    }

    /// Asks a member, `own`, for all of them.
    ///
    /// # Errors
    /// The server's refusal, but that a certificate may not see them.
    pub async fn read(client: &Client, own: &str) -> Result<Cluster, Error> {
        let call = Call::get(&["cluster", "members"]).query("recursion", "1");
        match client.read::<Vec<Member>>(&call).await {
            Ok((mut members, _)) => {
                // Who answers is there; just started, it may still be without a heartbeat in the cluster's books.
                for member in members.iter_mut().filter(|member| member.name == own && member.status == "Offline") {
                    member.status = "Online".to_owned();
                }
                Ok(Cluster::new(members))
            }
            Err(error) if error.is_forbidden() => Ok(Cluster::default()),
            Err(error) => Err(error),
        }
    }

    /// The member of a name.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// True if nothing can be asked of a member now.
    pub fn is_offline(&self, name: &str) -> bool {
        self.silent.contains(name) || self.get(name).is_some_and(|member| member.status == "Offline")
    }

    /// True if a member did not answer when LXD listed what lives there.
    pub fn is_silent(&self, name: &str) -> bool {
        self.silent.contains(name)
    }

    /// The members of which nothing can be asked now.
    pub fn offline(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.name.as_str()).filter(|name| self.is_offline(name)).collect()
    }

    /// Names as people write them: `n1, n2`.
    pub fn names(&self) -> String {
        self.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn silence(&mut self, members: BTreeSet<String>) {
        self.silent.extend(members);
    }
}

/// The cluster member that an object lives on.
pub fn location(raw: &Raw) -> Option<&str> {
    raw.get("location").and_then(Value::as_str).filter(|name| !name.is_empty() && *name != "none")
}

/// Reads what the members keep for themselves of those pools and networks where it counts: where the site
/// speaks of it, or did when it was last applied.
pub(super) async fn read_members(client: &Client, snapshot: &mut Snapshot, objects: &[Object]) -> Result<(), Error> {
    let mut asked: Vec<(&'static dyn Kind, Id)> = vec![];
    for object in objects.iter().filter(|object| !object.external && !object.kind.member_keys().is_empty()) {
        let project = snapshot.projects.effective(&object.project, object.kind.place());
        let id = Id { project, pool: None, name: object.name.clone() };
        let Some(raw) = snapshot.get(object.kind.section(), &id) else { continue };
        let is_hidden = raw.get("config").is_none_or(Value::is_null);
        if !is_hidden && object.kind.is_made_per_member(raw) && speaks_of_members(object, raw) {
            asked.push((object.kind, id));
        }
    }
    let cluster = &snapshot.cluster;
    let online = cluster.members.iter().filter(|member| !cluster.is_offline(&member.name));
    let online: Vec<String> = online.map(|member| member.name.clone()).collect();
    let read = asked.iter().map(|(kind, id)| of_members(client, *kind, id, &online));
    let found = try_join_all(read).await?;
    for ((kind, id), members) in asked.into_iter().zip(found) {
        if let Some(raw) = snapshot.objects.get_mut(kind.section()).and_then(|objects| objects.get_mut(&id)) {
            raw.insert(MEMBERS.into(), Value::Object(members));
        }
    }
    Ok(())
}

/// Each member's own keys of a pool or network, in one flat map of `MEMBER/KEY`.
///
/// # Errors
/// The server's refusal.
pub async fn of_members(
    client: &Client,
    kind: &dyn Kind,
    id: &Id,
    members: &[String],
) -> Result<Map<String, Value>, Error> {
    let read = members.iter().map(|member| async move {
        let call = kind.call(Method::Get, id, &Raw::new()).query("target", member);
        let (raw, _) = client.read::<Raw>(&call).await?;
        let own = |key: &str| Some((format!("{member}/{key}"), body::get(&raw, &Path::config(key))?));
        Ok::<Vec<_>, Error>(kind.member_keys().iter().filter_map(|key| own(key)).collect())
    });
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

/// True if the members' own keys make a difference to the plan. What LXD writes anew is compared with the record
/// alone, unless the object is yet to be finished.
fn speaks_of_members(object: &Object, raw: &Raw) -> bool {
    let kind = object.kind;
    let compares = |path: &Path| kind.is_unfinished(raw) || !kind.is_rewritten(path);
    let is_member_key =
        |path: &Path| matches!(path, Path::Entry { map: "config", key } if kind.member_keys().contains(&key.as_str()));
    let of_file =
        object.fields.keys().any(|path| (path.as_member().is_some() || is_member_key(path)) && compares(path));
    let recorded = || {
        let stamps = kind.stamps(raw);
        let records = stamps.iter().filter_map(|stamp| Record::parse(&stamp.record).ok());
        records
            .flat_map(|record| record.k.into_keys())
            .map(|key| Path::from_record(&key, kind.free_map()))
            .any(|path| path.as_member().is_some() && compares(&path))
    };
    of_file || recorded()
}
