//! The view-change timer (§4.4): what it protects, and how its patience doubles and halves.
//!
//! It doubles when a view is left in which something was waited for and that did not serve. A view serves when it has
//! executed some batches that are its own: those that its NEW-VIEW carried over take less time than a request does, and
//! a patience that is enough for them alone costs a view change a batch.
//!
//! It is halved by calm: a checkpoint that becomes stable without a suspicion since the one before, or a long time in one
//! view. If half the patience is plenty for all that was waited for, it is halved at once. If that is not so, or too little
//! was waited for to know, half is tried all the same, since a primary that is slow on purpose would keep it where it is;
//! but more rarely each time that the try costs a view, which then also gives back what it took.

use crate::effect::Effect;
use crate::input::Timer;
use crate::pace::Pace;
use crate::params::Params;
use crate::pending::{Pending, RequestId};
use crate::replica::Replica;
use crate::types::SeqNum;
use crate::view::CurrentView;
use core::time::Duration;

/// After so many patiences in one view without a suspicion the patience is halved, also where checkpoints are rare: a
/// cluster with an operation now and then must not wait a minute for its primary because the network was bad once.
const CALM_PATIENCES: u64 = 32;

/// A view that has executed so many batches of its own serves: its patience is enough.
const SERVED: u32 = 4;

/// So many waits must have been met before they show that half the patience is plenty.
const WAITS: u32 = 4;

/// So many times of calm come before half the patience is tried though it may be too little: at first, and in the end.
const RESTRAINT: u32 = 4;
const RESTRAINT_MAX: u32 = 64;

/// What the timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// Nothing; it is not running.
    Nothing,
    /// The execution of the request that waits longest. Only that one stops it: a primary that serves others
    /// but never this client is found out.
    Execution(RequestId),
    /// The start of the view that is being changed to.
    NewView,
}

/// The timer and its patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ViewTimer {
    pub(crate) waits: Waits,
    patience: Duration,
    /// The batches of its own that the current view has executed, up to [`SERVED`].
    served: u32,
    /// Whether a view was left since the last checkpoint that became stable.
    suspected: bool,
    /// Ticks in the current view since it began, or since the patience was halved.
    calm: u64,
    /// The waits that were met since the view began or the patience was last judged: how many, up to [`WAITS`], and the
    /// longest, in ticks.
    waits_met: u32,
    longest: u64,
    /// Times of calm in this view since the patience was halved.
    calms: u32,
    /// So many of them come before a patience that may be too short is tried.
    restraint: u32,
    /// Such a patience is being tried.
    tries: bool,
    /// What was executed when the timer was set: a replica that lags behind and comes closer suspects nobody.
    executed: SeqNum,
    /// How long requests wait: [`crate::pace`].
    pub(crate) pace: Pace,
}

