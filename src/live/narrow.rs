//! What a restricted certificate may ask in place of the bulk reads.
//!
//! Measured on LXD 5.0.2 and Incus 6.0.4: only `/1.0/projects` gives all that it may see. Over all projects LXD
//! refuses a list and Incus shortens it. `default` is closed, but what the own project uses of it is shown through
//! that project, without config. Incus refuses the list of pools and shows each pool; of ACLs in `default` it tells
//! nothing, not even whether they are there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::row::Row;
use super::{Projects, Request};
use crate::kinds::{Kind, Object, Raw};
use crate::lxd::{self, Client, Method};
use crate::model::Id;

impl Request {
    /// True if it asks a project that is closed to us, which some lists answer with nothing in place of a refusal.
    pub(super) fn is_closed(&self, projects: &Projects) -> bool {
        self.project.as_ref().is_some_and(|project| projects.is_closed(project))
    }
}

/// The requests that get what of these may be seen. What nothing gets is left out: the plan says so.
pub(super) fn narrow(requests: Vec<Request>, projects: &Projects, objects: &[Object]) -> Vec<Request> {
    let mut narrower = vec![];
    for request in requests {
        let kind = request.kind;
        match &request.project {
            None if kind.section() == "storage_pools" => {
                let one = |name| Request { one: Some(name), ..request.clone() };
                narrower.extend(names(kind, projects, objects).into_iter().map(one));
            }
            None => {
                narrower.extend(projects.visible().map(|project| Request::list(kind, Some(project.to_owned()), None)))
            }
            Some(project) if projects.is_closed(project) => {
                let Some(through) = projects.through(kind.place()) else { continue };
                let list = Request { through: Some(through.to_owned()), ..request.clone() };
                if kind.section() == "network_acls" {
                    let one = |name| Request { one: Some(name), ..list.clone() };
                    narrower.extend(names(kind, projects, objects).into_iter().map(one));
                }
                narrower.push(list);
            }
            Some(project) if projects.visible().any(|visible| visible == project) => narrower.push(request),
            Some(_) => {}
        }
    }
    narrower
}

/// The shared objects of a kind that the site speaks of.
fn names(kind: &dyn Kind, projects: &Projects, objects: &[Object]) -> BTreeSet<String> {
    let section = kind.section();
    let is_shared = |object: &&Object| projects.effective(&object.project, kind.place()) == "default";
    let objects = objects.iter().filter(is_shared);
    let own = |object: &Object| (object.kind.section() == section).then(|| object.name.clone());
    let named = |object: &Object| -> Vec<String> {
        let references = object.references.iter().filter(|reference| reference.section == section);
        references.map(|reference| reference.name.clone()).chain(own(object)).collect()
    };
    objects.flat_map(named).collect()
}

/// One object. Whether one is there that we may not even see is not told: it counts as there, and as hidden.
pub(super) async fn read_one(client: &Client, request: &Request, name: &str) -> Result<Vec<Row>, lxd::Error> {
    let project = request.through.as_ref().or(request.project.as_ref()).map_or("default", String::as_str);
    let id = Id { project: project.to_owned(), pool: None, name: name.to_owned() };
    match client.read::<Row>(&request.kind.call(Method::Get, &id, &Raw::new())).await {
        Ok((row, _)) => Ok(vec![row]),
        Err(error) if error.is_not_found() => Ok(vec![]),
        Err(error) if error.is_forbidden() => {
            let row = [("name", Value::from(name)), ("config", Value::Null)];
            Ok(vec![Row(row.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())])
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::by_section;

    fn asked(section: &str, project: Option<&str>, projects: &Projects) -> Vec<String> {
        let request = Request::list(by_section(section).unwrap(), project.map(str::to_owned), None);
        let shown = |request: Request| format!("{:?} by {:?}", request.project, request.through);
        narrow(vec![request], projects, &[]).into_iter().map(shown).collect()
    }

    #[test]
    fn its_own_projects_and_through_them_what_they_share() {
        let mut projects = Projects::default();
        let rows = [r#"{"name":"a","config":{"features.images":"true"}}"#, r#"{"name":"b","config":{}}"#];
        projects.learn(&rows.map(|row| serde_json::from_str(row).unwrap()));
        projects.restrict();
        assert_eq!(asked("instances", None, &projects), [r#"Some("a") by None"#, r#"Some("b") by None"#]);
        assert_eq!(asked("profiles", Some("a"), &projects), [r#"Some("a") by None"#]);
        assert_eq!(asked("profiles", Some("other"), &projects), [""; 0]);
        assert_eq!(asked("networks", Some("default"), &projects), [r#"Some("default") by Some("a")"#]);
        assert_eq!(asked("images", Some("default"), &projects), [r#"Some("default") by Some("b")"#]);
        projects.learn(&[serde_json::from_str(r#"{"name":"default","config":{}}"#).unwrap()]);
        projects.restrict();
        assert_eq!(asked("networks", Some("default"), &projects), [r#"Some("default") by None"#]);
    }
}
