//! The monitor: the recorded replicas, what they agreed on, and one step after the other.

use super::coverage::Coverage;
use super::facts::Replica;
use super::needs::{self, Need};
use super::refusal::{Property, Reason, Refusal};
use crate::refinement::kind::ActionKind;
use crate::statement::{Statement, StatementKind};
use crate::subject::tally::Role;
use pbft_model::Quorums;
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{
    Body, Header, Input, Output, PreparedProof, RequestId, Resumed, Step, Vote,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// A batch that was executed, as the first to do so recorded it.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) digest: ShortDigest,
    pub(super) applied: Vec<RequestId>,
    pub(super) by: u32,
}

/// What is left of a step to say.
#[derive(Default)]
pub(super) struct Due {
    /// PREPAREs for O: sequence numbers and digests.
    pub(super) prepares: VecDeque<(u64, ShortDigest)>,
    /// CHECKPOINT for this number.
    pub(super) checkpoint: Option<u64>,
    /// The certificate that was written down for the next COMMIT.
    pub(super) prepared: Option<PreparedProof>,
    /// The state that was installed, until its proof is written down.
    pub(super) installed: Option<u64>,
}

/// The recorded replicas of a cluster; see [`Cluster::step`].
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(super) replicas: u32,
    pub(super) quorums: Quorums,
    pub(super) interval: u64,
    pub(super) window: u64,
    pub(super) null: ShortDigest,
    pub(super) recorded: BTreeMap<u32, Replica>,
    pub(super) decided: BTreeMap<u64, Decided>,
    /// The highest number that anybody executed.
    pub(super) head: u64,
    /// Timestamps answered on each lane, with the number at which, back to the lowest that still matters.
    pub(super) answered: HashMap<(u32, u16), VecDeque<(u64, u64)>>,
    pub(super) checkpoints: BTreeMap<u64, (ShortDigest, u32)>,
    /// The requests of each batch, and the highest number at which it was named.
    pub(super) batches: HashMap<ShortDigest, (Arc<[RequestId]>, u64)>,
    named: BTreeSet<(u64, ShortDigest)>,
    /// The lowest h of those that still take steps.
    pub(super) floor: u64,
    /// Places at which something was said since they were last asked for.
    pub(super) fresh: Vec<Statement>,
    /// What came in at the step that is looked at.
    on: &'static str,
    /// What was seen.
    pub coverage: Coverage,
}

impl Cluster {
    /// A cluster as a header describes it, before the first step of the recorded replicas.
    pub fn new(header: &Header, recorded: impl Iterator<Item = u32>) -> Self {
        Self {
            replicas: header.replicas,
            quorums: Quorums::of(header.replicas as u8),
            interval: header.interval,
            window: header.window,
            null: header.null,
            recorded: recorded.map(|id| (id, Replica::new(id))).collect(),
            decided: BTreeMap::new(),
            head: 0,
            answered: HashMap::new(),
            checkpoints: BTreeMap::new(),
            batches: HashMap::from([(header.null, (Arc::default(), u64::MAX))]),
            named: BTreeSet::new(),
            floor: 0,
            fresh: Vec::new(),
            on: "",
            coverage: Coverage::default(),
        }
    }

    /// The primary of a view.
    pub(super) fn primary(&self, view: u64) -> u32 {
        (view % u64::from(self.replicas)) as u32
    }

    /// The first statement that the step rests on and that was not made yet. An error if another was made in its place.
    pub fn missing(&self, step: &Step) -> Result<Option<Statement>, Box<Refusal>> {
        let mut missing = None;
        let mut contradicted = None;
        let is_recorded = |id| self.recorded.contains_key(&id);
        needs::of_step(step, self.replicas, &is_recorded, &mut |need: Need| {
            let Some(signer) = self.recorded.get(&need.place.signer) else { return };
            let forgotten = match need.place.kind {
                StatementKind::ViewChange | StatementKind::NewView => false,
                _ => need.place.seq <= self.floor,
            };
            if forgotten || missing.is_some() {
                return;
            }
            if !signer.said.contains(need.place) {
                missing = Some(need.place);
            } else if signer.said.digest(need.place) != need.digest {
                contradicted = Some(need);
            }
        });
        match contradicted {
            Some(Need { place, digest }) => {
                let heard = digest.map_or(String::new(), |digest| digest.to_string());
                let said = self.recorded.get(&place.signer).and_then(|r| r.said.digest(place));
                let said = said.map_or(String::new(), |digest| digest.to_string());
                let detail = format!("heard is {heard}, replica {} said {said}", place.signer);
                Err(Box::new(Refusal::never_said(place, detail)))
            }
            None => Ok(missing),
        }
    }

