//! Variables and which of them is stronger.

use super::*;

/// Seven places that set a variable, the weakest first.
fn places(count: usize) -> (Files, Options) {
    let on = |place: usize, text: &str| if place < count { text.to_owned() } else { String::new() };
    let platform = format!(
        "inputs: {{{}}}\n{}{}profiles: {{x: {{config: {{user.x: \"{{{{ v }}}}\"}}}}}}\n",
        on(2, "v: {default: 2-default}"),
        on(0, "vars: {v: 0}\n"),
        on(1, "vars_files: [platform-vars.yaml]\n"),
    );
    let site =
        format!("{}{}{}", on(3, "inputs: {v: 3}\n"), on(4, "vars: {v: 4}\n"), on(5, "vars_files: [sub/vars.yaml]\n"));
    let files = on_with(&platform, &site);
    let options = Options {
        vars_files: if count > 6 { vec![files.path("command-line.yaml")] } else { vec![] },
        ..if count > 7 { vars(&[("v", "7")]) } else { Options::default() }
    };
    (files, options)
}

fn on_with(platform: &str, site: &str) -> Files {
    let files = on(platform, site);
    for (name, value) in [("platform-vars.yaml", "1"), ("sub/vars.yaml", "5"), ("command-line.yaml", "6")] {
        std::fs::create_dir_all(files.path("sub")).unwrap();
        std::fs::write(files.path(name), format!("v: {value}\n")).unwrap();
    }
    files
}

#[test]
fn the_strongest_is_the_command_line_and_the_weakest_the_platform() {
    for (count, expected) in [(1, "0"), (2, "1"), (3, "2-default"), (4, "3"), (5, "4"), (6, "5"), (7, "6"), (8, "7")] {
        let (files, options) = places(count);
        assert_eq!(files.site(&options).x(), expected, "{count} places");
    }
}

#[test]
fn variables_refer_to_variables_wherever_they_are_set() {
    let site = on(
        "inputs: {url: {default: \"http://{{ host }}/\"}}\nvars: {host: platform}\nprofiles: {x: {config: {user.x: \"{{ url }}\"}}}\n",
        "vars: {host: \"{{ name }}.example\", name: api}\n",
    );
    assert_eq!(site.site(&Options::default()).x(), "http://api.example/");
    assert_eq!(site.site(&vars(&[("name", "web")])).x(), "http://web.example/");
}

#[test]
fn an_input_may_be_bound_to_the_sites_own_variables() {
    let files = on(
        "inputs: {n: {type: int}}\ninstances: {api: {count: \"{{ n }}\"}}\n",
        "inputs: {n: \"{{ many }}\"}\nvars: {many: 3}\n",
    );
    assert_eq!(files.site(&Options::default()).objects.len(), 3);
}

#[test]
fn var_is_read_as_yaml() {
    let text = |value: &str| {
        let files = one(&x(
            "\"{% if v is none %}none{% elif v is mapping %}mapping{% else %}{{ 'string' if v is string else 'number' }} {{ v }}{% endif %}\"",
        ));
        files.site(&vars(&[("v", value)])).x()
    };
    for (value, expected) in [
        ("2", "number 2"),
        ("'2'", "string 2"),
        ("a: b", "mapping"),
        ("", "string "),
        ("null", "none"),
        ("~", "none"),
        ("a=b", "string a=b"),
    ] {
        assert_eq!(text(value), expected, "{value}");
    }
}

#[test]
fn names_files_and_values_of_variables_that_are_wrong() {
    let files = on(
        "vars: [1]\n",
        "vars: {a-b: 1, 1a: 2, ok: \"{{ no }}\"}\nvars_files: [gone.yaml, list.yaml]\n\
         profiles: {x: {config: {user.x: \"{{ ok }} {{ may_be_in_gone }}\"}}}\n",
    );
    std::fs::write(files.path("list.yaml"), "[1, 2]\n").unwrap();
    let loaded = files.load(&vars(&[("a b", "1"), ("c", "[1")]));
    insta::assert_snapshot!(files.shown(&loaded));
}

#[test]
fn a_circle_of_variables_is_told_with_its_path() {
    insta::assert_snapshot!(found(&format!(
        "vars: {{a: \"{{{{ b }}}}\", b: \"x{{{{ c }}}}\", c: [\"{{{{ b }}}}\"], d: \"{{{{ d }}}}\"}}\n{}",
        x("\"{{ a }} {{ d }}\"")
    )));
}

#[test]
fn a_long_chain_of_variables_ends_with_an_error() {
    use std::fmt::Write;
    let mut text = String::from("vars:\n  v0: 1\n");
    for i in 1..5000 {
        writeln!(text, "  v{i}: \"{{{{ v{} }}}}\"", i - 1).unwrap();
    }
    assert_eq!(site(&format!("{text}{}", x("\"{{ v30 }}\""))).x(), "1");
    assert!(found(&format!("{text}{}", x("\"{{ v4999 }}\""))).contains("more than 40 deep"));
}
