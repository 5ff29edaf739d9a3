//! Whatever is written, loading ends, without a panic, and says what is wrong.

use proptest::prelude::*;

use super::*;
use crate::kinds;

fn word() -> impl Strategy<Value = String> {
    let words = [
        "name",
        "project",
        "enabled",
        "count",
        "for_each",
        "depends_on",
        "external",
        "protect",
        "config",
        "devices",
        "image",
        "profiles",
        "ready",
        "tcp",
        "http",
        "exec",
        "timeout",
        "type",
        "source",
        "file",
        "files",
        "server",
        "alias",
        "ingress",
        "egress",
        "action",
        "pool",
        "driver",
        "members",
        "size",
        "path",
        "/",
        "limits.memory",
        "user.x",
        "default",
        "min",
        "choices",
        "env",
        "command",
        "generate",
        "a",
        "b",
        "a-1",
        "<<",
        "",
    ];
    prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "[a-z.-]{0,6}"]
}

fn scalar() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<i32>().prop_map(|n| (n % 100).into()),
        any::<bool>().prop_map(Into::into),
        Just(serde_json::Value::Null),
        any::<f64>().prop_map(|n| serde_json::json!(n)),
        word().prop_map(Into::into),
        prop::sample::select(vec![
            "instances.a",
            "{{ a }}",
            "{{ b }}",
            "{{ index }}",
            "{{ secret('a') }}",
            "{{ [a] }}",
            "x{{ name }}",
            "1GiB",
            "30s",
            "{% raw %}{{ {% endraw %}",
            "{{",
            "%}",
        ])
        .prop_map(Into::into),
    ]
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            3 => prop::collection::vec((word(), inner), 0..4).prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let mut keys = vec![
        "site",
        "remote",
        "project",
        "inputs",
        "vars",
        "vars_files",
        "secrets",
        "format",
        "server_fingerprint",
        "extends",
        "roles",
    ];
    keys.extend(kinds::all().iter().map(|kind| kind.section()));
    prop::sample::select(keys).prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let section = prop::collection::vec((word(), tree()), 0..4)
        .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect()));
    prop::collection::vec((key(), prop_oneof![1 => tree(), 4 => section]), 0..8).prop_map(|entries| {
        let mut map: serde_json::Map<_, _> = entries.into_iter().collect();
        map.insert("site".into(), "acme".into());
        serde_json::Value::Object(map)
    })
}

/// Loads, renders, and holds what must hold of whatever was loaded.
fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().unwrap();
    let loaded = load_bytes(directory.path(), bytes);
    let text = report::diagnostics::render(&loaded.diagnostics, &loaded.sources, false);
    prop_assert_eq!(loaded.site.is_none(), loaded.diagnostics.iter().any(crate::diagnostic::Diagnostic::is_error));
    for diagnostic in &loaded.diagnostics {
        prop_assert!(diagnostic.help.is_some(), "no remedy: {}", text);
        if let Some(span) = diagnostic.span {
            let place = format!(":{}:{}", span.line, span.column);
            prop_assert!(text.contains(&place), "{} is not in {}", place, text);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        holds(&bytes)?;
    }

    #[test]
    fn any_text(text in "(site: a\n)?[a-z:{}\\[\\]&*!|>'\"%#,\\- \n\t~<0-9\u{e4}\u{1f600}]{0,120}") {
        holds(text.as_bytes())?;
    }

    #[test]
    fn any_tree_under_the_sections(document in document()) {
        holds(document.to_string().as_bytes())?;
    }

    #[test]
    fn any_template(text in "[{}%# a-z.|()'\"0-9+*~\\[\\]:,-]{0,60}") {
        let value = serde_json::Value::from(text);
        holds(format!("site: acme\nvars: {{a: {value}, b: 1}}\nprofiles: {{x: {{config: {{user.x: {value}}}, description: \"{{{{ a }}}}\"}}}}\n").as_bytes())?;
    }
}
