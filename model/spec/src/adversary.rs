//! The Byzantine replicas, and with them every count of votes.
//!
//! They take no steps of their own. Their PREPARE, COMMIT and CHECKPOINT for any content are available whenever they
//! would help somebody (a vote that helps nobody changes nothing), so they are counted in the guards and cost no
//! state. As primary one may send any PRE-PREPARE it could have formed, a different one to each backup. Its
//! VIEW-CHANGE may claim whatever can be proven with signatures that exist, or less; its NEW-VIEW may rest on
//! any V. It cannot sign for an honest replica, nor for a client.
//!
//! When the question is whether the honest replicas get anywhere, the Byzantine ones are silent (see
//! [`crate::progress`]): then nothing of this is available.

use crate::Pbft;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View};
use crate::state::{Certificate, State, StateDigest, ViewChange, Viewer};
use crate::tally::Tally;
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
    /// PREPAREs for (view, slot) from distinct backups (§4.2) that `viewer` knows, those of Byzantine ones included.
    pub(crate) fn prepare_votes(
        &self,
        state: &State,
        viewer: Viewer,
        view: View,
        slot: Slot,
    ) -> Tally {
        let primary = self.primary(view);
        let mut tally = Tally::default();
        let voters = self.honest().filter(|id| self.repeats_votes(state, *id, view));
        for backup in voters.filter(|id| *id != primary) {
            let prepares = &state.seen_by(viewer, backup).prepares;
            tally.add(prepares[view.index()][slot.index()]);
        }
        let no_backup = u8::from(self.is_byzantine(primary));
        tally.add_for_any(self.byzantine_votes().saturating_sub(no_backup));
        tally
    }

    /// Whether what a replica said in a view can still be heard. In the steps of the model everything can: it may be late.
    /// In the schedule of [`crate::progress`] what was under way is lost, and a replica repeats only what belongs to the
    /// view that it is in.
    #[inline]
    pub(crate) fn repeats_votes(&self, state: &State, id: ReplicaId, view: View) -> bool {
        let replica = state.replica(id);
        !self.is_silent() || (replica.view == view && replica.active)
    }

    /// Whether a replica's VIEW-CHANGE can still be heard: as with its votes. It is repeated until its view begins.
    #[inline]
    pub(crate) fn repeats_view_change(&self, state: &State, id: ReplicaId, view: View) -> bool {
        let replica = state.replica(id);
        !self.is_silent() || (replica.view == view && !replica.active)
    }

    /// PREPAREs that a prepared certificate needs beside the PRE-PREPARE.
    pub(crate) fn prepares_needed(&self) -> u8 {
        self.quorums().prepares()
    }

    /// COMMITs for (view, slot) from distinct replicas that `viewer` knows, the Byzantine ones' included.
    pub(crate) fn commit_votes(
        &self,
        state: &State,
        viewer: Viewer,
        view: View,
        slot: Slot,
    ) -> Tally {
        let mut tally = Tally::default();
        for voter in self.honest().filter(|id| self.repeats_votes(state, *id, view)) {
            let commits = &state.seen_by(viewer, voter).commits;
            tally.add(commits[view.index()][slot.index()]);
        }
        tally.add_for_any(self.byzantine_votes());
        tally
    }

    /// COMMITs that a commit certificate needs.
    pub(crate) fn commits_needed(&self) -> u8 {
        self.quorums().quorum
    }

    /// CHECKPOINTs for (slot, digest) from distinct replicas, the Byzantine ones' included.
    pub(crate) fn checkpoint_votes(&self, state: &State, slot: Slot, digest: StateDigest) -> u8 {
        let sent = |id| state.sent(id).checkpoints[slot.index()];
        let votes = self.honest().filter(|id| sent(*id) == Some(digest));
        votes.count() as u8 + self.byzantine_votes()
    }

    /// The digests with a stability proof at a slot. There is at most one.
    pub(crate) fn stable_digests(&self, state: &State, slot: Slot) -> Vec<StateDigest> {
        let mut digests = Vec::new();
        if !self.config.is_checkpoint(slot) {
            return digests;
        }
        let needed = self.checkpoints_needed();
        for replica in self.honest() {
            let Some(digest) = state.sent(replica).checkpoints[slot.index()] else {
                continue;
            };
            let proven = self.checkpoint_votes(state, slot, digest) >= needed;
            if !digests.contains(&digest) && (proven || self.has_proof(state, slot)) {
                digests.push(digest);
            }
        }
        digests
    }

    /// Whether an honest replica passes on a proof that the checkpoint is stable. It matters only when the Byzantine
    /// replicas are silent, whose CHECKPOINT may be part of the proof.
    pub(crate) fn has_proof(&self, state: &State, slot: Slot) -> bool {
        self.is_silent() && self.honest().any(|id| state.replica(id).low_water_mark >= slot)
    }

    /// Matching CHECKPOINTs that make a checkpoint stable (§4.3).
    pub(crate) fn checkpoints_needed(&self) -> u8 {
        self.quorums().quorum
    }

    /// The votes that are there for the asking: one for each Byzantine replica that is not silent.
    pub(crate) fn byzantine_votes(&self) -> u8 {
        if self.is_silent() { 0 } else { self.config.byzantine_count() }
    }

    /// The Byzantine replicas whose messages are there for the asking.
    pub(crate) fn adversaries(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let silent = self.is_silent();
        self.config.byzantines().filter(move |_| !silent)
    }

    /// The values that the primary of `view` has put, or may put, in a PRE-PREPARE for a slot.
    pub(crate) fn pre_prepared(
        &self,
        state: &State,
        viewer: Viewer,
        view: View,
        slot: Slot,
    ) -> ValueSet {
        let primary = self.primary(view);
        if !self.is_byzantine(primary) {
            if !self.repeats_votes(state, primary, view) {
                return ValueSet::EMPTY;
            }
            state.seen_by(viewer, primary).prepares[view.index()][slot.index()]
        } else if self.is_silent() {
            ValueSet::EMPTY
        } else {
            self.anything()
        }
    }

    /// Whatever a faulty primary can put in a PRE-PREPARE that is well formed: a client's request or null.
    fn anything(&self) -> ValueSet {
        let mut values = ValueSet::EMPTY;
        values.insert(Value::NULL);
        self.requests().for_each(|value| values.insert(value));
        values
    }

    /// The values with a prepared certificate that can be assembled for (view, slot).
    pub(crate) fn prepared_values(&self, state: &State, view: View, slot: Slot) -> ValueSet {
        let viewer = Viewer::Network;
        let candidates = self.pre_prepared(state, viewer, view, slot);
        if candidates.is_empty() {
            return candidates;
        }
        let votes = self.prepare_votes(state, viewer, view, slot);
        votes.at_least(self.prepares_needed()).intersection(candidates)
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

    /// What a Byzantine replica's VIEW-CHANGE for `view` may claim (§4.4). A certificate that a Byzantine primary and the
    /// votes of honest replicas make is there for each Byzantine replica, so all of them may claim the same.
    pub(crate) fn claims(&self, state: &State, view: View) -> Claims {
        let mut low_water_marks = vec![Slot::GENESIS];
        let mut certificates: [Vec<Certificate>; MAX_SLOTS] = Default::default();
        let assembled = self.assembled(state, view);
        for slot in Slot::GENESIS.until(self.config.last_slot()) {
            if !self.stable_digests(state, slot).is_empty() {
                low_water_marks.push(slot);
            }
            for earlier in (0..view.0).map(View) {
                let values = assembled[earlier.index()][slot.index()];
                let shown = values.iter().map(|value| Certificate { view: earlier, value });
                certificates[slot.index()].extend(shown);
            }
        }
        Claims { low_water_marks, certificates }
    }

    /// Whether a certificate at `slot` may stand in a VIEW-CHANGE with this low water mark: h < n ≤ h+L (§4.4). Whoever
    /// verifies a VIEW-CHANGE checks it.
    pub(crate) fn may_claim_at(&self, low: Slot, slot: Slot) -> bool {
        low < slot && slot <= self.config.high_water_mark(low)
    }

    /// Every VIEW-CHANGE that a Byzantine replica may send for `view`, and have accepted.
    #[must_use]
    pub fn byzantine_view_changes(&self, state: &State, view: View) -> Vec<ViewChange> {
        let claims = self.claims(state, view);
        let mut view_changes = Vec::new();
        for &low in &claims.low_water_marks {
            let mut partial = vec![ViewChange { low_water_mark: low, ..ViewChange::default() }];
            for slot in Slot::GENESIS.until(self.config.last_slot()) {
                if !self.may_claim_at(low, slot) {
                    continue;
                }
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
