//! §4.4: leaving a view, and beginning the next.

use super::cluster::{Cluster, Due};
use super::facts::Replica;
use super::refusal::{Property, Refusal};
use crate::refinement::kind::ActionKind;
use crate::statement::{Statement, StatementKind};
use pbft_model::rules::{self, Role, Unmet};
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{NewView, PreparedProof, ViewChange};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What V gives: min-s, and O.
struct Outcome {
    min_s: u64,
    order: Vec<(u64, ShortDigest)>,
}

impl Cluster {
    /// §4.4, §4.5.2: VIEW-CHANGE, with h and P.
    pub(super) fn leave(&mut self, change: &ViewChange) -> Result<(), Box<Refusal>> {
        let (id, to) = (change.replica, change.view);
        let step = format!("sends VIEW-CHANGE for v{to}");
        let replica = self.replica(id)?;
        match replica.said.view_changes.get(&to) {
            Some(said) if **said == *change => return Ok(()),
            Some(_) => {
                let detail = "it said another before".to_owned();
                return Err(Box::new(Refusal::property(step, Property::OneStatement, detail)));
            }
            None => {}
        }
        let next = replica.view.checked_add(1) == Some(to);
        let others = || {
            let from_here = replica.heard.view_changes.range(to..);
            let senders = from_here.flat_map(|(_, of_view)| of_view.keys().copied());
            let mut senders: Vec<u32> = senders.filter(|sender| *sender != id).collect();
            senders.sort_unstable();
            senders.dedup();
            senders
        };
        let same = || {
            let of_view = replica.heard.view_changes.get(&to);
            of_view.is_some_and(|of_view| of_view.keys().any(|sender| *sender != id))
        };
        let can_join = || rules::join(others().len() as u8, self.quorums.weak, same());
        rules::leave(to > replica.view, false, next, can_join).map_err(|unmet| {
            let (view, heard) = (replica.view, others());
            let detail = format!("it is in v{view}; from v{to} on it has heard of {heard:?}");
            Box::new(Refusal::guard(step.clone(), unmet, detail))
        })?;
        if change.low != replica.low || change.stable.as_ref().map_or(0, |p| p.seq) != change.low {
            let detail = format!("it says h = {}, and h is {}", change.low, replica.low);
            return Err(Box::new(Refusal::effect(step, detail)));
        }
        let prepared = replica.certificates.values();
        if !prepared.eq(&change.prepared) {
            let certificates: Vec<_> = replica.certificates.values().map(short).collect();
            let said: Vec<_> = change.prepared.iter().map(short).collect();
            let detail = format!("P is {said:?}, and what has prepared is {certificates:?}");
            return Err(Box::new(Refusal::effect(step, detail)));
        }
        self.count(id, ActionKind::StartViewChange);
        let change = Arc::new(change.clone());
        let replica = self.replica_mut(id)?;
        replica.leave_for(to);
        replica.active = false;
        let of_view = replica.heard.view_changes.entry(to).or_default();
        of_view.insert(id, Arc::clone(&change));
        replica.said.view_changes.insert(to, change);
        self.fresh.push(Statement {
            signer: id,
            kind: StatementKind::ViewChange,
            view: to,
            seq: 0,
        });
        Ok(())
    }

    /// V: q VIEW-CHANGEs of distinct replicas for exactly this view, each with certificates of earlier views inside its
    /// window.
    fn check_v(&self, new_view: &NewView) -> Result<(), String> {
        let changes = &new_view.view_changes;
        if changes.len() != usize::from(self.quorums.quorum) {
            return Err(format!("V holds {}, {} are needed", changes.len(), self.quorums.quorum));
        }
        for (position, change) in changes.iter().enumerate() {
            let sender = change.replica;
            if changes[..position].iter().any(|other| other.replica == sender) {
                return Err(format!("replica {sender} is in V twice"));
            }
            if change.view != new_view.view {
                return Err(format!("that of replica {sender} is for v{}", change.view));
            }
            let high = change.low.saturating_add(self.window);
            let mut last = change.low;
            for proof in &change.prepared {
                if proof.seq <= last || proof.seq > high || proof.view >= change.view {
                    let (seq, view) = (proof.seq, proof.view);
                    return Err(format!("P of replica {sender} has #{seq} of v{view}"));
                }
                last = proof.seq;
            }
        }
        Ok(())
    }

    /// §4.4: min-s and O. Certificates of one view and number that differ mean that two digests prepared there.
    fn outcome(&self, new_view: &NewView) -> Result<Outcome, String> {
        let changes = &new_view.view_changes;
        let min_s = changes.iter().map(|change| change.low).max().unwrap_or_default();
        let mut best: BTreeMap<u64, &PreparedProof> = BTreeMap::new();
        let shown = changes.iter().flat_map(|change| &change.prepared);
        for proof in shown.filter(|proof| proof.seq > min_s) {
            let known = best.entry(proof.seq).or_insert(proof);
            if known.view == proof.view && known.digest != proof.digest {
                return Err(format!("{} and {}", short(known), short(proof)));
            }
            if rules::outranks(proof.view, known.view) {
                *known = proof;
            }
        }
        let max_s = best.last_key_value().map_or(min_s, |(seq, _)| *seq);
        let order = (min_s..max_s)
            .map(|before| before + 1)
            .map(|seq| (seq, best.get(&seq).map_or(self.null, |proof| proof.digest)));
        Ok(Outcome { min_s, order: order.collect() })
    }

