//! What roles are made of, in one hash: it changes with whatever could change what they do.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::model::Play;

impl Play {
    /// The hash of all files of its roles and of those that they depend on or import, in hex. What is only included while
    /// they run is not known here, nor are variables.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn content(&self) -> Result<String, String> {
        let mut digest = Sha256::new();
        for role in &self.roles {
            digest.update(role.name.as_bytes());
            for file in files(&role.path)? {
                let named = |error: std::io::Error| format!("{}: {error}", file.display());
                let name = file.strip_prefix(&role.path).unwrap_or(&file);
                let content = Sha256::digest(std::fs::read(&file).map_err(named)?);
                digest.update(name.as_os_str().as_encoded_bytes());
                digest.update(b"\0");
                digest.update(content);
            }
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The files below a directory, by name; but for what is written for people or left behind by Python.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![];
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        let named = |error: std::io::Error| format!("{}: {error}", directory.display());
        for entry in std::fs::read_dir(&directory).map_err(named)? {
            let path = entry.map_err(named)?.path();
            let name = path.file_name().unwrap_or_default();
            match () {
                () if name == "README.md" || name == "__pycache__" => {}
                () if path.is_dir() => left.push(path),
                () => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}
