//! The view-change timer (§4.4): what it protects, and how its patience doubles.

use crate::effect::Effect;
use crate::input::Timer;
use crate::params::Params;
use crate::pending::RequestId;
use crate::planted::planted;
use crate::replica::Replica;
use core::time::Duration;

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
}

impl ViewTimer {
    pub(crate) fn new(params: &Params) -> Self {
        Self { waits: Waits::Nothing, patience: params.view_timeout, progress: true }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.waits != Waits::Nothing
    }

    /// A request was executed: the network and this primary are fast enough for the first patience.
    pub(crate) fn on_progress(&mut self, params: &Params) {
        self.progress = true;
        if !planted!(params, PatienceNotRestored) {
            self.patience = params.view_timeout;
        }
    }

    fn on_view_change(&mut self, params: &Params) {
        if !self.progress && !planted!(params, PatienceNotDoubled) {
            self.patience = self.patience.saturating_mul(2).min(params.view_timeout_max);
        }
        self.progress = false;
    }
}

impl Replica {
    /// Leaves a view: the timer stops, and is more patient next time unless this view executed something.
    pub(crate) fn stop_timer_for_view_change(&mut self, effects: &mut Vec<Effect>) {
        self.timer.on_view_change(&self.params);
        self.set_waits(Waits::Nothing, effects);
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
        let wanted = known >= self.params.membership.quorum() && self.abstains.is_none();
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
    }
}
