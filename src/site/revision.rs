//! The files as they were in a revision of git.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// All files of a revision, in a directory of their own; the repository and its index are left as they are.
#[derive(Debug)]
pub struct Revision {
    directory: TempDir,
    /// The working tree's root.
    root: PathBuf,
    /// As the user named it.
    pub name: String,
    /// The commit.
    pub commit: String,
}

/// What git-lfs leaves in the place of a file.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

impl Revision {
    /// The root of the working tree that a file is, or was, in.
    ///
    /// # Errors
    /// It is in none.
    pub fn root_of(file: &Path) -> Result<PathBuf, String> {
        let full = absolute(file);
        // The file and its directory may be gone by now.
        let near = full.ancestors().skip(1).find(|directory| directory.is_dir()).unwrap_or(Path::new("/"));
        let root = git(near, &["rev-parse", "--show-toplevel"], None)
            .map_err(|reason| format!("{}: no file of a git repository ({reason})", file.display()))?;
        Ok(PathBuf::from(root))
    }

    /// Checks a revision out.
    ///
    /// # Errors
    /// There is no such revision, or git's own words.
    pub fn check_out(root: &Path, name: &str) -> Result<Revision, String> {
        if name.starts_with('-') {
            return Err(format!("`{name}` is no revision"));
        }
        let commit = git(root, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")], None)
            .map_err(|_| format!("there is no revision `{name}` in {}", root.display()))?;
        let failed = |error: std::io::Error| format!("a temporary directory: {error}");
        let directory = tempfile::Builder::new().prefix("lxdeploy-diff-").tempdir().map_err(failed)?;
        let index = directory.path().join("index");
        let files = directory.path().join("files");
        fs::create_dir(&files).map_err(failed)?;
        git(root, &["read-tree", &commit], Some(&index))?;
        let prefix = format!("--prefix={}/", files.display());
        let plain = [
            "-c",
            "core.sparseCheckout=false",
            "-c",
            "filter.lfs.smudge=",
            "-c",
            "filter.lfs.process=",
            "-c",
            "filter.lfs.required=false",
        ];
        git(root, &[&plain[..], &["checkout-index", "--all", "--force", "--quiet", &prefix]].concat(), Some(&index))?;
        Ok(Revision { directory, root: root.to_owned(), name: name.to_owned(), commit })
    }

    /// Where the file of the working tree lies in the revision, be it there or not; `None` beyond the repository.
    pub fn counterpart(&self, file: &Path) -> Option<PathBuf> {
        let full = resolved(file);
        let inside =
            full.strip_prefix(&self.root).or_else(|_| full.strip_prefix(resolved(&self.root))).ok()?.to_owned();
        Some(self.files().join(inside))
    }

    /// True if the revision holds the content of a file of its own.
    pub fn holds(&self, file: &Path) -> bool {
        let is_pointer = || {
            let mut front = [0; POINTER.len()];
            File::open(file).is_ok_and(|mut file| file.read_exact(&mut front).is_ok() && front == POINTER)
        };
        file.is_file() && !is_pointer()
    }

    /// The path within the repository, of a file of the revision or of the working tree.
    pub fn inside(&self, file: &Path) -> PathBuf {
        let full = normal(&absolute(file));
        let roots = [self.files(), self.root.clone(), resolved(&self.root)];
        roots.iter().find_map(|root| full.strip_prefix(root).ok()).map_or_else(|| full.clone(), Path::to_owned)
    }

    /// A text in which the revision's files are named as git names them: `HEAD~1:sites/acme.yaml`.
    pub fn named(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.files().display()), &format!("{}:", self.name))
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Without `.` and `..`, as far as the path alone tells.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// The path with the links in its directories resolved, as git gives the root of a working tree.
fn resolved(path: &Path) -> PathBuf {
    let full = normal(&absolute(path));
    let known = full.ancestors().skip(1).find_map(|directory| Some((directory.canonicalize().ok()?, directory)));
    match known {
        Some((real, directory)) => full.strip_prefix(directory).map_or_else(|_| full.clone(), |rest| real.join(rest)),
        None => full,
    }
}

/// What git says, without the newline at its end.
fn git(directory: &Path, arguments: &[&str], index: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments);
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let output = command.output().map_err(|error| format!("git cannot be run: {error}; install it"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git {}: {}", arguments[0], complaint.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_without_their_detours() {
        assert_eq!(normal(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
        assert_eq!(normal(Path::new("/../a")), Path::new("/a"));
    }
}
