//! Connections that are cut, refused, half closed, slow or swallowed, by a proxy in between.

use std::time::{Duration, Instant};

use super::random::{Random, rounds};
use super::site::{CIRCLE, Tally, apart, arguments, converge, measure};
use crate::bed::Case;
use crate::proxy::{Fault, Proxy, sent_twice};

#[test]
fn cut_anywhere_nothing_is_sent_twice_and_the_next_apply_converges() {
    cut("cut", 25);
}

#[test]
#[ignore = "long: tests/soak/run.sh cuts"]
fn soak_cuts() {
    cut("soakcut", rounds(400));
}

/// Runs the circle through a troubled proxy until it has made so much trouble.
fn cut(name: &str, cuts: usize) {
    let case = apart(Case::new(name));
    let measured = measure(&case);
    let (mut random, _) = Random::seeded("cuts");
    let (mut total, mut requests, mut ridden_out, mut runs) = (0, 0, 0, 0);
    let mut tally = Tally::default();
    for (round, (to, (_, expected))) in CIRCLE.iter().zip(&measured).cycle().enumerate() {
        if total >= cuts && round.is_multiple_of(CIRCLE.len()) {
            break;
        }
        let seed = random.next();
        let proxy = Proxy::troubled(case.path("proxy.socket"), &case.server, seed, 5 + random.below(45));
        let remote = proxy.remote();
        let arguments = [arguments(&case, *to), vec!["--remote", &remote, "--timeout", "60s"]].concat();
        let started = Instant::now();
        let output = case.run(&arguments);
        // LXD itself was seen to stand still for two minutes while several instances start.
        assert!(started.elapsed() < Duration::from_secs(300), "it hung: {}\n{}", output.stdout, output.stderr);
        let twice = sent_twice(&proxy.requests());
        assert!(twice.is_empty(), "{to:?}, proxy's seed {seed}: sent twice: {twice:#?}");
        let is_hit = proxy.faults() > 0;
        (total, requests) = (total + proxy.faults(), requests + proxy.requests().len());
        runs += 1;
        ridden_out += usize::from(is_hit && output.code == 0);
        let what = format!("{to:?} with {} cuts (proxy's seed {seed})\n{}", proxy.faults(), output.stderr);
        drop(proxy);
        tally.count(is_hit, &what, &converge(&case, *to, expected));
    }
    println!("cuts {total} in {runs} runs, requests {requests}, sent twice 0, ridden out {ridden_out}");
    tally.finish("runs with cuts");
}

#[test]
fn a_server_that_says_nothing_ends_with_the_timeout() {
    let case = Case::new("silent");
    case.site("projects: {\"@NAME@\": {}}\n");
    // It answers the plan's reads, and not the creation.
    let proxy = Proxy::honest(case.path("proxy.socket"), &case.server);
    let remote = proxy.remote();
    proxy.hold("POST /1.0/projects", 1);
    let child = case.command(&["apply", "site.yaml", "--yes", "--remote", &remote, "--timeout", "1s"]).spawn().unwrap();
    proxy.while_held(|| {
        let started = Instant::now();
        crate::bed::finish(child).exits(1).says("is not done in time").says("--timeout");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    });
    drop(proxy);
    case.apply(&[]);
    case.destroy(&[]);
    // Nor a read.
    let swallow = Box::new(|_| Some(Fault::Swallow(0, Duration::from_secs(60))));
    let proxy = Proxy::start(case.path("silent.socket"), &case.server, swallow);
    let started = Instant::now();
    let remote = proxy.remote();
    case.run(&["plan", "site.yaml", "--remote", &remote, "--timeout", "1s"]).exits(1).says("is not done in time");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
