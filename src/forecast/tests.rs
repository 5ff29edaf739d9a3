use std::sync::Arc;

use super::*;
use crate::guest::{About, Algorithm, Attributes, Command, Content, Output, Stat, User, Write};

fn stat(path: &str) -> Probe {
    Probe::Stat { path: path.into(), follow: true }
}

fn read(path: &str) -> Probe {
    Probe::Read { path: path.into() }
}

fn file(path: &str, text: &str) -> Effect {
    let content = Content::Bytes(Arc::from(text.as_bytes()));
    let attributes = Attributes { mode: Some(0o600), ..Attributes::default() };
    Effect::Written(Write::File { path: path.into(), content, attributes, backup: None, validate: None })
}

fn link(path: &str, target: &str) -> Effect {
    Effect::Written(Write::Symlink { path: path.into(), target: target.into(), attributes: Attributes::default() })
}

fn directory(path: &str) -> Effect {
    Effect::Written(Write::Directory { path: path.into(), attributes: Attributes::default() })
}

/// A guest in which nothing is at these paths.
fn without(paths: &[&str]) -> Forecast {
    let mut forecast = Forecast::default();
    for path in paths {
        for follow in [true, false] {
            forecast.learn(Probe::Stat { path: (*path).into(), follow }, Answer::Stat(None));
        }
        forecast.learn(read(path), Answer::Read(None));
        forecast.learn(Probe::Hash { path: (*path).into(), algorithm: Algorithm::Sha1 }, Answer::Hash(None));
    }
    forecast
}

