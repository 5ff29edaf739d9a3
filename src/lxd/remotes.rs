//! The servers that the user has names for: lxdeploy's own, and those that `lxc remote` keeps, which are read
//! and never written.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use super::tls::fingerprint_of;
use super::{Error, identity};

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
    /// `https://host:port`, or `unix:/path`.
    pub url: String,
    /// The project of objects that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
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
    remotes.extend(of_others());
    let mut names = std::collections::HashSet::new();
    remotes.retain(|remote| names.insert(remote.name.clone()));
    remotes
}

/// lxc's and incus' remotes.
pub fn of_others() -> Vec<Remote> {
    lxc_directories().iter().flat_map(|directory| of_lxc(directory)).collect()
}

/// Our own remotes in a directory.
pub fn own(directory: &Path) -> Vec<Remote> {
    let source = directory.join("remotes.yaml");
    let file: OwnRemotes = read(&source).unwrap_or_default();
    let remotes = file.remotes.into_iter().map(|(name, remote)| Remote {
        certificate: certificate_file(directory, &name),
        identity: (directory.join("client.crt"), directory.join("client.key")),
        url: remote.url,
        protocol: "lxd".into(),
        project: remote.project,
        is_public: false,
        source: source.clone(),
        name,
    });
    remotes.collect()
}

/// A name that a remote may have: it is a file's name, and stands before `:` in `image: REMOTE:ALIAS`.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), Error> {
    let is_bad =
        |character: char| matches!(character, '/' | ':') || character.is_whitespace() || character.is_control();
    if name.is_empty() || name.starts_with('-') || name.contains(is_bad) {
        return Err(Error::Config(format!(
            "`{name}` cannot be a remote's name: no `/`, `:` or white space, no `-` at its start, not empty"
        )));
    }
    if name == "local" {
        return Err(Error::Config("`local` is the server of this machine; choose another name".into()));
    }
    Ok(())
}

/// Keeps a remote of our own, with the server's certificate where it has one; the others stay as they are.
///
/// # Errors
/// A file cannot be read or written.
pub fn add(name: &str, remote: OwnRemote, certificate: Option<&CertificateDer<'_>>) -> Result<(), Error> {
    check_name(name)?;
    let directory = own_directory();
    let _lock = lock(&directory)?;
    let mut file = own_file(&directory)?;
    // The certificate first: a remote is never there without what it is known by.
    if let Some(certificate) = certificate {
        identity::write(&certificate_file(&directory, name), pem(certificate).as_bytes(), 0o644)?;
    }
    file.remotes.insert(name.to_owned(), remote);
    save(&directory, &file)
}

/// Forgets a remote of our own, and gives what it was.
///
/// # Errors
/// There is none of that name, or it is lxc's; or a file cannot be written.
pub fn remove(name: &str) -> Result<OwnRemote, Error> {
    let directory = own_directory();
    let mut file = if directory.exists() { own_file(&directory)? } else { OwnRemotes::default() };
    if !file.remotes.contains_key(name) {
        return Err(Error::Config(why_not_removed(name, file.remotes.keys())));
    }
    let _lock = lock(&directory)?;
    file = own_file(&directory)?;
    let removed = file.remotes.remove(name).ok_or_else(|| Error::Config(format!("`{name}` is gone already")))?;
    save(&directory, &file)?;
    match std::fs::remove_file(certificate_file(&directory, name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("{}: {error}", certificate_file(&directory, name).display());
        }
        _ => {}
    }
    Ok(removed)
}

fn why_not_removed<'a>(name: &str, own: impl Iterator<Item = &'a String>) -> String {
    if name == "local" {
        return "`local` is the server of this machine, and built in".into();
    }
    if let Some(remote) = all().into_iter().find(|remote| remote.name == name) {
        let is_incus =
            remote.source.parent().is_some_and(|parent| incus_directory().is_some_and(|incus| parent == incus));
        let program = if is_incus { "incus" } else { "lxc" };
        return format!(
            "`{name}` is {program}'s own ({}), which lxdeploy reads and never writes; `{program} remote remove {name}` removes it",
            remote.source.display()
        );
    }
    if built_in().any(|(known, _)| known == name) {
        return format!("`{name}` is built in");
    }
    let own: Vec<&str> = own.map(String::as_str).collect();
    let hint = match crate::diagnostic::nearest(name, own.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if own.is_empty() => "lxdeploy has none of its own".into(),
        None => format!("of lxdeploy's own there are: {}", own.join(", ")),
    };
    format!("there is no remote `{name}` ({hint})")
}

