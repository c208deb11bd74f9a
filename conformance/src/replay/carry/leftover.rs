//! What may reach a replica that needs none of it: each kind, and where it comes from.

use super::group::{Carry, Group};
use crate::refinement::action::Delivery;
use crate::refinement::byzantine::Source;
use crate::refinement::message::Sent;
use crate::refinement::vocabulary::replica_id;
use pbft_core::message::Message;
use pbft_model as model;
use std::sync::Arc;

/// A kind of message that is given to a replica and needed for no step that it is about to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leftover {
    /// A vote before the message that it is for, or before its quorum.
    EarlyVote,
    /// A vote for what has its quorum.
    LateVote,
    /// A vote that is here.
    VoteAgain,
    /// A vote of a view or slot that is over.
    StaleVote,
    /// A message of a view that has not begun here.
    FutureVote,
    /// A PRE-PREPARE that was accepted, or is of a view or slot that is over.
    PrePrepare,
    /// A VIEW-CHANGE for a view that is over.
    StaleViewChange,
    /// A VIEW-CHANGE that somebody else collects.
    AnothersViewChange,
    /// A NEW-VIEW of a view that is over, or was entered.
    StaleNewView,
    /// The proof of a checkpoint that is stable.
    StableAgain,
    /// The proof of what was executed.
    CommittedAgain,
    /// The proof of a batch ahead of the next.
    CommittedAhead,
    /// A batch that is here.
    Batch,
    /// A part of a state of which the rest does not come.
    StatePart,
    /// A request that somebody else orders.
    Request,
    /// A request that was ordered or executed.
    LateRequest,
}

impl Leftover {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::EarlyVote,
        Self::LateVote,
        Self::VoteAgain,
        Self::StaleVote,
        Self::FutureVote,
        Self::PrePrepare,
        Self::StaleViewChange,
        Self::AnothersViewChange,
        Self::StaleNewView,
        Self::StableAgain,
        Self::CommittedAgain,
        Self::CommittedAhead,
        Self::Batch,
        Self::StatePart,
        Self::Request,
        Self::LateRequest,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EarlyVote => "a vote before its quorum, left over",
            Self::LateVote => "a vote after its quorum",
            Self::VoteAgain => "a vote that is here, again",
            Self::StaleVote => "a vote of a view or slot that is over",
            Self::FutureVote => "a vote of a view that has not begun here",
            Self::PrePrepare => "a pre-prepare that is over, or accepted",
            Self::StaleViewChange => "a VIEW-CHANGE that is over",
            Self::AnothersViewChange => "a VIEW-CHANGE that another collects",
            Self::StaleNewView => "a NEW-VIEW that is over, or entered",
            Self::StableAgain => "the proof of a checkpoint that is stable",
            Self::CommittedAgain => "the proof of a batch that was executed",
            Self::CommittedAhead => "the proof of a batch ahead of the next",
            Self::Batch => "a batch that is here, again",
            Self::StatePart => "a part of a state without the rest",
            Self::Request => "a request that another orders",
            Self::LateRequest => "a request that was ordered or executed",
        }
    }

    /// Whether it stays in the replica's state; all else is refused, or taken without a trace.
    pub const fn stays(self) -> bool {
        match self {
            Self::EarlyVote
            | Self::LateVote
            | Self::AnothersViewChange
            | Self::CommittedAhead
            | Self::StatePart
            | Self::Request => true,
            Self::VoteAgain
            | Self::StaleVote
            | Self::FutureVote
            | Self::PrePrepare
            | Self::StaleViewChange
            | Self::StaleNewView
            | Self::StableAgain
            | Self::CommittedAgain
            | Self::Batch
            | Self::LateRequest => false,
        }
    }

    /// Whether the replica must take it: it holds none of these, and each is the first of who says it.
    pub const fn is_taken(self) -> bool {
        matches!(self, Self::EarlyVote | Self::LateVote)
    }

    /// What kind a message of another replica is at this one; `None` if it may lead to a step.
    fn of_sent(sent: &Sent, at: &At<'_>) -> Option<Self> {
        let me = at.me;
        let is_over =
            |view: model::View, slot: model::Slot| view < me.view || slot <= me.low_water_mark;
        let is_here = |view: model::View| view == me.view && me.active;
        match *sent {
            Sent::PrePrepare(view, slot, _) if is_over(view, slot) => Some(Self::PrePrepare),
            Sent::PrePrepare(view, slot, value) => {
                let accepted = me.accepted[slot.index()] == value && !at.leads(view);
                (is_here(view) && accepted).then_some(Self::PrePrepare)
            }
            Sent::Prepare(view, slot, _) | Sent::Commit(view, slot, _) if is_over(view, slot) => {
                Some(Self::StaleVote)
            }
            Sent::Prepare(view, ..) | Sent::Commit(view, ..) if !is_here(view) => {
                Some(Self::FutureVote)
            }
            Sent::Prepare(view, slot, _) => {
                let prepared = me.certificates[slot.index()].is_some_and(|own| own.view == view);
                Some(if prepared { Self::LateVote } else { Self::EarlyVote })
            }
            Sent::Commit(_, slot, _) => {
                let executed = slot <= me.last_executed;
                Some(if executed { Self::LateVote } else { Self::EarlyVote })
            }
            Sent::Checkpoint(slot, _) if slot <= me.low_water_mark => Some(Self::StaleVote),
            Sent::Checkpoint(..) => Some(Self::EarlyVote),
            Sent::ViewChange(view, _) if view < me.view || is_here(view) => {
                Some(Self::StaleViewChange)
            }
            Sent::ViewChange(view, _) => {
                (view == me.view && !at.leads(view)).then_some(Self::AnothersViewChange)
            }
            Sent::NewView(view, _) => {
                (view < me.view || is_here(view)).then_some(Self::StaleNewView)
            }
        }
    }
}

