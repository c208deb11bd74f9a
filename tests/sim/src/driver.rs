//! A run: a world on a virtual clock, with a network and a plan of faults.
//!
//! Until [`Plan::heal_at`] anything goes, and only safety is asked for. Then everything that can be healed is: the network
//! delivers, processes start, disks work; liars go on lying. From there the run must converge within [`bound`]: every
//! correct replica has executed the same, and every correct client has its answers.

mod faults;

use super::event::{Event, Node};
use super::fault::{Plan, Submission};
use super::level::{self, Frontiers};
use super::network::Network;
use super::oracle::Rule;
use super::rng::Rng;
use super::traffic::Traffic;
use super::world::{Mode, Output, World};
use core::time::Duration;
use pbft_core::types::SeqNum;
use pbft_core::{Membership, Params};
use pbft_host::Alarm;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// How often a run looks whether it has converged.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// How often a Byzantine client speaks.
const LIE_EVERY: Duration = Duration::from_millis(120);

/// The most time that a slow disk takes to sync.
const SYNC_MAX: Duration = Duration::from_millis(40);

/// The most events of a run: one that comes to so many floods itself.
const EVENTS_MAX: u64 = 2_000_000;

/// How long a run may take from when it is healed until it has converged: the patience of a replica has grown to its
/// maximum, and f+1 views may fail, each of which costs that much, for the view change and for the first request in it.
#[must_use]
pub fn bound(plan: &Plan) -> Duration {
    let Ok(membership) = Membership::new(plan.n) else { return Duration::ZERO };
    params(plan, membership).view_timeout_max * 2 * (membership.weak() as u32 + 1)
}

/// The parameters of a run's first replica; all have the same times.
fn params(plan: &Plan, membership: Membership) -> Params {
    super::world::params(plan, membership, pbft_core::types::ReplicaId(0))
}

/// Something that will happen.
#[derive(Debug)]
enum Pending {
    Event(Event),
    Timer { host: usize, timer: Alarm, generation: u64 },
    ClientTimer { client: u32, lane: u16, generation: u64 },
    Submit { client: u32, lane: u16 },
    Lie(u32),
    Begin(usize),
    End(usize),
    Heal,
    Check,
}

/// A moment of the run with what happens then. Of two at the same time the one that was planned first comes first.
#[derive(Debug)]
struct Due {
    at: Duration,
    number: u64,
    what: Pending,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A run under way.
pub struct Run {
    /// The cluster.
    pub world: World,
    /// Everything that happened, with its time, if it is kept.
    pub events: Vec<(Duration, Event)>,
    /// The virtual time.
    pub now: Duration,
    /// When the run had converged, from when it was healed.
    pub converged: Option<Duration>,
    /// What keeps the run from being level, if the correct replicas keep up without it: see [`super::level`].
    pub trailing: Option<String>,
    /// What went over the wire; counted in experiments only.
    pub traffic: Traffic,
    plan: Plan,
    keep: bool,
    queue: BinaryHeap<Reverse<Due>>,
    planned: u64,
    happened: u64,
    network: Network,
    rng: Rng,
    timers: BTreeMap<(usize, Alarm), u64>,
    client_timers: BTreeMap<(u32, u16), u64>,
    scripts: BTreeMap<(u32, u16), VecDeque<Submission>>,
    timestamps: BTreeMap<(u32, u16), u64>,
    /// What each lane has asked for last.
    asked: BTreeMap<(u32, u16), Submission>,
    frontiers: Frontiers,
    healed: bool,
    over: bool,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("seed", &self.plan.seed)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// A run of `plan`, before anything has happened.
    pub fn new(
        plan: &Plan,
        mode: Mode,
        keep: bool,
    ) -> Result<Self, pbft_core::membership::MembershipError> {
        let world = World::new(plan, mode)?;
        let rng = Rng::new(plan.seed).fork("run");
        let status_interval = params(plan, Membership::new(plan.n)?).status_interval;
        let mut run = Self {
            world,
            events: Vec::new(),
            now: Duration::ZERO,
            converged: None,
            trailing: None,
            traffic: Traffic::default(),
            keep,
            queue: BinaryHeap::new(),
            planned: 0,
            happened: 0,
            network: Network::new(plan, rng.fork("network")),
            rng,
            timers: BTreeMap::new(),
            client_timers: BTreeMap::new(),
            scripts: BTreeMap::new(),
            timestamps: BTreeMap::new(),
            asked: BTreeMap::new(),
            frontiers: Frontiers::new(status_interval),
            healed: false,
            over: false,
            plan: plan.clone(),
        };
        run.begin();
        Ok(run)
    }

