//! Restart (§4 assumes replicas that do not forget): a replica is rebuilt from what it made durable, so that
//! a crash is no protocol step. Votes of others are not kept; their senders are asked again by STATUS.

use crate::authenticators::MustSign;
use crate::checkpoint::Checkpoints;
use crate::crypto::Signer;
use crate::durable::Durable;
use crate::effect::Effect;
use crate::execution::Execution;
use crate::fetching::Fetching;
use crate::input::{ServiceState, Timer};
use crate::log::{Log, Prepared};
use crate::message::{Commit, Message, PrePrepare, Prepare};
use crate::params::Params;
use crate::participation::Peers;
use crate::pending::Pending;
use crate::replica::{Key, Replica};
use crate::timer::ViewTimer;
use crate::transfer::StateTransfer;
use crate::types::SeqNum;
use crate::view::CurrentView;
use std::sync::Arc;

impl Replica {
    /// A replica as its durable log and its service left it; both are default at the very first start. The
    /// effects start its timers and repeat an unfinished VIEW-CHANGE. One that has halted does nothing but say so.
    pub fn recover(
        params: Arc<Params>,
        signer: Arc<dyn Signer>,
        durable: Durable,
        service: ServiceState,
    ) -> (Self, Vec<Effect>) {
        let log = Log::new(durable.low_water_mark, params.window);
        let kept = service.manifests;
        let mut replica = Self {
            view: CurrentView::restored(&params, &durable),
            checkpoints: Checkpoints::restored(params.replica, &durable, kept, &log),
            log,
            execution: Execution::new(service.last_executed, service.replies),
            pending: Pending::default(),
            must_sign: MustSign::default(),
            fetching: Fetching::new(),
            transfer: StateTransfer::new(&params, service.staged),
            timer: ViewTimer::new(&params),
            peers: Peers::new(params.help_bytes_max),
            halted: durable.halted.clone(),
            params,
            key: Key(signer),
        };
        replica.restore_log(&durable);
        let effects = replica.restart_effects();
        replica.check_invariants();
        (replica, effects)
    }

    fn restore_log(&mut self, durable: &Durable) {
        let own = self.params.replica;
        for (&seq, certificate) in &durable.prepared {
            let PrePrepare { view, digest, .. } = certificate.pre_prepare.body;
            let Some(batch) = durable.batch(seq, digest) else { continue };
            let commit = self.signed(Commit { view, seq, digest, replica: own });
            let current = self.view.is_active() && view == self.view.number();
            let slot = self.log.slot_mut(seq);
            slot.prepared = Some(Prepared { certificate: Arc::clone(certificate), batch });
            if current {
                slot.commits.insert(own, commit);
            }
        }
        for (&seq, certificate) in &durable.committed {
            self.log.slot_mut(seq).committed = Some(Arc::clone(certificate));
        }
        for (&seq, bodies) in &durable.bodies {
            self.log.slot_mut(seq).bodies = bodies.clone();
        }
        for (&seq, proposal) in &durable.accepted {
            let PrePrepare { view, digest, .. } = proposal.pre_prepare.body;
            let is_backup = !self.view.is_primary();
            let prepare = self.signed(Prepare { view, seq, digest, replica: own });
            let slot = self.log.slot_mut(seq);
            slot.proposal = Some(Arc::clone(proposal));
            if is_backup {
                slot.prepares.insert(own, prepare);
            }
        }
        if self.view.is_primary() {
            let last = durable.accepted.last_key_value().map_or(SeqNum(0), |(seq, _)| *seq);
            let planned = durable.new_view.iter().flat_map(|nv| &nv.body.pre_prepares);
            let planned = planned.map(|pre_prepare| pre_prepare.body.seq).max();
            self.view.last_proposed = last.max(planned.unwrap_or_default()).max(self.log.low());
            let batches = durable.accepted.values().flat_map(|p| &p.batch.requests);
            self.pending.begin_view(batches);
        }
    }

    fn restart_effects(&self) -> Vec<Effect> {
        if let Some(reason) = &self.halted {
            return vec![Effect::Halt(reason.clone())];
        }
        let after = self.params.status_interval;
        let mut effects = vec![Effect::SetTimer { timer: Timer::Status, after }];
        let own = self.view.own_view_change().cloned();
        effects.extend(own.map(|own| Effect::Broadcast(Message::ViewChange(own))));
        effects
    }
}
