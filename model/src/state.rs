//! The state of the group: what each honest replica knows, and what it has put on the network.
//!
//! The network is not a bag of messages in flight. It is the set of what every honest replica ever sent,
//! which only grows. A message that nobody ever uses was lost; one that is used late was delayed; one that is
//! used twice was duplicated. So loss, delay, duplication and reordering need no action of their own.

use std::hash::{Hash, Hasher};

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

/// Everything an honest replica has ever put on the network. It survives everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sent {
    /// Per view and slot, values of its PREPAREs, or of its PRE-PREPAREs where it is the primary of the view
    /// (the primary sends no PREPARE).
    pub prepares: [[ValueSet; MAX_SLOTS]; MAX_VIEWS],
    /// Per view and slot, values of its COMMITs.
    pub commits: [[ValueSet; MAX_SLOTS]; MAX_VIEWS],
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

    /// Its canonical bytes: equal exactly for equal states.
    fn encode(&self) -> Encoder {
        // Taken apart field by field, so that a new field does not compile until it is encoded.
        let Self {
            view,
            active,
            low_water_mark,
            last_executed,
            accepted,
            certificates,
            applied,
            served,
            executed,
            sent,
        } = self;
        let mut out = Encoder::new();
        let [a, b, c, d] = applied.0.to_le_bytes();
        let marks = [low_water_mark.0, last_executed.0];
        out.put([view.0, u8::from(*active), marks[0], marks[1], a, b, c, d, served.0]);
        out.put(accepted.map(|value| value.0));
        out.put(executed.map(|value| value.0));
        out.put_certificates(certificates);
        sent.encode(&mut out);
        out
    }
}

impl Sent {
    /// Appends its canonical bytes: a bit for each message that may be absent, then those that are there.
    fn encode(&self, out: &mut Encoder) {
        let Self { prepares, commits, view_changes, new_views, checkpoints } = self;
        out.put_sets(prepares.as_flattened());
        out.put_sets(commits.as_flattened());
        let present = [present(view_changes), present(new_views), present(checkpoints)];
        out.put(present);
        if present == [0; 3] {
            return;
        }
        for ViewChange { low_water_mark, prepared } in view_changes.iter().flatten() {
            out.put([low_water_mark.0]);
            out.put_certificates(prepared);
        }
        for NewView { min_s, max_s, order } in new_views.iter().flatten() {
            out.put([min_s.0, max_s.0]);
            out.put(order.map(|value| value.0));
        }
        for StateDigest { applied, served } in checkpoints.iter().flatten() {
            out.put([served.0]);
            out.put(applied.0.to_le_bytes());
        }
    }
}

/// A bit for each item that is there; at most eight items.
fn present<T, const N: usize>(items: &[Option<T>; N]) -> u8 {
    let mut bits = 0;
    for (at, item) in items.iter().enumerate() {
        bits |= u8::from(item.is_some()) << at;
    }
    bits
}

/// The canonical bytes of a replica at their longest; most are half as long.
const ENCODED_LEN: usize = 12
    + 4 * MAX_SLOTS
    + 2 * MAX_VIEWS * MAX_SLOTS
    + MAX_VIEWS * (1 + 2 * MAX_SLOTS)
    + MAX_VIEWS * (2 + MAX_SLOTS)
    + 5 * MAX_SLOTS;

struct Encoder {
    bytes: [u8; ENCODED_LEN],
    len: usize,
}

impl Encoder {
    const fn new() -> Self {
        Self { bytes: [0; ENCODED_LEN], len: 0 }
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.len..self.len + N].copy_from_slice(&bytes);
        self.len += N;
    }

    /// A certificate's value is never none, so two zero bytes stand for no certificate.
    #[inline]
    fn put_certificates(&mut self, certificates: &[Option<Certificate>; MAX_SLOTS]) {
        let mut bytes = [0; 2 * MAX_SLOTS];
        for (at, certificate) in certificates.iter().enumerate() {
            if let Some(Certificate { view, value }) = certificate {
                bytes[2 * at] = view.0;
                bytes[2 * at + 1] = value.0;
            }
        }
        self.put(bytes);
    }

    #[inline]
    fn put_sets(&mut self, sets: &[ValueSet]) {
        let room = &mut self.bytes[self.len..self.len + sets.len()];
        room.iter_mut().zip(sets).for_each(|(byte, set)| *byte = set.0);
        self.len += sets.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

// By hand because a derived Hash feeds some two hundred single bytes to the hasher, and the checker's speed
// is the speed of hashing states. One write of the canonical bytes is five times faster.
impl Hash for ReplicaState {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(self.encode().bytes());
    }
}

impl Hash for Sent {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut out = Encoder::new();
        self.encode(&mut out);
        hasher.write(out.bytes());
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
