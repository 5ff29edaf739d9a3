use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use super::Error;
use super::remotes::{self, Remote};

/// A server and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What the user calls it.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// The project that the remote's configuration names.
    pub project: Option<String>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A local socket.
    Socket(PathBuf),
    /// HTTPS with a client certificate, the server's own pinned.
    Https {
        /// `https://host:port`.
        url: String,
        /// SHA-256 of the server's certificate, in lower-case hex.
        fingerprint: String,
        /// The client's certificate and key, PEM.
        identity: (PathBuf, PathBuf),
    },
}

/// Finds the server that `remote:` or `--remote` names: `local`, `unix:/path`, `https://host:port`, or a
/// remote's name, of lxdeploy's own or of lxc's.
///
/// # Errors
/// No such remote, no socket, or nothing to trust the server by; each with what to do.
pub fn resolve(name: &str, fingerprint: Option<&str>) -> Result<Endpoint, Error> {
    if let Some(path) = name.strip_prefix("unix:") {
        let path = path.trim_start_matches("//");
        let path = if path.is_empty() { local_socket()? } else { PathBuf::from(path) };
        return Ok(Endpoint { name: name.to_owned(), address: Address::Socket(path), project: None });
    }
    let known = remotes::all();
    if name.starts_with("https://") {
        let url = name.trim_end_matches('/').to_owned();
        let remote = known.iter().find(|remote| remote.url.trim_end_matches('/') == url);
        return https(name, &url, remote, fingerprint);
    }
    match known.iter().find(|remote| remote.name == name) {
        Some(remote) if remote.url.starts_with("https://") => {
            https(name, remote.url.trim_end_matches('/'), Some(remote), fingerprint)
        }
        Some(remote) if name != "local" && remote.url.starts_with("unix:") => {
            let path = remote.url.trim_start_matches("unix:").trim_start_matches("//");
            let path = if path.is_empty() { local_socket()? } else { PathBuf::from(path) };
            Ok(Endpoint { name: name.to_owned(), address: Address::Socket(path), project: remote.project.clone() })
        }
        _ if name == "local" => {
            Ok(Endpoint { name: name.to_owned(), address: Address::Socket(local_socket()?), project: None })
        }
        _ => {
            let servers = known.iter().filter(|remote| remote.protocol != "simplestreams");
            let names: BTreeSet<&str> = servers.map(|remote| remote.name.as_str()).chain(["local"]).collect();
            let near = crate::diagnostic::nearest(name, names.iter().copied());
            let names: Vec<&str> = names.into_iter().collect();
            let hint =
                near.map_or_else(|| format!("known: {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
            Err(Error::Config(format!(
                "there is no remote `{name}` ({hint}); `lxdeploy remote add {name} URL` makes one"
            )))
        }
    }
}

fn https(name: &str, url: &str, remote: Option<&Remote>, fingerprint: Option<&str>) -> Result<Endpoint, Error> {
    let pinned = match (fingerprint, remote) {
        (Some(fingerprint), _) => Some(fingerprint.replace(':', "").to_ascii_lowercase()),
        (None, Some(remote)) => remote.fingerprint()?,
        (None, None) => None,
    };
    let Some(fingerprint) = pinned else {
        return Err(Error::Config(format!(
            "nothing says which certificate {url} should show; `lxdeploy remote add NAME {url}` asks once, or write `server_fingerprint` into the site file"
        )));
    };
    let identity = match remote {
        Some(remote) => remote.identity.clone(),
        None => remotes::own_identity(),
    };
    for file in [&identity.0, &identity.1] {
        if !file.exists() {
            return Err(Error::Config(format!(
                "{} is missing: the client certificate by which {name} would know us; `lxdeploy remote add` makes one",
                file.display()
            )));
        }
    }
    let address = Address::Https { url: url.to_owned(), fingerprint, identity };
    Ok(Endpoint { name: name.to_owned(), address, project: remote.and_then(|remote| remote.project.clone()) })
}

/// The local server's socket: what the environment says, the snap's, the distribution's, Incus' own.
fn local_socket() -> Result<PathBuf, Error> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = [("LXD_SOCKET", false), ("LXD_DIR", true), ("INCUS_SOCKET", false), ("INCUS_DIR", true)];
    for (name, is_directory) in named {
        if let Some(path) = variable(name) {
            return Ok(if is_directory { path.join("unix.socket") } else { path });
        }
    }
    let places = [
        "/var/snap/lxd/common/lxd/unix.socket",
        "/var/lib/lxd/unix.socket",
        "/run/incus/unix.socket",
        "/var/lib/incus/unix.socket",
    ];
    places.iter().map(Path::new).find(|path| path.exists()).map(Path::to_path_buf).ok_or_else(|| {
        Error::Config(format!(
            "no local LXD: none of {} is there, and neither LXD_SOCKET nor LXD_DIR is set. Install LXD (`snap install lxd`), or name a server with --remote",
            places.join(", ")
        ))
    })
}
