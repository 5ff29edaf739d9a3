//! Another writer between our GET and our PUT: If-Match, and what is done on 412.

use crate::bed::{Case, finish};
use crate::proxy::Proxy;

/// A profile that is to be updated through a proxy, and what somebody else does before each of so many PUTs.
fn raced(case: &Case, times: usize, mut meanwhile: impl FnMut(usize)) -> (crate::bed::Output, usize) {
    case.site("projects: {\"@NAME@\": {}}\nprofiles: {p: {config: {limits.cpu: 1}}}\n");
    case.apply(&[]);
    case.site("projects: {\"@NAME@\": {}}\nprofiles: {p: {config: {limits.cpu: 2}}}\n");
    let proxy = Proxy::honest(case.path("proxy.socket"), &case.server);
    proxy.hold("PUT /1.0/profiles/p", times);
    let child = case.command(&["apply", "site.yaml", "--yes", "--remote", &proxy.remote()]).spawn().unwrap();
    for round in 0..times {
        proxy.while_held(|| meanwhile(round));
    }
    let output = finish(child);
    let puts = proxy.requests().iter().filter(|request| request.line.starts_with("PUT /1.0/profiles/p")).count();
    (output, puts)
}

#[test]
fn another_writers_key_is_merged() {
    let case = Case::new("merge");
    let (output, puts) = raced(&case, 1, |_| drop(case.lxc(&["profile", "set", "p", "user.theirs=kept"])));
    output.exits(0);
    assert_eq!(puts, 2);
    let config = case.get("profiles/p")["config"].clone();
    assert_eq!((&config["limits.cpu"], &config["user.theirs"]), (&"2".into(), &"kept".into()));
    assert_eq!(case.plan(&[]).actions(), Vec::<String>::new());
    case.destroy(&[]);
}

#[test]
fn what_is_ours_and_was_changed_under_us_is_left_alone() {
    let case = Case::new("undermine");
    let (output, puts) = raced(&case, 1, |_| drop(case.lxc(&["profile", "set", "p", "limits.cpu=4"])));
    output.exits(1).says("changed under us: config.limits.cpu is \"4\", and the plan showed \"1\"").says("plan again");
    assert_eq!(puts, 1);
    assert_eq!(case.get("profiles/p")["config"]["limits.cpu"], "4");
    case.destroy(&[]);
}

#[test]
fn a_writer_who_never_rests_is_given_up_on() {
    let case = Case::new("restless");
    let theirs = |round| drop(case.lxc(&["profile", "set", "p", &format!("user.theirs={round}")]));
    let (output, puts) = raced(&case, 3, theirs);
    output.exits(1).says("changed under us, again and again");
    assert_eq!(puts, 3);
    let config = case.get("profiles/p")["config"].clone();
    assert_eq!((&config["limits.cpu"], &config["user.theirs"]), (&"1".into(), &"2".into()));
    case.destroy(&[]);
}
