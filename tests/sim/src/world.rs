//! A cluster without time: processes, clients, liars and the oracle, driven by a list of events.
//!
//! [`World::apply`] makes one event happen and appends what it leads to, to [`World::output`]: frames that are under way,
//! timers that were set. Who decides what happens next, and when, is somebody else's business: the
//! [`super::driver`] with a virtual clock and a plan of faults, the shrinker with a list that it shortens, or a person.

mod admission;
mod clients;
mod evidence;
mod sending;

use super::behaviour::{Addressee, Behaviour, Liar, Utterance};
use super::client::{Client, LyingClient};
use super::coverage::Coverage;
use super::disk::Disk;
use super::event::{Event, Node};
use super::fault::Plan;
use super::history::Moment;
use super::hunt::seen::Sightings;
use super::keys::Keys;
use super::memory::Memory;
use super::oracle::{Oracle, Rule};
pub use super::output::Output;
use super::process::{Done, Down, Process};
use super::rng::{Rng, fingerprint};
use super::watch::Watch;
use core::time::Duration;
use pbft_core::client::Patience;
use pbft_core::message::Message;
use pbft_core::types::{ClientId, Digest, Principal, ReplicaId};
use pbft_core::{Footprint, Input, Membership, Params, Timer};
use pbft_host::{Admitted, Alarm, Unread, codec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What kind of run a world is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Whether the correct replicas' steps are recorded.
    pub record: bool,
    /// Whether events come from a list that was shortened: then liars do not run, what they say is on the list, and
    /// a frame of a correct sender arrives only if it was sent.
    pub replay: bool,
}

/// The allow-list has room for so many.
pub const CLIENTS: u32 = 16;

/// A cluster with its clients.
pub struct World {
    /// The processes.
    pub hosts: Vec<Process>,
    /// What leads from the last events to the next ones; whoever drives the world takes it.
    pub output: Vec<Output>,
    /// What must hold.
    pub oracle: Oracle,
    /// What was exercised.
    pub coverage: Coverage,
    /// What a guided search sees, if one looks.
    pub sightings: Option<Sightings>,
    /// What correct clients saw.
    pub history: Vec<Moment>,
    /// The Byzantine clients.
    pub lying_clients: BTreeMap<u32, LyingClient>,
    clients: Vec<Client>,
    /// The digest of each lane's last request.
    asked: BTreeMap<(u32, u16), Digest>,
    liars: BTreeMap<usize, Liar>,
    faulty: BTreeSet<usize>,
    mode: Mode,
    sent: BTreeSet<(Node, Node, u64)>,
    files: BTreeMap<usize, Memory>,
    most: Footprint,
    keys: Arc<Keys>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// What a replica gives a peer between two ticks: a few certificates, so that the bound matters where messages are small.
const HELP_BYTES_MAX: usize = 32 * 1024;

/// The parameters of one replica of a simulated cluster: small windows and short patience, so that all rules matter often.
#[must_use]
pub fn params(plan: &Plan, membership: Membership, replica: ReplicaId) -> Params {
    let mut params = Params::new(replica, membership, Digest([0x51; 32]));
    (params.checkpoint_interval, params.window, params.pipeline) =
        (plan.interval, 3 * plan.interval, 4);
    (params.batch_requests_max, params.operation_bytes_max, params.lanes_max) = (3, 64, 4);
    params.view_timeout = Duration::from_millis(400);
    params.view_timeout_max = Duration::from_millis(6400);
    params.status_interval = Duration::from_millis(150);
    params.help_bytes_max = HELP_BYTES_MAX;
    params.client_authentication = plan.authentication;
    plan.tuning.iter().for_each(|tuning| tuning.apply(&mut params));
    params
}

/// How long correct clients wait.
pub const PATIENCE: Patience =
    Patience { first: Duration::from_millis(250), max: Duration::from_millis(2000) };

impl World {
    /// The world of a plan, before its first event. Nothing runs yet: see [`World::boot`].
    pub fn new(plan: &Plan, mode: Mode) -> Result<Self, pbft_core::membership::MembershipError> {
        let membership = Membership::new(plan.n)?;
        let faulty: BTreeSet<usize> = plan.faulty().into_iter().collect();
        let liars = faulty.iter().map(|host| Principal::Replica(ReplicaId(*host as u32)));
        let liars =
            liars.chain(plan.lying_clients.keys().map(|id| Principal::Client(ClientId(*id))));
        let allowed = CLIENTS.max(plan.clients + plan.lying_clients.len() as u32);
        let keys = match mode.replay {
            true => Keys::remembering(plan.scheme, plan.seed, (plan.n, allowed), liars.collect()),
            false => Keys::new(plan.scheme, plan.seed, plan.n, allowed),
        };
        let keys = keys.authenticating(plan.authentication);
        let verifier = keys.verifier();
        let params_of = |id: u32| Arc::new(params(plan, membership, ReplicaId(id)));
        let ids = (0..plan.n as usize).chain(plan.twins.iter().copied());
        let mut files = BTreeMap::new();
        let mut hosts = Vec::new();
        for (index, id) in ids.enumerate() {
            let recorded = mode.record && !faulty.contains(&id);
            let file = recorded.then(|| files.entry(index).or_insert_with(Memory::default).clone());
            let signer = keys.signer(Principal::Replica(ReplicaId(id as u32)));
            let verifier = keys.verifier_of(Some(ReplicaId(id as u32)));
            let params = params_of(id as u32);
            let disk = match plan.stored {
                true => Disk::with_store(params.cluster, params.replica),
                false => Disk::default(),
            };
            hosts.push(Process::new(params, (signer, verifier), disk, file));
        }
        let client = |process: u32| {
            let is_copy = plan.copied_client && process + 1 == plan.clients;
            let id = if is_copy { 0 } else { process };
            let keys = (keys.signer(Principal::Client(ClientId(id))), Arc::clone(&verifier));
            let patience = plan.tuning.map_or(PATIENCE, |tuning| tuning.patience());
            Client::new((id, process), params_of(0), keys, patience)
        };
        let rng = Rng::new(plan.seed);
        let lying_client = |(id, lies): (&u32, &Vec<_>)| {
            let signer = keys.signer(Principal::Client(ClientId(*id)));
            let rng = rng.fork(&format!("client {id}"));
            (*id, LyingClient::new(*id, lies.clone(), params_of(0), signer, rng))
        };
        let liar = |(host, behaviours): (&usize, &Vec<_>)| {
            let signer = keys.signer(Principal::Replica(ReplicaId(*host as u32)));
            let rng = rng.fork(&format!("liar {host}"));
            let liar = Liar::new(behaviours.clone(), params_of(*host as u32), signer, rng);
            (*host, if plan.tuning.is_some() { liar.steady() } else { liar })
        };
        let mut faulty = faulty;
        faulty.extend(plan.n as usize..hosts.len());
        let excess = plan.faulty().len() > membership.faults();
        Ok(Self {
            output: Vec::new(),
            oracle: Oracle::new(plan.lying_clients.keys().copied().collect(), excess),
            coverage: Coverage::default(),
            sightings: None,
            history: Vec::new(),
            lying_clients: plan.lying_clients.iter().map(lying_client).collect(),
            clients: (0..plan.clients).map(client).collect(),
            asked: BTreeMap::new(),
            liars: plan.liars.iter().map(liar).collect(),
            most: Footprint::most(&params_of(0), allowed as usize),
            hosts,
            faulty,
            mode,
            sent: BTreeSet::new(),
            files,
            keys,
        })
    }

