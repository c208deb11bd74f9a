//! A cluster whose every message is in somebody's hands: who hears what and when is decided from outside.
//!
//! It is the simulator's [`World`]: the production core with its codec and recorder on a virtual clock, here without any
//! chance. Nothing arrives and no timer runs out unless it is told to.

mod moves;

use super::eyes::{Deed, Seen};
use super::letter::{Letter, Selector};
use super::speech::Speechless;
use super::words::{Ask, Kind};
use core::time::Duration;
use pbft_core::Membership;
use pbft_core::membership::MembershipError;
use pbft_core::message::{Request, Signed};
use pbft_core::types::{Principal, ReplicaId};
use pbft_host::Alarm;
use pbft_sim::bank::Accounts;
use pbft_sim::behaviour::Hand;
use pbft_sim::event::{Event, Node, RequestId};
use pbft_sim::fault::Plan;
use pbft_sim::keys::Keys;
use pbft_sim::rng::Rng;
use pbft_sim::world::{CLIENTS, Mode, World, params};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that a cluster in the lab is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The number of replicas, n.
    pub replicas: u32,
    /// Those that may say anything.
    pub byzantine: Vec<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { replicas: 4, byzantine: vec![3] }
    }
}

/// The lanes that the client uses for operations of the bank; the next one is for what is none.
const LANES: u16 = 3;

/// The most messages that one command delivers.
const DELIVERIES_MAX: usize = 20_000;

/// A request of the client.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What for.
    pub ask: Ask,
    /// Its names.
    pub id: RequestId,
    /// As the client signed it.
    pub signed: Signed<Request>,
    /// Who answered what.
    pub replies: BTreeMap<u32, Arc<[u8]>>,
    /// The answer that the client accepted.
    pub answer: Option<Arc<[u8]>>,
}

/// One thing that happened, for whoever tells the story.
#[derive(Clone, Debug)]
pub enum Act {
    /// A message arrived, or was lost at a replica that is down.
    Arrived(usize),
    /// A timer ran out.
    TimedOut(Node, &'static str),
    /// A process ended.
    Ended(usize),
    /// A process started.
    Started(usize),
    /// A message was sent.
    Sent(usize),
    /// A message was dropped.
    Dropped(usize),
    /// A replica did something.
    Did(usize, Deed),
    /// A message was refused before the core saw it.
    Unread(usize, Kind, String),
    /// The client accepted an answer to the request with this number.
    Answered(usize),
}

/// Why a command cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such cluster.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// No such replica.
    #[error("there is no replica {0}; replicas are 0 to {1}")]
    NoReplica(usize, u32),
    /// No message with this number is under way.
    #[error("no message {0} is under way; `list` shows those that are")]
    NoLetter(usize),
    /// No such request.
    #[error("there is no request {0}; the client has made {1}")]
    NoRequest(usize, usize),
    /// The client waits on all lanes.
    #[error("the client waits for {LANES} answers already; `deliver` or `run 5s` first")]
    Busy,
    /// A correct replica was told to lie.
    #[error(
        "replica {0} is correct and says what the protocol says; use `withhold` or `drop`, or begin with `new 4 \
         byzantine {0}`"
    )]
    Correct(usize),
    /// It cannot say that.
    #[error("replica {0} cannot say that: {1}")]
    Speechless(usize, Speechless),
    /// It runs, or does not.
    #[error("replica {0} {1}")]
    State(usize, &'static str),
    /// Messages without end.
    #[error("{DELIVERIES_MAX} messages, and no end; `undo`, and deliver less at once")]
    NoEnd,
}