    fn begin(&mut self) {
        for submission in self.plan.submissions.clone() {
            self.scripts
                .entry((submission.client, submission.lane))
                .or_default()
                .push_back(submission);
        }
        (0..self.world.hosts.len()).for_each(|host| self.happen(Event::Start { host }));
        for (client, lane) in self.scripts.keys().copied().collect::<Vec<_>>() {
            self.plan_submission(client, lane);
        }
        for client in self.plan.lying_clients.keys().copied().collect::<Vec<_>>() {
            self.at(LIE_EVERY, Pending::Lie(client));
        }
        for (index, fault) in self.plan.faults.clone().iter().enumerate() {
            self.at(fault.from, Pending::Begin(index));
            self.at(fault.until.min(self.plan.heal_at), Pending::End(index));
        }
        self.at(self.plan.heal_at, Pending::Heal);
    }

    fn at(&mut self, at: Duration, what: Pending) {
        self.planned += 1;
        self.queue.push(Reverse(Due { at, number: self.planned, what }));
    }

    fn plan_submission(&mut self, client: u32, lane: u16) {
        let next = self.scripts.get(&(client, lane)).and_then(VecDeque::front);
        if let Some(next) = next {
            self.at(self.now + next.think, Pending::Submit { client, lane });
        }
    }

    /// Goes on to the end: a violation, convergence, or the bound.
    pub fn finish(&mut self) {
        while self.step() {}
        self.world.stop();
    }

    /// Makes the next thing happen. False at the end.
    pub fn step(&mut self) -> bool {
        if self.over || self.world.oracle.violation.is_some() {
            return false;
        }
        let Some(Reverse(due)) = self.queue.pop() else { return false };
        self.now = self.now.max(due.at);
        match due.what {
            Pending::Event(event) => {
                match event.host().and_then(|host| self.network.paused_until(host)) {
                    Some(until) if until > self.now => self.at(until, Pending::Event(event)),
                    _ => self.happen(event),
                }
            }
            Pending::Timer { host, timer, generation } => self.timer(host, timer, generation),
            Pending::ClientTimer { client, lane, generation } => {
                if self.client_timers.get(&(client, lane)) == Some(&generation) {
                    self.happen(Event::ClientTimer { client, lane });
                }
            }
            Pending::Submit { client, lane } => self.submit(client, lane),
            Pending::Lie(client) => self.lie(client),
            Pending::Begin(index) => self.begin_fault(index),
            Pending::End(index) => self.end_fault(index),
            Pending::Heal => self.heal(),
            Pending::Check => self.check(),
        }
        !self.over
    }

    fn timer(&mut self, host: usize, timer: Alarm, generation: u64) {
        if self.timers.get(&(host, timer)) != Some(&generation) {
            return;
        }
        match self.network.paused_until(host) {
            Some(until) if until > self.now => {
                self.at(until, Pending::Timer { host, timer, generation })
            }
            _ => self.happen(Event::Timer { host, timer: timer.into() }),
        }
    }

    fn submit(&mut self, client: u32, lane: u16) {
        if self.world.is_busy(client, lane) {
            return;
        }
        let next = self.scripts.get_mut(&(client, lane)).and_then(VecDeque::pop_front);
        let Some(next) = next else { return };
        self.asked.insert((client, lane), next);
        let operation = next.operation;
        let timestamp = self.timestamps.entry((client, lane)).or_default();
        *timestamp += 1;
        let timestamp = *timestamp;
        self.happen(Event::Submit { client, lane, timestamp, operation });
    }

    fn lie(&mut self, client: u32) {
        let lies = self.world.lying_clients.get(&client).map(|one| one.lies.clone());
        lies.iter().flatten().for_each(|lie| {
            *self.world.coverage.behaviours.entry(lie.name().to_owned()).or_default() += 1;
        });
        self.world.client_lies(client);
        self.take_output();
        self.at(self.now + LIE_EVERY, Pending::Lie(client));
    }

    /// Applies an event, and plans what follows from it.
    fn happen(&mut self, event: Event) {
        self.happened += 1;
        let most = self.plan.tuning.map_or(EVENTS_MAX, |tuning| tuning.events_max);
        if self.happened > most {
            self.world.oracle.accuse(Rule::Progress, || format!("{most} events, and no end"));
            self.over = true;
            return;
        }
        let happened = self.world.apply(&event);
        if self.keep && happened {
            self.events.push((self.now, event));
        }
        self.take_output();
    }

