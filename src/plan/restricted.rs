//! What a certificate that is restricted to some projects leaves alone: what it shares with others is to it
//! external, whatever the file says of it. It must be there, and is never written.

use std::collections::BTreeMap;

use super::build::Builder;
use super::diff::compare;
use super::{Note, Refusal, images};
use crate::kinds::image::Source;
use crate::kinds::{Object, Place, Raw};
use crate::model::Id;
use crate::site::Site;

/// The word for machines, of refusals and of notes.
const CODE: &str = "restricted";

impl Builder<'_> {
    /// Refuses projects that are not shown to us: in them even what is there would look absent.
    pub fn check_projects(&mut self, site: &Site) {
        if !self.snapshot.server.is_restricted {
            return;
        }
        let mut hidden: BTreeMap<&str, Option<&Object>> = BTreeMap::new();
        for object in site.objects.iter().filter(|object| !self.is_shown(object)) {
            let project = if object.kind.section() == "projects" { &object.name } else { &object.project };
            hidden.entry(project).or_insert(Some(object));
        }
        let is_home_shown = self.snapshot.projects.visible().any(|project| project == site.project);
        if site.objects.is_empty() && !is_home_shown {
            hidden.insert(&site.project, None);
        }
        let who = self.who();
        let seen: Vec<String> = self.snapshot.projects.visible().map(|project| format!("`{project}`")).collect();
        let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
        let (program, client) = (self.snapshot.server.program(), self.client());
        for (project, object) in hidden {
            self.plan.refused.push(Refusal {
                address: None,
                code: CODE,
                text: format!("{who}; of the projects it may see {seen}, and not `{project}`"),
                help: format!(
                    "at the server, `{program} config trust edit {client}` takes `{project}` among its `projects` \
                     (`{program} project create {project}` first, where there is none); or name another project"
                ),
                span: object.map(|object| object.span),
            });
        }
    }

    /// False for what lies in a project that is not shown to us.
    pub fn is_shown(&self, object: &Object) -> bool {
        let projects = &self.snapshot.projects;
        let is_visible = |name: &str| projects.visible().any(|project| project == name);
        match object.kind.place() {
            _ if !self.snapshot.server.is_restricted => true,
            Place::Server => object.kind.section() != "projects" || is_visible(&object.name),
            place => {
                is_visible(&object.project) || projects.is_closed(&object.project) && projects.through(place).is_some()
            }
        }
    }

    /// True if the object is not ours to write; then all is said of it.
    pub fn is_shared(&mut self, object: &Object, id: &Id, live: Option<&Raw>) -> bool {
        let names_one = matches!(object.spec.downcast_ref(), Some(Source::Alias(_) | Source::Fingerprint(_)));
        if object.external || names_one || self.snapshot.may_write(object.kind, id) {
            return false;
        }
        match live {
            Some(live) => self.note_shared(object, live),
            None => {
                let (noun, who, program) = (object.kind.noun(), self.who(), self.snapshot.server.program());
                let text = format!(
                    "{}: there is no {noun} `{}`, and {who}: it may not make what it would share with others",
                    object.address, object.name
                );
                let help = format!(
                    "have it made by somebody who may: `lxdeploy apply SITE --target {}` as root at the server or with a \
                     certificate that is not restricted, or `{program} {}`",
                    object.address,
                    by_hand(object)
                );
                self.refuse(object, CODE, text, &help);
            }
        }
        true
    }

    /// Says that a shared object stays as it is, and in what it differs, as far as that is shown.
    fn note_shared(&mut self, object: &Object, live: &Raw) {
        let address = &object.address;
        if object.kind.section() != "projects" {
            let text = format!(
                "{address}: shared with others and not visible to this client, whose certificate is restricted; left as it is"
            );
            return self.note(address, CODE, text);
        }
        let differs: Vec<String> = compare(object.kind, &object.fields, live, None)
            .fields
            .iter()
            .map(|field| field.path.to_string())
            .collect();
        if !differs.is_empty() {
            let text = format!(
                "{address}: {} differs from the file, and only an unrestricted client may change a project; left as it is",
                differs.join(", ")
            );
            self.note(address, CODE, text);
        }
    }

    /// In a destroy: what the file defines and shares with others stays.
    pub fn keep_shared(&mut self, wanted: &[Object]) {
        for object in wanted.iter().filter(|object| !object.external) {
            let project = self.snapshot.projects.effective(&object.project, object.kind.place());
            let id = Id { project, pool: object.pool.clone(), name: object.name.clone() };
            if self.snapshot.may_write(object.kind, &id) || !self.is_shown(object) {
                continue;
            }
            let is_there = match object.kind.section() {
                "images" => images::live_of(object, &id.project, self.site, self.snapshot).is_some(),
                section => self.snapshot.get(section, &id).is_some(),
            };
            if is_there {
                self.plan.notes.push(Note {
                    address: Some(object.address.clone()),
                    code: CODE,
                    text: format!(
                        "{} stays: this client's certificate is restricted, and may not remove it",
                        object.address
                    ),
                });
            }
        }
    }

    fn who(&self) -> String {
        match &self.snapshot.server.client {
            Some(_) => format!("this client's certificate {} is restricted", self.client()),
            None => "this client is restricted".to_owned(),
        }
    }

    /// The fingerprint as `config trust list` shows it.
    fn client(&self) -> String {
        self.snapshot
            .server
            .client
            .as_ref()
            .map_or("FINGERPRINT".to_owned(), |client| client.chars().take(12).collect())
    }
}

/// What makes the like of it at the server, without its config.
fn by_hand(object: &Object) -> String {
    let name = &object.name;
    match object.kind.section() {
        "storage_pools" => {
            let driver = object.fields.get(&crate::model::Path::field("driver"));
            let driver = driver.and_then(|driver| driver.value.as_str()).unwrap_or("dir");
            format!("storage create {name} {driver}")
        }
        "storage_volumes" => format!("storage volume create {} {name}", object.pool.as_deref().unwrap_or("POOL")),
        "network_acls" => format!("network acl create {name}"),
        "networks" => format!("network create {name}"),
        "images" => "image import FILE".to_owned(),
        section => format!("{} create {name}", section.trim_end_matches('s')),
    }
}
