//! The client library of production, and replicas that lie, are silent, late or gone (§4.1).

use super::replicas::{DEADLINE, MOMENT, PATIENCE, Replicas, failed, got, lane};
use super::world::{Outcome, await_that, demand, expect, harness};
use pbft_core::types::{Timestamp, View};
use pbft_node::client::Timestamps;
use pbft_node::frame::RefusalReason;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const OPERATION: &[u8] = b"open";

/// One lies, two say the same: the result is what the two say, and not before there are two.
pub(super) fn equal_replies() -> Outcome {
    let mut replicas = Replicas::of_client(4, "")?;
    let asked = replicas.asks(OPERATION);
    let request = replicas.hears(0, OPERATION)?;
    replicas.are_quiet([1, 2, 3])?;
    replicas.replies(0, &request, b"a lie")?;
    replicas.replies(0, &request, b"a lie")?;
    replicas.world.settle()?;
    replicas.replies(2, &request, b"true")?;
    replicas.world.settle()?;
    demand("f replies are no result, nor are two that differ", !asked.is_over())?;
    replicas.replies(1, &request, b"true")?;
    got(asked, b"true")?;
    // What comes late is about nothing any more.
    let asked = replicas.asks(b"next");
    let next = replicas.hears(0, b"next")?;
    for id in 0..4 {
        replicas.replies(id, &request, b"true")?;
    }
    replicas.world.settle()?;
    replicas.replies(1, &next, b"later")?;
    replicas.world.settle()?;
    demand("replies to an older request do not count", !asked.is_over())?;
    replicas.replies(2, &next, b"later")?;
    got(asked, b"later")?;
    demand("timestamps rise", next.timestamp > request.timestamp)?;
    replicas.are_asked_for_their_status(&[0, 1, 2, 3])
}

/// A reply counts if its replica signed it, and sent it itself: otherwise its connection ends, and the client is back soon.
pub(super) fn liars() -> Outcome {
    let mut replicas = Replicas::of_client(4, "result_bytes_max = 1000")?;
    let asked = replicas.asks(OPERATION);
    let request = replicas.hears(0, OPERATION)?;
    // The longest reply has 1134 bytes, its kind and its result included.
    let longest = [7; 1000];
    replicas.replies(3, &request, &longest)?;
    let of_another = replicas.reply(2, &request, b"a lie", |_| {});
    let mut forged = replicas.reply(1, &request, b"a lie", |_| {});
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let renamed = replicas.reply(1, &request, b"a lie", |reply| reply.replica.0 = 2);
    for (id, lie) in [(1, of_another), (2, renamed), (1, forged)] {
        let end = replicas.end(id)?;
        end.say(&lie);
        end.hears_the_end("a replica that sends what is not its own is disconnected")?;
        replicas.hangs_up(id);
        replicas.world.advance(MOMENT)?;
        demand("the client is not back at once", !replicas.is_dialed(id)?)?;
        replicas.world.advance(MOMENT * 2)?;
        replicas.greets(id)?;
    }
    let too_long = replicas.end(2)?;
    too_long.begin(1135);
    too_long.hears_the_end("a frame that is too long is not waited for")?;
    replicas.world.settle()?;
    demand("no lie is a result", !asked.is_over())?;
    replicas.replies(1, &request, &longest)?;
    got(asked, &longest)
}

/// Who is not answered asks everybody: after a second, then after two, then every four; and gives up at the deadline.
pub(super) fn silent_primary() -> Outcome {
    let mut replicas = Replicas::of_client(4, "")?;
    let asked = replicas.asks(OPERATION);
    let request = replicas.hears(0, OPERATION)?;
    let waits = [PATIENCE.first, PATIENCE.first * 2, PATIENCE.max, PATIENCE.max];
    for wait in waits {
        replicas.world.advance(wait - MOMENT)?;
        replicas.are_quiet(0..4)?;
        replicas.world.advance(2 * MOMENT)?;
        for id in 0..4 {
            expect(
                "the same request goes to all",
                request.clone(),
                replicas.hears(id, OPERATION)?,
            )?;
        }
    }
    replicas.replies(3, &request, b"true")?;
    replicas.world.settle()?;
    demand("the word of f replicas is no result, however late", !asked.is_over())?;
    let passed = waits.iter().sum::<Duration>() + 4 * MOMENT;
    replicas.world.advance(DEADLINE - passed - MOMENT)?;
    demand("it waits until its deadline", !asked.is_over())?;
    replicas.world.advance(2 * MOMENT)?;
    failed(asked, "Timeout { needed: 2, after: 60s }")?;
    // The lane that gave up is free.
    let asked = replicas.asks(b"next");
    let next = loop {
        let next = replicas.hears_any(0)?;
        if next.operation == b"next" {
            break next;
        }
    };
    replicas.answer(asked, &next, b"done")
}

