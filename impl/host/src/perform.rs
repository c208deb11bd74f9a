//! What a host does for each effect. The order of the effects is the core's contract: what a replica says is held back
//! until everything it depends on is durable, with one commit for a whole group of steps.

use crate::disk::Disk;
use crate::error::{HostError, ServicePanic};
use crate::frame::ReplicaFrame;
use crate::group::{Alarm, Said};
use crate::host::Host;
use crate::service::{PANICKED, Panicked, Service, execute_or_undo};
use crate::watch::{Served, Watcher};
use pbft_core::message::{Message, Request, Signed, StateData, StatePart};
use pbft_core::params::OnPanic;
use pbft_core::replies::LastReply;
use pbft_core::types::{ReplicaId, SeqNum};
use pbft_core::{Effect, Input, Params, Record};
use std::sync::Arc;

/// A result longer than the cluster's `result_bytes_max` is replaced by this one, the same everywhere.
const RESULT_TOO_LARGE: &[u8] = b"refused: the result is larger than result_bytes_max";

impl<D: Disk, S: Service<D>> Host<D, S> {
    /// Performs one effect, or notes it for after the commit.
    pub(crate) fn perform(
        &mut self,
        effect: Effect,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<(), HostError<D::Error>> {
        watcher.on_effect(&effect, &self.disk);
        match effect {
            Effect::Persist(record) => self.append(&record).map_err(HostError::Disk)?,
            Effect::Send { to, message } => self.group.say(Said::To(to, message))?,
            Effect::Broadcast(message) => self.group.say(Said::All(message))?,
            Effect::Execute { seq, requests, checkpoint } => {
                self.execute(seq, &requests, checkpoint, watcher)?;
            }
            Effect::StoreCheckpoint { manifest, replies } => {
                self.binding().store_checkpoint(&manifest, &replies).map_err(HostError::Disk)?;
            }
            Effect::Reply(reply) => {
                let client = reply.body.client;
                self.group.say(Said::Client(client, ReplicaFrame::Reply(reply)))?;
            }
            Effect::SetTimer { timer, after } => {
                self.timers.push((Alarm::Replica(timer), Some(after)));
            }
            Effect::CancelTimer(timer) => self.timers.push((Alarm::Replica(timer), None)),
            Effect::ServeState { to, seq, part } => self.serve(to, seq, part, watcher)?,
            Effect::StageChunk { digest, bytes } => {
                self.binding().stage(digest, &bytes).map_err(HostError::Disk)?;
            }
            Effect::RetainStaged { needed } => {
                self.binding().retain_staged(&needed).map_err(HostError::Disk)?;
            }
            Effect::Install { manifest } => {
                let replies = self.binding().install(&manifest).map_err(HostError::Disk)?;
                let seq = manifest.seq;
                self.group.completions.push_back(Input::Installed { seq, replies });
            }
            Effect::Halt(reason) => self.group.halt = Some(reason),
        }
        Ok(())
    }

    /// The disk, for writes that must be durable before anything leaves.
    fn binding(&mut self) -> &mut D {
        self.group.is_binding = true;
        &mut self.disk
    }

    fn append(&mut self, record: &Record) -> Result<(), D::Error> {
        self.group.is_binding |= record.is_binding();
        self.disk.append(record)
    }

    /// Service state, reply table and sequence number change together.
    fn execute(
        &mut self,
        seq: SeqNum,
        requests: &[Arc<Signed<Request>>],
        checkpoint: bool,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<(), HostError<D::Error>> {
        let Self { disk, service, params, .. } = self;
        let results = disk.with_state(|state| {
            let results = requests
                .iter()
                .map(|request| execute_one(service, params, seq, &request.body, state, watcher));
            results.collect::<Result<Vec<Arc<[u8]>>, ServicePanic>>()
        });
        let results = results.map_err(HostError::Disk)?.map_err(HostError::ServicePanicked)?;
        let replies = requests.iter().zip(&results).map(|(request, result)| {
            (&request.body, LastReply::to(&request.body, Arc::clone(result)))
        });
        disk.executed(seq, replies).map_err(HostError::Disk)?;
        let chunks = match checkpoint {
            true => Some(self.binding().chunks().map_err(HostError::Disk)?),
            false => None,
        };
        self.group.completions.push_back(Input::Executed { seq, results, chunks });
        Ok(())
    }

    fn serve(
        &mut self,
        to: ReplicaId,
        seq: SeqNum,
        part: StatePart,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<(), HostError<D::Error>> {
        let bytes = self.disk.state_part(seq, part).map_err(HostError::Disk)?;
        let len = bytes.as_ref().map(|bytes| bytes.len());
        watcher.on_serve(&self.replica, Served { to, seq, part, bytes: len });
        if let Some(bytes) = bytes {
            let data = StateData { seq, part, bytes };
            self.group.say(Said::To(to, Message::StateData(Arc::new(data))))?;
        }
        Ok(())
    }
}

/// One request's result: the service's, or what is said if it panics.
fn execute_one<D: Disk>(
    service: &impl Service<D>,
    params: &Params,
    seq: SeqNum,
    request: &Request,
    state: &mut D::State<'_>,
    watcher: &mut dyn Watcher<D>,
) -> Result<Arc<[u8]>, ServicePanic> {
    let Request { client, operation, .. } = request;
    let message = match execute_or_undo(service, state, *client, operation) {
        Ok(result) => return Ok(bounded(result, params.result_bytes_max)),
        Err(Panicked { message }) => message,
    };
    let panic = ServicePanic { seq, client: *client, request: request.digest(), message };
    watcher.on_service_panic(&panic);
    match params.on_service_panic {
        OnPanic::Refuse => Ok(bounded(PANICKED.to_vec(), params.result_bytes_max)),
        OnPanic::Stop => Err(panic),
    }
}

fn bounded(result: Vec<u8>, max: usize) -> Arc<[u8]> {
    match result.len() <= max {
        true => result.into(),
        false => RESULT_TOO_LARGE.iter().take(max).copied().collect(),
    }
}
