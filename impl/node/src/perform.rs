//! What the driver does for each effect. The order of the effects is the core's contract: what a replica says is
//! held back until everything it depends on is durable, with one write to disk for a whole group of steps.

use crate::codec;
use crate::driver::DriverError;
use crate::frame::ReplicaFrame;
use crate::lanes::Lanes;
use crate::network::Outgoing;
use crate::service::{PANICKED, Panicked, Service, execute_or_undo};
use crate::state::{Chunks, Starts, State};
use crate::store::{Store, StoreError, Transaction};
use crate::timers::Timers;
use bytes::Bytes;
use pbft_core::message::{Message, Request, Signed, StateData, StatePart};
use pbft_core::params::OnPanic;
use pbft_core::replies::LastReply;
use pbft_core::types::{ReplicaId, SeqNum};
use pbft_core::{Effect, HaltReason, Input, Params, Record};
use std::sync::Arc;

/// A result longer than the cluster's `result_bytes_max` is replaced by this one, the same everywhere.
const RESULT_TOO_LARGE: &[u8] = b"refused: the result is larger than result_bytes_max";

/// The writes of a group of steps: a transaction that begins with the first of them.
pub(crate) enum Writes<'s> {
    Idle(&'s mut Store),
    Open(Box<Transaction<'s>>),
    /// In the middle of [`Writes::open`], or after it failed.
    Failed,
}

impl<'s> Writes<'s> {
    fn open(&mut self) -> Result<&mut Transaction<'s>, StoreError> {
        if let Self::Idle(_) = self
            && let Self::Idle(store) = std::mem::replace(self, Self::Failed)
        {
            *self = Self::Open(Box::new(store.begin()?));
        }
        match self {
            Self::Open(transaction) => Ok(transaction),
            Self::Idle(_) | Self::Failed => {
                Err(StoreError::corrupt("a transaction could not begin"))
            }
        }
    }

    fn state_part(&self, seq: SeqNum, part: StatePart) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Idle(store) => store.state_part(seq, part),
            Self::Open(transaction) => transaction.state_part(seq, part),
            Self::Failed => Ok(None),
        }
    }

    /// Whether nothing was written, now or before.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle(store) if !store.is_behind())
    }

    /// Leaves what was written to the next commit.
    pub(crate) fn put_off(self) {
        if let Self::Open(transaction) = self {
            transaction.put_off();
        }
    }

    pub(crate) fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Open(transaction) => transaction.commit(),
            Self::Idle(store) => store.catch_up(),
            Self::Failed => Err(StoreError::corrupt("a transaction could not begin")),
        }
    }
}

/// One group of steps under way.
pub(crate) struct Group<'s> {
    pub(crate) writes: Writes<'s>,
    /// What leaves the machine after the commit, in order.
    pub(crate) outbox: Vec<Outgoing>,
    /// What the replica must be told before anything else.
    pub(crate) completions: std::collections::VecDeque<Input>,
    pub(crate) halt: Option<HaltReason>,
    /// Whether something was written that must be durable before anything leaves: all but what execution does.
    is_binding: bool,
    /// Where the chunks of the state begin as the last execution left it, if it asked for them.
    starts: Starts,
}

impl<'s> Group<'s> {
    pub(crate) fn new(store: &'s mut Store) -> Self {
        Self {
            writes: Writes::Idle(store),
            outbox: Vec::new(),
            completions: std::collections::VecDeque::new(),
            halt: None,
            is_binding: false,
            starts: Starts::default(),
        }
    }

    /// Writes that must be durable before anything leaves.
    pub(crate) fn transaction(&mut self) -> Result<&mut Transaction<'s>, StoreError> {
        self.is_binding = true;
        self.writes.open()
    }

    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.is_binding |= record.is_binding();
        self.writes.open()?.append(record)
    }

    /// Takes the replies that need not wait for the commit. What they say is final once q replicas have it on their
    /// disks as prepared, and this one only executes again what its store has forgotten (D26).
    pub(crate) fn take_early(&mut self) -> Vec<Outgoing> {
        if self.is_binding {
            return Vec::new();
        }
        let is_reply = |outgoing: &mut Outgoing| matches!(outgoing, Outgoing::Reply { .. });
        self.outbox.extract_if(.., is_reply).collect()
    }

    /// Whether anything waits for the commit.
    pub(crate) fn must_commit(&self) -> bool {
        self.is_binding || !self.outbox.is_empty() || self.halt.is_some()
    }

    fn send(&mut self, to: ReplicaId, message: &Message) -> Result<(), StoreError> {
        let frame = Bytes::from(codec::encode(message)?);
        self.outbox.push(Outgoing::Send { to, frame });
        Ok(())
    }
}

