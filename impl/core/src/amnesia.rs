//! A replica that lost its memory (§2 assumes that none does): how it comes back without contradicting what it may
//! have said before.
//!
//! Until then it counts among the f faulty replicas, so of the others at most f−1 are faulty. What it may have said
//! is bounded by what the others have done since, which they tell it over fresh channels ([`Position`]):
//!
//! * It voted for no number above its old H = h+L. Its h was proven by q CHECKPOINTs, at least two of them of other
//!   correct replicas, which have executed h. Whoever hears n−2 others hears one of those.
//! * It took part in no view, and promised none, beyond one more than the highest view that some correct replica
//!   among any n−2 others has reached: a view begins by q VIEW-CHANGEs, and is left by f+1 others' or by a timer. The
//!   timer of a view change runs only when q replicas want that view or a later one, so it is never two ahead.
//!
//! So the replica starts in the view after the highest that it hears of, as if it had promised it and waited for its
//! NEW-VIEW, and *abstains* until its stable checkpoint has reached the highest number executed plus L: it enters no
//! view, leaves none, and signs no checkpoint, but it fetches state, learns commit certificates, executes and answers
//! clients. From then on it is a correct replica like any other. It votes in the next view that begins, above
//! everything that it may have prepared, so that the certificates it lost are of no use to anybody; and its
//! VIEW-CHANGEs, all for later views than it may have promised, omit nothing.
//!
//! [`crate::Input::Suspect`] is not a timer: whoever feeds it to a replica that is already changing views takes it
//! further ahead than this allows for.

use crate::durable::Durable;
use crate::membership::Membership;
use crate::params::Params;
use crate::replica::Replica;
use crate::standing::Standing;
use crate::types::{ReplicaId, SeqNum, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// How far a replica has come: its view, active or not, what it has executed, and whether it votes. Told before
/// anything that it says from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// The view that it is in or changes to.
    pub view: View,
    /// The last batch that it executed.
    pub last_executed: SeqNum,
    /// Whether it votes. Of no use to the protocol, which cannot rely on it, but to whoever is about to take another
    /// vote away.
    pub standing: Standing,
}

impl Replica {
    /// How far this replica has come.
    pub fn position(&self) -> Position {
        Position {
            view: self.view.number(),
            last_executed: self.execution.last_executed(),
            standing: self.standing(),
        }
    }
}

/// Why a replica without memory cannot come back now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AmnesiaError {
    /// Not enough others say how far they are.
    #[error("{got} other replicas say how far they are, {needed} must")]
    TooFewAnswers {
        /// How many must.
        needed: usize,
        /// How many do.
        got: usize,
    },
    /// One claims the last view that there is.
    #[error("{replica} claims to be in the last view that there is, so it lies")]
    LastView {
        /// The liar.
        replica: ReplicaId,
    },
}

impl Membership {
    /// How many of the others a replica without memory must hear.
    pub fn answers_after_amnesia(&self) -> usize {
        self.n() - 2
    }
}

impl Durable {
    /// What a replica without memory starts from, given how far others are. Answers of itself and of strangers do not
    /// count.
    pub fn after_amnesia(
        params: &Params,
        positions: &BTreeMap<ReplicaId, Position>,
    ) -> Result<Self, AmnesiaError> {
        let own = params.replica;
        let others =
            || params.membership.others(own).filter_map(|id| Some((id, positions.get(&id)?)));
        let (needed, got) = (params.membership.answers_after_amnesia(), others().count());
        if got < needed {
            return Err(AmnesiaError::TooFewAnswers { needed, got });
        }
        let (mut view, mut executed) = (View(0), SeqNum(0));
        for (replica, position) in others() {
            let next = position.view.next().ok_or(AmnesiaError::LastView { replica })?;
            view = view.max(next);
            executed = executed.max(position.last_executed);
        }
        let until = SeqNum(executed.0.saturating_add(params.window));
        Ok(Self { view, changing: true, abstains: Some(until), ..Self::default() })
    }
}

impl Replica {
    /// Up to which stable checkpoint this replica does not vote, because it has lost its memory.
    pub fn abstains(&self) -> Option<SeqNum> {
        self.view.abstains()
    }
}
