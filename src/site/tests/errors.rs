//! Errors of whole files: all at once, each at its place.

use super::*;

const BAD: &str = r#"format: 1
site: Acme_1
remote: ""
server_fingerprint: 3f0c
inptus: {a: 1}
roles: []
vars: {api_count: 2, loop: "{{ loop }}"}
secrets: {hmac: {generate: 3}}
networks:
  acmebr0: {type: bridge, config: {ipv4.nat: maybe}}
  acmebr0: {}
profiles:
  acme-base: {config: {limits.memory: 1G, limits.memroy: 1GiB}, devices: {eth0: {type: nic, network: acembr0}}}
images:
  base: {source: {file: a.tar, alias: b}}
instances:
  api_1: {image: base}
  web:
    count: -1
  db:
    image: base
    profils: [acme-base]
    config: {user.a: "{{ api_cuont }}", user.b: "{{ instances.web.ipv4 }}", user.c: "{{ loop }}"}
    ready: [{tcp: 70000}, ipv6]
    snapshots: {schedule: "@daily"}
    ttl: 3d
  cache: {depends_on: [instances.queue]}
  queue: {depends_on: [instances.cache], stop_timeout: 30, state: on}
"#;

#[test]
fn a_dozen_mistakes_are_all_shown_at_once() {
    insta::assert_snapshot!(files(&[("site.yaml", BAD)]).found());
}

fn of(text: &str) -> String {
    files(&[("site.yaml", text)]).found()
}