    /// Places at which something was said since the last call.
    pub fn take_fresh(&mut self) -> Vec<Statement> {
        std::mem::take(&mut self.fresh)
    }

    /// A recorded replica takes no further step.
    pub fn finish(&mut self, id: u32) {
        if let Some(replica) = self.recorded.get_mut(&id) {
            replica.finished = true;
        }
        self.forget();
    }

    /// How many statements are remembered: bounded by the windows of those that take steps.
    pub fn remembered(&self) -> usize {
        self.recorded.values().map(|replica| replica.said.len()).sum()
    }

    /// A replica starts from a state: it must be the one that it was in, but for executions that were put off.
    pub fn start(&mut self, id: u32, state: &Resumed) -> Result<(), Box<Refusal>> {
        self.replica_mut(id)?.forget_executions(state.executed);
        let replica = self.replica(id)?;
        let certificates = replica.certificates.values();
        let known = Resumed {
            view: replica.view,
            active: replica.active,
            low: replica.low,
            executed: replica.executed,
            accepted: replica.accepted.iter().map(|(seq, digest)| (*seq, *digest)).collect(),
            prepared: certificates.map(|proof| (proof.seq, proof.view, proof.digest)).collect(),
            checkpoints: replica.checkpoints.iter().map(|(seq, d)| (*seq, *d)).collect(),
        };
        if known != *state {
            let detail = format!("before it was {known:?}, afterwards {state:?}");
            let step = "restarts".to_owned();
            return Err(Box::new(Refusal { step, reason: Reason::Restart, detail }));
        }
        let replica = self.recorded.get_mut(&id);
        let before = replica.map(|replica| (replica.executing.take(), replica.awaited.take()));
        drop(before);
        Ok(())
    }

    pub(super) fn replica(&self, id: u32) -> Result<&Replica, Box<Refusal>> {
        let unknown = || Box::new(Refusal::effect("takes a step", format!("nobody records {id}")));
        self.recorded.get(&id).ok_or_else(unknown)
    }

    pub(super) fn replica_mut(&mut self, id: u32) -> Result<&mut Replica, Box<Refusal>> {
        let unknown = || Box::new(Refusal::effect("takes a step", format!("nobody records {id}")));
        self.recorded.get_mut(&id).ok_or_else(unknown)
    }

    /// One step of a recorded replica, all of whose needs are there. Each thing that it says, writes or does must be
    /// part of an action of the model that is enabled where it happens.
    pub fn step(&mut self, id: u32, step: &Step) -> Result<(), Box<Refusal>> {
        if let Some(rejection) = &step.refused {
            self.coverage.rejected(rejection);
            if step.out.is_empty() {
                return Ok(());
            }
            let detail = format!("it refused its input as {rejection}, and acted all the same");
            return Err(Box::new(Refusal::effect("acts on a refused input", detail)));
        }
        self.on = trigger(&step.input);
        let mut due = Due::default();
        self.hear(id, &step.input, &mut due)?;
        for output in &step.out {
            self.output(id, output, &step.input, &mut due)?;
        }
        let says_more = !self.fresh.is_empty();
        self.replica_mut(id)?.settle(step.group, says_more || step.out.iter().any(is_written));
        let left = match due {
            Due { installed: Some(seq), .. } => format!("no proof of the state of #{seq}"),
            Due { checkpoint: Some(seq), .. } => format!("no CHECKPOINT for #{seq}"),
            Due { prepared: Some(proof), .. } => format!("no COMMIT for #{}", proof.seq),
            Due { prepares, .. } => match prepares.front() {
                Some((seq, _)) => format!("no PREPARE for #{seq} of O"),
                None => return Ok(()),
            },
        };
        Err(Box::new(Refusal::effect("ends its step", format!("{left} was sent"))))
    }

