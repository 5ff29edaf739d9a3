//! What a daemon's end in the middle of a creation leaves, and what only looks like it. A real half-made instance is
//! in `daemon.rs`; here is all that must never be taken for one.

use crate::bed::Case;

#[test]
fn no_stopped_instance_is_taken_for_a_half_made_one() {
    let case = Case::new("whole");
    case.site(
        r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances:
  never: {image: bb, profiles: [base], state: stopped}
  empty: {profiles: [base], state: stopped}
  renamed: {image: bb, profiles: [base], state: stopped}
  restored: {image: bb, profiles: [base], state: stopped}
  once: {image: bb, profiles: [base], state: stopped}
  thrown: {image: bb, profiles: [base], state: stopped}
  imported: {image: bb, profiles: [base], state: stopped}
  worn: {image: bb, profiles: [base], state: stopped}
  moved: {image: bb, profiles: [base], state: stopped}
"#,
    );
    case.apply(&[]);
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    // Their identities are what must survive.
    let names = ["never", "empty", "renamed", "restored", "once", "thrown", "imported", "worn", "moved"];
    let uuids = || names.map(|name| case.get(&format!("instances/{name}"))["config"]["volatile.uuid"].clone());
    case.lxc(&["rename", "renamed", "other"]);
    case.lxc(&["rename", "other", "renamed"]);
    case.lxc(&["snapshot", "restored", "s"]);
    case.lxc(&["restore", "restored", "s"]);
    case.lxc(&["start", "once"]);
    case.lxc(&["stop", "--force", "once"]);
    // A snapshot from before the first start, after it.
    case.lxc(&["snapshot", "thrown", "s"]);
    case.lxc(&["start", "thrown"]);
    case.lxc(&["stop", "--force", "thrown"]);
    case.lxc(&["restore", "thrown", "s"]);
    case.lxc(&["start", "worn"]);
    case.lxc(&["stop", "--force", "worn"]);
    for name in ["imported", "worn"] {
        let file = case.path(&format!("{name}.tar.gz"));
        let file = file.to_str().unwrap();
        case.lxc(&["export", name, file]);
        case.lxc(&["delete", name]);
        case.lxc(&["import", file]);
    }
    case.lxc(&["copy", "moved", "elsewhere"]);
    case.lxc(&["delete", "moved"]);
    case.lxc(&["rename", "elsewhere", "moved"]);
    let before = uuids();
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.apply(&[]);
    assert_eq!(uuids(), before);
    case.destroy(&[]);
}
