//! Batches, lanes and the pipeline (§4.1, §4.2): the model has one request in a batch, and one of each client.

use super::label::{about, label};
use super::stage::{Outcome, Stage, expect, from};
use crate::refinement::action::Delivery;
use pbft_core::RejectionKind;
use pbft_core::message::Message;
use pbft_core::types::Timestamp;
use pbft_core::{Params, Timer};
use std::sync::Arc;

/// Small batches, one in flight at a time.
pub(super) fn small_batches(params: &mut Params) {
    (params.checkpoint_interval, params.window, params.pipeline) = (4, 8, 1);
    (params.batch_requests_max, params.operation_bytes_max, params.lanes_max) = (3, 8, 16);
}

/// What waits goes into one batch, up to the most requests that a batch may have, the oldest first.
pub(super) fn batches_hold_what_waits(stage: &mut Stage<'_>) -> Outcome {
    stage.ask(0, &stage.request(0, 1, 1))?;
    for lane in 1..=4 {
        stage.ask(0, &stage.request(lane, 1, 8))?;
    }
    expect("requests that wait at the primary", 5, stage.footprint(0)?.pending)?;
    expect("batches while one is in flight", vec![(1, vec![0])], stage.ordered(0))?;
    stage.settle(|_| true)?;
    let expected = vec![(1, vec![0]), (2, vec![1, 2, 3]), (3, vec![4])];
    expect("batches", expected, stage.ordered(0))?;
    for at in 0..4 {
        expect("executed requests by batch", vec![(1, 1), (2, 3), (3, 1)], stage.executed(at))?;
        let replies = vec![(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)];
        expect("replies", replies, stage.replied(at))?;
        let held = stage.footprint(at)?;
        expect("requests that wait, and replies kept", (0, 5), (held.pending, held.replies))?;
        expect("a timer without a request", false, stage.is_timed(at))?;
    }
    Ok(())
}

/// Many requests a batch: only the bytes of their operations limit it. 8 operations of 8 bytes are the most.
pub(super) fn large_batches(params: &mut Params) {
    small_batches(params);
    params.batch_requests_max = 100;
}

/// A batch is closed by the first operation that does not fit, and nobody overtakes that one.
pub(super) fn batches_hold_what_fits(stage: &mut Stage<'_>) -> Outcome {
    let limit = stage.replica(0)?.params().batch_bytes_max();
    expect("the most operation bytes in a batch", 64, limit)?;
    let sizes = [1, 1, 8, 8, 8, 8, 8, 8, 8, 8, 1];
    for (lane, bytes) in (0..).zip(sizes) {
        stage.ask(0, &stage.request(lane, 1, bytes))?;
    }
    stage.settle(|_| true)?;
    // 1 and 7 times 8 bytes; the next would make it 65.
    let mut expected = vec![(1, vec![0]), (2, (1..=8).collect()), (3, vec![9, 10])];
    expect("batches by bytes", expected.clone(), stage.ordered(0))?;
    let sizes = [1, 8, 8, 8, 8, 8, 8, 8, 8, 1];
    for (lane, bytes) in (0..).zip(sizes) {
        stage.ask(0, &stage.request(lane, 2, bytes))?;
    }
    stage.settle(|_| true)?;
    // 8 times 8 bytes fill it to the last.
    expected.extend([(4, vec![0]), (5, (1..=8).collect()), (6, vec![9])]);
    expect("batches that are full to the last byte", expected, stage.ordered(0))
}

/// Single requests, two in flight.
pub(super) fn short_pipeline(params: &mut Params) {
    small_batches(params);
    (params.batch_requests_max, params.pipeline) = (1, 2);
}

/// The primary orders no more than the pipeline holds, and goes on when something is executed.
pub(super) fn the_pipeline_is_kept(stage: &mut Stage<'_>) -> Outcome {
    for lane in 0..5 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    let single = |count: u16| (0..count).map(|lane| (u64::from(lane) + 1, vec![lane])).collect();
    expect::<Vec<_>>("what a pipeline of two holds", single(2), stage.ordered(0))?;
    // The primary executes nothing without COMMITs.
    let lost = stage.settle(|letter| !matches!(letter.message, Message::Commit(_)))?;
    expect::<Vec<_>>("what is ordered before anything is executed", single(2), stage.ordered(0))?;
    stage.release(&lost, |letter| about(&letter.message) == Some(1))?;
    expect::<Vec<_>>("what is ordered when one is executed", single(3), stage.ordered(0))?;
    stage.release(&lost, |letter| about(&letter.message) == Some(2))?;
    stage.settle(|_| true)?;
    expect::<Vec<_>>("what is ordered in the end", single(5), stage.ordered(0))
}

