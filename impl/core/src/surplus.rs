//! What a replica has no use for, so that nobody needs to check its signatures (D25): votes for what is settled, and what
//! it would refuse anyway (`stale.rs`).
//!
//! q−1 PREPAREs make a batch prepared and q COMMITs make it final (§4.2). What comes after them for the same batch changes
//! nothing, and not to have looked at it is as if the network had lost it. A vote for *another* batch is always looked at:
//! it may be evidence. So may be the two votes of a replica that sends both; therefore the first vote of each replica is
//! remembered, and one that was set aside is looked at after all when the same replica contradicts it.

use crate::durable::Record;
use crate::effect::Effect;
use crate::membership::Membership;
use crate::message::Message;
use crate::rejection::Rejection;
use crate::replica::Replica;
use crate::stale::Place;
use crate::types::{Digest, ReplicaId, SeqNum, View};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// PREPARE or COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Prepare,
    Commit,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vote {
    phase: Phase,
    view: View,
    seq: SeqNum,
    digest: Digest,
}

impl Vote {
    /// The vote in a message of a voter whose vote counts.
    fn of(from: ReplicaId, message: &Message, membership: &Membership) -> Option<Self> {
        let (phase, replica, view, seq, digest) = match message {
            Message::Prepare(vote) => {
                let body = &vote.body;
                (Phase::Prepare, body.replica, body.view, body.seq, body.digest)
            }
            Message::Commit(vote) => {
                let body = &vote.body;
                (Phase::Commit, body.replica, body.view, body.seq, body.digest)
            }
            _ => return None,
        };
        let counts = phase == Phase::Commit || membership.primary(view) != from;
        (replica == from && counts).then_some(Self { phase, view, seq, digest })
    }
}

/// What is settled of a sequence number.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    /// The batch that prepared in the current view.
    prepared: Option<Digest>,
    /// The batch that is final.
    committed: Option<Digest>,
}

/// The first vote of a replica in the current view.
#[derive(Clone, Debug)]
struct First {
    digest: Digest,
    /// The vote itself, if nobody has looked at it.
    aside: Option<Message>,
}

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sifted {
    /// It has to be verified, and then given to the replica.
    Needed(Message),
    /// It contradicts a vote that was set aside: verify both and give both to the replica, the earlier one first.
    Contradicts {
        /// The vote that was set aside.
        earlier: Message,
        /// The message.
        message: Message,
    },
    /// Nothing would come of it.
    Surplus,
    /// The replica would refuse it for this, whatever its signatures are.
    Refused(Rejection),
}

/// What is settled at one replica, and the votes that were set aside. It knows of the current view and of the numbers in
/// the window only, and of one vote a phase, replica and number.
#[derive(Clone, Debug)]
pub struct Surplus {
    membership: Membership,
    place: Place,
    settled: BTreeMap<SeqNum, Settled>,
    first: BTreeMap<(SeqNum, Phase, ReplicaId), First>,
}

impl Surplus {
    /// Nothing is settled yet at `replica`.
    pub fn new(replica: &Replica) -> Self {
        let (settled, first) = (BTreeMap::new(), BTreeMap::new());
        let (membership, place) = (replica.params.membership, Place::new(replica));
        Self { membership, place, settled, first }
    }

    /// `replica` has just answered an input with `effects`.
    pub fn on_step(&mut self, effects: &[Effect], replica: &Replica) {
        let (view, low) = (self.place.view.number(), self.place.low);
        self.place.follow(effects, replica);
        if view != replica.view.number() {
            self.settled.values_mut().for_each(|settled| settled.prepared = None);
            self.first.clear();
        }
        for effect in effects {
            if let Effect::Persist(Record::Prepared(certificate)) = effect {
                let body = &certificate.pre_prepare.body;
                self.settled.entry(body.seq).or_default().prepared = Some(body.digest);
            }
            if let Effect::Execute { seq, .. } = effect {
                let committed = replica.commit_certificate(*seq).and_then(|known| known.digest());
                self.settled.entry(*seq).or_default().committed = committed;
            }
        }
        if low < self.place.low {
            self.settled.retain(|seq, _| *seq > self.place.low);
            self.first.retain(|(seq, ..), _| *seq > self.place.low);
        }
    }

    /// The batches that the replica has asked for. It refuses others; whoever delivers one hashes it to tell, and should
    /// not do that while somebody else waits for this.
    pub fn wanted(&self) -> Arc<BTreeSet<Digest>> {
        Arc::clone(&self.place.wanted)
    }

    /// How many votes are set aside.
    pub fn len(&self) -> usize {
        self.first.values().filter(|first| first.aside.is_some()).count()
    }

    /// Whether no vote is set aside.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the replica has what the vote could help to.
    fn is_settled(&self, vote: &Vote) -> bool {
        let settled = self.settled.get(&vote.seq).copied().unwrap_or_default();
        let digest = match vote.phase {
            Phase::Prepare => settled.prepared,
            Phase::Commit => settled.committed,
        };
        digest == Some(vote.digest)
    }