#[track_caller]
fn known_stat(forecast: &Forecast, path: &str) -> Option<Stat> {
    match forecast.believe(&stat(path)) {
        Belief::Known(Answer::Stat(stat)) => stat,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn files_that_would_be_written_are_there() {
    let mut forecast = without(&["/srv/a", "/srv/a/b"]);
    forecast.lay(directory("/srv/a"));
    forecast.lay(file("/srv/a/b", "text"));
    let stat = known_stat(&forecast, "/srv/a/b").unwrap();
    assert_eq!((stat.mode, stat.size, stat.is_foreseen), (0o600, 4, true));
    assert_eq!(known_stat(&forecast, "/srv/a").unwrap().kind, FileKind::Directory);
    assert_eq!(forecast.believe(&read("/srv/a/b")), Belief::Known(Answer::Read(Some(b"text".to_vec()))));
    let hash = forecast.believe(&Probe::Hash { path: "/srv/a/b".into(), algorithm: Algorithm::Sha1 });
    assert_eq!(hash, Belief::Known(Answer::Hash(Some("372ea08cab33e71c02c651dbc83a474d32c676ea".into()))));
    forecast.lay(Effect::Written(Write::Remove { path: "/srv/a".into() }));
    assert_eq!(known_stat(&forecast, "/srv/a/b"), None);
}

#[test]
fn what_nobody_has_asked_is_asked() {
    let forecast = without(&[]);
    assert_eq!(forecast.believe(&stat("/a")), Belief::Ask(stat("/a")));
    let mut forecast = without(&[]);
    // The mode of what is there already is the guest's to say.
    forecast.lay(Effect::Written(Write::Attributes {
        path: "/a".into(),
        attributes: Attributes::default(),
        follow: true,
    }));
    assert_eq!(forecast.believe(&stat("/a")), Belief::Ask(stat("/a")));
}

#[test]
fn links_lead_where_they_will() {
    let mut forecast = without(&["/srv/etc/x", "/etc/app", "/etc/app/x"]);
    forecast.lay(link("/etc/app", "../srv/etc"));
    forecast.lay(file("/etc/app/x", "1"));
    assert_eq!(known_stat(&forecast, "/srv/etc/x").unwrap().size, 1);
    assert_eq!(known_stat(&forecast, "/etc/app/x").unwrap().size, 1);
    let itself = forecast.believe(&Probe::Stat { path: "/etc/app".into(), follow: false });
    assert!(matches!(itself, Belief::Known(Answer::Stat(Some(Stat { kind: FileKind::Link, .. })))));
}

#[test]
fn listings_have_what_comes_and_lack_what_goes() {
    let list = Probe::List { path: "/d".into(), depth: Some(1), follow: false };
    let mut forecast = without(&["/d/new", "/d/sub", "/d/sub/deep"]);
    forecast.learn(list.clone(), Answer::List(Some(vec![])));
    forecast.lay(file("/d/new", ""));
    forecast.lay(directory("/d/sub"));
    forecast.lay(file("/d/sub/deep", ""));
    let names = |forecast: &Forecast| match forecast.believe(&list) {
        Belief::Known(Answer::List(Some(entries))) => entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names(&forecast), ["/d/new", "/d/sub"]);
    forecast.lay(Effect::Written(Write::Remove { path: "/d/new".into() }));
    assert_eq!(names(&forecast), ["/d/sub"]);
}

#[test]
fn after_a_command_nothing_is_known_but_what_is_set_after_it() {
    let mut forecast = without(&["/a", "/b"]);
    forecast.lay(Effect::opaque("what `x` does"));
    assert_eq!(forecast.believe(&stat("/a")), Belief::Unknown("what `x` does".into()));
    forecast.lay(Effect::Written(Write::Remove { path: "/a".into() }));
    assert_eq!(known_stat(&forecast, "/a"), None);
    assert!(matches!(forecast.believe(&stat("/b")), Belief::Unknown(_)));
}

#[test]
fn a_guest_that_is_not_there_is_not_asked() {
    let forecast = Forecast::unseen("it is not created yet");
    assert_eq!(forecast.believe(&stat("/a")), Belief::Unknown("it is not created yet".into()));
}

#[test]
fn packages_bring_what_is_not_there_and_leave_what_is_ours() {
    let mut forecast = without(&["/etc/nginx", "/srv/app"]);
    forecast.learn(Probe::Which("nginx".into()), Answer::Which(None));
    forecast.learn(Probe::Which("sh".into()), Answer::Which(Some("/bin/sh".into())));
    forecast.lay(Effect::unknown(Scope::Missing, "what nginx brings"));
    assert!(matches!(forecast.believe(&stat("/etc/nginx")), Belief::Unknown(_)));
    assert_eq!(known_stat(&forecast, "/srv/app"), None);
    assert!(matches!(forecast.believe(&Probe::Which("nginx".into())), Belief::Unknown(_)));
    assert!(matches!(forecast.believe(&Probe::Which("sh".into())), Belief::Known(_)));
}

#[test]
fn users_are_who_they_will_be() {
    let mut forecast = without(&["/a"]);
    forecast.learn(Probe::User("app".into()), Answer::User(None));
    forecast
        .lay(Effect::User { name: "app".into(), user: Some(User { name: "app".into(), uid: 7, ..User::default() }) });
    let attributes = Attributes { owner: Some("app".into()), ..Attributes::default() };
    forecast.lay(Effect::Written(Write::Directory { path: "/a".into(), attributes }));
    let stat = known_stat(&forecast, "/a").unwrap();
    assert_eq!((stat.uid, stat.owner.as_deref()), (7, Some("app")));
    assert!(matches!(forecast.believe(&read("/etc/passwd")), Belief::Unknown(_)));
}

#[test]
fn units_come_with_their_files() {
    let unit = |state: &str| {
        let properties = [("LoadState", state), ("ActiveState", "inactive"), ("UnitFileState", "")];
        Answer::Unit(Some(properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into()))
    };
    let probe = Probe::Unit { name: "app".into(), user: None };
    let get = |forecast: &Forecast, name: &str| match forecast.believe(&probe) {
        Belief::Known(Answer::Unit(Some(unit))) => unit[name].clone(),
        other => panic!("{other:?}"),
    };
    let mut forecast = without(&[]);
    forecast.learn(probe.clone(), unit("not-found"));
    forecast.lay(file(
        "/etc/systemd/system/app.service",
        "[Service]\nExecStart=/a\n[Install]\nWantedBy=multi-user.target\n",
    ));
    assert_eq!(
        (get(&forecast, "LoadState").as_str(), get(&forecast, "UnitFileState").as_str()),
        ("loaded", "disabled")
    );
    forecast.lay(Effect::Unit { name: "app.service".into(), properties: vec![("ActiveState", "active".into())] });
    assert_eq!(get(&forecast, "ActiveState"), "active");
    forecast.lay(Effect::Written(Write::Remove { path: "/etc/systemd/system/app.service".into() }));
    assert!(matches!(forecast.believe(&probe), Belief::Unknown(_)));
}

#[test]
fn commands_say_the_same_while_what_they_are_about_stays() {
    let look = |about: About| Probe::Output(Command::new(["look"]).about(about));
    let mut forecast = without(&[]);
    let abouts = [About::Anything, About::Nothing, About::Path("/etc/x".into()), About::Packages];
    for about in &abouts {
        forecast.learn(look(about.clone()), Answer::Output(Output::default()));
    }
    forecast.lay(file("/etc/x/y", ""));
    let known = abouts.map(|about| matches!(forecast.believe(&look(about)), Belief::Known(_)));
    assert_eq!(known, [false, true, false, true]);
}
