//! Quorum arithmetic: the only place that knows how many replicas are enough.

use serde::Serialize;

/// Sizes of the certificates for a group of `n` replicas.
///
/// The paper fixes n = 3f+1, where every quorum is 2f+1. For any other n, 2f+1 is wrong (two quorums of
/// three among six replicas need not meet), so the size is derived from the intersection that is needed:
/// two quorums of ⌈(n+f+1)/2⌉ share at least f+1 replicas, one of them correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quorums {
    /// Number of replicas, n.
    pub replicas: u8,
    /// Greatest number of faulty replicas tolerated, f = ⌊(n−1)/3⌋.
    pub faulty: u8,
    /// Byzantine quorum, q = ⌈(n+f+1)/2⌉: commits, checkpoints, VIEW-CHANGEs.
    pub quorum: u8,
    /// Weak certificate, f+1: at least one correct replica is in it.
    pub weak: u8,
}

impl Quorums {
    /// The quorums of a group of `replicas` (at least one).
    #[must_use]
    pub const fn of(replicas: u8) -> Self {
        let faulty = replicas.saturating_sub(1) / 3;
        Self { replicas, faulty, quorum: (replicas + faulty + 1).div_ceil(2), weak: faulty + 1 }
    }

    /// PREPAREs from distinct backups that, with the PRE-PREPARE, make a prepared certificate: q−1.
    #[must_use]
    pub const fn prepares(&self) -> u8 {
        self.quorum - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_f_plus_one_exactly_when_n_is_three_f_plus_one() {
        assert_eq!(Quorums::of(4).quorum, 3);
        assert_eq!(Quorums::of(5).quorum, 4);
        assert_eq!(Quorums::of(6).quorum, 4);
        assert_eq!(Quorums::of(7).quorum, 5);
    }

    #[test]
    fn two_quorums_share_a_correct_replica_and_correct_replicas_form_one() {
        for n in 4..=100 {
            let q = Quorums::of(n);
            assert!(2 * q.quorum > n + q.faulty, "n = {n}");
            assert!(q.quorum <= n - q.faulty, "n = {n}");
        }
    }
}
