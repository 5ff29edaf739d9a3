//! Fingerprints of image files, kept between runs by device, inode, size and time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::kinds::Object;
use crate::kinds::image::Source;
use crate::model::Address;

/// The fingerprint of every image that is made of files, or why a file cannot be read.
pub fn of_images(objects: &[Object]) -> BTreeMap<Address, Result<String, String>> {
    let sources = objects.iter().filter_map(|object| match object.spec.downcast_ref::<Source>() {
        Some(Source::Files(files)) => Some((object.address.clone(), files.clone())),
        _ => None,
    });
    let sources: Vec<_> = sources.collect();
    if sources.is_empty() {
        return BTreeMap::new();
    }
    let mut cache = Cache::load();
    let hashes = sources.into_iter().map(|(address, files)| (address, cache.fingerprint(&files))).collect();
    cache.save();
    hashes
}

/// Hashes by what identifies the files' content without reading it.
struct Cache {
    path: Option<PathBuf>,
    known: BTreeMap<String, String>,
    is_changed: bool,
}

impl Cache {
    fn load() -> Cache {
        let path = cache_directory().map(|directory| directory.join("lxdeploy").join("hashes.json"));
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let known = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Cache { path, known, is_changed: false }
    }

    fn fingerprint(&mut self, files: &[PathBuf]) -> Result<String, String> {
        let key = identity(files)?;
        if let Some(hash) = self.known.get(&key) {
            return Ok(hash.clone());
        }
        let hash = hash(files)?;
        self.known.insert(key, hash.clone());
        self.is_changed = true;
        Ok(hash)
    }

    /// Best effort: without it the next plan hashes again.
    fn save(&self) {
        let Some(path) = self.path.as_ref().filter(|_| self.is_changed) else {
            return;
        };
        let write = || -> io::Result<()> {
            let directory = path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            serde_json::to_writer(&mut file, &self.known)?;
            file.persist(path)?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::debug!("hashes not kept in {}: {error}", path.display());
        }
    }
}

fn cache_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))
}

fn identity(files: &[PathBuf]) -> Result<String, String> {
    let parts = files.iter().map(|path| {
        let meta = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if !meta.is_file() {
            return Err(format!("{}: not a file", path.display()));
        }
        Ok(format!("{}:{}:{}:{}.{:09}", meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
    });
    Ok(parts.collect::<Result<Vec<_>, String>>()?.join("+"))
}

/// LXD's fingerprint: SHA-256 of the file, or of the metadata and the root file system in a row.
fn hash(files: &[PathBuf]) -> Result<String, String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for path in files {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let mut file = File::open(path).map_err(failed)?;
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_image_is_hashed_in_a_row() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (whole, front, back) = (file("w", "abc"), file("f", "a"), file("b", "bc"));
        assert_eq!(hash(std::slice::from_ref(&whole)).unwrap(), hash(&[front, back]).unwrap());
        assert!(hash(&[whole]).unwrap().starts_with("ba7816bf"));
        assert!(identity(&[directory.path().join("none")]).unwrap_err().contains("none: No such file"));
    }
}
