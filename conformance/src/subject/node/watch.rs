//! Watches one production driver, at its one trace point.

use crate::refinement::service;
use crate::refinement::timers::TimerWatch;
use crate::subject::node::wire::Wire;
use pbft_core::evidence::SignedVote;
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{Effect, Input, Rejection, Replica, Timer};
use pbft_model as model;
use pbft_node::driver::Observer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the observer has seen since it was last asked.
#[derive(Default)]
pub(crate) struct Watched {
    /// The replica after its last step.
    pub(crate) replica: Option<Replica>,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) executed: Vec<(SeqNum, Vec<model::Value>)>,
    pub(crate) records: usize,
    pub(crate) installed: Option<SeqNum>,
    pub(crate) stored: usize,
    pub(crate) timers_set: usize,
    pub(crate) timers_cancelled: usize,
    pub(crate) timer: TimerWatch,
    staged: BTreeMap<Digest, Arc<[u8]>>,
    /// What the service applied.
    pub(crate) history: Vec<model::Value>,
    /// How often the view-change timer ran out.
    pub(crate) timeouts: u64,
    /// The equivocations and broken promises that the replica has noticed.
    pub(crate) equivocations: BTreeSet<(ReplicaId, View, SeqNum)>,
    /// Whose broken promises it has noticed since it started: one of each is kept.
    pub(crate) accused: BTreeSet<ReplicaId>,
}

/// Watches one driver.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Watched>>);

impl Watch {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch, and the network that must hold back what the steps want kept first.
pub(crate) struct Watcher {
    pub(crate) watch: Watch,
    pub(crate) wire: Wire,
}

impl Observer for Watcher {
    fn on_step(
        &mut self,
        input: &Input,
        outcome: &Result<Vec<Effect>, Rejection>,
        replica: &Replica,
    ) {
        let mut watched = self.watch.lock();
        watched.note_broken_promise(input);
        if matches!(input, Input::Timer(Timer::ViewChange)) {
            watched.timeouts += 1;
            watched.timer.ran_out();
        }
        match outcome {
            Ok(effects) => {
                if effects.iter().any(must_be_kept) {
                    self.wire.must_sync();
                }
                effects.iter().for_each(|effect| watched.note(effect));
            }
            Err(rejection) => {
                if let Rejection::Equivocation { replica, view, seq, .. } = rejection {
                    watched.equivocations.insert((*replica, *view, *seq));
                }
                watched.rejections.push(rejection.clone());
            }
        }
        watched.replica = Some(replica.clone());
    }
}

/// Whether the effect must be on the disk before anything after it leaves.
fn must_be_kept(effect: &Effect) -> bool {
    match effect {
        Effect::Persist(record) => record.is_binding(),
        Effect::StoreCheckpoint { .. } | Effect::Install { .. } => true,
        // What a certificate has made final is executed again after a crash: D26.
        Effect::Execute { .. }
        | Effect::StageChunk { .. }
        | Effect::Send { .. }
        | Effect::Broadcast(_)
        | Effect::Reply(_)
        | Effect::SetTimer { .. }
        | Effect::CancelTimer(_)
        | Effect::ServeState { .. }
        | Effect::RetainStaged { .. }
        | Effect::Halt(_) => false,
    }
}

impl Watched {
    /// A COMMIT and a VIEW-CHANGE that convict their signer, one of which is in `input`, the other known before.
    fn note_broken_promise(&mut self, input: &Input) {
        let before = self.replica.as_ref();
        let vote = SignedVote::in_input(input);
        let broken = before.zip(vote).and_then(|(before, vote)| before.broken_promise(&vote));
        if let Some(broken) = broken.filter(|broken| self.accused.insert(broken.replica())) {
            let (view, seq) = broken.place();
            self.equivocations.insert((broken.replica(), view, seq));
        }
    }

    fn note(&mut self, effect: &Effect) {
        self.timer.note(effect);
        match effect {
            Effect::Persist(_) => self.records += 1,
            Effect::Execute { seq, requests, .. } => {
                let applied =
                    requests.iter().map(|request| service::value(&request.body.operation));
                let applied: Vec<_> = applied.collect();
                self.history.extend(&applied);
                self.executed.push((*seq, applied));
            }
            Effect::StageChunk { digest, bytes } => {
                self.staged.insert(*digest, Arc::clone(bytes));
            }
            Effect::Install { manifest } => {
                self.installed = Some(manifest.seq);
                let staged = std::mem::take(&mut self.staged);
                // A history that the replica had already is not fetched.
                self.history = match manifest.service_chunks().first() {
                    Some(chunk) => match staged.get(&chunk.digest) {
                        Some(bytes) => service::history(bytes),
                        None => std::mem::take(&mut self.history),
                    },
                    None => Vec::new(),
                };
            }
            Effect::StoreCheckpoint { .. } => self.stored += 1,
            Effect::SetTimer { .. } => self.timers_set += 1,
            Effect::CancelTimer(_) => self.timers_cancelled += 1,
            Effect::Send { .. }
            | Effect::Broadcast(_)
            | Effect::Reply(_)
            | Effect::ServeState { .. }
            | Effect::RetainStaged { .. }
            | Effect::Halt(_) => {}
        }
    }
}
