//! Entering a view, §4.4: V, O, NEW-VIEW.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View};
use crate::mutant::Mutant;
use crate::state::{Certificate, NewView, ReplicaState, State, ViewChange};
use crate::value::Value;

/// One V for a NEW-VIEW, and what it gives. For a replay that has to build the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The senders of the VIEW-CHANGEs in V, the Byzantine one included where it is among them.
    pub senders: Vec<ReplicaId>,
    /// The VIEW-CHANGE of the Byzantine replica, if it is among the senders.
    pub byzantine_claim: Option<ViewChange>,
    /// What V gives.
    pub outcome: NewView,
}

/// The VIEW-CHANGEs of V, merged: the highest checkpoint, and per slot the certificate with the highest view.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Merged {
    min_s: Slot,
    certificates: [Option<Certificate>; MAX_SLOTS],
}

impl Pbft {
    fn merge(&self, mut merged: Merged, view_change: &ViewChange) -> Merged {
        merged.min_s = merged.min_s.max(view_change.low_water_mark);
        for (best, shown) in merged.certificates.iter_mut().zip(view_change.prepared) {
            let Some(shown) = shown else { continue };
            let replace = best.is_none_or(|best| {
                assert!(
                    self.mutant().is_some() || best.view != shown.view || best.value == shown.value,
                    "two prepared certificates of one view and slot: {best:?}, {shown:?}"
                );
                if self.breaks(Mutant::NewViewTakesLowestView) {
                    shown.view < best.view
                } else {
                    shown.view > best.view
                }
            });
            if replace {
                *best = Some(shown);
            }
        }
        merged
    }

    /// What the VIEW-CHANGEs merge to. Their order does not matter, except where a mutant lets two values prepare in one
    /// view: then either may be taken.
    fn merge_all(&self, merged: Merged, view_changes: &[&ViewChange]) -> Vec<Merged> {
        if self.mutant().is_none() || view_changes.is_empty() {
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

    /// What V merges to with the Byzantine replica's VIEW-CHANGE in it, again in either order under a mutant.
    fn with_claim<'a>(
        &'a self,
        merged: &'a Merged,
        claim: &'a ViewChange,
    ) -> impl Iterator<Item = Merged> + 'a {
        let claim_last = self.merge(*merged, claim);
        let claim_first = self.mutant().map(|_| {
            let honest = ViewChange { low_water_mark: merged.min_s, prepared: merged.certificates };
            self.merge(self.merge(Merged::default(), claim), &honest)
        });
        let differs = move |other: &Merged| *other != claim_last;
        [claim_last].into_iter().chain(claim_first.filter(differs))
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
        for slot in min_s.until(max_s) {
            let certificate = merged.certificates[slot.index()];
            order[slot.index()] = certificate.map_or(Value::NULL, |certificate| certificate.value);
        }
        NewView { min_s, max_s, order }
    }

