//! The servers that the user has names for: lxdeploy's own, and those that `lxc remote` keeps, which are read
//! and never written.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use super::Error;
use super::tls::fingerprint_of;

/// A named server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// `https://host:port`, `unix://` or `unix:///path`.
    pub url: String,
    /// `lxd`, `incus` or `simplestreams`.
    pub protocol: String,
    /// The project that its configuration names.
    pub project: Option<String>,
    /// Anybody may read its images.
    pub is_public: bool,
    /// The server's certificate, PEM; may be missing for public servers.
    pub certificate: PathBuf,
    /// The client's certificate and key, PEM.
    pub identity: (PathBuf, PathBuf),
    /// The file that names it.
    pub source: PathBuf,
}

impl Remote {
    /// SHA-256 of the server's certificate, where there is one.
    ///
    /// # Errors
    /// The file is there and holds no certificate.
    pub fn fingerprint(&self) -> Result<Option<String>, Error> {
        if !self.certificate.exists() {
            return Ok(None);
        }
        let certificate = CertificateDer::from_pem_file(&self.certificate)
            .map_err(|error| Error::Config(format!("{}: {error}", self.certificate.display())))?;
        Ok(Some(fingerprint_of(&certificate)))
    }
}

/// The file in which lxdeploy keeps its own remotes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct OwnRemotes {
    /// By name.
    #[serde(default)]
    pub remotes: BTreeMap<String, OwnRemote>,
}

/// One of lxdeploy's own remotes.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct OwnRemote {
    /// `https://host:port`.
    pub url: String,
}

/// `config.yml` of lxc (and of incus), as far as it matters here.
#[derive(Deserialize)]
struct LxcConfig {
    #[serde(default)]
    remotes: BTreeMap<String, LxcRemote>,
}

#[derive(Deserialize)]
struct LxcRemote {
    #[serde(default)]
    addr: String,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    project: String,
    #[serde(default)]
    public: bool,
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `$XDG_CONFIG_HOME/lxdeploy`.
pub fn own_directory() -> PathBuf {
    let base = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    base.unwrap_or_else(|| PathBuf::from("/root/.config")).join("lxdeploy")
}

/// Our own client certificate and key.
pub fn own_identity() -> (PathBuf, PathBuf) {
    let directory = own_directory();
    (directory.join("client.crt"), directory.join("client.key"))
}

/// Every remote, ours before lxc's; of one name the first counts.
pub fn all() -> Vec<Remote> {
    let mut remotes = own(&own_directory());
    for directory in lxc_directories() {
        remotes.extend(of_lxc(&directory));
    }
    let mut names = std::collections::HashSet::new();
    remotes.retain(|remote| names.insert(remote.name.clone()));
    remotes
}

/// Our own remotes in a directory.
pub fn own(directory: &Path) -> Vec<Remote> {
    let source = directory.join("remotes.yaml");
    let file: OwnRemotes = read(&source).unwrap_or_default();
    let remotes = file.remotes.into_iter().map(|(name, remote)| Remote {
        certificate: directory.join("servercerts").join(format!("{name}.crt")),
        identity: (directory.join("client.crt"), directory.join("client.key")),
        url: remote.url,
        protocol: "lxd".into(),
        project: None,
        is_public: false,
        source: source.clone(),
        name,
    });
    remotes.collect()
}

/// Where lxc and incus keep theirs.
fn lxc_directories() -> Vec<PathBuf> {
    let home = variable("HOME");
    let under_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let lxc = variable("LXD_CONF").or_else(|| under_home(".config/lxc"));
    let snap = under_home("snap/lxd/common/config");
    let incus = variable("INCUS_CONF").or_else(|| under_home(".config/incus"));
    [lxc, snap, Some(PathBuf::from("/etc/lxd")), incus].into_iter().flatten().collect()
}

/// lxc's remotes in its directory.
fn of_lxc(directory: &Path) -> Vec<Remote> {
    let source = directory.join("config.yml");
    let Some(config) = read::<LxcConfig>(&source) else {
        return vec![];
    };
    let remotes = config.remotes.into_iter().map(|(name, remote)| {
        let system = Path::new("/etc/lxd/servercerts").join(format!("{name}.crt"));
        let user = directory.join("servercerts").join(format!("{name}.crt"));
        Remote {
            certificate: if user.exists() || !system.exists() { user } else { system },
            identity: (directory.join("client.crt"), directory.join("client.key")),
            url: remote.addr,
            protocol: if remote.protocol.is_empty() { "lxd".into() } else { remote.protocol },
            project: Some(remote.project).filter(|project| !project.is_empty()),
            is_public: remote.public,
            source: source.clone(),
            name,
        }
    });
    remotes.collect()
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    let text = std::fs::read_to_string(path).ok()?;
    match serde_yaml::from_str(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!("{} cannot be read, and its remotes are not known: {error}", path.display());
            None
        }
    }
}

/// Where `image: REMOTE:ALIAS` is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageServer {
    /// URL.
    pub url: String,
    /// `simplestreams` or `lxd`.
    pub protocol: String,
    /// Its certificate, PEM, where it is pinned.
    pub certificate: Option<String>,
}

/// lxc's own defaults, for machines on which lxc has never run.
const DEFAULTS: &[(&str, &str)] = &[
    ("ubuntu", "https://cloud-images.ubuntu.com/releases"),
    ("ubuntu-daily", "https://cloud-images.ubuntu.com/daily"),
    ("ubuntu-minimal", "https://cloud-images.ubuntu.com/minimal/releases"),
    ("ubuntu-minimal-daily", "https://cloud-images.ubuntu.com/minimal/daily"),
    ("images", "https://images.lxd.canonical.com"),
];

/// The image server of a name.
///
/// # Errors
/// No such remote.
pub fn image_server(name: &str) -> Result<ImageServer, Error> {
    if let Some(remote) = all().into_iter().find(|remote| remote.name == name) {
        let certificate = std::fs::read_to_string(&remote.certificate).ok();
        let protocol = if remote.protocol == "simplestreams" { "simplestreams" } else { "lxd" };
        return Ok(ImageServer { url: remote.url, protocol: protocol.into(), certificate });
    }
    let default = DEFAULTS.iter().find(|(known, _)| *known == name);
    default
        .map(|(_, url)| ImageServer { url: (*url).to_owned(), protocol: "simplestreams".into(), certificate: None })
        .ok_or_else(|| {
            let known: Vec<&str> = DEFAULTS.iter().map(|(name, _)| *name).collect();
            Error::Config(format!(
                "there is no image server `{name}`; built in: {}; others are lxc's remotes",
                known.join(", ")
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lxcs_own_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let config = "default-remote: dc\nremotes:\n  dc:\n    addr: https://10.0.0.1:8443\n    auth_type: tls\n    project: acme\n    protocol: lxd\n    public: false\n  images:\n    addr: https://images.example\n    protocol: simplestreams\n    public: true\naliases: {}\n";
        std::fs::write(directory.path().join("config.yml"), config).unwrap();
        let remotes = of_lxc(directory.path());
        assert_eq!(remotes.len(), 2);
        assert_eq!((remotes[0].name.as_str(), remotes[0].project.as_deref()), ("dc", Some("acme")));
        assert_eq!(remotes[0].identity.1, directory.path().join("client.key"));
        assert!(remotes[1].is_public && remotes[1].protocol == "simplestreams");
    }
}