/// A primary that is gone is not waited for.
pub(super) fn primary_gone() -> Outcome {
    let mut replicas = Replicas::of_client(4, "")?;
    let asked = replicas.asks(OPERATION);
    let request = replicas.hears(0, OPERATION)?;
    replicas.hangs_up(2);
    replicas.are_quiet([1, 3])?;
    replicas.hangs_up(0);
    for id in [1, 3] {
        expect("it goes to all at once", request.clone(), replicas.hears(id, OPERATION)?)?;
    }
    replicas.answer(asked, &request, b"done")?;
    // The next one does not wait for the primary either.
    let asked = replicas.asks(b"next");
    let next = replicas.hears(1, b"next")?;
    expect("all that are there hear of the next", next.clone(), replicas.hears(3, b"next")?)?;
    replicas.answer(asked, &next, b"done")?;
    // What was said to it while it was gone, it gets when it is back: each once, in order.
    replicas.world.advance(Duration::from_millis(25))?;
    replicas.greets(0)?;
    expect("what it missed", request, replicas.hears(0, OPERATION)?)?;
    for _ in 0..2 {
        // Sent to it as the primary, and then to all.
        expect("what it missed", next.clone(), replicas.hears(0, b"next")?)?;
    }
    let asked = replicas.asks(b"then");
    let then = replicas.hears(0, b"then")?;
    replicas.are_quiet([0, 1, 3])?;
    replicas.answer(asked, &then, b"done")
}

/// The client follows the view that f+1 replicas are in, and no single one.
pub(super) fn views() -> Outcome {
    let mut replicas = Replicas::of_client(4, "")?;
    for (told, believed) in [([View(0), View(9)], 0), ([View(5), View(7)], 5), ([View(1); 2], 5)] {
        let primary = replicas.client.view().0 as usize % 4;
        let asked = replicas.asks(OPERATION);
        let request = replicas.hears(primary, OPERATION)?;
        for (id, view) in [1, 2].into_iter().zip(told) {
            let frame = replicas.reply(id, &request, b"done", |reply| reply.view = view);
            replicas.end(id)?.say(&frame);
        }
        got(asked, b"done")?;
        expect("the view", View(believed), replicas.client.view())?;
    }
    let asked = replicas.asks(b"next");
    let next = replicas.hears(1, b"next")?;
    // What one lane has learned all lanes know.
    let beside = replicas.asks(b"beside");
    let other = replicas.hears(1, b"beside")?;
    replicas.are_quiet([0, 2, 3])?;
    replicas.answer(asked, &next, b"done")?;
    replicas.answer(beside, &other, b"done")
}

/// Each lane has one operation under way, the lowest that are free come first, and who finds none waits.
pub(super) fn lanes() -> Outcome {
    let mut replicas = Replicas::of_client(3, "lanes_max = 2")?;
    let asked = [replicas.asks(b"a")];
    let a = replicas.hears(0, b"a")?;
    let asked_b = replicas.asks(b"b");
    let b = replicas.hears(0, b"b")?;
    expect("two lanes", (0, 1), (lane(&a), lane(&b)))?;
    demand("each with a time of its own", a.timestamp < b.timestamp)?;
    let asked_c = replicas.asks(b"c");
    replicas.are_quiet([0])?;
    let mut swapped = a.clone();
    swapped.lane = b.lane;
    for id in 0..4 {
        replicas.replies(id, &swapped, b"swapped")?;
    }
    replicas.world.settle()?;
    demand("a reply to another lane is none", !asked[0].is_over() && !asked_b.is_over())?;
    replicas.answer(asked_b, &b, b"of b")?;
    let c = replicas.hears(0, b"c")?;
    expect("the lane that is free", 1, lane(&c))?;
    let [asked_a] = asked;
    replicas.answer(asked_a, &a, b"of a")?;
    replicas.answer(asked_c, &c, b"of c")?;
    let asked_d = replicas.asks(b"d");
    let d = replicas.hears(0, b"d")?;
    expect("the lowest lane", 0, lane(&d))?;
    replicas.answer(asked_d, &d, b"of d")
}

/// What f+1 replicas will not do is refused; one that says so may lie, so everybody is asked.
pub(super) fn refusals() -> Outcome {
    let mut replicas = Replicas::of_client(1, "operation_bytes_max = 8")?;
    failed(replicas.asks(&[1; 9]), "TooLarge { len: 9, max: 8 }")?;
    let asked = replicas.asks(&[2; 8]);
    let request = replicas.hears(0, &[2; 8])?;
    replicas.refuses(0, &request, RefusalReason::LaneTooHigh)?;
    for id in 0..4 {
        expect("one refusal may be a lie", request.clone(), replicas.hears(id, &[2; 8])?)?;
    }
    replicas.refuses(0, &request, RefusalReason::LaneTooHigh)?;
    replicas.refuses(1, &request, RefusalReason::OperationTooLarge)?;
    replicas.are_quiet(0..4)?;
    demand("two that differ settle nothing", !asked.is_over())?;
    replicas.refuses(2, &request, RefusalReason::OperationTooLarge)?;
    failed(asked, "Refused(OperationTooLarge)")?;
    let asked = replicas.asks(b"next");
    let next = replicas.hears(0, b"next")?;
    replicas.refuses(0, &next, RefusalReason::OperationTooLarge)?;
    replicas.refuses(3, &request, RefusalReason::OperationTooLarge)?;
    for id in 0..4 {
        replicas.hears(id, b"next")?;
    }
    replicas.answer(asked, &next, b"done")
}

