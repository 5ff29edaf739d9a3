//! What fails, and what goes on all the same.

use std::time::{Duration, Instant};

use crate::bed::{Platform, lxc, platform, root, said, server};

/// So many requests with a valid token, one after the other: how many were not answered by 200, and the longest.
fn requests(platform: &Platform, token: &str, count: usize) -> (usize, Duration) {
    let mut longest = Duration::ZERO;
    let failed = (0..count).filter(|_| {
        let started = Instant::now();
        let (status, body) = platform.get("/api/whoami", Some(token));
        longest = longest.max(started.elapsed());
        if status != 200 {
            println!("{status}: {body}");
        }
        status != 200
    });
    (failed.count(), longest)
}

fn unit(platform: &Platform, instance: &str, words: &[&str]) {
    let command: Vec<&str> = ["systemctl"].iter().chain(words).copied().collect();
    platform.inside(instance, &command);
}

fn cached(platform: &Platform) -> usize {
    let script =
        "import pymemcache; print(int(pymemcache.Client(('10.78.0.10', 11211), timeout=2).stats()[b'curr_items']))";
    platform.inside("api-1", &["python3", "-c", script]).trim().parse().unwrap()
}

#[test]
fn memcached_may_stop_or_hang() {
    let platform = platform();
    let token = platform.mint("{}");
    assert_eq!(requests(&platform, &token, 5).0, 0);
    unit(&platform, "memcached", &["stop", "memcached"]);
    let (failed, longest) = requests(&platform, &token, 60);
    println!("memcached stopped: the longest of 60 took {longest:.2?}");
    assert_eq!(failed, 0);
    unit(&platform, "memcached", &["start", "memcached"]);
    platform.until("keys are cached again", 60, || requests(&platform, &token, 5).0 == 0 && cached(&platform) > 0);

    unit(&platform, "memcached", &["kill", "--signal=STOP", "memcached"]);
    let (failed, longest) = requests(&platform, &token, 60);
    println!("memcached paused: the longest of 60 took {longest:.2?}");
    unit(&platform, "memcached", &["kill", "--signal=CONT", "memcached"]);
    assert_eq!(failed, 0);
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    platform.until("keys are cached", 60, || requests(&platform, &token, 5).0 == 0 && cached(&platform) > 0);
}

#[test]
fn the_provider_may_be_away_while_keys_are_known() {
    let platform = platform();
    let token = platform.mint("{}");
    assert_eq!(requests(&platform, &token, 10).0, 0);
    unit(&platform, "issuer", &["stop", "issuer"]);
    // Longer than keys are fresh for: those that are known go on.
    let started = Instant::now();
    let mut failed = 0;
    while started.elapsed() < Duration::from_secs(25) {
        failed += requests(&platform, &token, 5).0;
        std::thread::sleep(Duration::from_millis(300));
    }
    // The proxy knows them across a restart as well, which forgets whatever lies in memory.
    unit(&platform, "identity-proxy", &["restart", "apache2"]);
    platform.until("the proxy is back", 30, || platform.get("/healthz", None).0 == 200);
    let after = requests(&platform, &token, 10).0;
    unit(&platform, "issuer", &["start", "issuer"]);
    assert_eq!((failed, after), (0, 0));
}

#[test]
fn without_keys_nobody_is_let_in_and_nothing_breaks() {
    let platform = platform();
    let token = platform.mint("{}");
    unit(&platform, "issuer", &["stop", "issuer"]);
    unit(&platform, "memcached", &["restart", "memcached"]);
    unit(&platform, "memcached", &["stop", "memcached"]);
    for instance in ["api-1", "api-2"] {
        unit(&platform, instance, &["restart", "api"]);
        platform.until("the API is up", 30, || platform.get_directly(instance, "/healthz", "x") == 200);
        assert_eq!(platform.get_directly(instance, "/api/whoami", &token), 503, "{instance}");
    }
    let at_the_proxy = platform.get("/api/whoami", Some(&token)).0;
    unit(&platform, "memcached", &["start", "memcached"]);
    unit(&platform, "issuer", &["start", "issuer"]);
    assert_eq!(at_the_proxy, 503, "the proxy knows the keys, and the API does not");
    platform.until("tokens are taken again", 30, || requests(&platform, &token, 4).0 == 0);
}

#[test]
fn keys_are_rotated_without_a_redeploy() {
    let platform = platform();
    let old = platform.mint("{}");
    assert_eq!(requests(&platform, &old, 4).0, 0);
    platform.issuer("rotate", r#"{"drop": false}"#);
    let new = platform.mint("{}");
    let took = platform.until("a token of the new key is taken", 30, || requests(&platform, &new, 4).0 == 0);
    println!("a new key was known after {took:.1?}");
    assert_eq!(requests(&platform, &old, 4).0, 0, "the old key is still published");
    platform.issuer("rotate", r#"{"drop": true}"#);
    // key_refresh is 10 s here, the proxy's copy of what the provider says 10 s old at most.
    let took = platform.until("a token of the withdrawn key is refused", 45, || requests(&platform, &new, 4).0 == 4);
    println!("a withdrawn key was refused after {took:.1?}");
    let newest = platform.mint("{}");
    platform.until("the newest key is known", 30, || requests(&platform, &newest, 4).0 == 0);
}

#[test]
fn an_api_instance_may_stop() {
    let platform = platform();
    let token = platform.mint("{}");
    assert_eq!(requests(&platform, &token, 4).0, 0);
    said(&mut lxc(&["stop", "--force", "api-2", "--project", "standard"]), None).done();
    std::thread::sleep(Duration::from_secs(4)); // asked every second, and given one to answer
    let (failed, longest) = requests(&platform, &token, 100);
    println!("with one instance: the longest of 100 took {longest:.2?}");
    assert_eq!(failed, 0);
    platform.apply(&[]);
    let hits =
        || platform.inside("api-2", &["journalctl", "--unit=api", "--output=cat"]).matches("/api/whoami").count();
    let before = hits();
    platform.until("the instance gets requests again", 20, || requests(&platform, &token, 4).0 == 0 && hits() > before);
}

#[test]
fn what_was_deleted_by_hand_is_built_again() {
    let platform = platform();
    let token = platform.mint("{}");
    for instance in ["memcached", "api-1", "identity-proxy"] {
        said(&mut lxc(&["delete", "--force", instance, "--project", "standard"]), None).done();
        let applied = platform.apply(&[]);
        assert!(
            applied.stdout.contains("Plan: 1 to create, 0 to update, 0 to replace, 0 to delete"),
            "{}",
            applied.stdout
        );
        platform.until("the platform serves", 30, || requests(&platform, &token, 4).0 == 0);
    }
}

#[test]
fn after_a_restart_of_the_host_everything_comes_back() {
    let platform = platform();
    let token = platform.mint("{}");
    let directory = server();
    let mut shutdown = std::process::Command::new("lxd");
    said(shutdown.args(["shutdown", "--timeout", "60"]).env("LXD_DIR", &directory), None).done();
    assert_eq!(platform.get("/healthz", None).0, 0, "it is down");
    let mut start = std::process::Command::new(root().join("tests/bed.sh"));
    said(start.args(["start"]).arg(&directory).arg("lxd"), None).done();
    let took = platform.until("the platform serves", 120, || requests(&platform, &token, 4).0 == 0);
    println!("after a restart of LXD it served {took:.1?} later");
    let said = platform.apply(&[]);
    assert!(said.stdout.starts_with("No changes."), "{}", said.stdout);
}
