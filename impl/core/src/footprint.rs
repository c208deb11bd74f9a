//! How much a replica holds, and the most that it can hold: design and paper ask that a liar costs no memory, so every
//! collection has a bound that follows from the parameters.

use crate::bodies::BODIES_MAX;
use crate::params::Params;
use crate::replica::Replica;

/// Numbers of things that a replica holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Sequence numbers with anything in the log.
    pub slots: usize,
    /// PREPAREs and COMMITs in them.
    pub votes: usize,
    /// Requests that wait.
    pub pending: usize,
    /// Clients that have to sign.
    pub must_sign: usize,
    /// Replies in the reply table.
    pub replies: usize,
    /// CHECKPOINTs.
    pub checkpoint_votes: usize,
    /// VIEW-CHANGEs.
    pub view_changes: usize,
    /// Batches of proposals of views that were left.
    pub bodies: usize,
    /// Batches that were asked for or came.
    pub fetched: usize,
    /// Checkpoints whose state can be served.
    pub manifests: usize,
    /// What is remembered of the peers' STATUS.
    pub reports: usize,
}

impl Footprint {
    /// The most that a replica with these parameters holds in a cluster with so many clients on its list.
    pub fn most(params: &Params, clients: usize) -> Self {
        let (n, window) = (params.membership.n(), params.window_len());
        let lanes = clients.saturating_mul(usize::from(params.lanes_max));
        let checkpoints = window / params.checkpoint_interval as usize;
        Self {
            slots: window,
            votes: window * 2 * n,
            pending: lanes,
            must_sign: clients,
            replies: lanes,
            // In the window one a replica and checkpoint, and one beyond it for each other replica.
            checkpoint_votes: (checkpoints + 1) * n,
            view_changes: n,
            bodies: window * BODIES_MAX,
            // What the certificates in the VIEW-CHANGEs of all may name.
            fetched: n * window,
            // The stable one and the one before it, and those in the window.
            manifests: checkpoints + 2,
            reports: 5 * n,
        }
    }

    /// The name, number and bound of something of which there is more than in `most`.
    pub fn beyond(&self, most: &Self) -> Option<(&'static str, usize, usize)> {
        let pairs = [
            ("slots", self.slots, most.slots),
            ("votes", self.votes, most.votes),
            ("pending", self.pending, most.pending),
            ("clients that must sign", self.must_sign, most.must_sign),
            ("replies", self.replies, most.replies),
            ("checkpoint votes", self.checkpoint_votes, most.checkpoint_votes),
            ("view changes", self.view_changes, most.view_changes),
            ("bodies", self.bodies, most.bodies),
            ("fetched", self.fetched, most.fetched),
            ("manifests", self.manifests, most.manifests),
            ("reports", self.reports, most.reports),
        ];
        pairs.into_iter().find(|(_, got, most)| got > most)
    }
}

impl Replica {
    /// How much the replica holds.
    pub fn footprint(&self) -> Footprint {
        let slots = || self.log.slots().map(|(_, slot)| slot);
        Footprint {
            slots: slots().count(),
            votes: slots().map(|slot| slot.prepares.len() + slot.commits.len()).sum(),
            pending: self.pending.len(),
            must_sign: self.must_sign.len(),
            replies: self.execution.replies.iter().count(),
            checkpoint_votes: self.checkpoints.len(),
            view_changes: self.view.view_changes().count(),
            bodies: slots().map(|slot| slot.bodies.len()).sum(),
            fetched: self.fetching.len(),
            manifests: self.checkpoints.manifests.len(),
            reports: self.peers.len() + self.timer.pace.len(),
        }
    }
}
