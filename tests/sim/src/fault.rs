//! What goes wrong in a run: drawn from the seed before the run, as a list from which single faults can be left out.

use super::bank::Operation;
use super::behaviour::Behaviour;
use super::client::ClientLie;
use super::disk::Tail;
use super::event::Boundary;
use super::keys::Scheme;
use super::rng::Rng;
use super::tuning::Tuning;
use core::time::Duration;
use pbft_core::Membership;
use pbft_core::params::ClientAuthentication;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? } = $text:literal,)*) => {
        /// A kind of fault. Hosts are processes, by position.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultKind {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $type),* },)*
        }

        impl FaultKind {
            /// The names of all kinds.
            pub const NAMES: &'static [&'static str] = &[$($text),*];

            /// Its name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => $text,)* }
            }
        }
    };
}

kinds! {
    /// The hosts of one side and the others do not hear each other.
    Partition {
        /// One side.
        side: Vec<usize>,
    } = "partition",
    /// One direction between two hosts is cut.
    OneWay {
        /// Who is not heard.
        from: usize,
        /// By whom.
        to: usize,
    } = "one-way",
    /// Each host is heard by the next one only.
    Ring {} = "ring",
    /// Frames are lost.
    Loss {
        /// Of a hundred.
        percent: u8,
    } = "loss",
    /// Frames arrive twice.
    Duplicate {
        /// Of a hundred.
        percent: u8,
    } = "duplicate",
    /// Frames overtake each other.
    Reorder {
        /// By how much time.
        by: Duration,
    } = "reorder",
    /// A host's frames come late.
    SlowLink {
        /// Whose.
        host: usize,
        /// How late.
        by: Duration,
    } = "slow-link",
    /// A process ends, and starts when the fault is over.
    Crash {
        /// Which.
        host: usize,
        /// What is left of an unsynced write.
        tail: Tail,
    } = "crash",
    /// A process ends at the next write, somewhere between the input and the last message.
    CrashAt {
        /// Which.
        host: usize,
        /// Where.
        boundary: Boundary,
    } = "crash-at",
    /// All processes end at once.
    PowerCut {
        /// What is left of unsynced writes.
        tail: Tail,
    } = "power-cut",
    /// A process does nothing; what arrives waits.
    Pause {
        /// Which.
        host: usize,
    } = "pause",
    /// A clock jumps: all timers run out at once, also those that are not set.
    ClockForward {
        /// Whose.
        host: usize,
    } = "clock-forward",
    /// A clock runs at another speed.
    ClockSkew {
        /// Whose.
        host: usize,
        /// Hundredths of the time that timers take.
        percent: u16,
    } = "clock-skew",
    /// Syncing takes time.
    SlowDisk {
        /// Whose disk.
        host: usize,
    } = "slow-disk",
    /// A disk is full; the process ends when it notices.
    DiskFull {
        /// Whose.
        host: usize,
    } = "disk-full",
    /// Syncing fails; the process ends when it notices.
    SyncFails {
        /// Whose disk.
        host: usize,
    } = "sync-fails",
    /// A bit of a disk changes while its process is down.
    Flip {
        /// Whose.
        host: usize,
        /// Which.
        bit: u64,
    } = "flip",
    /// A disk is lost.
    Wipe {
        /// Whose.
        host: usize,
    } = "wipe",
    /// A disk says that it synced, and does not, until the process ends.
    DiskLies {
        /// Whose.
        host: usize,
    } = "disk-lies",
    /// A service computes something else than the others'.
    Diverge {
        /// Whose.
        host: usize,
    } = "diverge",
    /// Somebody suspects the primary for no reason.
    Suspect {
        /// Where.
        host: usize,
    } = "suspect",
    /// A client hears no replies.
    DeafClient {
        /// Which.
        client: u32,
    } = "deaf-client",
}

/// A fault, from a moment to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When it begins.
    pub from: Duration,
    /// When it is over.
    pub until: Duration,
    /// What it is.
    pub kind: FaultKind,
}

/// An operation that a client is to submit, after those before it on its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The client.
    pub client: u32,
    /// Its lane.
    pub lane: u16,
    /// How long it waits after the result before.
    pub think: Duration,
    /// The operation.
    pub operation: Operation,
}

/// Everything that a run is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Selects delays, losses and what liars choose.
    pub seed: u64,
    /// The number of replicas.
    pub n: u32,
    /// The checkpoint interval, K.
    pub interval: u64,
    /// The number of correct clients.
    pub clients: u32,
    /// Byzantine replicas with their strategies.
    pub liars: BTreeMap<usize, Vec<Behaviour>>,
    /// Byzantine clients with their lies; their ids follow those of the correct ones.
    pub lying_clients: BTreeMap<u32, Vec<ClientLie>>,
    /// Replicas whose disks or services are allowed to fail for good; counted with the liars.
    pub broken: Vec<usize>,
    /// Whether the last correct client's process uses the first one's key, as one with a copied directory does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copied_client: bool,
    /// Replicas with a second process under the same key.
    pub twins: Vec<usize>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// What clients do.
    pub submissions: Vec<Submission>,
    /// The delay of a frame when nothing is wrong, at the least and at the most.
    pub delay: (Duration, Duration),
    /// When everything that can be healed is.
    pub heal_at: Duration,
    /// How signatures are made.
    #[serde(skip)]
    pub scheme: Scheme,
    /// Whether replicas have the node's store, on disks in memory that neither lie nor change.
    #[serde(skip)]
    pub stored: bool,
    /// What clients put on their requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub authentication: ClientAuthentication,
    /// What an experiment changes of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
}

