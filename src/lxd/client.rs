use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::endpoint::{Address, Endpoint};
use super::progress::Followers;
use super::upload::Upload;
use super::{Body, Call, Error, Method, socket, tls};

/// A connection to one server; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    endpoint: Arc<Endpoint>,
    pub(super) timeout: Duration,
    requests: Arc<AtomicU64>,
    /// It answered once: where it does not now, it may be starting again.
    pub(super) answered: Arc<AtomicBool>,
    followers: Followers,
    /// The server's clock when it was last read, and when that was.
    clock: Arc<Mutex<Option<(SystemTime, Instant)>>>,
}

/// Where a call's progress is told: LXD's own words, or our upload's.
pub type Progress = UnboundedSender<String>;

/// LXD's envelope around every answer.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_code: u16,
    #[serde(default = "none")]
    pub(super) metadata: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

/// What an operation says of itself.
#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    status_code: u16,
    #[serde(default)]
    err: String,
    #[serde(default)]
    metadata: Option<Value>,
}

/// An operation that ended in success.
const SUCCESS: u16 = 200;

impl Client {
    /// A client of a server. `timeout` is that of one operation; nothing is sent yet.
    ///
    /// # Errors
    /// The client's certificate or key cannot be read.
    pub fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Client, Error> {
        let (http, base) = match &endpoint.address {
            Address::Socket(_) => (http(endpoint, &[])?, "http://lxd".to_owned()),
            Address::Https { url, .. } => (http(endpoint, &[b"h2", b"http/1.1"])?, url.clone()),
        };
        let (requests, answered, followers, clock) = Default::default();
        let endpoint = Arc::new(endpoint.clone());
        Ok(Client { http, base: base.into(), endpoint, timeout, requests, answered, followers, clock })
    }

    /// A client whose connections may become something else than HTTP; HTTP/2 has no upgrades.
    pub(super) fn upgradable(&self) -> Result<reqwest::Client, Error> {
        match &self.endpoint.address {
            Address::Socket(_) => Ok(self.http.clone()),
            Address::Https { .. } => http(&self.endpoint, &[b"http/1.1"]),
        }
    }

    pub(super) fn url(&self, call: &Call) -> String {
        format!("{}{}", self.base, call.target())
    }

    pub(super) fn followers(&self) -> &Followers {
        &self.followers
    }

    /// What the user calls the server.
    pub fn name(&self) -> &str {
        &self.endpoint.name
    }

