//! `lxdeploy remote` against a real LXD.
//!
//! `LXDEPLOY_TEST_DIR` is the `LXD_DIR` of a private daemon that runs. The tests give it an HTTPS address where it
//! has none, and a trust password; each has a home of its own.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The daemon that the tests are run against.
struct Bed {
    directory: PathBuf,
    address: String,
}

const PASSWORD: &str = "only-for-the-test";

fn bed() -> &'static Bed {
    static BED: OnceLock<Bed> = OnceLock::new();
    BED.get_or_init(|| {
        let directory = std::env::var_os("LXDEPLOY_TEST_DIR").filter(|value| !value.is_empty());
        let directory =
            PathBuf::from(directory.expect("LXDEPLOY_TEST_DIR is to be the LXD_DIR of a private daemon that runs"));
        assert!(directory.join("unix.socket").exists(), "no daemon runs in {}", directory.display());
        let mut bed = Bed { directory, address: String::new() };
        bed.address = bed.lxc(&["config", "get", "core.https_address"]);
        if bed.address.is_empty() {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            bed.address = format!("127.0.0.1:{port}");
            bed.lxc(&["config", "set", "core.https_address", &bed.address]);
        }
        if !bed.is_incus() {
            bed.lxc(&["config", "set", "core.trust_password", PASSWORD]);
        }
        bed
    })
}

