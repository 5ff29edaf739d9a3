//! Becoming known to a server: by a token, by a trust password, or because it knows us already.

use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::json;

use super::tls::{fingerprint_of, shown_by};
use super::{Address, Call, Client, Endpoint, Error, Token, identity, remotes};

/// What `remote add` is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// What `lxc config trust add` printed.
    Token(Token),
    /// `https://host:port`.
    Https(String),
    /// A socket, which needs no enrolment.
    Socket(PathBuf),
}

/// LXD's and Incus' usual port.
const PORT: u16 = 8443;

impl Target {
    /// Reads a URL, `host`, `host:port`, `unix:/path` or a token.
    ///
    /// # Errors
    /// It is none of them. The text is not quoted where it may be a token.
    pub fn read(text: &str) -> Result<Target, Error> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if path.is_absolute() {
                return Ok(Target::Socket(path));
            }
            return Err(Error::Config(format!("`{text}` names no socket; write unix:/path/to/unix.socket")));
        }
        if let Some(address) = text.strip_prefix("https://") {
            return https(address)
                .map(Target::Https)
                .ok_or_else(|| Error::Config(format!("`{text}` is no URL of a server; write https://host:port")));
        }
        if text.contains("://") {
            return Err(Error::Config(format!("`{text}`: a server is reached by https://host:port or unix:/path")));
        }
        if let Some(token) = Token::read(text)? {
            return Ok(Target::Token(token));
        }
        https(text).map(Target::Https).ok_or_else(|| {
            Error::Config(
                "that is neither https://host:port, host:port nor unix:/path, nor a whole token of `lxc config trust add`".into(),
            )
        })
    }

    /// Where it is, or may be.
    pub fn urls(&self) -> Vec<String> {
        match self {
            Target::Https(url) => vec![url.clone()],
            Target::Token(token) => token.addresses.iter().filter_map(|address| https(address)).collect(),
            Target::Socket(_) => vec![],
        }
    }
}

/// `https://host:port` of `host`, `host:port`, `[v6]:port` or a bare IPv6 address.
fn https(address: &str) -> Option<String> {
    let address = address.strip_suffix('/').unwrap_or(address);
    let (host, port) = if address.parse::<std::net::Ipv6Addr>().is_ok() {
        (format!("[{address}]"), None)
    } else if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
        (format!("[{host}]"), port)
    } else {
        let (host, port) = address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
        let is_host = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !host.strip_suffix('.').unwrap_or(host).split('.').all(is_host) {
            return None;
        }
        (host.to_ascii_lowercase(), port)
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|port| *port != 0))?;
    Some(format!("https://{host}:{port}"))
}

/// A server that has shown its certificate.
#[derive(Clone, Debug)]
pub struct Found {
    /// `https://host:port`.
    pub url: String,
    /// What it showed.
    pub certificate: CertificateDer<'static>,
    /// SHA-256 of it.
    pub fingerprint: String,
}

