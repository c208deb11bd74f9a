//! Entering a view, §4.4: V, O, NEW-VIEW.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View, members};
use crate::mutant::Mutant;
use crate::rules::{self, Role};
use crate::state::{Certificate, NewView, ReplicaState, State, ViewChange, Viewer};
use crate::value::{Value, ValueSet};

/// One V for a NEW-VIEW, and what it gives. For a replay that has to build the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The senders of the VIEW-CHANGEs in V, Byzantine ones included.
    pub senders: Vec<ReplicaId>,
    /// The VIEW-CHANGEs of the Byzantine replicas among the senders.
    pub claims: Vec<(ReplicaId, ViewChange)>,
    /// What V gives.
    pub outcome: NewView,
}

impl Witness {
    /// What a Byzantine sender claims; none for an honest one.
    #[must_use]
    pub fn claim_of(&self, sender: ReplicaId) -> Option<&ViewChange> {
        self.claims.iter().find(|(claimant, _)| *claimant == sender).map(|(_, claim)| claim)
    }
}

/// The VIEW-CHANGEs of V, merged: the highest checkpoint, and per slot the certificate with the highest view.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Merged {
    min_s: Slot,
    certificates: [Option<Certificate>; MAX_SLOTS],
}

/// A V without the VIEW-CHANGEs of Byzantine replicas in it.
struct HonestPart {
    /// A bit for each honest sender.
    senders: u8,
    merged: Merged,
    /// How many VIEW-CHANGEs of Byzantine replicas V needs.
    missing: u8,
}

/// The sets of which each replica is in this one, by a bit for each.
fn subsets(all: u8) -> impl Iterator<Item = u8> {
    (0..=all).filter(move |some| some & !all == 0)
}

impl Pbft {
    fn merge(&self, mut merged: Merged, view_change: &ViewChange) -> Merged {
        merged.min_s = merged.min_s.max(view_change.low_water_mark);
        for (best, shown) in merged.certificates.iter_mut().zip(view_change.prepared) {
            let Some(shown) = shown else { continue };
            let replace = best.is_none_or(|best| {
                assert!(
                    !self.is_sound() || best.view != shown.view || best.value == shown.value,
                    "two prepared certificates of one view and slot: {best:?}, {shown:?}"
                );
                if self.breaks(Mutant::NewViewTakesLowestView) {
                    shown.view < best.view
                } else {
                    rules::outranks(shown.view, best.view)
                }
            });
            if replace {
                *best = Some(shown);
            }
        }
        merged
    }

    /// What the VIEW-CHANGEs merge to. Their order does not matter, except where a mutant (or a Byzantine replica too
    /// many) lets two values prepare in one view: then either may be taken.
    fn merge_all(&self, merged: Merged, view_changes: &[&ViewChange]) -> Vec<Merged> {
        if self.is_sound() || view_changes.is_empty() {
            let merge = |merged, sent: &&ViewChange| self.merge(merged, sent);
            return vec![view_changes.iter().fold(merged, merge)];
        }
        let mut results = Vec::new();
        for (first, sent) in view_changes.iter().enumerate() {
            let mut rest = view_changes.to_vec();
            rest.remove(first);
            for result in self.merge_all(self.merge(merged, sent), &rest) {
                if !results.contains(&result) {
                    results.push(result);
                }
            }
        }
        results
    }

    /// What V merges to with a Byzantine replica's VIEW-CHANGE in it, again in either order where that matters.
    fn with_claim(&self, merged: &Merged, claim: &ViewChange) -> impl Iterator<Item = Merged> {
        let claim_last = self.merge(*merged, claim);
        let claim_first = (!self.is_sound()).then(|| {
            let honest = ViewChange { low_water_mark: merged.min_s, prepared: merged.certificates };
            self.merge(self.merge(Merged::default(), claim), &honest)
        });
        [claim_last].into_iter().chain(claim_first.filter(move |other| *other != claim_last))
    }

