//! The snapshot as a file: planned without the server, the same plan.

use crate::bed::{Case, Output, lxc};

const SITE: &str = r#"
secrets: {token: {env: TOKEN}, pin: {env: PIN}}
projects: {"@NAME@": {}}
networks: {"@BRIDGE@": {config: {ipv4.address: "@NET@.1/24", ipv6.address: none}}}
storage_pools: {"@NAME@": {driver: dir}}
storage_volumes: {data: {pool: "@NAME@", config: {user.pin: "{{ secret('pin') }}"}}}
profiles:
  base: {config: {limits.memory: 256MiB, user.token: "{{ secret('token') }}"}, devices: {root: {type: disk, path: /, pool: "@NAME@"}, eth0: {type: nic, network: "@BRIDGE@"}}}
images: {bb: {source: {file: busybox.tar.xz}, aliases: [bb], properties: {note: "by {{ secret('token') }}"}}}
instances:
  one: {image: bb, profiles: [base], config: {user.a: one}, state: stopped, devices: {eth0: {ipv4.address: "@NET@.10"}}}
  two: {profiles: [base, default], state: stopped}
"#;

const TOKEN: &str = "correct-horse-battery";
const PIN: &str = "0x7";

/// lxdeploy with the secrets at hand.
fn run(case: &Case, arguments: &[&str], code: i32) -> Output {
    let output = case.command(arguments).env("TOKEN", TOKEN).env("PIN", PIN).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code_was = output.status.code().unwrap();
    Output { code: code_was, stdout: text(output.stdout), stderr: text(output.stderr) }.exits(code)
}

/// Plans online, dumps, plans again where there is no server, and gives the plan.
#[track_caller]
fn same(case: &Case, flags: &[&str], code: i32) -> serde_json::Value {
    let dump = run(case, &["dump", "site.yaml"], 0);
    let read = |secret: &str| dump.stdout.lines().any(|line| line.contains(secret));
    assert!(!read(TOKEN) && !read(&format!("\"{PIN}\"")), "{}", dump.stdout);
    let live = case.write("live.json", &dump.stdout);
    let online = run(case, &[&["plan", "site.yaml", "--format", "json"], flags].concat(), code);
    let all = [&["plan", "site.yaml", "--format", "json", "--live", live.to_str().unwrap()], flags].concat();
    let offline = case.command(&all).env("TOKEN", TOKEN).env("PIN", PIN).env("LXD_DIR", "/nonexistent").output();
    let offline = offline.unwrap();
    assert_eq!(String::from_utf8_lossy(&offline.stdout), online.stdout);
    let told = String::from_utf8_lossy(&offline.stderr).into_owned();
    assert!(told.contains("as of 2") && offline.status.code() == Some(code), "{told}");
    online.json()
}

#[test]
fn a_plan_of_a_dump_is_the_plan_of_the_server() {
    let case = Case::new("dump");
    case.site(SITE);
    // Nothing of it is there yet.
    assert_eq!(same(&case, &[], 0)["summary"]["create"], 8);
    run(&case, &["apply", "site.yaml", "--yes"], 0);
    assert_eq!(same(&case, &[], 0)["summary"]["unchanged"], 8);

    // Drift, secrets that moved, foreign keys, a copy, a stranger, another site's object.
    lxc(&["project", "set", &case.name, "user.theirs=free-text-of-theirs"]).exits(0);
    case.lxc(&["config", "set", "one", "user.a=moved", &format!("user.copy=has {TOKEN} in it")]);
    case.lxc(&["profile", "set", "base", "user.token=another-token"]);
    case.lxc(&["copy", "two", "copied"]);
    case.lxc(&["profile", "create", "nobodys"]);
    case.lxc(&["profile", "set", "nobodys", "user.password=free-text-of-nobody"]);
    let edited =
        SITE.replace("  two: {profiles: [base, default], state: stopped}\n", "  three: {profiles: [base, nobodys]}\n");
    case.site(&edited.replace("256MiB", "512MiB"));
    let plan = same(&case, &[], 0);
    assert_eq!((&plan["summary"]["create"], &plan["summary"]["delete"]), (&1.into(), &1.into()));
    assert!(plan["notes"].as_array().unwrap().iter().any(|note| note["code"] == "copy"));
    let dump = run(&case, &["dump", "site.yaml"], 0);
    dump.says_not("free-text-of-nobody").says("nobodys").says_not(TOKEN);
    same(&case, &["--target", "instances.three"], 0);
    same(&case, &["--destroy", "--delete-data"], 0);
    case.site(&SITE.replace("  base: {config", "  nobodys: {}\n  base: {config"));
    assert_eq!(same(&case, &[], 1)["refused"][0]["code"], "not-ours");
    same(&case, &["--adopt", "all"], 0);

    // Shown to people, it says of when it is.
    let live = case.write("live.json", &run(&case, &["dump", "site.yaml"], 0).stdout);
    let shown = run(&case, &["plan", "site.yaml", "--live", live.to_str().unwrap(), "--adopt", "all"], 0);
    shown.says("note: as of 2").says("(fingerprint ").says("instances.one").says_not(TOKEN).says_not("another-token");
    // Another site's, damaged, none at all.
    case.write("other.yaml", "site: other\n");
    case.run(&["plan", "other.yaml", "--live", "live.json"]).exits(1).says("live.json: it is of the site `t-dump`");
    let text = std::fs::read_to_string(&live).unwrap();
    case.write("half.json", &text[..text.len() / 2]);
    run(&case, &["plan", "site.yaml", "--live", "half.json"], 1).says("half.json: it is damaged");
    run(&case, &["plan", "site.yaml", "--live", "nosuch.json"], 1).says("nosuch.json: No such file");
    case.lxc(&["profile", "delete", "nobodys"]);
    case.lxc(&["delete", "copied"]);
    case.site(SITE);
    run(&case, &["destroy", "site.yaml", "--yes", "--delete-data"], 0);
}
