use std::collections::BTreeMap;

use serde_json::Value;

use crate::kinds::{Object, Place, Raw};
use crate::model::{Path, value};

/// Which project the objects of each kind live in: LXD keeps kinds whose `features.*` a project lacks in
/// `default`, whatever project a request names.
#[derive(Clone, Debug, Default)]
pub struct Projects {
    /// Features by project as the file wants them.
    wanted: BTreeMap<String, BTreeMap<String, bool>>,
    /// Features by project as they are.
    live: BTreeMap<String, BTreeMap<String, bool>>,
    /// We see some projects only, and `default` is none of them.
    is_default_closed: bool,
}

impl Projects {
    /// What the file alone says.
    pub fn wanted(objects: &[Object]) -> Projects {
        let projects = objects.iter().filter(|object| object.kind.section() == "projects");
        let features = projects.map(|project| {
            let features = project.fields.iter().filter_map(|(path, wanted)| match path {
                Path::Entry { map: "config", key } if key.starts_with("features.") => {
                    Some((key.clone(), value::as_bool(&value::text(&wanted.value))?))
                }
                _ => None,
            });
            (project.name.clone(), features.collect())
        });
        Projects { wanted: features.collect(), ..Projects::default() }
    }

    /// Adds what the server says.
    pub fn learn<'a>(&mut self, rows: impl IntoIterator<Item = &'a Raw>) {
        for raw in rows {
            let name = raw.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let config = raw.get("config").and_then(Value::as_object);
            let features = config.into_iter().flatten().filter(|(key, _)| key.starts_with("features."));
            let features =
                features.map(|(key, value)| (key.clone(), value.as_str().and_then(value::as_bool).unwrap_or(false)));
            self.live.insert(name, features.collect());
        }
    }

    /// Says that the server shows us some of its projects only.
    pub(super) fn restrict(&mut self) {
        self.is_default_closed = !self.live.contains_key("default");
    }

    /// The projects that the server shows us.
    pub fn visible(&self) -> impl Iterator<Item = &str> {
        self.live.keys().map(String::as_str)
    }

    /// True for `default` where our certificate is not one for it: what lies there is shared with others.
    pub fn is_closed(&self, project: &str) -> bool {
        self.is_default_closed && project == "default"
    }

    /// The project of ours through which the server shows what of a kind lies in `default`.
    pub fn through(&self, place: Place) -> Option<&str> {
        self.visible().find(|project| self.effective(project, place) == "default")
    }

    /// True if the server has it; `default` always, though a restricted certificate does not see it.
    pub fn exists(&self, project: &str) -> bool {
        project == "default" || self.live.contains_key(project)
    }

    /// True if the file makes it, or says that it is there.
    pub fn is_wanted(&self, project: &str) -> bool {
        self.wanted.contains_key(project)
    }

    /// Where an object lives that names `project`.
    pub fn effective(&self, project: &str, place: Place) -> String {
        let own = match place.feature() {
            _ if project == "default" || place == Place::Server => false,
            None => true,
            Some((feature, default)) => self.has(project, feature, default),
        };
        if own { project.to_owned() } else { "default".to_owned() }
    }

    /// What the file wants counts before what is: the plan's own order brings it about. A live project that
    /// says nothing of a feature does not have it; one that is yet to be made has LXD's default.
    fn has(&self, project: &str, feature: &str, default: bool) -> bool {
        let wanted = self.wanted.get(project).and_then(|features| features.get(feature)).copied();
        let live = self.live.get(project).map(|features| features.get(feature).copied().unwrap_or(false));
        wanted.or(live).unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_decide() {
        let networks = Place::Project { feature: Some(("features.networks", false)) };
        let images = Place::Project { feature: Some(("features.images", true)) };
        let mut projects = Projects::default();
        assert_eq!(projects.effective("new", images), "new");
        assert_eq!(projects.effective("new", networks), "default");
        assert_eq!(projects.effective("new", Place::Project { feature: None }), "new");
        let row = serde_json::from_str(r#"{"name":"old","config":{"features.networks":"true"}}"#).unwrap();
        projects.learn(&[row]);
        assert_eq!(projects.effective("old", networks), "old");
        assert_eq!(projects.effective("old", images), "default");
        assert_eq!(projects.effective("old", Place::Server), "default");
    }
}
