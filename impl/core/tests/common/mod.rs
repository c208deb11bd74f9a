//! A deterministic cluster for tests: real replicas, a queue of messages that the test delivers, loses or keeps, virtual
//! time, and an oracle that looks at every effect.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod craft;
pub mod keys;
pub mod lone;
pub mod oracle;
pub mod random;
pub mod service;
pub mod tape;

use core::time::Duration;
use keys::{CLUSTER, checked, replica_key};
use oracle::Oracle;
use pbft_core::RejectionKind;
use pbft_core::evidence::SignedVote;
use pbft_core::message::{Message, Reply, Request, Signed, StateData};
use pbft_core::types::{ReplicaId, SeqNum, View};
use pbft_core::{
    Durable, Effect, Footprint, HaltReason, Input, Membership, Params, Rejection, Replica,
    Standing, Summary, Timer,
};
use service::Service;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A message under way.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub from: ReplicaId,
    pub to: ReplicaId,
    pub message: Message,
}

/// One replica with its disk and timers. Without a replica it has crashed; the disk stays.
#[derive(Clone)]
pub struct Node {
    pub replica: Option<Replica>,
    pub durable: Durable,
    pub service: Service,
    pub timers: BTreeMap<Timer, (Duration, Duration)>,
    pub halted: Option<HaltReason>,
    params: Arc<Params>,
}

/// The cluster. Replicas in `byzantine` run no code: the test speaks for them.
#[derive(Clone)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub queue: VecDeque<Envelope>,
    pub replies: Vec<Signed<Reply>>,
    pub now: Duration,
    pub oracle: Oracle,
    pub byzantine: BTreeSet<ReplicaId>,
    /// Messages sent and noteworthy effects, counted, so that a test can say that what it is about happened.
    pub seen: BTreeMap<&'static str, usize>,
    /// Requests beyond those of the run's clients, see [`random::heal`].
    pub nudges: u64,
    /// Every rejection seen, by kind.
    pub rejections: BTreeMap<RejectionKind, usize>,
    /// After each step, compares the replica with what would be left of it after a crash.
    pub compare_restarted: bool,
    /// Compares the replica before and after each rejection.
    pub compare_rejected: bool,
}

/// K = 2, L = 8: small enough that garbage collection happens all the time.
pub fn params(n: u32, replica: u32) -> Params {
    let membership = Membership::new(n).expect("valid size");
    let mut params = Params::new(ReplicaId(replica), membership, CLUSTER);
    (params.checkpoint_interval, params.window, params.pipeline) = (2, 8, 4);
    (params.batch_requests_max, params.operation_bytes_max, params.lanes_max) = (3, 64, 16);
    params.view_timeout = Duration::from_millis(1000);
    params.view_timeout_max = Duration::from_millis(16_000);
    params.status_interval = Duration::from_millis(100);
    params.validate().expect("consistent");
    params
}

impl Cluster {
    pub fn new(n: u32) -> Self {
        Self::with(n, |_| {})
    }

    /// A cluster whose parameters `change` adjusts, before the first input.
    pub fn with(n: u32, change: impl Fn(&mut Params)) -> Self {
        let node = |id| {
            let mut params = params(n, id);
            change(&mut params);
            Node {
                replica: None,
                durable: Durable::default(),
                service: Service::default(),
                timers: BTreeMap::new(),
                halted: None,
                params: Arc::new(params),
            }
        };
        let mut cluster = Self {
            nodes: (0..n).map(node).collect(),
            queue: VecDeque::new(),
            replies: Vec::new(),
            now: Duration::ZERO,
            oracle: Oracle::default(),
            byzantine: BTreeSet::new(),
            seen: BTreeMap::new(),
            nudges: 0,
            rejections: BTreeMap::new(),
            compare_restarted: false,
            compare_rejected: true,
        };
        cluster.ids().for_each(|id| cluster.restart(id));
        cluster
    }

