use std::collections::BTreeMap;
use std::rc::Rc;

use super::*;
use crate::template::Value;

struct Fixed(BTreeMap<&'static str, Variable>);

impl Scope for Fixed {
    fn variable(&self, name: &str) -> Option<Variable> {
        self.0.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().map(|name| (*name).to_owned()).collect()
    }
}

fn scope() -> Rc<dyn Scope> {
    let raw = |value: Value| Variable::Raw(value);
    let variables = [
        ("a", raw(Value::from(1))),
        ("name", raw(Value::from("api"))),
        ("greeting", raw(Value::from("hello {{ name }}"))),
        (
            "nested",
            raw(crate::template::map([
                ("x", Value::from("{{ greeting }}!")),
                ("list", Value::from(vec!["{{ a }}", "b"])),
            ])),
        ),
        ("loop_a", raw(Value::from("{{ loop_b }}"))),
        ("loop_b", raw(Value::from("{{ loop_a }}"))),
        ("fact", Variable::Final(Value::from("{{ not a template }}"))),
        ("later", Variable::Unknown("what `command` prints".into())),
        (
            "part",
            Variable::Final(super::partly(
                [("changed".to_owned(), Value::from(true))].into(),
                [("packages".to_owned(), "what comes".to_owned())].into(),
                Some("what it says".into()),
            )),
        ),
        ("list", raw(Value::from(vec![3, 1, 2]))),
        ("text", raw(Value::from("x"))),
    ];
    Rc::new(Fixed(variables.into_iter().collect()))
}

fn run(text: &str) -> Result<Value, Error> {
    Engine::new().render(text, &scope())
}

fn shown(text: &str) -> String {
    super::text(&run(text).unwrap_or_else(|error| panic!("{text}: {error:?}")))
}

#[test]
fn variables_are_lazy_and_nested() {
    assert_eq!(shown("{{ greeting }}"), "hello api");
    assert_eq!(shown("{{ nested.x }} {{ nested.list }}"), "hello api! [1, 'b']");
    assert_eq!(shown("{{ fact }}"), "{{ not a template }}");
    assert_eq!(run("{{ a }}").unwrap(), Value::from(1));
    assert!(run("{{ loop_a }}").unwrap_err().message.contains("recursive loop"), "{:?}", run("{{ loop_a }}"));
}

#[test]
fn what_is_not_known_travels_unless_it_is_not_needed() {
    assert_eq!(run("{{ later }}").unwrap_err().kind, ErrorKind::Unknown);
    assert_eq!(run("x{{ later.stdout | default('') }}").unwrap_err().kind, ErrorKind::Unknown);
    let condition = |text: &str| Engine::new().condition(&Value::from(text), &scope());
    assert_eq!(condition("a == 2 and later.rc == 0"), Ok(false));
    assert_eq!(condition("a == 1 and later.rc == 0").unwrap_err().kind, ErrorKind::Unknown);
}

#[test]
fn of_some_things_a_part_is_known() {
    assert_eq!(run("{{ part.changed }}").unwrap(), Value::from(true));
    assert_eq!(Engine::new().condition(&Value::from("part is changed"), &scope()), Ok(true));
    let unknown = |text: &str| run(text).map_err(|error| (error.kind, error.message));
    assert_eq!(unknown("{{ part.packages }}"), Err((ErrorKind::Unknown, "what comes".into())));
    assert_eq!(unknown("{{ part.stdout | default('') }}"), Err((ErrorKind::Unknown, "what it says".into())));
    assert_eq!(run("{{ part | length }}").unwrap_err().kind, ErrorKind::Unknown);
}

#[test]
fn undefined_names_are_named() {
    let error = run("{{ nosuch }}").unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Undefined, "'nosuch' is undefined"));
    assert_eq!(run("{{ nested.nosuch }}").unwrap_err().kind, ErrorKind::Undefined);
    let within = Value::from(vec![crate::template::map([("name", "{{ a }} {{ nosuch.b }}")])]);
    assert_eq!(Engine::new().render_value(&within, &scope()).unwrap_err().message, "'nosuch' is undefined");
    assert_eq!(shown("{{ nosuch.deep.er | default('d') }}"), "d");
    assert_eq!(shown("{{ nested.no.pe is defined }}"), "False");
    assert_eq!(shown("{{ omit is defined }}"), "True");
}

