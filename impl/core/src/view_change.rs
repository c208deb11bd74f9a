//! §4.4: leaving a view, and beginning the next.

use crate::durable::Record;
use crate::effect::Effect;
use crate::message::{Message, NewView, PrePrepare, Proposal, Signed, ViewChange};
use crate::new_view::{Plan, plan};
use crate::rejection::{Rejection, refuse_if};
use crate::replica::{Outcome, Replica};
use crate::types::View;
use std::sync::Arc;

impl Replica {
    /// §4.4: the timer ran out, so the primary is suspected; unless it is this replica that lags behind.
    pub(crate) fn on_view_timer(&mut self) -> Outcome {
        refuse_if(!self.timer.is_running(), Rejection::TimerNotRunning)?;
        match self.is_behind() {
            true => Ok(self.timer.wait_again(self.execution.last_executed())),
            false => self.on_suspect(),
        }
    }

    /// A tick: the view is left if its primary is too slow, or if a replica that has left it alone has waited for the
    /// others long enough.
    pub(crate) fn judge_view(&mut self, effects: &mut Vec<Effect>) {
        let lacks_something = self.transfer.target().is_some() || self.is_overtaken();
        let is_slow = self.timer.is_primary_slow(&self.view, lacks_something, &self.params);
        let is_awaited = self.peers.is_one_awaiting(&self.view, &self.params);
        if !self.view.is_active() {
            return;
        }
        self.timer.on_calm_tick(&self.params);
        let next = self.view.number().next().filter(|_| is_slow || is_awaited);
        if let Some(next) = next {
            // All see the VIEW-CHANGEs of those who wait ahead, so that all join this replica, and none is alone in its
            // turn because a liar told one only.
            let ahead = self.view.later_view_changes().cloned().map(Message::ViewChange);
            effects.extend(ahead.map(Effect::Broadcast));
            self.start_view_change(next, effects);
        }
    }

    /// Leaves the current view for the next.
    pub(crate) fn on_suspect(&mut self) -> Outcome {
        self.view.check_not_abstaining()?;
        let view = self.view.number();
        let next = view.next().ok_or(Rejection::LastView { view })?;
        let mut effects = Vec::new();
        self.start_view_change(next, &mut effects);
        Ok(effects)
    }

    /// §4.4: votes in no view before `to` from now on, and tells the others what prepared here.
    fn start_view_change(&mut self, to: View, effects: &mut Vec<Effect>) {
        self.end_view(effects);
        let view_change = Arc::new(self.make_view_change(to));
        self.view.change(Arc::clone(&view_change));
        self.log.leave_view();
        self.pending.begin_view(std::iter::empty());
        effects.push(Effect::Persist(Record::ViewChange(Arc::clone(&view_change))));
        effects.push(Effect::Broadcast(Message::ViewChange(view_change)));
        self.refresh_timer(effects);
        self.try_new_view(effects);
    }

    /// What ends with a view that is left, for whatever reason. While the log still has its proposals: those that did not
    /// prepare say whose authenticators failed.
    fn end_view(&mut self, effects: &mut Vec<Effect>) {
        self.peers.reach_strays(&self.params);
        self.timer.leave_view(&self.view, self.execution.last_executed(), &self.params, effects);
        self.must_sign.leave_view(self.view.number(), &self.log);
        self.pending.drop_authenticators();
    }

    /// P: for every sequence number above h that prepared here, in whichever view, the certificate of the
    /// highest view.
    fn make_view_change(&self, to: View) -> Signed<ViewChange> {
        let prepared = self.log.slots().filter_map(|(_, slot)| slot.prepared.as_ref());
        let certificates = prepared.map(|prepared| (*prepared.certificate).clone());
        self.signed(ViewChange {
            view: to,
            low_water_mark: self.log.low(),
            stable: (**self.checkpoints.stable()).clone(),
            prepared: certificates.collect(),
            replica: self.params.replica,
        })
    }

    /// §4.4: a VIEW-CHANGE is kept if it is valid, for a view that this replica may still enter, and the sender's
    /// latest. f+1 of them for later views make this replica join the earliest of those.
    pub(crate) fn on_view_change(&mut self, view_change: Arc<Signed<ViewChange>>) -> Outcome {
        let body = &view_change.body;
        refuse_if(body.replica == self.params.replica, Rejection::OwnMessage)?;
        self.view.check_ahead(body.view)?;
        self.view.check_latest(body)?;
        // All checks passed; nothing has changed yet.
        let mut effects = Vec::new();
        self.view.keep(view_change);
        match self.view.view_to_join() {
            Some(view) => self.start_view_change(view, &mut effects),
            None => {
                if !self.view.is_active() {
                    self.refresh_timer(&mut effects);
                }
                self.try_new_view(&mut effects);
            }
        }
        Ok(effects)
    }

