//! Counts what a replica does, step by step.

use crate::events::{Cause, Events};
use crate::metrics::Metrics;
use pbft_core::types::SeqNum;
use pbft_core::{Effect, Params, Record, Rejection, Replica, Standing};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// When a batch passed the phases that it has passed.
#[derive(Clone, Copy, Debug)]
struct Passed {
    accepted: Instant,
    prepared: Option<Instant>,
}

/// Sees every step of one replica, for its metrics.
#[derive(Debug)]
pub(crate) struct Meter {
    metrics: Arc<Metrics>,
    window: u64,
    view: u64,
    /// What the replica says that it has withheld.
    withheld: u64,
    events: Events,
    /// Batches on their way, none outside the window.
    passed: BTreeMap<SeqNum, Passed>,
}

impl Meter {
    /// A meter for a replica as it starts.
    pub(crate) fn new(metrics: Arc<Metrics>, params: &Params, replica: &Replica) -> Self {
        metrics.replicas.set(params.membership.n() as u64);
        metrics.quorum.set(params.membership.quorum() as u64);
        let view = replica.status().view.0;
        let (window, events) = (params.window, Events::new(replica));
        let withheld = 0;
        let mut meter = Self { metrics, window, view, withheld, events, passed: BTreeMap::new() };
        meter.on_group(replica);
        meter
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The replica has handled one input.
    pub(crate) fn on_step(
        &mut self,
        cause: Cause,
        outcome: &Result<Vec<Effect>, Rejection>,
        replica: &Replica,
    ) {
        self.events.on_step(cause, outcome, replica);
        match outcome {
            Ok(effects) => effects.iter().for_each(|effect| self.on_effect(effect)),
            Err(rejection) => self.metrics.rejections.add(rejection.kind().as_str()),
        }
    }

    fn on_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Persist(Record::Accepted(proposal)) => {
                let now = Passed { accepted: Instant::now(), prepared: None };
                self.passed.insert(proposal.pre_prepare.body.seq, now);
            }
            Effect::Persist(Record::Prepared(certificate)) => {
                if let Some(passed) = self.passed.get_mut(&certificate.pre_prepare.body.seq) {
                    let took = passed.accepted.elapsed();
                    self.metrics.prepare.observe(took);
                    passed.prepared = Some(Instant::now());
                }
            }
            Effect::Execute { seq, requests, .. } => {
                let bytes: usize = requests.iter().map(|r| r.body.operation.len()).sum();
                self.metrics.batches_executed.increment();
                self.metrics.requests_executed.add(requests.len() as u64);
                self.metrics.batch_requests.observe(requests.len() as u64);
                self.metrics.batch_bytes.observe(bytes as u64);
                if let Some(prepared) = self.passed.remove(seq).and_then(|p| p.prepared) {
                    self.metrics.commit.observe(prepared.elapsed());
                }
            }
            _ => {}
        }
    }

    /// The replica was built anew from its store.
    pub(crate) fn on_restart(&mut self, replica: &Replica) {
        self.events = Events::new(replica);
        self.on_group(replica);
    }

    /// A group of steps has ended, with the replica like this.
    pub(crate) fn on_group(&mut self, replica: &Replica) {
        let status = replica.status();
        self.metrics.view_changes.add(status.view.0.saturating_sub(self.view));
        self.view = status.view.0;
        let withheld = replica.help_withheld();
        self.metrics.help_withheld.add(withheld.saturating_sub(self.withheld));
        self.withheld = withheld;
        self.metrics.view.set(status.view.0);
        self.metrics.active.set(u64::from(status.active));
        self.metrics.low_water_mark.set(status.low_water_mark.0);
        self.metrics.high_water_mark.set(status.low_water_mark.0.saturating_add(self.window));
        self.metrics.last_executed.set(status.last_executed.0);
        self.on_standing(replica.standing());
        self.metrics.participants.set(replica.participants() as u64);
        self.passed = self.passed.split_off(&status.last_executed.next());
    }

    /// The replica votes, or does not.
    pub(crate) fn on_standing(&self, standing: Standing) {
        let until = match standing {
            Standing::Recovering { until, .. } => until.0,
            _ => 0,
        };
        self.metrics.recovering_until.set(until);
        self.metrics.not_voting.set(u64::from(!standing.votes()));
        self.metrics.standing.set(standing.kind());
    }
}
