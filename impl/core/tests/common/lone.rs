//! One replica with its store and no cluster around it, for inputs of all kinds.

use super::keys::replica_key;
use super::params;
use super::service::Service;
use super::tape::Tape;
use pbft_core::{Durable, Effect, Input, Replica};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A replica with its store.
pub struct Lone {
    replica: Replica,
    durable: Durable,
    service: Service,
    /// The kinds of inputs that it accepted.
    pub accepted: BTreeSet<&'static str>,
}

impl Lone {
    pub fn new() -> Self {
        let (durable, service) = (Durable::default(), Service::default());
        let (replica, _) = Self::recover(&durable, &service);
        Self { replica, durable, service, accepted: BTreeSet::new() }
    }

    fn recover(durable: &Durable, service: &Service) -> (Replica, Vec<Effect>) {
        let key = Arc::new(replica_key(1));
        Replica::recover(Arc::new(params(4, 1)), key, durable.clone(), service.state())
    }

    /// Steps with the input that `tape` makes, if it makes one.
    pub fn play(&mut self, tape: &[u8]) {
        if let Some(input) = Tape::new(tape).input(&params(4, 1)) {
            self.step(input);
        }
    }

    /// Steps, performs, and demands what holds for every input: a rejection changes nothing, a restart gives the same
    /// replica, and the log is bounded.
    pub fn step(&mut self, input: Input) {
        let before = self.replica.clone();
        let kind = match &input {
            Input::Message { message, .. } => message.get().kind(),
            Input::Request(_) => "client's request",
            Input::Timer(_) => "timer",
            Input::Suspect => "suspect",
            Input::Executed { .. } => "executed",
            Input::Installed { .. } => "installed",
        };
        let Ok(effects) = self.replica.step(input) else {
            assert!(self.replica == before, "a rejection changed the replica");
            return;
        };
        self.accepted.insert(kind);
        let completions: Vec<_> = effects.into_iter().filter_map(|e| self.perform(e)).collect();
        if completions.is_empty() && !self.replica.summary().halted {
            let (again, _) = Self::recover(&self.durable, &self.service);
            assert_eq!(again.summary(), self.replica.summary(), "after a restart");
        }
        completions.into_iter().for_each(|completion| self.step(completion));
        let summary = self.replica.summary();
        assert!(summary.accepted.len() <= 8 && summary.prepared.len() <= 8, "bounded by L");
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Persist(record) => {
                self.durable.apply(&record);
                self.service.kept.on_stable(self.durable.low_water_mark);
            }
            Effect::Execute { seq, requests, checkpoint } => {
                let results = self.service.execute(seq, &requests);
                let chunks = checkpoint.then(|| self.service.chunks());
                return Some(Input::Executed { seq, results, chunks });
            }
            Effect::StoreCheckpoint { manifest, replies } => {
                self.service.store(&manifest, replies);
            }
            Effect::StageChunk { digest, bytes } => self.service.kept.stage(digest, bytes),
            Effect::RetainStaged { needed } => self.service.kept.retain_staged(&needed),
            Effect::Install { manifest } => {
                let seq = manifest.seq;
                let replies = self.service.install(&manifest);
                return Some(Input::Installed { seq, replies });
            }
            Effect::ServeState { seq, part, .. } => {
                self.service.kept.part(seq, part).expect("only stored state is served");
            }
            Effect::Send { .. }
            | Effect::Broadcast(_)
            | Effect::Reply(_)
            | Effect::SetTimer { .. }
            | Effect::CancelTimer(_)
            | Effect::Halt(_) => {}
        }
        None
    }
}
