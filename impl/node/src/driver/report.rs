//! What a driver says of its replica to whoever asks.

use super::Driver;
use crate::blocking::blocking;
use crate::frame::StatusReport;
use crate::store::StoreError;
use pbft_core::Standing;

impl Driver {
    /// How the replica is. All that it says is durable.
    pub(super) fn report(&mut self) -> Result<StatusReport, StoreError> {
        let status = self.host.replica().status();
        let last_executed = self.host.disk().last_executed()?;
        let state = match self.state_digest {
            Some((seq, digest)) if seq == last_executed => digest,
            _ => {
                let store = self.host.disk_mut();
                self.queues.at_disk.during(|| blocking(|| store.state_digest()))?
            }
        };
        self.state_digest = Some((last_executed, state));
        Ok(StatusReport {
            replica: status.replica,
            view: status.view,
            active: status.active,
            low_water_mark: status.low_water_mark,
            checkpoint: self.checkpoint(),
            last_executed,
            state: Some(state),
            standing: self.host.replica().standing(),
            incarnation: self.host.disk().incarnation(),
            accused: self.host.accused(),
        })
    }

    /// How the replica is while its disk is full: what was told before that, since the store cannot be read.
    pub(super) fn report_without_space(&self) -> StatusReport {
        let position = self.queues.position.get();
        StatusReport {
            replica: self.params.replica,
            view: position.view,
            active: false,
            low_water_mark: self.host.disk().durable().low_water_mark,
            checkpoint: self.checkpoint(),
            last_executed: position.last_executed,
            state: None,
            standing: Standing::NoSpace,
            incarnation: self.host.disk().incarnation(),
            accused: self.host.accused(),
        }
    }

    /// The digest of the last stable checkpoint.
    fn checkpoint(&self) -> Option<pbft_core::types::Digest> {
        self.host.disk().durable().stable.checkpoints.first().map(|vote| vote.body.digest)
    }
}
