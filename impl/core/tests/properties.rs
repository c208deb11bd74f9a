//! What holds for all inputs, tried on arbitrary ones.

mod common;

use common::craft;
use common::keys::{TestVerifier, checked, replica_key, signed};
use common::params;
use common::service::Service;
use pbft_core::canonical::Canonical;
use pbft_core::client::{ClientEffect, ClientInput, ClientLane, Patience};
use pbft_core::crypto::{Statement, verify_reply};
use pbft_core::manifest::{Manifest, chunk_digest};
use pbft_core::message::{
    Batch, Checkpoint, Commit, FetchState, Message, NewView, PrePrepare, Prepare,
    PreparedCertificate, Proposal, Reply, Request, Signed, StableCertificate, StateData, StatePart,
    Status, ViewChange,
};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, SeqNum, Timestamp, View};
use pbft_core::{Durable, Effect, Input, Membership, Replica, Timer};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A sequence of choices; shrinks towards the first choice everywhere. At its end it chooses the first, too.
struct Tape<'a>(std::slice::Iter<'a, u8>);

impl<'a> Tape<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % bound
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn view(&mut self) -> View {
        View(self.pick(&[0, 0, 1, 1, 2, 3, 4, 5, u64::MAX - 1, u64::MAX]))
    }

    fn seq(&mut self) -> SeqNum {
        SeqNum(self.pick(&[1, 2, 1, 2, 3, 4, 8, 0, 9, 10, 12, u64::MAX - 1, u64::MAX]))
    }

    fn replica(&mut self) -> ReplicaId {
        ReplicaId(self.pick(&[0, 2, 3, 0, 2, 3, 1, 4, u32::MAX]))
    }

    fn request(&mut self) -> Arc<Signed<Request>> {
        let client = self.pick(&[1, 2, 3]);
        let lane = self.pick(&[0, 0, 1, 15, 16, u16::MAX]);
        craft::request_on(client, lane, self.pick(&[1, 2, 3, 0, u64::MAX]), b"op")
    }

    fn batch(&mut self) -> Arc<Batch> {
        match self.below(4) {
            0 => craft::batch(1),
            1 => craft::batch(2),
            2 => Arc::default(),
            _ => craft::batch_of(&[self.request(), self.request()]),
        }
    }

    fn digest(&mut self) -> Digest {
        match self.below(8) {
            0..=2 => craft::batch(1).digest(),
            3 => craft::batch(2).digest(),
            4 => Batch::default().digest(),
            5 => manifest().digest(),
            6 => Digest::default(),
            _ => self.batch().digest(),
        }
    }

    fn pre_prepare(&mut self) -> Signed<PrePrepare> {
        let (view, seq, digest) = (self.view(), self.seq(), self.digest());
        let replica =
            if self.below(4) == 3 { self.replica() } else { ReplicaId((view.0 % 4) as u32) };
        signed(PrePrepare { view, seq, digest, replica })
    }

    fn prepare(&mut self) -> Signed<Prepare> {
        let (view, seq, digest, replica) = (self.view(), self.seq(), self.digest(), self.replica());
        signed(Prepare { view, seq, digest, replica })
    }

    fn commit(&mut self) -> Signed<Commit> {
        let (view, seq, digest, replica) = (self.view(), self.seq(), self.digest(), self.replica());
        signed(Commit { view, seq, digest, replica })
    }

    fn checkpoint(&mut self) -> Signed<Checkpoint> {
        let (seq, digest, replica) = (self.seq(), self.digest(), self.replica());
        signed(Checkpoint { seq, digest, replica })
    }

    /// Mostly as many as a quorum and different, so that much of what is made here is valid.
    fn signers(&mut self) -> Vec<u32> {
        self.pick::<&[u32]>(&[&[0, 2, 3], &[0, 1, 2], &[1, 2, 3], &[2, 3], &[0, 0, 1], &[], &[9]])
            .to_vec()
    }

    fn stable(&mut self) -> StableCertificate {
        if self.below(8) == 7 {
            return StableCertificate { checkpoints: vec![self.checkpoint(), self.checkpoint()] };
        }
        let seq = if self.below(2) == 0 { SeqNum(4) } else { self.seq() };
        let digest = if self.below(2) == 0 { manifest().digest() } else { self.digest() };
        craft::stable(seq.0, digest, &self.signers())
    }

    fn prepared(&mut self) -> PreparedCertificate {
        let pre_prepare = self.pre_prepare();
        if self.below(8) == 7 {
            return PreparedCertificate { pre_prepare, prepares: vec![self.prepare(); 2] };
        }
        let PrePrepare { view, seq, digest, replica } = pre_prepare.body.clone();
        let backups = (0..4).filter(|id| *id != replica.0).take(2);
        let prepares = backups.map(|id| craft::signed_prepare(view.0, seq.0, digest, id)).collect();
        PreparedCertificate { pre_prepare, prepares }
    }

    fn view_change(&mut self, view: View) -> Arc<Signed<ViewChange>> {
        let replica = self.replica();
        let prepared = (0..self.below(3)).map(|_| self.prepared()).collect();
        let stable = if self.below(3) == 0 { self.stable() } else { StableCertificate::default() };
        let proven = stable.checkpoints.first().map_or(SeqNum(0), |first| first.body.seq);
        let low_water_mark = if self.below(8) == 7 { self.seq() } else { proven };
        Arc::new(signed(ViewChange { view, low_water_mark, stable, prepared, replica }))
    }

    fn new_view(&mut self) -> Message {
        let view = self.view();
        let primary = ReplicaId((view.0 % 4) as u32);
        let replica = if self.below(8) == 7 { self.replica() } else { primary };
        let mut view_changes = BTreeMap::new();
        for _ in 0..6 {
            let inner = if self.below(8) == 7 { self.view() } else { view };
            let known = self.view_change(inner);
            view_changes.insert(known.body.replica, known);
        }
        let view_changes: Vec<_> = view_changes.into_values().take(3).collect();
        let certificates = || view_changes.iter().flat_map(|known| &known.body.prepared);
        let top = certificates().map(|c| c.pre_prepare.body.seq.0.min(10)).max().unwrap_or(0);
        let low = view_changes.iter().map(|known| known.body.low_water_mark.0).max().unwrap_or(0);
        let best = |seq| {
            let claims = certificates().map(|c| &c.pre_prepare.body).filter(|c| c.seq.0 == seq);
            claims.max_by_key(|c| c.view).map_or(Batch::default().digest(), |c| c.digest)
        };
        let order: Vec<_> = (low.min(20) + 1..=top).map(|seq| (seq, best(seq))).collect();
        let pre_prepares =
            order.iter().map(|(seq, d)| craft::pre_prepare(view.0, *seq, *d, primary.0)).collect();
        Message::NewView(Arc::new(signed(NewView { view, view_changes, pre_prepares, replica })))
    }

    fn state_data(&mut self) -> Message {
        let replies = ReplyTable::default().encode();
        let (part, bytes) = match self.below(5) {
            0 => (StatePart::Manifest, manifest().encode()),
            1 => (StatePart::Chunk(0), replies),
            2 => (StatePart::Chunk(1), Vec::new()),
            3 => (StatePart::Chunk(u32::MAX), Vec::new()),
            _ => (StatePart::Manifest, vec![1; self.below(99)]),
        };
        let seq = if self.below(2) == 0 { SeqNum(4) } else { self.seq() };
        Message::StateData(Arc::new(StateData { seq, part, bytes: bytes.into() }))
    }

    fn message(&mut self) -> Message {
        match self.below(18) {
            0 => Message::Request(self.request()),
            1 | 2 => {
                let (view, seq, batch) = (self.view(), self.seq(), self.batch());
                let digest = if self.below(8) == 7 { self.digest() } else { batch.digest() };
                let pre_prepare = craft::pre_prepare(view.0, seq.0, digest, (view.0 % 4) as u32);
                Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch }))
            }
            3 => Message::Prepare(self.prepare()),
            4 => Message::Commit(self.commit()),
            5 => Message::Checkpoint(self.checkpoint()),
            6 | 7 => {
                let view = self.view();
                Message::ViewChange(self.view_change(view))
            }
            8 | 9 => self.new_view(),
            10 => {
                let (replica, view, active) = (self.replica(), self.view(), self.below(2) == 0);
                let (low_water_mark, last_executed) = (self.seq(), self.seq());
                Message::Status(signed(Status {
                    replica,
                    view,
                    active,
                    low_water_mark,
                    last_executed,
                }))
            }
            11 => {
                let (view, seq, batch, signers) =
                    (self.view(), self.seq(), self.batch(), self.signers());
                craft::committed(view.0, seq.0, &batch, &signers)
            }
            12 => Message::Stable(Arc::new(self.stable())),
            13 if self.below(2) == 0 => Message::FetchBatch(self.digest()),
            13 => Message::Batch(self.batch()),
            14 => {
                let part = if self.below(2) == 0 {
                    StatePart::Manifest
                } else {
                    StatePart::Chunk(self.below(9) as u32)
                };
                Message::FetchState(FetchState { seq: SeqNum(self.pick(&[4, 2, 4, 9])), part })
            }
            _ => self.state_data(),
        }
    }

    /// An input, and whether it could come from outside.
    fn input(&mut self, params: &pbft_core::Params) -> Option<Input> {
        let kind = self.below(24);
        Some(match kind {
            0 => Input::Timer(Timer::ViewChange),
            1 => Input::Timer(Timer::Status),
            2 if self.below(3) == 0 => Input::Suspect,
            3 => Input::Executed { seq: self.seq(), results: Vec::new(), chunks: None },
            4 => Input::Installed { seq: self.seq() },
            5 | 6 => Input::Request(checked(params, Message::Request(self.request())).ok()?),
            7 => Input::Request(checked(params, self.message()).ok()?),
            _ => {
                let message = self.message();
                let signer = match &message {
                    Message::Prepare(vote) => vote.body.replica,
                    Message::Commit(vote) => vote.body.replica,
                    Message::Checkpoint(vote) => vote.body.replica,
                    Message::Status(status) => status.body.replica,
                    _ => ReplicaId(2),
                };
                let from = if kind == 8 { self.replica() } else { signer };
                Input::Message { from, message: checked(params, message).ok()? }
            }
        })
    }
}