/// An overloaded cluster is left alone for a while, and then asked again; at the deadline the client says what was wrong.
pub(super) fn overload() -> Outcome {
    let mut replicas = Replicas::of_client(1, "")?;
    let asked = replicas.asks(OPERATION);
    let request = replicas.hears(0, OPERATION)?;
    // The first pause lies between 25 and 75 ms, the next between 50 and 150.
    for (least, most) in [(25, 75), (50, 150)].map(|(a, b)| (millis(a), millis(b))) {
        replicas.refuses(0, &request, RefusalReason::Overloaded)?;
        replicas.are_quiet(0..4)?;
        replicas.refuses(1, &request, RefusalReason::Overloaded)?;
        replicas.world.advance(least - millis(2))?;
        replicas.are_quiet(0..4)?;
        replicas.world.advance(most - least + millis(4))?;
        for id in 0..4 {
            expect("it is asked again", request.clone(), replicas.hears(id, OPERATION)?)?;
        }
    }
    replicas.world.advance(DEADLINE)?;
    failed(asked, "Overloaded")
}

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// A timestamp that was spent on another request: the operation is asked for again, with a later one. If nobody knows what
/// became of it, the user is told.
pub(super) fn spent() -> Outcome {
    let mut replicas = Replicas::of_client(1, "")?;
    let asked = replicas.asks(OPERATION);
    let request = replicas.hears(0, OPERATION)?;
    replicas.refuses(0, &request, RefusalReason::UsedForAnother)?;
    for id in 0..4 {
        replicas.hears(id, OPERATION)?;
    }
    replicas.refuses(2, &request, RefusalReason::UsedForAnother)?;
    let again = replicas.hears(0, OPERATION)?;
    demand("it is asked for again, later", again.timestamp > request.timestamp)?;
    let last = Timestamp(again.timestamp.0 + 1_000_000_000);
    let far = Timestamp(last.0 + 1_000_000_000_000);
    let old = |last| RefusalReason::OldTimestamp { last };
    replicas.refuses(3, &again, old(far))?;
    for id in 0..4 {
        replicas.hears(id, OPERATION)?;
    }
    replicas.refuses(0, &again, old(last))?;
    replicas.are_quiet(0..4)?;
    demand("others are waited for", !asked.is_over())?;
    replicas.refuses(1, &again, old(last))?;
    failed(asked, &format!("Overtaken {{ last: {last:?} }}"))?;
    let asked = replicas.asks(b"next");
    let next = replicas.hears(0, b"next")?;
    let above = next.timestamp > last && next.timestamp < far;
    demand("the next one is above what f+1 say, and not above what a liar says", above)?;
    replicas.answer(asked, &next, b"done")
}

/// Timestamps rise over restarts, and a file that was written by a faster clock is believed.
pub(super) fn restarts() -> Outcome {
    let directory = tempfile::tempdir().map_err(harness)?;
    let path = directory.path().join("client.clock");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let mut last = Timestamp((now() - 1) as u64);
    for round in 0..3 {
        let times = Timestamps::open(&path).map_err(harness)?;
        let mut replicas = Replicas::with(times, 1, "")?;
        for _ in 0..2 {
            let asked = replicas.asks(OPERATION);
            let request = replicas.hears(0, OPERATION)?;
            demand("timestamps rise over restarts", request.timestamp > last)?;
            last = request.timestamp;
            replicas.answer(asked, &request, b"done")?;
        }
        drop(replicas);
        waiting_for_release(&path)?;
        if round == 1 {
            last = Timestamp(last.0 + 3_600_000_000);
            std::fs::write(&path, format!("{:020}\n", last.0)).map_err(harness)?;
        }
    }
    let kept = || std::fs::read_to_string(&path).map_err(harness);
    expect("what is left is given back", format!("{:020}\n", last.0), kept()?)?;
    let mut times = Timestamps::open(&path).map_err(harness)?;
    let taken = times.take().map_err(harness)?;
    let reserved: u64 = kept()?.trim().parse().map_err(harness)?;
    demand("a timestamp is reserved before it is used", reserved >= taken.0)?;
    drop(times);
    std::fs::write(&path, format!("{}\n", Timestamp::MAX.0 - 1)).map_err(harness)?;
    let mut times = Timestamps::open(&path).map_err(harness)?;
    expect("the highest timestamp", Timestamp::MAX, times.take().map_err(harness)?)?;
    demand("there is none above it", times.take().is_err())?;
    drop(times);
    for wrong in ["yesterday", "-1", "1e9", "12 13"] {
        std::fs::write(&path, wrong).map_err(harness)?;
        demand("what is no number is refused", Timestamps::open(&path).is_err())?;
    }
    Ok(())
}

/// The file is let go of when the client is.
fn waiting_for_release(path: &std::path::Path) -> Outcome {
    let file = std::fs::File::open(path).map_err(harness)?;
    await_that("a client that is gone lets go of its file", || file.try_lock().is_ok())
}
