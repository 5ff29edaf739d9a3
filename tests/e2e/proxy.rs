//! A proxy between lxdeploy and a daemon's socket that cuts, delays, refuses and swallows, and that knows which
//! requests the daemon has received.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::faults::random::Random;

/// What befalls one connection.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Both ways end after so many bytes of requests.
    CutRequests(usize),
    /// Both ways end after so many bytes of answers.
    CutAnswers(usize),
    /// After so many bytes of answers the client sees their end, and the server nothing.
    HalfClose(usize),
    /// After so many bytes of answers nothing moves for a while; then it is cut.
    Swallow(usize, Duration),
    /// Each piece comes late, in small pieces.
    Slow(Duration),
    /// Accepted and closed.
    Refuse,
}

/// One request that the server received whole.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `POST /1.0/instances?project=x`.
    pub line: String,
    /// Its body, where it is JSON.
    pub body: String,
    /// The answer's status; 0 as long as the client did not get all of it.
    pub status: u16,
    /// The answer.
    answer: String,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    faults: AtomicUsize,
    ends: AtomicBool,
    hold: Mutex<Option<Hold>>,
    held: Condvar,
}

/// A request that is not to reach the server yet.
struct Hold {
    start: String,
    times: usize,
    state: HoldState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoldState {
    Waiting,
    Held,
    Released,
}

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    path: PathBuf,
    shared: Arc<Shared>,
}

/// What decides a connection's fault, by its number.
pub type Decide = Box<dyn FnMut(usize) -> Option<Fault> + Send>;