    /// The VIEW-CHANGE of an honest replica that V may hold for `view`: the one for exactly that view.
    fn view_change_for<'a>(
        &self,
        state: &'a State,
        sender: ReplicaId,
        view: View,
    ) -> Option<&'a ViewChange> {
        let sent = &state.replica(sender).sent.view_changes;
        let exact = sent[view.index()].as_ref();
        if self.breaks(Mutant::StaleViewChangeInV) && exact.is_none() {
            return sent[..view.index()].iter().rev().flatten().next();
        }
        exact
    }

    /// Every V for `view` (q VIEW-CHANGEs of distinct replicas, an honest primary's own included), with the
    /// Byzantine replica's share left open: the senders that are honest and what they merge to.
    fn honest_parts(&self, state: &State, view: View) -> Vec<(Vec<ReplicaId>, Merged, bool)> {
        let primary = self.primary(view);
        let own_needed = !self.is_byzantine(primary);
        let available: Vec<_> = self
            .honest()
            .filter_map(|id| self.view_change_for(state, id, view).map(|sent| (id, sent)))
            .collect();
        let short = u8::from(self.breaks(Mutant::NewViewQuorumOneShort));
        let needed = u32::from(self.config.quorums().quorum - short);
        let byzantine = u32::from(self.byzantine_vote());
        let byzantine = if self.breaks(Mutant::ViewChangeSenderCountedTwice) {
            2 * byzantine
        } else {
            byzantine
        };
        let mut parts = Vec::new();
        if (available.len() as u32) + byzantine < needed {
            return parts;
        }
        for chosen in 0u32..1 << available.len() {
            let honest = chosen.count_ones();
            if honest > needed || honest + byzantine < needed {
                continue;
            }
            let members = available.iter().enumerate().filter(|(at, _)| chosen & (1 << at) != 0);
            let members: Vec<_> = members.map(|(_, member)| *member).collect();
            let senders: Vec<_> = members.iter().map(|(id, _)| *id).collect();
            if own_needed && !senders.contains(&primary) {
                continue;
            }
            let sent: Vec<_> = members.iter().map(|(_, sent)| *sent).collect();
            for merged in self.merge_all(Merged::default(), &sent) {
                parts.push((senders.clone(), merged, honest < needed));
            }
        }
        parts
    }

    /// Every NEW-VIEW that some V justifies for `view`, each once.
    #[must_use]
    pub fn new_view_outcomes(&self, state: &State, view: View) -> Vec<NewView> {
        let parts = self.honest_parts(state, view);
        let mut outcomes = Vec::new();
        let mut add = |outcome| {
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        };
        let open = parts.iter().any(|(_, _, open)| *open);
        let claims = if open { self.byzantine_view_changes(state, view) } else { Vec::new() };
        for (_, merged, open) in &parts {
            if *open {
                for claim in &claims {
                    self.with_claim(merged, claim).for_each(|merged| add(self.outcome(&merged)));
                }
            } else {
                add(self.outcome(merged));
            }
        }
        outcomes
    }

    /// Every V for `view` with what it gives, so that a replay can build the messages of an outcome.
    #[must_use]
    pub fn new_view_witnesses(&self, state: &State, view: View) -> Vec<Witness> {
        let mut witnesses = Vec::new();
        let claims = self.byzantine_view_changes(state, view);
        for (senders, merged, open) in self.honest_parts(state, view) {
            match self.config.byzantine() {
                Some(byzantine) if open => {
                    let mut senders = senders;
                    senders.push(byzantine);
                    senders.sort_unstable();
                    for claim in &claims {
                        witnesses.extend(self.with_claim(&merged, claim).map(|merged| Witness {
                            senders: senders.clone(),
                            byzantine_claim: Some(*claim),
                            outcome: self.outcome(&merged),
                        }));
                    }
                }
                Some(_) | None => witnesses.push(Witness {
                    senders,
                    byzantine_claim: None,
                    outcome: self.outcome(&merged),
                }),
            }
        }
        witnesses
    }

    /// The primary of the view that it is changing to sends NEW-VIEW, once it has executed up to min-s.
    pub(crate) fn new_views(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let replica = state.replica(id);
        let view = replica.view;
        let asked = replica.sent.view_changes[view.index()].is_some();
        if replica.active || self.primary(view) != id || !asked {
            return;
        }
        for outcome in self.new_view_outcomes(state, view) {
            if replica.last_executed >= outcome.min_s {
                actions.push(Action::NewView { replica: id, outcome });
            }
        }
    }

    /// The NEW-VIEWs that a Byzantine primary may send, per view.
    pub(crate) fn byzantine_new_views(&self, state: &State) -> [Vec<NewView>; MAX_VIEWS] {
        let mut new_views: [Vec<NewView>; MAX_VIEWS] = Default::default();
        for view in (1..=self.config.max_view().0).map(View) {
            if !self.is_byzantine(self.primary(view)) {
                continue;
            }
            let mut outcomes = self.new_view_outcomes(state, view);
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
        for view in (replica.view.0.max(1)..=self.config.max_view().0).map(View) {
            let primary = self.primary(view);
            let entered = view == replica.view && (replica.active || primary == id);
            if entered {
                continue;
            }
            let mut enter = |outcome: &NewView| {
                if replica.last_executed >= outcome.min_s {
                    actions.push(Action::EnterView { replica: id, view, outcome: *outcome });
                }
            };
            if self.is_byzantine(primary) {
                byzantine[view.index()].iter().for_each(&mut enter);
            } else {
                state.replica(primary).sent.new_views[view.index()].iter().for_each(&mut enter);
            }
        }
    }
}

impl ReplicaState {
    /// Takes over O in the view: adopts the checkpoint at min-s and accepts the PRE-PREPAREs above h.
    fn adopt(&mut self, view: View, outcome: &NewView) {
        self.view = view;
        self.active = true;
        self.accepted = [Value::NONE; MAX_SLOTS];
        self.collect_garbage(outcome.min_s);
        for slot in self.low_water_mark.max(outcome.min_s).until(outcome.max_s) {
            self.accepted[slot.index()] = outcome.order[slot.index()];
        }
    }

    /// The primary sends NEW-VIEW with O, whose PRE-PREPAREs are thereby sent, and enters the view.
    pub(crate) fn send_new_view(&mut self, outcome: NewView) {
        let view = self.view;
        self.adopt(view, &outcome);
        self.sent.new_views[view.index()] = Some(outcome);
        for slot in outcome.min_s.until(outcome.max_s) {
            let value = outcome.order[slot.index()];
            self.sent.prepares[view.index()][slot.index()].insert(value);
        }
    }

    /// A backup enters the view and sends PREPARE for each slot of O that lies above h.
    pub(crate) fn enter_view(&mut self, view: View, outcome: NewView) {
        self.adopt(view, &outcome);
        for slot in self.low_water_mark.max(outcome.min_s).until(outcome.max_s) {
            let value = outcome.order[slot.index()];
            self.sent.prepares[view.index()][slot.index()].insert(value);
        }
    }
}
