//! What must hold after every step of a correct replica, whatever the network, the disks and up to f liars do.
//!
//! The oracle hears of each execution, of everything that leaves a correct replica, and of each result that a client
//! accepts. It remembers one thing for each sequence number, statement and request, so a contradiction shows at the step
//! that makes it. It knows nothing of how the replicas came to what they do.

mod rule;

pub use rule::Rule;

use super::bank::Accounts;
use super::disk::Image;
use super::event::RequestId;
use super::help::Help;
use super::rng::fingerprint;
use super::statement::{is_durable, spoken};
use pbft_conformance::statement::StatementKind;
use pbft_core::evidence::Contradiction;
use pbft_core::message::{Message, Reply, Request, Signed};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{Effect, HaltReason, Input, Rejection, Replica};
use pbft_host::Said;
use pbft_host::frame::ReplicaFrame;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// How.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.rule.name(), self.rule.text(), self.detail)
    }
}

/// What was executed at a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    digest: Option<Digest>,
    requests: Vec<RequestId>,
}

/// A batch that a replica executed.
#[derive(Debug)]
struct Execution {
    seq: SeqNum,
    batch: Batch,
    requests: Vec<Arc<Signed<Request>>>,
    results: Vec<Arc<[u8]>>,
    /// The state after it.
    state: u64,
}

/// Watches all correct replicas and clients of a run.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The first rule that was broken.
    pub violation: Option<Violation>,
    /// The replica that is looked at.
    pub current: ReplicaId,
    /// More than f replicas are faulty: then nothing is claimed but [`Rule::OF_ONE`]. What is broken beyond that is noted in
    /// [`Self::beyond`].
    pub excess: bool,
    /// Rules that were broken while more than f replicas were faulty.
    pub beyond: Vec<Violation>,
    batches: BTreeMap<SeqNum, Batch>,
    /// Executions that nobody can know of yet. The replica's own vote may be on its way to the disk with them; if it never
    /// arrives there, neither has happened.
    untold: BTreeMap<ReplicaId, Vec<Execution>>,
    executed: BTreeMap<RequestId, SeqNum>,
    last_of_lane: BTreeMap<(u32, u16), u64>,
    states: BTreeMap<SeqNum, u64>,
    spoken: BTreeMap<(ReplicaId, StatementKind, View, SeqNum), u64>,
    checkpoints: BTreeMap<SeqNum, Digest>,
    promised: BTreeMap<ReplicaId, View>,
    /// What clients asked for: a number for the operation's bytes.
    requested: BTreeMap<RequestId, BTreeSet<u64>>,
    /// The digests of executed requests.
    digests: BTreeMap<RequestId, Digest>,
    /// Clients that sign whatever they like.
    lying_clients: Vec<u32>,
    /// The bank after the agreed batches so far, and what it answered.
    reference: Accounts,
    reference_seq: SeqNum,
    results: BTreeMap<RequestId, Arc<[u8]>>,
    progress: BTreeMap<ReplicaId, (View, SeqNum, SeqNum)>,
    help: BTreeMap<ReplicaId, Help>,
    /// Executions that could be known, and that their replica has forgotten since.
    pub forgotten: u64,
    /// The same as `progress` when the replica's disk last had everything.
    settled: BTreeMap<ReplicaId, (View, SeqNum, SeqNum)>,
}

impl Oracle {
    /// An oracle that knows which clients may sign anything.
    #[must_use]
    pub fn new(lying_clients: Vec<u32>, excess: bool) -> Self {
        Self { lying_clients, excess, ..Self::default() }
    }

    /// Notes the first violation.
    pub fn accuse(&mut self, rule: Rule, detail: impl FnOnce() -> String) {
        if self.excess && !Rule::OF_ONE.contains(&rule) {
            if self.beyond.iter().all(|known| known.rule != rule) {
                self.beyond.push(Violation { rule, detail: detail() });
            }
        } else if self.violation.is_none() {
            self.violation = Some(Violation { rule, detail: detail() });
        }
    }

    fn demand(&mut self, holds: bool, rule: Rule, detail: impl FnOnce() -> String) {
        if !holds {
            self.accuse(rule, detail);
        }
    }