    /// Starts all processes.
    pub fn boot(&mut self) {
        for host in 0..self.hosts.len() {
            self.apply(&Event::Start { host });
        }
    }

    /// Whether this process may do anything.
    #[must_use]
    pub fn is_faulty(&self, host: usize) -> bool {
        self.faulty.contains(&host)
    }

    /// The correct processes.
    pub fn correct(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.hosts.len()).filter(|host| !self.is_faulty(*host))
    }

    /// Whether a client waits for a result.
    #[must_use]
    pub fn is_busy(&self, client: u32, lane: u16) -> bool {
        self.clients.get(client as usize).is_some_and(|one| one.is_busy(lane))
    }

    /// The recordings of the correct replicas that have any.
    #[must_use]
    pub fn recordings(&self) -> Vec<(usize, Vec<u8>)> {
        self.files.iter().map(|(host, file)| (*host, file.bytes())).collect()
    }

    /// What was appended to a correct replica's recording after its first `from` bytes.
    #[must_use]
    pub fn recorded_since(&self, host: usize, from: usize) -> Vec<u8> {
        self.files.get(&host).map(|file| file.since(from)).unwrap_or_default()
    }

    /// All processes end in order.
    pub fn stop(&mut self) {
        self.hosts.iter_mut().for_each(Process::stop);
        for (host, liar) in &self.liars {
            let _ = host;
            liar.acted.iter().for_each(|(one, times)| self.coverage.behaviour(*one, *times));
        }
    }

