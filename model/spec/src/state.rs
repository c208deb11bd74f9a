//! The state of the group: what each honest replica knows, and what it has put on the network.
//!
//! The network is not a bag of messages in flight. It is the set of what every honest replica ever sent,
//! which only grows. A message that nobody ever uses was lost; one that is used late was delayed; one that is
//! used twice was duplicated. So loss, delay, duplication and reordering need no action of their own.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View, per_slot};
use crate::value::{Applied, Value, ValueSet};

/// A prepared certificate for one slot: a PRE-PREPARE and q−1 PREPAREs that agree on view and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Certificate {
    /// The view in which the value prepared.
    pub view: View,
    /// The value.
    pub value: Value,
}

/// What a CHECKPOINT's digest covers: the service state and the reply table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct StateDigest {
    /// Operations applied to the service, in order.
    pub applied: Applied,
    /// The reply table.
    pub served: ValueSet,
}

/// A VIEW-CHANGE message. Its view is where it is stored; the proof C is implied (see [`crate::view_change`]).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ViewChange {
    /// The last checkpoint that the sender can prove stable, h.
    pub low_water_mark: Slot,
    /// P: for each slot above h, the prepared certificate with the highest view.
    #[serde(with = "per_slot")]
    pub prepared: [Option<Certificate>; MAX_SLOTS],
}

/// A NEW-VIEW message. Its view is where it is stored; V is implied: some valid V gives this outcome.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NewView {
    /// min-s: the highest stable checkpoint in V.
    pub min_s: Slot,
    /// max-s: the highest slot with a certificate in V, or min-s.
    pub max_s: Slot,
    /// O: the value of the PRE-PREPARE for each slot in (min-s, max-s].
    #[serde(with = "per_slot")]
    pub order: [Value; MAX_SLOTS],
}

/// Per view and slot, the values that a replica has voted for.
pub type Votes = [[ValueSet; MAX_SLOTS]; MAX_VIEWS];

/// Everything an honest replica has ever put on the network. It survives everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sent {
    /// Per view and slot, values of its PREPAREs, or of its PRE-PREPAREs where it is the primary of the view
    /// (the primary sends no PREPARE).
    pub prepares: Votes,
    /// Per view and slot, values of its COMMITs.
    pub commits: Votes,
    /// Per view, its VIEW-CHANGE.
    pub view_changes: [Option<ViewChange>; MAX_VIEWS],
    /// Per view, its NEW-VIEW.
    pub new_views: [Option<NewView>; MAX_VIEWS],
    /// Per slot, its CHECKPOINT.
    pub checkpoints: [Option<StateDigest>; MAX_SLOTS],
}

impl Sent {
    /// Adds what `other` holds.
    pub(crate) fn add(&mut self, other: &Self) {
        for view in 0..MAX_VIEWS {
            for slot in 0..MAX_SLOTS {
                let prepares = &mut self.prepares[view][slot];
                *prepares = prepares.union(other.prepares[view][slot]);
                let commits = &mut self.commits[view][slot];
                *commits = commits.union(other.commits[view][slot]);
            }
            self.view_changes[view] = other.view_changes[view].or(self.view_changes[view]);
            self.new_views[view] = other.new_views[view].or(self.new_views[view]);
        }
        for slot in 0..MAX_SLOTS {
            self.checkpoints[slot] = other.checkpoints[slot].or(self.checkpoints[slot]);
        }
    }
}

/// One honest replica. The Byzantine replica has one too, which stays as it was at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReplicaState {
    /// The view it is in, or is changing to.
    pub view: View,
    /// Whether it takes part in that view; false between its VIEW-CHANGE and a NEW-VIEW.
    pub active: bool,
    /// Low water mark h: the last stable checkpoint.
    pub low_water_mark: Slot,
    /// The last slot executed, or reached by state transfer.
    pub last_executed: Slot,
    /// Per slot, the value of the PRE-PREPARE accepted in the current view.
    pub accepted: [Value; MAX_SLOTS],
    /// Per slot above h, the prepared certificate with the highest view.
    pub certificates: [Option<Certificate>; MAX_SLOTS],
    /// Operations applied to the service.
    pub applied: Applied,
    /// The reply table: the requests that are answered, or that the answer to a later one of their client has made
    /// obsolete. It says the same as the last timestamp of each client.
    pub served: ValueSet,
    /// History, not read by any rule: per slot, the value executed (none where state transfer skipped it).
    pub executed: [Value; MAX_SLOTS],
    /// What it has put on the network.
    pub sent: Sent,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            view: View(0),
            active: true,
            low_water_mark: Slot::GENESIS,
            last_executed: Slot::GENESIS,
            accepted: [Value::NONE; MAX_SLOTS],
            certificates: [None; MAX_SLOTS],
            applied: Applied::default(),
            served: ValueSet::EMPTY,
            executed: [Value::NONE; MAX_SLOTS],
            sent: Sent::default(),
        }
    }
}

impl ReplicaState {
    /// The digest of its service state and reply table.
    #[must_use]
    pub const fn digest(&self) -> StateDigest {
        StateDigest { applied: self.applied, served: self.served }
    }

    /// Makes `slot` the low water mark and forgets what lies at or below it (§4.3).
    pub(crate) fn collect_garbage(&mut self, slot: Slot) {
        self.low_water_mark = self.low_water_mark.max(slot);
        for collected in Slot::GENESIS.until(self.low_water_mark) {
            self.accepted[collected.index()] = Value::NONE;
            self.certificates[collected.index()] = None;
        }
    }
}

/// The state of the whole group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State {
    /// The replicas, by id.
    pub replicas: Vec<ReplicaState>,
    /// What the replicas have on disk, by id. Empty where nobody crashes: then every step is durable at once.
    pub disks: Vec<ReplicaState>,
    /// What the replicas have put on the network, by id. Empty where nobody crashes: then what a replica has to say
    /// is on the network at once.
    pub wire: Vec<Sent>,
}

impl State {
    /// A group before anything happened: view 0, everybody active, nothing sent. All clients' requests exist from the
    /// start; one that was not sent yet is one whose message is delayed.
    #[must_use]
    pub fn initial(config: &Config) -> Self {
        let replicas = usize::from(config.replicas());
        let crashing = if config.restarts() { replicas } else { 0 };
        Self {
            replicas: vec![ReplicaState::default(); replicas],
            disks: vec![ReplicaState::default(); crashing],
            wire: vec![Sent::default(); crashing],
        }
    }

    /// One replica.
    #[must_use]
    pub fn replica(&self, id: ReplicaId) -> &ReplicaState {
        &self.replicas[id.index()]
    }

    /// What a replica has put on the network.
    #[must_use]
    pub fn sent(&self, id: ReplicaId) -> &Sent {
        match self.wire.get(id.index()) {
            Some(sent) => sent,
            None => &self.replica(id).sent,
        }
    }

    /// What `viewer` knows of what `sender` has to say: what is on the network, and of its own also what is not yet.
    #[must_use]
    pub fn seen_by(&self, viewer: Viewer, sender: ReplicaId) -> &Sent {
        match self.wire.get(sender.index()) {
            Some(sent) if viewer != Viewer::Replica(sender) => sent,
            Some(_) | None => &self.replica(sender).sent,
        }
    }
}

/// Who looks at the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// A replica, which knows what it is about to send.
    Replica(ReplicaId),
    /// Anybody else: the Byzantine replicas, a property.
    Network,
}
