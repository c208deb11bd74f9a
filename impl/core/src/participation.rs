//! Who takes part in the view, and how a replica that left it alone comes back.
//!
//! A replica whose timer ran out where nobody else's did has promised not to vote in the view any more, and keeps the
//! promise: its VIEW-CHANGE says what it had prepared, and a vote after it could break the argument by which quorums
//! intersect. It follows what the others execute, but the next failure would cost the cluster its quorum. So the others
//! go to it: after a while they leave the view, too. An unneeded view change costs little, and is always safe.
//!
//! f liars can claim to be such a replica as often as they like. So each replica is waited for twice as long as the last
//! time, up to a bound, and the debt shrinks slowly while it takes part. It is not waited for if it names a view further
//! ahead: a correct replica that is alone is exactly one view ahead, since it goes further only after a quorum.

use crate::effect::Effect;
use crate::message::{Message, Status};
use crate::replica::Replica;
use crate::timer::ticks;
use crate::types::{ReplicaId, SeqNum, View};
use std::sync::Arc;

/// A STATUS counts for so many ticks: a peer sends one a tick, and some are lost.
const FRESH_TICKS: u64 = 4;

/// A replica that has come back so often is waited for 2^6 view timeouts, and no longer.
const TIMES_MAX: u32 = 6;

/// While a replica takes part for so many times its present wait, the next one is halved.
const GOOD_WAITS: u64 = 16;

/// What a peer's latest STATUS says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) view: View,
    pub(crate) active: bool,
    pub(crate) last_executed: SeqNum,
    /// Own ticks since it came.
    pub(crate) age: u64,
}

impl Report {
    pub(crate) fn new(status: &Status) -> Self {
        let Status { view, active, last_executed, .. } = *status;
        Self { view, active, last_executed, age: 0 }
    }

    fn is_fresh(&self) -> bool {
        self.age < FRESH_TICKS
    }
}

/// How long a peer has waited alone in the next view, and how often that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Stray {
    /// Ticks for which it has waited.
    waited: u64,
    /// How often this replica has left a view for it, less what was forgiven.
    times: u32,
    /// Ticks for which it has taken part since.
    good: u64,
}

impl Stray {
    /// How many ticks it is waited for: the first view timeout, and as many as its STATUS may be old; not the present
    /// patience, which whoever drove it up would keep others out with.
    fn wait(&self, timeout: u64) -> u64 {
        timeout.max(FRESH_TICKS).saturating_mul(1 << self.times)
    }

    fn takes_part(&mut self, timeout: u64) {
        self.good += 1;
        if self.times > 0 && self.good >= self.wait(timeout).saturating_mul(GOOD_WAITS) {
            (self.times, self.good) = (self.times - 1, 0);
        }
    }

    fn was_helped(&mut self) {
        (self.waited, self.good) = (0, 0);
        self.times = (self.times + 1).min(TIMES_MAX);
    }
}

impl Replica {
    /// How many replicas take part in this replica's view, itself included, as far as it has heard lately. With fewer
    /// than n some failures are used up already, and with fewer than a quorum nothing is executed.
    pub fn participants(&self) -> usize {
        let others = self.params.membership.others(self.params.replica);
        others.filter(|id| self.takes_part(*id)).count() + usize::from(self.view.is_active())
    }

    fn takes_part(&self, peer: ReplicaId) -> bool {
        let report = self.reported.get(&peer).filter(|report| report.is_fresh());
        report.is_some_and(|report| report.active && report.view == self.view.number())
    }

    /// Whether f+1 others, one of them correct, have lately said that they have executed more than this replica.
    pub(crate) fn is_overtaken(&self) -> bool {
        let ahead = self
            .reported
            .values()
            .filter(|report| report.is_fresh() && report.last_executed > self.last_executed);
        ahead.count() >= self.params.membership.weak()
    }

    /// Whether a peer has left this view for the next, and waits there.
    fn waits_ahead(&self, peer: ReplicaId) -> bool {
        let Some(next) = self.view.number().next() else { return false };
        let promised = self.view.view_change_of(peer).is_some_and(|known| known.body.view == next);
        let report = self.reported.get(&peer).filter(|report| report.is_fresh());
        promised || report.is_some_and(|report| report.view == next && !report.active)
    }

    /// A tick: whether some peer has waited ahead of this replica for long enough.
    pub(crate) fn is_awaited_ahead(&mut self) -> bool {
        for report in self.reported.values_mut() {
            report.age = report.age.saturating_add(1);
        }
        if !self.view.is_active() {
            return false;
        }
        let timeout = ticks(self.params.view_timeout, &self.params);
        let peers: Vec<_> = self.params.membership.others(self.params.replica).collect();
        let ahead: Vec<_> = peers.iter().copied().filter(|peer| self.waits_ahead(*peer)).collect();
        let mut due = false;
        for peer in peers {
            let takes_part = self.takes_part(peer);
            let stray = self.strays.entry(peer).or_default();
            if ahead.contains(&peer) {
                stray.waited += 1;
                due |= stray.waited >= stray.wait(timeout);
            } else {
                stray.waited = 0;
            }
            if takes_part {
                stray.takes_part(timeout);
            }
        }
        due
    }

    /// The view is left, for whatever reason: that ends the wait of those who are ahead. Who was waited for for the most
    /// part is the reason, also where another replica came to that first.
    pub(crate) fn reach_strays(&mut self) {
        let timeout = ticks(self.params.view_timeout, &self.params);
        for stray in self.strays.values_mut() {
            match stray.waited > 0 && stray.waited * 2 >= stray.wait(timeout) {
                true => stray.was_helped(),
                false => stray.waited = 0,
            }
        }
    }

    /// Shows everybody the VIEW-CHANGEs of those who wait ahead, so that all join this replica, and none is alone in its
    /// turn because a liar told one only.
    pub(crate) fn show_view_changes(&self, effects: &mut Vec<Effect>) {
        let ahead = self.view.view_changes().filter(|known| known.body.view > self.view.number());
        effects
            .extend(ahead.map(|known| Effect::Broadcast(Message::ViewChange(Arc::clone(known)))));
    }
}
