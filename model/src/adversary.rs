//! The Byzantine replica, and with it every count of votes.
//!
//! It takes no steps of its own. Its PREPARE, COMMIT and CHECKPOINT for any content are available whenever they
//! would help somebody (a vote that helps nobody changes nothing), so they are counted in the guards and cost no
//! state. As primary it may send any PRE-PREPARE it could have formed, a different one to each backup. Its
//! VIEW-CHANGE may claim whatever can be proven with signatures that exist, or less; its NEW-VIEW may rest on
//! any V. It cannot sign for another replica, nor for a client.

use crate::Pbft;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, Slot, View};
use crate::mutant::Mutant;
use crate::state::{Certificate, State, StateDigest, ViewChange};
use crate::value::{Value, ValueSet};

/// Per view and slot, the values with a prepared certificate that can be assembled from signatures that exist.
pub(crate) type Assembled = [[ValueSet; MAX_SLOTS]; MAX_VIEWS];

/// Everything that a VIEW-CHANGE of the Byzantine replica may claim.
pub(crate) struct Claims {
    /// Checkpoints that it can prove stable, genesis first.
    pub(crate) low_water_marks: Vec<Slot>,
    /// Per slot, the certificates that it can show.
    pub(crate) certificates: [Vec<Certificate>; MAX_SLOTS],
}

impl Pbft {
    /// PREPAREs for (view, slot, value) from distinct backups (§4.2), the Byzantine one's included.
    pub(crate) fn prepare_votes(&self, state: &State, view: View, slot: Slot, value: Value) -> u8 {
        let primary = self.primary(view);
        let primary_counts = self.breaks(Mutant::PrimaryPrepareCounted);
        let any_digest = self.breaks(Mutant::PreparesMatchedWithoutDigest);
        let votes = self.honest().filter(|&replica| {
            let sent = state.replica(replica).sent.prepares[view.index()][slot.index()];
            let matches = sent.contains(value) || (any_digest && !sent.is_empty());
            matches && (replica != primary || primary_counts)
        });
        let byzantine = self.config.byzantine().is_some_and(|id| id != primary || primary_counts);
        votes.count() as u8 + u8::from(byzantine)
    }

    /// PREPAREs that a prepared certificate needs beside the PRE-PREPARE.
    pub(crate) fn prepares_needed(&self) -> u8 {
        let short = u8::from(self.breaks(Mutant::PrepareQuorumOneShort));
        self.config.quorums().prepares() - short
    }

    /// COMMITs for (view, slot, value) from distinct replicas, the Byzantine one's included.
    pub(crate) fn commit_votes(&self, state: &State, view: View, slot: Slot, value: Value) -> u8 {
        let any_digest = self.breaks(Mutant::CommitsMatchedWithoutDigest);
        let any_view = self.breaks(Mutant::CommitsMatchedWithoutView);
        let votes = self.honest().filter(|&replica| {
            let commits = &state.replica(replica).sent.commits;
            let sent = commits[view.index()][slot.index()];
            sent.contains(value)
                || (any_digest && !sent.is_empty())
                || (any_view && commits.iter().any(|slots| slots[slot.index()].contains(value)))
        });
        votes.count() as u8 + self.byzantine_vote()
    }

    /// CHECKPOINTs for (slot, digest) from distinct replicas, the Byzantine one's included.
    pub(crate) fn checkpoint_votes(&self, state: &State, slot: Slot, digest: StateDigest) -> u8 {
        let votes = self
            .honest()
            .filter(|&id| state.replica(id).sent.checkpoints[slot.index()] == Some(digest));
        votes.count() as u8 + self.byzantine_vote()
    }

    /// The digests with a stability proof at a slot. There is at most one in the correct protocol.
    pub(crate) fn stable_digests(&self, state: &State, slot: Slot) -> Vec<StateDigest> {
        let mut digests = Vec::new();
        if !self.config.is_checkpoint(slot) {
            return digests;
        }
        let needed = self.checkpoints_needed();
        for replica in self.honest() {
            let Some(digest) = state.replica(replica).sent.checkpoints[slot.index()] else {
                continue;
            };
            if !digests.contains(&digest) && self.checkpoint_votes(state, slot, digest) >= needed {
                digests.push(digest);
            }
        }
        // Never in the correct protocol: where the Byzantine replica's word is enough, any state is stable.
        if self.byzantine_vote() >= needed {
            digests.extend(self.invented_states());
        }
        digests
    }