    /// Makes an event happen. False if it cannot happen here: a timer that does not run, a frame that was never sent, a
    /// process that is down already.
    pub fn apply(&mut self, event: &Event) -> bool {
        match event {
            Event::Deliver { from, to, frame } => self.deliver(*from, *to, frame),
            Event::Submit { client, lane, timestamp, operation } => {
                let Some(one) = self.clients.get_mut(*client as usize) else { return false };
                let answer = one.submit(*lane, *timestamp, *operation);
                let Some(request) = &answer.requested else { return false };
                self.oracle.on_request(&request.body);
                let id = super::event::RequestId::of(&request.body);
                self.asked.insert((*client, *lane), request.body.digest());
                let own = super::event::RequestId { client: *client, ..id };
                self.history.push(Moment::Invoked(own, *operation));
                self.on_answer(*client, *lane, answer);
                true
            }
            Event::ClientTimer { client, lane } => {
                let Some(one) = self.clients.get_mut(*client as usize) else { return false };
                let answer = one.timeout(*lane);
                let happened = answer.timer.is_some();
                self.on_answer(*client, *lane, answer);
                happened
            }
            _ => event.host().is_some_and(|host| self.on_host(host, event)),
        }
    }

    fn on_host(&mut self, index: usize, event: &Event) -> bool {
        if self.mode.replay && (self.liars.contains_key(&index) || index >= self.hosts.len()) {
            return false;
        }
        let Some(host) = self.hosts.get_mut(index) else { return false };
        match event {
            Event::Timer { timer, .. } => {
                let alarm = Alarm::from(*timer);
                let is_status = alarm == Alarm::Replica(Timer::Status);
                let must_run = is_status || alarm == Alarm::PutOff;
                let is_up = host.replica().is_some();
                if !is_up || (must_run && !host.is_running(alarm)) {
                    return false;
                }
                self.with_host(index, |host, watch| host.alarm(alarm, watch));
                if is_status {
                    self.speak_up(index, None);
                }
            }
            // Nobody asks a replica that is between views: it would get further ahead than its timer may take it.
            Event::Suspect { .. } if host.replica().is_some_and(|r| r.status().active) => {
                self.input(index, Input::Suspect);
            }
            Event::Synced { .. } if host.is_writing() => self.with_host(index, Process::synced),
            Event::Start { .. } => {
                if host.replica().is_some() {
                    return false;
                }
                let had_halted = matches!(host.down(), Some(Down::Halted(_)));
                self.with_host(index, Process::start);
                if had_halted {
                    self.coverage.halted_starts += 1;
                    if self.hosts[index].replica().is_some() {
                        self.oracle.on_unhalted(index);
                    }
                }
            }
            Event::Crash { tail, .. } if host.replica().is_some() => {
                host.crash(Down::Crashed, *tail);
                self.output.push(Output::Ended { host: index });
            }
            Event::Arm { boundary, .. } => host.arm(*boundary),
            Event::SlowDisk { slow, .. } => host.set_slow_disk(*slow),
            Event::DiskFull { full, .. } => host.disk_mut().set_full(*full),
            Event::SyncFails { fails, .. } => host.disk_mut().set_sync_fails(*fails),
            Event::DiskLies { .. } => host.disk_mut().begin_to_lie(),
            Event::Flip { bit, .. } if host.replica().is_none() => {
                return host.disk_mut().flip(*bit);
            }
            Event::Wipe { .. } if host.replica().is_none() => host.disk_mut().wipe(),
            Event::Diverge { .. } => host.diverge(),
            _ => return false,
        }
        true
    }