/// A cluster in somebody's hands.
pub struct Cluster {
    /// What it is made of.
    pub setup: Setup,
    /// The virtual clock.
    pub now: Duration,
    /// All messages ever sent; number `i` stands at `i − 1`.
    pub letters: Vec<Letter>,
    /// The client's requests; number `i` stands at `i − 1`.
    pub asked: Vec<Asked>,
    /// What is held.
    pub held: Vec<Selector>,
    /// What is known of each correct replica.
    pub seen: BTreeMap<usize, Seen>,
    /// Everything that happened.
    pub acts: Vec<Act>,
    world: World,
    keys: Arc<Keys>,
    plan: Plan,
    hands: BTreeMap<usize, Hand>,
    under_way: Vec<usize>,
    timers: BTreeMap<(usize, Alarm), Duration>,
    client_timers: BTreeMap<u16, Duration>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("setup", &self.setup).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster whose replicas have just started.
    pub fn new(setup: Setup) -> Result<Self, Problem> {
        let membership = Membership::new(setup.replicas)?;
        if let Some(outside) = setup.byzantine.iter().find(|id| **id >= setup.replicas as usize) {
            return Err(Problem::NoReplica(*outside, setup.replicas - 1));
        }
        let mut plan = Plan::calm(1, setup.replicas);
        (plan.clients, plan.submissions) = (1, Vec::new());
        plan.liars = setup.byzantine.iter().map(|host| (*host, Vec::new())).collect();
        let world = World::new(&plan, Mode { record: true, replay: false })?;
        let keys = Keys::new(plan.scheme, plan.seed, plan.n, CLIENTS);
        let hand = |host: &usize| {
            let id = ReplicaId(*host as u32);
            let params = Arc::new(params(&plan, membership, id));
            (*host, Hand::new(params, keys.signer(Principal::Replica(id)), Rng::new(1)))
        };
        let hands = setup.byzantine.iter().map(hand).collect();
        let correct = (0..setup.replicas as usize).filter(|host| !setup.byzantine.contains(host));
        let mut cluster = Self {
            now: Duration::ZERO,
            letters: Vec::new(),
            asked: Vec::new(),
            held: Vec::new(),
            seen: correct.map(|host| (host, Seen::new(host as u32))).collect(),
            acts: Vec::new(),
            world,
            keys,
            plan,
            hands,
            under_way: Vec::new(),
            timers: BTreeMap::new(),
            client_timers: BTreeMap::new(),
            setup,
        };
        for host in 0..cluster.setup.replicas as usize {
            cluster.apply(&Event::Start { host });
        }
        cluster.acts.clear();
        Ok(cluster)
    }

    /// The simulator's plan of it.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The world below.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Who belongs to it.
    #[must_use]
    pub fn membership(&self) -> Membership {
        self.world.hosts[0].params().membership
    }

    /// All replicas.
    #[must_use]
    pub fn replicas(&self) -> std::ops::Range<usize> {
        0..self.setup.replicas as usize
    }

    /// Whether it may say anything.
    #[must_use]
    pub fn is_byzantine(&self, host: usize) -> bool {
        self.setup.byzantine.contains(&host)
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_up(&self, host: usize) -> bool {
        self.world.hosts[host].replica().is_some()
    }

    /// The accounts on its disk.
    #[must_use]
    pub fn accounts(&self, host: usize) -> &Accounts {
        &self.world.hosts[host].disk().image().accounts
    }

    /// The last batch on its disk.
    #[must_use]
    pub fn executed(&self, host: usize) -> u64 {
        self.world.hosts[host].disk().image().executed.0
    }

    /// The number of a request.
    #[must_use]
    pub fn request_number(&self, id: RequestId) -> Option<usize> {
        self.asked.iter().position(|asked| asked.id == id).map(|at| at + 1)
    }

    /// The messages under way, in the order in which they were sent.
    pub fn under_way(&self) -> impl Iterator<Item = &Letter> {
        self.under_way.iter().map(|number| &self.letters[number - 1])
    }

    /// Whether a message is held.
    #[must_use]
    pub fn is_held(&self, letter: &Letter) -> bool {
        !letter.told && self.held.iter().any(|rule| rule.fits(letter))
    }

    /// Ends all recordings in order.
    pub fn stop(&mut self) {
        self.world.stop();
    }

    /// Checks that these replicas are there.
    pub fn check(&self, hosts: &[usize]) -> Result<(), Problem> {
        match hosts.iter().find(|host| !self.replicas().contains(host)) {
            Some(outside) => Err(Problem::NoReplica(*outside, self.setup.replicas - 1)),
            None => Ok(()),
        }
    }

    /// The accounts that anybody has.
    #[must_use]
    pub fn open_accounts(&self) -> BTreeSet<u8> {
        self.replicas()
            .flat_map(|host| self.accounts(host).iter().map(|(account, _)| account))
            .collect()
    }
}