/// Asks at each of the URLs in turn for the certificate. With an expected fingerprint the first that shows it counts.
///
/// # Errors
/// Nobody answers, or nobody with the expected certificate; both fingerprints are named.
pub async fn find(urls: &[String], expected: Option<&str>) -> Result<Found, Error> {
    let mut failures = vec![];
    let mut other = None;
    for url in urls {
        let authority = url.strip_prefix("https://").unwrap_or(url);
        let Some((host, port)) = authority.rsplit_once(':') else {
            continue;
        };
        let host = host.trim_matches(['[', ']']);
        match shown_by(host, port.parse().unwrap_or(PORT)).await {
            Ok(certificate) => {
                let fingerprint = fingerprint_of(&certificate);
                if expected.is_none_or(|expected| expected == fingerprint) {
                    return Ok(Found { url: url.clone(), certificate, fingerprint });
                }
                other = other.or(Some((url, fingerprint)));
            }
            Err(Error::NotSent(why)) => failures.push(why),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if let (Some((url, shown)), Some(expected)) = (other, expected) {
        return Err(Error::Config(format!(
            "{url} shows a certificate with the SHA-256 {shown}, and expected is {expected}: it is another server, \
             the server has a new certificate since (reinstalled, clustering enabled), or somebody sits between you and it. \
             Nothing was sent"
        )));
    }
    if failures.is_empty() {
        return Err(Error::Config(
            "the token names no address of the server; give the URL, and the token in LXDEPLOY_TRUST_TOKEN".into(),
        ));
    }
    Err(Error::NotSent(failures.join("; ")))
}

/// What a server says to one whom it may not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// It knows us already.
    pub is_trusted: bool,
    extensions: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    api_extensions: Vec<String>,
}

impl Greeting {
    fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|known| known == extension)
    }

    /// Incus tells strangers nothing but its extensions; this one is named after it.
    fn is_incus(&self) -> bool {
        self.has("restrict_dev_incus")
    }

    /// A token goes by `trust_token`, else by `password`.
    fn takes_trust_token(&self) -> bool {
        self.has("explicit_trust_token") || self.is_incus()
    }

    /// It may know trust passwords. LXD took them away without an extension of its own, so some that do not are here.
    pub fn may_take_password(&self) -> bool {
        !self.is_incus()
    }
}

/// A client of a server that has shown its certificate. Our key and certificate are made where there are none.
///
/// # Errors
/// They cannot be made or read.
pub fn connect(name: &str, found: &Found) -> Result<Client, Error> {
    let identity = identity::ensure(&remotes::own_directory())?;
    let address = Address::Https { url: found.url.clone(), fingerprint: found.fingerprint.clone(), identity };
    Client::connect(&Endpoint { name: name.to_owned(), address, project: None }, Duration::from_secs(60))
}

/// Greets a server.
///
/// # Errors
/// It is no LXD, or does not answer.
pub async fn greet(client: &Client) -> Result<Greeting, Error> {
    let (answer, _) = client.read::<Answer>(&Call::get(&[])).await?;
    if answer.api_extensions.is_empty() {
        return Err(Error::Protocol("it names no api_extensions".into()));
    }
    Ok(Greeting { is_trusted: answer.auth == "trusted", extensions: answer.api_extensions })
}

/// Enrols by a token.
///
/// # Errors
/// The server does not take it.
pub async fn by_token(client: &Client, greeting: &Greeting, token: &Token) -> Result<(), Error> {
    let call = token_call(greeting, token);
    match done(client.run(&call, None).await) {
        Err(Error::Api { code: 403 | 404, message }) => Err(Error::Config(format!(
            "{} does not take the token (\"{message}\"): each works once, so it was used or revoked, or it ran out. \
             `lxc config trust add --name {}` at the server prints a new one",
            client.name(),
            token.client
        ))),
        result => result,
    }
}

fn token_call(greeting: &Greeting, token: &Token) -> Call {
    if token.is_identity {
        return Call::post(&["auth", "identities", "tls"], json!({"trust_token": token.text}));
    }
    let field = if greeting.takes_trust_token() { "trust_token" } else { "password" };
    Call::post(&["certificates"], json!({"type": "client", field: token.text}))
}

/// Enrols by a trust password.
///
/// # Errors
/// The server does not take it, or knows none.
pub async fn by_password(client: &Client, password: &str) -> Result<(), Error> {
    let body = json!({"type": "client", "name": identity::user_at_host(), "password": password});
    match done(client.run(&Call::post(&["certificates"], body), None).await) {
        Err(Error::Api { code: 501, .. }) => Err(no_password(client.name())),
        Err(Error::Api { code: 403, message }) => Err(Error::Config(format!(
            "{} does not take the trust password (\"{message}\"): it is another one, or none is set there (`core.trust_password`). {}",
            client.name(),
            token_remedy(client.name())
        ))),
        result => result,
    }
}

/// The server enrols by tokens only.
pub fn no_password(name: &str) -> Error {
    Error::Config(format!("{name} knows no trust passwords. {}", token_remedy(name)))
}