    /// Lets a process work, and takes what it did further.
    fn with_host(&mut self, index: usize, work: impl FnOnce(&mut Process, &mut Watch<'_>) -> Done) {
        let watched = !self.faulty.contains(&index);
        let host = &mut self.hosts[index];
        self.oracle.current = host.id;
        let oracle = watched.then_some(&mut self.oracle);
        let mut sightings = self.sightings.as_mut().filter(|_| watched);
        if let Some(sightings) = &mut sightings {
            sightings.current = index;
        }
        let mut watch =
            Watch { oracle, coverage: &mut self.coverage, sightings: sightings.as_deref_mut() };
        let done = work(host, &mut watch);
        if let Some(sightings) = sightings {
            sightings.on_event(index, host.replica());
        }
        if watched && let Some(replica) = host.replica() {
            if host.is_settled() {
                self.oracle.on_settled();
            }
            let beyond = replica.footprint().beyond(&self.most);
            if let Some((what, got, most)) = beyond {
                let id = host.id;
                self.oracle
                    .accuse(Rule::Memory, || format!("{id} holds {got} {what}, at most {most}"));
            }
        }
        let (is_down, is_writing) = (host.replica().is_none(), host.is_writing());
        self.emit(index, done);
        if is_down {
            self.output.push(Output::Ended { host: index });
        }
        if is_writing {
            self.output.push(Output::Writing { host: index });
        }
    }

    fn input(&mut self, index: usize, input: Input) {
        self.with_host(index, |host, watch| host.input(input, watch));
    }

    fn deliver(&mut self, from: Node, to: Node, frame: &Arc<[u8]>) -> bool {
        if self.mode.replay && !self.may_arrive(from, to, frame) {
            return false;
        }
        match (from, to) {
            (Node::Host(sender), Node::Client(client)) => {
                let id = self.hosts[sender].id;
                let Some(one) = self.clients.get_mut(client as usize) else { return false };
                let answer = one.hear(id, frame);
                let done = answer.done.as_ref().map(|(id, _)| id);
                let id = done.or(answer.spent.as_ref().map(|(id, ..)| id));
                let lane = id.map_or(0, |id| id.lane.0);
                self.on_answer(client, lane, answer);
                true
            }
            (_, Node::Host(index)) => self.deliver_to_host(from, index, frame),
            (Node::Client(_), Node::Client(_)) => false,
        }
    }

    fn deliver_to_host(&mut self, from: Node, index: usize, frame: &[u8]) -> bool {
        if self.hosts.get(index).is_none_or(|host| host.replica().is_none()) {
            return false;
        }
        if self.mode.replay && self.liars.contains_key(&index) {
            return false;
        }
        self.coverage.deliveries += 1;
        let (host, is_liar) = (&self.hosts[index], self.liars.contains_key(&index));
        let read = match from {
            Node::Host(sender) if is_liar => host.overhear(self.hosts[sender].id, frame),
            Node::Host(sender) => host.read(self.hosts[sender].id, frame),
            Node::Client(client) => host.read_client(self.id_of(client), frame),
        };
        let is_correct = !self.faulty.contains(&index);
        if is_correct {
            self.judge_admission(index, (from, frame), &read);
        }
        match read {
            Ok(admitted) => {
                let is_sifted = matches!((&admitted, from), (Admitted::SetAside, Node::Host(_)));
                self.coverage.votes_sifted += u64::from(is_correct && is_sifted);
                admitted.into_iter().for_each(|input| self.hear_and_input(index, input));
            }
            Err(Unread::Refused { reason, answer }) => {
                if is_correct {
                    self.coverage.refused(reason);
                }
                let Ok(frame) = codec::encode(&*answer) else { return true };
                self.send(Node::Host(index), from, Duration::ZERO, frame.into());
            }
            Err(Unread::Rejected(rejection) | Unread::NotVerified(rejection)) if is_correct => {
                self.coverage.rejected(&rejection);
            }
            Err(Unread::Rejected(_) | Unread::NotVerified(_) | Unread::Frame(_)) => {}
        }
        true
    }

    fn hear_and_input(&mut self, index: usize, input: Input) {
        let Some(liar) = self.liars.get_mut(&index) else {
            self.look_for_evidence(index, &input);
            return self.input(index, input);
        };
        let message: Option<Message> = match &input {
            Input::Message { message, .. } | Input::Request(message) => Some(message.get().clone()),
            _ => None,
        };
        let Some(message) = message else { return };
        if liar.hear(&message) {
            self.input(index, input);
        }
        self.speak_up(index, Some(&message));
    }

    /// A liar says what it likes.
    fn speak_up(&mut self, index: usize, heard: Option<&Message>) {
        let Some(liar) = self.liars.get_mut(&index) else { return };
        let utterances = liar.speak_up(heard);
        self.utter(index, utterances);
    }

    fn utter(&mut self, index: usize, utterances: Vec<Utterance>) {
        for Utterance { to, after, frame } in utterances {
            match to {
                Addressee::Client(client) => {
                    self.send(Node::Host(index), Node::Client(client.0), after, frame);
                }
                Addressee::Replica(id) => {
                    for to in self.processes_of(id) {
                        self.send(Node::Host(index), Node::Host(to), after, Arc::clone(&frame));
                    }
                }
            }
        }
    }

    /// A Byzantine replica has other strategies from now on; with none it behaves.
    pub fn set_behaviours(&mut self, host: usize, behaviours: Vec<Behaviour>) {
        if let Some(liar) = self.liars.get_mut(&host) {
            liar.set_behaviours(behaviours);
        }
    }

    fn processes_of(&self, id: ReplicaId) -> Vec<usize> {
        (0..self.hosts.len()).filter(|index| self.hosts[*index].id == id).collect()
    }

    /// Takes what a process did further: to the network, and to whoever keeps time.
    fn emit(&mut self, index: usize, done: Done) {
        let Done { said, timers, cut } = done;
        for (timer, after) in timers {
            self.output.push(Output::Timer { host: index, timer, after });
        }
        if let Some(liar) = self.liars.get_mut(&index) {
            if !self.mode.replay {
                let utterances = said.into_iter().flat_map(|one| liar.say(one.said)).collect();
                self.utter(index, utterances);
            }
            return;
        }
        let frames = said.into_iter().flat_map(|one| self.frames(index, one));
        let frames: Vec<_> = frames.take(cut.map_or(usize::MAX, usize::from)).collect();
        for (to, frame) in frames {
            self.send(Node::Host(index), to, Duration::ZERO, frame);
        }
    }
}
