//! What is known of one recorded replica: its state as the model has it, what it said, and what it heard.

use crate::statement::{Statement, StatementKind};
use pbft_model::rules::{Role, Window};
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{
    CheckpointVote, Committed, Input, NewView, Output, PreparedProof, RequestId, StableProof, Step,
    ViewChange, Vote,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Sequence number and view, so that a prefix can be forgotten when the low water mark moves.
type SlotKey = (u64, u64);

/// Who voted for what, at one place.
type Votes = Vec<(u32, ShortDigest)>;

/// What a replica has said. At one place it says one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pre_prepares: BTreeMap<SlotKey, ShortDigest>,
    prepares: BTreeMap<SlotKey, ShortDigest>,
    commits: BTreeMap<SlotKey, ShortDigest>,
    checkpoints: BTreeMap<u64, ShortDigest>,
    pub(crate) view_changes: BTreeMap<u64, Arc<ViewChange>>,
    pub(crate) new_views: BTreeMap<u64, Arc<NewView>>,
}

impl Said {
    /// The digest that was named at a place, where a statement there names one.
    pub(crate) fn digest(&self, place: Statement) -> Option<ShortDigest> {
        let slot = (place.seq, place.view);
        match place.kind {
            StatementKind::PrePrepare => self.pre_prepares.get(&slot).copied(),
            StatementKind::Prepare => self.prepares.get(&slot).copied(),
            StatementKind::Commit => self.commits.get(&slot).copied(),
            StatementKind::Checkpoint => self.checkpoints.get(&place.seq).copied(),
            StatementKind::ViewChange | StatementKind::NewView => None,
        }
    }

    /// Whether anything was said at a place.
    pub(crate) fn contains(&self, place: Statement) -> bool {
        match place.kind {
            StatementKind::ViewChange => self.view_changes.contains_key(&place.view),
            StatementKind::NewView => self.new_views.contains_key(&place.view),
            StatementKind::PrePrepare
            | StatementKind::Prepare
            | StatementKind::Commit
            | StatementKind::Checkpoint => self.digest(place).is_some(),
        }
    }

    /// Notes a statement that names a digest.
    pub(crate) fn note(&mut self, place: Statement, digest: ShortDigest) {
        let slot = (place.seq, place.view);
        match place.kind {
            StatementKind::PrePrepare => self.pre_prepares.insert(slot, digest),
            StatementKind::Prepare => self.prepares.insert(slot, digest),
            StatementKind::Commit => self.commits.insert(slot, digest),
            StatementKind::Checkpoint => self.checkpoints.insert(place.seq, digest),
            StatementKind::ViewChange | StatementKind::NewView => None,
        };
    }

    /// Forgets what nobody can hear any more: slots up to `low`, views before `view`.
    pub(crate) fn forget(&mut self, low: u64, view: u64) {
        let first = (low.saturating_add(1), 0);
        for votes in [&mut self.pre_prepares, &mut self.prepares, &mut self.commits] {
            *votes = votes.split_off(&first);
        }
        self.checkpoints = self.checkpoints.split_off(&first.0);
        self.view_changes = self.view_changes.split_off(&view);
        self.new_views = self.new_views.split_off(&view);
    }

    /// How many statements are remembered.
    pub(crate) fn len(&self) -> usize {
        self.pre_prepares.len() + self.prepares.len() + self.commits.len() + self.checkpoints.len()
    }
}

/// What a replica has heard, its own votes included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    prepares: BTreeMap<SlotKey, Votes>,
    commits: BTreeMap<SlotKey, Votes>,
    checkpoints: BTreeMap<u64, Votes>,
    /// VIEW-CHANGEs by view and sender, for the replica's view and later ones.
    pub(crate) view_changes: BTreeMap<u64, BTreeMap<u32, Arc<ViewChange>>>,
}

fn add(votes: &mut Votes, signer: u32, digest: ShortDigest) {
    if !votes.contains(&(signer, digest)) {
        votes.push((signer, digest));
    }
}

impl Heard {
    pub(crate) fn prepare(&mut self, vote: &Vote) {
        let votes = self.prepares.entry((vote.seq, vote.view)).or_default();
        add(votes, vote.replica, vote.digest);
    }

    pub(crate) fn commit(&mut self, vote: &Vote) {
        let votes = self.commits.entry((vote.seq, vote.view)).or_default();
        add(votes, vote.replica, vote.digest);
    }

    pub(crate) fn checkpoint(&mut self, vote: &CheckpointVote) {
        add(self.checkpoints.entry(vote.seq).or_default(), vote.replica, vote.digest);
    }

    pub(crate) fn stable(&mut self, proof: &StableProof) {
        let StableProof { seq, digest, signers } = proof;
        for replica in signers {
            self.checkpoint(&CheckpointVote { seq: *seq, digest: *digest, replica: *replica });
        }
    }

    pub(crate) fn committed(&mut self, certificate: &Committed) {
        let Committed { view, seq, digest, signers, .. } = certificate;
        for replica in signers {
            let (view, seq, digest, replica) = (*view, *seq, *digest, *replica);
            self.commit(&Vote { view, seq, digest, replica });
        }
    }

    /// Who sent PREPARE for it.
    pub(crate) fn prepared_by(&self, view: u64, seq: u64, digest: ShortDigest) -> Vec<u32> {
        voters(self.prepares.get(&(seq, view)), digest)
    }

    /// Who sent COMMIT for it.
    pub(crate) fn committed_by(&self, view: u64, seq: u64, digest: ShortDigest) -> Vec<u32> {
        voters(self.commits.get(&(seq, view)), digest)
    }

