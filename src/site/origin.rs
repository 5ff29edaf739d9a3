use std::path::Path;
use std::process::{Command, Stdio};

use crate::kinds::hash;

/// Which file of which git repository a site file is, as eight hex digits; `None` where it is in none, or where
/// the repository has no remote. The same for every clone, be it over SSH or HTTPS.
pub fn origin(site: &Path) -> Option<String> {
    let directory = site.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = git(directory, &["rev-parse", "--show-prefix"])?;
    let remotes = git(directory, &["remote"])?;
    let names: Vec<&str> = remotes.lines().collect();
    let remote = if names.contains(&"origin") { "origin" } else { *names.first()? };
    let url = git(directory, &["config", "--get", &format!("remote.{remote}.url")])?;
    let name = site.file_name()?.to_string_lossy();
    Some(hash(&format!("{} {prefix}{name}", normal(&url))))
}

/// What git prints, without its last newline.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(directory).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim_end_matches('\n').to_owned())
}

/// `host/path` of a repository: without scheme, user, port, and `.git`.
fn normal(url: &str) -> String {
    let url = url.trim().trim_end_matches('/').trim_end_matches(".git").trim_end_matches('/');
    let (address, path) = match url.split_once("://") {
        Some(("file", path)) => ("", path),
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        // git@host:path, unless the colon is a part of a local path.
        None => url.split_once(':').filter(|(host, _)| !host.contains('/')).unwrap_or(("", url)),
    };
    let host = address.rsplit('@').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    format!("{}/{}", host.to_ascii_lowercase(), path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_over_ssh_and_https_are_of_one_origin() {
        let urls = [
            "git@Git.example:ops/sites.git",
            "ssh://git@git.example:22/ops/sites",
            "https://user:token@git.example/ops/sites.git/",
            "https://git.example:443/ops/sites",
        ];
        for url in urls {
            assert_eq!(normal(url), "git.example/ops/sites", "{url}");
        }
        assert_eq!(normal("../bare/sites.git"), "/../bare/sites");
        assert_eq!(normal("file:///srv/git/sites.git"), "/srv/git/sites");
    }

    #[test]
    fn a_file_outside_of_git_has_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(origin(&directory.path().join("site.yaml")), None);
    }
}