impl ViewTimer {
    pub(crate) fn new(params: &Params) -> Self {
        Self {
            waits: Waits::Nothing,
            patience: params.view_timeout,
            served: SERVED,
            suspected: false,
            calm: 0,
            waits_met: 0,
            longest: 0,
            calms: 0,
            restraint: RESTRAINT,
            tries: false,
            executed: SeqNum(0),
            pace: Pace::default(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.waits != Waits::Nothing
    }

    /// The patience in ticks, at least one.
    pub(crate) fn patience_ticks(&self, params: &Params) -> u64 {
        ticks(self.patience, params)
    }

    /// Waits for this from now on, with all its patience.
    fn set(&mut self, waits: Waits, executed: SeqNum, effects: &mut Vec<Effect>) {
        if waits == Waits::Nothing && self.is_running() {
            effects.push(Effect::CancelTimer(Timer::ViewChange));
        }
        if waits != Waits::Nothing {
            effects.push(Effect::SetTimer { timer: Timer::ViewChange, after: self.patience });
        }
        (self.waits, self.executed) = (waits, executed);
        self.pace.protect();
    }

    /// Waits as long again for the same: what it waits for lacks nothing that the primary owes.
    pub(crate) fn wait_again(&mut self, executed: SeqNum) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.set(self.waits, executed, &mut effects);
        effects
    }

    /// The request that is protected now stays so until it is executed; then the one that waits longest.
    fn waits_for_execution(&self, pending: &Pending) -> Waits {
        match self.waits {
            Waits::Execution(id) if pending.contains(id) => Waits::Execution(id),
            Waits::Execution(_) | Waits::Nothing | Waits::NewView => {
                pending.oldest().map_or(Waits::Nothing, |r| Waits::Execution(r.body.id()))
            }
        }
    }

    /// Leaves a view: the timer stops. It is more patient next time if this view did not serve though something waited:
    /// a view that is left while all is quiet says nothing about the network.
    pub(crate) fn leave_view(
        &mut self,
        view: &CurrentView,
        executed: SeqNum,
        params: &Params,
        effects: &mut Vec<Effect>,
    ) {
        self.pace.remember(view.primary());
        self.on_view_change(!view.is_active() || self.is_running(), params);
        self.set(Waits::Nothing, executed, effects);
    }

    /// A batch with requests was executed that the current view has ordered anew.
    pub(crate) fn on_served(&mut self) {
        self.served = self.served.saturating_add(1).min(SERVED);
    }

    /// These requests were executed; the protected one may be among them.
    pub(crate) fn on_executed(&mut self, batch: &[RequestId]) {
        if let Waits::Execution(id) = self.waits
            && batch.contains(&id)
            && let Some(ticks) = self.pace.executed()
        {
            self.on_waited(ticks);
        }
    }

    /// The protected request was executed after so many ticks.
    fn on_waited(&mut self, ticks: u64) {
        self.waits_met = self.waits_met.saturating_add(1).min(WAITS);
        self.longest = self.longest.max(ticks);
    }

    /// A checkpoint has become stable in an active view: half the patience may do, if nobody was suspected since the
    /// one before.
    pub(crate) fn on_stable(&mut self, params: &Params) {
        if !std::mem::take(&mut self.suspected) {
            self.on_calm(self.waits_met >= WAITS, params);
        }
    }

    /// A tick in an active view.
    pub(crate) fn on_calm_tick(&mut self, params: &Params) {
        self.calm += 1;
        if self.calm >= self.patience_ticks(params).saturating_mul(CALM_PATIENCES) {
            self.on_calm(true, params);
        }
    }

    /// Nobody was suspected for a while. `is_known`: what was waited for meanwhile says how much patience is plenty.
    fn on_calm(&mut self, is_known: bool, params: &Params) {
        let half = (self.patience / 2).max(params.view_timeout);
        let is_plenty = is_known && self.longest.saturating_mul(2) <= ticks(half, params);
        self.calm = 0;
        self.calms = self.calms.saturating_add(1);
        if is_known {
            (self.tries, self.waits_met, self.longest) = (false, 0, 0);
        }
        if is_plenty {
            self.restraint = RESTRAINT;
        }
        if is_plenty || self.calms >= self.restraint {
            self.tries |= !is_plenty && half < self.patience;
            (self.patience, self.calms) = (half, 0);
        }
    }

    /// A view is left. `in_vain`: something was waited for in it.
    fn on_view_change(&mut self, in_vain: bool, params: &Params) {
        let costly = std::mem::take(&mut self.tries) && in_vain;
        if costly {
            self.restraint = self.restraint.saturating_mul(2).min(RESTRAINT_MAX);
        }
        let serves = self.served >= SERVED;
        if costly || (in_vain && !serves) {
            self.patience = self.patience.saturating_mul(2).min(params.view_timeout_max);
        }
        (self.served, self.suspected) = (0, true);
        (self.calm, self.calms, self.waits_met, self.longest) = (0, 0, 0, 0);
    }
}

/// How many ticks `span` has, at least one.
pub(crate) fn ticks(span: Duration, params: &Params) -> u64 {
    let tick = params.status_interval.as_nanos().max(1);
    u64::try_from(span.as_nanos().div_ceil(tick).max(1)).unwrap_or(u64::MAX)
}

impl Replica {
    /// Brings the timer in line with what the replica waits for now (§4.4).
    pub(crate) fn refresh_timer(&mut self, effects: &mut Vec<Effect>) {
        let waits = match self.view.is_active() {
            true => self.timer.waits_for_execution(&self.pending),
            false if self.view.is_due() => Waits::NewView,
            false => Waits::Nothing,
        };
        if waits != self.timer.waits {
            self.timer.set(waits, self.execution.last_executed(), effects);
        }
    }

