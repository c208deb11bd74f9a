//! The only place that knows how many replicas there are and how many of them may lie.

use crate::types::{ReplicaId, View};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest cluster: certificates grow with n, and message limits are computed from it.
pub const REPLICAS_MAX: u32 = 128;

/// The set of replicas, and the quorums that follow from its size.
///
/// f = ⌊(n−1)/3⌋. Any two Byzantine quorums q = ⌈(n+f+1)/2⌉ share at least f+1 replicas, so at least one
/// correct one; n−f ≥ q replicas are there when f are not. Only for n = 3f+1 is q the paper's 2f+1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    n: u32,
}

/// A cluster size that PBFT cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MembershipError {
    /// Fewer than four replicas tolerate no fault at all.
    #[error("{0} replicas tolerate no faulty one; PBFT needs at least 4 (n >= 3f+1 with f >= 1)")]
    TooFew(u32),
    /// More than [`REPLICAS_MAX`].
    #[error("{0} replicas are more than the {REPLICAS_MAX} that message limits are computed for")]
    TooMany(u32),
}

impl Membership {
    /// A cluster of `n` replicas.
    pub fn new(n: u32) -> Result<Self, MembershipError> {
        match n {
            0..=3 => Err(MembershipError::TooFew(n)),
            4..=REPLICAS_MAX => {
                let membership = Self { n };
                assert!(2 * membership.quorum() > membership.n() + membership.faults());
                assert!(membership.quorum() + membership.faults() <= membership.n());
                Ok(membership)
            }
            _ => Err(MembershipError::TooMany(n)),
        }
    }

    /// Number of replicas, n.
    pub fn n(&self) -> usize {
        self.n as usize
    }

    /// Number of Byzantine replicas that are tolerated, f.
    #[doc(alias = "f")]
    pub fn faults(&self) -> usize {
        (self.n() - 1) / 3
    }

    /// Size of a Byzantine quorum, q: any two of them share a correct replica.
    pub fn quorum(&self) -> usize {
        (self.n() + self.faults() + 1).div_ceil(2)
    }

    /// PREPAREs that make a prepared certificate beside the pre-prepare, q−1, each from another backup.
    pub fn prepares(&self) -> usize {
        self.quorum() - 1
    }

    /// Size of a weak certificate, f+1: at least one of them is correct.
    pub fn weak(&self) -> usize {
        self.faults() + 1
    }

    /// The primary of `view`, `view mod n` (§4).
    pub fn primary(&self, view: View) -> ReplicaId {
        ReplicaId((view.0 % u64::from(self.n)) as u32)
    }

    /// Whether `replica` is one of the n.
    pub fn contains(&self, replica: ReplicaId) -> bool {
        replica.0 < self.n
    }

    /// All replicas, in order.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        (0..self.n).map(ReplicaId)
    }

    /// All replicas but `replica`, in order.
    pub fn others(&self, replica: ReplicaId) -> impl Iterator<Item = ReplicaId> + use<> {
        self.replicas().filter(move |other| *other != replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest q such that any two sets of q replicas share more than f, found by counting.
    fn smallest_intersecting(n: usize, f: usize) -> usize {
        (1..=n).find(|q| 2 * q > n + f).expect("q = n always intersects")
    }

    #[test]
    fn quorums_match_the_counted_ones_at_every_size() {
        for n in 4..=REPLICAS_MAX {
            let membership = Membership::new(n).expect("valid size");
            let (n, f) = (membership.n(), membership.faults());
            assert!(3 * f < n && 3 * (f + 1) >= n, "f is the most that n={n} tolerates");
            assert_eq!(membership.quorum(), smallest_intersecting(n, f));
            if n == 3 * f + 1 {
                assert_eq!(membership.quorum(), 2 * f + 1, "the paper's quorum");
            }
        }
        assert_eq!(Membership::new(5).map(|m| m.quorum()), Ok(4), "2f+1 = 3 would be unsafe");
        assert_eq!(Membership::new(6).map(|m| m.quorum()), Ok(4));
    }

    #[test]
    fn sizes_that_tolerate_nothing_are_refused() {
        for n in 0..4 {
            assert_eq!(Membership::new(n), Err(MembershipError::TooFew(n)));
        }
        assert_eq!(Membership::new(129), Err(MembershipError::TooMany(129)));
    }

    #[test]
    fn the_primary_rotates() {
        let membership = Membership::new(4).expect("valid size");
        assert_eq!(membership.primary(View(0)), ReplicaId(0));
        assert_eq!(membership.primary(View(7)), ReplicaId(3));
        assert!(membership.contains(membership.primary(View(u64::MAX))));
    }
}
