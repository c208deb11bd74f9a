//! Small questions and large answers. A STATUS or a FETCH has a hundred bytes and may be answered with megabytes, so
//! what a peer is given between two ticks has a bound, [`crate::Params::help_bytes_max`]: a liar that asks without end
//! gets no more than a laggard that needs it.
//!
//! Help is given at once up to the bound, and not at all beyond it: whoever needs more asks again after the next tick.
//! Of each kind one message is always given, whatever its size and whatever was given of other kinds. So each kind of
//! help goes on at least message by message, and no kind of question can use up the help that another one needs.

use crate::message::Message;
use crate::rejection::Rejection;
use crate::types::ReplicaId;
use std::collections::{BTreeMap, BTreeSet};

/// A kind of help that may be large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Help {
    /// Commit certificates with their batches.
    Certificate,
    /// NEW-VIEW and VIEW-CHANGEs.
    View,
    /// Pre-prepares with their batches.
    Proposal,
    /// Batches that were asked for by digest.
    Batch,
    /// Parts of a state.
    State,
    /// Replies to clients whose requests the peer has relayed.
    Reply,
}

impl Help {
    /// What kind of help a message is. The others are small, and one answer holds few of them: they are given in any
    /// case, and count.
    fn of(message: &Message) -> Option<Self> {
        match message {
            Message::Committed(_) => Some(Self::Certificate),
            Message::NewView(_) | Message::ViewChange(_) => Some(Self::View),
            Message::PrePrepare(_) => Some(Self::Proposal),
            Message::Batch(_) => Some(Self::Batch),
            Message::StateData(_) => Some(Self::State),
            Message::Request(_)
            | Message::Prepare(_)
            | Message::Commit(_)
            | Message::Checkpoint(_)
            | Message::Status(_)
            | Message::Stable(_)
            | Message::FetchBatch(_)
            | Message::FetchState(_) => None,
        }
    }
}

/// What one peer was given since the last tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Given {
    bytes: usize,
    kinds: BTreeSet<Help>,
}

/// What each peer was given since the last tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The most bytes of all kinds that a peer is given between two ticks.
    max: usize,
    given: BTreeMap<ReplicaId, Given>,
    /// Messages that were left out of answers, since the start.
    withheld: u64,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, given: BTreeMap::new(), withheld: 0 }
    }

    pub(crate) fn tick(&mut self) {
        self.given.clear();
    }

    /// How many peers are remembered.
    pub(crate) fn len(&self) -> usize {
        self.given.len()
    }

    pub(crate) fn withheld(&self) -> u64 {
        self.withheld
    }

    /// `to` is given so many bytes, if it may have them. What is of no kind of help it may have in any case.
    pub(crate) fn give(
        &mut self,
        to: ReplicaId,
        help: Option<Help>,
        bytes: usize,
    ) -> Result<(), Rejection> {
        let given = self.given.entry(to).or_default();
        let all = given.bytes.saturating_add(bytes);
        if help.is_some_and(|help| given.kinds.contains(&help)) && all > self.max {
            let (given, max) = (given.bytes, self.max);
            return Err(Rejection::OverBudget { replica: to, given, bytes, max });
        }
        given.bytes = all;
        given.kinds.extend(help);
        Ok(())
    }

    /// What of an answer `to` is given. What does not fit is left out; what comes after it may be smaller.
    pub(crate) fn fit(&mut self, to: ReplicaId, answer: Vec<Message>) -> Vec<Message> {
        let mut fitting = Vec::with_capacity(answer.len());
        for message in answer {
            match self.give(to, Help::of(&message), message.size()) {
                Ok(()) => fitting.push(message),
                Err(_) => self.withheld = self.withheld.saturating_add(1),
            }
        }
        fitting
    }
}
