//! Deleting: stop, then force; data only when it is named; what is in the way is told.

use std::time::Instant;

use crate::bed::Case;

#[test]
fn a_stop_is_graceful_for_its_time_and_then_by_force() {
    let case = Case::new("stubborn");
    case.site(
        r#"
projects: {"@NAME@": {}}
profiles: {base: {devices: {root: {type: disk, path: /, pool: default}}}}
images: {bb: {source: {file: busybox.tar.xz}}}
instances: {one: {image: bb, profiles: [base], stop_timeout: 1s}}
"#,
    );
    case.apply(&[]);
    // Busybox' init takes three seconds for a graceful stop.
    let started = Instant::now();
    case.destroy(&["-v"]).says("by force now").says("instances.one stopped");
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    assert!(case.try_get("projects/t-stubborn").is_none());
}

#[test]
fn volumes_leave_the_site_only_with_delete_data() {
    let case = Case::new("data");
    let site = r#"
projects: {"@NAME@": {}}
storage_pools: {"@NAME@": {driver: dir}}
storage_volumes: {keep: {pool: "@NAME@"}}
"#;
    case.site(site);
    case.apply(&[]);
    case.site(&site.replace("storage_volumes: {keep: {pool: \"@NAME@\"}}", ""));
    let plan = case.plan(&["--detailed-exitcode"]);
    assert_eq!((plan.actions(), plan.notes()), (vec![], vec!["kept-data"]));
    assert_eq!(case.plan(&["--delete-data"]).actions(), ["storage_volumes.keep: delete"]);
    case.apply(&["--delete-data"]).says("storage_volumes.keep deleted");
    case.site(site);
    case.apply(&[]);
    // What would have to be made again holds data too.
    case.site(&site.replace("keep: {pool", "keep: {content_type: block, pool"));
    case.run(&["apply", "site.yaml", "--yes"]).exits(1).says("--delete-data");
    case.site(site);
    case.destroy(&[]).says("kept");
    case.destroy(&["--delete-data"]);
    assert!(case.try_get("storage-pools/t-data").is_none());
}

#[test]
fn destroy_asks_the_server_and_not_the_file() {
    let case = Case::new("stamped");
    let site = "projects: {\"@NAME@\": {}}\nprofiles: {a: {}, b: {}}\n";
    case.site(site);
    case.apply(&[]);
    // The file has forgotten one, and names one that is not there.
    case.site(&site.replace("b: {}", "c: {}"));
    let destroyed = case.destroy(&[]);
    destroyed.says("profiles.b deleted").says_not("profiles.c");
    assert!(case.try_get("projects/t-stamped").is_none());
}

/// LXD 5.0.2 deletes a project with volumes in it: they are forgotten, their files stay.
#[test]
fn a_project_with_volumes_of_others_stays() {
    let case = Case::new("holds");
    case.site("projects: {\"@NAME@\": {}}\nprofiles: {a: {}}\n");
    case.apply(&[]);
    case.lxc(&["storage", "volume", "create", "default", "theirs"]);
    case.destroy(&["--delete-data"]).says("profiles.a deleted").says("projects.t-holds is kept");
    assert!(case.try_get("storage-pools/default/volumes/custom/theirs").is_some());
    case.lxc(&["storage", "volume", "delete", "default", "theirs"]);
    case.destroy(&[]);
    assert!(case.try_get("projects/t-holds").is_none());
}
