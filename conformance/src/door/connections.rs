//! Connections that are let in: how many a client has and a replica has, what a client may send in what time, how long
//! somebody may be silent, and what is not taken twice. The clock of the node stands unless it is moved.

use super::wire::{End, Heard, STATUS, STATUS_REQUEST, request, request_frame};
use super::world::{File, Hall, Outcome, await_that, counted, demand, expect};
use pbft_core::types::{ClientId, Principal, ReplicaId};
use std::time::Duration;

/// So many connections a client may have at a replica.
const CONNECTIONS: usize = 8;

/// A client's frame is not taken again for so long.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A replica that is silent for so long is gone.
const PEER_IDLE: Duration = Duration::from_secs(30);

/// A client has so long.
const CLIENT_IDLE: Duration = Duration::from_secs(600);

const MOMENT: Duration = Duration::from_millis(10);

impl Hall {
    fn greeted(&self, who: Principal) -> Outcome<End> {
        End::greeted(&self.cluster, self.node.address, who, 0)
    }

    fn client(&self, id: u32) -> Outcome<End> {
        self.greeted(Principal::Client(ClientId(id)))
    }

    fn peer(&self, id: u32) -> Outcome<End> {
        self.greeted(Principal::Replica(ReplicaId(id)))
    }

    /// Asks as somebody who has nothing to his credit yet, and lets him gain that.
    fn first_answer(&self, client: &mut End) -> Outcome {
        let waits = || self.node.metrics.throttled.get("client");
        let before = waits();
        client.say(&STATUS_REQUEST);
        await_that("who has only come waits for his first answer", || waits() > before)?;
        self.world.advance(Duration::from_secs(3))?;
        self.answer(client)
    }

    fn answer(&self, client: &mut End) -> Outcome {
        demand("a status is a status", client.hears("an answer")?.starts_with(&STATUS))
    }

    fn ended(&self) -> Vec<(&'static str, u64)> {
        counted(&self.node.metrics.disconnections)
    }
}

/// A client has eight connections; one more closes the oldest. What is said to it is said on each of them.
pub(super) fn of_a_client() -> Outcome {
    let hall = Hall::open(File::default())?;
    let gauge = || hall.node.metrics.client_connections.get() as usize;
    let mut first = hall.client(1)?;
    hall.first_answer(&mut first)?;
    let mut others = Vec::new();
    for _ in 1..CONNECTIONS {
        others.push(hall.client(1)?);
    }
    await_that("eight connections of a client", || gauge() == CONNECTIONS)?;
    let mut other_client = hall.client(2)?;
    first.is_quiet("eight connections are not too many")?;
    others.push(hall.client(1)?);
    first.hears_the_end("the ninth closes the oldest")?;
    await_that("eight are left, and another client's", || gauge() == CONNECTIONS + 1)?;
    others[CONNECTIONS - 1].say(&STATUS_REQUEST);
    for client in &mut others {
        hall.answer(client)?;
    }
    other_client.is_quiet("what is said to one client is not said to another")?;
    let last = others.pop();
    others.into_iter().for_each(End::hangs_up);
    await_that("who hangs up is not counted", || gauge() == 2)?;
    let mut last = last.map_or_else(|| hall.client(1), Ok)?;
    last.say(&STATUS_REQUEST);
    hall.answer(&mut last)?;
    last.is_quiet("one answer to one question")?;
    expect("nobody was refused", 0, counted(&hall.node.metrics.handshakes_refused).len())?;
    hall.node.stop(&hall.world)
}

/// A replica has one connection, its latest.
pub(super) fn of_a_replica() -> Outcome {
    let hall = Hall::open(File::default())?;
    let gauge = || hall.node.metrics.peer_connections.get();
    let (mut first, mut other) = (hall.peer(2)?, hall.peer(3)?);
    await_that("two replicas", || gauge() == 2)?;
    let mut second = hall.peer(2)?;
    first.hears_the_end("who dials again has given up the connection before")?;
    await_that("one connection a replica", || gauge() == 2)?;
    expect("that is counted", vec![("replaced", 1)], hall.ended())?;
    other.is_quiet("another replica's connection stays")?;
    second.is_quiet("the latest stays")?;
    second.hangs_up();
    await_that("who hangs up is not counted", || gauge() == 1)?;
    let _third = hall.peer(2)?;
    await_that("it may come back", || gauge() == 2)?;
    expect("nothing was replaced then", vec![("replaced", 1)], hall.ended())?;
    hall.node.stop(&hall.world)
}