    fn output(
        &mut self,
        id: u32,
        output: &Output,
        input: &Input,
        due: &mut Due,
    ) -> Result<(), Box<Refusal>> {
        match output {
            Output::All(body) | Output::To(_, body) => self.say(id, body, input, due),
            Output::Prepared(proof) => {
                due.prepared = Some(proof.clone());
                Ok(())
            }
            Output::Stable(proof) => match due.installed.take_if(|seq| *seq == proof.seq) {
                Some(_) => self.transfer(id, proof),
                None => self.stabilise(id, proof),
            },
            Output::Enter { view } => self.enter(id, *view, due),
            Output::Execute { committed, applied } => {
                self.name_batch(id, committed.seq, committed.digest, &committed.batch)?;
                // What follows from an execution is due to what the execution is due to.
                let on = self.on;
                let replica = self.replica_mut(id)?;
                if !matches!(input, Input::Executed { .. }) {
                    replica.asked_on = on;
                }
                replica.executing = Some((committed.clone(), applied.clone()));
                Ok(())
            }
            Output::Install { .. } => Ok(()),
            Output::Halt(reason) => {
                Err(Box::new(Refusal::property("halts", Property::NoHalt, reason.clone())))
            }
        }
    }

    /// A message of this replica, or one that it hands on.
    fn say(
        &mut self,
        id: u32,
        body: &Body,
        input: &Input,
        due: &mut Due,
    ) -> Result<(), Box<Refusal>> {
        let vote = needs::of_vote(body).filter(|vote| vote.place.signer == id);
        if let Some(Need { place, digest: Some(digest) }) = vote
            && self.said_before(place, digest)?
        {
            return Ok(());
        }
        match body {
            Body::PrePrepare(p) if p.replica == id => self.order(p),
            Body::Prepare(vote) if vote.replica == id => self.accept(vote, input, due),
            Body::Commit(vote) if vote.replica == id => self.commit(vote, due),
            Body::Checkpoint(vote) if vote.replica == id => self.take_checkpoint(vote, due),
            Body::ViewChange(change) if change.replica == id => self.leave(change),
            Body::NewView(new_view) if new_view.replica == id => self.begin(new_view),
            Body::PrePrepare(_)
            | Body::Committed(_)
            | Body::Stable(_)
            | Body::ViewChange(_)
            | Body::NewView(_)
            | Body::Other(_) => Ok(()),
            Body::Prepare(Vote { replica, .. }) | Body::Commit(Vote { replica, .. }) => {
                Err(Box::new(foreign(*replica)))
            }
            Body::Checkpoint(vote) => Err(Box::new(foreign(vote.replica))),
        }
    }

    /// Whether this very statement was made before; an error if another was made in its place.
    fn said_before(&self, place: Statement, digest: ShortDigest) -> Result<bool, Box<Refusal>> {
        let replica = self.replica(place.signer)?;
        match replica.said.digest(place) {
            None => Ok(false),
            Some(said) if said == digest => Ok(true),
            Some(said) => {
                let detail = format!("it said {said} before, and says {digest} now");
                let step = format!("sends {place}");
                Err(Box::new(Refusal::property(step, Property::OneStatement, detail)))
            }
        }
    }

    /// Notes a statement that is made for the first time.
    pub(super) fn note(
        &mut self,
        place: Statement,
        digest: ShortDigest,
    ) -> Result<(), Box<Refusal>> {
        self.replica_mut(place.signer)?.said.note(place, digest);
        self.fresh.push(place);
        Ok(())
    }

    /// The requests of a batch are the same wherever it is named.
    pub(super) fn name_batch(
        &mut self,
        id: u32,
        seq: u64,
        digest: ShortDigest,
        batch: &[RequestId],
    ) -> Result<(), Box<Refusal>> {
        match self.batches.get_mut(&digest) {
            Some((known, last)) if **known == *batch => {
                if *last < seq {
                    *last = seq;
                    self.named.insert((seq, digest));
                }
                Ok(())
            }
            Some((known, _)) => {
                let detail = format!("batch {digest} is {known:?}, and {batch:?} at replica {id}");
                Err(Box::new(Refusal::effect(format!("names a batch at #{seq}"), detail)))
            }
            None => {
                self.batches.insert(digest, (batch.into(), seq));
                self.named.insert((seq, digest));
                Ok(())
            }
        }
    }

