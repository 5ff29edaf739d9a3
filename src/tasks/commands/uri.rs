//! `uri`: asks a web server, from within the guest.
//!
//! ```yaml
//! - uri:
//!     url: http://127.0.0.1:8080/healthz
//!     method: GET
//!     headers: {Accept: application/json}
//!     body: {a: 1}
//!     body_format: json            # json, form-urlencoded, raw
//!     status_code: [200, 204]
//!     return_content: true
//!     url_username: u              # url_password, force_basic_auth
//!     validate_certs: true         # ca_path, client_cert, client_key
//!     follow_redirects: safe       # all, none, safe, urllib2
//!     timeout: 30
//!     dest: /tmp/page              # creates, removes, unix_socket, src (a file of the guest's as body)
//! ```
//!
//! By the guest's curl or python3, a plain GET by its wget as well; nothing secret is on a command line. Returned:
//! `status`, `url`, `msg`, `content`, `json`, `redirected`, `elapsed`, `cookies`, `cookies_string`, and the headers in
//! lower case with `_` for `-`. In a preview what is answered, and what is in
//! `dest`, is unknown until run.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::guest::{Command, Done, Probe, Write};
use crate::tasks::{Call, Failure, Flag, Int, Known, Map, Module, Pause, Report, TextList, Touches, Verdict};
use crate::template::ansible::{parse_json, python_json, text};
use crate::template::{ValueKind, map};

/// The module.
#[derive(Debug)]
pub struct Uri;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    url: String,
    method: Option<String>,
    #[serde(rename = "body")]
    _body: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    body_format: Format,
    src: Option<String>,
    #[serde(rename = "headers")]
    _headers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    status_code: TextList,
    #[serde(default)]
    return_content: Flag,
    #[serde(alias = "user")]
    url_username: Option<String>,
    #[serde(alias = "password")]
    url_password: Option<String>,
    #[serde(rename = "force_basic_auth")]
    _force_basic_auth: Option<Flag>,
    validate_certs: Option<Flag>,
    ca_path: Option<String>,
    client_cert: Option<String>,
    client_key: Option<String>,
    follow_redirects: Option<String>,
    timeout: Option<Int>,
    dest: Option<String>,
    creates: Option<String>,
    removes: Option<String>,
    unix_socket: Option<String>,
    http_agent: Option<String>,
    #[serde(rename = "use_proxy")]
    _use_proxy: Option<Flag>,
    #[serde(rename = "force")]
    _force: Option<Flag>,
    #[serde(default)]
    remote_src: Flag,
    mode: Option<crate::tasks::Mode>,
    owner: Option<String>,
    group: Option<String>,
    #[serde(rename = "use_netrc")]
    _use_netrc: Option<Flag>,
    #[serde(rename = "decompress")]
    _decompress: Option<Flag>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Format {
    #[default]
    Raw,
    Json,
    FormUrlencoded,
    FormMultipart,
}