/// The state of checkpoint 4 that sources offer.
fn manifest() -> Manifest {
    let chunks = vec![chunk_digest(&ReplyTable::default().encode()), chunk_digest(b"")];
    Manifest { seq: SeqNum(4), chunks }
}

/// One replica with its store, and no cluster around it.
struct Lone {
    replica: Replica,
    durable: Durable,
    service: Service,
    accepted: BTreeSet<&'static str>,
}

impl Lone {
    fn new() -> Self {
        let (durable, service) = (Durable::default(), Service::default());
        let (replica, _) = Self::recover(&durable, &service);
        Self { replica, durable, service, accepted: BTreeSet::new() }
    }

    fn recover(durable: &Durable, service: &Service) -> (Replica, Vec<Effect>) {
        let key = Arc::new(replica_key(1));
        Replica::recover(Arc::new(params(4, 1)), key, durable.clone(), service.state())
    }

    fn step(&mut self, input: Input) {
        let before = self.replica.clone();
        let kind = match &input {
            Input::Message { message, .. } => message.get().kind(),
            Input::Request(_) => "client's request",
            Input::Timer(_) => "timer",
            Input::Suspect => "suspect",
            Input::Executed { .. } => "executed",
            Input::Installed { .. } => "installed",
        };
        let Ok(effects) = self.replica.step(input) else {
            assert!(self.replica == before, "a rejection changed the replica");
            return;
        };
        self.accepted.insert(kind);
        let completions: Vec<_> = effects.into_iter().filter_map(|e| self.perform(e)).collect();
        if completions.is_empty() && !self.replica.summary().halted {
            let (again, _) = Self::recover(&self.durable, &self.service);
            assert_eq!(again.summary(), self.replica.summary(), "after a restart");
        }
        completions.into_iter().for_each(|completion| self.step(completion));
        let summary = self.replica.summary();
        assert!(summary.accepted.len() <= 8 && summary.prepared.len() <= 8, "bounded by L");
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Persist(record) => {
                self.durable.apply(&record);
                self.service.forget_below(self.durable.low_water_mark);
            }
            Effect::Execute { seq, requests, checkpoint } => {
                let results = self.service.execute(seq, &requests);
                let chunks = checkpoint.then(|| self.service.chunk_digests());
                return Some(Input::Executed { seq, results, chunks });
            }
            Effect::StoreCheckpoint { manifest, reply_chunk } => {
                self.service.store(manifest, reply_chunk);
            }
            Effect::StageChunk { seq, index, bytes } => self.service.stage(seq, index, bytes),
            Effect::Install { manifest, replies } => {
                let seq = manifest.seq;
                self.service.install(manifest, replies);
                return Some(Input::Installed { seq });
            }
            Effect::ServeState { seq, part, .. } => {
                self.service.serve(seq, part).expect("only stored state is served");
            }
            Effect::Send { .. }
            | Effect::Broadcast(_)
            | Effect::Reply(_)
            | Effect::SetTimer { .. }
            | Effect::CancelTimer(_)
            | Effect::Halt(_) => {}
        }
        None
    }
}