    /// Forgets what no replica can need any more.
    pub(super) fn forget(&mut self) {
        let going_on = || self.recorded.values().filter(|replica| !replica.finished);
        let Some(floor) = going_on().map(|replica| replica.low).min() else { return };
        let view = going_on().map(|replica| replica.view).min().unwrap_or_default();
        if floor == self.floor {
            return;
        }
        self.floor = floor;
        self.recorded.values_mut().for_each(|replica| replica.said.forget(floor, view));
        self.decided = self.decided.split_off(&floor.saturating_add(1));
        self.checkpoints = self.checkpoints.split_off(&floor);
        let above = self.named.split_off(&(floor.saturating_add(1), ShortDigest(0)));
        for (seq, digest) in std::mem::replace(&mut self.named, above) {
            if self.batches.get(&digest).is_some_and(|(_, last)| *last == seq) {
                self.batches.remove(&digest);
            }
        }
    }

    pub(super) fn count(&mut self, id: u32, action: ActionKind) {
        if let Some(replica) = self.recorded.get(&id) {
            let leads = self.primary(replica.view) == id;
            let role = if leads { Role::Primary } else { Role::Backup };
            let on = match action {
                ActionKind::Execute => replica.asked_on,
                _ => self.on,
            };
            self.coverage.acted(action, (replica.view, replica.active), role, on);
        }
    }

    /// Where a replica stands, and what it could do next.
    pub fn outlook(&self, id: u32) -> Vec<String> {
        let Some(replica) = self.recorded.get(&id) else { return Vec::new() };
        let role = replica.role(self.replicas);
        let what = match (role.active, role.primary) {
            (false, _) => "waits for the NEW-VIEW of",
            (true, true) => "leads",
            (true, false) => "takes part in",
        };
        let window = replica.window(self.window);
        let mut lines = vec![format!(
            "it {what} v{}, with window ({}, {}] and #{} executed",
            replica.view, window.low, window.high, replica.executed
        )];
        if role.active && role.primary {
            lines.push(format!("PRE-PREPARE for #{}", replica.next_to_order()));
        }
        let open =
            |seq: &u64| replica.certificates.get(seq).is_none_or(|proof| proof.view < replica.view);
        for (seq, digest) in replica.accepted.iter().filter(|(seq, _)| open(seq)).take(3) {
            let votes = self.prepares_heard(replica, replica.view, *seq, *digest).len();
            let needed = self.quorums.prepares();
            lines.push(format!("COMMIT for #{seq} with {needed} PREPAREs; {votes} were heard"));
        }
        let next = replica.executed.saturating_add(1);
        lines.push(format!("execution of #{next} with {} COMMITs", self.quorums.quorum));
        lines.push(format!("VIEW-CHANGE for v{}", replica.view.saturating_add(1)));
        lines
    }
}

/// Whether an output is written to the disk first. New statements are, too, but repeated ones are not.
fn is_written(output: &Output) -> bool {
    match output {
        Output::Prepared(_) | Output::Stable(_) | Output::Enter { .. } | Output::Install { .. } => {
            true
        }
        Output::All(_) | Output::To(..) | Output::Execute { .. } | Output::Halt(_) => false,
    }
}

/// An input by name, as [`crate::subject::tally::trigger`] calls it.
fn trigger(input: &Input) -> &'static str {
    match input {
        Input::Message { body, .. } => match body {
            Body::PrePrepare(_) => "pre-prepare",
            Body::Prepare(_) => "prepare",
            Body::Commit(_) => "commit",
            Body::Checkpoint(_) => "checkpoint",
            Body::ViewChange(_) => "view-change",
            Body::NewView(_) => "new-view",
            Body::Committed(_) => "committed",
            Body::Stable(_) => "stable",
            Body::Other(kind) => match kind.as_str() {
                "request" => "request",
                "batch" => "batch",
                "state-data" => "state-data",
                "status" => "status",
                _ => "another message",
            },
        },
        Input::Request(_) => "request",
        Input::ViewTimer => "view-timer",
        Input::StatusTimer => "status-timer",
        Input::BatchTimer => "batch-timer",
        Input::Suspect => "suspicion",
        Input::Executed { .. } => "execution",
        Input::Installed { .. } => "state-data",
    }
}

fn foreign(signer: u32) -> Refusal {
    Refusal::effect("sends a vote", format!("it is signed by replica {signer}"))
}