    /// Who sent CHECKPOINT for it.
    pub(crate) fn checkpointed_by(&self, seq: u64, digest: ShortDigest) -> Vec<u32> {
        voters(self.checkpoints.get(&seq), digest)
    }

    fn forget(&mut self, low: u64) {
        let first = (low.saturating_add(1), 0);
        self.prepares = self.prepares.split_off(&first);
        self.commits = self.commits.split_off(&first);
        self.checkpoints = self.checkpoints.split_off(&first.0);
    }
}

fn voters(votes: Option<&Votes>, digest: ShortDigest) -> Vec<u32> {
    let matching = votes.into_iter().flatten().filter(|(_, named)| *named == digest);
    matching.map(|(signer, _)| *signer).collect()
}

/// Whether nothing that a step says or writes is more than an execution, which need not be durable (D26).
pub(crate) fn only_executes(step: &Step) -> bool {
    let is_execution = |output: &Output| matches!(output, Output::Execute { .. });
    !matches!(step.input, Input::Installed { .. }) && step.out.iter().all(is_execution)
}

/// One recorded replica.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) id: u32,
    pub(crate) view: u64,
    pub(crate) active: bool,
    pub(crate) low: u64,
    pub(crate) executed: u64,
    /// What of it is durable: a restart may forget what follows, and does it again.
    kept: u64,
    /// The last group that is durable as a whole.
    kept_group: Option<u64>,
    /// What was accepted in the current view.
    pub(crate) accepted: BTreeMap<u64, ShortDigest>,
    /// The requests in it; only where the replica leads the view.
    pub(crate) ordered: BTreeSet<RequestId>,
    /// What has prepared above h, of the highest view each.
    pub(crate) certificates: BTreeMap<u64, PreparedProof>,
    /// Own checkpoints above h.
    pub(crate) checkpoints: BTreeMap<u64, ShortDigest>,
    /// A NEW-VIEW that was heard and not yet followed.
    pub(crate) awaited: Option<Arc<NewView>>,
    /// What the service was asked to execute.
    pub(crate) executing: Option<(Committed, Vec<RequestId>)>,
    /// What came in at the step that asked for it.
    pub(crate) asked_on: &'static str,
    pub(crate) said: Said,
    pub(crate) heard: Heard,
    /// No further step will come.
    pub(crate) finished: bool,
}

impl Replica {
    /// A replica before its first step.
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            view: 0,
            active: true,
            low: 0,
            executed: 0,
            kept: 0,
            kept_group: None,
            accepted: BTreeMap::new(),
            ordered: BTreeSet::new(),
            certificates: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            awaited: None,
            executing: None,
            asked_on: "",
            said: Said::default(),
            heard: Heard::default(),
            finished: false,
        }
    }

    /// A step of a group was taken. If the step binds the replica, the group is durable, with all that was put off
    /// before it.
    pub(crate) fn settle(&mut self, group: u64, binds: bool) {
        if binds {
            self.kept_group = Some(group);
        }
        if self.kept_group == Some(group) {
            self.kept = self.executed;
        }
    }

    /// It starts, and has executed what is on its disk only. It may have told clients of what it has forgotten, and comes
    /// to execute the same again: nothing else followed from it. A replica that had been slower is in this state, too.
    pub(crate) fn forget_executions(&mut self, executed: u64) {
        if (self.kept..self.executed).contains(&executed) {
            self.executed = executed;
        }
        (self.kept, self.kept_group) = (self.executed, None);
    }

    /// What it is in its view.
    pub(crate) fn role(&self, replicas: u32) -> Role {
        let primary = self.view % u64::from(replicas) == u64::from(self.id);
        Role { active: self.active, primary }
    }

    /// Where it takes part.
    pub(crate) fn window(&self, size: u64) -> Window<u64> {
        Window { low: self.low, high: self.low.saturating_add(size) }
    }

    /// The number after the last one accepted in this view.
    pub(crate) fn next_to_order(&self) -> u64 {
        let last = self.accepted.last_key_value().map_or(0, |(seq, _)| *seq);
        last.max(self.low).saturating_add(1)
    }

    /// §4.3: h moves to `seq`, and what is at or below it is forgotten.
    pub(crate) fn collect_garbage(&mut self, seq: u64) {
        if seq <= self.low {
            return;
        }
        self.low = seq;
        let first = seq.saturating_add(1);
        self.accepted = self.accepted.split_off(&first);
        self.certificates = self.certificates.split_off(&first);
        self.checkpoints = self.checkpoints.split_off(&first);
        self.heard.forget(seq);
    }

    /// §4.4: votes in no view before `view` any more.
    pub(crate) fn leave_for(&mut self, view: u64) {
        self.view = view;
        self.accepted.clear();
        self.ordered.clear();
        self.heard.view_changes = self.heard.view_changes.split_off(&view);
        self.awaited.take_if(|awaited| awaited.view < view);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executes #1 to #3 in groups 1 to 3, one of which binds the replica, and starts again with `executed`.
    fn restarted(binding: Option<u64>, executed: u64) -> u64 {
        let mut replica = Replica::new(1);
        for number in 1..=3 {
            replica.executed = number;
            replica.settle(number, binding == Some(number));
        }
        replica.forget_executions(executed);
        replica.executed
    }

    #[test]
    fn a_restart_forgets_what_was_put_off_and_nothing_that_is_durable() {
        for executed in 0..=3 {
            assert_eq!(restarted(None, executed), executed);
            assert_eq!(restarted(Some(3), executed), 3);
            let kept = if executed < 2 { 3 } else { executed };
            assert_eq!(restarted(Some(2), executed), kept, "#2 is durable, #3 need not be");
        }
        assert_eq!(restarted(None, 9), 3, "nothing was executed beyond");
    }
}