#[test]
fn filters_as_ansible_has_them() {
    for (template, wanted) in [
        ("{{ [1, true, none, \"a'b\", 1.0] }}", "[1, True, None, \"a'b\", 1.0]"),
        ("{{ {'b': 1, 'a': [2]} }}", "{'b': 1, 'a': [2]}"),
        ("{{ {'b': 1, 'a': [2]} | to_json }}", "{\"b\": 1, \"a\": [2]}"),
        ("{{ {'b': 1, 'a': [2]} | to_nice_json }}", "{\n    \"a\": [\n        2\n    ],\n    \"b\": 1\n}"),
        ("{{ {'b': 1, 'a': [2]} | to_nice_yaml }}", "a:\n- 2\nb: 1\n"),
        ("{{ 'abc' | regex_replace('(b)', '<\\1>') }}", "a<b>c"),
        ("{{ 'abc' | regex_search('b(c)', '\\1') }}", "['c']"),
        ("{{ 'a1b2' | regex_findall('[0-9]') }}", "['1', '2']"),
        ("{{ {'a': 1} | combine({'b': 2}) | dict2items }}", "[{'key': 'a', 'value': 1}, {'key': 'b', 'value': 2}]"),
        ("{{ '1.10' is version('1.9', '>') }}", "True"),
        ("{{ [1,[2,[3]]] | flatten }}", "[1, 2, 3]"),
        ("{{ 'x' | b64encode | b64decode }}", "x"),
        ("{{ 'test' | hash('md5') }}", "098f6bcd4621d373cade4e832627b4f6"),
        (
            "{{ 'p' | password_hash('sha512', 'saltsalt', rounds=5000) }}",
            "$6$saltsalt$T8zzampJcN172f1r0kNFFiQGdtFquc5jnzebqomQxxdUNGG69JTP0XFkH2sFbHn4FG4SGRFsmj2vnmTApt5fI/",
        ),
        ("{{ '/a/b.c' | basename | splitext }}", "['b', '.c']"),
        ("{{ 'a b' | quote }}", "'a b'"),
        ("{{ 'yes' | bool }}", "True"),
        ("{{ '%s-%02d' | format('a', 5) }}", "a-05"),
        ("{{ 'a,b'.split(',') }}", "['a', 'b']"),
        ("{{ [3,1,2] | sort }}", "[1, 2, 3]"),
        ("{{ 'a' | ansible.builtin.default('b') }}", "a"),
        ("{{ '10.0.0.5/24' | ipaddr('network') }}", "10.0.0.0"),
        ("{% for i in [1,2] %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}", "1,2"),
        ("{{ lookup('dict', {'a': 1}) }}", "{'key': 'a', 'value': 1}"),
        ("{{ query('sequence', 'start=1 end=3 format=n%02d') }}", "['n01', 'n02', 'n03']"),
        ("{{ 'hi' | comment }}", "#\n# hi\n#"),
        ("{{ 90061 | string | length }}", "5"),
        ("{{ '{{' }}", "{{"),
    ] {
        assert_eq!(shown(template), wanted, "{template}");
    }
}

#[test]
fn template_files_render_byte_for_byte() {
    let source = "# {{ name }}\n{% for i in list %}\n  - {{ i }}\n{% endfor %}\n{% if false %}\nno\n{% endif %}\nend\n";
    let text = Engine::new().template("x.j2", source, &Options::default(), &scope()).unwrap();
    assert_eq!(text, "# api\n  - 3\n  - 1\n  - 2\nend\n");
    let error = Engine::new().template("x.j2", "a\nb {{ nosuch }}\n", &Options::default(), &scope()).unwrap_err();
    assert_eq!((error.kind, error.line), (ErrorKind::Undefined, Some(2)));
    let options = Options { lstrip_blocks: true, ..Options::default() };
    assert_eq!(
        Engine::new().template("x", "a\n   {% if true %}\nb\n   {% endif %}\n", &options, &scope()).unwrap(),
        "a\nb\n"
    );
    assert_eq!(
        Engine::new()
            .template("x", "#jinja2: trim_blocks: False\n{% if true %}\nb{% endif %}\n", &Options::default(), &scope())
            .unwrap(),
        "\nb\n"
    );
}
