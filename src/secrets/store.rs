//! Where the secrets that lxdeploy made are kept: a file beside the site, encrypted for the site's recipients; or, of a
//! site without any, one for its owner alone below `$XDG_STATE_HOME`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::make::Made;
use super::{Keys, open};

/// Secrets that were made, by name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Store(BTreeMap<String, Made>);

impl Store {
    /// A secret that was made.
    pub fn get(&self, name: &str) -> Option<&Made> {
        self.0.get(name)
    }

    /// Keeps a secret in the place of an earlier one of its name.
    pub fn set(&mut self, name: &str, made: Made) {
        self.0.insert(name.to_owned(), made);
    }

    /// Reads a store; one that is not there is empty.
    ///
    /// # Errors
    /// It cannot be read or decrypted, or is no store; never with the text of it.
    pub fn read(path: &Path, keys: &Keys) -> Result<Self, String> {
        let named = |reason: String| format!("{}: {reason}", path.display());
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Store::default()),
            Err(error) => return Err(named(error.to_string())),
        };
        let bytes = open(bytes, keys).map_err(named)?.bytes;
        let text = std::str::from_utf8(&bytes).map_err(|_| named("it holds no UTF-8".into()))?;
        serde_yaml::from_str(text).map_err(|_| named("it is no file of `lxdeploy secrets generate`".into()))
    }

    /// The text of its file, not yet encrypted.
    ///
    /// # Errors
    /// It cannot be written as YAML.
    pub fn text(&self) -> Result<String, String> {
        let text = serde_yaml::to_string(self).map_err(|error| error.to_string())?;
        Ok(format!(
            "# Made by `lxdeploy secrets generate`, which makes what is missing again: take out what is to change.\n{text}"
        ))
    }
}

/// The places of a site's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Beside the site: SITE.secrets.yaml.
    pub beside: PathBuf,
    /// In the user's state; `None` where there is no home.
    pub state: Option<PathBuf>,
}

impl Places {
    /// Those of a site file and of the site's name.
    pub fn of(file: &Path, site: &str) -> Self {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
        Places {
            beside: file.with_file_name(format!("{stem}.secrets.yaml")),
            state: state.map(|state| state.join("lxdeploy").join(format!("{site}.secrets.yaml"))),
        }
    }

    /// The one that is there, the one beside the site first.
    pub fn current(&self) -> Option<&Path> {
        let state = self.state.as_deref();
        std::iter::once(self.beside.as_path()).chain(state).find(|path| path.exists())
    }
}

#[cfg(test)]
mod tests {
    use super::super::make::Recipe;
    use super::*;

    #[test]
    fn what_was_kept_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site.secrets.yaml");
        let keys = Keys::default();
        assert!(Store::read(&path, &keys).unwrap() == Store::default(), "one that is not there is empty");
        let mut store = Store::default();
        store.set("key", Recipe::Password { length: 40 }.make(&store, 1).unwrap());
        store.set("ca", Recipe::Authority { name: "us: all # 1".into(), days: 9 }.make(&store, 1).unwrap());
        std::fs::write(&path, store.text().unwrap()).unwrap();
        assert!(Store::read(&path, &keys).unwrap() == store);
        std::fs::write(&path, "key: hunter2\n").unwrap();
        let error = Store::read(&path, &keys).err().unwrap();
        assert!(error.contains("is no file of") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_place_beside_the_site_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places {
            state: Some(directory.path().join("state")),
            ..Places::of(&directory.path().join("acme.yaml"), "acme")
        };
        assert_eq!(places.beside, directory.path().join("acme.secrets.yaml"));
        assert_eq!(places.current(), None);
        std::fs::write(places.state.as_ref().unwrap(), "").unwrap();
        assert_eq!(places.current(), places.state.as_deref());
        std::fs::write(&places.beside, "").unwrap();
        assert_eq!(places.current(), Some(places.beside.as_path()));
    }
}
