//! Encrypted files of variables, `!vault` values, and what is `!unsafe`.

use std::rc::Rc;

use super::*;
use crate::secrets::{Keys, age, vault};

/// Options that decrypt what `password` encrypted.
fn keys(files: &Files, password: &str) -> Options {
    std::fs::write(files.path("pw"), password).unwrap();
    let vault = vec![files.path("pw").to_str().unwrap().parse().unwrap()];
    Options { keys: Rc::new(Keys::new(vault, vec![], None)), ..Options::default() }
}

const USES: &str = "site: acme\nvars_files: [secret.yaml]\n\
    projects: {p: {config: {user.a: \"{{ db_password }}\", user.l: \"{{ list[1] }}\", user.o: open}}}\n";

fn sensitive(site: &Site) -> Vec<String> {
    let fields = &site.object("projects.p").fields;
    fields.iter().filter(|(_, wanted)| wanted.sensitive).map(|(path, _)| path.to_string()).collect()
}

#[test]
fn all_of_an_encrypted_file_is_secret() {
    let text = include_str!("../../secrets/fixtures/vault-1.1.yml");
    let files = files(&[("site.yaml", USES), ("secret.yaml", text)]);
    let loaded = files.load(&keys(&files, "test-password"));
    assert!(loaded.diagnostics.is_empty(), "{}", files.shown(&loaded));
    assert_eq!(loaded.masker.mask("hunter2-from-vault, two words"), "(sensitive), (sensitive)");
    assert!(loaded.sources.paths().any(|path| path.ends_with("secret.yaml")));
    let site = loaded.site.unwrap();
    assert_eq!(site.config("projects.p", "user.a").unwrap(), "hunter2-from-vault");
    assert_eq!(sensitive(&site), ["config.user.a", "config.user.l"]);
}

#[test]
fn an_age_file_is_read_with_its_identity() {
    let (identity, recipient) = age::generate();
    let text = age::encrypt(b"db_password: hunter2-from-age\nlist: [1, 2]\n", &[recipient]).unwrap();
    let files = files(&[("site.yaml", USES), ("secret.yaml", std::str::from_utf8(&text).unwrap()), ("key", &identity)]);
    let keys = Rc::new(Keys::new(vec![], vec![files.path("key")], None));
    let site = files.load(&Options { keys, ..Options::default() }).site.unwrap();
    assert_eq!(site.config("projects.p", "user.a").unwrap(), "hunter2-from-age");
}

#[test]
fn a_wrong_password_is_told_where_the_file_is_named() {
    let text = include_str!("../../secrets/fixtures/vault-1.1.yml");
    let files = files(&[("site.yaml", USES), ("secret.yaml", text)]);
    let loaded = files.load(&keys(&files, "another"));
    let shown = files.shown(&loaded);
    assert!(
        shown.contains("cannot decrypt secret.yaml: no vault password at hand") && shown.contains("site.yaml:2:14"),
        "{shown}"
    );
    assert!(loaded.site.is_none() && loaded.diagnostics.len() == 1);
}

#[test]
fn an_error_in_an_encrypted_file_shows_nothing_of_it() {
    let text = vault::encrypt(b"db_password: pw1\n1bad: pw2\nlist: [1, 2]\n", b"pw", None).unwrap();
    let files = files(&[("site.yaml", USES), ("secret.yaml", &text)]);
    let shown = files.shown(&files.load(&keys(&files, "pw")));
    assert!(shown.contains("secret.yaml:2:1") && shown.contains("**") && !shown.contains("pw2"), "{shown}");
}

#[test]
fn validate_needs_no_key() {
    let text = include_str!("../../secrets/fixtures/vault-1.1.yml");
    let files = files(&[("site.yaml", USES), ("secret.yaml", text)]);
    let loaded = files.load(&Options { secrets: SecretMode::Placeholder, ..Options::default() });
    assert!(loaded.diagnostics.is_empty(), "{}", files.shown(&loaded));
    assert_eq!(loaded.site.unwrap().config("projects.p", "user.a").unwrap(), "(secret)");
}

#[test]
fn a_vault_value_is_secret_and_an_unsafe_one_is_no_template() {
    let text = vault::encrypt(b"hush-{{ x }}", b"pw", None).unwrap().replace('\n', "\n    ");
    let site = format!(
        "site: acme\nvars:\n  token: !vault |\n    {text}\n  raw: !unsafe '{{{{ nobody }}}}'\n\
         projects: {{p: {{config: {{user.t: \"t={{{{ token }}}}\", user.r: \"{{{{ raw }}}}\", user.d: !unsafe '{{{{ ds }}}}'}}}}}}\n"
    );
    let files = files(&[("site.yaml", &site)]);
    let loaded = files.load(&keys(&files, "pw"));
    assert!(loaded.diagnostics.is_empty(), "{}", files.shown(&loaded));
    assert_eq!(loaded.masker.mask("hush-{{ x }}"), "(sensitive)");
    let site = loaded.site.unwrap();
    let config = |key: &str| site.config("projects.p", key).unwrap();
    assert_eq!([config("user.t"), config("user.r"), config("user.d")], ["t=hush-{{ x }}", "{{ nobody }}", "{{ ds }}"]);
    assert_eq!(sensitive(&site), ["config.user.t"]);
    let wrong = files.shown(&files.load(&keys(&files, "wrong")));
    assert!(wrong.contains("this value cannot be decrypted") && wrong.contains("site.yaml:4:5"), "{wrong}");
}
