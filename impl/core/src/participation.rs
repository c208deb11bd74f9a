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

use crate::budget::Budget;
use crate::membership::Membership;
use crate::message::Status;
use crate::params::Params;
use crate::rejection::Rejection;
use crate::replica::Replica;
use crate::timer::ticks;
use crate::types::{ReplicaId, SeqNum};
use crate::view::CurrentView;
use std::collections::BTreeMap;

/// A STATUS counts for so many ticks: a peer sends one a tick, and some are lost.
const FRESH_TICKS: u64 = 4;

/// A replica that has come back so often is waited for 2^6 view timeouts, and no longer.
const TIMES_MAX: u32 = 6;

/// While a replica takes part for so many times its present wait, the next one is halved.
const GOOD_WAITS: u64 = 16;

/// A peer's latest STATUS.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Report {
    status: Status,
    /// Own ticks since it came.
    age: u64,
}

/// How long a peer has waited alone in the next view, and how often that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Stray {
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

/// What is known of the peers, and what they were given: of each one entry a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peers {
    /// What each was given since the last tick.
    pub(crate) budget: Budget,
    /// Those whose STATUS was answered since the last tick; with the low water mark that it told, above which it is
    /// answered once more, or with nothing.
    answered: BTreeMap<ReplicaId, Option<SeqNum>>,
    /// What the latest STATUS of each says.
    reported: BTreeMap<ReplicaId, Report>,
    /// Those that have waited ahead of this replica.
    strays: BTreeMap<ReplicaId, Stray>,
}

impl Peers {
    /// Nothing is known yet. Each is given at most so many bytes between two ticks.
    pub(crate) fn new(help_bytes_max: usize) -> Self {
        Self {
            budget: Budget::new(help_bytes_max),
            answered: BTreeMap::new(),
            reported: BTreeMap::new(),
            strays: BTreeMap::new(),
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.answered.len() + self.budget.len() + self.reported.len() + self.strays.len()
    }

    /// A tick: each may be helped again.
    pub(crate) fn tick(&mut self) {
        self.answered.clear();
        self.budget.tick();
    }

    /// Notes a peer's STATUS if it is to be answered: once between two own ticks, and once more if the peer has fetched
    /// a state since, and can use what it could not before.
    pub(crate) fn note_status(&mut self, status: &Status) -> Result<(), Rejection> {
        let low = status.low_water_mark;
        let again = match self.answered.get(&status.replica) {
            None => Some(low),
            Some(Some(first)) if *first < low => None,
            Some(Some(_) | None) => return Err(Rejection::Duplicate),
        };
        // All checks passed; nothing has changed yet.
        self.answered.insert(status.replica, again);
        self.reported.insert(status.replica, Report { status: status.clone(), age: 0 });
        Ok(())
    }

    /// What a peer has said lately.
    fn status(&self, peer: ReplicaId) -> Option<&Status> {
        let fresh = self.reported.get(&peer).filter(|report| report.age < FRESH_TICKS);
        fresh.map(|report| &report.status)
    }

    fn takes_part(&self, peer: ReplicaId, view: &CurrentView) -> bool {
        self.status(peer).is_some_and(|status| status.active && status.view == view.number())
    }

    /// Whether f+1 others, one of them correct, have lately said that they have executed more.
    pub(crate) fn have_overtaken(&self, executed: SeqNum, membership: &Membership) -> bool {
        let lately = self.reported.keys().filter_map(|peer| self.status(*peer));
        lately.filter(|status| status.last_executed > executed).count() >= membership.weak()
    }

    /// Whether a peer has left this view for the next, and waits there.
    fn waits_ahead(&self, peer: ReplicaId, view: &CurrentView) -> bool {
        let Some(next) = view.number().next() else { return false };
        let promised = view.view_change_of(peer).is_some_and(|known| known.body.view == next);
        promised || self.status(peer).is_some_and(|status| status.view == next && !status.active)
    }

    /// A tick: whether some peer has waited ahead of this replica for long enough.
    pub(crate) fn is_one_awaiting(&mut self, view: &CurrentView, params: &Params) -> bool {
        for report in self.reported.values_mut() {
            report.age = report.age.saturating_add(1);
        }
        if !view.is_active() {
            return false;
        }
        let timeout = ticks(params.view_timeout, params);
        let mut due = false;
        for peer in params.membership.others(params.replica) {
            let (waits, takes_part) = (self.waits_ahead(peer, view), self.takes_part(peer, view));
            let stray = self.strays.entry(peer).or_default();
            stray.waited = if waits { stray.waited + 1 } else { 0 };
            due |= waits && stray.waited >= stray.wait(timeout);
            if takes_part {
                stray.takes_part(timeout);
            }
        }
        due
    }

    /// The view is left, for whatever reason: that ends the wait of those who are ahead. Who was waited for for the most
    /// part is the reason, also where another replica came to that first.
    pub(crate) fn reach_strays(&mut self, params: &Params) {
        let timeout = ticks(params.view_timeout, params);
        for stray in self.strays.values_mut() {
            match stray.waited > 0 && stray.waited * 2 >= stray.wait(timeout) {
                true => stray.was_helped(),
                false => stray.waited = 0,
            }
        }
    }
}

impl Replica {
    /// How many replicas take part in this replica's view, itself included, as far as it has heard lately. With fewer
    /// than n some failures are used up already, and with fewer than a quorum nothing is executed.
    pub fn participants(&self) -> usize {
        let others = self.params.membership.others(self.params.replica);
        let taking_part = others.filter(|id| self.peers.takes_part(*id, &self.view));
        taking_part.count() + usize::from(self.view.is_active())
    }
}
