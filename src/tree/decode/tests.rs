use super::super::{Raw, Settings, Spanned, Text, parse};
use super::*;
use crate::model::FileId;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Thing {
    count: Spanned<u16>,
    #[serde(default)]
    config: Settings,
    mode: Option<Mode>,
    list: Option<Vec<Spanned<String>>>,
    extra: Option<Raw>,
    on: Option<bool>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Fast,
    VerySlow,
}

fn run(text: &str) -> (Option<Thing>, Vec<String>) {
    let mut out = vec![];
    let node = parse(FileId(0), text, &mut out).unwrap();
    let thing = decode(&node, &["depends_on"], &mut out);
    let line = |diagnostic: &Diagnostic| {
        let span = diagnostic.span.unwrap();
        format!(
            "{}:{} {} ({})",
            span.line,
            span.column,
            diagnostic.message,
            diagnostic.help.as_deref().unwrap_or_default()
        )
    };
    (thing, out.iter().map(line).collect())
}

#[test]
fn what_is_right_is_read_with_its_place() {
    let (thing, errors) =
        run("count: 3\nconfig: {a: true, b: 0644}\nmode: very-slow\nlist: [x, 2]\nextra: {k: [1]}\non: yes\n");
    assert_eq!(errors, Vec::<String>::new());
    let thing = thing.unwrap();
    assert_eq!((thing.count.value, thing.count.span.column, thing.mode), (3, 8, Some(Mode::VerySlow)));
    assert_eq!(thing.config.0[1].1.value, Text("0644".into()));
    assert_eq!((thing.config.0[1].0.value.as_str(), thing.config.0[1].0.span.column), ("b", 19));
    assert_eq!(thing.list.unwrap()[1].value, "2");
    assert_eq!(thing.extra.unwrap().0.get("k").unwrap().items().len(), 1);
    assert_eq!(thing.on, Some(true));
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let (thing, errors) = run("count: two\nconfg: {}\nmode: fats\nlist: [[1], x]\ndepends-on: []\non: maybe\n");
    assert!(thing.is_none());
    insta::assert_snapshot!(errors.join("\n"), @r"
    1:8 a whole number is wanted, and this is text `two` (write a whole number here)
    2:1 there is no `confg` here (did you mean `config`?)
    3:7 `fats` is not known here (did you mean `fast`? It is one of fast, very-slow)
    4:8 text is wanted, and this is a list (write text here)
    5:1 there is no `depends-on` here (did you mean `depends_on`?)
    6:5 true or false is wanted, and this is text `maybe` (write true or false here)
    ");
}

#[test]
fn out_of_range_missing_and_quoted() {
    assert_eq!(run("count: -1\n").1, ["1:8 -1 is out of range (a number from 0 on is wanted)"]);
    assert_eq!(run("mode: fast\n").1, ["1:1 `count` is missing (add `count:`)"]);
    assert_eq!(run("count: '3'\n").1, ["1:8 a whole number is wanted, and this is text `3` (take the quotes away)"]);
    assert_eq!(run("count: 1\nconfig: {a: [1]}\n").1, ["2:13 text is wanted, and this is a list (write text here)"]);
    assert_eq!(
        run("count: 1\nlist: x\n").1,
        ["2:7 a list is wanted, and this is text `x` (write [x], or one line with `- ` for each)"]
    );
}
