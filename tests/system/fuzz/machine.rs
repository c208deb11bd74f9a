//! The core: arbitrary inputs whose signatures are good.

use crate::lone_replica::lone::Lone;
use crate::turn;
use pbft_sim::rng::Rng;

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

/// Lists of tapes as long as those of the corpus, more of them than are kept.
const LISTS: u64 = 2000;

#[test]
fn long_lists() {
    let _turn = turn();
    (0..LISTS).for_each(|seed| drop(play(&list(&mut Rng::new(seed)))));
}

/// The tapes of a list, and the bytes of each.
const TAPES: usize = 60;

/// A list of tapes at random.
pub(crate) fn list(rng: &mut Rng) -> Vec<u8> {
    let len = (TAPE - 1) as u8;
    let mut tape = || (0..len).map(|_| rng.number() as u8).collect::<Vec<u8>>();
    (0..TAPES).flat_map(|_| [vec![len], tape()].concat()).collect()
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