/// A replica in a group.
struct At<'a> {
    model: &'a model::Pbft,
    own: model::ReplicaId,
    me: &'a model::ReplicaState,
}

impl At<'_> {
    fn leads(&self, view: model::View) -> bool {
        self.model.primary(view) == self.own
    }
}

impl Carry<'_> {
    /// All that is of this kind and can be given to the replica here. A part of a state is made by
    /// [`Carry::begin_transfer`].
    pub fn leftovers(&self, group: &Group, own: model::ReplicaId, kind: Leftover) -> Vec<Delivery> {
        let source = Source { vocabulary: self.vocabulary, network: &group.world.network };
        let at = At { model: self.model, own, me: group.state.replica(own) };
        match kind {
            Leftover::StatePart => Vec::new(),
            Leftover::StableAgain => stable_again(&at, &source),
            Leftover::CommittedAgain => committed_again(&at, &source),
            Leftover::CommittedAhead => committed_ahead(&at, &source),
            Leftover::Batch => batches(&at, &source),
            Leftover::Request => requests(&at, &source),
            Leftover::LateRequest => late_requests(&at, &source),
            Leftover::EarlyVote
            | Leftover::LateVote
            | Leftover::VoteAgain
            | Leftover::StaleVote
            | Leftover::FutureVote
            | Leftover::PrePrepare
            | Leftover::StaleViewChange
            | Leftover::AnothersViewChange
            | Leftover::StaleNewView => self.sent_by_others(group, &at, kind),
        }
    }

    fn sent_by_others(&self, group: &Group, at: &At<'_>, kind: Leftover) -> Vec<Delivery> {
        let held = group.held(at.own);
        let others = self.model.honest().filter(|other| *other != at.own);
        let sent = others.flat_map(|sender| {
            let all = group.world.network.of(sender);
            all.map(move |(sent, message)| (sender, sent, message))
        });
        let of_kind = sent.filter_map(|(sender, sent, message)| {
            let from = replica_id(sender);
            let delivery = Delivery::Message { from, message: message.clone() };
            let is_vote =
                matches!(sent, Sent::Prepare(..) | Sent::Commit(..) | Sent::Checkpoint(..));
            let found = match Leftover::of_sent(sent, at)? {
                Leftover::EarlyVote | Leftover::LateVote
                    if is_vote && held.has(self.vocabulary, &delivery) =>
                {
                    Leftover::VoteAgain
                }
                found => found,
            };
            (found == kind).then_some(delivery)
        });
        of_kind.collect()
    }
}

