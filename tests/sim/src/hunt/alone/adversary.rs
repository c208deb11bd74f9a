//! Whoever holds all keys but one.

use crate::bank::{Accounts, Operation};
use crate::behaviour::keep_last;
use crate::event::{Event, Node, TimerName};
use crate::keys::{Keys, Scheme};
use crate::rng::Rng;
use crate::world::CLIENTS;
use pbft_conformance::forge::valid::order;
use pbft_core::crypto::{Body, Signer, sign};
use pbft_core::manifest::{ChunkId, Manifest};
use pbft_core::message::{
    Batch, Checkpoint, Commit, CommitCertificate, FetchState, Message, NewView, PrePrepare,
    Prepare, PreparedCertificate, Proposal, Request, Signed, StableCertificate, StateData,
    StatePart, Status, ViewChange,
};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{
    ClientId, Digest, Lane, Principal, ReplicaId, SeqNum, Session, Timestamp, View,
};
use pbft_core::{Params, Replica};
use pbft_host::codec;
use pbft_host::frame::ClientFrame;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The batches that it proposes at one number: none, and so many others.
const BATCHES: u64 = 3;

/// A state that it makes up.
struct MadeUp {
    manifest: Manifest,
    parts: Vec<Arc<[u8]>>,
}

/// Signs as every replica but one, and as every client, whatever may bring that replica further: its messages are near
/// where the replica is, fit together, and are incomplete, late, contradictory or out of place.
pub(super) struct Adversary {
    own: ReplicaId,
    params: Arc<Params>,
    others: Vec<ReplicaId>,
    signers: BTreeMap<Principal, Arc<dyn Signer>>,
    rng: Rng,
    /// Whether it makes up states: whoever believes one cannot execute across its checkpoint any more.
    makes_states_up: bool,
    /// Whether it makes two batches final at one number: whoever notices that stops.
    commits_two: bool,
    /// Batches by digest.
    batches: BTreeMap<Digest, Arc<Batch>>,
    /// What the replica asks for.
    wanted: Vec<Digest>,
    /// What it has said.
    orders: BTreeMap<(View, SeqNum), Signed<PrePrepare>>,
    checkpoints: BTreeMap<SeqNum, Signed<Checkpoint>>,
    view_changes: BTreeMap<View, Arc<Signed<ViewChange>>>,
    states: BTreeMap<SeqNum, MadeUp>,
}