    /// SHA-256 of the certificate that we show; none at a socket.
    pub fn identity(&self) -> Option<String> {
        match &self.endpoint.address {
            Address::Https { identity: (certificate, _), .. } => {
                CertificateDer::from_pem_file(certificate).ok().map(|certificate| tls::fingerprint_of(&certificate))
            }
            Address::Socket(_) => None,
        }
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The server's time in seconds since 1970, as its last answer had it; our own before the first.
    pub fn server_time(&self) -> u64 {
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.map_or_else(SystemTime::now, |(then, since)| then + since.elapsed());
        now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }

    fn read_clock(&self, headers: &header::HeaderMap) {
        let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) {
            *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, Instant::now()));
        }
    }

    /// Reads an object or a list straight into its type, and its ETag.
    ///
    /// # Errors
    /// The server's refusal, a broken connection, or an answer of another shape.
    pub async fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<(T, Option<String>), Error> {
        let (envelope, etag) = self.patiently(call).await?;
        // Incus answers an empty list with null.
        let metadata = envelope.metadata.map_or_else(|| T::deserialize(Value::Null), Ok);
        let metadata = metadata.map_err(|_| Error::Protocol(format!("{}: no metadata", call.path)))?;
        Ok((metadata, etag))
    }

    /// Sends a call and waits at the server until what it started is done. Gives the answer's metadata, or
    /// the operation's.
    ///
    /// # Errors
    /// As [`Client::read`], and the operation's own failure, with its code where the server tells it.
    pub async fn run(&self, call: &Call, progress: Option<&Progress>) -> Result<Value, Error> {
        let started = Instant::now();
        let (envelope, _) = self.send::<Value>(call, progress).await?;
        if envelope.kind != "async" {
            return Ok(envelope.metadata.unwrap_or_default());
        }
        let id = operation_id(&envelope.operation);
        let _followed = progress.map(|progress| self.followers.follow(id, progress));
        match tokio::time::timeout(self.timeout.saturating_sub(started.elapsed()), self.wait(id)).await {
            // The call itself was sent, be the server away now or not.
            Ok(Err(Error::NotSent(why))) => Err(Error::OutcomeUnknown(why)),
            Ok(result) => result,
            Err(_) => Err(too_long(call)),
        }
    }

    /// Reads a log or a command's recorded output: raw text, no envelope. `path` is as LXD gave it.
    ///
    /// # Errors
    /// The server's refusal, or a broken connection.
    pub async fn text(&self, path: &str, project: &str) -> Result<String, Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}{path}?project={}", self.base, super::escape(project));
        let request = self.http.get(url);
        let exchange = unresting(async move {
            let response = request.send().await?;
            Ok((response.status(), response.bytes().await?))
        });
        let answer = tokio::time::timeout(self.timeout, exchange).await;
        let answer = answer.map_err(|_| Error::TimedOut(format!("GET {path}")))?;
        let (status, bytes) = answer.map_err(|error: reqwest::Error| self.broken(&error))?;
        if status.is_success() {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        match serde_json::from_slice::<Envelope<Value>>(&bytes) {
            Ok(envelope) => Err(refusal(&envelope, status.as_u16())),
            Err(_) => Err(Error::Protocol(format!("GET {path}: {status}"))),
        }
    }

    /// Removes what [`Client::text`] read.
    ///
    /// # Errors
    /// As [`Client::text`].
    pub async fn remove(&self, path: &str, project: &str) -> Result<(), Error> {
        let call = Call { path: path.to_owned(), ..Call::delete(&[]) };
        self.run(&call.project(project), None).await.map(drop)
    }

    /// Waits for an operation at the server. LXD forgets it 5 s after its end.
    pub(super) async fn wait(&self, id: &str) -> Result<Value, Error> {
        let call = Call::get(&["operations", id, "wait"]);
        // 5.0.2 and Incus answer with the operation, failed or not; newer LXD with an error in its place.
        let (envelope, _) = match self.patiently::<Operation>(&call).await {
            Err(Error::Api { code: 404, message }) if message.to_ascii_lowercase().contains("operation not found") => {
                return Err(Error::OutcomeUnknown(format!("operation {id} is forgotten at the server")));
            }
            answer => answer?,
        };
        let operation = envelope.metadata.ok_or_else(|| Error::Protocol("an operation without metadata".into()))?;
        if operation.status_code == SUCCESS {
            return Ok(operation.metadata.unwrap_or_default());
        }
        let message = if operation.err.is_empty() { "the operation was cancelled".to_owned() } else { operation.err };
        Err(Error::Api { code: operation.status_code, message })
    }

    /// One exchange; it ends by the timeout, which an upload that moves does not run out of.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        call: &Call,
        progress: Option<&Progress>,
    ) -> Result<(Envelope<T>, Option<String>), Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let (request, upload) = self.request(call, progress).await?;
        let exchange = unresting(async move {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, response.bytes().await?))
        });
        let mut exchange = std::pin::pin!(exchange);
        let mut sent = 0;
        let (status, headers, bytes) = loop {
            match tokio::time::timeout(self.timeout, &mut exchange).await {
                Ok(answer) => break answer.map_err(|error: reqwest::Error| self.broken(&error))?,
                Err(_) => match upload.as_ref().map(Upload::sent) {
                    Some(now) if now != sent => sent = now,
                    _ => return Err(too_long(call)),
                },
            }
        };
        self.answered.store(true, Ordering::Relaxed);
        self.read_clock(&headers);
        let etag = headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        tracing::debug!(
            "{} {} -> {} ({} bytes, {:.1} ms)",
            method(call.method),
            call.target(),
            status.as_u16(),
            bytes.len(),
            started.elapsed().as_secs_f64() * 1000.0
        );
        let envelope: Envelope<T> = serde_json::from_slice(&bytes).map_err(|error| {
            // A refusal whose metadata is of another type is a refusal all the same.
            match serde_json::from_slice::<Envelope<Value>>(&bytes) {
                Ok(envelope) if envelope.kind == "error" => refusal(&envelope, status.as_u16()),
                _ => Error::Protocol(format!("{} {}: {error}", method(call.method), call.path)),
            }
        })?;
        if envelope.kind == "error" {
            let refusal = refusal(&envelope, status.as_u16());
            // A failed operation is told with 200: here it is the wait that failed, and the operation may go on.
            let is_lost = call.path.ends_with("/wait") && status.is_server_error() && !refusal.is_away();
            return Err(if is_lost { Error::OutcomeUnknown(refusal.to_string()) } else { refusal });
        }
        Ok((envelope, etag))
    }

    /// The request, and what counts the bytes of its files.
    async fn request(
        &self,
        call: &Call,
        progress: Option<&Progress>,
    ) -> Result<(RequestBuilder, Option<Upload>), Error> {
        let verb = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = self.http.request(verb, self.url(call));
        if let Some(etag) = &call.if_match {
            request = request.header(header::IF_MATCH, etag);
        }
        match &call.body {
            Body::Empty => Ok((request, None)),
            Body::Json(body) => Ok((request.json(body), None)),
            Body::Image { metadata, rootfs, properties, public } => {
                // The headers' prefix is the product's; both are sent, each server reads its own.
                for prefix in ["X-LXD", "X-Incus"] {
                    request = request.header(format!("{prefix}-properties"), properties);
                    request = request.header(format!("{prefix}-public"), if *public { "1" } else { "0" });
                    if let Some(name) = metadata.file_name().and_then(|name| name.to_str()) {
                        request = request.header(format!("{prefix}-filename"), name);
                    }
                }
                let Some((part, rootfs)) = rootfs else {
                    let upload = Upload::open(&[metadata], progress).await?;
                    let (body, length) = upload.body(metadata).await?;
                    let request = request
                        .header(header::CONTENT_TYPE, "application/octet-stream")
                        .header(header::CONTENT_LENGTH, length)
                        .body(body);
                    return Ok((request, Some(upload)));
                };
                let upload = Upload::open(&[metadata, rootfs], progress).await?;
                let mut form = Form::new();
                for (name, path) in [("metadata", metadata), (*part, rootfs)] {
                    let (body, length) = upload.body(path).await?;
                    let file_name =
                        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    form = form.part(name, Part::stream_with_length(body, length).file_name(file_name));
                }
                Ok((request.multipart(form), Some(upload)))
            }
        }
    }

    fn broken(&self, error: &reqwest::Error) -> Error {
        if let Address::Https { fingerprint, .. } = &self.endpoint.address
            && let Some(shown) = tls::other_fingerprint(error)
        {
            return Error::CertificateChanged {
                endpoint: self.name().to_owned(),
                expected: fingerprint.clone(),
                shown,
            };
        }
        let text = causes(error);
        match &self.endpoint.address {
            Address::Socket(path) if text.contains("ermission denied") => {
                Error::Config(socket::permission_denied(path))
            }
            Address::Socket(path) if error.is_connect() => Error::NotSent(format!("{}: {text}", path.display())),
            _ if error.is_connect() => Error::NotSent(format!("{}: {text}", self.base)),
            _ => Error::OutcomeUnknown(text),
        }
    }
}

