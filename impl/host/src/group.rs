//! A group of steps that share one commit, and what comes of it.

use crate::codec::{self, CodecError};
use crate::frame::ReplicaFrame;
use core::time::Duration;
use pbft_core::message::Message;
use pbft_core::types::{ClientId, ReplicaId};
use pbft_core::{HaltReason, Input, Replica, Timer};
use std::collections::VecDeque;

/// The most steps that share one commit: bounds how long the first of them waits.
pub const GROUP_STEPS_MAX: usize = 256;

/// How long what execution wrote waits for a commit that votes ask for, to share it.
pub const PUT_OFF_MAX: Duration = Duration::from_millis(5);

/// What a host wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A timer of the replica.
    Replica(Timer),
    /// What execution wrote waits long enough.
    PutOff,
}

/// What a host says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// To all other replicas.
    All(Message),
    /// To one.
    To(ReplicaId, Message),
    /// To a client, on each of its connections.
    Client(ClientId, ReplicaFrame),
}

/// What leaves a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// What is said, and to whom.
    pub said: Said,
    /// The same as a frame.
    pub frame: Vec<u8>,
}

impl Outgoing {
    /// Encodes what is said.
    pub fn new(said: Said) -> Result<Self, CodecError> {
        let frame = match &said {
            Said::All(message) | Said::To(_, message) => codec::encode(message)?,
            Said::Client(_, frame) => codec::encode(frame)?,
        };
        Ok(Self { said, frame })
    }
}

/// A group has ended.
#[derive(Debug)]
pub struct Ended {
    /// What may leave now.
    pub early: Vec<Outgoing>,
    /// Whether [`crate::Host::commit`] comes before [`crate::Host::release`].
    pub must_commit: bool,
    /// How many steps there were.
    pub steps: u64,
}

/// One group of steps under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// What leaves after the commit, in order.
    pub(crate) outbox: Vec<Outgoing>,
    /// What the replica must be told before anything else.
    pub(crate) completions: VecDeque<Input>,
    pub(crate) halt: Option<HaltReason>,
    /// Whether something was written that must be durable before anything leaves: all but what execution does.
    pub(crate) is_binding: bool,
    /// Whether something waits for a commit from outside: an alarm, or somebody who asked.
    pub(crate) is_due: bool,
    pub(crate) steps: u64,
}

impl Group {
    /// The first group of a replica.
    pub(crate) fn of(replica: &Replica) -> Self {
        Self { halt: replica.halted().cloned(), ..Self::default() }
    }

    pub(crate) fn say(&mut self, said: Said) -> Result<(), CodecError> {
        self.outbox.push(Outgoing::new(said)?);
        Ok(())
    }

    /// Takes the replies that need not wait for the commit. What they say is final once q replicas have it on their
    /// disks as prepared, and this one only executes again what its disk has forgotten (D26).
    pub(crate) fn take_early(&mut self) -> Vec<Outgoing> {
        if self.is_binding {
            return Vec::new();
        }
        let to_client = |outgoing: &mut Outgoing| matches!(outgoing.said, Said::Client(..));
        self.outbox.extract_if(.., to_client).collect()
    }

    /// Whether anything waits for the commit.
    pub(crate) fn must_commit(&self) -> bool {
        self.is_due || self.is_binding || !self.outbox.is_empty() || self.halt.is_some()
    }
}
