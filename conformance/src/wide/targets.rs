//! A state that is fetched over many ticks: since nobody gives more than a little between two of them, or since the others go
//! on meanwhile.

use super::cluster::{Cluster, Letter, Spec, request};
use super::pages::Ledger;
use super::states::{filled, is_chunk, tick, without_3};
use super::story::{Outcome, Story, demand, expect};
use crate::divergence::Kind;
use crate::signpost::{Handler, in_core, in_node};
use pbft_core::Params;
use pbft_core::message::{Message, StatePart};
use std::time::Duration;

pub(super) const SHARES: &[Handler] = &[
    in_core!("sources.rs", "Sources::on_tick"),
    in_core!("budget.rs", "Budget::give"),
    in_node!("store/transaction.rs", "Transaction::install"),
];

/// What a peer is given between two ticks: some two chunks.
const SHARE: usize = 1 << 17;

/// The ticks within which a state of two megabytes is here, with half of that from each of three.
const TICKS: u32 = 40;

fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window) = (2, 4);
    params.batch_requests_max = 1;
    params.status_interval = Duration::from_millis(100);
    params.help_bytes_max = SHARE;
}

/// A replica that missed everything gets the state a share at a time, and is done in as many ticks as that takes.
pub(super) fn a_share_at_a_time(story: &Story) -> Outcome {
    story.about("a large state, and small shares of it", SHARES);
    let mut cluster = Cluster::start(story, Spec { replicas: 4, bounds })?;
    let mut ledger = Ledger::new(1000);
    for time in 1..=8 {
        let operation = format!("fill {} 30 {time} 8000", 30 * time);
        let asked = request(1, 0, time, &operation);
        cluster.ask(0, &asked)?;
        cluster.run(|letter| letter.to != 3)?;
        ledger.execute(&asked.body);
    }
    let bytes: usize = ledger.checkpoint(8).chunks.iter().map(|chunk| chunk.len()).sum();
    demand(Kind::Harness, "the state is too small", bytes > 12 * SHARE)?;
    let mut ticks = 0;
    while cluster.report(3)?.last_executed.0 < 8 && ticks < TICKS {
        story.sleep(Duration::from_millis(100));
        cluster.run(|_| true)?;
        ticks += 1;
    }
    let report = cluster.report(3)?;
    let got = (report.last_executed.0, report.state);
    expect(Kind::State, "the state after many ticks", (8, Some(ledger.digest())), got)?;
    demand(Kind::Reaction, "more was given at once than a share", ticks > 4)
}

pub(super) const MOVING: &[Handler] = &[
    in_core!("transfer.rs", "StateTransfer::on_manifest"),
    in_node!("store/transaction.rs", "Transaction::retain_staged"),
    in_node!("store/transaction.rs", "Transaction::install"),
];

/// What was fetched of a state and let go of, since the next state has no use for it, is fetched again for the one after
/// that.
pub(super) fn there_and_back(story: &Story) -> Outcome {
    story.about("a state that others change while it is fetched", MOVING);
    let (mut cluster, mut ledger) = filled(story)?;
    // The chunk with page 0 never arrives, so that no state is whole; the one with page 40 is as it was two states before.
    // A state is served until there are two later ones.
    let targets: [&[(u64, &str)]; 3] = [
        &[(3, "write 40 8100 2"), (4, "write 0 8100 3")],
        &[(5, "write 40 8200 4"), (6, "delete 90"), (7, "write 90 12 2"), (8, "write 0 8100 5")],
        &[(9, "write 40 8100 2"), (10, "delete 90"), (11, "write 90 12 3"), (12, "write 0 8100 6")],
    ];
    let mut held: Vec<usize> = Vec::new();
    for (at, operations) in targets.iter().enumerate() {
        without_3(&mut cluster, &mut ledger, operations)?;
        let seq = operations[operations.len() - 1].0;
        story.about(format!("the state of {seq} is fetched"), MOVING);
        let is_last = at == 2;
        let arrived = std::cell::Cell::new(0);
        let arrives = |letter: &Letter| {
            let of_page_0 = match &letter.message {
                Message::StateData(data) => data.part == StatePart::Chunk(0),
                _ => false,
            };
            let taken = is_last || !(is_chunk(letter) && of_page_0);
            arrived.set(arrived.get() + usize::from(taken && is_chunk(letter)));
            taken
        };
        for _ in 0..4 {
            tick(&mut cluster, arrives)?;
        }
        held.push(arrived.get());
        let expected = if is_last { 12 } else { 2 };
        expect(Kind::State, "what it has executed", expected, cluster.report(3)?.last_executed.0)?;
    }
    let arrived: Vec<bool> = held.iter().map(|one| *one > 0).collect();
    expect(Kind::Harness, "whether chunks of each state arrived", vec![true; 3], arrived)?;
    expect(Kind::State, "the state", Some(ledger.digest()), cluster.report(3)?.state)
}