impl Module for Uri {
    fn names(&self) -> &'static [&'static str] {
        &["uri"]
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Failure> {
        let args: Args = call.args()?;
        if args.body_format == Format::FormMultipart {
            return Err(Failure::new("uri: body_format form-multipart is not supported; send it by the guest's curl"));
        }
        if args.src.is_some() && !args.remote_src {
            return Err(Failure::new(
                "uri: `src` is a file of the guest's here: set remote_src: true, or use lookup('file', …) as body",
            ));
        }
        Ok(())
    }

    fn touches(&self, _: &Map) -> Touches {
        Touches::Paths(&["dest"])
    }

    fn inspect(&self, call: &Call<'_>, guest: &Known) -> Result<Verdict, Pause> {
        self.check(call)?;
        let args: Args = call.args()?;
        for (path, word, is_wanted) in [(&args.creates, "exists", false), (&args.removes, "does not exist", true)] {
            if let Some(path) = path
                && guest.lstat(path)?.is_some() != is_wanted
            {
                return Ok(Verdict::nothing().with("stdout", format!("skipped, since '{path}' {word}")));
            }
        }
        if call.check {
            return Err(Pause::Unknown(format!("what {} answers", args.url)));
        }
        guest.want(["curl", "wget", "python3"].map(|tool| Probe::Which(tool.into())))?;
        let body = body(&args, call);
        let method = args.method.clone().unwrap_or_else(|| "GET".into()).to_uppercase();
        let headers = headers(&args, call);
        let is_plain = method == "GET" && body.is_none() && args.url_username.is_none() && args.unix_socket.is_none();
        let command = if guest.which("curl")?.is_some() {
            Command::script(CURL, [args.dest.as_deref().unwrap_or_default(), args.src.as_deref().unwrap_or_default()])
                .stdin(curl_config(&args, &method, &headers, body.as_deref()))
        } else if guest.which("python3")?.is_some() {
            Command::script("exec python3 -c \"$1\" \"$2\"", [PYTHON, args.dest.as_deref().unwrap_or_default()])
                .stdin(python_config(&args, &method, &headers, body.as_deref()))
        } else if guest.which("wget")?.is_some() && is_plain {
            Command::script(WGET, [args.url.as_str(), args.dest.as_deref().unwrap_or_default()])
        } else {
            return Err(Failure::new("uri: the guest has no curl or python3 to ask with").into());
        };
        let mut command = command.user(call.user.map(str::to_owned));
        command.environment.clone_from(call.environment);
        let mut writes = vec![Write::Run(command)];
        if let Some(dest) = &args.dest {
            let mode = args.mode.as_ref().map(|mode| mode.resolve(0o644, false)).transpose()?;
            let attributes = crate::guest::Attributes { mode, owner: args.owner.clone(), group: args.group.clone() };
            if !attributes.is_empty() {
                writes.push(Write::Attributes { path: dest.clone(), attributes, follow: true });
            }
        }
        Ok(Verdict { changed: Some(false), writes, ..Verdict::default() }.with("url", args.url))
    }

    fn finish(&self, call: &Call<'_>, verdict: Verdict, done: &[Done]) -> Result<Report, Failure> {
        let args: Args = call.args()?;
        let Some(output) = done.iter().find_map(Done::output) else { return Ok(verdict.report()) };
        let mut report = verdict.report();
        let answer = Answer::read(&output.stdout);
        let result = &mut report.result;
        result.insert("elapsed".into(), i64::try_from(output.elapsed.as_secs()).unwrap_or_default().into());
        let wanted: Vec<String> =
            if args.status_code.is_empty() { vec!["200".into()] } else { args.status_code.to_vec() };
        let shown = wanted.join(", ");
        let Some(answer) = answer.filter(|answer| answer.status > 0) else {
            let said = output.errors();
            let message = format!("Status code was -1 and not [{shown}]: Request failed: {}", said.trim());
            result.insert("status".into(), (-1).into());
            return Err(Failure { message, result: std::mem::take(result), ..Failure::default() });
        };
        result.insert("status".into(), answer.status.into());
        result.insert("redirected".into(), (answer.url != args.url).into());
        result.insert("url".into(), answer.url.clone().into());
        for (name, value) in &answer.headers {
            result.insert(name.replace('-', "_"), value.as_str().into());
        }
        result.insert("cookies".into(), map(answer.cookies.clone()));
        let cookies: Vec<String> = answer.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        result.insert("cookies_string".into(), cookies.join("; ").into());
        let content = String::from_utf8_lossy(&answer.body).into_owned();
        let is_json = answer.headers.get("content-type").is_some_and(|kind| kind.contains("json"));
        if is_json && let Ok(json) = parse_json(&content) {
            result.insert("json".into(), json);
        }
        let is_wanted = wanted.contains(&answer.status.to_string());
        if args.return_content || !is_wanted {
            result.insert("content".into(), content.into());
        }
        if let Some(dest) = &args.dest {
            result.insert("path".into(), dest.as_str().into());
            report.changed = answer.is_written;
        }
        if is_wanted {
            report.result.insert(
                "msg".into(),
                format!("OK ({} bytes)", answer.headers.get("content-length").map_or("unknown", String::as_str)).into(),
            );
            return Ok(report);
        }
        let message = format!(
            "Status code was {} and not [{shown}]: HTTP Error {}: {}",
            answer.status, answer.status, answer.reason
        );
        Err(Failure { message, result: report.result, ..Failure::default() })
    }
}

fn body(args: &Args, call: &Call<'_>) -> Option<String> {
    let body = call.args.get("body").filter(|body| !body.is_none())?;
    Some(match (args.body_format, body.kind()) {
        (Format::Json, ValueKind::String) => text(body),
        (Format::Json, _) => python_json(body),
        (Format::FormUrlencoded, ValueKind::Map) => {
            let pairs = crate::tasks::entries(body);
            let pairs = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(&text(value))));
            pairs.collect::<Vec<_>>().join("&")
        }
        _ => text(body),
    })
}

fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn headers(args: &Args, call: &Call<'_>) -> Vec<(String, String)> {
    let given = call.args.get("headers").map(crate::tasks::entries).unwrap_or_default();
    let mut all: Vec<(String, String)> = given.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let has_type = all.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let kind = match args.body_format {
        Format::Json => Some("application/json"),
        Format::FormUrlencoded => Some("application/x-www-form-urlencoded"),
        _ => None,
    };
    if let Some(kind) = kind.filter(|_| !has_type && call.args.contains_key("body")) {
        all.push(("Content-Type".into(), kind.into()));
    }
    all
}

/// A file of options, for curl to read: credentials and body are on no command line.
fn curl_config(args: &Args, method: &str, headers: &[(String, String)], body: Option<&str>) -> String {
    let quoted = |text: &str| {
        let mut out = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c => out.push(c),
            }
        }
        out + "\""
    };
    let mut lines = vec![format!("url = {}", quoted(&args.url)), format!("request = {}", quoted(method))];
    if method == "HEAD" {
        lines.push("head".into());
    }
    lines.push(format!("max-time = {}", args.timeout.unwrap_or(30)));
    let agent = args.http_agent.as_deref().unwrap_or("ansible-httpget");
    lines.push(format!("user-agent = {}", quoted(agent)));
    lines.extend(headers.iter().map(|(name, value)| format!("header = {}", quoted(&format!("{name}: {value}")))));
    if let Some(body) = body {
        lines.push(format!("data-raw = {}", quoted(body)));
    }
    if let Some(user) = &args.url_username {
        lines.push(format!(
            "user = {}",
            quoted(&format!("{user}:{}", args.url_password.as_deref().unwrap_or_default()))
        ));
    }
    if args.validate_certs == Some(false) {
        lines.push("insecure".into());
    }
    let follows = args.follow_redirects.as_deref().unwrap_or("safe").to_lowercase();
    if ["all", "yes", "true"].contains(&follows.as_str())
        || follows != "none" && follows != "no" && follows != "false" && ["GET", "HEAD"].contains(&method)
    {
        lines.push("location".into());
    }
    let files = [
        ("cacert", &args.ca_path),
        ("cert", &args.client_cert),
        ("key", &args.client_key),
        ("unix-socket", &args.unix_socket),
    ];
    for (option, value) in files {
        lines.extend(value.iter().map(|value| format!("{option} = {}", quoted(value))));
    }
    lines.join("\n") + "\n"
}

fn python_config(args: &Args, method: &str, headers: &[(String, String)], body: Option<&str>) -> String {
    serde_json::json!({
        "url": args.url, "method": method, "headers": headers, "body": body, "src": args.src,
        "timeout": args.timeout.unwrap_or(30), "insecure": args.validate_certs == Some(false),
        "user": args.url_username, "password": args.url_password, "ca": args.ca_path, "cert": args.client_cert,
        "key": args.client_key, "follow": args.follow_redirects.as_deref().unwrap_or("safe"),
    })
    .to_string()
}

/// What came back.
struct Answer {
    status: i64,
    reason: String,
    url: String,
    headers: BTreeMap<String, String>,
    cookies: BTreeMap<String, String>,
    body: Vec<u8>,
    is_written: bool,
}

impl Answer {
    /// `STATUS WRITTEN URL`, the headers of the last answer, an empty line, the body.
    fn read(bytes: &[u8]) -> Option<Answer> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let first = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut words = first.splitn(3, ' ');
        let status: i64 = words.next()?.parse().ok()?;
        let is_written = words.next()? == "1";
        let url = words.next().unwrap_or_default().trim().to_owned();
        let mark = b"\n--lxdeploy--\n";
        let rest = &bytes[end..];
        let at = rest.windows(mark.len()).position(|window| window == mark)?;
        let head = String::from_utf8_lossy(&rest[..at]).into_owned();
        let head = head.rsplit("\n\n").find(|block| !block.trim().is_empty()).unwrap_or_default().to_owned();
        let mut lines = head.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let status_line = lines.next().unwrap_or_default().to_owned();
        let reason = status_line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
        let (mut headers, mut cookies) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let (name, value) = (name.trim().to_lowercase(), value.trim().to_owned());
            if name == "set-cookie"
                && let Some((cookie, value)) = value.split(';').next().unwrap_or_default().split_once('=')
            {
                cookies.insert(cookie.to_owned(), value.to_owned());
            }
            headers.entry(name).and_modify(|all: &mut String| *all += &format!(", {value}")).or_insert(value);
        }
        Some(Answer { status, reason, url, headers, cookies, body: rest[at + mark.len()..].to_vec(), is_written })
    }
}

