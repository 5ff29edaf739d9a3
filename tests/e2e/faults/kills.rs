//! kill -9 of lxdeploy at random moments.

use super::random::{Random, rounds};
use super::site::{CIRCLE, Tally, apart, arguments, converge, end_leftovers, measure};
use crate::bed::{Case, is_incus};

#[test]
fn killed_at_any_moment_the_next_apply_converges() {
    kill("kill", 10);
}

#[test]
#[ignore = "long: tests/soak/run.sh kills"]
fn soak_kills() {
    kill("soakkill", rounds(200));
}

fn kill(name: &str, kills: usize) {
    let case = apart(Case::new(name));
    let measured = measure(&case);
    let (mut random, _) = Random::seeded("kills");
    let (mut tally, mut by_hand) = (Tally::default(), 0);
    // To the end of a circle, so that nothing is left.
    for (round, (to, (length, expected))) in CIRCLE.iter().zip(&measured).cycle().enumerate() {
        if tally.hits >= kills && round.is_multiple_of(CIRCLE.len()) {
            break;
        }
        let mut child = case.command(&arguments(&case, *to)).spawn().unwrap();
        let moment = length.mul_f64(random.below(1000) as f64 / 1000.0);
        std::thread::sleep(moment);
        // One that came to its end before is no kill.
        let is_hit = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        let mut result = converge(&case, *to, expected);
        // Incus 6.0 ends the making of a bridge half-way when its client is gone, and cannot take the rest away.
        if is_incus() && result.as_ref().is_err_and(|why| why.contains("at the server")) {
            by_hand += 1;
            let _ = end_leftovers(&case);
            result = converge(&case, *to, expected);
        }
        tally.count(is_hit, &format!("{to:?} killed after {moment:?}"), &result);
    }
    println!("after `ip link delete` and the end of an old dnsmasq, as the error says, {by_hand}");
    tally.finish("kills");
}
