//! What a step does differently in a cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use super::step::{Failure, One};
use crate::kinds::{Kind, Object, Raw, body, members};
use crate::live::Cluster;
use crate::live::cluster::of_members;
use crate::model::{Id, MEMBERS, Path};

impl One<'_> {
    /// The cluster, all of whose members must answer for what is made or changed on each of them at once; LXD would
    /// find out half way. `None` on a machine by itself, and for what is no member's own.
    async fn whole_cluster(&self, kind: &dyn Kind, body: &Raw) -> Result<Option<&Cluster>, Failure> {
        let planned = &self.context.run.snapshot;
        if !planned.server.is_clustered || !kind.is_made_per_member(body) {
            return Ok(None);
        }
        let cluster = self.context.cluster.get_or_try_init(|| Cluster::read(self.client, &planned.server.name)).await?;
        // One that died a moment ago is called online for a while.
        let silent = |name: &&str| cluster.is_offline(name) || planned.cluster.is_silent(name);
        let silent: Vec<&str> = cluster.members.iter().map(|member| member.name.as_str()).filter(silent).collect();
        if silent.is_empty() {
            return Ok(Some(cluster));
        }
        Err(Failure::because(format!(
            "LXD makes pools and networks on all members of the cluster at once, and {} does not answer; nothing was sent; \
             apply again when `lxc cluster list` has it online",
            silent.join(", ")
        )))
    }

    /// The members on which the object is yet to be begun; none on a machine by itself.
    pub(super) async fn members_to_begin(&self, kind: &dyn Kind, object: &Object) -> Result<Vec<String>, Failure> {
        let Some(cluster) = self.whole_cluster(kind, &body::of_fields(&object.fields)).await? else {
            return Ok(vec![]);
        };
        let begun = self.work.live.as_ref().filter(|live| live.get("status").is_some_and(|status| status == "Pending"));
        let begun = begun.and_then(|live| live.get("locations")).and_then(Value::as_array);
        let is_begun = |name: &str| begun.is_some_and(|begun| begun.iter().any(|member| member == name));
        let names = cluster.members.iter().map(|member| member.name.clone());
        Ok(names.filter(|name| !is_begun(name)).collect())
    }

    /// Finishes a creation that failed on some of the members.
    pub(super) async fn finish(&self, kind: &dyn Kind, id: &Id, live: &Raw) -> Result<(), Failure> {
        let is_errored = kind.is_unfinished(live) && live.get("status").is_some_and(|status| status == "Errored");
        if !is_errored || self.whole_cluster(kind, live).await?.is_none() {
            return Ok(());
        }
        match self.send(&members::finish(kind, id, live)).await {
            Err(error) if error.already_exists() => Ok(()),
            result => result.map(drop).map_err(Failure::from),
        }
    }

    /// LXD (5.0.2) loses the description of a network that is made in a cluster.
    pub(super) async fn write_description(&self, kind: &dyn Kind, id: &Id, object: &Object) -> Result<(), Failure> {
        let path = Path::field("description");
        let Some(wanted) = object.fields.get(&path) else { return Ok(()) };
        if !self.context.run.snapshot.server.is_clustered || !kind.is_made_per_member(&body::of_fields(&object.fields))
        {
            return Ok(());
        }
        let Some((before, etag)) = self.read(id, &Raw::new()).await? else { return Ok(()) };
        if before.get("description") == Some(&wanted.value) {
            return Ok(());
        }
        let mut after = before.clone();
        body::set(&mut after, &path, Some(wanted.value.clone()));
        Ok(self.write(kind, id, &before, &after, etag).await?)
    }

    /// Adds to an object what the members that the change speaks of keep for themselves.
    pub(super) async fn read_members(&self, kind: &dyn Kind, id: &Id, raw: &mut Raw) -> Result<(), Failure> {
        let members = self.change.diff.iter().filter_map(|field| field.path.as_member());
        let members: BTreeSet<String> = members.map(|(member, _)| member.to_owned()).collect();
        if !members.is_empty() {
            let members: Vec<String> = members.into_iter().collect();
            raw.insert(MEMBERS.into(), of_members(self.client, kind, id, &members).await?.into());
        }
        Ok(())
    }
}

/// LXD's words for a member that does not answer name its address, or nothing at all.
pub(super) fn explained(message: String, cluster: &Cluster) -> String {
    const SIGNS: &[&str] =
        &["peer node ", "Unable to connect to: ", "Missing event connection with target cluster member"];
    if cluster.members.is_empty() || !SIGNS.iter().any(|sign| message.contains(sign)) {
        return message;
    }
    let named = cluster.members.iter().filter(|member| {
        let address = member.url.trim_start_matches("https://");
        !address.is_empty() && message.contains(address)
    });
    let names: Vec<&str> = named.map(|member| member.name.as_str()).collect();
    let who = if names.is_empty() { "a member of the cluster".to_owned() } else { names.join(", ") };
    format!(
        "{who} does not answer: `lxc cluster list` has the state of all members; apply again when it is back ({message})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Member;

    #[test]
    fn a_member_that_is_down_is_called_by_its_name() {
        let member = |name: &str, url: &str| Member { name: name.into(), url: url.into(), ..Member::default() };
        let members = vec![member("n1", "https://10.0.0.1:8443"), member("n2", "https://10.0.0.2:8443")];
        let cluster = Cluster::new(members);
        let text = explained("peer node 10.0.0.2:8443 is down".into(), &cluster);
        assert!(
            text.starts_with("n2 does not answer") && text.ends_with("(peer node 10.0.0.2:8443 is down)"),
            "{text}"
        );
        assert_eq!(explained("no space left".into(), &cluster), "no space left");
    }
}