/// Performs effects for one replica.
pub(crate) struct Performer {
    pub(crate) service: Box<dyn Service>,
    pub(crate) timers: Timers,
    pub(crate) params: Arc<Params>,
    pub(crate) lanes: Lanes,
}

impl Performer {
    /// Performs one effect, or notes it in `group` for after the commit.
    pub(crate) fn perform(
        &mut self,
        effect: Effect,
        group: &mut Group<'_>,
    ) -> Result<(), DriverError> {
        match effect {
            Effect::Persist(record) => group.append(&record)?,
            Effect::Send { to, message } => group.send(to, &message)?,
            Effect::Broadcast(message) => {
                let frame = Bytes::from(codec::encode(&message)?);
                group.outbox.push(Outgoing::Broadcast(frame));
            }
            Effect::Execute { seq, requests, checkpoint } => {
                self.execute(seq, &requests, checkpoint, group)?;
            }
            Effect::StoreCheckpoint { manifest, replies } => {
                let starts = std::mem::take(&mut group.starts);
                group.transaction()?.store_checkpoint(&manifest, &replies, &starts)?;
            }
            Effect::Reply(reply) => {
                let client = reply.body.client;
                self.lanes.answer(client, reply.body.lane);
                let frame = Bytes::from(codec::encode(&ReplicaFrame::Reply(reply))?);
                group.outbox.push(Outgoing::Reply { client, frame });
            }
            Effect::SetTimer { timer, after } => self.timers.set(timer, after),
            Effect::CancelTimer(timer) => self.timers.cancel(timer),
            Effect::ServeState { to, seq, part } => serve(to, seq, part, group)?,
            Effect::StageChunk { digest, bytes } => group.transaction()?.stage(digest, &bytes)?,
            Effect::RetainStaged { needed } => group.transaction()?.retain_staged(&needed)?,
            Effect::Install { manifest } => {
                let replies = group.transaction()?.install(&manifest)?;
                let seq = manifest.seq;
                group.completions.push_back(Input::Installed { seq, replies });
            }
            Effect::Halt(reason) => group.halt = Some(reason),
        }
        Ok(())
    }

    /// Service state, reply table and sequence number change together.
    fn execute(
        &self,
        seq: SeqNum,
        requests: &[Arc<Signed<Request>>],
        checkpoint: bool,
        group: &mut Group<'_>,
    ) -> Result<(), DriverError> {
        let transaction = group.writes.open()?;
        let results: Result<Vec<Arc<[u8]>>, DriverError> = transaction.with_state(|state| {
            requests.iter().map(|request| self.execute_one(seq, &request.body, state)).collect()
        })?;
        let results = results?;
        let replies = requests.iter().zip(&results).map(|(request, result)| {
            (&request.body, LastReply::to(&request.body, Arc::clone(result)))
        });
        transaction.executed(seq, replies)?;
        let chunks = match checkpoint {
            true => {
                let Chunks { ids, starts } = group.transaction()?.chunks()?;
                group.starts = starts;
                Some(ids)
            }
            false => None,
        };
        group.completions.push_back(Input::Executed { seq, results, chunks });
        Ok(())
    }

    /// One request's result: the service's, or what is said if it panics.
    fn execute_one(
        &self,
        seq: SeqNum,
        request: &Request,
        state: &mut State<'_>,
    ) -> Result<Arc<[u8]>, DriverError> {
        let Request { client, operation, .. } = request;
        let message = match execute_or_undo(&*self.service, state, *client, operation) {
            Ok(result) => return Ok(self.bounded(result)),
            Err(Panicked { message }) => message,
        };
        let request = request.digest();
        tracing::error!(%seq, %client, %request, "the service panicked on an operation: {message}");
        match self.params.on_service_panic {
            OnPanic::Refuse => Ok(self.bounded(PANICKED.to_vec())),
            OnPanic::Stop => Err(DriverError::ServicePanicked { seq, request, message }),
        }
    }

    fn bounded(&self, result: Vec<u8>) -> Arc<[u8]> {
        match result.len() <= self.params.result_bytes_max {
            true => result.into(),
            false => RESULT_TOO_LARGE.iter().take(self.params.result_bytes_max).copied().collect(),
        }
    }
}

fn serve(
    to: ReplicaId,
    seq: SeqNum,
    part: StatePart,
    group: &mut Group<'_>,
) -> Result<(), StoreError> {
    match group.writes.state_part(seq, part)? {
        Some(bytes) => {
            let data = StateData { seq, part, bytes: bytes.into() };
            group.send(to, &Message::StateData(Arc::new(data)))
        }
        None => {
            tracing::debug!(%to, %seq, ?part, "state that was asked for is not here any more");
            Ok(())
        }
    }
}
