//! `lxdeploy diff --from GITREV`: what a change of the files means, without a server and without secrets.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A git repository of site files.
struct Repository(tempfile::TempDir);

const SITE: &str = r#"site: acme
extends: ../platform/standard.yaml
project: acme
vars_files: [vars.yaml]
secrets: {token: {env: NO_SUCH_TOKEN}, other: {env: NO_SUCH_OTHER}}
projects: {acme: {}}
networks: {br: {project: default, config: {ipv4.address: "{{ cidr }}", ipv6.address: none}}}
images: {base: {source: {file: base.tar.xz}}, outside: {source: {file: dist/big.tar.xz}}}
instances:
  api: {count: 2, image: base, profiles: [standard, default], config: {user.token: "{{ secret('token') }}"}, ready: [ipv4]}
  db: {image: "debian/12", profiles: [standard, theirs], devices: {eth0: {ipv4.address: 10.0.0.9}, data: {type: disk, pool: shared, source: data, path: /data}}}
"#;

const PLATFORM: &str = r#"platform: standard
release: "1"
profiles:
  standard: {config: {limits.memory: 256MiB}, devices: {root: {type: disk, path: /, pool: default}}}
"#;

impl Repository {
    /// Two sites on one platform, committed.
    fn new() -> Repository {
        let repository = Repository(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet"]);
        repository.write("platform/standard.yaml", PLATFORM);
        repository.write("acme/site.yaml", SITE);
        repository.write("acme/vars.yaml", "cidr: 10.0.0.1/24\n");
        repository.write("acme/base.tar.xz", "an image");
        repository.write(
            "other/site.yaml",
            "site: other\nextends: ../platform/standard.yaml\ninstances: {one: {profiles: [standard]}}\n",
        );
        repository.write(".gitignore", "dist/\nhome/\n");
        repository.write("acme/dist/big.tar.xz", "not in git");
        repository.commit();
        repository
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Replaces a text that must be there.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path().join(name)).unwrap();
        assert!(text.contains(from), "{from}");
        self.write(name, &text.replace(from, to));
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments);
        let output = command.current_dir(self.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
    }

    fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxdeploy"));
        // No server anywhere.
        command.arg("diff").args(arguments).current_dir(self.path()).env("LXD_DIR", "/nonexistent");
        let output = command.env("HOME", self.path().join("home")).output().unwrap();
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
        (stdout, stderr)
    }

    /// `ADDRESS: ACTION: PATHS` of one site since HEAD.
    fn changes(&self, site: &str) -> Vec<String> {
        let (stdout, _) = self.run(&["--from", "HEAD", site, "--format", "json"], 0);
        let document: Value = serde_json::from_str(&stdout).unwrap();
        let plan = &document["sites"][0]["plan"];
        assert_eq!(plan["refused"], serde_json::json!([]), "{plan:#}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let changes = plan["changes"].as_array().unwrap().iter().filter(|change| change["action"] != "no-op");
        let paths = |change: &Value| {
            let paths = change["diff"].as_array().unwrap().iter().map(|field| text(&field["path"]));
            if change["action"] == "create" { String::new() } else { paths.collect::<Vec<_>>().join(" ") }
        };
        changes
            .map(|change| format!("{}: {}: {}", text(&change["address"]), text(&change["action"]), paths(change)))
            .collect()
    }
}

const BOTH: [&str; 4] = ["--from", "HEAD", "acme/site.yaml", "other/site.yaml"];

#[test]
fn no_change_is_said_to_be_none() {
    let repository = Repository::new();
    let (text, _) = repository.run(&BOTH, 0);
    assert!(text.contains("acme/site.yaml: no change in site acme since HEAD ("), "{text}");
    assert!(text.contains("other/site.yaml: no change in site other since HEAD ("), "{text}");
    // A comment, another order, a file that git does not hold: nothing of it is a change.
    repository.edit("acme/site.yaml", "site: acme\n", "# a comment\nsite: acme\n");
    repository.write("acme/dist/big.tar.xz", "made again");
    assert_eq!(repository.changes("acme/site.yaml"), Vec::<String>::new());
    assert_eq!(repository.git(&["status", "--short"]), " M acme/site.yaml\n", "the index is as it was");
}

#[test]
fn a_platforms_change_is_shown_for_each_site() {
    let repository = Repository::new();
    repository.edit("platform/standard.yaml", "256MiB", "512MiB");
    let (text, _) = repository.run(&BOTH, 0);
    assert!(text.contains("256MiB") && text.contains("512MiB"), "{text}");
    assert!(text.contains("reaches 3 running instances: instances.api-1, instances.api-2, instances.db"), "{text}");
    assert!(text.contains("reaches 1 running instance: instances.one"), "{text}");
    let update = vec!["profiles.standard: update: config.limits.memory".to_owned()];
    assert_eq!(repository.changes("other/site.yaml"), update);
}

