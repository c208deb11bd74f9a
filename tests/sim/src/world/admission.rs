//! What faulty senders are let in with.

use super::World;
use crate::behaviour::ELSEWHERE;
use crate::event::Node;
use crate::oracle::Rule;
use pbft_core::Input;
use pbft_core::message::Message;
use pbft_core::size::VOTE;
use pbft_host::frame::{ClientFrame, FrameError, RefusalReason};
use pbft_host::{Admitted, Unread, codec};

/// The tags of PREPARE and COMMIT, and the bytes of a tag.
const VOTES: [[u8; 4]; 2] = [[2, 0, 0, 0], [3, 0, 0, 0]];
const TAG: usize = 4;

/// What must have become of a frame, if it is a special one.
fn wrong(from: Node, frame: &[u8], read: &Result<Admitted, Unread>) -> Option<&'static str> {
    let is_vote = VOTES.iter().any(|tag| frame.starts_with(tag));
    if matches!(from, Node::Host(_)) && is_vote && frame.len() > TAG + VOTE {
        let is_refused = matches!(read, Err(Unread::Frame(FrameError::TooLarge { .. })));
        return (!is_refused).then_some("a vote longer than votes are was looked at");
    }
    if let Node::Client(client) = from
        && let Ok(ClientFrame::Request(request)) = codec::decode(frame)
        && request.body.client.0 != client
    {
        let reason = RefusalReason::NotYours;
        let is_refused = matches!(read, Err(Unread::Refused { reason: why, .. }) if *why == reason);
        return (!is_refused).then_some("a request of another client was looked at");
    }
    let Ok(Admitted::One(input) | Admitted::Two(_, input)) = read else { return None };
    if let Input::Message { message, .. } = input
        && matches!(message.get(), Message::Status(known) if known.body.last_executed == ELSEWHERE)
    {
        return Some("a statement in another cluster was believed");
    }
    let again = match input {
        Input::Message { message, .. } => codec::encode(message.get()),
        Input::Request(message) => match message.get() {
            Message::Request(request) => codec::encode(&ClientFrame::Request(request.clone())),
            _ => return Some("a client's frame became something else than a request"),
        },
        _ => return Some("a frame became something else than a message"),
    };
    (again.as_deref() != Ok(frame)).then_some("a frame was read that no value encodes to")
}

impl World {
    /// What no correct sender sends is refused, and for what it is.
    pub(super) fn judge_admission(
        &mut self,
        index: usize,
        (from, frame): (Node, &[u8]),
        read: &Result<Admitted, Unread>,
    ) {
        let is_faulty = match from {
            Node::Host(host) => self.faulty.contains(&host),
            Node::Client(client) => self.lying_clients.contains_key(&client),
        };
        if is_faulty && let Some(what) = wrong(from, frame, read) {
            self.oracle.accuse(Rule::Admission, || format!("r{index}, from {from}: {what}"));
        }
        if self.keys.were_misjudged() {
            self.oracle.accuse(Rule::Signatures, || format!("r{index}, in a frame from {from}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::message::{Prepare, Request, Signed};
    use pbft_core::types::{
        ClientId, Digest, Lane, ReplicaId, SeqNum, Session, Signature, Timestamp, View,
    };
    use std::sync::Arc;

    fn signed<B>(body: B) -> Signed<B> {
        Signed { body, signature: Signature::default() }
    }

    /// What was done with frames that no correct sender sends, and what is wrong about it.
    #[test]
    fn what_is_looked_at_and_should_not_be_is_noticed() {
        let vote = signed(Prepare {
            view: View(0),
            seq: SeqNum(1),
            digest: Digest::default(),
            replica: ReplicaId(0),
        });
        let vote = codec::encode(&Message::Prepare(vote)).expect("encoded");
        let long = [&vote[..], &[0]].concat();
        let request = signed(Request {
            client: ClientId(2),
            lane: Lane(0),
            timestamp: Timestamp(1),
            session: Session::default(),
            operation: Vec::new(),
        });
        let frame = codec::encode(&ClientFrame::Request(Arc::new(request.clone())));
        let (frame, host) = (frame.expect("encoded"), Node::Host(0));
        let refused = pbft_host::Door::refused(&request.body, RefusalReason::NotYours);
        let too_large = FrameError::TooLarge { kind: "prepare", len: long.len(), max: vote.len() };
        let set_aside = || Ok(Admitted::SetAside);
        assert_eq!(wrong(host, &vote, &set_aside()), None);
        assert_eq!(wrong(host, &long, &Err(too_large.into())), None);
        assert!(wrong(host, &long, &set_aside()).is_some(), "longer than votes are");
        assert_eq!(wrong(Node::Client(2), &frame, &set_aside()), None);
        assert_eq!(wrong(Node::Client(1), &frame, &Err(refused)), None);
        assert!(wrong(Node::Client(1), &frame, &set_aside()).is_some(), "another client's");
    }
}
