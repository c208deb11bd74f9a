//! Tells what happens in the protocol, in the log: derived from what each step asks for, at one place. The core itself
//! logs nothing. At `info` are the turns that an operator wants to know of, at `debug` each batch, vote and refusal.

use pbft_core::message::Message;
use pbft_core::types::{ReplicaId, SeqNum, View};
use pbft_core::{Effect, Input, Record, Rejection, Replica, Timer};
use std::fmt;

/// What a step answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A replica's message.
    Message(ReplicaId, &'static str),
    /// A client's request.
    Request,
    /// A timer.
    Timer(Timer),
    /// Somebody suspects the primary.
    Suspect,
    /// The service's answer, or something else that happened here.
    Here,
}

impl From<&Input> for Cause {
    fn from(input: &Input) -> Self {
        match input {
            Input::Message { from, message } => Self::Message(*from, message.get().kind()),
            Input::Request(_) => Self::Request,
            Input::Timer(timer) => Self::Timer(*timer),
            Input::Suspect => Self::Suspect,
            _ => Self::Here,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(from, kind) => write!(f, "a {kind} of {from}"),
            Self::Request => f.write_str("a client's request"),
            Self::Timer(timer) => write!(f, "the timer {timer:?}"),
            Self::Suspect => f.write_str("a suspicion from outside"),
            Self::Here => f.write_str("what happened here"),
        }
    }
}

/// Where the replica was when something was last told.
#[derive(Debug)]
pub(crate) struct Events {
    view: View,
    active: bool,
    abstains: Option<SeqNum>,
    /// The checkpoint whose state is being fetched.
    fetching: Option<SeqNum>,
}

impl Events {
    /// Tells where the replica begins.
    pub(crate) fn new(replica: &Replica) -> Self {
        let status = replica.status();
        let abstains = replica.abstains();
        let (view, executed) = (status.view.0, status.last_executed.0);
        let stable = status.low_water_mark.0;
        match abstains {
            None => tracing::info!(view, executed, stable, "the replica begins"),
            Some(until) => tracing::warn!(
                view,
                executed,
                stable,
                until = until.0,
                "the replica begins without its memory: it does not vote yet"
            ),
        }
        Self { view: status.view, active: status.active, abstains, fetching: None }
    }

    /// The replica has handled what `cause` says.
    pub(crate) fn on_step(
        &mut self,
        cause: Cause,
        outcome: &Result<Vec<Effect>, Rejection>,
        replica: &Replica,
    ) {
        match outcome {
            Ok(effects) => effects.iter().for_each(|effect| self.on_effect(cause, effect, replica)),
            Err(rejection) => {
                tracing::debug!(%cause, kind = rejection.kind().as_str(), "refused: {rejection}")
            }
        }
        let status = replica.status();
        (self.view, self.active) = (status.view, status.active);
        if self.abstains.is_some() && replica.abstains().is_none() {
            tracing::info!(
                view = status.view.0,
                stable = status.low_water_mark.0,
                "it votes again"
            );
        }
        self.abstains = replica.abstains();
    }

    fn on_effect(&mut self, cause: Cause, effect: &Effect, replica: &Replica) {
        match effect {
            Effect::Persist(record) => self.on_record(cause, record, replica),
            Effect::Send { to, message: Message::FetchState(fetch) }
                if self.fetching != Some(fetch.seq) =>
            {
                self.fetching = Some(fetch.seq);
                let behind = replica.status().last_executed.0;
                tracing::info!(
                    seq = fetch.seq.0, executed = behind, %to,
                    "behind a stable checkpoint: fetching its state"
                );
            }
            Effect::Send { to, message } => {
                tracing::trace!(%to, kind = message.kind(), "sent");
            }
            Effect::Broadcast(message) => {
                tracing::debug!(kind = message.kind(), %cause, "sent to all")
            }
            Effect::Execute { seq, requests, .. } => {
                tracing::debug!(seq = seq.0, requests = requests.len(), "executed");
            }
            Effect::Install { manifest, .. } => {
                self.fetching = None;
                tracing::info!(seq = manifest.seq.0, "the state of a checkpoint is installed");
            }
            Effect::Halt(reason) => tracing::error!("this replica halts: {reason}"),
            _ => {}
        }
    }

    fn on_record(&mut self, cause: Cause, record: &Record, replica: &Replica) {
        match record {
            Record::ViewChange(view_change) => {
                let (view, left) = (view_change.body.view.0, self.view.0);
                let primary = replica.params().membership.primary(self.view);
                let reason = self.reason(cause);
                tracing::info!(view, left, %primary, %cause, "leaves its view: {reason}");
            }
            Record::NewView(new_view) => {
                let view = new_view.body.view;
                let primary = replica.params().membership.primary(view);
                tracing::info!(view = view.0, %primary, "enters a new view");
            }
            Record::Accepted(proposal) => {
                let it = &proposal.pre_prepare.body;
                tracing::debug!(view = it.view.0, seq = it.seq.0, digest = %it.digest, "accepted");
            }
            Record::Prepared(certificate) => {
                let it = &certificate.pre_prepare.body;
                tracing::debug!(view = it.view.0, seq = it.seq.0, digest = %it.digest, "prepared");
            }
            Record::Checkpoint(checkpoint) => {
                let it = &checkpoint.body;
                tracing::debug!(seq = it.seq.0, digest = %it.digest, "took a checkpoint");
            }
            Record::Stable(certificate) => {
                if let Some(one) = certificate.checkpoints.first() {
                    let (seq, signers) = (one.body.seq.0, certificate.checkpoints.len());
                    tracing::debug!(seq, signers, digest = %one.body.digest, "a checkpoint is stable");
                }
            }
            #[allow(unreachable_patterns, reason = "further records need no line of their own")]
            _ => {}
        }
    }

    /// Why a view is left.
    fn reason(&self, cause: Cause) -> &'static str {
        match (cause, self.active) {
            (Cause::Timer(_), true) => "a request was not executed in time",
            (Cause::Timer(_), false) => "the view did not begin in time",
            (Cause::Message(_, "view-change"), _) => {
                "more replicas have left it than can be faulty"
            }
            (Cause::Message(..), _) => "its primary does what no correct one does",
            (Cause::Suspect, _) => "somebody suspects its primary",
            (Cause::Request | Cause::Here, _) => "its primary is suspected",
        }
    }
}