impl Proxy {
    /// Listens at `path` for connections to the daemon in `server`.
    pub fn start(path: PathBuf, server: &Path, mut decide: Decide) -> Proxy {
        let listener = UnixListener::bind(&path).unwrap();
        let shared = Arc::new(Shared::default());
        let (all, target) = (shared.clone(), server.join("unix.socket"));
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                if all.ends.load(Ordering::Relaxed) {
                    break;
                }
                let (Ok(client), fault) = (client, decide(number)) else { continue };
                if fault.is_some_and(|fault| !matches!(fault, Fault::Slow(_))) {
                    all.faults.fetch_add(1, Ordering::Relaxed);
                }
                if matches!(fault, Some(Fault::Refuse)) {
                    continue;
                }
                connect(client, &target, fault, &all);
            }
        });
        Proxy { path, shared }
    }

    /// A proxy that does nothing but look.
    pub fn honest(path: PathBuf, server: &Path) -> Proxy {
        Proxy::start(path, server, Box::new(|_| None))
    }

    /// A proxy that makes trouble on about `percent` of the connections.
    pub fn troubled(path: PathBuf, server: &Path, seed: u64, percent: u64) -> Proxy {
        let mut random = Random::new(seed);
        Proxy::start(path, server, Box::new(move |_| fault(&mut random, percent)))
    }

    /// As `--remote` wants it.
    pub fn remote(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// How many connections were cut, refused or swallowed.
    pub fn faults(&self) -> usize {
        self.shared.faults.load(Ordering::Relaxed)
    }

    /// Every request that the server received whole, in their order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Holds back the next `times` requests that begin so, one after the other: [`Proxy::while_held`] for each.
    pub fn hold(&self, start: &str, times: usize) {
        let hold = Hold { start: start.to_owned(), times, state: HoldState::Waiting };
        *self.shared.hold.lock().unwrap() = Some(hold);
    }

    /// Waits until a request is held back, does something, and lets it go on.
    pub fn while_held(&self, work: impl FnOnce()) {
        let is_held = |hold: &Option<Hold>| hold.as_ref().is_some_and(|hold| hold.state == HoldState::Held);
        let wait = |hold| self.shared.held.wait_timeout_while(hold, Duration::from_secs(60), |hold| !is_held(hold));
        let (hold, _) = wait(self.shared.hold.lock().unwrap()).unwrap();
        assert!(is_held(&hold), "no such request within the time");
        drop(hold);
        work();
        self.shared.hold.lock().unwrap().as_mut().unwrap().state = HoldState::Released;
        self.shared.held.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn fault(random: &mut Random, percent: u64) -> Option<Fault> {
    if random.below(100) >= percent {
        return random.below(10).eq(&0).then(|| Fault::Slow(Duration::from_millis(1 + random.below(20))));
    }
    // Small numbers as likely as large ones: heads, bodies.
    let mut bytes = || usize::try_from(1 << random.below(14)).unwrap() + usize::try_from(random.below(200)).unwrap();
    let (few, many) = (bytes(), bytes());
    Some(match random.below(12) {
        0..=2 => Fault::CutRequests(few),
        3..=7 => Fault::CutAnswers(many),
        8 | 9 => Fault::HalfClose(many),
        10 => Fault::Swallow(many, Duration::from_millis(200 + random.below(1500))),
        _ => Fault::Refuse,
    })
}

impl Shared {
    /// Waits as long as a request that begins so is held back.
    fn pass(&self, line: &str) {
        let mut hold = self.hold.lock().unwrap();
        match hold.as_mut() {
            Some(it) if it.times > 0 && line.starts_with(&it.start) => {
                it.times -= 1;
                it.state = HoldState::Held;
            }
            _ => return,
        }
        self.held.notify_all();
        let is_held = |hold: &mut Option<Hold>| hold.as_ref().is_some_and(|hold| hold.state == HoldState::Held);
        drop(self.held.wait_while(hold, is_held).unwrap());
    }
}

/// Both directions, a thread each. The daemon is called when there is something to say: it takes no other connection
/// before the last one has said something.
fn connect(mut client: UnixStream, target: &Path, fault: Option<Fault>, shared: &Arc<Shared>) {
    // Requests whose answers are yet to come, by their index in the list of all.
    let open: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (target, shared) = (target.to_owned(), shared.clone());
    std::thread::spawn(move || {
        let limit = if let Some(Fault::CutRequests(bytes)) = fault { bytes } else { usize::MAX };
        let mut messages = Messages::default();
        let (mut moved, mut buffer) = (0, vec![0; 64 << 10]);
        let mut server: Option<UnixStream> = None;
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            let piece = &buffer[..read.min(limit - moved)];
            slow(fault);
            if let Some(line) = messages.line_of(piece) {
                shared.pass(&line);
            }
            let is_new = server.is_none();
            // A daemon that is not there is one more connection that ends.
            let to_server = match server.take().map_or_else(|| UnixStream::connect(&target), Ok) {
                Ok(stream) => server.insert(stream),
                Err(_) => break,
            };
            // Noted before the server can answer it.
            for (head, body) in messages.take(piece) {
                let mut requests = shared.requests.lock().unwrap();
                let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
                requests.push(Request { line, body, ..Request::default() });
                open.lock().unwrap().push(requests.len() - 1);
            }
            if to_server.write_all(piece).is_err() {
                break;
            }
            if is_new {
                answers(to_server.try_clone().unwrap(), client.try_clone().unwrap(), fault, &open, &shared);
            }
            moved += piece.len();
            if moved >= limit {
                break;
            }
        }
        let is_swallowed = server.is_some() && matches!(fault, Some(Fault::HalfClose(_) | Fault::Swallow(..)));
        for stream in std::iter::once(&client).chain(&server) {
            let _ = stream.shutdown(if is_swallowed { Shutdown::Read } else { Shutdown::Both });
        }
    });
}

/// The way back.
fn answers(
    mut from_server: UnixStream,
    mut to_client: UnixStream,
    fault: Option<Fault>,
    open: &Arc<Mutex<Vec<usize>>>,
    shared: &Arc<Shared>,
) {
    let (open, shared) = (open.clone(), shared.clone());
    std::thread::spawn(move || {
        let limit = match fault {
            Some(Fault::CutAnswers(bytes) | Fault::HalfClose(bytes) | Fault::Swallow(bytes, _)) => bytes,
            _ => usize::MAX,
        };
        let mut messages = Messages::default();
        let (mut moved, mut buffer) = (0, vec![0; 64 << 10]);
        while let Ok(read @ 1..) = from_server.read(&mut buffer) {
            let piece = &buffer[..read.min(limit - moved)];
            slow(fault);
            if to_client.write_all(piece).is_err() {
                break;
            }
            for (head, body) in messages.take(piece) {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
                // In the same order as above.
                let mut requests = shared.requests.lock().unwrap();
                let mut open = open.lock().unwrap();
                if !open.is_empty() {
                    let request = &mut requests[open.remove(0)];
                    (request.status, request.answer) = (status, body);
                }
            }
            moved += piece.len();
            if moved >= limit {
                break;
            }
        }
        match fault {
            Some(Fault::Swallow(_, time)) if moved >= limit => std::thread::sleep(time),
            Some(Fault::HalfClose(_)) if moved >= limit => {
                // The server goes on writing to nobody for a while.
                let _ = to_client.shutdown(Shutdown::Write);
                let _ = from_server.set_read_timeout(Some(Duration::from_millis(500)));
                let started = Instant::now();
                while started.elapsed() < Duration::from_secs(1) && from_server.read(&mut buffer).is_ok_and(|n| n > 0) {
                }
            }
            _ => {}
        }
        for stream in [&from_server, &to_client] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}

fn slow(fault: Option<Fault>) {
    if let Some(Fault::Slow(time)) = fault {
        std::thread::sleep(time);
    }
}

/// HTTP/1.1 messages in a stream of bytes; bodies by length or in chunks, as LXD and lxdeploy send them.
#[derive(Default)]
struct Messages {
    buffer: Vec<u8>,
    /// Bytes of a long body that are yet to come and are not kept.
    skip: usize,
    skipped_head: Option<String>,
}

/// What is longer is an upload, whose bytes say nothing here.
const KEPT: usize = 1 << 20;

impl Messages {
    /// The request line, if a request begins in this piece.
    fn line_of(&self, piece: &[u8]) -> Option<String> {
        if self.skip > 0 || !self.buffer.is_empty() {
            return None;
        }
        String::from_utf8_lossy(piece).lines().next().map(str::to_owned)
    }

    /// The messages that are complete with this piece: head and body.
    fn take(&mut self, piece: &[u8]) -> Vec<(String, String)> {
        let mut done = vec![];
        let skipped = self.skip.min(piece.len());
        self.skip -= skipped;
        if self.skip > 0 {
            return done;
        }
        done.extend(self.skipped_head.take().map(|head| (head, String::new())));
        self.buffer.extend_from_slice(&piece[skipped..]);
        while let Some(end) = find(&self.buffer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            let header = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(':'));
                lines.clone().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
            };
            let start = end + 4;
            let (body, next) = if header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
                let Some((body, length)) = chunked(&self.buffer[start..]) else { break };
                (body, start + length)
            } else {
                let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                if length > KEPT {
                    let here = (self.buffer.len() - start).min(length);
                    self.skip = length - here;
                    self.buffer.drain(..start + here);
                    if self.skip > 0 {
                        self.skipped_head = Some(head);
                        break;
                    }
                    done.push((head, String::new()));
                    continue;
                }
                if self.buffer.len() < start + length {
                    break;
                }
                (self.buffer[start..start + length].to_vec(), start + length)
            };
            self.buffer.drain(..next);
            done.push((head, String::from_utf8_lossy(&body).into_owned()));
        }
        done
    }
}