impl Adversary {
    pub(super) fn new(seed: u64, params: Arc<Params>) -> Self {
        let n = params.membership.n() as u32;
        let keys = Keys::new(Scheme::Fast, seed, n, CLIENTS);
        let own = params.replica;
        let others: Vec<_> = params.membership.others(own).collect();
        let replicas = others.iter().map(|id| Principal::Replica(*id));
        let clients = (0..CLIENTS).map(|id| Principal::Client(ClientId(id)));
        let signers = replicas.chain(clients).map(|one| (one, keys.signer(one))).collect();
        let null = Arc::<Batch>::default();
        let mut rng = Rng::new(seed).fork("adversary");
        let (makes_states_up, commits_two) = (rng.percent(25), rng.percent(15));
        Self {
            own,
            params,
            others,
            signers,
            rng,
            makes_states_up,
            commits_two,
            batches: BTreeMap::from([(null.digest(), null)]),
            wanted: Vec::new(),
            orders: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            view_changes: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }

    /// Listens to what the replica says.
    pub(super) fn hear(&mut self, frame: &[u8]) {
        match codec::decode::<Message>(frame) {
            Ok(Message::PrePrepare(proposal)) => {
                let body = &proposal.pre_prepare.body;
                self.batches.insert(body.digest, Arc::clone(&proposal.batch));
                self.orders.insert((body.view, body.seq), proposal.pre_prepare.clone());
            }
            Ok(Message::Checkpoint(vote)) => drop(self.checkpoints.insert(vote.body.seq, vote)),
            Ok(Message::ViewChange(one)) if one.body.replica == self.own => {
                self.view_changes.insert(one.body.view, one);
            }
            Ok(Message::FetchBatch(digest)) => self.wanted.push(digest),
            Ok(_) | Err(_) => {}
        }
        // What is far behind is of no use any more.
        keep_last(&mut self.orders, 64);
        keep_last(&mut self.checkpoints, 8);
        keep_last(&mut self.view_changes, 8);
        keep_last(&mut self.states, 8);
        let excess = self.wanted.len().saturating_sub(8);
        self.wanted.drain(..excess);
    }

    /// What happens next to the replica in process `host`.
    pub(super) fn next(&mut self, host: usize, replica: &Replica) -> Event {
        let timer = |timer| Event::Timer { host, timer };
        match self.rng.below(400) {
            0..=4 => timer(TimerName::ViewChange),
            5..=9 => timer(TimerName::Status),
            10..=11 => timer(TimerName::PutOff),
            12..=13 => timer(TimerName::Batch),
            14 => Event::Suspect { host },
            15..=24 => self.ask(host, replica),
            _ => {
                let message = self.message(replica);
                let from = self.other();
                let from = match &message {
                    // A vote comes over its signer's channel, if it is to count.
                    Message::Prepare(vote) => vote.body.replica,
                    Message::Commit(vote) => vote.body.replica,
                    Message::Checkpoint(vote) => vote.body.replica,
                    Message::Status(status) => status.body.replica,
                    _ => from,
                };
                let frame = codec::encode(&message).unwrap_or_default().into();
                Event::Deliver { from: Node::Host(from.0 as usize), to: Node::Host(host), frame }
            }
        }
    }

    /// A client asks.
    fn ask(&mut self, host: usize, replica: &Replica) -> Event {
        let seq = self.seq(replica);
        let which = 1 + self.rng.below(BATCHES - 1);
        let request = Arc::new(self.request(seq, which));
        let from = Node::Client(request.body.client.0);
        let frame = codec::encode(&ClientFrame::Request(request)).unwrap_or_default().into();
        Event::Deliver { from, to: Node::Host(host), frame }
    }

    fn signed<B: Body>(&self, principal: Principal, body: B) -> Option<Signed<B>> {
        let signer = self.signers.get(&principal)?;
        Some(sign(&**signer, self.params.cluster, body))
    }

    fn by<B: Body>(&self, replica: ReplicaId, body: B) -> Signed<B> {
        let signature = Default::default();
        match self.signers.get(&Principal::Replica(replica)) {
            Some(signer) => sign(&**signer, self.params.cluster, body),
            // The replica's own name: nobody else can sign so.
            None => Signed { body, signature },
        }
    }

    fn other(&mut self) -> ReplicaId {
        let at = self.rng.index(self.others.len());
        self.others.get(at).copied().unwrap_or_default()
    }

    /// So many others, in order.
    fn some(&mut self, count: usize, but: Option<ReplicaId>) -> Vec<ReplicaId> {
        let mut all = self.others.clone();
        all.retain(|one| Some(*one) != but);
        self.rng.shuffle(&mut all);
        all.truncate(count);
        all.sort_unstable();
        all
    }

    fn request(&self, seq: SeqNum, which: u64) -> Signed<Request> {
        let client = ClientId(which as u32 % CLIENTS);
        let operation = Operation::Deposit { account: which as u8, amount: 1 };
        let body = Request {
            client,
            lane: Lane(0),
            timestamp: Timestamp(seq.0),
            session: Session(0),
            operation: operation.encode(),
        };
        let signature = Default::default();
        let unsigned = Signed { body: body.clone(), signature };
        self.signed(Principal::Client(client), body).unwrap_or(unsigned)
    }

    /// One of the few batches of this number.
    fn batch(&mut self, seq: SeqNum) -> (Digest, Arc<Batch>) {
        let which = match self.rng.below(10) {
            0 => 0,
            1 | 2 => 2,
            _ => 1,
        };
        self.batch_of(seq, which)
    }

    /// The batch that it makes final at this number, or one of them.
    fn final_batch(&mut self, seq: SeqNum) -> (Digest, Arc<Batch>) {
        match self.commits_two {
            true => self.batch(seq),
            false => self.batch_of(seq, if seq.0.is_multiple_of(5) { 0 } else { 1 }),
        }
    }

    fn batch_of(&mut self, seq: SeqNum, which: u64) -> (Digest, Arc<Batch>) {
        let requests = match which {
            0 => Vec::new(),
            which => vec![self.request(seq, which)],
        };
        let batch = Arc::new(Batch { requests });
        let digest = batch.digest();
        if self.batches.len() < 512 {
            self.batches.insert(digest, Arc::clone(&batch));
        }
        (digest, batch)
    }

    /// A view, mostly that of the replica.
    fn view(&mut self, replica: &Replica) -> View {
        let view = replica.status().view.0;
        View(match self.rng.below(20) {
            0 => view + 1,
            1 => view + 2 + self.rng.below(3),
            2 | 3 => view.saturating_sub(1 + self.rng.below(2)),
            _ => view,
        })
    }

    /// A number, mostly one of the next.
    fn seq(&mut self, replica: &Replica) -> SeqNum {
        let status = replica.status();
        let next = status.last_executed.0 + 1;
        SeqNum(match self.rng.below(10) {
            0 => status.low_water_mark.0 + self.rng.below(self.params.window + 2),
            1 | 2 => next + self.rng.below(4),
            _ => next + self.rng.below(2),
        })
    }

    fn message(&mut self, replica: &Replica) -> Message {
        let (view, seq) = (self.view(replica), self.seq(replica));
        match self.rng.below(60) {
            0..=9 => self.proposal(view, seq),
            10..=21 => {
                let (digest, _) = self.batch(seq);
                let id = self.other();
                Message::Prepare(self.by(id, Prepare { view, seq, digest, replica: id }))
            }
            22..=33 => {
                let (digest, _) = self.final_batch(seq);
                let id = self.other();
                Message::Commit(self.by(id, Commit { view, seq, digest, replica: id }))
            }
            34..=38 => self.checkpoint(replica),
            39..=44 => {
                let id = self.other();
                let next = View(replica.status().view.0 + self.rng.below(3));
                Message::ViewChange(Arc::new(self.view_change(next, id, replica)))
            }
            45..=47 => self.new_view(replica),
            48..=49 => Message::Committed(Arc::new(self.committed(view, seq))),
            50..=51 => {
                let seq = self.interval(replica, 3);
                Message::Stable(Arc::new(self.stable(seq)))
            }
            52..=53 => self.answer(seq),
            54..=56 => self.state(replica),
            57 => self.status(view, replica),
            58 => {
                let (digest, _) = self.batch(seq);
                Message::FetchBatch(digest)
            }
            _ => {
                let seq = self.interval(replica, 1);
                let part = match self.rng.below(3) {
                    0 => StatePart::Manifest,
                    index => StatePart::Chunk(index as u32 - 1),
                };
                Message::FetchState(FetchState { seq, part })
            }
        }
    }

    fn status(&mut self, view: View, replica: &Replica) -> Message {
        let (id, active) = (self.other(), self.rng.percent(70));
        let low = replica.status().low_water_mark.0.saturating_sub(self.rng.below(2));
        let last_executed = SeqNum(low + self.rng.below(self.params.window));
        let low_water_mark = SeqNum(low);
        let body = Status { replica: id, view, active, low_water_mark, last_executed };
        Message::Status(self.by(id, body))
    }

    fn proposal(&mut self, view: View, seq: SeqNum) -> Message {
        let primary = self.params.membership.primary(view);
        if primary == self.own {
            let which = 1 + self.rng.below(BATCHES - 1);
            return Message::Request(Arc::new(self.request(seq, which)));
        }
        let (digest, batch) = self.batch(seq);
        let pre_prepare = self.by(primary, PrePrepare { view, seq, digest, replica: primary });
        Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch }))
    }

    /// A checkpoint, at most so many intervals above the replica's.
    fn interval(&mut self, replica: &Replica, above: u64) -> SeqNum {
        let interval = self.params.checkpoint_interval;
        let low = replica.status().low_water_mark.0 / interval * interval;
        SeqNum(low + interval * self.rng.below(above + 1))
    }

    /// The digest of a checkpoint: the replica's own, if it has taken it, or that of a state made up.
    fn state_digest(&mut self, seq: SeqNum) -> Option<Digest> {
        match self.checkpoints.get(&seq) {
            Some(own) if !self.makes_states_up || self.rng.percent(90) => Some(own.body.digest),
            _ if self.makes_states_up => Some(self.made_up(seq).manifest.digest()),
            _ => None,
        }
    }

    fn made_up(&mut self, seq: SeqNum) -> &MadeUp {
        self.states.entry(seq).or_insert_with(|| {
            let mut accounts = Accounts::default();
            (1..4).for_each(|account| accounts.set(account, seq.0 + u64::from(account)));
            let mut replies = ReplyTable::default();
            let request = Request {
                client: ClientId(3),
                lane: Lane(1),
                timestamp: Timestamp(seq.0),
                session: Session(0),
                operation: Vec::new(),
            };
            let last = LastReply::to(&request, (*b"made up").into());
            replies.record(request.client, request.lane, last);
            let replies: Vec<Arc<[u8]>> = replies.chunks().into_iter().map(Arc::from).collect();
            let ids = replies.iter().map(|bytes| ChunkId::of(bytes)).collect();
            let manifest = Manifest::new(seq, ids, accounts.chunk_ids());
            let parts = replies.into_iter().chain(accounts.chunks()).collect();
            MadeUp { manifest, parts }
        })
    }

    fn checkpoint(&mut self, replica: &Replica) -> Message {
        let seq = self.interval(replica, 3);
        let id = self.other();
        let Some(digest) = self.state_digest(seq) else {
            let view = self.view(replica);
            return self.status(view, replica);
        };
        Message::Checkpoint(self.by(id, Checkpoint { seq, digest, replica: id }))
    }

    fn stable(&mut self, seq: SeqNum) -> StableCertificate {
        if seq == SeqNum(0) {
            return StableCertificate::default();
        }
        let Some(digest) = self.state_digest(seq) else { return StableCertificate::default() };
        let quorum = self.params.membership.quorum();
        let vote = |id| self.by(id, Checkpoint { seq, digest, replica: id });
        let mut checkpoints: Vec<_> = self.others.iter().take(quorum).map(|id| vote(*id)).collect();
        if self.rng.percent(3) {
            checkpoints.pop();
        }
        StableCertificate { checkpoints }
    }

    fn committed(&mut self, view: View, seq: SeqNum) -> CommitCertificate {
        let (digest, batch) = self.final_batch(seq);
        let quorum = self.params.membership.quorum();
        let some = self.some(quorum, None);
        let commit = |id| self.by(id, Commit { view, seq, digest, replica: id });
        CommitCertificate { commits: some.into_iter().map(commit).collect(), batch }
    }

    fn prepared(&mut self, view: View, seq: SeqNum) -> Option<PreparedCertificate> {
        let membership = self.params.membership;
        let primary = membership.primary(view);
        let (pre_prepare, digest) = match primary == self.own {
            true => {
                let own = self.orders.get(&(view, seq))?.clone();
                let digest = own.body.digest;
                (own, digest)
            }
            false => {
                let (digest, _) = self.batch(seq);
                (self.by(primary, PrePrepare { view, seq, digest, replica: primary }), digest)
            }
        };
        let backups = self.some(membership.prepares(), Some(primary));
        let vote = |id| self.by(id, Prepare { view, seq, digest, replica: id });
        let prepares = backups.into_iter().map(vote).collect();
        Some(PreparedCertificate { pre_prepare, prepares })
    }

    fn view_change(&mut self, view: View, id: ReplicaId, replica: &Replica) -> Signed<ViewChange> {
        let low_water_mark = match self.rng.below(8) {
            0 => self.interval(replica, 2),
            _ => replica.status().low_water_mark,
        };
        let stable = self.stable(low_water_mark);
        let mut prepared = Vec::new();
        for above in 1..=self.rng.below(4) {
            if let Some(of) = view.0.checked_sub(1 + self.rng.below(3)).map(View)
                && self.rng.percent(70)
            {
                prepared.extend(self.prepared(of, SeqNum(low_water_mark.0 + above)));
            }
        }
        self.by(id, ViewChange { view, low_water_mark, stable, prepared, replica: id })
    }

    fn new_view(&mut self, replica: &Replica) -> Message {
        let view = View(replica.status().view.0 + self.rng.below(3));
        let membership = self.params.membership;
        let primary = membership.primary(view);
        let mut view_changes: Vec<Arc<Signed<ViewChange>>> = Vec::new();
        let is_shown = self.rng.percent(50);
        let own = self.view_changes.get(&view).filter(|_| is_shown).cloned();
        let count = membership.quorum() - usize::from(own.is_some());
        for id in self.some(count, None) {
            view_changes.push(Arc::new(self.view_change(view, id, replica)));
        }
        view_changes.extend(own);
        view_changes.sort_by_key(|one| one.body.replica);
        let bodies: Vec<_> = view_changes.iter().map(|one| &one.body).collect();
        let order = order(&bodies);
        let sign =
            |(seq, digest)| self.by(primary, PrePrepare { view, seq, digest, replica: primary });
        let mut pre_prepares: Vec<_> = order.into_iter().map(sign).collect();
        if self.rng.percent(5) {
            pre_prepares.pop();
        }
        let body = NewView { view, view_changes, pre_prepares, replica: primary };
        Message::NewView(Arc::new(self.by(primary, body)))
    }

    /// A batch that was asked for, or another one.
    fn answer(&mut self, seq: SeqNum) -> Message {
        let wanted = self.wanted.pop().and_then(|digest| self.batches.get(&digest).cloned());
        let batch = match wanted {
            Some(batch) => batch,
            None => self.batch(seq).1,
        };
        Message::Batch(batch)
    }

    /// A part of a state.
    fn state(&mut self, replica: &Replica) -> Message {
        let seq = self.interval(replica, 3);
        let which = self.rng.below(4);
        let state = self.made_up(seq);
        let (part, bytes) = match which.checked_sub(1) {
            None => (StatePart::Manifest, state.manifest.encode().into()),
            Some(_) => {
                let index = self.rng.index(self.states[&seq].parts.len());
                let bytes = self.states[&seq].parts.get(index).cloned().unwrap_or_default();
                (StatePart::Chunk(index as u32), bytes)
            }
        };
        Message::StateData(Arc::new(StateData { seq, part, bytes }))
    }
}