    /// What V merges to with `missing` VIEW-CHANGEs of Byzantine replicas in it, each of which may claim anything.
    fn with_claims(&self, merged: Merged, missing: u8, claims: &[ViewChange]) -> Vec<Merged> {
        let mut results = vec![merged];
        for _ in 0..missing {
            let mut extended = Vec::new();
            for result in &results {
                for one in claims.iter().flat_map(|claim| self.with_claim(result, claim)) {
                    if !extended.contains(&one) {
                        extended.push(one);
                    }
                }
            }
            results = extended;
        }
        results
    }

    /// O: from min-s to max-s the value of the certificate with the highest view, null for gaps.
    fn outcome(&self, merged: &Merged) -> NewView {
        let ignored = self.breaks(Mutant::MinSIgnored);
        let min_s = if ignored { Slot::GENESIS } else { merged.min_s };
        let max_s = min_s
            .until(self.config.last_slot())
            .rfind(|slot| merged.certificates[slot.index()].is_some())
            .unwrap_or(min_s);
        let mut order = [Value::NONE; MAX_SLOTS];
        let gap = if self.breaks(Mutant::GapsLeftOpen) { Value::NONE } else { Value::NULL };
        for slot in min_s.until(max_s) {
            let certificate = merged.certificates[slot.index()];
            order[slot.index()] = certificate.map_or(gap, |certificate| certificate.value);
        }
        NewView { min_s, max_s, order }
    }

