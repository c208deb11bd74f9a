//! The core: arbitrary inputs whose signatures are good.

use crate::lone_replica::lone::Lone;
use crate::turn;

/// Random inputs besides the corpus.
const ITERATIONS: usize = 60;

/// The most bytes from which one input of the core is made.
const TAPE: usize = 64;

/// Verified messages, timer expiries and completions with whatever content, more than f liars included: no panic, a
/// rejection changes nothing, a restart gives the same replica, the log is bounded.
#[test]
fn step() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        play(input);
    });
}

/// Plays a list of tapes, each after its length.
pub(crate) fn play(input: &[u8]) -> Lone {
    let mut lone = Lone::new();
    let mut rest = input;
    while let Some((len, after)) = rest.split_first() {
        let (tape, after) = after.split_at(after.len().min(usize::from(*len) % TAPE));
        lone.play(tape);
        rest = after;
    }
    lone
}
