//! Who is too slow, and who is late itself: the pace of primaries (docs/deviations.md), and the timer of a backup whose
//! peers are as far as it is.

use super::stage::{Letter, Outcome, Stage, expect};
use crate::refinement::action::Delivery;
use pbft_core::types::Timestamp;
use pbft_core::{Params, Timer};
use std::time::Duration;

/// The patience in ticks. A fourth of it is the most that may be typical of a primary.
const PATIENCE: u32 = 64;

/// A patience of 64 ticks, and one request a batch.
pub(super) fn bounds(params: &mut Params) {
    params.status_interval = Duration::from_secs(1);
    params.view_timeout = Duration::from_secs(u64::from(PATIENCE));
    params.view_timeout_max = params.view_timeout;
    (params.checkpoint_interval, params.window, params.pipeline) = (100, 200, 4);
    params.batch_requests_max = 1;
}

/// Requests of one lane, one after the other, for which a backup waits.
struct Asking {
    backup: u32,
    last: Timestamp,
}

impl Asking {
    /// So many, each executed everywhere when the backup has waited for this number of ticks.
    fn waits(&mut self, stage: &mut Stage<'_>, times: u32, ticks: u32) -> Outcome {
        for _ in 0..times {
            self.last = Timestamp(self.last.0 + 1);
            stage.ask(self.backup, &stage.request(0, self.last.0, 1))?;
            for _ in 0..ticks {
                stage.tick(self.backup)?;
            }
            stage.settle(|_| true)?;
        }
        Ok(())
    }

    /// The view of the backup after one tick more, and whether it takes part in it.
    fn judges(&self, stage: &mut Stage<'_>) -> Outcome<(u64, bool)> {
        stage.tick(self.backup)?;
        let status = stage.replica(self.backup)?.status();
        Ok((status.view.0, status.active))
    }
}

/// Three of the last eight waits are typical, however many there were before.
pub(super) fn slow_at_last(stage: &mut Stage<'_>) -> Outcome {
    let mut asking = Asking { backup: 2, last: Timestamp(0) };
    asking.waits(stage, 12, 0)?;
    expect("after twelve that took no time", (0, true), asking.judges(stage)?)?;
    asking.waits(stage, 2, PATIENCE / 4 + 1)?;
    expect("after two long waits", (0, true), asking.judges(stage)?)?;
    asking.waits(stage, 1, PATIENCE / 4 + 1)?;
    expect("after three long waits of the last eight", (1, false), asking.judges(stage)?)
}

/// With seven replicas two may lie: what two fast primaries can do is not asked of a third.
pub(super) fn two_are_fast(_: &mut Stage<'_>) -> Outcome {
    let mut stage = Stage::of("n7-bnone-v0-s1-d1", bounds)?;
    let played = after_two_fast(&mut stage);
    played.map_err(|difference| stage.tell(difference))
}

fn after_two_fast(stage: &mut Stage<'_>) -> Outcome {
    let mut asking = Asking { backup: 6, last: Timestamp(0) };
    for view in 1..=2 {
        asking.waits(stage, 4, 0)?;
        for at in 0..7 {
            stage.demand(at, &Delivery::Suspect)?;
        }
        stage.settle(|_| true)?;
        expect("the view", (view, true), asking.judges(stage)?)?;
    }
    asking.waits(stage, 4, 6)?;
    expect("a third primary, not as fast", (2, true), asking.judges(stage)?)?;
    asking.waits(stage, 4, PATIENCE / 4 + 1)?;
    expect("the same, slower than may be", (3, false), asking.judges(stage)?)
}

/// A checkpoint every two batches.
pub(super) fn calm(params: &mut Params) {
    bounds(params);
    (params.checkpoint_interval, params.window) = (2, 4);
}

/// However long all goes well, the patience stays what it was at first.
pub(super) fn floor(stage: &mut Stage<'_>) -> Outcome {
    let mut asking = Asking { backup: 2, last: Timestamp(0) };
    for seq in 1..=16 {
        asking.waits(stage, 1, 1)?;
        expect("the last batch executed", seq, stage.replica(2)?.status().last_executed.0)?;
        expect("patience in view timeouts", Some(1), stage.patience(2)?)?;
    }
    Ok(())
}

/// The primary orders everything but one request. The backup that waits for it has executed what all have executed, so
/// nothing excuses the primary.
pub(super) fn left_out(stage: &mut Stage<'_>) -> Outcome {
    let backup = 2;
    stage.ask(backup, &stage.request(0, 1, 1))?;
    stage.lose_all();
    for lane in 1..4 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
        stage.settle(|_| true)?;
    }
    for at in [0, 1, 3] {
        stage.tick(at)?;
    }
    let relayed = |letter: &Letter| letter.from == backup;
    stage.settle(|letter| !relayed(letter))?;
    for at in 0..4 {
        expect("the last batch executed", 3, stage.replica(at)?.status().last_executed.0)?;
    }
    expect("whether it waits", true, stage.is_timed(backup))?;
    stage.demand(backup, &Delivery::Timer(Timer::ViewChange))?;
    let status = stage.replica(backup)?.status();
    expect("the view when its patience is at an end", (1, false), (status.view.0, status.active))
}