    /// Matching CHECKPOINTs that make a checkpoint stable (§4.3).
    pub(crate) fn checkpoints_needed(&self) -> u8 {
        if self.breaks(Mutant::CheckpointStableAtOne) {
            1
        } else if self.breaks(Mutant::CheckpointStableAtWeak) {
            self.config.quorums().weak
        } else {
            self.config.quorums().quorum
        }
    }

    /// One if there is a Byzantine replica, whose vote is there for the asking.
    pub(crate) fn byzantine_vote(&self) -> u8 {
        u8::from(self.config.byzantine().is_some())
    }

    /// The values that the primary of `view` has put, or may put, in a PRE-PREPARE for a slot.
    pub(crate) fn pre_prepared(&self, state: &State, view: View, slot: Slot) -> ValueSet {
        let primary = self.primary(view);
        if self.is_byzantine(primary) {
            self.anything()
        } else {
            state.replica(primary).sent.prepares[view.index()][slot.index()]
        }
    }

    /// Whatever a faulty primary can put in a PRE-PREPARE that is well formed: a client's request or null.
    fn anything(&self) -> ValueSet {
        let mut values = ValueSet::EMPTY;
        values.insert(Value::NULL);
        self.requests().for_each(|value| values.insert(value));
        if self.breaks(Mutant::RequestSignatureUnchecked) {
            values.insert(Value::FORGED);
        }
        values
    }

    /// The values with a prepared certificate that can be assembled for (view, slot).
    pub(crate) fn prepared_values(&self, state: &State, view: View, slot: Slot) -> ValueSet {
        let mut prepared = ValueSet::EMPTY;
        let candidates = self.pre_prepared(state, view, slot);
        for value in candidates.iter() {
            if self.prepare_votes(state, view, slot, value) >= self.prepares_needed() {
                prepared.insert(value);
            }
        }
        prepared
    }

    /// All prepared certificates that can be assembled, from views below `below`.
    pub(crate) fn assembled(&self, state: &State, below: View) -> Assembled {
        let mut assembled = Assembled::default();
        for view in (0..below.0).map(View) {
            for slot in Slot::GENESIS.until(self.config.last_slot()) {
                assembled[view.index()][slot.index()] = self.prepared_values(state, view, slot);
            }
        }
        assembled
    }

    /// What the Byzantine replica's VIEW-CHANGE for `view` may claim (§4.4).
    pub(crate) fn claims(&self, state: &State, view: View) -> Claims {
        let mut low_water_marks = vec![Slot::GENESIS];
        let mut certificates: [Vec<Certificate>; MAX_SLOTS] = Default::default();
        let assembled = self.assembled(state, view);
        let unproven = self.breaks(Mutant::ViewChangeOmitsHProof);
        for slot in Slot::GENESIS.until(self.config.last_slot()) {
            let claimed = unproven && self.config.is_checkpoint(slot);
            if claimed || !self.stable_digests(state, slot).is_empty() {
                low_water_marks.push(slot);
            }
            for earlier in (0..view.0).map(View) {
                let mut values = assembled[earlier.index()][slot.index()];
                if self.breaks(Mutant::PNotVerified) {
                    self.requests().for_each(|value| values.insert(value));
                }
                let shown = values.iter().map(|value| Certificate { view: earlier, value });
                certificates[slot.index()].extend(shown);
            }
        }
        Claims { low_water_marks, certificates }
    }

    /// Every VIEW-CHANGE that the Byzantine replica may send for `view`.
    #[must_use]
    pub fn byzantine_view_changes(&self, state: &State, view: View) -> Vec<ViewChange> {
        let claims = self.claims(state, view);
        let mut view_changes = Vec::new();
        for &low in &claims.low_water_marks {
            let mut partial = vec![ViewChange { low_water_mark: low, ..ViewChange::default() }];
            for slot in low.until(self.config.high_water_mark(low)) {
                let shown = &claims.certificates[slot.index()];
                let extended = partial.iter().flat_map(|view_change| {
                    shown.iter().map(|certificate| {
                        let mut extended = *view_change;
                        extended.prepared[slot.index()] = Some(*certificate);
                        extended
                    })
                });
                let extended: Vec<_> = extended.collect();
                partial.extend(extended);
            }
            view_changes.extend(partial);
        }
        view_changes
    }
}