/// Goes on whether or not it is polled; it is given up when whoever waits for it is.
///
/// LXD takes no further connection at its socket before the last one has said something. One that was opened for a
/// request that nobody polls just now would hold up all others, those as well for which nobody polls it.
pub(super) async fn unresting<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends.
        _ => std::future::pending().await,
    }
}

/// A server that does not take a connection in this time is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// How often a silent HTTP/2 connection is asked whether it lives, and how long it may take to say so.
const ALIVE: Duration = Duration::from_secs(15);

/// Over TLS, `protocols` are offered.
fn http(endpoint: &Endpoint, protocols: &[&[u8]]) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("lxdeploy/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        // reqwest would send again what a server that goes away says it has not taken; it is us who decide that.
        .retry(reqwest::retry::never())
        // A peer that is gone without a word: TCP's own probes are reqwest's default, these are HTTP/2's.
        .http2_keep_alive_interval(ALIVE)
        .http2_keep_alive_timeout(ALIVE);
    let builder = match &endpoint.address {
        Address::Socket(path) => builder
            .unix_socket(path.as_path())
            .tls_backend_preconfigured(tls::unused()?)
            .http1_only()
            // A connection for each request. LXD takes no other at its socket until the one before has said something
            // (it looks whether that is TLS), and a pool opens some that say nothing when another has become free.
            .pool_max_idle_per_host(0),
        Address::Https { fingerprint, identity, .. } => {
            let mut config = tls::pinned(fingerprint, identity)?;
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            let is_http1 = protocols == [b"http/1.1"];
            let builder = builder.tls_backend_preconfigured(config);
            if is_http1 { builder.http1_only() } else { builder }
        }
    };
    builder.build().map_err(|error| Error::Config(error.to_string()))
}

/// The refusal in an answer's body, if it is one.
pub(super) fn refused(body: &[u8], status: u16) -> Option<Error> {
    let envelope = serde_json::from_slice::<Envelope<Value>>(body).ok()?;
    (envelope.kind == "error").then(|| refusal(&envelope, status))
}

fn refusal<T>(envelope: &Envelope<T>, status: u16) -> Error {
    let code = if envelope.error_code == 0 { status } else { envelope.error_code };
    Error::Api { code, message: envelope.error.clone() }
}

/// The last part of an operation's URL.
fn operation_id(url: &str) -> &str {
    url.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default()
}

pub(super) fn too_long(call: &Call) -> Error {
    Error::TimedOut(format!("{} {}", method(call.method), call.path))
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// An error with what caused it, since reqwest's own text names only the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = error.to_string();
        tracing::trace!("caused by: {text} / {error:?}");
        cause = error.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}