    /// §4.4: the primary of the view being changed to begins it with q VIEW-CHANGEs, its own among them, once it
    /// has the state of min-s and the batches that O names.
    pub(crate) fn try_new_view(&mut self, effects: &mut Vec<Effect>) {
        // A valid NEW-VIEW for a later view shows that too few replicas are left for this one.
        if self.view.is_active() || !self.view.is_primary() || self.view.awaited().is_some() {
            return;
        }
        let needed = self.params.membership.quorum();
        let known = self.view.view_changes_for_this_view().count();
        if known < needed || self.view.own_view_change().is_none() {
            return;
        }
        let chosen = self.choose_view_changes();
        if chosen.len() < needed {
            return self.fetch_what_view_changes_name(effects);
        }
        let plan = plan(&chosen);
        if self.has_everything_for(&plan, effects) {
            self.begin_view(chosen, &plan, effects);
        }
    }

    /// The own VIEW-CHANGE for this view, and the first others whose checkpoint and batches are here, up to a quorum; in
    /// rising order of replica. One that shows what only its sender can serve, or shows the truth and is alone with it,
    /// is waited for by nobody while q others can do without.
    fn choose_view_changes(&self) -> Vec<Arc<Signed<ViewChange>>> {
        let own = self.params.replica;
        let here = self.fetching.here(&self.log);
        let low = self.log.low();
        let is_complete = |known: &&Arc<Signed<ViewChange>>| {
            let body = &known.body;
            let claims = body.prepared.iter().map(|certificate| &certificate.pre_prepare.body);
            let mut above = claims.filter(|claim| claim.seq > low);
            body.low_water_mark <= self.execution.last_executed()
                && above.all(|claim| here.contains(&claim.digest))
        };
        let others =
            self.view.view_changes_for_this_view().filter(|known| known.body.replica != own);
        let needed = self.params.membership.quorum() - 1;
        let mut chosen: Vec<_> = others.filter(is_complete).take(needed).cloned().collect();
        chosen.extend(self.view.own_view_change().cloned());
        chosen.sort_by_key(|known| known.body.replica);
        chosen
    }

    /// There is no V whose state and batches are all here: asks for those of every VIEW-CHANGE. What those of correct
    /// replicas name, their senders have, and these are q.
    fn fetch_what_view_changes_name(&mut self, effects: &mut Vec<Effect>) {
        let low = self.log.low();
        let bodies = self.view.view_changes_for_this_view().map(|known| &known.body);
        let ahead =
            bodies.clone().filter(|body| body.low_water_mark > self.execution.last_executed());
        let stable = ahead.max_by_key(|body| body.low_water_mark).map(|body| body.stable.clone());
        let claims = bodies.flat_map(|body| &body.prepared).map(|known| &known.pre_prepare.body);
        let named: Vec<_> = claims.filter(|c| c.seq > low).map(|claim| claim.digest).collect();
        if let Some(stable) = stable {
            self.learn_stable(Arc::new(stable), effects);
            self.transfer.begin(&self.params, effects);
        }
        self.fetching.want(named.into_iter(), &self.log, effects);
    }

    fn begin_view(
        &mut self,
        view_changes: Vec<Arc<Signed<ViewChange>>>,
        plan: &Plan,
        effects: &mut Vec<Effect>,
    ) {
        let (view, replica) = (self.view.number(), self.params.replica);
        let order = plan.order.iter();
        let pre_prepares: Vec<_> = order
            .map(|(&seq, &digest)| self.signed(PrePrepare { view, seq, digest, replica }))
            .collect();
        let body = NewView { view, view_changes, pre_prepares, replica };
        let new_view = Arc::new(self.signed(body));
        let proposals = self.proposals_of(&new_view);
        let proposals = self.enter_view(&new_view, plan, proposals, effects);
        for proposal in &proposals {
            self.log.slot_mut(proposal.pre_prepare.body.seq).proposal = Some(Arc::clone(proposal));
        }
        let last = plan.order.last_key_value().map_or(plan.min_s, |(seq, _)| *seq);
        self.view.last_proposed = last.max(self.log.low());
        let ordered = proposals.iter().flat_map(|proposal| &proposal.batch.requests);
        self.pending.begin_view(ordered);
        effects.push(Effect::Broadcast(Message::NewView(new_view)));
        self.resume(&proposals, effects);
    }

