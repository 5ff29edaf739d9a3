use serde_json::json;

use super::*;
use crate::plan;
use crate::report::json;
use crate::site::{self, Loaded};

const SITE: &str = "
secrets: {token: {file: token}}
profiles: {base: {config: {user.token: \"{{ secret('token') }}\", user.a: one}}}
";

/// A site with a secret of this text.
fn site(body: &str, token: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), token).unwrap();
    let path = directory.path().join("site.yaml");
    std::fs::write(&path, format!("site: acme\n{body}")).unwrap();
    let loaded = site::load(&path, &site::Options::default());
    assert!(loaded.site.is_some(), "{:#?}", loaded.diagnostics);
    loaded
}

fn of(loaded: &Loaded) -> Of<'_> {
    let site = loaded.site.as_ref().unwrap();
    Of { site: &site.name, project: &site.project, objects: &site.objects, masker: &loaded.masker }
}

/// What is live: `SECTION: {NAME: body}`.
fn live(loaded: &Loaded, sections: &Value) -> Snapshot {
    let objects = &loaded.site.as_ref().unwrap().objects;
    let mut snapshot = Snapshot { projects: Projects::wanted(objects), ..Snapshot::default() };
    for (section, objects) in sections.as_object().unwrap() {
        for (name, body) in objects.as_object().unwrap() {
            let mut raw = body.as_object().unwrap().clone();
            raw.insert("name".into(), name.clone().into());
            if section == "projects" {
                snapshot.projects.learn([&raw]);
            }
            let id = Id { project: "default".into(), pool: None, name: name.clone() };
            snapshot.insert(kinds::by_section(section).unwrap().section(), id, raw);
        }
    }
    snapshot
}

fn applied(token: &str) -> Value {
    json!({
        "projects": {"default": {"config": {"features.images": "true"}}},
        "profiles": {
            "default": {"config": {"user.theirs": "free"}, "description": "theirs", "devices": {"eth0": {"type": "nic"}}},
            "base": {"config": {
                "user.token": token, "user.a": "one", "user.b": format!("has {token} in it"),
                "user.lxdeploy.site": "acme", "user.lxdeploy.id": "default/profiles.base",
                "user.lxdeploy.record": Record { k: BTreeMap::from([
                    ("user.token".to_owned(), String::new()), ("user.a".to_owned(), kinds::hash("one")),
                ]), ..Record::default() }.to_text(),
            }},
        },
    })
}

/// The plan's document, online and offline.
fn both(loaded: &Loaded, snapshot: &Snapshot, later: &Loaded) -> (Value, Value) {
    let text = write(snapshot, &of(loaded), "2026-01-02T03:04:05Z".into()).unwrap();
    let offline = parse(&text).unwrap().snapshot(&of(later)).unwrap();
    let options = plan::Options::default();
    let shown = |snapshot: &Snapshot| {
        let plan = plan::build(later.site.as_ref().unwrap(), snapshot, &options);
        json::masked(json::plan(&plan, None, &later.sources), &later.masker)
    };
    (shown(snapshot), shown(&offline))
}

#[test]
fn no_secret_stands_in_it_and_the_plan_is_the_same() {
    let loaded = site(SITE, "hunter2-hunter2");
    let snapshot = live(&loaded, &applied("hunter2-hunter2"));
    let text = write(&snapshot, &of(&loaded), "2026-01-02T03:04:05Z".into()).unwrap();
    assert!(!text.contains("hunter2") && text.contains("has {lxdeploy-secret:"), "{text}");
    assert!(!text.contains("\"free\"") && !text.contains("theirs"), "what is nobody's is not told: {text}");
    assert!(text.contains("\"eth0\""), "but what a device is laid over is");
    let (online, offline) = both(&loaded, &snapshot, &loaded);
    assert_eq!(online, offline);
    assert_eq!(online["summary"]["unchanged"], 1);
    // Two dumps of one server do not show that a secret stayed the same.
    assert_ne!(text, write(&snapshot, &of(&loaded), "2026-01-02T03:04:05Z".into()).unwrap());
}

#[test]
fn another_secret_is_told_from_the_same_one() {
    let (old, new) = (site(SITE, "first-secret"), site(SITE, "second-secret"));
    let (online, offline) = both(&old, &live(&old, &applied("first-secret")), &new);
    assert_eq!(online, offline);
    assert_eq!(online["changes"][0]["diff"][0]["before"], "(sensitive)");
    // A short one is in no list of texts; the leaf tells.
    for (token, updates) in [("abc", 0), ("abd", 1)] {
        let (old, new) = (site(SITE, "abc"), site(SITE, token));
        let (online, offline) = both(&old, &live(&old, &applied("abc")), &new);
        assert_eq!((&online, &online["summary"]["update"]), (&offline, &updates.into()));
    }
}

#[test]
fn a_file_that_was_edited_since_plans_as_online() {
    let old = site(SITE, "first-secret");
    let snapshot = live(&old, &applied("first-secret"));
    for body in [
        // Left the file, a secret and an open leaf; taken over; no secret any more; claimed.
        "profiles: {base: {config: {}}}\n".to_owned(),
        SITE.replace("user.a: one", "user.a: two"),
        SITE.replace("\"{{ secret('token') }}\"", "open"),
        SITE.replace("\"{{ secret('token') }}\"", "first-secret"),
        SITE.replace("user.a: one", "user.a: one, user.b: \"has {{ secret('token') }} in it\""),
        SITE.replace("profiles: {base", "profiles: {other: {}, base"),
    ] {
        let new = site(&body, "first-secret");
        let (online, offline) = both(&old, &snapshot, &new);
        assert_eq!(online, offline, "{body}");
    }
}

#[test]
fn what_cannot_be_used_is_told() {
    let loaded = site(SITE, "hunter2-hunter2");
    let snapshot = live(&loaded, &applied("hunter2-hunter2"));
    let text = write(&snapshot, &of(&loaded), "2026-01-02T03:04:05Z".into()).unwrap();
    let error = |text: &str| parse(text).unwrap_err();
    assert!(error(&text[..text.len() / 2]).contains("damaged"));
    assert!(error(&text.replacen("\"one\"", "\"two\"", 1)).contains("not as it was written"));
    assert!(error("{}").contains("no dump"));
    assert!(error(&text.replace("\"format_version\": 1", "\"format_version\": 2")).contains("format 2"));
    let other = site(SITE, "x").site.map(|site| site::Site { name: "other".into(), ..site }).unwrap();
    let masker = Masker::default();
    let asked = Of { site: &other.name, project: "default", objects: &other.objects, masker: &masker };
    assert!(parse(&text).unwrap().snapshot(&asked).unwrap_err().contains("is of the site `acme`"));
}

#[test]
fn what_was_not_read_is_not_taken_for_absent() {
    let loaded = site(SITE, "hunter2-hunter2");
    let mut sections = applied("hunter2-hunter2");
    sections["projects"]["web"] = json!({"config": {"features.profiles": "true"}});
    let text = write(&live(&loaded, &sections), &of(&loaded), "2026-01-02T03:04:05Z".into()).unwrap();
    let asked = |body: &str| {
        let later = site(body, "hunter2-hunter2");
        parse(&text).unwrap().snapshot(&of(&later)).map(|_| ())
    };
    let error = asked("profiles: {base: {project: web}}\n").unwrap_err();
    assert!(error.contains("the profiles of the project `web` were not read"), "{error}");
    // What is yet to be made has nothing in it.
    assert_eq!(asked("projects: {new: {}}\nprofiles: {base: {project: new}}\n"), Ok(()));
}