    /// V and O of a NEW-VIEW, and that the replica has the state that it starts from.
    fn check_new_view(
        &self,
        replica: &Replica,
        step: &str,
        new_view: &NewView,
    ) -> Result<Outcome, Box<Refusal>> {
        let refuse = |unmet, detail: String| Box::new(Refusal::guard(step, unmet, detail));
        self.check_v(new_view).map_err(|detail| refuse(Unmet::NotAQuorum, detail))?;
        let outcome = self.outcome(new_view).map_err(|detail| {
            Box::new(Refusal::property(step, Property::CertificateUniqueness, detail))
        })?;
        if outcome.order != new_view.order {
            let detail = format!("O is {:?}, V gives {:?}", new_view.order, outcome.order);
            return Err(refuse(Unmet::WrongOrder, detail));
        }
        rules::has_state(replica.executed, outcome.min_s).map_err(|unmet| {
            let (executed, min_s) = (replica.executed, outcome.min_s);
            refuse(unmet, format!("min-s is #{min_s}, executed is #{executed}"))
        })?;
        Ok(outcome)
    }

    /// §4.4: the primary of the view that it asked for begins it.
    pub(super) fn begin(&mut self, new_view: &NewView) -> Result<(), Box<Refusal>> {
        let (id, view) = (new_view.replica, new_view.view);
        let step = format!("sends NEW-VIEW for v{view}");
        let replica = self.replica(id)?;
        match replica.said.new_views.get(&view) {
            Some(said) if **said == *new_view => return Ok(()),
            Some(_) => {
                let detail = "it said another before".to_owned();
                return Err(Box::new(Refusal::property(step, Property::OneStatement, detail)));
            }
            None => {}
        }
        let primary = self.primary(view) == id;
        let role = Role { active: replica.active || view != replica.view, primary };
        let asked = replica.said.view_changes.contains_key(&view);
        rules::begin(role, asked).map_err(|unmet| {
            let detail = format!("it is in v{}, active: {}", replica.view, replica.active);
            Box::new(Refusal::guard(step.clone(), unmet, detail))
        })?;
        let heard = replica.heard.view_changes.get(&view);
        let known = |change: &ViewChange| {
            let heard = heard.and_then(|of_view| of_view.get(&change.replica));
            heard.is_some_and(|heard| **heard == *change)
        };
        let own = new_view.view_changes.iter().any(|change| change.replica == id);
        if !own || !new_view.view_changes.iter().all(known) {
            let detail = "V holds one that it has not heard, or not its own".to_owned();
            return Err(Box::new(Refusal::guard(step, Unmet::NotAQuorum, detail)));
        }
        let outcome = self.check_new_view(replica, &step, new_view)?;
        self.count(id, ActionKind::NewView);
        self.adopt(id, view, &outcome)?;
        for (seq, digest) in outcome.order {
            let place = Statement { signer: id, kind: StatementKind::PrePrepare, view, seq };
            self.note(place, digest)?;
        }
        let replica = self.replica_mut(id)?;
        replica.said.new_views.insert(view, Arc::new(new_view.clone()));
        self.fresh.push(Statement { signer: id, kind: StatementKind::NewView, view, seq: 0 });
        Ok(())
    }

    /// §4.4: a backup follows the NEW-VIEW that it has heard.
    pub(super) fn enter(&mut self, id: u32, view: u64, due: &mut Due) -> Result<(), Box<Refusal>> {
        let step = format!("enters v{view}");
        let replica = self.replica(id)?;
        let awaited = replica.awaited.clone().filter(|awaited| awaited.view == view);
        let Some(new_view) = awaited else {
            let detail = "it has heard no NEW-VIEW for it".to_owned();
            return Err(Box::new(Refusal::guard(step, Unmet::Inactive, detail)));
        };
        let refuse = |unmet| {
            let (view, active) = (replica.view, replica.active);
            let detail = format!("it is in v{view}, active: {active}");
            Box::new(Refusal::guard(step.clone(), unmet, detail))
        };
        let primary = self.primary(view);
        let role = Role { active: replica.active, primary: primary == id };
        rules::enter(view, replica.view, role).map_err(refuse)?;
        if new_view.replica != primary {
            return Err(refuse(Unmet::NotPrimary));
        }
        let outcome = self.check_new_view(replica, &step, &new_view)?;
        self.count(id, ActionKind::EnterView);
        self.adopt(id, view, &outcome)?;
        let replica = self.replica_mut(id)?;
        replica.awaited = None;
        // It sends PREPARE for each, above h.
        due.prepares = replica.accepted.iter().map(|(seq, digest)| (*seq, *digest)).collect();
        Ok(())
    }

    /// Takes over O in the view.
    fn adopt(&mut self, id: u32, view: u64, outcome: &Outcome) -> Result<(), Box<Refusal>> {
        let leads = self.primary(view) == id;
        let batches = outcome.order.iter().filter(|_| leads);
        let batches = batches.filter_map(|(seq, digest)| Some((*seq, self.batches.get(digest)?)));
        let low = self.replica(id)?.low.max(outcome.min_s);
        let above = batches.filter(|(seq, _)| *seq > low);
        let ordered: Vec<_> = above.flat_map(|(_, (batch, _))| batch.iter().copied()).collect();
        for (seq, digest) in &outcome.order {
            if let Some((batch, _)) = self.batches.get(digest).filter(|_| *digest != self.null) {
                let batch = Arc::clone(batch);
                self.name_batch(id, *seq, *digest, &batch)?;
            }
        }
        let replica = self.replica_mut(id)?;
        replica.leave_for(view);
        replica.active = true;
        replica.collect_garbage(outcome.min_s);
        let above = outcome.order.iter().filter(|(seq, _)| *seq > low);
        replica.accepted = above.copied().collect();
        replica.ordered = ordered.into_iter().collect();
        self.forget();
        Ok(())
    }
}

fn short(proof: &PreparedProof) -> String {
    format!("#{} of v{}: {}", proof.seq, proof.view, proof.digest)
}