    /// §4.4: a backup accepts a NEW-VIEW that is signed by the view's primary, holds q valid VIEW-CHANGEs for
    /// exactly this view, and whose O is what the backup computes from them: all that is in [`crate::shape`].
    pub(crate) fn on_new_view(&mut self, new_view: Arc<Signed<NewView>>) -> Outcome {
        let plan = self.check_enterable(&new_view.body)?;
        // All checks passed; nothing has changed yet.
        let mut effects = Vec::new();
        // Another one for the same view takes its place: a faulty primary may have sent one that nobody can complete
        // here, and another one to those that went on.
        self.view.wait_for(new_view);
        self.follow_awaited(&plan, &mut effects);
        if !self.view.is_active() {
            self.refresh_timer(&mut effects);
        }
        Ok(effects)
    }

    fn check_enterable(&self, body: &NewView) -> Result<Plan, Rejection> {
        refuse_if(body.replica == self.params.replica, Rejection::OwnMessage)?;
        self.view.check_ahead(body.view)?;
        self.view.check_not_superseded(body)?;
        Ok(plan(&body.view_changes))
    }

    /// Enters the awaited view if the state and the batches that it needs are here.
    pub(crate) fn try_awaited(&mut self, effects: &mut Vec<Effect>) {
        let Some(awaited) = self.view.awaited().cloned() else { return };
        self.follow_awaited(&plan(&awaited.body.view_changes), effects);
    }

    fn follow_awaited(&mut self, plan: &Plan, effects: &mut Vec<Effect>) {
        if self.view.abstains().is_some() || !self.has_everything_for(plan, effects) {
            return;
        }
        let Some(new_view) = self.view.awaited().cloned() else { return };
        // Before the old view's pre-prepares are forgotten: one of them may hold the only copy of a batch.
        let proposals = self.proposals_of(&new_view);
        if self.view.number() != new_view.body.view {
            self.end_view(effects);
            self.log.leave_view();
        }
        self.view.follow(&new_view);
        let proposals = self.enter_view(&new_view, plan, proposals, effects);
        self.pending.begin_view(std::iter::empty());
        for proposal in &proposals {
            self.accept(Arc::clone(proposal), effects);
        }
        self.resume(&proposals, effects);
    }

    /// O's pre-prepares, each with its batch. All batches above h are here: [`Self::has_everything_for`].
    fn proposals_of(&self, new_view: &Signed<NewView>) -> Vec<Arc<Proposal>> {
        let with_batch = |signed: &Signed<PrePrepare>| {
            let batch = self.fetching.find(signed.body.digest, &self.log)?;
            Some(Arc::new(Proposal { pre_prepare: signed.clone(), batch }))
        };
        new_view.body.pre_prepares.iter().filter_map(with_batch).collect()
    }

    /// The part of entering a view that primary and backups share. Returns the proposals above h.
    fn enter_view(
        &mut self,
        new_view: &Arc<Signed<NewView>>,
        plan: &Plan,
        proposals: Vec<Arc<Proposal>>,
        effects: &mut Vec<Effect>,
    ) -> Vec<Arc<Proposal>> {
        if plan.min_s > self.log.low() {
            self.stabilise(plan.min_s, Arc::clone(&plan.stable), effects);
        }
        self.view.begin(Arc::clone(new_view));
        self.fetching.clear();
        effects.push(Effect::Persist(Record::NewView(Arc::clone(new_view))));
        let in_window = |proposal: &Arc<Proposal>| self.log.contains(proposal.pre_prepare.body.seq);
        let proposals: Vec<_> = proposals.into_iter().filter(in_window).collect();
        let accepted = proposals.iter().map(|proposal| Record::Accepted(Arc::clone(proposal)));
        effects.extend(accepted.map(Effect::Persist));
        proposals
    }

    /// Goes on in the view that was just entered.
    fn resume(&mut self, proposals: &[Arc<Proposal>], effects: &mut Vec<Effect>) {
        self.refresh_timer(effects);
        for proposal in proposals {
            self.advance(proposal.pre_prepare.body.seq, effects);
        }
        self.propose(effects);
    }

    /// Whether the state of min-s and all batches of O are here; asks for what is not.
    fn has_everything_for(&mut self, plan: &Plan, effects: &mut Vec<Effect>) -> bool {
        if plan.min_s > self.execution.last_executed() {
            self.learn_stable(Arc::clone(&plan.stable), effects);
            self.transfer.begin(&self.params, effects);
            return false;
        }
        if self.halt_if_diverged(&plan.stable, effects) {
            return false;
        }
        let above = plan.order.range(self.log.low().next()..);
        self.fetching.want(above.map(|(_, digest)| *digest), &self.log, effects)
    }
}