fn run(tapes: &[Vec<u8>]) -> Lone {
    let mut lone = Lone::new();
    let params = params(4, 1);
    for tape in tapes {
        if let Some(input) = Tape::new(tape).input(&params) {
            lone.step(input);
        }
    }
    lone
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Verified messages with whatever content, even with more than f liars: no panic, a rejection changes nothing, the
    /// log stays bounded, and a restart at any moment gives the same replica.
    #[test]
    fn no_input_breaks_a_replica(tapes in vec(vec(any::<u8>(), 0..64), 0..80)) {
        run(&tapes);
    }

    #[test]
    fn a_manifest_reads_back(seq in any::<u64>(), chunks in vec(any::<[u8; 32]>(), 1..9)) {
        let manifest = Manifest { seq: SeqNum(seq), chunks: chunks.into_iter().map(Digest).collect() };
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
    }

    #[test]
    fn what_reads_as_a_manifest_is_its_encoding(bytes in vec(any::<u8>(), 0..120)) {
        if let Some(manifest) = Manifest::decode(&bytes) {
            prop_assert_eq!(manifest.encode(), bytes);
        }
    }

    #[test]
    fn a_reply_table_reads_back(entries in reply_entries()) {
        let table = table_of(&entries);
        prop_assert_eq!(ReplyTable::decode(&table.encode()), Some(table));
    }

    /// Also of a table with a byte changed, removed or added: one table has one encoding.
    #[test]
    fn what_reads_as_a_reply_table_is_its_encoding(
        entries in reply_entries(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        how in 0..4,
    ) {
        let mut bytes = table_of(&entries).encode();
        let at = at.index(bytes.len() + 1);
        match how {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 => bytes.truncate(at),
            _ => {}
        }
        if let Some(table) = ReplyTable::decode(&bytes) {
            prop_assert_eq!(table.encode(), bytes);
        }
    }

    /// Different bodies have different canonical bytes, and different kinds of body different statements: no
    /// signature means two things.
    #[test]
    fn statements_are_injective(one in vec(any::<u8>(), 0..40), other in vec(any::<u8>(), 0..40)) {
        let cluster = Digest([7; 32]);
        let (a, b) = (&mut Tape::new(&one), &mut Tape::new(&other));
        same_iff_equal(&a.pre_prepare().body, &b.pre_prepare().body)?;
        same_iff_equal(&a.prepare().body, &b.prepare().body)?;
        same_iff_equal(&a.checkpoint().body, &b.checkpoint().body)?;
        same_iff_equal(&a.request().body, &b.request().body)?;
        let (v, w) = (a.view(), b.view());
        same_iff_equal(&a.view_change(v).body, &b.view_change(w).body)?;
        same_iff_equal(&*a.batch(), &*b.batch())?;
        let Prepare { view, seq, digest, replica } = a.prepare().body;
        let statements: BTreeSet<_> = [
            Statement::new(cluster, &PrePrepare { view, seq, digest, replica }).bytes(),
            Statement::new(cluster, &Prepare { view, seq, digest, replica }).bytes(),
            Statement::new(cluster, &Commit { view, seq, digest, replica }).bytes(),
            Statement::new(Digest([8; 32]), &Commit { view, seq, digest, replica }).bytes(),
        ].into();
        prop_assert_eq!(statements.len(), 4);
    }

    /// §4.1: a client takes a result at exactly f+1 equal replies of different replicas, not before; and learns of no
    /// view that fewer than f+1 of them claim.
    #[test]
    fn a_client_accepts_at_exactly_f_plus_one(n in 4u32..11, script in vec((0u32..12, 0u8..3, 0u64..5), 0..40)) {
        let membership = Membership::new(n).expect("valid size");
        let second = core::time::Duration::from_secs(1);
        let mut lane = ClientLane::new(membership, Patience { first: second, max: second });
        lane.step(ClientInput::Submit(craft::request(1, 1))).expect("idle");
        let mut votes: BTreeMap<u32, (u8, u64)> = BTreeMap::new();
        for (replica, result, view) in script {
            let reply = reply(replica, result, view);
            let reply = verify_reply(&params(n, 0), &TestVerifier, reply).expect("signed").into_inner();
            let outcome = lane.step(ClientInput::Reply(reply));
            if replica >= n {
                prop_assert!(outcome.is_err());
                continue;
            }
            votes.insert(replica, (result, view));
            let mut views: Vec<_> = votes.values().filter(|v| v.0 == result).map(|v| v.1).collect();
            let done = outcome.expect("waiting").into_iter().any(|e| matches!(e, ClientEffect::Done { .. }));
            prop_assert_eq!(done, views.len() > membership.faults());
            if done {
                views.sort_unstable();
                let claimed = views[views.len() - membership.weak()];
                prop_assert_eq!(lane.view(), View(claimed));
                prop_assert!(!lane.is_busy());
                break;
            }
        }
    }
}

/// The arbitrary inputs above are no empty gesture: every kind of input is accepted by some of them.
#[test]
fn arbitrary_inputs_reach_every_handler() {
    let mut rng = common::random::Rng(1);
    let mut accepted = BTreeSet::new();
    for _ in 0..1500 {
        let tape = |rng: &mut common::random::Rng| (0..64).map(|_| rng.next() as u8).collect();
        let tapes: Vec<Vec<u8>> = (0..60).map(|_| tape(&mut rng)).collect();
        accepted.extend(run(&tapes).accepted);
    }
    let all = [
        "batch",
        "checkpoint",
        "client's request",
        "commit",
        "committed",
        "executed",
        "fetch-batch",
        "fetch-state",
        "installed",
        "new-view",
        "pre-prepare",
        "prepare",
        "request",
        "stable",
        "state-data",
        "status",
        "suspect",
        "timer",
        "view-change",
    ];
    assert_eq!(accepted, all.into());
}

fn same_iff_equal<B: Canonical + PartialEq>(one: &B, other: &B) -> Result<(), TestCaseError> {
    let bytes = |body: &B| {
        let mut bytes = Vec::new();
        body.encode(&mut bytes);
        bytes
    };
    prop_assert_eq!(one == other, bytes(one) == bytes(other));
    Ok(())
}

fn reply(replica: u32, result: u8, view: u64) -> Signed<Reply> {
    signed(Reply {
        view: View(view),
        client: ClientId(1),
        lane: Lane(0),
        timestamp: Timestamp(1),
        replica: ReplicaId(replica),
        result: vec![result].into(),
    })
}

type Entry = (u32, u16, u64, Vec<u8>);

fn reply_entries() -> impl Strategy<Value = Vec<Entry>> {
    vec((any::<u32>(), any::<u16>(), any::<u64>(), vec(any::<u8>(), 0..20)), 0..6)
}

fn table_of(entries: &[Entry]) -> ReplyTable {
    let mut table = ReplyTable::default();
    for (client, lane, timestamp, result) in entries {
        let reply = LastReply { timestamp: Timestamp(*timestamp), result: result[..].into() };
        table.record(ClientId(*client), Lane(*lane), reply);
    }
    table
}