#[test]
fn restarts_replacements_renames_and_deletions_are_the_planners_own() {
    let repository = Repository::new();
    repository.edit("acme/vars.yaml", "10.0.0.1", "10.0.1.1");
    repository.edit("acme/site.yaml", "count: 2", "count: 1");
    repository.edit("acme/site.yaml", "ipv4.address: 10.0.0.9", "ipv4.address: 10.0.0.8");
    repository.edit(
        "acme/site.yaml",
        "  db: {",
        "  base: {renamed_from: db, type: container, config: {security.privileged: true}, ",
    );
    assert_eq!(
        repository.changes("acme/site.yaml"),
        [
            "instances.api-2: delete: ",
            "networks.br: update: config.ipv4.address",
            "instances.base: rename: config.security.privileged devices.eth0.ipv4.address",
        ]
    );
    repository.edit("acme/site.yaml", "type: container", "type: virtual-machine");
    let (text, _) = repository.run(&["--from", "HEAD", "acme/site.yaml"], 0);
    assert!(text.contains("forces replacement: an instance's type is fixed when it is made"), "{text}");
    repository.edit("platform/standard.yaml", "limits.memory: 256MiB", "security.nesting: true");
    let (text, _) = repository.run(&["--from", "HEAD", "acme/site.yaml"], 0);
    assert!(text.contains("needs a restart") && text.contains("restarts, since profiles.standard changes"), "{text}");
}

#[test]
fn images_are_compared_by_content_and_else_by_path() {
    let repository = Repository::new();
    repository.write("acme/base.tar.xz", "another image");
    assert_eq!(repository.changes("acme/site.yaml"), ["images.base: replace: fingerprint"]);
    let (text, _) = repository.run(&["--from", "HEAD", "acme/site.yaml"], 0);
    assert!(text.contains("instances.api-1 was made of an earlier image of `base`"), "{text}");
    repository.edit("acme/site.yaml", "dist/big.tar.xz", "dist/bigger.tar.xz");
    assert!(repository.changes("acme/site.yaml").contains(&"images.outside: replace: fingerprint".to_owned()));
    repository.edit("acme/site.yaml", "image: \"debian/12\"", "image: \"debian/13\"");
    assert!(repository.changes("acme/site.yaml").contains(&"instances.db: replace: image".to_owned()));
}

#[test]
fn secrets_are_not_needed_and_not_shown() {
    let repository = Repository::new();
    repository.edit("acme/site.yaml", "secret('token')", "secret('other')");
    let (text, _) = repository.run(&["--from", "HEAD", "acme/site.yaml"], 0);
    assert!(text.contains("(sensitive) -> (sensitive)") && !text.contains("(secret"), "{text}");
    repository.edit("acme/site.yaml", "{{ secret('other') }}", "{{ secret('token') }}");
    assert_eq!(repository.changes("acme/site.yaml"), Vec::<String>::new());
}

#[test]
fn sites_that_are_new_or_gone() {
    let repository = Repository::new();
    repository.write("new/site.yaml", "site: newcomer\nprofiles: {one: {config: {limits.cpu: 1}}}\n");
    std::fs::remove_dir_all(repository.path().join("other")).unwrap();
    let arguments = ["--from", "HEAD", "new/site.yaml", "other/site.yaml"];
    let (text, _) = repository.run(&arguments, 0);
    assert!(
        text.contains("new/site.yaml: site newcomer is new since HEAD") && text.contains("+ profiles.one"),
        "{text}"
    );
    assert!(
        text.contains("other/site.yaml: site other is gone since HEAD") && text.contains("? instances.one"),
        "{text}"
    );
    let (json, _) = repository.run(&[&arguments[..], &["--format", "json"]].concat(), 0);
    let document: Value = serde_json::from_str(&json).unwrap();
    let statuses: Vec<&Value> = document["sites"].as_array().unwrap().iter().map(|site| &site["status"]).collect();
    assert_eq!(statuses, ["new", "gone"]);
    assert_eq!(document["commit"].as_str().unwrap(), repository.git(&["rev-parse", "HEAD"]).trim());
}

#[test]
fn what_cannot_be_compared_is_told_and_the_others_are_shown() {
    let repository = Repository::new();
    let (_, told) = repository.run(&["--from", "nosuch", "acme/site.yaml"], 1);
    assert!(told.contains("there is no revision `nosuch`"), "{told}");
    repository.write("broken/site.yaml", "site: broken\nprofiles: {a: {nosuch: 1}}\n");
    repository.commit();
    repository.write("broken/site.yaml", "site: broken\nprofiles: {a: {}}\n");
    let (text, told) = repository.run(&["--from", "HEAD", "broken/site.yaml", "other/site.yaml", "none.yaml"], 1);
    assert!(told.contains("HEAD:broken/site.yaml:2:16") && told.contains("as of HEAD it cannot be read"), "{told}");
    assert!(told.contains("none.yaml: neither here nor in HEAD"), "{told}");
    assert!(text.contains("no change in site other"), "{text}");
    let nowhere = tempfile::tempdir().unwrap();
    std::fs::write(nowhere.path().join("site.yaml"), "site: acme\n").unwrap();
    let file = nowhere.path().join("site.yaml");
    let (_, told) = repository.run(&["--from", "HEAD", file.to_str().unwrap()], 1);
    assert!(told.contains("no file of a git repository"), "{told}");
}