/// How to enrol without a password.
pub fn token_remedy(name: &str) -> String {
    format!(
        "At the server, `lxc config trust add --name {client}` (`incus config trust add {client}` for Incus) prints a token: \
         `lxdeploy remote add {name} TOKEN`, or give the URL with the token in LXDEPLOY_TRUST_TOKEN",
        client = identity::user_at_host()
    )
}

/// To be known already is as good as to become so.
fn done(result: Result<serde_json::Value, Error>) -> Result<(), Error> {
    match result {
        Err(Error::Api { code: 400 | 409, message }) if message.to_ascii_lowercase().contains("already") => Ok(()),
        result => result.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::*;

    #[test]
    fn addresses_of_every_spelling() {
        for (text, url) in [
            ("https://10.0.0.1", "https://10.0.0.1:8443"),
            ("https://10.0.0.1:443/", "https://10.0.0.1:443"),
            ("10.0.0.1:9443", "https://10.0.0.1:9443"),
            ("Server.Example", "https://server.example:8443"),
            ("server", "https://server:8443"),
            ("fd42::1", "https://[fd42::1]:8443"),
            ("[fd42::1]:1", "https://[fd42::1]:1"),
            ("https://[::1]", "https://[::1]:8443"),
        ] {
            assert_eq!(Target::read(text).unwrap(), Target::Https(url.into()), "{text}");
        }
        assert_eq!(Target::read("unix:///run/lxd.socket").unwrap(), Target::Socket("/run/lxd.socket".into()));
        assert_eq!(Target::read("unix:/run/lxd.socket").unwrap(), Target::Socket("/run/lxd.socket".into()));
    }

    #[test]
    fn what_is_no_target_is_refused_and_not_quoted_where_it_may_be_a_token() {
        for text in [
            "",
            "unix:",
            "unix:relative",
            "http://10.0.0.1",
            "https://",
            "https://host/path",
            "https://user@host",
            "host:0",
            "host:70000",
            "host:x",
            "[nope]:1",
            "a..b",
            "host?x",
        ] {
            assert!(Target::read(text).is_err(), "{text}");
        }
        let cut =
            "eyJjbGllbnRfbmFtZSI6ImNpIiwiZmluZ2VycHJpbnQiOiJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYiIsImFkZHJlc3Nlc";
        let error = Target::read(cut).unwrap_err().to_string();
        assert!(error.contains("whole token") && !error.contains(cut));
    }

    #[test]
    fn each_server_gets_the_token_in_its_own_field() {
        let greeting = |extensions: &[&str]| Greeting {
            is_trusted: false,
            extensions: extensions.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut token = Token {
            client: "ci".into(),
            fingerprint: "ab".repeat(32),
            addresses: vec![],
            is_identity: false,
            text: "T".into(),
        };
        let body = |call: Call| match call.body {
            Body::Json(body) => (call.path, body),
            other => panic!("{other:?}"),
        };
        let lxd_5_0 = greeting(&["etag", "restrict_devlxd"]);
        let lxd_5_21 = greeting(&["etag", "restrict_devlxd", "explicit_trust_token"]);
        let incus = greeting(&["etag", "restrict_dev_incus"]);
        let by = |field: &str| ("/1.0/certificates".to_owned(), json!({"type": "client", field: "T"}));
        assert_eq!(body(token_call(&lxd_5_0, &token)), by("password"));
        assert_eq!(body(token_call(&lxd_5_21, &token)), by("trust_token"));
        assert_eq!(body(token_call(&incus, &token)), by("trust_token"));
        assert!(lxd_5_0.may_take_password() && lxd_5_21.may_take_password() && !incus.may_take_password());
        token.is_identity = true;
        assert_eq!(
            body(token_call(&lxd_5_21, &token)),
            ("/1.0/auth/identities/tls".to_owned(), json!({"trust_token": "T"}))
        );
    }
}
