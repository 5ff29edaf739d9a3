//! kill -9 of lxdeploy at random moments.

use super::random::{Random, rounds};
use super::site::{CIRCLE, Tally, apart, arguments, converge, measure};
use crate::bed::Case;

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
    let mut tally = Tally::default();
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
        tally.count(is_hit, &format!("{to:?} killed after {moment:?}"), &converge(&case, *to, expected));
    }
    tally.finish("kills");
}
