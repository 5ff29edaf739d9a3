use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream;
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::UnboundedSender;

use super::endpoint::{Address, Endpoint};
use super::progress::Followers;
use super::{Body, Call, Error, Method, tls};

/// A connection to one server; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    endpoint: Arc<Endpoint>,
    timeout: Duration,
    requests: Arc<AtomicU64>,
    followers: Followers,
}

/// Where a call's progress is told: LXD's own words, or our upload's.
pub type Progress = UnboundedSender<String>;

/// LXD's envelope around every answer.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_code: u16,
    #[serde(default = "none")]
    metadata: Option<T>,
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
        let (requests, followers) = Default::default();
        Ok(Client { http, base: base.into(), endpoint: Arc::new(endpoint.clone()), timeout, requests, followers })
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

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Reads an object or a list straight into its type, and its ETag.
    ///
    /// # Errors
    /// The server's refusal, a broken connection, or an answer of another shape.
    pub async fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<(T, Option<String>), Error> {
        let mut answer = self.retried(call).await;
        for pause in [100, 400, 1600] {
            match &answer {
                // A cluster that lost its leader has none for a moment.
                Err(error @ Error::Api { .. }) if error.is_transient() => {
                    tracing::debug!("{}: {error}; trying again", call.path);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    answer = self.retried(call).await;
                }
                _ => break,
            }
        }
        let (envelope, etag) = answer?;
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
        let sending = self.send::<Value>(call, progress);
        let (envelope, _) = match &call.body {
            Body::Image { .. } => sending.await?,
            // LXD 5.0 makes networks and pools within the request; a cluster's members have been seen to wait there
            // for each other, for good.
            _ => match tokio::time::timeout(self.timeout, sending).await {
                Ok(answer) => answer?,
                Err(_) => return Err(Error::TimedOut(format!("{} {}", method(call.method), call.path))),
            },
        };
        if envelope.kind != "async" {
            return Ok(envelope.metadata.unwrap_or_default());
        }
        let id = operation_id(&envelope.operation);
        let _followed = progress.map(|progress| self.followers.follow(id, progress));
        let waiting = self.wait(id);
        match tokio::time::timeout(self.timeout, waiting).await {
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut(format!("{} {}", method(call.method), call.path))),
        }
    }

    /// Reads a log or a command's recorded output: raw text, no envelope. `path` is as LXD gave it.
    ///
    /// # Errors
    /// The server's refusal, or a broken connection.
    pub async fn text(&self, path: &str, project: &str) -> Result<String, Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}{path}?project={}", self.base, super::escape(project));
        let response = self.http.get(url).send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.broken(&error))?;
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
    async fn wait(&self, id: &str) -> Result<Value, Error> {
        let call = Call::get(&["operations", id, "wait"]);
        // 5.0.2 and Incus answer with the operation, failed or not; newer LXD with an error in its place.
        let (envelope, _) = match self.retried::<Operation>(&call).await {
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

    /// A read, again where nothing reached the server.
    async fn retried<T: DeserializeOwned>(&self, call: &Call) -> Result<(Envelope<T>, Option<String>), Error> {
        let mut pause = Duration::from_millis(50);
        for _ in 0..4 {
            match self.send(call, None).await {
                Err(Error::NotSent(why)) if !why.contains("certificate") => {
                    tracing::debug!("{}: {why}; trying again", call.path);
                    tokio::time::sleep(pause).await;
                    pause *= 3;
                }
                answer => return answer,
            }
        }
        self.send(call, None).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        call: &Call,
        progress: Option<&Progress>,
    ) -> Result<(Envelope<T>, Option<String>), Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let started = std::time::Instant::now();
        let request = self.request(call, progress).await?;
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let bytes = response.bytes().await.map_err(|error| self.broken(&error))?;
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
            return Err(refusal(&envelope, status.as_u16()));
        }
        Ok((envelope, etag))
    }

    async fn request(&self, call: &Call, progress: Option<&Progress>) -> Result<RequestBuilder, Error> {
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
            Body::Empty => Ok(request),
            Body::Json(body) => Ok(request.json(body)),
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
                    return Ok(request
                        .header(header::CONTENT_TYPE, "application/octet-stream")
                        .header(header::CONTENT_LENGTH, length)
                        .body(body));
                };
                let upload = Upload::open(&[metadata, rootfs], progress).await?;
                let mut form = Form::new();
                for (name, path) in [("metadata", metadata), (*part, rootfs)] {
                    let (body, length) = upload.body(path).await?;
                    let file_name =
                        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    form = form.part(name, Part::stream_with_length(body, length).file_name(file_name));
                }
                Ok(request.multipart(form))
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
            Address::Socket(path) if text.contains("ermission denied") => Error::Config(format!(
                "{}: permission denied; run as root, or as a member of the group that owns the socket (`lxd`, or `incus-admin`)",
                path.display()
            )),
            Address::Socket(path) if error.is_connect() => Error::NotSent(format!("{}: {text}", path.display())),
            _ if error.is_connect() => Error::NotSent(format!("{}: {text}", self.base)),
            _ => Error::OutcomeUnknown(text),
        }
    }
}

/// Over TLS, `protocols` are offered.
fn http(endpoint: &Endpoint, protocols: &[&[u8]]) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("lxdeploy/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    let builder = match &endpoint.address {
        Address::Socket(path) => {
            builder.unix_socket(path.as_path()).tls_backend_preconfigured(tls::unused()?).http1_only()
        }
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

fn refusal<T>(envelope: &Envelope<T>, status: u16) -> Error {
    let code = if envelope.error_code == 0 { status } else { envelope.error_code };
    Error::Api { code, message: envelope.error.clone() }
}

/// The last part of an operation's URL.
fn operation_id(url: &str) -> &str {
    url.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default()
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

/// The files of an image on their way, with a percentage over all of them.
struct Upload {
    total: u64,
    sent: Arc<AtomicU64>,
    progress: Option<Progress>,
}

impl Upload {
    async fn open(files: &[&Path], progress: Option<&Progress>) -> Result<Upload, Error> {
        let mut total = 0;
        for path in files {
            let meta = tokio::fs::metadata(path).await;
            total += meta.map_err(|error| Error::Config(format!("{}: {error}", path.display())))?.len();
        }
        Ok(Upload { total, sent: Arc::default(), progress: progress.cloned() })
    }

    async fn body(&self, path: &Path) -> Result<(reqwest::Body, u64), Error> {
        let failed = |error: std::io::Error| Error::Config(format!("{}: {error}", path.display()));
        let file = File::open(path).await.map_err(failed)?;
        let length = file.metadata().await.map_err(failed)?.len();
        let (total, sent, progress) = (self.total.max(1), self.sent.clone(), self.progress.clone());
        let chunks = stream::try_unfold(file, move |mut file| {
            let (sent, progress) = (sent.clone(), progress.clone());
            async move {
                let mut chunk = vec![0; 256 << 10];
                let read = file.read(&mut chunk).await?;
                if read == 0 {
                    return Ok::<_, std::io::Error>(None);
                }
                chunk.truncate(read);
                let before = sent.fetch_add(read as u64, Ordering::Relaxed);
                let percent = |bytes: u64| bytes * 100 / total;
                if let Some(progress) = progress.filter(|_| percent(before) != percent(before + read as u64)) {
                    // The receiver may be gone when the apply was interrupted.
                    let _ = progress.send(format!("Upload: {}%", percent(before + read as u64)));
                }
                Ok(Some((chunk, file)))
            }
        });
        Ok((reqwest::Body::wrap_stream(chunks), length))
    }
}
