//! What a reviewer sees under a pull request.

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::model::{Address, FileId, Id, Path, Span};
use crate::plan::{Note, Reason};

fn change(action: Action, address: &str, diff: Vec<FieldDiff>) -> Change {
    let address: Address = address.parse().unwrap();
    let id = Id { project: "acme".into(), pool: None, name: address.key.clone() };
    let reason = match action {
        Action::Delete => Reason { code: "removed-from-site", text: "no longer in the site".into() },
        Action::Replace => Reason { code: "changed", text: "type: an instance's type is fixed when it is made".into() },
        _ => Reason { code: "changed", text: "changed".into() },
    };
    Change { address, noun: "instance", id, action, reason, drift: false, affects: vec![], diff }
}

fn config(key: &str, before: Option<&str>, after: Option<&str>) -> FieldDiff {
    FieldDiff::new(Path::config(key), before.map(Value::from), after.map(Value::from))
}

fn plan_of(changes: Vec<Change>) -> Plan {
    Plan { site: "acme".into(), project: "acme".into(), changes, ..Plan::default() }
}

fn shown(of: &Plan) -> String {
    let mut sources = Sources::default();
    sources.add("site.yaml", "site: acme\n");
    let mut masker = Masker::default();
    masker.add("hunter2-`quoted`");
    plan(of, None, &sources, &masker)
}

fn small() -> Plan {
    let mut restarts = config("security.privileged", None, Some("true"));
    (restarts.effect, restarts.why) = (Effect::Restart, "LXD applies it when the instance starts".into());
    let mut drifted = config("limits.memory", Some("2GiB"), Some("1GiB"));
    drifted.drift = true;
    let user_data =
        config("cloud-init.user-data", Some("#cloud-config\na: 1\nb: 2\n"), Some("#cloud-config\na: 1\nb: 3\n"));
    let secret = config("user.token", Some("hunter2-`quoted`"), Some("other")).sensitive(true);
    let mut plan = plan_of(vec![
        change(Action::Delete, "instances.api-3", vec![]),
        Change {
            affects: vec!["instances.api-1".into(), "instances.api-2".into()],
            drift: true,
            ..change(Action::Update, "profiles.base", vec![drifted, user_data])
        },
        change(
            Action::Replace,
            "instances.db",
            vec![
                FieldDiff::new(Path::field("type"), Some("container".into()), Some("virtual-machine".into()))
                    .replacing("an instance's type is fixed when it is made"),
            ],
        ),
        change(Action::Update, "instances.api-1", vec![restarts, secret]),
        change(Action::Create, "instances.cache", vec![config("user.role", None, Some("cache"))]),
        change(Action::NoOp, "networks.br0", vec![]),
    ]);
    plan.notes.push(Note { address: None, code: "copy", text: "old: the token hunter2-`quoted` is in a note".into() });
    plan
}

#[test]
fn deletions_first_a_fold_per_change_and_secrets_masked() {
    assert_snapshot!(shown(&small()));
}

#[test]
fn refusals_come_before_everything() {
    let mut plan = small();
    plan.refused.push(Refusal {
        address: None,
        code: "protected",
        text: "instances.api-3 is protected, and this plan would delete it".into(),
        help: "apply it with `protect: false` first".into(),
        span: Some(Span { file: FileId(0), line: 1, column: 7, start: 6, end: 10 }),
    });
    assert_snapshot!(shown(&plan).split("#### To delete").next().unwrap());
}

#[test]
fn an_empty_plan_says_so() {
    assert_snapshot!(shown(&plan_of(vec![change(Action::NoOp, "networks.br0", vec![])])), @r"
    <!-- lxdeploy plan acme -->
    ### lxdeploy plan: acme

    **No changes. The server is as the site says: 1 objects.**
    ");
}

#[test]
fn what_is_too_long_loses_details_first_then_names_and_never_a_deletion() {
    let long = "x".repeat(300);
    let many = |action, kind: &str, count: usize| -> Vec<Change> {
        let diff = || vec![config("user.x", None, Some(&long))];
        (0..count).map(|n| change(action, &format!("instances.{kind}-{n:05}-x"), diff())).collect()
    };
    let details = shown(&plan_of([many(Action::Replace, "old", 20), many(Action::Create, "new", 200)].concat()));
    assert!(details.len() <= LIMIT && details.len() > LIMIT - 2 * NOTICE, "{}", details.len());
    assert!(details.contains("Left out: the details of "), "{}", &details[..400]);
    assert!(details.contains("old-00019-x</code>") && details.contains("- <code>instances.new-00199-x"));
    assert_eq!(details.matches("<details>").count(), details.matches("</details>").count());

    let names = shown(&plan_of([many(Action::Delete, "gone", 1000), many(Action::Create, "new", 2000)].concat()));
    assert!(names.len() <= LIMIT && names.contains(" changes, ") || names.contains(" changes. "), "{}", &names[..400]);
    assert!((0..1000).all(|n| names.contains(&format!("- instances.gone-{n:05}-x"))));

    let counted: Vec<Change> = (1..=5000)
        .map(|n| change(Action::Delete, &format!("instances.worker-of-the-far-away-site-{n}"), vec![]))
        .collect();
    let ranges = shown(&plan_of(counted));
    assert!(ranges.contains("site-1 to instances.worker-of-the-far-away-site-5000 (5000)"), "{ranges}");
}

/// The blocks of a comment: what stands in fences, and the rest. Panics where one is never closed.
fn outside_of_fences(text: &str) -> String {
    let mut outside = String::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &open {
            Some(fence) if ticks.len() >= fence.len() && line.trim_end() == ticks => open = None,
            Some(_) => {}
            None if ticks.len() >= 3 => open = Some(ticks),
            None => outside += &format!("{line}\n"),
        }
    }
    assert_eq!(open, None, "a fence is never closed:\n{text}");
    outside
}