fn is_default(authentication: &ClientAuthentication) -> bool {
    *authentication == ClientAuthentication::default()
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The accounts of the bank.
const ACCOUNTS: u64 = 4;

impl Plan {
    /// A plan without any fault.
    #[must_use]
    pub fn calm(seed: u64, n: u32) -> Self {
        let mut rng = Rng::new(seed).fork("submissions");
        Self {
            seed,
            n,
            interval: 4,
            clients: 3,
            liars: BTreeMap::new(),
            lying_clients: BTreeMap::new(),
            broken: Vec::new(),
            copied_client: false,
            twins: Vec::new(),
            faults: Vec::new(),
            submissions: submissions(&mut rng, 3, 48),
            delay: (ms(1), ms(10)),
            heal_at: ms(4000),
            scheme: Scheme::Fast,
            stored: false,
            authentication: ClientAuthentication::Signatures,
            tuning: None,
        }
    }

    /// A plan with everything that chance brings: up to f liars or broken replicas, faults of the network, of processes
    /// and of clocks for all.
    #[must_use]
    pub fn draw(seed: u64, n: u32) -> Self {
        let mut rng = Rng::new(seed).fork("plan");
        let mut plan = Self::calm(seed, n);
        plan.interval = 2 + rng.below(4);
        plan.heal_at = ms(3000 + rng.below(5000));
        plan.delay = (ms(1), ms(2 + rng.below(30)));
        plan.draw_links(seed);
        plan.draw_faulty(&mut rng);
        if rng.percent(40) {
            let mut lies = Vec::new();
            (0..1 + rng.below(3)).for_each(|_| lies.extend(rng.pick(ClientLie::ALL)));
            plan.lying_clients.insert(plan.clients, lies);
        }
        let count = 2 + rng.below(12);
        for _ in 0..count {
            let fault = plan.draw_fault(&mut rng);
            plan.faults.push(fault);
        }
        plan.faults.sort_by_key(|fault| fault.from);
        plan.draw_authentication(&mut Rng::new(seed).fork("authentication"));
        plan.copied_client = Rng::new(seed).fork("copied client").percent(15);
        plan.draw_sources(&mut Rng::new(seed).fork("sources"));
        plan.draw_repeats(&mut Rng::new(seed).fork("repeats"));
        plan
    }

    /// A plan in which a certain lie is told: each of a replica's and each of a client's lies takes its turn, and with
    /// each round the replica does. What else goes wrong is drawn; the other side may lie, too.
    #[must_use]
    pub fn lie(number: u64) -> Self {
        let mut plan = Self::draw(number, 4);
        let lies = (Behaviour::ALL.len() + ClientLie::ALL.len()) as u64;
        let (round, turn) = ((number / lies) as usize, (number % lies) as usize);
        let Some(behaviour) = Behaviour::ALL.get(turn) else {
            let lie = ClientLie::ALL[turn - Behaviour::ALL.len()];
            plan.lying_clients.insert(plan.clients, vec![lie]);
            return plan;
        };
        let breaks = |kind: &FaultKind| {
            use FaultKind::{DiskLies, Diverge, Flip, Wipe};
            matches!(kind, Flip { .. } | Wipe { .. } | DiskLies { .. } | Diverge { .. })
        };
        plan.faults.retain(|fault| !breaks(&fault.kind));
        plan.broken.clear();
        plan.liars = BTreeMap::from([(round % 4, vec![*behaviour])]);
        plan
    }

    /// In some runs the links are so long that what a request needs, five times one way, takes about as long as the
    /// first patience, or longer.
    fn draw_links(&mut self, seed: u64) {
        let mut rng = Rng::new(seed).fork("links");
        if rng.percent(4) {
            let least = 60 + rng.below(120);
            self.delay = (ms(least), ms(least + 1 + rng.below(20)));
        }
    }

    /// Who is faulty for good, and how.
    fn draw_faulty(&mut self, rng: &mut Rng) {
        let Ok(membership) = Membership::new(self.n) else { return };
        let mut hosts: Vec<usize> = (0..self.n as usize).collect();
        rng.shuffle(&mut hosts);
        // The first primaries are the most interesting liars.
        if rng.percent(50) {
            hosts.sort_by_key(|host| *host != 0);
        }
        for host in hosts.into_iter().take(membership.faults()) {
            match rng.below(10) {
                0 => {}
                1 | 2 => {
                    self.broken.push(host);
                    let bit = rng.below(1 << 20);
                    let kind = match rng.below(4) {
                        0 => FaultKind::Flip { host, bit },
                        1 => FaultKind::Wipe { host },
                        2 => FaultKind::DiskLies { host },
                        _ => FaultKind::Diverge { host },
                    };
                    let from = ms(rng.below(self.heal_at.as_millis() as u64));
                    self.faults.push(Fault { from, until: from + ms(500), kind });
                }
                _ => {
                    let mut behaviours = Vec::new();
                    for _ in 0..1 + rng.below(3) {
                        behaviours.extend(rng.pick(Behaviour::ALL));
                    }
                    self.liars.insert(host, behaviours);
                }
            }
        }
    }

    /// Some clusters take authenticators; in half of these some client spoils its own. Its lies and those of a replica
    /// that spoils others' come from a chance of their own: the other plans stay what they were.
    fn draw_authentication(&mut self, rng: &mut Rng) {
        if !rng.percent(25) {
            return;
        }
        self.authentication = ClientAuthentication::Macs;
        if rng.percent(50) {
            self.lying_clients.entry(self.clients).or_default().push(ClientLie::PoisonedTags);
        }
        if rng.percent(50)
            && let Some(behaviours) = self.liars.values_mut().next()
        {
            behaviours.push(Behaviour::SpoilTags);
        }
    }

    /// In some clusters a liar is a slow source of state, too: again by a chance of its own.
    fn draw_sources(&mut self, rng: &mut Rng) {
        if rng.percent(25)
            && let Some(behaviours) = self.liars.values_mut().next()
        {
            behaviours.push(Behaviour::Trickle);
        }
    }

    /// Some of the clients that lie repeat a request, too.
    fn draw_repeats(&mut self, rng: &mut Rng) {
        if rng.percent(15)
            && let Some(lies) = self.lying_clients.values_mut().next()
        {
            lies.push(ClientLie::RepeatRequest);
        }
    }

    pub(crate) fn draw_fault(&self, rng: &mut Rng) -> Fault {
        let heal_at = self.heal_at.as_millis() as u64;
        let from = ms(rng.below(heal_at));
        let until = from + ms(50 + rng.below(heal_at / 2));
        let n = u64::from(self.n);
        let host = rng.below(n) as usize;
        let tail = match rng.below(3) {
            0 => Tail::Lost,
            1 => Tail::Torn(rng.below(100) as u8),
            _ => Tail::Kept,
        };
        let boundary = match rng.below(4) {
            0 => Boundary::BeforeWrite,
            1 => Boundary::Written(tail),
            _ => Boundary::Sent(rng.below(n) as u8),
        };
        let kind = match rng.below(23) {
            0..=2 => {
                let mut side: Vec<usize> = (0..self.n as usize).collect();
                rng.shuffle(&mut side);
                side.truncate(1 + rng.below(n / 2) as usize);
                side.sort_unstable();
                FaultKind::Partition { side }
            }
            3 => FaultKind::OneWay {
                from: host,
                to: ((host as u64 + 1 + rng.below(n - 1)) % n) as usize,
            },
            4 => FaultKind::Ring {},
            5 | 6 => FaultKind::Loss { percent: (1 + rng.below(60)) as u8 },
            7 => FaultKind::Duplicate { percent: (1 + rng.below(50)) as u8 },
            8 => FaultKind::Reorder { by: ms(10 + rng.below(400)) },
            9 => FaultKind::SlowLink { host, by: ms(50 + rng.below(600)) },
            10 | 11 => FaultKind::Crash { host, tail },
            12..=14 => FaultKind::CrashAt { host, boundary },
            15 => FaultKind::PowerCut { tail },
            16 => FaultKind::Pause { host },
            17 => FaultKind::ClockForward { host },
            18 => FaultKind::ClockSkew { host, percent: (20 + rng.below(300)) as u16 },
            19 => FaultKind::SlowDisk { host },
            20 => match rng.percent(50) {
                true => FaultKind::DiskFull { host },
                false => FaultKind::SyncFails { host },
            },
            21 => FaultKind::Suspect { host },
            _ => FaultKind::DeafClient { client: rng.below(u64::from(self.clients)) as u32 },
        };
        Fault { from, until, kind }
    }

    /// Replicas that may do anything: liars, twins, and those whose disks forget.
    #[must_use]
    pub fn faulty(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.liars.keys().copied().collect();
        all.extend(&self.broken);
        all.extend(&self.twins);
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What clients ask for: mostly deposits and transfers on few accounts, so that they meet.
fn submissions(rng: &mut Rng, clients: u32, count: usize) -> Vec<Submission> {
    let one = |rng: &mut Rng| {
        let (account, to) = (rng.below(ACCOUNTS) as u8, rng.below(ACCOUNTS) as u8);
        let amount = 1 + rng.below(9) as u16;
        let operation = match rng.below(5) {
            0 => Operation::Read { account },
            1 | 2 => Operation::Transfer { from: account, to, amount },
            _ => Operation::Deposit { account, amount },
        };
        let (client, lane) = (rng.below(u64::from(clients)) as u32, rng.below(2) as u16);
        Submission { client, lane, think: ms(rng.below(250)), operation }
    };
    (0..count).map(|_| one(rng)).collect()
}
