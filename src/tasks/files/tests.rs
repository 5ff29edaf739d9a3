//! Tables of answers: what `file` makes of them.

use crate::guest::Write;
use crate::tasks::testing::Guest;
use crate::template::Value;

fn guest() -> Guest {
    Guest {
        files: [("/etc/app.conf", "x\n")].into(),
        directories: vec!["/", "/etc", "/srv"],
        links: [("/etc/link", "/etc/app.conf")].into(),
        ..Guest::default()
    }
}

fn file(path: &str, state: &str, more: &[(&str, Value)]) -> Vec<(&'static str, Value)> {
    let mut args = vec![("path", Value::from(path)), ("state", state.into())];
    args.extend(more.iter().map(|(name, value)| -> (&'static str, Value) {
        let names = ["mode", "src", "force"];
        (names.iter().find(|known| *known == name).unwrap(), value.clone())
    }));
    args
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    let wanted = [
        file("/etc/app.conf", "file", &[("mode", "0644".into())]),
        file("/etc", "directory", &[("mode", "u=rwx,go=rx".into())]),
        file("/etc/link", "link", &[("src", "/etc/app.conf".into())]),
        file("/etc/nosuch", "absent", &[]),
    ];
    for args in wanted {
        let verdict = guest().inspect("file", &args).unwrap();
        assert!(!verdict.is_changed() && verdict.writes.is_empty(), "{args:?}: {:?}", verdict.writes);
    }
}

#[test]
fn what_differs_is_one_act() {
    let act = |args: &[(&str, Value)]| {
        let verdict = guest().inspect("file", args).unwrap();
        assert!(verdict.is_changed());
        let [write] = &verdict.writes[..] else { panic!("{:?}", verdict.writes) };
        write.clone()
    };
    assert!(matches!(act(&file("/etc/app.conf", "file", &[("mode", "0600".into())])), Write::Attributes { .. }));
    assert!(matches!(act(&file("/srv/new", "directory", &[])), Write::Directory { .. }));
    assert!(matches!(act(&file("/etc/app.conf", "absent", &[])), Write::Remove { .. }));
    assert!(matches!(act(&file("/srv/new", "touch", &[])), Write::Touch { .. }));
    let link = act(&file("/srv/new", "link", &[("src", "/etc/app.conf".into())]));
    assert!(matches!(link, Write::Symlink { target, .. } if target == "/etc/app.conf"));
    let hard = act(&file("/srv/new", "hard", &[("src", "/etc/app.conf".into())]));
    assert!(matches!(hard, Write::Hardlink { target, .. } if target == "/etc/app.conf"));
}

#[test]
fn nothing_is_made_another_kind_of_thing_by_accident() {
    let refusal = |args: &[(&str, Value)]| guest().refusal("file", args);
    assert!(refusal(&file("/etc/nosuch", "file", &[])).contains("is absent, cannot continue"));
    assert!(refusal(&file("/etc", "file", &[])).contains("is directory, cannot continue"));
    assert!(refusal(&file("/etc/app.conf", "directory", &[])).contains("already exists as a file"));
    let link = |path: &str, src: &str| refusal(&file(path, "link", &[("src", src.into())]));
    assert!(link("/etc/app.conf", "/srv").contains("refusing to convert from file"));
    assert!(link("/srv", "/etc").contains("refusing to convert from directory"));
    assert!(link("/srv/new", "/nosuch").contains("src file does not exist"));
}