/// DEST SRC; the options are what it reads.
const CURL: &str = r#"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
[ -z "$2" ] || set -- "$1" "$2" --data-binary "@$2"
dest=$1; shift 2
first=$(curl -sS -K - "$@" -o "$dir/body" -D "$dir/head" -w '%{http_code} %{url_effective}') || { code=$?; [ -s "$dir/head" ] || exit "$code"; }
[ -e "$dir/body" ] || : > "$dir/body"
written=0
if [ -n "$dest" ]; then
    [ ! -d "$dest" ] || dest=$dest/index.html
    cmp -s "$dir/body" "$dest" || { cat "$dir/body" > "$dest.lxdeploy" && mv "$dest.lxdeploy" "$dest" && written=1 || exit 1; }
fi
printf '%s %s %s\n' "${first%% *}" "$written" "${first#* }"
tr -d '\r' < "$dir/head"
printf '\n--lxdeploy--\n'
cat "$dir/body""#;

/// URL DEST
const WGET: &str = r#"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
wget -q -T 30 -O "$dir/body" "$1" || exit 1
written=0
[ -z "$2" ] || cmp -s "$dir/body" "$2" || { cat "$dir/body" > "$2.lxdeploy" && mv "$2.lxdeploy" "$2" && written=1 || exit 1; }
printf '200 %s %s\nHTTP/1.1 200 OK\n\n--lxdeploy--\n' "$written" "$1"
cat "$dir/body""#;

/// DEST; the request is what it reads, as JSON.
const PYTHON: &str = r#"
import base64, json, os, ssl, sys, urllib.error, urllib.request
q = json.load(sys.stdin); dest = sys.argv[1]
c = ssl.create_default_context(cafile=q['ca']) if q['url'].startswith('https') else None
if c and q['insecure']: c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
if c and q['cert']: c.load_cert_chain(q['cert'], q['key'])
body = open(q['src'], 'rb').read() if q['src'] else q['body'].encode() if q['body'] is not None else None
r = urllib.request.Request(q['url'], data=body, method=q['method'])
for k, v in q['headers']: r.add_header(k, v)
if q['user']: r.add_header('Authorization', 'Basic ' + base64.b64encode((q['user'] + ':' + (q['password'] or '')).encode()).decode())
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *a): return None
handlers = [urllib.request.HTTPSHandler(context=c)] if c else []
f = q['follow'].lower()
if f in ('none', 'no', 'false') or (f not in ('all', 'yes', 'true') and q['method'] not in ('GET', 'HEAD')): handlers.append(Stay())
try: a = urllib.request.build_opener(*handlers).open(r, timeout=q['timeout'])
except urllib.error.HTTPError as e: a = e
content = a.read(); written = 0
if dest:
    if os.path.isdir(dest): dest += '/index.html'
    if not os.path.exists(dest) or open(dest, 'rb').read() != content:
        open(dest + '.lxdeploy', 'wb').write(content); os.rename(dest + '.lxdeploy', dest); written = 1
o = sys.stdout.buffer
o.write(('%d %d %s\nHTTP/1.1 %d %s\n' % (a.status, written, a.url, a.status, a.reason)).encode())
for k, v in a.headers.items(): o.write(('%s: %s\n' % (k, v)).encode())
o.write(b'\n\n--lxdeploy--\n'); o.write(content)"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let bytes = b"200 0 http://a/b\nHTTP/1.1 301 Moved\nLocation: /b\n\nHTTP/1.1 200 OK\nContent-Type: application/json\nSet-Cookie: a=1; Path=/\n\n\n--lxdeploy--\n{\"x\": 1}";
        let answer = Answer::read(bytes).unwrap();
        assert_eq!((answer.status, answer.reason.as_str(), answer.url.as_str()), (200, "OK", "http://a/b"));
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.cookies["a"], "1");
        assert_eq!(answer.body, b"{\"x\": 1}");
        assert!(Answer::read(b"").is_none());
    }
}
