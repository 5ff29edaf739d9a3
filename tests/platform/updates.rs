//! Inputs that change: what depends on them is changed, and nobody's request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::bed::{Platform, get, platform};

/// Since when services run: (what, its process).
fn processes(platform: &Platform) -> Vec<(&'static str, String)> {
    [
        ("memcached", "memcached"),
        ("api-1", "api"),
        ("api-2", "api"),
        ("identity-proxy", "apache2"),
        ("issuer", "issuer"),
    ]
    .map(|(instance, unit)| {
        (instance, platform.inside(instance, &["systemctl", "show", "--property=MainPID,ActiveEnterTimestamp", unit]))
    })
    .to_vec()
}

/// Applies with variables: the instances whose service was restarted.
fn restarted(platform: &Platform, variables: &[&str]) -> Vec<&'static str> {
    let before = processes(platform);
    platform.apply(variables);
    let after = processes(platform);
    before.iter().zip(&after).filter(|(before, after)| before.1 != after.1).map(|(before, _)| before.0).collect()
}

/// Requests with a token through the proxy for as long as `work` takes: how many, and those that failed.
fn under_load(platform: &Platform, work: impl FnOnce()) -> (usize, Vec<u16>) {
    let token = platform.mint("{}");
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = || {
        let (http, port, token) = (platform.client(), platform.port, token.clone());
        let (stop, sent) = (stop.clone(), sent.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut failures = vec![];
            while !stop.load(Ordering::Relaxed) {
                let request = get(http.clone(), port, "/api/whoami".into(), Some(token.clone()));
                let (status, _) = runtime.block_on(request);
                sent.fetch_add(1, Ordering::Relaxed);
                if status != 200 {
                    failures.push(status);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            failures
        })
    };
    let clients: Vec<_> = (0..4).map(|_| client()).collect();
    work();
    stop.store(true, Ordering::Relaxed);
    let failures = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    (sent.load(Ordering::Relaxed), failures)
}

#[test]
fn the_api_is_updated_one_instance_after_the_other_and_no_request_fails() {
    let platform = platform();
    let mut changed = vec![];
    let (sent, failures) = under_load(&platform, || changed = restarted(&platform, &["api_workers=2"]));
    println!("through an update of the API: {sent} requests, {} failures", failures.len());
    assert_eq!(changed, ["api-1", "api-2"]);
    assert!(sent > 200, "{sent}");
    assert!(failures.is_empty(), "{} of {sent} failed: {failures:?}", failures.len());
    let (sent, failures) = under_load(&platform, || drop(platform.apply(&[])));
    assert!(failures.is_empty(), "{} of {sent} failed: {failures:?}", failures.len());
}

#[test]
fn one_input_changes_what_depends_on_it() {
    let platform = platform();
    assert_eq!(restarted(&platform, &["memcached_memory=32"]), ["memcached"]);
    assert_eq!(restarted(&platform, &[]), ["memcached"]);

    // The proxy reads its configuration again without an interruption; the API is restarted.
    let other = platform.mint(r#"{"claims": {"aud": "api://other"}}"#);
    assert_eq!(platform.get("/api/whoami", Some(&other)).0, 401);
    let (sent, failures) = under_load(&platform, || {
        let changed = restarted(&platform, &["audiences=['api://standard', 'api://other']"]);
        assert!(!changed.contains(&"memcached"), "{changed:?}");
    });
    assert!(failures.is_empty(), "{} of {sent} failed: {failures:?}", failures.len());
    platform.until("the other audience is let in", 20, || platform.get("/api/whoami", Some(&other)).0 == 200);
    platform.apply(&[]);
    platform.until("and is no longer", 20, || platform.get("/api/whoami", Some(&other)).0 == 401);
}