/// Single requests, a pipeline longer than the window.
pub(super) fn short_window(params: &mut Params) {
    small_batches(params);
    (params.checkpoint_interval, params.window) = (2, 4);
    (params.batch_requests_max, params.pipeline) = (1, 100);
}

/// The primary orders nothing above the high water mark, and goes on when a checkpoint is stable.
pub(super) fn the_window_is_kept(stage: &mut Stage<'_>) -> Outcome {
    for lane in 0..7 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    let single = |count: u16| (0..count).map(|lane| (u64::from(lane) + 1, vec![lane])).collect();
    let lost = stage.settle(|letter| !matches!(letter.message, Message::Checkpoint(_)))?;
    expect("executed", vec![(1, 1), (2, 1), (3, 1), (4, 1)], stage.executed(0))?;
    expect::<Vec<_>>("what a window of four holds", single(4), stage.ordered(0))?;
    stage.release(&lost, |letter| about(&letter.message) == Some(2))?;
    expect::<Vec<_>>("what is ordered when 2 is stable", single(6), stage.ordered(0))?;
    stage.release(&lost, |letter| about(&letter.message) == Some(4))?;
    stage.settle(|_| true)?;
    expect::<Vec<_>>("what is ordered in the end", single(7), stage.ordered(0))?;
    for at in 0..4 {
        let last = stage.replica(at)?.status().last_executed.0;
        expect("the last batch executed", 7, last)?;
    }
    Ok(())
}

fn sent(seen: &crate::subject::Observation) -> Vec<String> {
    seen.sends.iter().map(|(to, message)| format!("{} to {}", label(message), to.0)).collect()
}

/// §4.1: a lane has one request at a time, the one with the highest timestamp.
pub(super) fn lanes_go_forward(stage: &mut Stage<'_>) -> Outcome {
    let [third, fourth, fifth] = [3, 4, 5].map(|timestamp| stage.request(0, timestamp, 1));
    let client = |request: &Arc<_>| Delivery::Client(Message::Request(Arc::clone(request)));
    let seen = stage.ask(1, &fourth)?;
    expect("a backup relays", vec!["REQUEST lane 0 t4 to 0".to_owned()], sent(&seen))?;
    stage.refuse(1, &client(&third), RejectionKind::OldTimestamp)?;
    let seen = stage.ask(1, &fifth)?;
    expect("a backup relays", vec!["REQUEST lane 0 t5 to 0".to_owned()], sent(&seen))?;
    expect("requests of one lane that wait", 1, stage.footprint(1)?.pending)?;
    stage.refuse(1, &client(&fourth), RejectionKind::OldTimestamp)?;
    let seen = stage.ask(1, &fifth)?;
    expect("it relays again", vec!["REQUEST lane 0 t5 to 0".to_owned()], sent(&seen))?;
    expect("requests of one lane that wait", 1, stage.footprint(1)?.pending)?;
    let another = client(&stage.request(0, 5, 2));
    stage.refuse(1, &another, RejectionKind::AnotherWaits)?;
    let [last, beyond] = [0, 1].map(|more| stage.request(1, Timestamp::MAX.0 + more, 1));
    stage.refuse(1, &client(&beyond), RejectionKind::TimestampTooHigh)?;
    let order = stage.pre_prepare(1, &[last, beyond]);
    stage.refuse(1, &from(0, order), RejectionKind::TimestampTooHigh)?;
    let relayed = from(2, Message::Request(Arc::clone(&fifth)));
    stage.refuse(1, &relayed, RejectionKind::Duplicate)?;
    stage.settle(|_| true)?;
    for at in 0..4 {
        expect("executed", vec![(1, 1), (2, 1)], stage.executed(at))?;
        expect("replies", vec![(0, 4), (0, 5)], stage.replied(at))?;
        expect("requests that wait", 0, stage.footprint(at)?.pending)?;
        expect("a timer without a request", false, stage.is_timed(at))?;
        stage.refuse(at, &client(&fourth), RejectionKind::OldTimestamp)?;
        stage.refuse(at, &another, RejectionKind::UsedForAnother)?;
    }
    let again = stage.ask(1, &fifth)?;
    expect("what is answered again", 1, again.replies.len())
}

