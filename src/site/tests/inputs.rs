//! What a platform declares and a site binds.

use super::*;

/// What `{{ v }}` is with this declaration and value.
fn bound(declaration: &str, value: &str) -> String {
    let inputs = if value.is_empty() { String::new() } else { format!("inputs: {{v: {value}}}\n") };
    let profile = x(
        "\"{{ v }} {{ 'boolean' if v is boolean else 'number' if v is number else 'string' if v is string else 'other' }}\"",
    );
    on(&format!("inputs: {{v: {declaration}}}\n{profile}"), &inputs).site(&Options::default()).x()
}

#[test]
fn every_type_takes_its_values() {
    for (declaration, value, expected) in [
        ("{type: string}", "1.10", "1.10 string"),
        ("{type: string, default: abc}", "", "abc string"),
        ("{type: int, min: 1, max: 3}", "3", "3 number"),
        ("{type: bool}", "yes", "True boolean"),
        ("{type: bool, default: false}", "", "False boolean"),
        ("{type: size, min: 1GiB}", "2GiB", "2GiB string"),
        ("{type: duration, max: 2m}", "90s", "90s string"),
        ("{type: list, min: 1}", "[1, 2]", "[1, 2] other"),
        ("{type: map}", "{a: 1}", "{'a': 1} other"),
        ("{type: enum, choices: [small, large]}", "large", "large string"),
        ("{choices: [1, 2], description: one or two}", "2", "2 string"),
        ("{}", "7", "7 number"),
        ("", "7", "7 number"),
    ] {
        assert_eq!(bound(declaration, value), expected, "{declaration} {value}");
    }
}

#[test]
fn a_value_of_another_type_is_told_at_its_place() {
    let platform = "inputs:\n  \
        s: {type: string}\n  i: {type: int, min: 1, max: 9}\n  j: {type: int}\n  b: {type: bool}\n  z: {type: size, min: 1GiB}\n  y: {type: size}\n  \
        d: {type: duration}\n  l: {type: list, max: 1}\n  m: {type: map}\n  e: {type: enum, choices: [small, large]}\n";
    let site = "inputs:\n  s: [x]\n  i: 10\n  j: 2.5\n  b: maybe\n  z: 512MiB\n  y: 1G\n  d: 60\n  l: [1, 2]\n  m: x\n  e: lrge\n";
    insta::assert_snapshot!(found_on(platform, site));
}

#[test]
fn unknown_and_missing_inputs_are_told() {
    insta::assert_snapshot!(found_on(
        "inputs: {api_count: {type: int}, domain: {type: string}}\n",
        "inputs: {api_cuont: 2, colour: red}\n"
    ));
    insta::assert_snapshot!(found_on("inputs: {api_count: {type: int}}\n", ""), @r"
    error: the input `api_count` is missing
     --> site.yaml:2:1
      |
    2 | extends: platform.yaml
      | ^^^^^^^
      |
     ::: platform.yaml:3:10
      |
    3 | inputs: {api_count: {type: int}}
      |          --------- declared here, without a default
      |
      = help: write `inputs: {api_count: …}`
    ");
    insta::assert_snapshot!(found("inputs: {a: 1}\n"), @r"
    error: the platform declares no input `a`
     --> site.yaml:2:10
      |
    2 | inputs: {a: 1}
      |          ^
      |
      = help: a site without `extends` has no inputs; write your own values under `vars`
    ");
}

#[test]
fn wrong_declarations_are_told_and_their_inputs_stay_known() {
    insta::assert_snapshot!(found_on(
        "inputs:\n  a: {type: number}\n  b: {type: enum}\n  c: {type: int, default: x}\n  d: 2\n  e: {type: bool, min: 1}\n  \
           f: {type: int, min: low}\n  g: {type: int, min: 3, max: 2}\n  h: {type: int, defalt: 2}\n  i-j: {type: int}\n\
         profiles: {x: {config: {user.x: \"{{ a }}{{ b }}{{ c }}{{ d }}{{ e }}{{ f }}{{ g }}{{ h }}\"}}}\n",
        "inputs: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8}\n"
    ));
}

#[test]
fn whoever_sets_an_input_it_must_be_of_its_type() {
    let files = on("inputs: {n: {type: int}}\n", "");
    let shown = |value: &str| files.shown(&files.load(&vars(&[("n", value)])));
    assert_eq!(shown("3"), "");
    insta::assert_snapshot!(shown("three"), @r"
    error: the input `n` is a whole number, and this is text `three`
     --> --var n:1:1
      |
    1 | three
      | ^^^^^
      |
     ::: platform.yaml:3:10
      |
    3 | inputs: {n: {type: int}}
      |          - declared here
      |
      = help: write a whole number here
    ");
}
