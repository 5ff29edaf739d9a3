//! What moved at the server since it was applied, and nothing else.

use serde_json::Value;

use crate::bed::{Case, lifecycle_events, lxc};

const SITE: &str = r#"
secrets: {token: {env: TOKEN}}
projects: {"@NAME@": {}}
profiles:
  base: {config: {limits.memory: 256MiB, user.a: one}, devices: {root: {type: disk, path: /, pool: default}}}
images: {bb: {source: {file: busybox.tar.xz}, aliases: [bb]}}
instances:
  one: {image: bb, profiles: [base], stop_timeout: 0s, config: {user.a: one, user.b: two, user.token: "{{ secret('token') }}"}}
  two: {profiles: [base], state: stopped}
"#;

fn drift(case: &Case, code: i32) -> Value {
    let mut command = case.command(&["drift", "site.yaml", "--format", "json"]);
    command.env("TOKEN", "a-very-secret-token");
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    assert!(!stdout.contains("very-secret") && !stderr.contains("very-secret"), "{stdout}\n{stderr}");
    serde_json::from_str::<Value>(&stdout).unwrap()["sites"][0].clone()
}

/// `ADDRESS CODE: PATHS` of everything that moved.
fn moved(drift: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |moved: &Value| {
        let paths: Vec<String> = moved["leaves"].as_array().unwrap().iter().map(|leaf| text(&leaf["path"])).collect();
        format!("{} {}: {}", text(&moved["address"]), text(&moved["code"]), paths.join(" "))
    };
    drift["moved"].as_array().unwrap().iter().map(one).collect()
}

fn apply(case: &Case) {
    let status = case.command(&["apply", "site.yaml", "--yes"]).env("TOKEN", "a-very-secret-token").status().unwrap();
    assert!(status.success());
}

#[test]
fn what_moved_is_drift_and_what_is_pending_is_not() {
    let case = Case::new("moved2");
    case.site(SITE);
    // Nothing was applied: all of it is absent, and that is told.
    assert!(moved(&drift(&case, 2)).contains(&"instances.one absent: ".to_owned()));
    apply(&case);
    let quiet = drift(&case, 0);
    assert_eq!((moved(&quiet), &quiet["stamped"]), (vec![], &5.into()));

    // Pending changes of the file: a key, a new object, one that left the file.
    let edited = SITE.replace("user.a: one, user.b: two", "user.a: changed").replace("user.a: one}", "user.a: other}");
    case.site(&edited);
    assert_eq!(moved(&drift(&case, 0)), Vec::<String>::new());

    // At the server: leaves (one that the file changed too, one that it no longer has), a secret, the power state, an alias.
    case.lxc(&["config", "set", "one", "user.a=moved", "user.b=theirs"]);
    case.lxc(&["config", "unset", "one", "user.token"]);
    case.lxc(&["profile", "unset", "base", "limits.memory"]);
    case.lxc(&["stop", "-f", "one"]);
    case.lxc(&["image", "alias", "delete", "bb"]);
    let seen = drift(&case, 2);
    assert_eq!(
        moved(&seen),
        [
            "profiles.base changed: config.limits.memory",
            "images.bb changed: aliases.bb",
            "instances.one changed: state config.user.a config.user.b config.user.token",
        ]
    );
    let leaf = |path: &str| {
        let leaves = seen["moved"][2]["leaves"].as_array().unwrap();
        leaves.iter().find(|leaf| leaf["path"] == path).unwrap().clone()
    };
    assert_eq!((&leaf("state")["applied"], &leaf("state")["live"]), (&"running".into(), &"stopped".into()));
    assert_eq!((&leaf("config.user.a")["applied"], &leaf("config.user.a")["live"]), (&Value::Null, &"moved".into()));
    assert_eq!(leaf("config.user.b")["taken_over"], true);
    assert_eq!(leaf("config.user.token")["sensitive"], true);

    // Removed, copied, and robbed of its stamp.
    case.site(SITE);
    case.lxc(&["copy", "two", "copied"]);
    case.lxc(&["delete", "two"]);
    for key in ["site", "id", "record"] {
        case.lxc(&["profile", "unset", "base", &format!("user.lxdeploy.{key}")]);
    }
    let seen = moved(&drift(&case, 2));
    for line in ["profiles.base unstamped: ", "instances.copied copy: ", "instances.two absent: "] {
        assert!(seen.contains(&line.to_owned()), "{line}: {seen:#?}");
    }
    let mut text = case.command(&["drift", "site.yaml"]);
    let text = String::from_utf8(text.env("TOKEN", "a-very-secret-token").output().unwrap().stdout).unwrap();
    assert!(
        text.contains("removed there, or not applied yet") && text.contains("copied, moved or renamed by hand"),
        "{text}"
    );
    assert!(text.contains("state") && text.contains("running -> stopped"), "{text}");

    case.lxc(&["delete", "copied"]);
    let all = ["apply", "site.yaml", "--yes", "--adopt", "all"];
    assert!(case.command(&all).env("TOKEN", "a-very-secret-token").status().unwrap().success());
    assert_eq!(moved(&drift(&case, 0)), Vec::<String>::new());
    assert!(case.command(&["destroy", "site.yaml", "--yes"]).env("TOKEN", "x").status().unwrap().success());
}

#[test]
fn several_sites_are_one_answer_and_nothing_is_written() {
    let case = Case::new("several");
    let site = "projects: {\"@NAME@\": {}}\nprofiles: {base: {config: {user.a: 1}}}\n";
    case.site(site);
    case.apply(&[]);
    case.write("other.yaml", "site: t-several-2\nproject: @NAME@\nprofiles: {other: {config: {user.a: 1}}}\n");
    case.run(&["apply", "other.yaml", "--yes"]).exits(0);
    let both = ["drift", "site.yaml", "other.yaml"];
    case.run(&both).exits(0).says("No drift in site t-several:").says("No drift in site t-several-2:");
    case.lxc(&["profile", "set", "other", "user.a=2"]);
    let events = lifecycle_events(&case, || {
        case.run(&both).exits(2).says("No drift in site t-several:").says("\"1\" -> \"2\"");
    });
    assert!(events.is_empty(), "{events:#?}");
    // An error is an error, whatever the others say; the others are told all the same.
    let output = case.run(&["drift", "nosuch.yaml", "other.yaml"]).exits(1);
    output.says("nosuch.yaml").says("\"1\" -> \"2\"");
    case.run(&["destroy", "other.yaml", "--yes"]).exits(0);
    lxc(&["profile", "show", "default"]).exits(0);
    case.destroy(&[]);
}
