//! The view-change timer (§4.4): what it protects, and how its patience doubles and halves.

use crate::effect::Effect;
use crate::input::Timer;
use crate::params::Params;
use crate::pending::RequestId;
use crate::planted::planted;
use crate::replica::Replica;
use crate::types::SeqNum;
use core::time::Duration;

/// After so many patiences in one view without a suspicion the patience is halved, also where checkpoints are rare: a
/// cluster with an operation now and then must not wait a minute for its primary because the network was bad once.
const CALM_PATIENCES: u64 = 32;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewTimer {
    pub(crate) waits: Waits,
    patience: Duration,
    /// Whether a request was executed since the last view change.
    progress: bool,
    /// Whether a view was left since the last checkpoint that became stable.
    suspected: bool,
    /// Ticks in the current view since it began, or since the patience was halved.
    calm: u64,
    /// What was executed when the timer was set: a replica that lags behind and comes closer suspects nobody.
    executed: SeqNum,
}

impl ViewTimer {
    pub(crate) fn new(params: &Params) -> Self {
        Self {
            waits: Waits::Nothing,
            patience: params.view_timeout,
            progress: true,
            suspected: false,
            calm: 0,
            executed: SeqNum(0),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.waits != Waits::Nothing
    }

    /// The patience in ticks, at least one.
    pub(crate) fn patience_ticks(&self, params: &Params) -> u64 {
        ticks(self.patience, params)
    }

    /// A request was executed: this primary, and the patience with it, will do.
    pub(crate) fn on_progress(&mut self, params: &Params) {
        self.progress = !planted!(params, PatienceNotRestored);
    }

    /// A checkpoint has become stable in an active view: half the patience may do, if nobody was suspected since the
    /// one before. It is not forgotten at once: where each request takes longer than the first patience, that would
    /// cost a view change a request.
    pub(crate) fn on_stable(&mut self, params: &Params) {
        if !std::mem::take(&mut self.suspected) {
            self.halve(params);
        }
    }

    fn halve(&mut self, params: &Params) {
        self.calm = 0;
        self.patience = (self.patience / 2).max(params.view_timeout);
    }

    /// A tick in an active view.
    pub(crate) fn on_calm_tick(&mut self, params: &Params) {
        self.calm += 1;
        if self.calm >= self.patience_ticks(params).saturating_mul(CALM_PATIENCES) {
            self.halve(params);
        }
    }

    /// A view is left. `in_vain`: something was waited for in it.
    fn on_view_change(&mut self, in_vain: bool, params: &Params) {
        if in_vain && !self.progress && !planted!(params, PatienceNotDoubled) {
            self.patience = self.patience.saturating_mul(2).min(params.view_timeout_max);
        }
        (self.progress, self.suspected, self.calm) = (false, true, 0);
    }
}

/// How many ticks `span` has, at least one.
pub(crate) fn ticks(span: Duration, params: &Params) -> u64 {
    let tick = params.status_interval.as_nanos().max(1);
    u64::try_from(span.as_nanos().div_ceil(tick).max(1)).unwrap_or(u64::MAX)
}

impl Replica {
    /// Leaves a view: the timer stops. It is more patient next time if this view executed nothing though something
    /// waited: a view that is left while all is quiet says nothing about the network.
    pub(crate) fn stop_timer_for_view_change(&mut self, effects: &mut Vec<Effect>) {
        let in_vain = !self.active || self.timer.is_running();
        self.timer.on_view_change(in_vain, &self.params);
        self.set_waits(Waits::Nothing, effects);
    }

    /// Waits as long again for the same: what it waits for lacks nothing that the primary owes.
    pub(crate) fn wait_again(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.set_waits(self.timer.waits, &mut effects);
        effects
    }

    /// Brings the timer in line with what the replica waits for now (§4.4).
    pub(crate) fn refresh_timer(&mut self, effects: &mut Vec<Effect>) {
        let waits = if self.active { self.waits_for_execution() } else { self.waits_for_view() };
        if waits != self.timer.waits && !planted!(self.params, TimerNotStarted) {
            self.set_waits(waits, effects);
        }
    }

    /// The request that is protected now stays so until it is executed; then the one that waits longest.
    fn waits_for_execution(&self) -> Waits {
        match self.timer.waits {
            Waits::Execution(id) if self.pending.contains(id) => Waits::Execution(id),
            Waits::Execution(id) if planted!(self.params, TimerNotStoppedByExecution) => {
                Waits::Execution(id)
            }
            Waits::Execution(_) | Waits::Nothing | Waits::NewView => {
                self.pending.oldest().map_or(Waits::Nothing, |r| Waits::Execution(r.body.id()))
            }
        }
    }

    /// The timer of a view change runs from when a quorum wants this view or a later one; before that a replica
    /// that is alone with its suspicion would only run ahead of the others.
    ///
    /// One that has lost its memory counts itself, too: it may have sent its VIEW-CHANGE, and sends no other for the
    /// same view.
    fn waits_for_view(&self) -> Waits {
        let forgotten = !self.view_changes.contains_key(&self.params.replica);
        let known = self.view_changes.len() + usize::from(forgotten);
        // A NEW-VIEW shows a quorum, too. One that cannot be completed here is not waited for longer than others.
        let shown = self.awaited.is_some() || known >= self.params.membership.quorum();
        let wanted = shown && self.abstains.is_none();
        match wanted && !planted!(self.params, NoTimerInViewChange) {
            true => Waits::NewView,
            false => Waits::Nothing,
        }
    }

    fn set_waits(&mut self, waits: Waits, effects: &mut Vec<Effect>) {
        if waits == Waits::Nothing && self.timer.is_running() {
            effects.push(Effect::CancelTimer(Timer::ViewChange));
        }
        if waits != Waits::Nothing {
            effects.push(Effect::SetTimer { timer: Timer::ViewChange, after: self.timer.patience });
        }
        self.timer.waits = waits;
        self.timer.executed = self.last_executed;
        self.pace.protect();
    }

    /// Whether it is this replica itself that lacks something, so that a timer that has run out says nothing about the
    /// primary. It fetches a state that a quorum has; or f+1 others have executed more, and it comes closer to them. In
    /// the first case f+1 correct replicas are ahead, and take it along if they suspect the primary; in the second at
    /// least one is, which is why the excuse holds only as long as it helps.
    pub(crate) fn is_behind(&self) -> bool {
        let follows = self.active || self.awaited.is_some();
        let comes_closer = self.last_executed > self.timer.executed && self.is_overtaken();
        follows && (self.transfer.is_some() || self.executing.is_some() || comes_closer)
    }
}
