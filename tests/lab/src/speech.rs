//! What a Byzantine replica can be told to say: with its own key, and with what it has heard.

use super::words::Ask;
use pbft_core::canonical::{HashDomain, hash};
use pbft_core::message::{
    Batch, Checkpoint, Commit, Message, NewView, PrePrepare, Prepare, Proposal, Reply, Request,
    Signed, StableCertificate, ViewChange,
};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_node::frame::ReplicaFrame;
use pbft_sim::behaviour::Hand;
use std::sync::Arc;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speech {
    /// The message.
    pub what: Utterance,
    /// In another replica's name. The signature is its own all the same.
    pub name: Option<u32>,
    /// The view; that of the replica's knowledge unless said.
    pub view: Option<u64>,
    /// The sequence number; the latest that it knows unless said.
    pub seq: Option<u64>,
    /// The request, by the lab's number.
    pub request: Option<usize>,
    /// With a digest of nothing.
    pub wrong: bool,
}

/// The message that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Utterance {
    /// PRE-PREPARE for a request, with the batch.
    PrePrepare,
    /// PREPARE.
    Prepare,
    /// COMMIT.
    Commit,
    /// CHECKPOINT.
    Checkpoint,
    /// VIEW-CHANGE; empty if it hides what has prepared.
    ViewChange {
        /// Without certificates.
        empty: bool,
    },
    /// NEW-VIEW with what it has heard and its own VIEW-CHANGE.
    NewView {
        /// Its own VIEW-CHANGE counts twice.
        twice: bool,
    },
    /// REPLY with this result.
    Reply(u64),
}

/// Why a replica cannot say what it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Speechless {
    /// It knows no proposal to vote for.
    #[error(
        "it knows no such proposal; deliver a PRE-PREPARE to it first, or name one with `for N`"
    )]
    NoProposal,
    /// There is no such request.
    #[error(
        "it needs a request; name one with `for N` (the client's requests are numbered from 1)"
    )]
    NoRequest,
}

/// A statement, before it is a frame.
#[derive(Clone, Debug)]
pub enum Said {
    /// To a replica.
    Message(Message),
    /// To the client.
    Reply(ReplicaFrame),
}

/// The slot and digest that a vote is for.
struct Slot {
    view: View,
    seq: SeqNum,
    digest: Digest,
}

impl Speech {
    /// The message in full. `request` is what [`Speech::request`] stands for.
    pub fn say(
        &self,
        hand: &Hand,
        request: Option<(&Ask, &Signed<Request>)>,
    ) -> Result<Said, Speechless> {
        let replica = self.name.map_or(hand.id, ReplicaId);
        let message = match &self.what {
            Utterance::PrePrepare => {
                let (_, request) = request.ok_or(Speechless::NoRequest)?;
                let batch = Arc::new(Batch { requests: vec![request.clone()] });
                let slot = self.next_slot(hand, batch.digest());
                let Slot { view, seq, digest } = slot;
                let pre_prepare = hand.sign(PrePrepare { view, seq, digest, replica });
                Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch }))
            }
            Utterance::Prepare => {
                let Slot { view, seq, digest } = self.slot(hand, request)?;
                Message::Prepare(hand.sign(Prepare { view, seq, digest, replica }))
            }
            Utterance::Commit => {
                let Slot { view, seq, digest } = self.slot(hand, request)?;
                Message::Commit(hand.sign(Commit { view, seq, digest, replica }))
            }
            Utterance::Checkpoint => {
                let seq = self.seq.map_or(hand.top, SeqNum);
                Message::Checkpoint(hand.sign(Checkpoint { seq, digest: nothing(), replica }))
            }
            Utterance::ViewChange { empty } => {
                Message::ViewChange(self.view_change(hand, replica, *empty))
            }
            Utterance::NewView { twice } => {
                Message::NewView(Arc::new(self.new_view(hand, replica, *twice)))
            }
            Utterance::Reply(amount) => {
                let (_, request) = request.ok_or(Speechless::NoRequest)?;
                let Request { client, lane, timestamp, .. } = request.body;
                let request = request.body.digest();
                let view = self.view.map_or(hand.view, View);
                let result = amount.to_le_bytes().into();
                let reply = Reply { view, client, lane, timestamp, request, replica, result };
                return Ok(Said::Reply(ReplicaFrame::Reply(hand.sign(reply))));
            }
        };
        Ok(Said::Message(message))
    }

    fn digest(&self, digest: Digest) -> Digest {
        if self.wrong { nothing() } else { digest }
    }

    /// The slot that a primary proposes for: the one named, or the first.
    fn next_slot(&self, hand: &Hand, digest: Digest) -> Slot {
        let view = self.view.map_or(hand.view, View);
        let seq = self.seq.map_or(hand.top.max(SeqNum(1)), SeqNum);
        Slot { view, seq, digest: self.digest(digest) }
    }

    /// The slot that a vote is for: of a request, or the latest proposal that it knows.
    fn slot(
        &self,
        hand: &Hand,
        request: Option<(&Ask, &Signed<Request>)>,
    ) -> Result<Slot, Speechless> {
        if let Some((_, request)) = request {
            let batch = Batch { requests: vec![request.clone()] };
            return Ok(self.next_slot(hand, batch.digest()));
        }
        let seq_fits = |seq: SeqNum| self.seq.is_none_or(|wanted| wanted == seq.0);
        let view_fits = |view: View| self.view.is_none_or(|wanted| wanted == view.0);
        let known = hand.proposals.iter().rev();
        let mut fitting = known.filter(|((view, seq), _)| seq_fits(*seq) && view_fits(*view));
        let ((view, seq), proposal) = fitting.next().ok_or(Speechless::NoProposal)?;
        let digest = self.digest(proposal.pre_prepare.body.digest);
        Ok(Slot { view: *view, seq: *seq, digest })
    }

    fn next_view(&self, hand: &Hand) -> View {
        self.view.map_or(View(hand.view.0 + 1), View)
    }

    fn view_change(&self, hand: &Hand, replica: ReplicaId, empty: bool) -> Arc<Signed<ViewChange>> {
        let complete = |one: &pbft_core::message::PreparedCertificate| {
            one.prepares.len() == hand.params.membership.prepares()
        };
        let mut prepared = hand.certificates();
        prepared.retain(|one| !empty && complete(one));
        prepared.sort_by_key(|one| (one.pre_prepare.body.seq, one.pre_prepare.body.view));
        // Of each sequence number the certificate of the highest view.
        prepared.reverse();
        prepared.dedup_by_key(|one| one.pre_prepare.body.seq);
        prepared.reverse();
        Arc::new(hand.sign(ViewChange {
            view: self.next_view(hand),
            low_water_mark: SeqNum(0),
            stable: StableCertificate::default(),
            prepared,
            replica,
        }))
    }

    fn new_view(&self, hand: &Hand, replica: ReplicaId, twice: bool) -> Signed<NewView> {
        let view = self.next_view(hand);
        let mut view_changes = hand.view_changes_for(view);
        view_changes.retain(|one| one.body.replica != hand.id);
        let quorum = hand.params.membership.quorum();
        let own = Self { view: Some(view.0), ..self.clone() }.view_change(hand, replica, true);
        let copies = if twice { 2 } else { 1 };
        view_changes.truncate(quorum - copies);
        view_changes.extend(core::iter::repeat_n(own, copies));
        view_changes.sort_by_key(|one| one.body.replica);
        hand.sign(NewView { view, view_changes, pre_prepares: Vec::new(), replica })
    }
}

/// A digest of nothing.
fn nothing() -> Digest {
    hash(HashDomain::Batch, b"nothing that anybody asked for")
}