    pub fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.nodes.len() as u32
    }

    pub fn params(&self, id: u32) -> Arc<Params> {
        Arc::clone(&self.nodes[id as usize].params)
    }

    pub fn replica(&self, id: u32) -> &Replica {
        self.nodes[id as usize].replica.as_ref().expect("not crashed")
    }

    pub fn summary(&self, id: u32) -> Summary {
        self.replica(id).summary()
    }

    pub fn view(&self, id: u32) -> (View, bool) {
        let summary = self.summary(id);
        (summary.view, summary.active)
    }

    pub fn executed(&self, id: u32) -> SeqNum {
        self.nodes[id as usize].service.last_executed
    }

    pub fn is_up(&self, id: u32) -> bool {
        self.nodes[id as usize].replica.is_some()
    }

    /// Stops a replica; what it was sent is lost.
    pub fn crash(&mut self, id: u32) {
        let node = &mut self.nodes[id as usize];
        node.replica = None;
        node.timers.clear();
        self.queue.retain(|envelope| envelope.to.0 != id);
    }

    /// Hands a replica to the adversary: the test speaks for it.
    pub fn corrupt(&mut self, id: u32) {
        self.crash(id);
        self.byzantine.insert(ReplicaId(id));
    }

    /// Starts a replica from its disk.
    pub fn restart(&mut self, id: u32) {
        let node = &mut self.nodes[id as usize];
        let state = node.service.state();
        let key = Arc::new(replica_key(id));
        let (replica, effects) =
            Replica::recover(Arc::clone(&node.params), key, node.durable.clone(), state);
        node.replica = Some(replica);
        node.timers.clear();
        self.perform(id, effects);
    }

    /// One input, and the completions that it causes. Checks that a rejection changes nothing.
    pub fn input(&mut self, id: u32, input: Input) -> Result<Vec<Effect>, Rejection> {
        let Some(replica) = self.nodes[id as usize].replica.as_mut() else { return Ok(Vec::new()) };
        let before = self.compare_rejected.then(|| replica.clone());
        let shown = self.compare_rejected.then(|| input.clone());
        let broken = SignedVote::in_input(&input).and_then(|vote| replica.broken_promise(&vote));
        if let Some(evidence) = broken {
            let liar = evidence.replica();
            assert!(self.byzantine.contains(&liar), "against a correct replica: {evidence}");
        }
        let stood = replica.standing();
        match replica.step(input) {
            Ok(effects) => {
                assert_voted_as_told([stood, replica.standing()], &effects);
                let completions = self.perform(id, effects.clone());
                if completions.is_empty() && self.compare_restarted {
                    self.assert_survives_restart(id);
                }
                for completion in completions {
                    self.input(id, completion).expect("a completion that was asked for");
                }
                Ok(effects)
            }
            Err(rejection) => {
                *self.rejections.entry(rejection.kind()).or_default() += 1;
                if let Some(before) = before {
                    let after = self.replica(id);
                    assert!(*after == before, "{rejection} changed the replica: {shown:?}");
                }
                Err(rejection)
            }
        }
    }

    fn perform(&mut self, id: u32, effects: Vec<Effect>) -> Vec<Input> {
        let halt = effects.iter().position(|effect| matches!(effect, Effect::Halt(_)));
        assert!(halt.is_none_or(|at| at + 1 == effects.len()), "nothing follows a halt");
        let mut completions = Vec::new();
        for effect in effects {
            completions.extend(self.perform_one(id, effect));
        }
        assert!(completions.len() <= 1, "one completion at a time");
        if let Some(replica) = &self.nodes[id as usize].replica {
            self.oracle.on_summary(&replica.summary());
            let most = Footprint::most(replica.params(), keys::CLIENTS as usize);
            assert_eq!(replica.footprint().beyond(&most), None, "a bound of {id}");
        }
        completions
    }

    fn perform_one(&mut self, id: u32, effect: Effect) -> Option<Input> {
        let node = &mut self.nodes[id as usize];
        match effect {
            Effect::Persist(record) => {
                node.durable.apply(&record);
                node.service.kept.on_stable(node.durable.low_water_mark);
            }
            Effect::Send { to, message } => self.send(id, to, message),
            Effect::Broadcast(message) => {
                let membership = node.params.membership;
                membership.others(ReplicaId(id)).for_each(|to| self.send(id, to, message.clone()));
            }
            Effect::Execute { seq, requests, checkpoint } => {
                let results = node.service.execute(seq, &requests);
                let chunks = checkpoint.then(|| node.service.chunks());
                self.oracle.on_execute(seq, &requests);
                if requests.is_empty() {
                    *self.seen.entry("execute-empty").or_default() += 1;
                }
                if node.service.skew == 0 {
                    self.oracle.on_state(&node.service);
                }
                return Some(Input::Executed { seq, results, chunks });
            }
            Effect::StoreCheckpoint { manifest, replies } => {
                node.service.store(&manifest, replies);
            }
            Effect::Reply(reply) => self.replies.push(reply),
            Effect::SetTimer { timer, after } => {
                node.timers.insert(timer, (self.now + after, after));
            }
            Effect::CancelTimer(timer) => {
                // The one that has just run out is cancelled, too.
                node.timers.remove(&timer);
            }
            Effect::ServeState { to, seq, part } => {
                let bytes = node.service.kept.part(seq, part).expect("only stored state is served");
                let data = StateData { seq, part, bytes };
                self.send(id, to, Message::StateData(Arc::new(data)));
            }
            Effect::StageChunk { digest, bytes } => node.service.kept.stage(digest, bytes),
            Effect::RetainStaged { needed } => node.service.kept.retain_staged(&needed),
            Effect::Install { manifest } => {
                *self.seen.entry("install").or_default() += 1;
                let seq = manifest.seq;
                let replies = node.service.install(&manifest);
                self.oracle.on_state(&node.service);
                return Some(Input::Installed { seq, replies });
            }
            Effect::Halt(reason) => node.halted = Some(reason),
        }
        None
    }

    fn send(&mut self, from: u32, to: ReplicaId, message: Message) {
        self.oracle.on_send(ReplicaId(from), &self.nodes[from as usize].durable, &message);
        *self.seen.entry(message.kind()).or_default() += 1;
        assert_ne!(to.0, from, "nobody sends to itself: {message:?}");
        if self.is_up(to.0) {
            self.queue.push_back(Envelope { from: ReplicaId(from), to, message });
        }
    }

    /// Hands over one message.
    pub fn deliver(&mut self, envelope: Envelope) -> Result<Vec<Effect>, Rejection> {
        let Envelope { from, to, message } = envelope;
        let message = checked(&self.nodes[to.0 as usize].params, message)?;
        self.input(to.0, Input::Message { from, message })
    }

    /// Speaks for a Byzantine replica.
    pub fn inject(
        &mut self,
        from: u32,
        to: u32,
        message: Message,
    ) -> Result<Vec<Effect>, Rejection> {
        self.deliver(Envelope { from: ReplicaId(from), to: ReplicaId(to), message })
    }

    /// Delivers what is under way, and what that causes; loses what `pass` says no to.
    pub fn run_where(&mut self, pass: impl Fn(&Envelope) -> bool) {
        let mut steps = 0;
        while let Some(envelope) = self.queue.pop_front() {
            if pass(&envelope) && self.is_up(envelope.to.0) {
                let _ = self.deliver(envelope);
            }
            steps += 1;
            assert!(steps < 200_000, "the messages never end");
        }
    }

    pub fn run(&mut self) {
        self.run_where(|_| true);
    }

    /// Moves time to the next timer and fires it. False if none is set.
    pub fn fire_next_timer(&mut self) -> bool {
        let timers = self.ids().flat_map(|id| {
            let timers = self.nodes[id as usize].timers.iter();
            timers.map(move |(timer, (at, _))| (*at, id, *timer)).collect::<Vec<_>>()
        });
        let Some((at, id, timer)) = timers.min() else { return false };
        self.now = self.now.max(at);
        self.nodes[id as usize].timers.remove(&timer);
        let fired = self.input(id, Input::Timer(timer));
        assert!(fired.is_ok(), "a timer that was set is expected: {fired:?}");
        true
    }

    /// Lets `span` pass; delivers everything at once, except what `pass` says no to.
    pub fn pass_where(&mut self, span: Duration, pass: impl Fn(&Envelope) -> bool) {
        let end = self.now + span;
        self.run_where(&pass);
        loop {
            let timers = self.nodes.iter().flat_map(|node| node.timers.values());
            if timers.map(|(at, _)| *at).min().is_none_or(|at| at > end) {
                break;
            }
            self.fire_next_timer();
            self.run_where(&pass);
        }
        self.now = end;
    }

    pub fn pass(&mut self, milliseconds: u64) {
        self.pass_where(Duration::from_millis(milliseconds), |_| true);
    }

    /// A client's request reaches one replica.
    pub fn request(
        &mut self,
        to: u32,
        request: &Arc<Signed<Request>>,
    ) -> Result<Vec<Effect>, Rejection> {
        let message = Message::Request(Arc::clone(request));
        let message = checked(&self.nodes[to as usize].params, message)?;
        self.input(to, Input::Request(message))
    }

    /// A client's request reaches all replicas that are up.
    pub fn request_all(&mut self, request: &Arc<Signed<Request>>) {
        for id in self.ids().filter(|id| self.is_up(*id)).collect::<Vec<_>>() {
            let _ = self.request(id, request);
        }
    }

    /// What a crash at this moment would leave is what the replica is: a restart is no step of the protocol.
    fn assert_survives_restart(&self, id: u32) {
        let node = &self.nodes[id as usize];
        let Some(replica) = node.replica.as_ref().filter(|_| node.halted.is_none()) else { return };
        let (durable, state) = (node.durable.clone(), node.service.state());
        let key = Arc::new(replica_key(id));
        let (again, _) = Replica::recover(Arc::clone(&node.params), key, durable, state);
        assert_eq!(again.summary(), replica.summary(), "r{id} after a restart");
    }

    /// All replicas that are up have the same state, and executed `seq`.
    pub fn assert_all_at(&self, seq: u64) {
        for id in self.ids().filter(|id| self.is_up(*id)) {
            assert_eq!(self.executed(id), SeqNum(seq), "r{id}");
        }
        self.assert_equal();
    }

    /// All replicas that are up executed the same, and have the same state.
    pub fn assert_equal(&self) {
        let mut up = self.nodes.iter().filter(|node| node.replica.is_some());
        let first = &up.next().expect("one is up").service;
        for node in up {
            assert_eq!(node.service.last_executed, first.last_executed);
            assert_eq!(node.service.chunks(), first.chunks());
            assert_eq!(node.service.replies, first.replies);
        }
    }
}

/// Messages to or from nobody in `isolated`.
pub fn without(isolated: &[u32]) -> impl Fn(&Envelope) -> bool + use<> {
    let isolated: BTreeSet<_> = isolated.iter().map(|id| ReplicaId(*id)).collect();
    move |envelope| !isolated.contains(&envelope.from) && !isolated.contains(&envelope.to)
}

/// What orders batches is said by replicas only that say that they vote, before the step or after it. One that fetches
/// a state may still vote for what nobody waits for.
fn assert_voted_as_told(told: [Standing; 2], effects: &[Effect]) {
    let is_vote = |effect: &Effect| {
        let (Effect::Broadcast(message) | Effect::Send { message, .. }) = effect else {
            return false;
        };
        matches!(message, Message::PrePrepare(_) | Message::Prepare(_) | Message::Commit(_))
    };
    let may =
        |standing: Standing| matches!(standing, Standing::Votes | Standing::FetchesState { .. });
    assert!(told.into_iter().any(may) || !effects.iter().any(is_vote), "{told:?}: {effects:?}");
}
