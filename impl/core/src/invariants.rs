//! What is true of a replica after every step, whatever its peers sent: each part says it of itself.

use crate::replica::Replica;

impl Replica {
    /// Asserts the invariants of one replica. Cheap enough to run after every step.
    pub(crate) fn check_invariants(&self) {
        if self.halted.is_some() {
            return;
        }
        self.view.check_invariants();
        self.log.check_invariants(&self.view, &self.params);
        self.execution.check_invariants(&self.log);
        self.checkpoints.check_invariants(&self.log);
    }
}
