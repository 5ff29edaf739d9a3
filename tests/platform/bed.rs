//! The platform of `examples/`, deployed once for all tests of this program; each leaves it serving.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const DOMAIN: &str = "standard.localhost";
pub const NET: &str = "10.78.0";

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The platform and its operator.
pub struct Platform {
    directory: tempfile::TempDir,
    /// The port of this machine at which it serves.
    pub port: u16,
    pub http: reqwest::Client,
    pub runtime: tokio::runtime::Runtime,
}

static PLATFORM: LazyLock<Mutex<Platform>> = LazyLock::new(|| Mutex::new(Platform::deployed()));

/// The platform, for this test alone.
pub fn platform() -> MutexGuard<'static, Platform> {
    // A test that failed may have left anything behind: an apply sets it right.
    match PLATFORM.lock() {
        Ok(platform) => platform,
        Err(poisoned) => {
            PLATFORM.clear_poison();
            let platform = PoisonError::into_inner(poisoned);
            platform.apply(&[]);
            platform
        }
    }
}

pub fn server() -> PathBuf {
    let directory = std::env::var_os("LXDEPLOY_TEST_DIR").map(PathBuf::from).unwrap_or_default();
    assert!(directory.join("unix.socket").exists(), "LXDEPLOY_TEST_DIR names no running LXD: run tests/run.sh");
    directory
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Platform {
    fn deployed() -> Platform {
        let directory = tempfile::tempdir().unwrap();
        let image = std::env::var("LXDEPLOY_TEST_DEBIAN").expect("LXDEPLOY_TEST_DEBIAN names Debian's image");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let platform = root().join("examples/standard/platform.yaml");
        let site = format!(
            "site: local\nextends: {}\ninputs:\n  domain: {DOMAIN}\n  listen: 127.0.0.1:{port}\n  provider: stand-in\n  \
             trial: true\n  audiences: [api://standard]\n  image: {image}\n  key_refresh: 10\n  docker: true\n",
            platform.display()
        );
        std::fs::write(directory.path().join("site.yaml"), site).unwrap();
        rustls::crypto::ring::default_provider().install_default().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut platform = Platform { directory, port, http: reqwest::Client::new(), runtime };
        platform.lxdeploy(&["secrets", "generate", "site.yaml"]).done();
        let started = Instant::now();
        platform.apply(&[]);
        println!("the platform was deployed in {:.1?}", started.elapsed());
        platform.http = platform.client();
        platform
    }

    /// A client that trusts the platform's own CA.
    pub fn client(&self) -> reqwest::Client {
        let ca = self.inside("identity-proxy", &["cat", "/usr/local/share/ca-certificates/platform.crt"]);
        let ca = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
        let address = |text: String| text.parse().unwrap();
        reqwest::Client::builder()
            .tls_certs_only([ca])
            .redirect(reqwest::redirect::Policy::none())
            .resolve(DOMAIN, address(format!("127.0.0.1:{}", self.port)))
            .resolve("issuer.lxd", address(format!("{NET}.11:8443")))
            .timeout(Duration::from_secs(20))
            // A connection that the server closes just when it is used again says nothing about the platform.
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// lxdeploy in the operator's directory.
    pub fn lxdeploy(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxdeploy"));
        command.args(arguments).current_dir(self.directory.path()).env("LXD_DIR", server());
        command.env("HOME", self.directory.path()).env_remove("XDG_STATE_HOME").env_remove("XDG_CONFIG_HOME");
        command.env_remove("LXD_SOCKET").env_remove("LXD_CONF").env_remove("LXDEPLOY_REMOTE");
        said(&mut command, None)
    }

    /// Applies the site, with these variables on top.
    #[track_caller]
    pub fn apply(&self, variables: &[&str]) -> Said {
        let variables = variables.iter().flat_map(|variable| ["--var", variable]);
        let all: Vec<&str> = ["apply", "--yes", "site.yaml"].into_iter().chain(variables).collect();
        let said = self.lxdeploy(&all);
        said.done();
        said
    }

    /// What a command in an instance writes to stdout; it must succeed.
    #[track_caller]
    pub fn inside(&self, instance: &str, command: &[&str]) -> String {
        let said = self.try_inside(instance, command, None);
        said.done();
        said.stdout
    }

    /// A command in an instance, with this on its stdin.
    pub fn try_inside(&self, instance: &str, command: &[&str], stdin: Option<&str>) -> Said {
        let all: Vec<&str> = ["exec", instance, "--project", "standard", "--"].iter().chain(command).copied().collect();
        said(&mut lxc(&all), stdin)
    }

    /// A Python program of `tests/platform` in an instance.
    #[track_caller]
    pub fn python(&self, instance: &str, program: &str, arguments: &[&str], stdin: &str) -> String {
        let text = std::fs::read_to_string(root().join("tests/platform").join(program)).unwrap();
        let all: Vec<&str> = ["python3", "-c", &text].iter().chain(arguments).copied().collect();
        let said = self.try_inside(instance, &all, Some(stdin));
        said.done();
        said.stdout
    }

    /// Good and bad tokens.
    pub fn tokens(&self) -> Value {
        serde_json::from_str(&self.python("issuer", "tokens.py", &[], "")).unwrap()
    }

    /// A token that the issuer's loopback mints.
    pub fn mint(&self, wanted: &str) -> String {
        let answer = self.inside("issuer", &["python3", "-c", MINT, "mint", wanted]);
        serde_json::from_str::<Value>(&answer).unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    /// Another question to the issuer's loopback.
    pub fn issuer(&self, path: &str, body: &str) -> Value {
        let answer = self.inside("issuer", &["python3", "-c", MINT, path, body]);
        serde_json::from_str(&answer).unwrap()
    }

    /// The status and body of a GET through the proxy.
    pub fn get(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        self.runtime.block_on(get(self.http.clone(), self.port, path.to_owned(), token.map(str::to_owned)))
    }

    /// The same at one instance of the API itself, asked from the proxy's instance, which alone reaches it.
    pub fn get_directly(&self, instance: &str, path: &str, token: &str) -> u16 {
        let url = format!("https://{instance}.lxd:8443{path}");
        let said = self.try_inside("identity-proxy", &["python3", "-c", DIRECT, &url, token], None);
        said.done();
        said.stdout.trim().parse().unwrap()
    }

    /// Waits until something holds.
    #[track_caller]
    pub fn until(&self, what: &str, limit: u64, holds: impl Fn() -> bool) -> Duration {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(limit), "after {limit} s still not: {what}");
            std::thread::sleep(Duration::from_millis(200));
        }
        started.elapsed()
    }
}

/// Asks the issuer's loopback: a path, and a body.
const MINT: &str = "
import sys, urllib.request
body = sys.argv[2].encode() or None
request = urllib.request.Request('http://127.0.0.1:8081/' + sys.argv[1], body, {'Content-Type': 'application/json'})
print(urllib.request.urlopen(request, timeout=10).read().decode())
";

/// Asks an API instance: a URL, and a token. Prints the status.
const DIRECT: &str = "
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]})
try:
    print(urllib.request.urlopen(request, timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
";

/// The status of a GET (0 where none came) and its body, where that is JSON.
pub async fn get(http: reqwest::Client, port: u16, path: String, token: Option<String>) -> (u16, Value) {
    let mut request = http.get(format!("https://{DOMAIN}:{port}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let Ok(answer) = request.send().await else { return (0, Value::Null) };
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// The client of the private daemon.
pub fn lxc(arguments: &[&str]) -> Command {
    let mut command = Command::new("lxc");
    command.arg("--force-local").args(arguments).env("LXD_DIR", server()).env("LXD_CONF", server().join("client"));
    command
}

pub fn said(command: &mut Command, stdin: Option<&str>) -> Said {
    command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        pipe.write_all(text.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Said {
    #[track_caller]
    pub fn done(&self) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
    }
}