    /// Whether f+1 others have executed more than this replica.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.peers.have_overtaken(self.execution.last_executed(), &self.params.membership)
    }

    /// Whether it is this replica itself that lacks something, so that a timer that has run out says nothing about the
    /// primary. It fetches a state that a quorum has; or f+1 others have executed more, and it comes closer to them. In
    /// the first case f+1 correct replicas are ahead, and take it along if they suspect the primary; in the second at
    /// least one is, which is why the excuse holds only as long as it helps.
    pub(crate) fn is_behind(&self) -> bool {
        let follows = self.view.is_active() || self.view.awaited().is_some();
        let comes_closer =
            self.execution.last_executed() > self.timer.executed && self.is_overtaken();
        follows
            && (self.transfer.target().is_some() || self.execution.is_under_way() || comes_closer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Membership;
    use crate::types::{Digest, ReplicaId};

    /// A view timeout of four ticks, and at most 64 of them.
    fn params() -> Params {
        let membership = Membership::new(4).expect("valid size");
        let mut params = Params::new(ReplicaId(1), membership, Digest::default());
        params.status_interval = Duration::from_millis(100);
        params.view_timeout = Duration::from_millis(400);
        params.view_timeout_max = Duration::from_millis(25_600);
        params
    }

    /// The patience, in view timeouts, after so many views in which so many batches were executed that were their own.
    fn after_views(views: u32, served: u32) -> u64 {
        let params = params();
        let mut timer = ViewTimer::new(&params);
        timer.on_view_change(true, &params);
        for _ in 0..views {
            (0..served).for_each(|_| timer.on_served());
            timer.on_view_change(true, &params);
        }
        timer.patience_ticks(&params) / 4
    }

    #[test]
    fn a_view_that_executes_a_few_batches_and_stops_does_not_serve() {
        assert_eq!([after_views(3, 0), after_views(3, 3), after_views(3, 4)], [8, 8, 1]);
    }

    /// A cluster in which each wait takes so many ticks, and each checkpoint comes after five of them: the views that are
    /// left in so many checkpoints, and the patience in ticks at the end.
    fn with_waits_of(needed: u64, checkpoints: u32) -> (u32, u64) {
        let params = params();
        let mut timer = ViewTimer::new(&params);
        let mut left = 0;
        let mut begun = 0;
        while begun < checkpoints {
            if timer.patience_ticks(&params) < needed {
                timer.on_view_change(true, &params);
                left += 1;
                continue;
            }
            for _ in 0..5 {
                timer.on_waited(needed);
                timer.on_served();
            }
            timer.on_stable(&params);
            begun += 1;
        }
        (left, timer.patience_ticks(&params))
    }

    /// Outside fault F4: Where a request takes twice the timeout, half the patience was tried at each other checkpoint.
    #[test]
    fn a_patience_that_is_too_short_is_tried_more_and_more_rarely() {
        // 4, 8, 16, 16 ticks: the first view is excused. Then a try after 4 times of calm, 8, 16, 32, and each 64.
        let (left, patience) = with_waits_of(9, 1000);
        assert_eq!(patience, 16);
        assert!((3 + 5..3 + 4 + 1000 / 64).contains(&left), "{left} views left");
    }

    /// A primary that takes as long as it may with each request does not keep the patience where others drove it.
    #[test]
    fn slow_waits_do_not_keep_the_patience_up() {
        let params = params();
        let mut timer = ViewTimer::new(&params);
        (0..6).for_each(|_| timer.on_view_change(true, &params));
        let mut patiences = Vec::new();
        for _ in 0..25 {
            let patience = timer.patience_ticks(&params);
            patiences.push(patience);
            (0..4).for_each(|_| timer.on_waited(patience - 1));
            timer.on_stable(&params);
        }
        // The first checkpoint comes after a suspicion.
        let halved = |halvings: u32| (128 >> halvings).max(4);
        let expected: Vec<u64> = (0..25_u32).map(|n| halved(n.saturating_sub(1) / 4)).collect();
        assert_eq!(patiences, expected);
    }
}