/// Texts that try to break out.
fn evil() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "```",
        "````",
        "`",
        "~~~",
        "</details>",
        "<script>",
        "</code>",
        "-->",
        "<!--",
        "@octocat",
        "#12",
        "\n",
        "\r\n",
        "\n\n",
        "# Head",
        "![i](http://x/y)",
        "[a](b)",
        "**",
        "_",
        "/close",
        "\u{202e}",
        "\u{0}",
        "ä",
        "|",
        "&lt;",
        "\u{2028}",
        "- x",
        "    ",
        "hunter2-`quoted`",
    ]);
    prop::collection::vec(parts, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn nothing_breaks_out(value in evil(), key in evil(), note in evil(), other in evil()) {
        let mut plan = plan_of(vec![
            change(Action::Update, "instances.a", vec![config("user.x", Some(&value), Some(&other)), config(&key, None, Some(&value))]),
            Change { affects: vec![note.clone()], ..change(Action::Delete, "instances.b", vec![]) },
        ]);
        plan.changes[0].address.key += &key;
        plan.changes[0].id.name += &other;
        plan.changes[1].address.key += &value;
        plan.changes[0].reason = Reason { code: "drift", text: note.clone() };
        plan.notes.push(Note { address: None, code: "x", text: note.clone() });
        plan.refused.push(Refusal { address: None, code: "x", text: value, help: other, span: None });
        let text = shown(&plan);
        prop_assert!(!text.contains("hunter2"), "{text}");
        let outside = outside_of_fences(&text);
        prop_assert_eq!(outside.matches("<details>").count(), 2);
        prop_assert_eq!(outside.matches("</details>").count(), 2);
        let tags: Vec<&str> = outside.split('<').skip(1).filter_map(|tag| tag.split('>').next()).collect();
        let ours = ["!-- lxdeploy plan acme --", "details", "/details", "summary", "/summary", "code", "/code", "b", "/b"];
        prop_assert!(tags.iter().all(|tag| ours.contains(tag)), "{tags:?}");
        prop_assert!(!outside.contains('@') && !outside.contains("![") && !outside.contains("]("), "{outside}");
        prop_assert!(outside.lines().all(|line| ["", "<", "#", "*", "-"].iter().any(|start| line.starts_with(start) && (!start.is_empty() || line.is_empty()))), "{outside}");
    }

}

proptest! {
    // Each case is a comment's worth of text, and that a few times over.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn never_longer_than_a_comment(
        sizes in prop::collection::vec((0..6usize, 0..4000usize), 0..120), stem in "[a-z]{1,60}", letters in "[a-zä`@<]{0,30}"
    ) {
        let actions = [Action::Delete, Action::Replace, Action::Update, Action::Rename, Action::Adopt, Action::Create];
        let changes = sizes.iter().enumerate().map(|(n, (action, size))| {
            let value = letters.repeat(*size / 10);
            change(actions[*action], &format!("instances.{stem}{n}{letters}"), vec![config("user.x", None, Some(&value))])
        });
        let mut plan = plan_of(changes.collect());
        plan.notes.extend(sizes.iter().map(|(_, size)| Note { address: None, code: "x", text: letters.repeat(*size) }));
        let text = shown(&plan);
        prop_assert!(text.chars().count() <= LIMIT, "{}", text.len());
        outside_of_fences(&text);
        for change in plan.changes.iter().filter(|change| change.action == Action::Delete) {
            let line = format!("- {}", change.address);
            prop_assert!(text.contains(&line), "{line}");
        }
    }
}