    fn take_output(&mut self) {
        for output in std::mem::take(&mut self.world.output) {
            match output {
                Output::Frame { from, to, after, frame } => {
                    if self.plan.tuning.is_some() {
                        self.traffic.count(from, to, &frame);
                    }
                    let leaves = self.now + after;
                    for arrives in self.network.arrivals(leaves, from, to) {
                        let frame = frame.clone();
                        self.at(arrives, Pending::Event(Event::Deliver { from, to, frame }));
                    }
                }
                Output::Timer { host, timer, after } => {
                    let generation = self.timers.entry((host, timer)).or_default();
                    *generation += 1;
                    let generation = *generation;
                    if let Some(after) = after {
                        let at = self.now + self.network.skewed(host, after);
                        self.at(at, Pending::Timer { host, timer, generation });
                    }
                }
                Output::ClientTimer { client, lane, after } => {
                    let generation = self.client_timers.entry((client, lane)).or_default();
                    *generation += 1;
                    let generation = *generation;
                    if let Some(after) = after {
                        self.at(
                            self.now + after,
                            Pending::ClientTimer { client, lane, generation },
                        );
                    }
                }
                Output::Answered { client, lane } => self.plan_submission(client, lane),
                Output::Spent { client, lane, last, again } => {
                    self.on_spent(client, lane, last, again);
                }
                Output::Writing { host } => {
                    let at = self.now + self.rng.span(Duration::from_millis(1), SYNC_MAX);
                    self.at(at, Pending::Event(Event::Synced { host }));
                }
                Output::Ended { host } => {
                    let of_host = |((of, _), _): &(&(usize, Alarm), &mut u64)| *of == host;
                    let generations = self.timers.iter_mut().filter(of_host);
                    generations.for_each(|(_, generation)| *generation += 1);
                }
            }
        }
    }

    /// A request gets no result: its client goes on above the last timestamp, with the same operation if it was not
    /// executed.
    fn on_spent(&mut self, client: u32, lane: u16, last: u64, again: bool) {
        let timestamp = self.timestamps.entry((client, lane)).or_default();
        *timestamp = last.max(*timestamp);
        let asked = self.asked.get(&(client, lane)).copied().filter(|_| again);
        if let Some(submission) = asked {
            self.scripts.entry((client, lane)).or_default().push_front(submission);
        }
        self.plan_submission(client, lane);
    }

    fn check(&mut self) {
        let since = self.now.saturating_sub(self.plan.heal_at);
        // A process whose crash was still to come when the run was healed ends after it: it starts again.
        for host in 0..self.world.hosts.len() {
            if !self.world.is_faulty(host) && self.world.hosts[host].replica().is_none() {
                self.happen(Event::Start { host });
            }
        }
        let frontier = self.world.oracle.frontier();
        self.frontiers.saw(self.now, frontier);
        match self.obstacle(frontier) {
            None => {
                self.converged = Some(since);
                self.over = true;
            }
            Some(obstacle) if since >= bound(&self.plan) => {
                self.over = true;
                self.judge_laggards(since, obstacle);
            }
            Some(_) => self.at(self.now + CHECK_EVERY, Pending::Check),
        }
    }

    /// The bound is over, and the run is not level for `obstacle`: it may be that some replicas only trail.
    fn judge_laggards(&mut self, since: Duration, obstacle: String) {
        match self.obstacle(self.frontiers.owed()) {
            None => self.trailing = Some(obstacle),
            Some(obstacle) => self.world.oracle.accuse(Rule::Progress, || {
                format!("{:.1} s after everything was healed, {obstacle}", since.as_secs_f64())
            }),
        }
    }

    /// What is still missing to convergence, if correct replicas must have executed all up to `owed`.
    fn obstacle(&self, owed: SeqNum) -> Option<String> {
        let waiting = self.scripts.iter().find(|((client, lane), script)| {
            !script.is_empty() || self.world.is_busy(*client, *lane)
        });
        if let Some(((client, lane), _)) = waiting {
            return Some(format!("client {client} waits for an answer on lane {lane}"));
        }
        for host in self.world.correct() {
            let Some(replica) = self.world.hosts[host].replica() else {
                return Some(format!(
                    "replica {host} is down: {:?}",
                    self.world.hosts[host].down()
                ));
            };
            let executed = replica.status().last_executed;
            if executed < owed {
                return Some(format!("replica {host} has executed {executed}, another one {owed}"));
            }
        }
        level::stray(&self.world)
    }
}

/// Whether a node is a replica's process.
#[must_use]
pub const fn host_of(node: Node) -> Option<usize> {
    match node {
        Node::Host(host) => Some(host),
        Node::Client(_) => None,
    }
}
