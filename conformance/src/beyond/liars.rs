//! Messages that lie, to clusters of each size: [`crate::forge`].

use super::stage::{Outcome, Stage, expect};
use crate::divergence::Difference;
use crate::forge::campaign::{Made, run};
use std::sync::OnceLock;

/// So many messages at least: fewer would mean that some place was left out.
const MESSAGES_MIN: u64 = 4_000;

/// What came of it. The same messages meet the same code, so once in a process is enough.
type Known = OnceLock<Result<Made, Difference>>;

fn to(replicas: u32, known: &'static Known) -> Outcome {
    let made = known.get_or_init(|| run(replicas)).clone()?;
    let messages: u64 = made.places.values().sum();
    let enough = messages >= MESSAGES_MIN && made.taken > 0;
    expect("enough messages, and some that are good", true, enough)
}

pub(super) fn to_four(_: &mut Stage<'_>) -> Outcome {
    static KNOWN: Known = OnceLock::new();
    to(4, &KNOWN)
}

/// A quorum is four here, and 2f+1 is three.
pub(super) fn to_five(_: &mut Stage<'_>) -> Outcome {
    static KNOWN: Known = OnceLock::new();
    to(5, &KNOWN)
}

/// A quorum is four here, of which three PREPARE; n−f is five.
pub(super) fn to_six(_: &mut Stage<'_>) -> Outcome {
    static KNOWN: Known = OnceLock::new();
    to(6, &KNOWN)
}

/// Two may lie.
pub(super) fn to_seven(_: &mut Stage<'_>) -> Outcome {
    static KNOWN: Known = OnceLock::new();
    to(7, &KNOWN)
}
