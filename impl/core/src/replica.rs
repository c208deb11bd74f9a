//! The replica: its state, and the one function that changes it.

use crate::authenticators::MustSign;
use crate::checkpoint::Checkpoints;
use crate::crypto::{Body, Signer, Verified, sign};
use crate::durable::Record;
use crate::effect::{Effect, HaltReason};
use crate::execution::Execution;
use crate::fetching::Fetching;
use crate::input::{Input, Timer};
use crate::log::Log;
use crate::message::{Message, Signed};
use crate::params::Params;
use crate::participation::Peers;
use crate::pending::Pending;
use crate::rejection::{Rejection, refuse_if};
use crate::timer::ViewTimer;
use crate::transfer::StateTransfer;
use crate::types::ReplicaId;
use crate::view::CurrentView;
use std::fmt;
use std::sync::Arc;

/// A step's result: the effects, in order, or the reason why nothing happened.
pub(crate) type Outcome = Result<Vec<Effect>, Rejection>;

/// This replica's key. Equal to any other, so that replicas can be compared.
#[derive(Clone)]
pub(crate) struct Key(pub(crate) Arc<dyn Signer>);

impl PartialEq for Key {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// A replica (§4): everything that it knows. See [`Replica::step`].
#[derive(Clone, Debug, PartialEq)]
pub struct Replica {
    pub(crate) params: Arc<Params>,
    pub(crate) key: Key,
    pub(crate) view: CurrentView,
    pub(crate) log: Log,
    pub(crate) execution: Execution,
    pub(crate) pending: Pending,
    /// The clients whose authenticators are not taken.
    pub(crate) must_sign: MustSign,
    pub(crate) checkpoints: Checkpoints,
    /// Batches that a view change needs and the log lacks.
    pub(crate) fetching: Fetching,
    pub(crate) transfer: StateTransfer,
    pub(crate) timer: ViewTimer,
    pub(crate) peers: Peers,
    pub(crate) halted: Option<HaltReason>,
}

impl Replica {
    /// Handles one input: the effects, to be performed in order, or the reason why nothing happened. After a
    /// rejection the replica is exactly as before.
    pub fn step(&mut self, input: Input) -> Result<Vec<Effect>, Rejection> {
        if let Some(reason) = &self.halted {
            return Err(Rejection::Halted(reason.clone()));
        }
        let mut outcome = match input {
            Input::Message { from, message } => self.on_message(from, message),
            Input::Request(message) => self.on_client_message(message),
            Input::Timer(Timer::ViewChange) => self.on_view_timer(),
            Input::Timer(Timer::Status) => self.on_status_timer(),
            Input::Timer(Timer::Batch) => self.on_batch_timer(),
            Input::Suspect => self.on_suspect(),
            Input::Executed { seq, results, chunks } => self.on_executed(seq, results, chunks),
            Input::Installed { seq, replies } => self.on_installed(seq, replies),
        };
        if self.halted.is_some()
            && let Ok(effects) = &mut outcome
        {
            let halt = effects.iter().position(|effect| matches!(effect, Effect::Halt(_)));
            effects.truncate(halt.map_or(effects.len(), |at| at + 1));
        }
        self.check_invariants();
        outcome
    }

    fn on_message(&mut self, from: ReplicaId, message: Verified<Message>) -> Outcome {
        refuse_if(!self.params.membership.contains(from), Rejection::NotAMember { replica: from })?;
        refuse_if(from == self.params.replica, Rejection::OwnMessage)?;
        match message.into_inner() {
            Message::Request(request) => self.on_request(request, Some(from)),
            Message::PrePrepare(proposal) => self.on_pre_prepare(proposal),
            Message::Prepare(prepare) => self.on_prepare(from, prepare),
            Message::Commit(commit) => self.on_commit(from, commit),
            Message::Checkpoint(checkpoint) => self.on_checkpoint(from, checkpoint),
            Message::ViewChange(view_change) => self.on_view_change(view_change),
            Message::NewView(new_view) => self.on_new_view(new_view),
            Message::Status(status) => self.on_status(from, &status.body),
            Message::Committed(certificate) => self.on_committed(certificate),
            Message::Stable(certificate) => self.on_stable(certificate),
            Message::FetchBatch(digest) => self.on_fetch_batch(from, digest),
            Message::Batch(batch) => self.on_batch(batch),
            Message::FetchState(fetch) => self.on_fetch_state(from, fetch),
            Message::StateData(data) => {
                self.transfer.on_state_data(from, &data, &self.checkpoints.manifests, &self.params)
            }
        }
    }

    fn on_client_message(&mut self, message: Verified<Message>) -> Outcome {
        let Message::Request(request) = message.into_inner() else {
            return Err(Rejection::NotRequested);
        };
        self.on_request(request, None)
    }

    pub(crate) fn signed<B: Body>(&self, body: B) -> Signed<B> {
        sign(&*self.key.0, self.params.cluster, body)
    }

    /// Why the replica has stopped for good, if it has.
    pub fn halted(&self) -> Option<&HaltReason> {
        self.halted.as_ref()
    }

    /// Stops for good: what its supervisor starts again must not vote until somebody has looked.
    pub(crate) fn halt(&mut self, reason: HaltReason, effects: &mut Vec<Effect>) {
        self.halted = Some(reason.clone());
        effects.push(Effect::Persist(Record::Halted(reason.clone())));
        effects.push(Effect::Halt(reason));
    }
}

/// A vote counts only under its signer's own hand: the signer is a member, not this replica, and the owner of the
/// channel that it came on.
pub(crate) fn check_vote_origin(from: ReplicaId, signer: ReplicaId) -> Result<(), Rejection> {
    refuse_if(signer != from, Rejection::NotFromSigner { signer, from })
}
