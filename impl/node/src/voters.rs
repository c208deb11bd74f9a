//! Who votes, and who does not and why. A cluster executes while q replicas vote in one view, however many answer.

use pbft_core::types::{ReplicaId, View};
use pbft_core::{Membership, Standing};
use std::collections::BTreeMap;
use std::fmt;

/// What one replica says of its vote, if it says anything.
pub type Said = Result<(View, Standing), String>;

/// Why a replica's vote does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It does not say anything.
    Silent(String),
    /// It says why.
    Abstains(Standing),
    /// It votes, but in another view than most.
    InView {
        /// Its view.
        own: View,
        /// The others'.
        others: View,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(why) => write!(f, "no answer: {why}"),
            Self::Abstains(standing) => standing.fmt(f),
            Self::InView { own, others } => {
                write!(f, "in view {}, while the others vote in view {}", own.0, others.0)
            }
        }
    }
}

/// The voters of a cluster, as its replicas tell them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voters {
    quorum: usize,
    voting: Vec<ReplicaId>,
    missing: BTreeMap<ReplicaId, Missing>,
}

impl Voters {
    /// Counts the votes of what replicas said: those in the view that most of them vote in, the latest of several.
    pub fn count(
        membership: Membership,
        said: impl IntoIterator<Item = (ReplicaId, Said)>,
    ) -> Self {
        let said: BTreeMap<ReplicaId, Said> = said.into_iter().collect();
        let mut views: BTreeMap<View, usize> = BTreeMap::new();
        for (view, _) in said.values().flatten().filter(|(_, standing)| standing.votes()) {
            *views.entry(*view).or_default() += 1;
        }
        // The last of several maxima.
        let most = views.into_iter().max_by_key(|(_, count)| *count);
        let others = most.map(|(view, _)| view).unwrap_or_default();
        let (mut voting, mut missing) = (Vec::new(), BTreeMap::new());
        for (replica, said) in said {
            let why = match said {
                Ok((own, Standing::Votes)) if own == others => {
                    voting.push(replica);
                    continue;
                }
                Ok((own, Standing::Votes)) => Missing::InView { own, others },
                Ok((_, standing)) => Missing::Abstains(standing),
                Err(why) => Missing::Silent(why),
            };
            missing.insert(replica, why);
        }
        Self { quorum: membership.quorum(), voting, missing }
    }

    /// How many are needed.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Those that vote, in order.
    pub fn voting(&self) -> &[ReplicaId] {
        &self.voting
    }

    /// The others, and why they do not.
    pub fn missing(&self) -> &BTreeMap<ReplicaId, Missing> {
        &self.missing
    }

    /// Whether there are enough.
    pub fn are_enough(&self) -> bool {
        self.voting.len() >= self.quorum
    }
}

/// How many vote, and a line for each that does not.
impl fmt::Display for Voters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.voting.len() + self.missing.len();
        write!(f, "{} of {known} vote, a quorum is {}", self.voting.len(), self.quorum)?;
        self.missing
            .iter()
            .try_for_each(|(replica, why)| write!(f, "\n  replica {}: {why}", replica.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::types::SeqNum;

    fn count(said: [Said; 4]) -> Voters {
        let membership = Membership::new(4).expect("valid size");
        Voters::count(membership, (0..).map(ReplicaId).zip(said))
    }

    fn votes(view: u64) -> Said {
        Ok((View(view), Standing::Votes))
    }

    #[test]
    fn votes_count_in_the_view_of_most() {
        let voters = count([votes(0), votes(0), votes(0), votes(0)]);
        assert_eq!((voters.voting().len(), voters.are_enough()), (4, true));
        assert!(voters.missing().is_empty());

        let voters = count([votes(0), votes(3), votes(3), votes(3)]);
        assert_eq!(voters.voting(), [1, 2, 3].map(ReplicaId));
        let old = Missing::InView { own: View(0), others: View(3) };
        assert_eq!(voters.missing(), &BTreeMap::from([(ReplicaId(0), old)]));

        let voters = count([votes(0), votes(0), votes(3), votes(3)]);
        assert_eq!(voters.voting(), [2, 3].map(ReplicaId), "the later view");
        assert!(!voters.are_enough(), "four vote, and no quorum in any view");
    }

    #[test]
    fn whoever_does_not_vote_is_named_with_the_reason() {
        let recovering = Standing::Recovering { until: SeqNum(14), view: View(1) };
        let waiting = Standing::AwaitsView { view: View(2) };
        let voters = count([
            votes(0),
            Ok((View(1), recovering)),
            Ok((View(2), waiting)),
            Err("connection refused".to_owned()),
        ]);
        assert!(!voters.are_enough());
        assert_eq!(
            voters.to_string(),
            "1 of 4 vote, a quorum is 3\
             \n  replica 1: recovering: votes again once checkpoint 14 is stable and view 1 or a later one begins\
             \n  replica 2: waiting for view 2 or a later one to begin\
             \n  replica 3: no answer: connection refused"
        );
    }
}