#[test]
fn files_that_are_no_site() {
    insta::assert_snapshot!(of(""), @r"
    error: `site` is missing
     --> site.yaml:1:1
      |
    1 |
      | ^
      |
      = help: add `site: NAME`: the owner stamped on every object
    ");
    insta::assert_snapshot!(of("# a comment\n"), @r"
    error: `site` is missing
     --> site.yaml:1:1
      |
    1 | # a comment
      | ^
      |
      = help: add `site: NAME`: the owner stamped on every object
    ");
    insta::assert_snapshot!(of("[a, b]\n"), @r"
    error: a site file is a map, and this is a list
     --> site.yaml:1:1
      |
    1 | [a, b]
      | ^
      |
      = help: it starts with `site: NAME`
    ");
    insta::assert_snapshot!(of("just text\n"), @r"
    error: a site file is a map, and this is text
     --> site.yaml:1:1
      |
    1 | just text
      | ^^^^^^^^^
      |
      = help: it starts with `site: NAME`
    ");
    insta::assert_snapshot!(of("site: acme\n---\nsite: b\n"), @r"
    error: a second document begins here
     --> site.yaml:2:1
      |
    2 | ---
      | ^^^
      |
      = help: one file holds one document: take the `---` away
    ");
}

#[test]
fn files_that_are_not_there_or_no_text() {
    let files = files(&[("other", "")]);
    insta::assert_snapshot!(files.found(), @r"
    error: cannot read site.yaml: No such file or directory (os error 2)
     |
     = help: check the path; a relative one belongs to the file in which it stands
    ");
    std::fs::create_dir(files.path("site.yaml")).unwrap();
    insta::assert_snapshot!(files.found(), @r"
    error: cannot read site.yaml: Is a directory (os error 21)
     |
     = help: name a YAML file
    ");
    std::fs::remove_dir(files.path("site.yaml")).unwrap();
    std::fs::write(files.path("site.yaml"), b"site: acme\nvars: {\xc3\xa4: 1, b: caf\xe9}\nmore: x\n").unwrap();
    insta::assert_snapshot!(files.found(), @r"
    error: this byte is no UTF-8
     --> site.yaml:2:20
      |
    2 | vars: {ä: 1, b: caf�}
      |                    ^
      |
      = help: save the file as UTF-8 (`iconv -f latin1 -t utf-8` turns an old one into it)
    ");
}

#[test]
fn formats_that_are_not_this_one() {
    insta::assert_snapshot!(of("format: 2\nsite: acme\nnew_section: {}\n"), @r"
    error: this file has format 2, and lxdeploy 0.1.0 reads format 1
     --> site.yaml:1:9
      |
    1 | format: 2
      |         ^
      |
      = help: install a newer lxdeploy, one that reads format 2
    ");
    insta::assert_snapshot!(of("format: 0\nsite: acme\n"), @r"
    error: there is no format 0
     --> site.yaml:1:9
      |
    1 | format: 0
      |         ^
      |
      = help: write `format: 1`, or take it away
    ");
    insta::assert_snapshot!(of("format: one\nsite: acme\n"), @r"
    error: `format` is a whole number, and this is text `one`
     --> site.yaml:1:9
      |
    1 | format: one
      |         ^^^
      |
      = help: write `format: 1`, or take it away
    ");
}

#[test]
fn yaml_that_is_none() {
    insta::assert_snapshot!(of("site: acme\nvars:\n\ta: 1\n"), @r"
    error: not YAML: tabs disallowed within this context (block indentation)
     --> site.yaml:3:2
      |
    3 |     a: 1
      |     ^
      |
      = help: indent with spaces: YAML takes no tabs there
    ");
    insta::assert_snapshot!(of("site: acme\nvars: {a: 1\nprofiles: {}\n"), @r"
    error: not YAML: while parsing a flow mapping, did not find expected ',' or '}'
     --> site.yaml:3:9
      |
    3 | profiles: {}
      |         ^
      |
      = help: look at the indentation here and in the line before, and at brackets that are not closed
    ");
    insta::assert_snapshot!(of("site: \"acme\nvars: {}\n"), @r#"
    error: not YAML: unclosed quote
     --> site.yaml:1:7
      |
    1 | site: "acme
      |       ^
      |
      = help: a quote is opened and not closed
    "#);
    insta::assert_snapshot!(of("site: acme\n  vars: {}\n"), @r"
    error: not YAML: mapping values are not allowed in this context
     --> site.yaml:2:7
      |
    2 |   vars: {}
      |       ^
      |
      = help: look at the indentation here and in the line before, and at brackets that are not closed
    ");
    insta::assert_snapshot!(of("site: acme\nvars: {a: *b}\n"), @r"
    error: there is no anchor `&b` before this alias
     --> site.yaml:2:11
      |
    2 | vars: {a: *b}
      |           ^^
      |
      = help: set the anchor first, or put the text in quotes if it is meant to start with `*`
    ");
    insta::assert_snapshot!(of("site: acme\nvars: {<<: 3, a: 1}\n"), @r"
    error: `<<` merges maps, and this is a number `3`
     --> site.yaml:2:8
      |
    2 | vars: {<<: 3, a: 1}
      |        ^^
      |
      = help: write `<<: *ANCHOR` of a map
    ");
    insta::assert_snapshot!(of("site: acme\nvars:\n  ? [a]\n  : b\n"), @r#"
    error: a key is text, and this is a list
     --> site.yaml:3:5
      |
    3 |   ? [a]
      |     ^
      |
      = help: if this is a template, put it in quotes: "{{ … }}"
    "#);
}

#[test]
fn a_key_that_is_there_twice_is_told_at_the_second() {
    insta::assert_snapshot!(of("site: acme\nvars: {a: 1}\nprofiles:\n  x: {config: {user.a: 1, user.a: 2}}\nvars: {b: 2}\n"), @r"
    error: `user.a` is there twice
     --> site.yaml:4:27
      |
    4 |   x: {config: {user.a: 1, user.a: 2}}
      |                ------     ^^^^^^
      |                |
      |                first here
      |
      = help: a key stands once in a map; take one of them away

    error: `vars` is there twice
     --> site.yaml:5:1
      |
    2 | vars: {a: 1}
      | ---- first here
    ...
    5 | vars: {b: 2}
      | ^^^^
      |
      = help: a key stands once in a map; take one of them away
    ");
}

#[test]
fn an_alias_bomb_and_a_deep_nest_are_refused() {
    use std::fmt::Write;
    let mut bomb = String::from("site: acme\nvars:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        writeln!(bomb, "  a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 10].join(",")).unwrap();
    }
    insta::assert_snapshot!(of(&bomb), @r"
    error: the aliases of this file multiply beyond all measure
     --> site.yaml:9:12
      |
    9 |   a6: &a6 [*a5,*a5,*a5,*a5,*a5,*a5,*a5,*a5,*a5,*a5]
      |            ^^^
      |
      = help: aliases of aliases of aliases: write the values out, or use templates
    ");
    let mut tower = String::from("site: acme\nvars:\n  a0: &a0 [x]\n");
    for level in 1..1000 {
        writeln!(tower, "  a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    insta::assert_snapshot!(of(&tower), @r"
    error: lists and maps lie more than 200 deep in each other here
       --> site.yaml:201:15
        |
    201 |   a198: &a198 [*a197]
        |               ^
        |
        = help: write it flatter
    ");
    assert!(of(&format!("site: acme\nvars: {}{}\n", "[".repeat(100_000), "]".repeat(100_000))).contains("error"));
    assert!(of(&format!("site: acme\nvars:\n{}", "- ".repeat(20_000))).contains("error"));
}

#[test]
fn names_of_sites() {
    assert_eq!(of("site: ab-1\n"), "");
    insta::assert_snapshot!(of("site: a\n"), @r"
    error: this site's name has 1 characters
     --> site.yaml:1:7
      |
    1 | site: a
      |       ^
      |
      = help: a site's name has 2 to 32 characters of a-z, 0-9 and `-`
    ");
    insta::assert_snapshot!(of("site: Ac me\n"), @r"
    error: a site's name holds no 'A'
     --> site.yaml:1:7
      |
    1 | site: Ac me
      |       ^^^^^
      |
      = help: a site's name has 2 to 32 characters of a-z, 0-9 and `-`
    ");
    insta::assert_snapshot!(of("site: [x]\n"), @r"
    error: `site` is text, and this is a list
     --> site.yaml:1:7
      |
    1 | site: [x]
      |       ^
      |
      = help: write a name here
    ");
    insta::assert_snapshot!(of(&format!("site: {}\n", "a".repeat(33))), @r"
    error: this site's name has 33 characters
     --> site.yaml:1:7
      |
    1 | site: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: a site's name has 2 to 32 characters of a-z, 0-9 and `-`
    ");
    insta::assert_snapshot!(of("remote: local\n"), @r"
    error: `site` is missing
     --> site.yaml:1:1
      |
    1 | remote: local
      | ^
      |
      = help: add `site: NAME`: the owner stamped on every object
    ");
    insta::assert_snapshot!(of("site: ok\nproject: a b\nrelease: 1\nremote: a b\n"), @r"
    error: LXD would refuse the project `a b`: project names hold no ' '
     --> site.yaml:2:10
      |
    2 | project: a b
      |          ^^^
      |
      = help: write another name

    error: a site has no `release`
     --> site.yaml:3:1
      |
    3 | release: 1
      | ^^^^^^^
      |
      = help: it belongs into the platform file

    error: `a b` is no remote
     --> site.yaml:4:9
      |
    4 | remote: a b
      |         ^^^
      |
      = help: write a remote's name, https://host:8443, unix:/path or local
    ");
}

#[test]
fn reserved_words_are_errors_that_say_so() {
    let words = ["outputs", "network_forwards", "network_zones", "snapshots", "ttl"];
    let top: String = words.iter().map(|word| format!("{word}: x\n")).collect();
    let shown = of(&format!(
        "site: acme\n{top}instances: {{a: {{snapshots: 1, ttl: 2, stat: x}}}}\nstorage_volumes: {{v: {{pool: p, snapshots: 1}}}}\n"
    ));
    assert_eq!(shown.matches("is reserved and does not exist yet").count(), words.len() + 3);
    assert!(shown.contains("there is no `stat` here"), "what else is wrong is told too");
    insta::assert_snapshot!(of("site: acme\noutputs: []\n"), @r"
    error: `outputs` is reserved and does not exist yet in lxdeploy 0.1.0
     --> site.yaml:2:1
      |
    2 | outputs: []
      | ^^^^^^^
      |
      = help: take it away until a later lxdeploy brings it
    ");
}

#[test]
fn sections_and_objects_of_the_wrong_shape() {
    insta::assert_snapshot!(of("site: acme\nprofile: {}\nfoo: 1\nprofiles: [a]\nnetworks: {a: b, c: [d]}\nvars: 3\nvars_files: x\n"), @r"
    error: there is no section `profile`
     --> site.yaml:2:1
      |
    2 | profile: {}
      | ^^^^^^^
      |
      = help: did you mean `profiles`?

    error: there is no section `foo`
     --> site.yaml:3:1
      |
    3 | foo: 1
      | ^^^
      |
      = help: sections are projects, storage_pools, storage_volumes, network_acls, networks, profiles, images, instances

    error: `profiles` is a map of names, and this is a list
     --> site.yaml:4:11
      |
    4 | profiles: [a]
      |           ^
      |
      = help: write `NAME: {…}` under `profiles:`

    error: the network `a` is a map, and this is text `b`
     --> site.yaml:5:15
      |
    5 | networks: {a: b, c: [d]}
      |               ^
      |
      = help: write `{}` for one without keys

    error: the network `c` is a map, and this is a list
     --> site.yaml:5:21
      |
    5 | networks: {a: b, c: [d]}
      |                     ^
      |
      = help: write `{}` for one without keys

    error: `vars` is a map, and this is a number
     --> site.yaml:6:7
      |
    6 | vars: 3
      |       ^
      |
      = help: write NAME: VALUE

    error: a list is wanted, and this is text `x`
     --> site.yaml:7:13
      |
    7 | vars_files: x
      |             ^
      |
      = help: write [x], or one line with `- ` for each
    ");
}