impl Bed {
    /// What lxc prints, asked at the server's own socket.
    fn lxc(&self, words: &[&str]) -> String {
        let home = tempfile::tempdir().unwrap();
        let output = Command::new("lxc")
            .args(words)
            .env("LXD_DIR", &self.directory)
            .env("HOME", home.path())
            .env("LXD_CONF", home.path().join("lxc"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "lxc {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// By its own answer.
    fn is_incus(&self) -> bool {
        let answer: serde_json::Value = serde_json::from_str(&self.lxc(&["query", "/1.0"])).unwrap();
        answer["environment"]["server"] == "incus"
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    fn fingerprint(&self) -> String {
        let info = self.lxc(&["info"]);
        let line = info.lines().find_map(|line| line.trim().strip_prefix("certificate_fingerprint: "));
        line.expect("lxc info has a fingerprint").to_owned()
    }

    fn token(&self, name: &str) -> String {
        let text = self.lxc(&["config", "trust", "add", "--name", name, "--quiet"]);
        text.lines().last().unwrap().to_owned()
    }

    /// The names in the server's list of certificates.
    fn clients(&self) -> Vec<String> {
        let text = self.lxc(&["query", "/1.0/certificates?recursion=1"]);
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names = list.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned());
        names.collect()
    }
}

/// A user's home: nothing of lxdeploy's and of lxc's in it.
struct Home {
    directory: TempDir,
}

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn of(output: Output) -> Answer {
        Answer {
            code: output.status.code().expect("not killed by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn done(self) -> Answer {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Exit 1, and every part is in what it said.
    #[track_caller]
    fn refused(self, parts: &[&str]) -> Answer {
        assert_eq!(self.code, 1, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
        }
        self
    }
}

impl Home {
    fn new() -> Home {
        Home { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, part: &str) -> PathBuf {
        self.directory.path().join(part)
    }

    fn own(&self, part: &str) -> PathBuf {
        self.path("config/lxdeploy").join(part)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path(""))
            .env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    fn lxdeploy(&self, words: &[&str], variables: &[(&str, &str)], input: &str) -> Answer {
        let mut command = self.command(env!("CARGO_BIN_EXE_lxdeploy"));
        command.args(words).envs(variables.iter().copied());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // What does not ask may end before it has read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Answer::of(child.wait_with_output().unwrap())
    }

    fn run(&self, words: &[&str]) -> Answer {
        self.lxdeploy(words, &[], "")
    }

    /// `remote add lab`.
    fn add(&self, words: &[&str], variables: &[(&str, &str)], input: &str) -> Answer {
        let words = [&["remote", "add", "lab"], words].concat();
        self.lxdeploy(&words, variables, input)
    }

    /// Plans a site of one profile.
    fn plan(&self, remote: &str) -> Answer {
        let site = self.path("site.yaml");
        let content = "site: enrolled\nprofiles:\n  enrolled-base: {config: {limits.cpu: 1}}\n";
        fs::write(&site, content).unwrap();
        self.run(&["plan", site.to_str().unwrap(), "--remote", remote])
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Every file under a directory, with its content, mode and time.
fn everything(directory: &Path) -> Vec<(PathBuf, Vec<u8>, u32, std::time::SystemTime)> {
    let mut found = vec![];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::metadata(&path).unwrap();
        let content = if meta.is_dir() { vec![] } else { fs::read(&path).unwrap() };
        if meta.is_dir() {
            found.extend(everything(&path));
        }
        found.push((path, content, meta.permissions().mode(), meta.modified().unwrap()));
    }
    found.sort();
    found
}

fn another_certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["another".into()]).unwrap()
}

#[test]
fn a_token_enrols_without_a_question_and_a_plan_goes_over_https() {
    let (bed, home) = (bed(), Home::new());
    let token = bed.token("by-token");
    let answer = home.lxdeploy(&["-vvv", "remote", "add", "lab", &token], &[], "").done();
    assert!(answer.stdout.contains("knows this client now"), "{}", answer.stdout);
    assert!(!answer.stderr.contains("fingerprint"), "no question: {}", answer.stderr);
    assert!(!format!("{}{}", answer.stdout, answer.stderr).contains(&token), "the token is a secret");
    assert!(bed.clients().contains(&"by-token".to_owned()));
    let plan = home.plan("lab").done();
    assert!(plan.stdout.contains("enrolled-base"), "{}", plan.stdout);

    // Again: known already, and another token stays unused.
    let second = bed.token("not-needed");
    let again = home.add(&[&second], &[], "").done();
    assert!(again.stdout.contains("knew this client already"), "{}", again.stdout);
    assert!(again.stdout.contains("not needed"), "{}", again.stdout);

    // A spent token is of no use to anybody else.
    let spent = Home::new().add(&[&token], &[], "");
    spent.refused(&["does not take the token", "works once", "lxc config trust add"]);
}

#[test]
fn a_token_may_come_from_the_environment_with_a_url() {
    let (bed, home) = (bed(), Home::new());
    let token = bed.token("by-environment");
    let variables = [("LXDEPLOY_TRUST_TOKEN", token.as_str())];
    home.add(&[&bed.address, "--project", "acme"], &variables, "").done();
    assert!(bed.clients().contains(&"by-environment".to_owned()));
    let written = fs::read_to_string(home.own("remotes.yaml")).unwrap();
    assert!(written.contains("project: acme"), "{written}");
}

#[test]
fn a_token_of_another_server_sends_nothing() {
    let (bed, home) = (bed(), Home::new());
    let token = bed.token("elsewhere");
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &token).unwrap();
    let mut content: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let other = "ab".repeat(32);
    content["fingerprint"] = other.as_str().into();
    let forged = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, content.to_string());
    home.add(&[&forged], &[], "").refused(&[&bed.fingerprint(), &other, "Nothing was sent"]);
    assert!(!home.path("config").exists());
}

#[test]
fn a_url_and_a_trust_password_after_a_yes() {
    let (bed, home) = (bed(), Home::new());
    // From stdin: the answer, then the password.
    if bed.is_incus() {
        return no_trust_password(bed, &home);
    }
    let wrong = home.add(&[&bed.url()], &[], "yes\nwrong-password\n");
    let wrong = wrong.refused(&[&bed.fingerprint(), "does not take the trust password", "lxc config trust add"]);
    assert!(!wrong.stderr.contains("wrong-password"));
    assert!(!home.own("remotes.yaml").exists());
    home.add(&[&bed.url()], &[], "").refused(&["declined"]);
    home.add(&[&bed.url()], &[], "y\n").refused(&["no trust password", "LXDEPLOY_TRUST_PASSWORD"]);
    home.add(&[&bed.url()], &[], &format!("yes\n{PASSWORD}\n")).done();
    home.plan("lab").done();

    // From the environment; the fingerprint itself is a yes.
    let home = Home::new();
    let password = [("LXDEPLOY_TRUST_PASSWORD", PASSWORD)];
    home.add(&[&bed.url()], &password, &format!("{}\n", bed.fingerprint())).done();
    home.plan("lab").done();

    // Nobody asked.
    let home = Home::new();
    home.add(&[&bed.url(), "--fingerprint", &bed.fingerprint()], &password, "").done();
    let accepts = [password[0], ("LXDEPLOY_ACCEPT_CERTIFICATE", "1")];
    Home::new().add(&[&bed.url()], &accepts, "").done();
    let other = "cd".repeat(32);
    let home = Home::new();
    let answer = home.add(&[&bed.url(), "--fingerprint", &other], &password, "");
    answer.refused(&[&other, &bed.fingerprint()]);
}

/// Incus knows none: it is not asked for, one that is given is told so, and the remedy that is named works.
fn no_trust_password(bed: &Bed, home: &Home) {
    let password = [("LXDEPLOY_TRUST_PASSWORD", PASSWORD), ("LXDEPLOY_ACCEPT_CERTIFICATE", "1")];
    for answer in [home.add(&[&bed.url()], &[], &format!("yes\n{PASSWORD}\n")), home.add(&[&bed.url()], &password, "")]
    {
        answer.refused(&["knows no trust passwords", "incus config trust add", "LXDEPLOY_TRUST_TOKEN"]);
    }
    assert!(!home.own("remotes.yaml").exists());
    let token = bed.token("in-its-place");
    home.add(&[&bed.url()], &[("LXDEPLOY_TRUST_TOKEN", token.as_str())], "").done();
    assert!(bed.clients().contains(&"in-its-place".to_owned()));
    home.plan("lab").done();
}

#[test]
fn a_declined_fingerprint_writes_nothing() {
    let (bed, home) = (bed(), Home::new());
    for answer in ["", "no\n", "n\n", "\n", "Yes please\n", &format!("{}\n", "ab".repeat(32))] {
        let said = home.add(&[&bed.url()], &[("LXDEPLOY_TRUST_PASSWORD", PASSWORD)], answer);
        said.refused(&[&bed.fingerprint(), "declined; nothing was written"]);
        assert!(!home.path("config").exists(), "{answer:?}");
    }
}

#[test]
fn a_client_that_the_server_does_not_know_is_told_so() {
    let (bed, home) = (bed(), Home::new());
    home.add(&[&bed.token("forgotten")], &[], "").done();
    let stranger = another_certificate();
    fs::write(home.own("client.crt"), stranger.cert.pem()).unwrap();
    fs::write(home.own("client.key"), stranger.signing_key.serialize_pem()).unwrap();
    home.plan("lab").refused(&["lab does not trust this client's certificate", "lxc config trust add"]);
}

#[test]
fn a_changed_server_certificate_is_refused_with_the_reasons() {
    let (bed, home) = (bed(), Home::new());
    home.add(&[&bed.token("pinned")], &[], "").done();
    fs::write(home.own("servercerts/lab.crt"), another_certificate().cert.pem()).unwrap();
    let before = everything(&home.path("config"));
    let fingerprint = bed.fingerprint();
    let reasons = [
        "another certificate",
        &fingerprint,
        "clustering was enabled",
        "reinstalled",
        "attack",
        "lxdeploy remote remove",
    ];
    home.plan("lab").refused(&reasons);
    let password = [("LXDEPLOY_TRUST_PASSWORD", PASSWORD), ("LXDEPLOY_ACCEPT_CERTIFICATE", "yes")];
    home.add(&[&bed.url()], &password, "yes\n").refused(&reasons);
    home.add(&[&bed.token("pinned-2")], &[], "").refused(&reasons);
    assert_eq!(everything(&home.path("config")), before);

    // The remedy works.
    home.run(&["remote", "remove", "lab"]).done();
    home.add(&[&bed.url()], &[], "yes\n").done();
    home.plan("lab").done();
}

#[test]
fn a_remote_of_lxcs_is_used_and_never_written() {
    let (bed, home) = (bed(), Home::new());
    let directory = home.path("lxc");
    let token = bed.token("of-lxc");
    // An lxc that is older than a server's tokens cannot enrol there; Incus has its own.
    let (program, variable) =
        if bed.is_incus() { (bed.directory.join("incus"), "INCUS_CONF") } else { ("lxc".into(), "LXD_CONF") };
    let mut add = home.command(program.to_str().unwrap());
    let added = add.env(variable, &directory).args(["remote", "add", "dc", &token]).output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let before = everything(&directory);
    let conf = [(variable, directory.to_str().unwrap())];

    home.plan("dc").refused(&["there is no remote `dc`"]);
    let site = home.path("site.yaml");
    let plan = home.lxdeploy(&["plan", site.to_str().unwrap(), "--remote", "dc"], &conf, "").done();
    assert!(plan.stdout.contains("enrolled-base"), "{}", plan.stdout);
    let removed = home.lxdeploy(&["remote", "remove", "dc"], &conf, "");
    let name = program.file_name().unwrap().to_str().unwrap();
    removed.refused(&[&format!("{name}'s own"), &format!("{name} remote remove dc"), "config.yml"]);
    let list = home.lxdeploy(&["remote", "list"], &conf, "").done();
    let line = list.stdout.lines().find(|line| line.starts_with("dc ")).expect("dc is listed");
    assert!(line.contains(&bed.url()) && line.ends_with(directory.to_str().unwrap()), "{line}");
    assert_eq!(everything(&directory), before);
    assert!(!home.path("config").exists(), "nothing of our own is needed");
}

#[test]
fn what_is_written_is_for_its_owner() {
    let (bed, home) = (bed(), Home::new());
    home.add(&[&bed.token("modes")], &[], "").done();
    assert_eq!(mode(&home.path("config")), 0o700);
    assert_eq!(mode(&home.own("")), 0o700);
    assert_eq!(mode(&home.own("client.key")), 0o600);
    assert_eq!(mode(&home.own("servercerts")), 0o700);
    let mut names: Vec<String> =
        fs::read_dir(home.own("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["client.crt", "client.key", "remotes.yaml", "servercerts"]);
    let key = fs::read_to_string(home.own("client.key")).unwrap();
    home.run(&["remote", "add", "lab-2", &bed.url(), "--fingerprint", &bed.fingerprint()]).done();
    assert_eq!(fs::read_to_string(home.own("client.key")).unwrap(), key, "one key for all servers");
}

#[test]
fn listed_and_removed() {
    let (bed, home) = (bed(), Home::new());
    home.add(&[&bed.token("listed"), "--project", "acme"], &[], "").done();
    home.run(&["remote", "add", "socket", &format!("unix:{}/unix.socket", bed.directory.display())]).done();
    home.plan("socket").done();
    home.add(&["https://10.255.255.1"], &[], "").refused(&["there is a remote `lab` already", "remote remove lab"]);
    home.run(&["remote", "add", "local", &bed.url()]).refused(&["`local`"]);
    home.run(&["remote", "add", "a/b", &bed.url()]).refused(&["cannot be a remote's name"]);

    let list = home.run(&["remote", "list"]).done().stdout;
    let lab: Vec<&str> = list.lines().find(|line| line.starts_with("lab ")).unwrap().split_whitespace().collect();
    assert_eq!(lab, ["lab", &bed.url(), "acme", "lxdeploy"]);
    assert!(list.lines().any(|line| line.starts_with("local ") && line.ends_with("built in")), "{list}");
    let json: serde_json::Value =
        serde_json::from_str(&home.run(&["remote", "list", "--format", "json"]).done().stdout).unwrap();
    let row = json["remotes"].as_array().unwrap().iter().find(|row| row["name"] == "lab").unwrap().clone();
    assert_eq!(
        (row["project"].as_str(), row["fingerprint"].as_str()),
        (Some("acme"), Some(bed.fingerprint().as_str()))
    );

    home.run(&["remote", "remove", "lab"]).done();
    assert!(!home.own("servercerts/lab.crt").exists());
    let list = home.run(&["remote", "list"]).done().stdout;
    assert!(!list.contains("lab ") && list.contains("socket"), "{list}");
    home.run(&["remote", "remove", "lab"]).refused(&["there is no remote `lab`"]);
    home.run(&["remote", "remove", "sockt"]).refused(&["did you mean `socket`?"]);
    home.run(&["remote", "remove", "local"]).refused(&["built in"]);
}
