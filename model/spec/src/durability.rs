//! Crashes: what a replica has decided, what it has on disk, and what it has sent (§2: the paper assumes replicas that
//! never forget).
//!
//! Votes are durable before they are sent. In a configuration with restarts a step changes the replica's memory only;
//! [`Action::Flush`] is the write that makes everything up to here durable and then releases the messages; and
//! [`Action::Restart`] is a crash, after which memory is what the disk says. Several steps may share one write (group
//! commit), and a crash loses those since the last. Nobody has seen them, so to the others it is as if the replica had
//! been slow.
//!
//! Where there are no restarts in the configuration a step is durable at once, and nothing of this happens.

use crate::Pbft;
use crate::action::Action;
use crate::ids::ReplicaId;
use crate::state::{ReplicaState, State};

impl Pbft {
    /// The write to the disk, where there is something to write.
    pub(crate) fn flushes(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        if state.disks.get(id.index()).is_some_and(|disk| disk != state.replica(id)) {
            actions.push(Action::Flush { replica: id });
        }
    }

    /// Everything decided is durable, then everything to say is sent.
    pub(crate) fn flush(&self, state: &mut State, id: ReplicaId) {
        let replica = state.replicas[id.index()];
        if let (Some(disk), Some(wire)) =
            (state.disks.get_mut(id.index()), state.wire.get_mut(id.index()))
        {
            *disk = replica;
            wire.add(&replica.sent);
        }
    }

    /// Crashes that change something: what is decided and not on the disk is lost.
    pub(crate) fn restarts(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        if self.is_silent() || state.disks.is_empty() {
            return;
        }
        if self.restarted(state, id) != *state.replica(id) {
            actions.push(Action::Restart { replica: id });
        }
    }

    /// What a replica is after a restart: what it has on disk.
    pub(crate) fn restarted(&self, state: &State, id: ReplicaId) -> ReplicaState {
        *state.disks.get(id.index()).unwrap_or_else(|| state.replica(id))
    }
}
