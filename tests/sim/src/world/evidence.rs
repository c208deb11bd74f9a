//! Evidence of faults.

use super::World;
use pbft_core::Input;
use pbft_core::evidence::SignedVote;

impl World {
    /// Evidence that a replica would keep must be against a faulty one.
    pub(super) fn look_for_evidence(&mut self, index: usize, input: &Input) {
        let vote = SignedVote::in_input(input);
        let replica = self.hosts[index].replica();
        let found = replica.zip(vote).and_then(|(replica, vote)| replica.broken_promise(&vote));
        let Some(found) = found else { return };
        let against = found.replica();
        self.coverage.evidence += 1;
        if self.processes_of(against).iter().all(|process| !self.faulty.contains(process)) {
            self.oracle.on_evidence(against, &found.to_string());
        }
    }
}
