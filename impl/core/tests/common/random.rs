//! Seeded disorder: messages lost, duplicated and reordered, replicas that crash and restart, clients that try again.

use super::{Cluster, Envelope, craft};
use pbft_core::Input;
use pbft_core::message::{Request, Signed};
use pbft_core::types::ClientId;
use std::sync::Arc;

/// A small random generator (splitmix64): the same numbers for the same seed, everywhere.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }
}

/// The client of the one request beyond those of the run, see [`heal`].
const NUDGE: ClientId = ClientId(super::keys::CLIENTS - 1);

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Disorder {
    pub loss: u64,
    pub crashes: u64,
    pub suspicion: u64,
    /// Whether f replicas stay down when everything else heals.
    pub dead: bool,
    /// Clients that submit requests until the end; each has one outstanding.
    pub clients: u32,
    pub requests_each: u64,
    pub steps: usize,
}

/// Clients that send their next request when f+1 replicas answered the one before.
pub struct Clients {
    outstanding: Vec<Arc<Signed<Request>>>,
    each: u64,
}

impl Clients {
    pub fn new(clients: u32, each: u64) -> Self {
        Self { outstanding: (0..clients).map(|client| craft::request(client, 1)).collect(), each }
    }

    /// Takes the replies in; true when all requests of all clients are answered.
    pub fn advance(&mut self, cluster: &Cluster) -> bool {
        let weak = cluster.params(0).membership.weak();
        for request in &mut self.outstanding {
            let body = request.body.clone();
            let answers =
                cluster.replies.iter().map(|reply| &reply.body).filter(|reply| {
                    (reply.client, reply.timestamp) == (body.client, body.timestamp)
                });
            let mut signers: Vec<_> = answers.map(|reply| reply.replica).collect();
            signers.sort();
            signers.dedup();
            if signers.len() >= weak && body.timestamp.0 <= self.each {
                *request = craft::request(body.client.0, body.timestamp.0 + 1);
            }
        }
        self.is_done()
    }

    pub fn is_done(&self) -> bool {
        self.outstanding.iter().all(|request| request.body.timestamp.0 > self.each)
    }

    /// The requests that are not answered yet.
    pub fn waiting(&self) -> Vec<Arc<Signed<Request>>> {
        let waits = |request: &&Arc<Signed<Request>>| request.body.timestamp.0 <= self.each;
        self.outstanding.iter().filter(waits).cloned().collect()
    }
}

/// Runs with disorder, then heals everything and demands that all requests are executed and all states equal.
pub fn run(n: u32, seed: u64, disorder: Disorder) -> Cluster {
    let mut cluster = Cluster::new(n);
    run_on(&mut cluster, seed, disorder);
    cluster
}

pub fn run_on(cluster: &mut Cluster, seed: u64, disorder: Disorder) {
    // These cost more than the run itself.
    cluster.compare_rejected = seed.is_multiple_of(16);
    cluster.compare_restarted = seed.is_multiple_of(8);
    let mut rng = Rng(seed);
    let mut clients = Clients::new(disorder.clients, disorder.requests_each);
    for step in 0..disorder.steps {
        if step % 16 == 0 {
            clients.advance(cluster);
        }
        step_once(cluster, &mut rng, &clients, disorder);
    }
    let faults = cluster.params(0).membership.faults();
    for _ in 0..if disorder.dead { faults } else { 0 } {
        let id = rng.below(cluster.nodes.len()) as u32;
        cluster.corrupt(id);
    }
    heal(cluster, &mut clients, seed, disorder.dead && disorder.crashes > 0);
}

fn step_once(cluster: &mut Cluster, rng: &mut Rng, clients: &Clients, disorder: Disorder) {
    let id = rng.below(cluster.nodes.len()) as u32;
    let is_correct = !cluster.byzantine.contains(&pbft_core::types::ReplicaId(id));
    match rng.below(1000) as u64 {
        roll if roll < disorder.crashes && is_correct => match cluster.is_up(id) {
            true => cluster.crash(id),
            false => cluster.restart(id),
        },
        roll if roll >= 990 && is_correct && !cluster.is_up(id) => cluster.restart(id),
        roll if roll >= 500 && roll < 500 + disorder.suspicion => {
            let _ = cluster.input(id, Input::Suspect);
        }
        roll if roll >= 980 => {
            let waiting = clients.waiting();
            if !waiting.is_empty() && cluster.is_up(id) {
                let _ = cluster.request(id, &waiting[rng.below(waiting.len())]);
            }
        }
        roll if roll >= 940 || cluster.queue.is_empty() => {
            cluster.fire_next_timer();
        }
        _ => deliver_some(cluster, rng, disorder.loss),
    }
}

/// Delivers, loses or repeats one of the first messages of the queue.
fn deliver_some(cluster: &mut Cluster, rng: &mut Rng, loss: u64) {
    let at = rng.below(cluster.queue.len().min(32));
    let Some(envelope) = cluster.queue.remove(at) else { return };
    if rng.percent(loss) {
        return;
    }
    if rng.percent(5) {
        cluster.queue.push_back(Envelope::clone(&envelope));
    }
    let _ = cluster.deliver(envelope);
}

/// From now on nothing is lost: everything must be executed everywhere within minutes of virtual time, and without a
/// further request. Only where restarts lost commit certificates, and f replicas that voted for them never come back, a
/// replica that went ahead to a view of its own may have to wait for the others to need it: `nudge` allows for one more
/// request after some time.
pub fn heal(cluster: &mut Cluster, clients: &mut Clients, seed: u64, nudge: bool) {
    for id in cluster.ids() {
        let is_correct = !cluster.byzantine.contains(&pbft_core::types::ReplicaId(id));
        if is_correct && !cluster.is_up(id) {
            cluster.restart(id);
        }
    }
    for round in 0..300 {
        let done = clients.advance(cluster);
        clients.waiting().iter().for_each(|request| cluster.request_all(request));
        cluster.pass(500);
        let nudged = cluster.replies.iter().any(|reply| reply.body.client == NUDGE);
        if done && is_settled(cluster) && (nudged || cluster.nudges == 0) {
            cluster.assert_equal();
            return;
        }
        if nudge && round == 200 {
            cluster.nudges = 1;
            cluster.request_all(&craft::request(NUDGE.0, 1));
        }
    }
    let states: Vec<_> =
        cluster.nodes.iter().map(|node| node.replica.as_ref().map(|r| r.status())).collect();
    panic!("seed {seed}: not healed, {} wait, {states:#?}", clients.waiting().len());
}

fn is_settled(cluster: &Cluster) -> bool {
    let up: Vec<_> = cluster.ids().filter(|id| cluster.is_up(*id)).collect();
    up.iter().all(|id| cluster.executed(*id) == cluster.executed(up[0]))
}
