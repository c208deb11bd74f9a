//! How long requests wait in a view, and whether that is too long: a primary that delays each of them to just under the
//! timeout is never caught by the timer.
//!
//! The core has no clock, but it has ticks. Of each request that the timer protects the ticks are counted until it is
//! executed. *Typical* of a view is what three of its last eight waits exceed or reach. It is too long if it is more than
//! a part of the patience ([`crate::Params::slow_primary_percent`]), or than twice what f+1 primaries have shown to be
//! possible: at least one of them is correct, so that f fast liars cannot ask too much of the others. It is not too long
//! if the last f+1 primaries, this one included, were all as slow: one of them is correct, and it is the network, or the
//! load, that takes its time. Nothing is counted while nothing waits, or while it is this replica that lags behind.

use crate::params::Params;
use crate::timer::{ViewTimer, Waits};
use crate::types::ReplicaId;
use crate::view::CurrentView;

/// So many of a view's last waits are looked at.
const WAITS: usize = 8;

/// With fewer waits nothing is said of a primary.
const WAITS_MIN: usize = 4;

/// What was seen of a primary counts for so many patiences: load and network change.
const REMEMBERED_PATIENCES: u64 = 64;

/// No primary is asked to be faster than this part of the patience, nor than a tick: load comes and goes, and below that
/// a view change costs more than it gains.
const FASTEST_PART: u64 = 16;

/// What was typical of a primary's last view with enough waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    primary: ReplicaId,
    typical: u64,
    /// Ticks since.
    age: u64,
}

/// What was seen of primaries.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Pace {
    /// Ticks for which the protected request has waited.
    age: u64,
    /// Whether this replica lacked something meanwhile.
    excused: bool,
    /// The last waits of the current view, in ticks.
    waits: Vec<u64>,
    /// Earlier primaries, each once, the latest last.
    seen: Vec<Seen>,
}

impl Pace {
    /// Another request is protected, or none.
    pub(crate) fn protect(&mut self) {
        (self.age, self.excused) = (0, false);
    }

    /// The protected request was executed. How long it waited, if that counts.
    pub(crate) fn executed(&mut self) -> Option<u64> {
        if self.excused {
            return None;
        }
        if self.waits.len() == WAITS {
            self.waits.remove(0);
        }
        self.waits.push(self.age);
        Some(self.age)
    }

    /// What three of the last eight waits reach; or a little fewer of fewer.
    fn typical(&self) -> Option<u64> {
        let mut sorted = self.waits.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() * 5 / 8).copied().filter(|_| sorted.len() >= WAITS_MIN)
    }

    /// The view of this primary is left.
    pub(crate) fn remember(&mut self, primary: ReplicaId) {
        if let Some(typical) = self.typical() {
            self.seen.retain(|seen| seen.primary != primary);
            self.seen.push(Seen { primary, typical, age: 0 });
        }
        self.waits.clear();
        self.protect();
    }

    /// How many primaries are remembered.
    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    fn grow_older(&mut self, patience: u64) {
        for seen in &mut self.seen {
            seen.age = seen.age.saturating_add(1);
        }
        let limit = patience.saturating_mul(REMEMBERED_PATIENCES);
        self.seen.retain(|seen| seen.age < limit);
    }

    /// What may be typical of this primary, of which `typical` is, in ticks.
    fn allowed(&self, primary: ReplicaId, typical: u64, most: u64, limits: Limits) -> u64 {
        let earlier = self.seen.iter().filter(|seen| seen.primary != primary);
        let mut lately: Vec<u64> = earlier.map(|seen| seen.typical).collect();
        lately.push(typical);
        let asked = match lately.len() > limits.faults {
            // Of the f+1 fastest one is correct; of the f+1 latest, too.
            true => {
                let latest = lately[lately.len() - limits.faults - 1..].iter().min();
                let all_are_slow = latest.copied().unwrap_or(typical).saturating_mul(2);
                lately.sort_unstable();
                let possible = lately[limits.faults].saturating_mul(2);
                possible.clamp(limits.fastest.min(most), most).max(all_are_slow)
            }
            false => most,
        };
        asked.max(1)
    }
}

/// What the verdict on a primary depends on beside what was seen.
#[derive(Clone, Copy, Debug)]
struct Limits {
    faults: usize,
    fastest: u64,
}

impl ViewTimer {
    /// A tick. Whether the primary is too slow to be kept. If this replica lacks something that the others have, the
    /// primary is excused.
    pub(crate) fn is_primary_slow(
        &mut self,
        view: &CurrentView,
        lacks_something: bool,
        params: &Params,
    ) -> bool {
        let patience = self.patience_ticks(params);
        self.pace.grow_older(patience);
        if !view.is_active() {
            return false;
        }
        if matches!(self.waits, Waits::Execution(_)) {
            self.pace.age = self.pace.age.saturating_add(1);
            self.pace.excused |= lacks_something;
        }
        let percent = u64::from(params.slow_primary_percent);
        let Some(typical) = self.pace.typical() else { return false };
        if percent == 0 || view.is_primary() || self.pace.excused {
            return false;
        }
        let most = patience.saturating_mul(percent) / 100;
        let faults = params.membership.faults();
        let limits = Limits { faults, fastest: patience / FASTEST_PART };
        typical > self.pace.allowed(view.primary(), typical, most.max(1), limits)
    }
}