    /// Decides about a message that came on `from`'s channel and that nobody has looked at.
    pub fn sift(&mut self, from: ReplicaId, message: Message) -> Sifted {
        if let Err(rejection) = self.place.check(from, &message) {
            return Sifted::Refused(rejection);
        }
        let Some(vote) = Vote::of(from, &message, &self.membership) else {
            return Sifted::Needed(message);
        };
        let (view, low, high) = (self.place.view.number(), self.place.low, self.place.high);
        if vote.view != view || vote.seq <= low || vote.seq > high {
            return Sifted::Needed(message);
        }
        let settled = self.is_settled(&vote);
        match self.first.entry((vote.seq, vote.phase, from)) {
            Entry::Vacant(entry) => {
                let aside = settled.then(|| message.clone());
                entry.insert(First { digest: vote.digest, aside });
                if settled { Sifted::Surplus } else { Sifted::Needed(message) }
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                if known.aside.is_some() && known.digest == vote.digest {
                    return Sifted::Surplus;
                }
                match known.aside.take() {
                    Some(earlier) => Sifted::Contradicts { earlier, message },
                    // The replica has seen the first one, and says what this one is.
                    None => Sifted::Needed(message),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Commit, Prepare, Signed};
    use crate::types::Signature;

    const PREPARED: Digest = Digest([1; 32]);
    const OTHER: Digest = Digest([2; 32]);

    fn prepare(from: u32, view: u64, seq: u64, digest: Digest) -> Message {
        let body = Prepare { view: View(view), seq: SeqNum(seq), digest, replica: ReplicaId(from) };
        Message::Prepare(Signed { body, signature: Signature::default() })
    }

    fn commit(from: u32, view: u64, seq: u64, digest: Digest) -> Message {
        let body = Commit { view: View(view), seq: SeqNum(seq), digest, replica: ReplicaId(from) };
        Message::Commit(Signed { body, signature: Signature::default() })
    }

    /// Number 1 prepared in view 0 and is final, number 2 prepared in view 0.
    fn surplus() -> Surplus {
        let prepared = Some(PREPARED);
        let first = Settled { prepared, committed: Some(PREPARED) };
        let second = Settled { prepared, committed: None };
        let settled = BTreeMap::from([(SeqNum(1), first), (SeqNum(2), second)]);
        let membership = Membership::new(4).expect("four");
        let place = Place::at(ReplicaId(3), View(0), (SeqNum(0), SeqNum(8)));
        Surplus { membership, place, settled, first: BTreeMap::new() }
    }

    fn is_needed(surplus: &mut Surplus, from: u32, message: Message) -> bool {
        surplus.sift(ReplicaId(from), message.clone()) == Sifted::Needed(message)
    }

    #[test]
    fn votes_for_what_is_settled_are_surplus_and_no_others() {
        let mut surplus = surplus();
        for (message, needed) in [
            (prepare(1, 0, 1, PREPARED), false),
            (prepare(1, 0, 2, PREPARED), false),
            (prepare(1, 0, 3, PREPARED), true),
            (commit(1, 0, 1, PREPARED), false),
            (commit(1, 0, 2, PREPARED), true),
            // Of another view: the replica is to say so.
            (prepare(2, 1, 1, PREPARED), true),
            (prepare(2, 0, 1, OTHER), true),
            (commit(2, 0, 1, OTHER), true),
            // Above the window, where nothing is remembered.
            (prepare(1, 0, 9, PREPARED), true),
            // The primary's, which counts for nothing: the replica is to say so.
            (prepare(0, 0, 1, PREPARED), true),
            (commit(0, 0, 1, PREPARED), false),
        ] {
            let sifted = surplus.sift(ReplicaId(voter(&message)), message.clone());
            let is_needed = sifted == Sifted::Needed(message.clone());
            assert_eq!(is_needed, needed, "{message:?}");
        }
        assert!(surplus.first.keys().all(|(seq, ..)| (1..=8).contains(&seq.0)));
    }

    fn voter(message: &Message) -> u32 {
        match message {
            Message::Prepare(vote) => vote.body.replica.0,
            Message::Commit(vote) => vote.body.replica.0,
            other => unreachable!("{other:?} is no vote"),
        }
    }

    #[test]
    fn who_contradicts_a_vote_that_was_set_aside_is_found_out() {
        let mut surplus = surplus();
        let (earlier, message) = (prepare(1, 0, 1, PREPARED), prepare(1, 0, 1, OTHER));
        assert_eq!(surplus.sift(ReplicaId(1), earlier.clone()), Sifted::Surplus);
        assert_eq!(surplus.sift(ReplicaId(1), earlier.clone()), Sifted::Surplus, "sent again");
        let both = Sifted::Contradicts { earlier: earlier.clone(), message: message.clone() };
        assert_eq!(surplus.sift(ReplicaId(1), message.clone()), both);
        // The other way round, the second vote is looked at although it is for what has prepared.
        let (earlier, message) = (commit(2, 0, 1, OTHER), commit(2, 0, 1, PREPARED));
        assert!(is_needed(&mut surplus, 2, earlier));
        assert!(is_needed(&mut surplus, 2, message));
    }

    #[test]
    fn a_vote_that_the_replica_has_seen_is_looked_at_again() {
        let mut surplus = Surplus { settled: BTreeMap::new(), ..surplus() };
        let vote = prepare(1, 0, 1, PREPARED);
        assert!(is_needed(&mut surplus, 1, vote.clone()));
        surplus.settled = super::tests::surplus().settled;
        assert!(is_needed(&mut surplus, 1, vote), "the replica says that it is a duplicate");
    }
}
