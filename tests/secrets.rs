//! `lxdeploy secrets`, alone and with ansible-vault. Needs Python and PyPI.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.0.path()).env("LANG", "C.UTF-8").stdin(Stdio::null());
        command
    }

    fn secrets(&self, args: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_lxdeploy")).arg("secrets").args(args).output().unwrap()
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let output = self.secrets(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, args: &[&str]) -> String {
        let output = self.secrets(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    }

    /// What `edit` does with an editor that is this shell command; `$1` is the file.
    fn edited(&self, editor: &str, args: &[&str]) -> Output {
        let script = format!("#!/bin/sh\n{editor}\n");
        self.write("editor", &script);
        std::fs::set_permissions(self.path("editor"), PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = self.command(env!("CARGO_BIN_EXE_lxdeploy"));
        command.args(["secrets", "edit"]).args(args).env("EDITOR", self.path("editor")).output().unwrap()
    }
}

#[test]
fn a_file_is_encrypted_for_the_recipients_of_the_site_beside_it() {
    let folder = Folder::new();
    let recipient = folder.done(&["keygen"]).trim().to_owned();
    let identity = folder.path(".config/lxdeploy/age.txt");
    assert_eq!(std::fs::metadata(&identity).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(folder.refused(&["keygen"]).contains("it is there already"));
    let other = folder.done(&["keygen", "-o", "other.txt"]).trim().to_owned();
    folder.write("platform.yaml", &format!("platform: standard\nrecipients: [{other}]\n"));
    folder.write("site.yaml", &format!("site: acme\nextends: platform.yaml\nrecipients: [{recipient}]\n"));
    folder.write("group_vars/all.yml", "password: hunter2\n");
    std::fs::set_permissions(folder.path("group_vars/all.yml"), PermissionsExt::from_mode(0o640)).unwrap();

    folder.done(&["encrypt", "group_vars/all.yml"]);
    assert!(folder.read("group_vars/all.yml").starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    let mode = std::fs::metadata(folder.path("group_vars/all.yml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "the mode stays");
    // Both of them read it, nobody else does.
    assert_eq!(folder.done(&["view", "group_vars/all.yml"]), "password: hunter2\n");
    assert_eq!(folder.done(&["view", "--identity", "other.txt", "group_vars/all.yml"]), "password: hunter2\n");
    folder.done(&["keygen", "-o", "third.txt"]);
    let reason = folder.refused(&["view", "--identity", "third.txt", "group_vars/all.yml"]);
    assert!(reason.contains("group_vars/all.yml: it is encrypted for none of the identities at hand"), "{reason}");
    assert!(folder.refused(&["encrypt", "group_vars/all.yml"]).contains("it is encrypted already"));

    // Somebody leaves.
    folder.write("platform.yaml", "platform: standard\n");
    folder.done(&["rekey", "group_vars/all.yml"]);
    assert!(!folder.secrets(&["view", "--identity", "other.txt", "group_vars/all.yml"]).status.success());
    folder.done(&["decrypt", "group_vars/all.yml"]);
    assert_eq!(folder.read("group_vars/all.yml"), "password: hunter2\n");
    assert!(folder.refused(&["view", "group_vars/all.yml"]).contains("it is not encrypted"));
}

#[test]
fn whoever_it_is_for_has_to_be_known() {
    let folder = Folder::new();
    folder.write("f", "a: 1\n");
    assert!(folder.refused(&["encrypt", "f"]).contains("for whom? Give --recipient age1…"));
    assert!(folder.refused(&["encrypt", "-r", "age1x", "f"]).contains("`age1x` is no recipient of age's"));
    assert!(folder.refused(&["encrypt", "--vault", "f"]).contains("--vault needs a password"));
    folder.write("bad.yaml", "site: acme\nrecipients: [age1x]\n");
    let reason = folder.refused(&["encrypt", "--site", "bad.yaml", "f"]);
    assert!(reason.contains("bad.yaml:2:14"), "{reason}");
    std::fs::remove_file(folder.path("bad.yaml")).unwrap();
    let (one, two) = (folder.done(&["keygen"]), folder.done(&["keygen", "-o", "two"]));
    folder.write("one.yaml", &format!("site: one\nrecipients: [{}]\n", one.trim()));
    folder.write("two.yaml", &format!("site: two\nrecipients: [{}]\n", two.trim()));
    assert!(folder.refused(&["encrypt", "f"]).contains("have different recipients: say which, with --site"));
    assert_eq!(folder.read("f"), "a: 1\n", "nothing was written");
    let output = folder.secrets(&["encrypt", "--site", "two.yaml", "f"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("your own identity will not read it"));
    assert_eq!(folder.done(&["view", "--identity", "two", "f"]), "a: 1\n");
}

#[test]
fn editing_keeps_the_form_and_a_failed_editor_the_file() {
    let folder = Folder::new();
    let recipient = folder.done(&["keygen"]);
    folder.write("site.yaml", &format!("site: acme\nrecipients: [{}]\n", recipient.trim()));
    let place = folder.path("place");
    let editor = format!("echo \"$1\" > {}; stat -c %a \"$1\" >> {0}; echo 'a: 1' > \"$1\"", place.display());
    assert!(folder.edited(&editor, &["new.yml"]).status.success());
    assert_eq!(std::fs::metadata(folder.path("new.yml")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(folder.done(&["view", "new.yml"]), "a: 1\n");
    let seen = folder.read("place");
    let (copy, mode) = seen.trim().split_once('\n').unwrap();
    assert!(mode == "600" && copy.ends_with(".yml") && !Path::new(copy).exists(), "{seen}");
    let before = folder.read("new.yml");
    let output = folder.edited("echo 'a: 2' > \"$1\"; exit 3", &["new.yml"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the file is as it was"));
    assert!(String::from_utf8_lossy(&folder.edited("true", &["new.yml"]).stderr).contains("nothing was changed"));
    assert_eq!(folder.read("new.yml"), before);
    folder.write("plain.yml", "a: 1\n");
    let output = folder.edited("true", &["plain.yml"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("`lxdeploy secrets encrypt` does that"));
}

#[test]
fn ansible_vault_reads_ours_and_we_read_its() {
    let found = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ansible.sh")).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let vault = Path::new(String::from_utf8(found.stdout).unwrap().trim()).join("bin/ansible-vault");
    let folder = Folder::new();
    folder.write("pw", "one\n");
    let ansible = |args: &[&str]| {
        let output = folder.command(&vault).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    folder.write("ours.yml", "a: Grüße\n");
    folder.done(&["encrypt", "--vault", "--vault-password-file", "pw", "ours.yml"]);
    assert_eq!(ansible(&["view", "--vault-password-file", "pw", "ours.yml"]), "a: Grüße\n");
    folder.write("named.yml", "a: 1\n");
    folder.done(&["encrypt", "--vault", "--vault-id", "prod@pw", "named.yml"]);
    assert_eq!(ansible(&["view", "--vault-id", "prod@pw", "named.yml"]), "a: 1\n");

    folder.write("its.yml", "b: 1\n");
    ansible(&["encrypt", "--vault-id", "dev@pw", "--encrypt-vault-id", "dev", "its.yml"]);
    assert_eq!(folder.done(&["view", "--vault-id", "dev@pw", "its.yml"]), "b: 1\n");
    // What we edit stays its own, with its id.
    assert!(folder.edited("echo 'b: 2' > \"$1\"", &["--vault-id", "dev@pw", "its.yml"]).status.success());
    assert!(folder.read("its.yml").starts_with("$ANSIBLE_VAULT;1.2;AES256;dev\n"));
    assert_eq!(ansible(&["view", "--vault-id", "dev@pw", "its.yml"]), "b: 2\n");
    folder.write("wrong", "two\n");
    let reason = folder.refused(&["view", "--vault-password-file", "wrong", "its.yml"]);
    assert!(reason.contains("its.yml: no vault password at hand decrypts it (vault id dev)"), "{reason}");
}

#[test]
fn standard_input_is_a_file() {
    let folder = Folder::new();
    let recipient = folder.done(&["keygen"]);
    let through = |args: &[&str], input: &[u8]| {
        let mut command = folder.command(env!("CARGO_BIN_EXE_lxdeploy"));
        let command = command.arg("secrets").args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    let sealed = through(&["encrypt", "-r", recipient.trim(), "-"], b"a: 1\n");
    assert_eq!(through(&["view", "-"], &sealed), b"a: 1\n");
}

/// A site whose role gets what is generated, so that a plan reads it.
const GENERATED: &str = "inputs: {}\nvars: {count: 2}\nsecrets:\n  key: {generate: 40}\n  ca: {generate: {ca: Ours}}\n  \
    tls: {generate: {certificate: \"{{ range(1, count + 1) | map('string') | list }}\", signed_by: ca, days: 90}}\n\
    instances: {a: {config: {user.a: \"{{ secret('key') }}\"}, description: \"{{ secret('tls') }}\"}}\n";

#[test]
fn secrets_are_generated_once_for_the_recipients_beside_the_site() {
    let folder = Folder::new();
    let recipient = folder.done(&["keygen"]).trim().to_owned();
    folder.write("site.yaml", &format!("site: acme\nrecipients: [{recipient}]\n{GENERATED}"));
    let made = folder.done(&["generate", "site.yaml"]);
    assert!(made.contains("ca: made\n") && made.contains("Generated 3 of 3 secrets, in site.secrets.yaml."), "{made}");
    let sealed = folder.read("site.secrets.yaml");
    assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    let mode = std::fs::metadata(folder.path("site.secrets.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let plain = folder.done(&["view", "site.secrets.yaml"]);
    assert_eq!(plain.matches("BEGIN CERTIFICATE").count(), 2, "{plain}");

    let again = folder.done(&["generate", "site.yaml"]);
    assert_eq!(again, "Nothing to generate: 3 secrets are in site.secrets.yaml.\n");
    assert_eq!(folder.read("site.secrets.yaml"), sealed, "nothing is written where nothing changes");

    // Another name asks for another certificate, and for nothing else.
    let changed = folder.done(&["generate", "site.yaml", "--var", "count=3"]);
    assert!(changed.contains("tls: made again: it is for 1, 2, and is to be for 1, 2, 3\n"), "{changed}");
    assert!(changed.contains("Generated 1 of 3 secrets"), "{changed}");
    let renewed = folder.done(&["generate", "site.yaml", "--renew", "key", "--var", "count=3"]);
    assert!(renewed.contains("key: made again: --renew\n") && renewed.contains("Generated 1 of 3"), "{renewed}");
    let authority = folder.done(&["generate", "site.yaml", "--renew", "ca", "--var", "count=3"]);
    assert!(authority.contains("tls: made again: another authority signed it\n"), "{authority}");
    assert!(folder.refused(&["generate", "site.yaml", "--renew", "kye"]).contains("--renew kye: what is generated is"));

    let other = folder.done(&["keygen", "-o", "other.txt"]).trim().to_owned();
    folder.write("site.yaml", &format!("site: acme\nrecipients: [{other}]\n{GENERATED}"));
    assert!(folder.refused(&["generate", "site.yaml"]).contains("no identity at hand is among the site's"));
}

#[test]
fn without_recipients_they_are_for_this_user_alone() {
    let folder = Folder::new();
    folder.write("site.yaml", &format!("site: acme\n{GENERATED}"));
    let made = folder.done(&["generate", "site.yaml"]);
    let path = ".local/state/lxdeploy/acme.secrets.yaml";
    assert!(made.contains(path), "{made}");
    for (path, mode) in [(path, 0o600), (".local/state/lxdeploy", 0o700)] {
        assert_eq!(std::fs::metadata(folder.path(path)).unwrap().permissions().mode() & 0o777, mode, "{path}");
    }
    // When the site gets recipients, what is there moves to beside it.
    let recipient = folder.done(&["keygen"]).trim().to_owned();
    folder.write("site.yaml", &format!("site: acme\nrecipients: [{recipient}]\n{GENERATED}"));
    let moved = folder.done(&["generate", "site.yaml"]);
    assert!(moved.contains("Generated 0 of 3 secrets, in site.secrets.yaml."), "{moved}");
    let key = |text: &str| text.lines().skip_while(|line| *line != "key:").nth(1).unwrap().to_owned();
    assert_eq!(key(&folder.done(&["view", "site.secrets.yaml"])), key(&folder.read(path)));
}

#[test]
fn what_was_not_generated_is_told_with_the_command() {
    let folder = Folder::new();
    folder.write("site.yaml", &format!("site: acme\nremote: unix:/nowhere\n{GENERATED}"));
    let run = |command: &str| {
        let output = folder.command(env!("CARGO_BIN_EXE_lxdeploy")).args([command, "site.yaml"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run("validate").0, Some(0), "validate needs no secret");
    let (code, error) = run("plan");
    assert_eq!(code, Some(1));
    assert!(error.contains("the secret `key` cannot be read: it was not generated yet"), "{error}");
    assert!(error.contains("run `lxdeploy secrets generate site.yaml`"), "{error}");
    assert!(folder.refused(&["get", "site.yaml", "key"]).contains("it was not generated yet"));
    assert!(folder.refused(&["get", "site.yaml", "kye"]).contains("there are ca, key, tls"));
    folder.done(&["generate", "site.yaml"]);
    assert_eq!(folder.done(&["get", "site.yaml", "key"]).trim().len(), 40);
    let authority = folder.done(&["get", "site.yaml", "ca"]);
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----") && !authority.contains("PRIVATE"), "{authority}");
    let (_, error) = run("plan");
    assert!(error.contains("/nowhere") && !error.contains("cannot be read"), "{error}");
}