/// A body in chunks and how many bytes it takes, if it is complete.
fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (vec![], 0);
    loop {
        let line = find(bytes.get(at..)?, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).ok()?.trim(), 16).ok()?;
        at += line + 2;
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size + 2;
        if size == 0 {
            return (bytes.len() >= at).then_some((body, at));
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Requests that are not safe twice and that the server received again, although nobody had looked at their object
/// and nobody had said that the first one failed.
pub fn sent_twice(requests: &[Request]) -> Vec<String> {
    let mut open: HashMap<String, &Request> = HashMap::new();
    let mut twice = vec![];
    for (index, request) in requests.iter().enumerate() {
        if let Some(path) = request.line.strip_prefix("GET ") {
            let path = path.split('?').next().unwrap_or_default();
            open.retain(|_, earlier| !shows(path, earlier));
            continue;
        }
        if !is_unsafe(request) {
            continue;
        }
        let key = format!("{} {}", request.line, request.body);
        if open.insert(key.clone(), request).is_some_and(|earlier| !has_failed(earlier, &requests[..index])) {
            twice.push(key);
        }
    }
    twice
}

/// PUTs of objects and DELETEs are safe; so is a check in a guest, which is one that is asked over and over.
fn is_unsafe(request: &Request) -> bool {
    let path = request.line.split(['?', ' ']).nth(1).unwrap_or_default();
    match request.line.split(' ').next() {
        Some("POST") => !path.ends_with("/exec"),
        Some("PUT") => path.ends_with("/state"),
        Some("PATCH") => true,
        _ => false,
    }
}

/// True if reading `path` shows what became of a request.
fn shows(path: &str, request: &Request) -> bool {
    let is_upload = request.line.starts_with("POST /1.0/images?");
    is_upload && path.starts_with("/1.0/images") || objects_of(request).iter().any(|object| object == path)
}

fn objects_of(request: &Request) -> Vec<String> {
    let path = request.line.split(['?', ' ']).nth(1).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
    let name = body["name"].as_str().map(|name| name.replace('/', "%2F"));
    let mut objects = vec![path.to_owned(), path.trim_end_matches("/state").to_owned()];
    // Of a creation, and of a rename the new name.
    objects.extend(name.iter().map(|name| format!("{path}/{name}")));
    objects.extend(name.iter().filter_map(|name| Some(format!("{}/{name}", path.rsplit_once('/')?.0))));
    objects
}

/// The server said so: at once, or by the operation.
fn has_failed(request: &Request, later: &[Request]) -> bool {
    if request.status >= 400 {
        return true;
    }
    let answer: serde_json::Value = serde_json::from_str(&request.answer).unwrap_or_default();
    let Some(operation) = answer["operation"].as_str().filter(|operation| !operation.is_empty()) else { return false };
    let wait = format!("GET {operation}/wait");
    later.iter().filter(|request| request.line.starts_with(&wait)).any(|wait| {
        let answer: serde_json::Value = serde_json::from_str(&wait.answer).unwrap_or_default();
        answer["type"] == "error" || answer["metadata"]["status_code"].as_u64().is_some_and(|code| code >= 400)
    })
}

#[test]
fn a_request_that_is_sent_twice_is_seen() {
    let request = |line: &str, body: &str, status| Request {
        line: line.into(),
        body: body.into(),
        status,
        answer: String::new(),
    };
    let post = request("POST /1.0/instances?project=p", r#"{"name":"a"}"#, 0);
    let refused = Request { status: 500, ..post.clone() };
    let read = request("GET /1.0/instances/a?project=p", "", 404);
    let elsewhere = request("GET /1.0/instances/b?project=p", "", 404);
    let put = request("PUT /1.0/profiles/a?project=p", "{}", 0);
    let start = request("PUT /1.0/instances/a/state?project=p", r#"{"action":"start"}"#, 202);
    assert_eq!(sent_twice(&[post.clone(), post.clone()]).len(), 1);
    assert_eq!(sent_twice(&[post.clone(), elsewhere, post.clone()]).len(), 1);
    assert_eq!(sent_twice(&[post.clone(), read.clone(), post.clone()]).len(), 0);
    assert_eq!(sent_twice(&[refused, post]).len(), 0);
    assert_eq!(sent_twice(&[put.clone(), put]).len(), 0);
    assert_eq!(sent_twice(&[start.clone(), start.clone()]).len(), 1);
    assert_eq!(sent_twice(&[start.clone(), read, start]).len(), 0);
}

#[test]
fn messages_in_any_pieces() {
    let text = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\nPUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n";
    for size in [1, 7, 1000] {
        let mut messages = Messages::default();
        let found: Vec<String> = text
            .chunks(size)
            .flat_map(|piece| messages.take(piece))
            .map(|(head, body)| format!("{}|{body}", head.lines().next().unwrap()))
            .collect();
        assert_eq!(found, ["POST /a HTTP/1.1|abc", "GET /b HTTP/1.1|", "PUT /c HTTP/1.1|de"]);
    }
}
