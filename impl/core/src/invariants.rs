//! What is true of a replica after every step, whatever its peers sent.

use crate::replica::Replica;
use crate::types::SeqNum;

impl Replica {
    /// Asserts the invariants of one replica. Cheap enough to run after every step.
    pub(crate) fn check_invariants(&self) {
        if self.halted.is_some() {
            return;
        }
        let (low, high) = (self.log.low(), self.log.high());
        assert!(low <= self.execution.last_executed(), "h is stable, so executed");
        assert!(self.execution.last_executed() <= high, "nothing above H is executed");
        debug_assert!(low.0.is_multiple_of(self.params.checkpoint_interval), "h is a checkpoint");
        debug_assert!(self.log.slots().all(|(seq, _)| low < seq && seq <= high), "the window");
        debug_assert!(
            self.log.slots().all(|(_, slot)| {
                slot.proposal.as_ref().is_none_or(|p| {
                    self.view.is_active() && p.pre_prepare.body.view == self.view.number()
                })
            }),
            "an accepted pre-prepare is of the active view"
        );
        debug_assert!(
            self.log.slots().all(|(_, slot)| {
                slot.prepared.as_ref().is_none_or(|p| p.view() <= self.view.number())
            }),
            "nothing prepared in a later view"
        );
        debug_assert!(
            (low.0 + 1..=self.execution.last_executed().0).all(|seq| {
                self.log.slot(SeqNum(seq)).is_some_and(|slot| slot.committed.is_some())
            }),
            "what was executed above h can be proved"
        );
        self.view.check_invariants();
    }
}