    /// The VIEW-CHANGE of an honest replica that V may hold for `view`: the one for exactly that view.
    fn view_change_for<'a>(
        &self,
        state: &'a State,
        viewer: Viewer,
        sender: ReplicaId,
        view: View,
    ) -> Option<&'a ViewChange> {
        let sent = &state.seen_by(viewer, sender).view_changes;
        let repeated = self.repeats_view_change(state, sender, view);
        let exact = sent[view.index()].as_ref().filter(|_| repeated);
        if self.breaks(Mutant::StaleViewChangeInV) && exact.is_none() {
            return sent[..view.index()].iter().rev().flatten().next();
        }
        exact
    }

    /// VIEW-CHANGEs that V holds.
    fn view_changes_needed(&self) -> u8 {
        let quorum = self.quorums().quorum;
        match self.mutant() {
            Some(Mutant::NewViewQuorumOneShort) => quorum - 1,
            Some(Mutant::NewViewNeedsAll) => self.config.replicas(),
            _ => quorum,
        }
    }

    /// Every V for `view` that `former` can form (q VIEW-CHANGEs of distinct replicas, an honest primary's own included),
    /// with the Byzantine replicas' share left open.
    fn honest_parts(&self, state: &State, former: ReplicaId, view: View) -> Vec<HonestPart> {
        let own_needed = !self.is_byzantine(former);
        let viewer = if own_needed { Viewer::Replica(former) } else { Viewer::Network };
        let sent = |id| self.view_change_for(state, viewer, id, view);
        let available = self.honest().filter(|id| sent(*id).is_some());
        let available = available.fold(0u8, |bits, id| bits | 1 << id.0);
        let needed = self.view_changes_needed();
        let twice = self.breaks(Mutant::ViewChangeSenderCountedTwice);
        let byzantine = if twice { 2 * self.byzantine_votes() } else { self.byzantine_votes() };
        let mut parts = Vec::new();
        if available.count_ones() as u8 + byzantine < needed {
            return parts;
        }
        for senders in subsets(available) {
            let honest = senders.count_ones() as u8;
            let with_own = !own_needed || senders & (1 << former.0) != 0;
            if honest <= needed && honest + byzantine >= needed && with_own {
                let view_changes: Vec<_> = members(senders).filter_map(sent).collect();
                let missing = needed - honest;
                let merged = self.merge_all(Merged::default(), &view_changes);
                parts.extend(merged.into_iter().map(|merged| HonestPart {
                    senders,
                    merged,
                    missing,
                }));
            }
        }
        parts
    }

    /// Every NEW-VIEW that some V justifies for `view`, each once.
    #[must_use]
    pub fn new_view_outcomes(&self, state: &State, view: View) -> Vec<NewView> {
        self.outcomes_formed_by(state, self.primary(view), view)
    }

    /// Every NEW-VIEW for `view` that `former` can form, each once.
    fn outcomes_formed_by(&self, state: &State, former: ReplicaId, view: View) -> Vec<NewView> {
        let parts = self.honest_parts(state, former, view);
        let open = parts.iter().any(|part| part.missing > 0);
        let claims = if open { self.byzantine_view_changes(state, view) } else { Vec::new() };
        self.outcomes_of(parts, &claims)
    }

    /// Every NEW-VIEW for `view` that `former` can form if the Byzantine replicas have sent one of `claims` each, or
    /// nothing; each once.
    pub(crate) fn outcomes_with(
        &self,
        state: &State,
        former: ReplicaId,
        view: View,
        claims: &[ViewChange],
    ) -> Vec<NewView> {
        self.outcomes_of(self.honest_parts(state, former, view), claims)
    }

    fn outcomes_of(&self, parts: Vec<HonestPart>, claims: &[ViewChange]) -> Vec<NewView> {
        let mut outcomes = Vec::new();
        for HonestPart { merged, missing, .. } in parts {
            for merged in self.with_claims(merged, missing, claims) {
                let outcome = self.outcome(&merged);
                if !outcomes.contains(&outcome) {
                    outcomes.push(outcome);
                }
            }
        }
        outcomes
    }

    /// Under a mutant: what a primary comes to that takes its own VIEW-CHANGE and those of the lowest replicas, whichever
    /// of `claims` the Byzantine replicas have sent; none where too few have sent any.
    pub(crate) fn fixed_outcomes(
        &self,
        state: &State,
        former: ReplicaId,
        view: View,
        claims: &[ViewChange],
    ) -> Vec<Option<NewView>> {
        let sent = |id| self.view_change_for(state, Viewer::Replica(former), id, view);
        let honest = |id: &ReplicaId| !self.is_byzantine(*id) && sent(*id).is_some();
        let needed = usize::from(self.view_changes_needed());
        let byzantine = self.config.byzantines().fold(0u8, |bits, id| bits | 1 << id.0);
        let mut outcomes = Vec::new();
        for heard in subsets(byzantine) {
            let known = |id: &ReplicaId| honest(id) || heard & (1 << id.0) != 0;
            let all = (0..self.config.replicas()).map(ReplicaId);
            let others = all.filter(|id| *id != former && known(id)).take(needed - 1);
            let senders: Vec<_> = [former].into_iter().chain(others).collect();
            if senders.len() < needed {
                outcomes.push(None);
                continue;
            }
            let own: Vec<_> = senders.iter().filter_map(|id| sent(*id)).collect();
            let missing = (needed - own.len()) as u8;
            let merged = self.merge_all(Merged::default(), &own);
            let merged = merged.into_iter().flat_map(|one| self.with_claims(one, missing, claims));
            outcomes.extend(merged.map(|one| Some(self.outcome(&one))));
        }
        outcomes
    }

    /// Every V for `view` with what it gives, so that a replay can build the messages of an outcome.
    #[must_use]
    pub fn new_view_witnesses(&self, state: &State, view: View) -> Vec<Witness> {
        let mut witnesses = Vec::new();
        let possible = self.byzantine_view_changes(state, view);
        let adversaries: Vec<_> = self.adversaries().collect();
        for part in self.honest_parts(state, self.primary(view), view) {
            let HonestPart { senders, merged, missing } = part;
            let byzantine = &adversaries[..usize::from(missing).min(adversaries.len())];
            let mut open = vec![(merged, Vec::new())];
            for claimant in byzantine {
                let mut extended = Vec::new();
                for (merged, claims) in &open {
                    for claim in &possible {
                        let mut claims: Vec<_> = claims.clone();
                        claims.push((*claimant, *claim));
                        let with_claim = self.with_claim(merged, claim);
                        extended.extend(with_claim.map(|merged| (merged, claims.clone())));
                    }
                }
                open = extended;
            }
            let mut senders: Vec<_> = members(senders).collect();
            senders.extend(byzantine);
            senders.sort_unstable();
            witnesses.extend(open.into_iter().map(|(merged, claims)| Witness {
                senders: senders.clone(),
                claims,
                outcome: self.outcome(&merged),
            }));
        }
        witnesses
    }

    /// The primary of the view that it is changing to sends NEW-VIEW, once it has executed up to min-s and has the batches
    /// that O names.
    pub(crate) fn new_views(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        if !self.may_begin(state, id) {
            return;
        }
        for outcome in self.new_view_outcomes(state, state.replica(id).view) {
            if self.has_everything(state, id, &outcome) {
                actions.push(Action::NewView { replica: id, outcome });
            }
        }
    }

    /// Whether a replica leads the view that it is changing to.
    pub(crate) fn may_begin(&self, state: &State, id: ReplicaId) -> bool {
        let replica = state.replica(id);
        let asked = replica.sent.view_changes[replica.view.index()].is_some();
        rules::begin(self.role(replica, id), asked).is_ok()
    }

    /// Whether a replica can enter a view: it has the state at min-s, and the batches of O.
    pub(crate) fn has_everything(&self, state: &State, id: ReplicaId, outcome: &NewView) -> bool {
        let replica = state.replica(id);
        self.has_state(replica, outcome) && self.has_batches(state, replica, outcome)
    }

    /// Whether a replica has executed up to min-s. One that has not fetches that state first.
    fn has_state(&self, replica: &ReplicaState, outcome: &NewView) -> bool {
        rules::has_state(replica.last_executed, outcome.min_s).is_ok()
            || self.breaks(Mutant::ViewEnteredWithoutState)
    }

    /// The NEW-VIEWs that a Byzantine primary may send, per view.
    pub(crate) fn byzantine_new_views(&self, state: &State) -> [Vec<NewView>; MAX_VIEWS] {
        let mut new_views: [Vec<NewView>; MAX_VIEWS] = Default::default();
        let any_sender = self.breaks(Mutant::NewViewFromNonPrimary);
        for view in (1..=self.config.max_view().0).map(View) {
            let primary = self.primary(view);
            let former = self.adversaries().find(|id| *id == primary || any_sender);
            let Some(former) = former else { continue };
            // Nobody would enter. Mutants enter in other ways.
            if self.mutant().is_none() && !self.is_open(state, view) {
                continue;
            }
            let mut outcomes = self.outcomes_formed_by(state, former, view);
            if self.breaks(Mutant::NewViewNotRecomputed) && !outcomes.is_empty() {
                outcomes = self.every_order();
            }
            new_views[view.index()] = outcomes;
        }
        new_views
    }

    /// What backups that do not recompute O can be made to accept: any sequence of requests and nulls.
    fn every_order(&self) -> Vec<NewView> {
        let mut orders = vec![NewView::default()];
        let mut longest = orders.clone();
        let values: Vec<_> = self.requests().chain([Value::NULL]).collect();
        for slot in Slot::GENESIS.until(self.config.last_slot()) {
            let mut longer = Vec::new();
            for order in &longest {
                for value in &values {
                    let mut extended: NewView = *order;
                    extended.max_s = slot;
                    extended.order[slot.index()] = *value;
                    longer.push(extended);
                }
            }
            orders.extend(&longer);
            longest = longer;
        }
        orders
    }

    /// A backup enters a later view, or the one it is changing to, by a NEW-VIEW that it has verified, once it
    /// has executed up to min-s.
    pub(crate) fn view_entries(
        &self,
        state: &State,
        id: ReplicaId,
        byzantine: &[Vec<NewView>; MAX_VIEWS],
        actions: &mut Vec<Action>,
    ) {
        let replica = state.replica(id);
        let stale = self.breaks(Mutant::StaleNewViewAccepted);
        let lowest = if stale { 1 } else { replica.view.0.max(1) };
        for view in (lowest..=self.config.max_view().0).map(View) {
            let primary = self.primary(view);
            let role = Role { active: replica.active, primary: primary == id };
            // Views below the replica's come up under the mutant only.
            let allowed = view < replica.view || rules::enter(view, replica.view, role).is_ok();
            if !allowed || (stale && primary == id) {
                continue;
            }
            let sent = if self.is_byzantine(primary) {
                &None
            } else {
                &state.sent(primary).new_views[view.index()]
            };
            let repeated = self.honest().any(|other| self.repeats_votes(state, other, view));
            for outcome in sent.iter().filter(|_| repeated).chain(&byzantine[view.index()]) {
                if self.has_everything(state, id, outcome) && !self.refuses(replica, outcome) {
                    actions.push(Action::EnterView { replica: id, view, outcome: *outcome });
                }
            }
        }
    }

    /// Under a mutant: whether a replica holds fast to what it has prepared, where O says otherwise.
    fn refuses(&self, replica: &ReplicaState, outcome: &NewView) -> bool {
        let differs = |slot: Slot| {
            replica.certificates[slot.index()]
                .is_some_and(|held| held.value != outcome.order[slot.index()])
        };
        self.breaks(Mutant::LockNotReleased)
            && outcome.min_s.until(self.config.last_slot()).any(differs)
    }

    /// A replica sends NEW-VIEW with O, whose PRE-PREPAREs are thereby sent, and enters the view.
    pub(crate) fn send_new_view(&self, replica: &mut ReplicaState, outcome: NewView) {
        let view = replica.view;
        self.adopt(replica, view, &outcome);
        replica.sent.new_views[view.index()] = Some(outcome);
        for slot in outcome.min_s.until(outcome.max_s) {
            replica.propose(view, slot, outcome.order[slot.index()]);
        }
    }

    /// A backup enters the view and sends PREPARE for each slot of O that lies above h.
    pub(crate) fn enter_view(&self, replica: &mut ReplicaState, view: View, outcome: NewView) {
        self.adopt(replica, view, &outcome);
        for slot in replica.low_water_mark.max(outcome.min_s).until(outcome.max_s) {
            let executed = slot <= replica.last_executed;
            if !(executed && self.breaks(Mutant::ExecutedNotVotedAgain)) {
                replica.propose(view, slot, outcome.order[slot.index()]);
            }
        }
    }

    /// Takes over O in the view: adopts the checkpoint at min-s and accepts the PRE-PREPAREs above h.
    fn adopt(&self, replica: &mut ReplicaState, view: View, outcome: &NewView) {
        replica.view = view;
        replica.active = true;
        replica.accepted = [Value::NONE; MAX_SLOTS];
        replica.collect_garbage(outcome.min_s);
        for slot in replica.low_water_mark.max(outcome.min_s).until(outcome.max_s) {
            replica.accepted[slot.index()] = outcome.order[slot.index()];
        }
        if self.breaks(Mutant::RepliesForgottenInViewChange) {
            replica.last_executed = replica.low_water_mark;
            replica.served = ValueSet::EMPTY;
        }
    }
}

impl ReplicaState {
    /// Says that it takes a value for a slot of a view: PRE-PREPARE or PREPARE. There is nothing to say about none.
    fn propose(&mut self, view: View, slot: Slot, value: Value) {
        if value.is_some() {
            self.sent.prepares[view.index()][slot.index()].insert(value);
        }
    }
}
