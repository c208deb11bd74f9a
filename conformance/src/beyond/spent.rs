//! What a client believes of a timestamp that is spent (docs/deviations.md): somebody else uses its key, or a liar says so.

use super::stage::{Outcome, Stage, expect};
use crate::refinement::layout::request_digest;
use pbft_core::client::{
    ClientEffect, ClientInput, ClientLane, ClientRejection, Fate, Patience, Spent,
};
use pbft_core::message::{Request, Signed};
use pbft_core::types::{Digest, ReplicaId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

type Heard = Result<Vec<ClientEffect>, ClientRejection>;

/// What a client hears, and whether its patience ends.
enum Word {
    /// A replica has executed another request with the timestamp.
    Another(u32),
    /// A replica's lane is at a later timestamp.
    Old(u32, u64),
    /// The timer runs out.
    Timeout,
}

/// A client whose request with timestamp 5 is outstanding at four replicas.
struct Client {
    lane: ClientLane,
    request: Arc<Signed<Request>>,
}

const PATIENCE: Patience = Patience { first: Duration::from_secs(1), max: Duration::from_secs(4) };

impl Client {
    fn new(stage: &Stage<'_>) -> Outcome<Self> {
        let membership = stage.replica(0)?.params().membership;
        let mut lane = ClientLane::new(membership, PATIENCE);
        let request = stage.request(0, 5, 1);
        let sent = lane.step(ClientInput::Submit(Arc::clone(&request)));
        expect("whether it is sent", true, sent.is_ok())?;
        Ok(Self { lane, request })
    }

    fn hears(&mut self, word: &Word) -> Heard {
        let request = request_digest(&self.request.body);
        let said = |from: u32, spent| ClientInput::Spent { from: ReplicaId(from), request, spent };
        self.lane.step(match *word {
            Word::Another(from) => said(from, Spent::ForAnother),
            Word::Old(from, last) => said(from, Spent::Old { last: Timestamp(last) }),
            Word::Timeout => ClientInput::Timeout,
        })
    }

    fn all_are_asked(&self) -> Heard {
        Ok(vec![ClientEffect::Broadcast(Arc::clone(&self.request))])
    }

    fn asks_again(&self, wait: u64) -> Heard {
        let broadcast = ClientEffect::Broadcast(Arc::clone(&self.request));
        Ok(vec![broadcast, ClientEffect::SetTimer(Duration::from_secs(wait))])
    }
}

fn gives_up(fate: Fate, last: u64) -> Heard {
    let (timestamp, last) = (Timestamp(5), Timestamp(last));
    Ok(vec![ClientEffect::CancelTimer, ClientEffect::Spent { timestamp, fate, last }])
}

/// f+1 equal words are believed, f are not; and what was not executed may only be said to be so if f+1 say it.
pub(super) fn words(stage: &mut Stage<'_>) -> Outcome {
    type Expected = fn(&Client) -> Heard;
    let stories: [(&str, Vec<(Word, Expected)>); 5] = [
        (
            "two have executed another request",
            vec![
                (Word::Another(1), Client::all_are_asked),
                (Word::Another(1), |_| Ok(Vec::new())),
                (Word::Another(3), |_| gives_up(Fate::NeverExecuted, 5)),
                (Word::Another(2), |_| Err(ClientRejection::Idle)),
            ],
        ),
        (
            "one says so, and the others that the lane has gone on",
            vec![
                (Word::Another(3), Client::all_are_asked),
                (Word::Old(0, 7), |_| Ok(Vec::new())),
                (Word::Old(1, 9), |_| gives_up(Fate::Unknown, 7)),
            ],
        ),
        (
            "one says so, one that the lane has gone on, and nobody else anything",
            vec![
                (Word::Old(0, 7), Client::all_are_asked),
                (Word::Another(3), |_| Ok(Vec::new())),
                (Word::Timeout, |_| gives_up(Fate::Unknown, 5)),
            ],
        ),
        (
            "one liar says so",
            vec![
                (Word::Another(3), Client::all_are_asked),
                (Word::Timeout, |client| client.asks_again(2)),
                (Word::Timeout, |client| client.asks_again(4)),
                (Word::Timeout, |client| client.asks_again(4)),
            ],
        ),
        (
            "a stranger says so",
            vec![(Word::Another(4), |_| Err(ClientRejection::NotAMember(ReplicaId(4))))],
        ),
    ];
    for (what, words) in stories {
        let mut client = Client::new(stage)?;
        for (word, expected) in words {
            let expected = expected(&client);
            expect(what, expected, client.hears(&word))?;
        }
    }
    let mut client = Client::new(stage)?;
    let (got, from) = (Digest([1; 32]), ReplicaId(1));
    let of_another = ClientInput::Spent { from, request: got, spent: Spent::ForAnother };
    let expected = request_digest(&client.request.body);
    let refused = Err(ClientRejection::AnotherRequest { expected, got });
    expect("of another request", refused, client.lane.step(of_another))?;
    expect("whether it still waits", true, client.lane.is_busy())
}