/// The same frame of a client is taken once in 200 ms, over whichever connection.
pub(super) fn repeats() -> Outcome {
    let hall = Hall::open(File::default())?;
    let (mut client, mut second) = (hall.client(1)?, hall.client(1)?);
    hall.first_answer(&mut client)?;
    hall.answer(&mut second)?;
    let mut stranger = hall.client(2)?;
    hall.first_answer(&mut stranger)?;
    let frame = request_frame(&request(hall.cluster.id(), 1, 5, b"an operation"));
    let before = hall.node.metrics.client_bytes.get() as usize;
    let taken = || (hall.node.metrics.client_bytes.get() as usize - before) / frame.len();
    let repeated = || hall.node.metrics.frames_refused.get("repeated");
    client.say(&frame);
    await_that("a request is taken", || taken() == 1)?;
    client.say(&frame);
    await_that("it is not taken again", || repeated() == 1)?;
    second.say(&frame);
    await_that("nor over another connection", || repeated() == 2)?;
    hall.world.advance(AGAIN_AFTER - MOMENT)?;
    client.say(&frame);
    await_that("nor a moment before it may be", || repeated() == 3)?;
    expect("it was taken once", 1, taken())?;
    hall.world.advance(2 * MOMENT)?;
    second.say(&frame);
    await_that("then it is taken", || taken() == 2)?;
    let other = request_frame(&request(hall.cluster.id(), 1, 6, b"an operation"));
    client.say(&other);
    await_that("another request is another frame", || taken() == 3)?;
    expect("and none was refused for that", 3, repeated())?;
    // Another client that sends the same bytes is told that they are not its own.
    stranger.say(&frame);
    let answer = stranger.hears("another client's request is refused")?;
    expect("with a refusal", vec![1, 0, 0, 0], answer[..4].to_vec())?;
    expect("for whose it is", 1, hall.node.metrics.requests_refused.get("not-yours"))?;
    hall.node.stop(&hall.world)
}

/// A status costs a client 20 ms of its time, and it has a second to its credit.
pub(super) fn shares() -> Outcome {
    /// The fiftieth makes a second, and its bytes are too many.
    const FREE: usize = 49;
    let hall = Hall::open(File::default())?;
    let mut client = hall.client(1)?;
    hall.first_answer(&mut client)?;
    hall.world.advance(Duration::from_secs(10))?;
    let waits = || hall.node.metrics.throttled.get("client");
    let before = waits();
    for _ in 0..FREE {
        client.say(&STATUS_REQUEST);
        hall.answer(&mut client)?;
    }
    expect("a second's worth is free", before, waits())?;
    client.say(&STATUS_REQUEST);
    await_that("what is more waits", || waits() == before + 1)?;
    let mut other = hall.client(2)?;
    hall.first_answer_of_another(&mut other, &mut client)?;
    hall.node.stop(&hall.world)
}

impl Hall {
    /// Another client does not wait for what this one has used up; this one is answered once it has waited.
    fn first_answer_of_another(&self, other: &mut End, waiting: &mut End) -> Outcome {
        waiting.is_quiet("who waits is not answered")?;
        self.first_answer(other)?;
        self.answer(waiting)
    }
}

/// A replica that is silent for 30 seconds is gone, a client after ten minutes, and whoever speaks stays.
pub(super) fn silence() -> Outcome {
    let hall = Hall::open(File::default())?;
    let (mut quiet, mut speaking, mut client) = (hall.peer(1)?, hall.peer(2)?, hall.client(1)?);
    await_that("they are there", || {
        let metrics = &hall.node.metrics;
        metrics.peer_connections.get() == 2 && metrics.client_connections.get() == 1
    })?;
    hall.world.advance(PEER_IDLE - MOMENT)?;
    // A question for a batch that nobody has.
    let bytes = hall.node.metrics.peer_bytes.get();
    let waits = hall.node.metrics.throttled.get("peer");
    speaking.say(&[&[10, 0, 0, 0][..], &[3; 32]].concat());
    await_that("it is heard", || hall.node.metrics.throttled.get("peer") > waits)?;
    quiet.is_quiet("who is silent has so long")?;
    hall.world.advance(2 * MOMENT)?;
    quiet.hears_the_end("who is silent for longer is gone")?;
    await_that("it is read", || hall.node.metrics.peer_bytes.get() == bytes + 36)?;
    speaking.is_quiet("who speaks stays")?;
    expect("one is gone", vec![("idle", 1)], hall.ended())?;
    hall.world.advance(CLIENT_IDLE - PEER_IDLE - 3 * MOMENT)?;
    speaking.hears_the_end("it has been silent, too")?;
    client.is_quiet("a client may be silent for longer")?;
    hall.world.advance(3 * MOMENT)?;
    expect("and not for ever", Heard::End, client.hear()?)?;
    expect("all that were silent", vec![("idle", 3)], hall.ended())?;
    hall.node.stop(&hall.world)
}
