//! Secrets: where they come from, what they mark, and where they are missing.

use super::*;

const USES: &str = "secrets: {e: {env: PATH}, f: {file: sub/token}, c: {command: [./print, again]}}\n\
    vars: {dsn: \"postgres://{{ secret('f') }}@db\"}\n\
    projects:\n  p:\n    config: {user.e: \"{{ secret('e') }}\", user.f: \"{{ dsn }}\", user.c: \"{{ secret('c') | upper }}\", user.o: open}\n";

fn with_secrets() -> Files {
    let files = files(&[
        ("site.yaml", &format!("site: acme\n{USES}")),
        ("sub/token", "hunter2\n"),
        ("print", "#!/bin/sh\necho said $1\n"),
    ]);
    let mut permissions = std::fs::metadata(files.path("print")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(files.path("print"), permissions).unwrap();
    files
}

#[test]
fn they_come_from_the_environment_a_file_or_a_command() {
    let site = with_secrets().site(&Options::default());
    let config = |key: &str| site.config("projects.p", key).unwrap();
    assert_eq!(config("user.e"), std::env::var("PATH").unwrap());
    assert_eq!([config("user.f"), config("user.c")], ["postgres://hunter2@db", "SAID AGAIN"]);
}

#[test]
fn what_a_secret_touches_is_sensitive_and_masked() {
    let loaded = with_secrets().load(&Options::default());
    let mask = |text: &str| loaded.masker.mask(text);
    assert_eq!(mask("hunter2, said again, SAID AGAIN"), "(sensitive), (sensitive), (sensitive)");
    let site = loaded.site.unwrap();
    let fields = &site.object("projects.p").fields;
    let sensitive: Vec<String> =
        fields.iter().filter(|(_, wanted)| wanted.sensitive).map(|(path, _)| path.to_string()).collect();
    assert_eq!(sensitive, ["config.user.c", "config.user.e", "config.user.f"]);
}

#[test]
fn texts_of_less_than_4_characters_are_not_searched_for() {
    let files = files(&[
        (
            "site.yaml",
            "site: acme\nsecrets: {f: {file: pin}}\nprojects: {p: {config: {user.f: \"{{ secret('f') }}\"}}}\n",
        ),
        ("pin", "123"),
    ]);
    let loaded = files.load(&Options::default());
    assert_eq!(loaded.masker.mask("a 123 b"), "a 123 b");
    assert!(loaded.site.unwrap().object("projects.p").fields[&Path::config("user.f")].sensitive);
}

#[test]
fn an_input_may_be_a_secret() {
    let files = on(
        "inputs: {token: {type: string, secret: true}}\nprojects: {p: {config: {user.t: \"{{ token }}\"}}}\n",
        "inputs: {token: hunter2}\n",
    );
    let loaded = files.load(&Options::default());
    assert_eq!(loaded.masker.mask("hunter2"), "(sensitive)");
    assert!(loaded.site.unwrap().object("projects.p").fields[&Path::config("user.t")].sensitive);
}

#[test]
fn a_missing_secret_is_told_where_it_is_declared() {
    let text = "secrets:\n  a: {env: LXDEPLOY_NO_SUCH}\n  b: {file: gone}\n  c: {command: [sh, -c, 'echo locked >&2; exit 3']}\n  unused: {env: LXDEPLOY_NO_SUCH}\n\
        projects: {p: {config: {user.x: \"{{ secret('a') }}\", user.y: \"{{ secret('b') }}\", user.z: \"{{ secret('c') }}\", user.zz: \"{{ secret('a') }}\"}}}\n";
    insta::assert_snapshot!(found(text));
}

#[test]
fn a_placeholder_reads_none() {
    let text = "secrets: {a: {env: LXDEPLOY_NO_SUCH}, c: {command: [touch, ran]}}\n\
        projects: {p: {config: {user.x: \"{{ secret('a') }}\", user.y: \"{{ secret('c') | int }}\", features.images: \"{{ secret('a') }}\"}}}\n";
    let files = one(text);
    let site = files.site(&Options { secrets: SecretMode::Placeholder, ..Options::default() });
    assert_eq!(site.config("projects.p", "user.x").unwrap(), "(secret a)");
    assert!(!files.path("ran").exists());
}

#[test]
fn secrets_that_the_guest_can_read_are_a_warning() {
    let text = "secrets: {t: {file: site.yaml}}\n\
        instances: {a: {config: {user.token: \"{{ secret('t') }}\", cloud-init.user-data: \"x {{ secret('t') }}\", environment.T: \"{{ secret('t') }}\"}}}\n\
        projects: {p: {config: {user.token: \"{{ secret('t') }}\"}}}\n";
    insta::assert_snapshot!(found(text), @r#"
    warning: `user.token` can be read inside the guest, and it holds a secret
     --> site.yaml:3:38
      |
    3 | instances: {a: {config: {user.token: "{{ secret('t') }}", cloud-init.user-data: "x {{ secret('t') }}", environment.T: "{{ secret('t')...
      |                                      ^^^^^^^^^^^^^^^^^^^
      |
      = help: LXD keeps config in clear text and gives user.* and cloud-init.* to the guest; let a playbook write the secret into a file instead

    warning: `cloud-init.user-data` can be read inside the guest, and it holds a secret
     --> site.yaml:3:81
      |
    3 | instances: {a: {config: {user.token: "{{ secret('t') }}", cloud-init.user-data: "x {{ secret('t') }}", environment.T: "{{ secret('t')...
      |                                                                                 ^^^^^^^^^^^^^^^^^^^^^
      |
      = help: LXD keeps config in clear text and gives user.* and cloud-init.* to the guest; let a playbook write the secret into a file instead
    "#);
}

#[test]
fn wrong_declarations_are_told_once() {
    insta::assert_snapshot!(found(
        "secrets:\n  a: {generate: 32}\n  b: {env: A, file: b}\n  c: {}\n  d: {enf: A}\n  e: {command: []}\n  f: x\n\
         projects: {p: {config: {user.x: \"{{ secret('a') }}{{ secret('d') }}\", user.y: \"{{ secret('aa') }}\"}}}\n"
    ));
    insta::assert_snapshot!(found("secrets: [a]\n"), @r"
    error: `secrets` is a map, and this is a list
     --> site.yaml:2:10
      |
    2 | secrets: [a]
      |          ^
      |
      = help: write NAME: {env: VARIABLE}
    ");
}

#[test]
fn what_is_to_be_generated_must_be_possible() {
    assert_eq!(
        found(
            "secrets: {k: {generate: 32}, ca: {generate: {ca: Us}}, t: {generate: {certificate: [a, 10.0.0.1], signed_by: ca, days: 9}}}\n"
        ),
        ""
    );
    insta::assert_snapshot!(found(
        "secrets:\n  a: {generate: 3}\n  b: {generate: {}}\n  c: {generate: {ca: X, certificate: [y]}}\n  \
         d: {generate: {certificate: [y], signed_by: e}}\n  e: {env: E}\n  f: {generate: 32, env: F}\n  g: {generate: {cert: [y]}}\n"
    ));
}
