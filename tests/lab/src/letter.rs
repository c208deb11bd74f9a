//! Messages under way, and how a person points at them.

use super::words::{Kind, list, node_name};
use pbft_core::message::Message;
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, ReplicaFrame};
use pbft_sim::event::{Node, RequestId};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is under way.
    UnderWay,
    /// It arrived.
    Delivered,
    /// It was dropped.
    Dropped,
    /// It arrived where nothing runs.
    Lost,
    /// A later one of its kind says the same and more.
    Superseded,
}

/// What a message says, as far as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its kind.
    pub kind: Kind,
    /// The view that it is about.
    pub view: Option<View>,
    /// The sequence number that it is about.
    pub seq: Option<SeqNum>,
    /// The digest that it names.
    pub digest: Option<Digest>,
    /// The request that it is about.
    pub request: Option<RequestId>,
    /// Who signed it, where that may be another than who sends it.
    pub signer: Option<ReplicaId>,
    /// What else it says.
    pub more: String,
}

impl About {
    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            view: None,
            seq: None,
            digest: None,
            request: None,
            signer: None,
            more: String::new(),
        }
    }

    fn vote(kind: Kind, view: View, seq: SeqNum, digest: Digest, signer: ReplicaId) -> Self {
        let (view, seq, digest) = (Some(view), Some(seq), Some(digest));
        Self { view, seq, digest, signer: Some(signer), ..Self::new(kind) }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.shown())?;
        self.seq.iter().try_for_each(|seq| write!(f, " {seq}"))?;
        self.view.iter().try_for_each(|view| write!(f, " {view}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, " {}", short(digest)))?;
        if !self.more.is_empty() {
            write!(f, " {}", self.more)?;
        }
        Ok(())
    }
}

/// The first four digits of a digest.
#[must_use]
pub fn short(digest: &Digest) -> String {
    format!("{:02x}{:02x}", digest.0[0], digest.0[1])
}

/// What a frame says.
#[must_use]
pub fn about(from: Node, to: Node, frame: &[u8]) -> About {
    match (from, to) {
        (Node::Client(_), _) => match codec::decode(frame) {
            Ok(ClientFrame::Request(request)) => {
                About { request: Some(RequestId::of(&request.body)), ..About::new(Kind::Request) }
            }
            _ => About::new(Kind::Request),
        },
        (_, Node::Client(_)) => match codec::decode(frame) {
            Ok(ReplicaFrame::Reply(reply)) => {
                let body = &reply.body;
                let (client, lane, timestamp) = (body.client.0, body.lane, body.timestamp);
                About {
                    request: Some(RequestId { client, lane, timestamp }),
                    signer: Some(body.replica),
                    ..About::new(Kind::Reply)
                }
            }
            Ok(ReplicaFrame::Refused { reason, .. }) => {
                About { more: reason.to_string(), ..About::new(Kind::Refusal) }
            }
            _ => About::new(Kind::Refusal),
        },
        _ => codec::decode(frame)
            .map_or_else(|_| About::new(Kind::Transfer), |one| about_message(&one)),
    }
}

/// What a message between replicas says.
#[must_use]
pub fn about_message(message: &Message) -> About {
    match message {
        Message::Request(request) => {
            About { request: Some(RequestId::of(&request.body)), ..About::new(Kind::Request) }
        }
        Message::PrePrepare(one) => {
            let body = &one.pre_prepare.body;
            let first = one.batch.requests.first().map(|request| RequestId::of(&request.body));
            let about =
                About::vote(Kind::PrePrepare, body.view, body.seq, body.digest, body.replica);
            About { request: first, ..about }
        }
        Message::Prepare(one) => {
            let body = &one.body;
            About::vote(Kind::Prepare, body.view, body.seq, body.digest, body.replica)
        }
        Message::Commit(one) => {
            let body = &one.body;
            About::vote(Kind::Commit, body.view, body.seq, body.digest, body.replica)
        }
        Message::Checkpoint(one) => {
            let (seq, digest) = (Some(one.body.seq), Some(one.body.digest));
            About { seq, digest, signer: Some(one.body.replica), ..About::new(Kind::Checkpoint) }
        }
        Message::ViewChange(one) => {
            let body = &one.body;
            let slots = body.prepared.iter().map(|one| one.pre_prepare.body.seq);
            let more = format!("h={} P=[{}]", body.low_water_mark.0, list(slots));
            let (view, signer) = (Some(body.view), Some(body.replica));
            About { view, signer, more, ..About::new(Kind::ViewChange) }
        }
        Message::NewView(one) => {
            let body = &one.body;
            let senders = body.view_changes.iter().map(|one| one.body.replica.0);
            let order = body.pre_prepares.iter().map(|one| one.body.seq);
            let more = format!("V=[{}] O=[{}]", list(senders), list(order));
            let (view, signer) = (Some(body.view), Some(body.replica));
            About { view, signer, more, ..About::new(Kind::NewView) }
        }
        Message::Status(one) => {
            let (view, seq) = (Some(one.body.view), Some(one.body.last_executed));
            About { view, seq, ..About::new(Kind::Status) }
        }
        Message::Committed(one) => {
            let first = one.commits.first().map(|vote| &vote.body);
            let (view, seq) = (first.map(|body| body.view), first.map(|body| body.seq));
            About { view, seq, ..About::new(Kind::Certificate) }
        }
        Message::Stable(one) => {
            let seq = one.checkpoints.first().map(|vote| vote.body.seq);
            About { seq, ..About::new(Kind::Stable) }
        }
        Message::FetchBatch(_)
        | Message::Batch(_)
        | Message::FetchState(_)
        | Message::StateData(_) => {
            About { more: message.kind().to_owned(), ..About::new(Kind::Transfer) }
        }
    }
}

/// A message, from the moment that it was sent.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its number, from 1.
    pub number: usize,
    /// Who sent it.
    pub from: Node,
    /// Whom it is for.
    pub to: Node,
    /// Its bytes.
    pub frame: Arc<[u8]>,
    /// What it says.
    pub about: About,
    /// Whether a person put it into a Byzantine replica's mouth. Such a message is not withheld.
    pub told: bool,
    /// What became of it.
    pub fate: Fate,
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (node_name(self.from), node_name(self.to));
        write!(f, "{:>4}  {from} → {to}  {}", self.number, self.about)
    }
}

/// Points at messages: those of a kind, of some senders, for some recipients. What is left open, fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of one of these.
    pub from: Vec<Node>,
    /// For one of these.
    pub to: Vec<Node>,
}

impl Selector {
    /// Whether it points at this message.
    #[must_use]
    pub fn fits(&self, letter: &Letter) -> bool {
        self.kind.is_none_or(|kind| kind == letter.about.kind)
            && (self.from.is_empty() || self.from.contains(&letter.from))
            && (self.to.is_empty() || self.to.contains(&letter.to))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.map_or("all", Kind::word))?;
        for (word, nodes) in [("from", &self.from), ("to", &self.to)] {
            if !nodes.is_empty() {
                write!(f, " {word} {}", list(nodes.iter().copied().map(node_name)))?;
            }
        }
        Ok(())
    }
}