    /// How many requests were executed.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.executed.len() as u64
    }

    /// The requests that were executed, in the agreed order.
    pub fn order(&self) -> impl Iterator<Item = RequestId> + '_ {
        self.batches.values().flat_map(|batch| batch.requests.iter().copied())
    }

    /// The highest sequence number that a correct replica executed.
    #[must_use]
    pub fn frontier(&self) -> SeqNum {
        self.reference_seq
    }

    /// The result that the agreed order gives a request, once it is executed.
    #[must_use]
    pub fn result(&self, id: RequestId) -> Option<&Arc<[u8]>> {
        self.results.get(&id)
    }

    /// A correct client submits a request.
    pub fn on_request(&mut self, request: &Request) {
        let number = fingerprint(17, &request.operation);
        self.requested.entry(RequestId::of(request)).or_default().insert(number);
    }

    /// A correct client accepts a result.
    pub fn on_accepted(&mut self, id: RequestId, result: &Arc<[u8]>) {
        let agreed = self.results.get(&id).cloned();
        self.demand(agreed.as_ref() == Some(result), Rule::ClientResult, || {
            format!("{id}: the client accepts {result:02x?}, the agreed order gives {agreed:02x?}")
        });
    }

    /// What is acknowledged to a correct client was executed, and not another request with its name.
    pub fn on_acknowledged(&mut self, id: RequestId, request: Digest) {
        let executed = self.digests.get(&id).copied();
        self.demand(executed == Some(request), Rule::ClientResult, || {
            format!("{id}: request {request} is acknowledged, {executed:?} was executed")
        });
    }

    /// A correct client is told that its request was never executed.
    pub fn on_never(&mut self, id: RequestId, request: Digest) {
        let executed = self.digests.get(&id).copied();
        self.demand(executed != Some(request), Rule::ClientResult, || {
            format!("{id}: request {request} was executed, and its client is told that it was not")
        });
    }

    /// A correct replica keeps evidence against another correct one.
    pub fn on_evidence(&mut self, against: ReplicaId, what: &str) {
        self.accuse(Rule::NoFalseEvidence, || {
            format!("against {against}, which is correct: {what}")
        });
    }

    /// The current replica has noticed these contradictions, and its disk says `image`.
    pub fn on_evidence_owed(&mut self, contradictions: &[Contradiction], image: &Image) {
        let id = self.current;
        for one in contradictions {
            let is_kept = image.has_evidence(one.replica(), one.place());
            self.demand(is_kept, Rule::EvidenceKept, || format!("{id} does not keep that {one}"));
        }
    }

    /// The current process cannot go on, and no disk is to blame.
    pub fn on_failure(&mut self, why: &dyn std::error::Error) {
        let id = self.current;
        self.accuse(Rule::NoFailure, || format!("{id} fails: {why}"));
    }

    /// A process whose replica has halted runs again.
    pub fn on_unhalted(&mut self, host: usize) {
        self.accuse(Rule::HaltIsFinal, || format!("process {host} had halted, and runs again"));
    }

    /// Views, water marks and executed numbers after a step.
    pub fn on_state(&mut self, replica: &Replica) {
        let (status, id) = (replica.status(), self.current);
        let now = (status.view, status.low_water_mark, status.last_executed);
        let last = self.progress.insert(id, now).unwrap_or_default();
        let rises = last.0 <= now.0 && last.1 <= now.1 && last.2 <= now.2;
        self.demand(rises, Rule::Monotonic, || format!("{id} was at {last:?} and is at {now:?}"));
    }

    /// What the current replica gives its peers in a step.
    pub fn on_help(&mut self, replica: &Replica, input: &Input, effects: &[Effect]) {
        let (id, help) = (self.current, self.help.entry(self.current).or_default());
        if let Some(much) = help.on_step(input, effects, replica.params()) {
            self.accuse(Rule::HelpIsBounded, || format!("{id} {much}"));
        }
    }

    /// The current replica serves a part of a state.
    pub fn on_serve(&mut self, replica: &Replica, to: ReplicaId, bytes: usize) {
        let (id, help) = (self.current, self.help.entry(self.current).or_default());
        if let Some(much) = help.on_serve(to, bytes, replica.params()) {
            self.accuse(Rule::HelpIsBounded, || format!("{id} {much}"));
        }
    }

    /// The disk of the current replica has everything that it knows.
    pub fn on_settled(&mut self) {
        if let Some(now) = self.progress.get(&self.current) {
            self.settled.insert(self.current, *now);
        }
    }

    /// The current replica starts: it may have lost what its disk never had and nobody was told, and nothing else.
    pub fn on_start(&mut self, replica: &Replica) {
        self.help.remove(&self.current);
        let settled = self.settled.get(&self.current).copied().unwrap_or_default();
        let before = self.progress.insert(self.current, settled).unwrap_or_default();
        let kept = replica.status().last_executed;
        let mut untold = self.untold.remove(&self.current).unwrap_or_default();
        let told = before.2.0.saturating_sub(untold.len() as u64);
        self.forgotten += told.saturating_sub(kept.0);
        untold.retain(|execution| execution.seq <= kept);
        untold.into_iter().for_each(|execution| self.keep(execution));
        self.on_state(replica);
    }

    /// A rejected input changed the replica.
    pub fn on_changed_by_rejection(&mut self, replica: &Replica, input: &Input, why: &Rejection) {
        let id = replica.params().replica;
        self.accuse(Rule::RejectionChangesNothing, || format!("{id}: {why}: {input:?}"));
    }

    /// A batch was executed at the current replica. It counts once it [can be known](Self::on_kept).
    pub fn on_execute(
        &mut self,
        replica: &Replica,
        seq: SeqNum,
        requests: &[Arc<Signed<Request>>],
        results: &[Arc<[u8]>],
        state: u64,
    ) {
        let id = self.current;
        let before = replica.status().last_executed;
        self.demand(seq == before.next(), Rule::Order, || {
            format!("{id} executes {seq} after {before}")
        });
        let digest = replica.commit_certificate(seq).and_then(|certificate| certificate.digest());
        let names = requests.iter().map(|request| RequestId::of(&request.body)).collect();
        let execution = Execution {
            seq,
            batch: Batch { digest, requests: names },
            requests: requests.to_vec(),
            results: results.to_vec(),
            state,
        };
        self.compare(&execution);
        self.untold.entry(id).or_default().push(execution);
    }

    /// What the current replica executed is on its disk, or may be told.
    pub fn on_kept(&mut self) {
        let untold = self.untold.remove(&self.current).unwrap_or_default();
        untold.into_iter().for_each(|execution| self.keep(execution));
    }

    fn keep(&mut self, execution: Execution) {
        self.compare(&execution);
        let Execution { seq, batch, requests, results, state } = execution;
        self.states.entry(seq).or_insert(state);
        if let std::collections::btree_map::Entry::Vacant(entry) = self.batches.entry(seq) {
            entry.insert(batch);
            self.on_agreed(seq, &requests, &results);
        }
    }

    /// An execution against what is agreed already.
    fn compare(&mut self, execution: &Execution) {
        let (id, seq, state) = (self.current, execution.seq, execution.state);
        if let Some(agreed) = self.batches.get(&seq).filter(|agreed| **agreed != execution.batch) {
            let (agreed, batch) = (agreed.clone(), &execution.batch);
            self.accuse(Rule::Agreement, || {
                format!("{id} executes {batch:?} at {seq}, another one executed {agreed:?}")
            });
        }
        let first = self.states.get(&seq).copied().unwrap_or(state);
        self.demand(first == state, Rule::EqualStates, || {
            format!("{id} has state {state:016x} after {seq}, another one has {first:016x}")
        });
    }

    /// The first execution of a sequence number: what it applies is new and asked for, and its results are right.
    fn on_agreed(&mut self, seq: SeqNum, requests: &[Arc<Signed<Request>>], results: &[Arc<[u8]>]) {
        let last = std::mem::replace(&mut self.reference_seq, seq);
        self.demand(seq == last.next(), Rule::Order, || {
            format!("{seq} is executed by somebody when nobody has executed more than {last}")
        });
        for (request, result) in requests.iter().zip(results) {
            let body = &request.body;
            let id = RequestId::of(body);
            let number = fingerprint(17, &body.operation);
            let asked = self.requested.get(&id).is_some_and(|asked| asked.contains(&number));
            let asked = asked || self.lying_clients.contains(&id.client);
            self.demand(asked, Rule::Validity, || format!("{id} at {seq} was never asked for"));
            let earlier = self.executed.insert(id, seq);
            self.demand(earlier.is_none(), Rule::ExactlyOnce, || {
                format!("{id} is executed at {seq}, and was at {earlier:?}")
            });
            let lane = self.last_of_lane.entry((id.client, id.lane.0)).or_default();
            let before = std::mem::replace(lane, id.timestamp.0);
            self.demand(before < id.timestamp.0 || id.timestamp.0 == 0, Rule::ExactlyOnce, || {
                format!("{id} is executed at {seq}, after timestamp {before} of its lane")
            });
            let expected = self.reference.execute(&body.operation);
            self.demand(expected == *result, Rule::Results, || {
                format!("{id} at {seq}: {result:02x?}, the agreed order gives {expected:02x?}")
            });
            self.results.insert(id, expected);
            self.digests.insert(id, body.digest());
        }
    }

    /// A fetched state was installed at the current replica.
    pub fn on_install(&mut self, seq: SeqNum, state: u64) {
        let (id, known) = (self.current, self.states.get(&seq).copied());
        self.demand(known == Some(state), Rule::EqualStates, || {
            format!(
                "{id} installs state {state:016x} for {seq}, correct replicas had {known:016x?}"
            )
        });
    }

    /// A write that the disk does not allow.
    pub fn on_impossible_write(&mut self) {
        let id = self.current;
        self.accuse(Rule::EqualStates, || format!("{id} installs chunks that it never fetched"));
    }

    /// The core stopped the current replica.
    pub fn on_halt(&mut self, reason: &HaltReason) {
        let id = self.current;
        self.accuse(Rule::NoHalt, || format!("{id} stops: {reason}"));
    }

    /// Whether this is a statement that the current replica has not made before.
    #[must_use]
    pub fn is_news(&self, said: &Said) -> bool {
        let spoken = spoken(self.current, said);
        spoken.is_some_and(|one| {
            !self.spoken.contains_key(&(self.current, one.kind, one.view, one.seq))
        })
    }

    /// Something leaves the current replica, whose disk says `image`.
    pub fn on_said(&mut self, said: &Said, image: &Image) {
        if let Said::Client(_, ReplicaFrame::Reply(reply)) = said {
            return self.on_reply(reply);
        }
        let (id, Some(one)) = (self.current, spoken(self.current, said)) else { return };
        let first = self.spoken.insert((id, one.kind, one.view, one.seq), one.content);
        self.demand(first.is_none_or(|first| first == one.content), Rule::NoEquivocation, || {
            format!("{id} said another {:?} for {} {} before", one.kind, one.view, one.seq)
        });
        if first.is_none() {
            self.demand(is_durable(said, image), Rule::Durable, || {
                format!(
                    "{id} says {:?} for {} {}, its disk does not know",
                    one.kind, one.view, one.seq
                )
            });
        }
        let promised = self.promised.get(&id).copied().unwrap_or_default();
        match one.kind {
            StatementKind::ViewChange => {
                self.promised.insert(id, promised.max(one.view));
            }
            StatementKind::Checkpoint => self.on_checkpoint(said),
            StatementKind::PrePrepare
            | StatementKind::Prepare
            | StatementKind::Commit
            | StatementKind::NewView => {
                self.demand(one.view >= promised, Rule::Promise, || {
                    format!("{id} says {:?} in {}, and has left for {promised}", one.kind, one.view)
                });
            }
        }
    }

    fn on_checkpoint(&mut self, said: &Said) {
        let (Said::All(Message::Checkpoint(vote)) | Said::To(_, Message::Checkpoint(vote))) = said
        else {
            return;
        };
        let (id, seq, digest) = (self.current, vote.body.seq, vote.body.digest);
        let first = *self.checkpoints.entry(seq).or_insert(digest);
        self.demand(first == digest, Rule::EqualStates, || {
            format!("{id} has digest {digest} at checkpoint {seq}, another one has {first}")
        });
    }

    fn on_reply(&mut self, reply: &Signed<Reply>) {
        let body = &reply.body;
        let id = RequestId { client: body.client.0, lane: body.lane, timestamp: body.timestamp };
        let agreed = self.results.get(&id).cloned();
        self.demand(agreed.as_ref() == Some(&body.result), Rule::Results, || {
            format!(
                "{} answers {id} with {:02x?}, agreed is {agreed:02x?}",
                body.replica, body.result
            )
        });
    }
}