/// A message on the channel of another replica than this.
fn from_another(at: &At<'_>, message: Message) -> Delivery {
    let other = model::ReplicaId(u8::from(at.own == model::ReplicaId(0)));
    Delivery::Message { from: replica_id(other), message }
}

fn stable_again(at: &At<'_>, source: &Source<'_>) -> Vec<Delivery> {
    let slots = model::Slot::GENESIS.until(at.me.low_water_mark);
    let certificates = slots.filter_map(|slot| {
        let state = at.me.sent.checkpoints[slot.index()]?;
        source.stable_certificate(slot, &state, 0).ok()
    });
    let proofs = certificates.map(|one| from_another(at, Message::Stable(Arc::new(one))));
    proofs.collect()
}

/// The commit certificates for what can be proved at a slot.
fn proofs(
    at: &At<'_>,
    source: &Source<'_>,
    slot: model::Slot,
    which: impl Fn(model::Value) -> bool,
) -> Vec<Delivery> {
    let values = || at.model.requests().chain([model::Value::NULL]).filter(|value| which(*value));
    let places = at.model.views().flat_map(|view| values().map(move |value| (view, value)));
    let found = places.filter_map(|(view, value)| {
        let sent = Sent::Commit(view, slot, value);
        let mut honest = at.model.honest();
        // The Byzantine votes alone are no certificate.
        honest.find(|voter| source.network.get(*voter, &sent).is_some())?;
        source.commit_certificate(view, slot, value, 0).ok()
    });
    found.map(|one| from_another(at, Message::Committed(one))).collect()
}

fn committed_again(at: &At<'_>, source: &Source<'_>) -> Vec<Delivery> {
    let slots = model::Slot::GENESIS.until(at.me.last_executed);
    slots
        .flat_map(|slot| proofs(at, source, slot, |value| at.me.executed[slot.index()] == value))
        .collect()
}

fn committed_ahead(at: &At<'_>, source: &Source<'_>) -> Vec<Delivery> {
    let high = at.model.config().high_water_mark(at.me.low_water_mark);
    let slots = at.me.last_executed.next().until(high);
    slots.flat_map(|slot| proofs(at, source, slot, |_| true)).collect()
}

fn batches(at: &At<'_>, source: &Source<'_>) -> Vec<Delivery> {
    let accepted = at.me.accepted.iter().filter(|value| value.is_some());
    let batches = accepted.map(|value| Message::Batch(source.vocabulary.batch(*value)));
    batches.map(|message| from_another(at, message)).collect()
}

fn request(source: &Source<'_>, value: model::Value) -> Option<Message> {
    Some(Message::Request(Arc::clone(source.vocabulary.request(value)?)))
}

/// Requests at a backup that leads no view from here on: whoever leads orders what waits there.
fn requests(at: &At<'_>, source: &Source<'_>) -> Vec<Delivery> {
    let mut later = at.model.views().filter(|view| *view >= at.me.view);
    if !at.me.active || later.any(|view| at.leads(view)) {
        return Vec::new();
    }
    let waiting = at.model.requests().filter(|value| !at.me.served.contains(*value));
    let messages = waiting.filter_map(|value| request(source, value));
    let both =
        messages.flat_map(|message| [Delivery::Client(message.clone()), from_another(at, message)]);
    both.collect()
}

/// Requests that were answered, anywhere; and at the primary those that it has ordered.
fn late_requests(at: &At<'_>, source: &Source<'_>) -> Vec<Delivery> {
    let ordered = |value: &model::Value| {
        at.me.active && at.leads(at.me.view) && at.me.accepted.contains(value)
    };
    let late = at.model.requests().filter(|value| at.me.served.contains(*value) || ordered(value));
    let messages = late.filter_map(|value| request(source, value));
    let both =
        messages.flat_map(|message| [Delivery::Client(message.clone()), from_another(at, message)]);
    both.collect()
}