/// One of our own remotes.
///
/// # Errors
/// `remotes.yaml` is there and cannot be read.
pub fn own_remote(name: &str) -> Result<Option<Remote>, Error> {
    let directory = own_directory();
    own_file(&directory)?;
    Ok(own(&directory).into_iter().find(|remote| remote.name == name))
}

fn certificate_file(directory: &Path, name: &str) -> PathBuf {
    directory.join("servercerts").join(format!("{name}.crt"))
}

/// `remotes.yaml` as it is; to be written again, so what cannot be read must not be taken for empty.
fn own_file(directory: &Path) -> Result<OwnRemotes, Error> {
    let path = directory.join("remotes.yaml");
    let failed = |error: &dyn std::fmt::Display| Error::Config(format!("{}: {error}", path.display()));
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Ok(OwnRemotes::default()),
        Ok(text) => serde_yaml::from_str(&text).map_err(|error| failed(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(OwnRemotes::default()),
        Err(error) => Err(failed(&error)),
    }
}

fn save(directory: &Path, file: &OwnRemotes) -> Result<(), Error> {
    let path = directory.join("remotes.yaml");
    let text = serde_yaml::to_string(file).map_err(|error| Error::Config(format!("{}: {error}", path.display())))?;
    identity::write(&path, text.as_bytes(), 0o644)
}

/// Only one of two runs at once reads and writes; held while the file is open.
fn lock(directory: &Path) -> Result<std::fs::File, Error> {
    identity::private_directory(directory)?;
    let file = std::fs::File::open(directory).and_then(|file| file.lock().map(|()| file));
    file.map_err(|error| Error::Config(format!("{}: {error}", directory.display())))
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    // Base64 is ASCII, so 64 characters are 64 bytes.
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Where lxc and incus keep theirs.
fn lxc_directories() -> Vec<PathBuf> {
    let home = variable("HOME");
    let under_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let lxc = variable("LXD_CONF").or_else(|| under_home(".config/lxc"));
    let snap = under_home("snap/lxd/common/config");
    [lxc, snap, Some(PathBuf::from("/etc/lxd")), incus_directory()].into_iter().flatten().collect()
}

fn incus_directory() -> Option<PathBuf> {
    variable("INCUS_CONF").or_else(|| Some(variable("HOME")?.join(".config/incus")))
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

/// Image servers that need no configuration: name and URL.
pub fn built_in() -> impl Iterator<Item = (&'static str, &'static str)> {
    DEFAULTS.iter().copied()
}

/// The certificate of a server, where a remote of that URL keeps one.
pub fn certificate_of(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    let remote = all().into_iter().find(|remote| remote.url.trim_end_matches('/') == url)?;
    std::fs::read_to_string(remote.certificate).ok()
}

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

    #[test]
    fn names_of_remotes() {
        for name in ["lab", "data-centre_2", "a.b", "Größe"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "local", "a/b", "a:b", "a b", "a\n", "-a", "/", "a\0"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn our_own_file_is_written_and_read() {
        let directory = tempfile::tempdir().unwrap();
        let remote =
            |url: &str, project: Option<&str>| OwnRemote { url: url.into(), project: project.map(str::to_owned) };
        let remotes = [("dc", remote("https://a:8443", Some("acme"))), ("yes", remote("unix:/run/x", None))];
        let file =
            OwnRemotes { remotes: remotes.into_iter().map(|(name, remote)| (name.to_owned(), remote)).collect() };
        save(directory.path(), &file).unwrap();
        assert_eq!(own_file(directory.path()).unwrap(), file);
        let listed = own(directory.path());
        assert_eq!((listed[0].name.as_str(), listed[0].project.as_deref()), ("dc", Some("acme")));
        assert_eq!(listed[0].certificate, directory.path().join("servercerts/dc.crt"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_empty() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("remotes.yaml"), "remotes: [").unwrap();
        assert!(own_file(directory.path()).unwrap_err().to_string().contains("remotes.yaml"));
    }
}