/// §4.1: whatever a faulty primary puts into a batch, a request is executed once, and none after a later one.
pub(super) fn batches_of_a_liar(stage: &mut Stage<'_>) -> Outcome {
    let [third, fourth, other] =
        [stage.request(0, 3, 1), stage.request(0, 4, 1), stage.request(1, 1, 1)];
    let batch = [&fourth, &fourth, &other].map(Arc::clone);
    for (seq, batch) in [(1, batch), (2, [&third, &fourth, &other].map(Arc::clone))] {
        let order = stage.pre_prepare(seq, &batch);
        for at in 1..4 {
            stage.demand(at, &from(0, order.clone()))?;
        }
    }
    stage.settle(|letter| letter.to != 0)?;
    for at in 1..4 {
        expect("executed requests by batch", vec![(1, 2), (2, 0)], stage.executed(at))?;
        expect("replies", vec![(0, 4), (1, 1)], stage.replied(at))?;
        expect("replies kept", 2, stage.footprint(at)?.replies)?;
    }
    Ok(())
}

/// §4.4: a request that O orders waits at the new primary, too, and is not ordered a second time; nor after a restart.
pub(super) fn what_o_orders_is_ordered(stage: &mut Stage<'_>) -> Outcome {
    let first = stage.request(0, 1, 1);
    stage.ask(1, &first)?;
    // Everybody has prepared it, and nobody commits.
    stage.settle(|letter| !matches!(letter.message, Message::Commit(_)))?;
    for at in 0..4 {
        stage.demand(at, &Delivery::Suspect)?;
    }
    let is_vote = |message: &Message| matches!(message, Message::Prepare(_) | Message::Commit(_));
    let lost = stage.settle(|letter| !is_vote(&letter.message))?;
    for at in 0..4 {
        let status = stage.replica(at)?.status();
        expect("the new view", (1, true), (status.view.0, status.active))?;
    }
    expect("orders beside O", Vec::new(), stage.ordered(1))?;
    stage.restart(1)?;
    stage.ask(1, &first)?;
    expect("orders beside O after a restart", Vec::new(), stage.ordered(1))?;
    stage.release(&lost, |_| true)?;
    stage.ask(1, &stage.request(1, 1, 1))?;
    stage.settle(|_| true)?;
    expect("the next order", vec![(2, vec![1])], stage.ordered(1))?;
    for at in 0..4 {
        expect("executed", vec![(1, 1), (2, 1)], stage.executed(at))?;
    }
    Ok(())
}

/// A primary that waits for batches to fill, until the scenario says that it has waited long enough.
pub(super) fn patient(params: &mut Params) {
    small_batches(params);
    params.batch_delay = std::time::Duration::from_secs(1 << 34);
}

/// `batch_delay` in docs/deviations.md: as many requests are waited for as were just answered or waited meanwhile, but no
/// more than a batch holds, and no longer than the delay.
pub(super) fn batches_fill(stage: &mut Stage<'_>) -> Outcome {
    let is_over = Delivery::Timer(Timer::Batch);
    for lane in 0..3 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    stage.settle(|_| true)?;
    let mut expected = vec![(1, vec![0])];
    expect("batches: one was answered, two wait", expected.clone(), stage.ordered(0))?;
    stage.ask(0, &stage.request(0, 2, 1))?;
    stage.settle(|_| true)?;
    expected.push((2, vec![1, 2, 0]));
    expect("batches when three wait", expected.clone(), stage.ordered(0))?;
    // Three were answered. Two requests of one lane are one that waits.
    for timestamp in 3..=4 {
        stage.ask(0, &stage.request(0, timestamp, 1))?;
    }
    stage.ask(0, &stage.request(1, 2, 1))?;
    expect("batches when two wait", expected.clone(), stage.ordered(0))?;
    stage.demand(0, &is_over)?;
    expected.push((3, vec![0, 1]));
    expect("batches when they have waited", expected.clone(), stage.ordered(0))?;
    stage.demand(0, &is_over)?;
    expect("batches of nothing", expected.clone(), stage.ordered(0))?;
    // Four wait while that one is executed: a batch holds three, so nobody else is waited for.
    for lane in 2..6 {
        stage.ask(0, &stage.request(lane, 5, 1))?;
    }
    stage.settle(|_| true)?;
    expected.push((4, vec![2, 3, 4]));
    expect("batches when more wait than one holds", expected.clone(), stage.ordered(0))?;
    stage.demand(0, &is_over)?;
    stage.settle(|_| true)?;
    expect("batches when one of four has waited once", expected.clone(), stage.ordered(0))?;
    stage.demand(0, &is_over)?;
    stage.settle(|_| true)?;
    expected.push((5, vec![5]));
    expect("batches when the last has waited", expected.clone(), stage.ordered(0))?;
    stage.ask(0, &stage.request(0, 6, 1))?;
    stage.settle(|_| true)?;
    expected.push((6, vec![0]));
    expect("batches of a client that is alone", expected, stage.ordered(0))
}
