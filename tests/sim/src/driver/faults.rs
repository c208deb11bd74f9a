//! Faults begin and end.

use super::{CHECK_EVERY, Pending, Run};
use crate::bank::Operation;
use crate::disk::Tail;
use crate::event::Event;
use crate::fault::{Fault, FaultKind, Submission};
use core::time::Duration;
use pbft_core::Timer;
use pbft_host::Alarm;

impl Run {
    pub(super) fn begin_fault(&mut self, index: usize) {
        if self.healed {
            return;
        }
        let Fault { until, kind, .. } = self.plan.faults[index].clone();
        self.world.coverage.fault(&kind);
        self.network.begin(index, &kind, until);
        let tail = Tail::Lost;
        match kind {
            FaultKind::Crash { host, tail } => self.happen(Event::Crash { host, tail }),
            FaultKind::CrashAt { host, boundary } => self.happen(Event::Arm { host, boundary }),
            FaultKind::PowerCut { tail } => {
                let all = 0..self.world.hosts.len();
                all.for_each(|host| self.happen(Event::Crash { host, tail }));
            }
            FaultKind::ClockForward { host } => {
                for timer in [Timer::ViewChange, Timer::Status] {
                    self.happen(Event::Timer { host, timer: Alarm::Replica(timer).into() });
                }
            }
            FaultKind::SlowDisk { host } => self.happen(Event::SlowDisk { host, slow: true }),
            FaultKind::DiskFull { host } => self.happen(Event::DiskFull { host, full: true }),
            FaultKind::SyncFails { host } => self.happen(Event::SyncFails { host, fails: true }),
            FaultKind::DiskLies { host } => self.happen(Event::DiskLies { host }),
            FaultKind::Flip { host, bit } => {
                self.happen(Event::Crash { host, tail });
                self.happen(Event::Flip { host, bit });
            }
            FaultKind::Wipe { host } => {
                self.happen(Event::Crash { host, tail });
                self.happen(Event::Wipe { host });
            }
            FaultKind::Diverge { host } => self.happen(Event::Diverge { host }),
            FaultKind::Suspect { host } => self.happen(Event::Suspect { host }),
            FaultKind::Partition { .. }
            | FaultKind::OneWay { .. }
            | FaultKind::Ring {}
            | FaultKind::Loss { .. }
            | FaultKind::Duplicate { .. }
            | FaultKind::Reorder { .. }
            | FaultKind::SlowLink { .. }
            | FaultKind::Pause { .. }
            | FaultKind::ClockSkew { .. }
            | FaultKind::DeafClient { .. } => {}
        }
    }

    pub(super) fn end_fault(&mut self, index: usize) {
        let kind = self.plan.faults[index].kind.clone();
        self.network.end(index);
        match kind {
            FaultKind::Crash { host, .. }
            | FaultKind::CrashAt { host, .. }
            | FaultKind::Flip { host, .. }
            | FaultKind::Wipe { host } => self.happen(Event::Start { host }),
            FaultKind::PowerCut { .. } => {
                (0..self.world.hosts.len()).for_each(|host| self.happen(Event::Start { host }));
            }
            FaultKind::SlowDisk { host } => self.happen(Event::SlowDisk { host, slow: false }),
            FaultKind::DiskFull { host } => {
                self.happen(Event::DiskFull { host, full: false });
                self.happen(Event::Start { host });
            }
            FaultKind::SyncFails { host } => {
                self.happen(Event::SyncFails { host, fails: false });
                self.happen(Event::Start { host });
            }
            FaultKind::DiskLies { host } => {
                self.happen(Event::Crash { host, tail: Tail::Lost });
                self.happen(Event::Start { host });
            }
            _ => {}
        }
    }

    /// Everything that can be healed is. Each client reads once more, so that there is something to agree on.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        self.network.heal();
        for host in 0..self.world.hosts.len() {
            self.happen(Event::SlowDisk { host, slow: false });
            self.happen(Event::DiskFull { host, full: false });
            self.happen(Event::SyncFails { host, fails: false });
            self.happen(Event::Start { host });
        }
        for client in 0..self.plan.clients {
            let think = Duration::from_millis(100 * u64::from(client));
            let operation = Operation::Read { account: client as u8 };
            let script = self.scripts.entry((client, 0)).or_default();
            let was_idle = script.is_empty();
            script.push_back(Submission { client, lane: 0, think, operation });
            if was_idle && !self.world.is_busy(client, 0) {
                self.plan_submission(client, 0);
            }
        }
        self.at(self.now + CHECK_EVERY, Pending::Check);
    }
}
