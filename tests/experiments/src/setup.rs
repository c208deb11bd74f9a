//! What an experiment is made of, and the simulator's plan that follows from it.

use super::faults::{Effects, Planned};
use core::time::Duration;
use pbft_core::Membership;
use pbft_core::membership::MembershipError;
use pbft_sim::bank::Operation;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::fault::{Plan, Submission};
use pbft_sim::keys::Scheme;
use pbft_sim::rng::Rng;
use pbft_sim::tuning::{Link, Tuning};
use serde::Serialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// The most clients: the simulator has keys for so many.
pub const CLIENTS_MAX: u32 = 200;

/// The most operations of a run.
pub const OPERATIONS_MAX: u64 = 1_000_000;

/// Which replicas are Byzantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Byzantine {
    /// None (0).
    #[default]
    #[value(alias = "0")]
    None,
    /// The first primary, and backups if there are to be more (1).
    #[value(alias = "1")]
    Primary,
    /// Backups only (2).
    #[value(alias = "2")]
    Backups,
}

impl Byzantine {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Primary => "primary",
            Self::Backups => "backups",
        }
    }
}

/// What an experiment is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setup {
    /// What it is called in tables and charts.
    pub name: String,
    /// The number of replicas, n.
    pub replicas: u32,
    /// The number of clients.
    pub clients: u32,
    /// Operations of each client.
    pub requests: u32,
    /// How many of a client's operations may be under way at a time.
    pub lanes: u16,
    /// How long a client waits after a result before it asks again.
    pub think: Duration,
    /// Of a hundred operations so many are reads.
    pub reads: u8,
    /// How long a replica waits for a request before it suspects the primary.
    pub timeout: Duration,
    /// The delay of a frame, at the least and at the most.
    pub delay: (Duration, Duration),
    /// Losses and the like, and the delay of replicas.
    pub link: Link,
    /// Which replicas are Byzantine.
    pub byzantine: Byzantine,
    /// How many; f if not said.
    pub faulty: Option<u32>,
    /// What Byzantine replicas do; if empty, a primary is silent and backups vote for digests of nothing.
    pub strategy: Vec<Behaviour>,
    /// Other faults.
    pub faults: Vec<Planned>,
    /// The most requests in a batch.
    pub batch: usize,
    /// A checkpoint every so many batches.
    pub interval: u64,
    /// Selects everything that is drawn.
    pub seed: u64,
    /// The end of the run, whatever has happened by then.
    pub limit: Option<Duration>,
    /// How signatures are made.
    #[serde(skip)]
    pub scheme: Scheme,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            name: "run".to_owned(),
            replicas: 4,
            clients: 1,
            requests: 10,
            lanes: 1,
            think: Duration::ZERO,
            reads: 0,
            timeout: Duration::from_secs(2),
            delay: (Duration::ZERO, Duration::ZERO),
            link: Link::default(),
            byzantine: Byzantine::None,
            faulty: None,
            strategy: Vec::new(),
            faults: Vec::new(),
            batch: 1,
            interval: 64,
            seed: 1,
            limit: None,
            scheme: Scheme::Fast,
        }
    }
}

/// An experiment that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// PBFT does not work with so many replicas.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// There is nothing to do.
    #[error("nothing would run; give --clients and --requests of at least 1")]
    Nothing,
    /// Too much to do.
    #[error("{0} is more than {1}; take fewer clients or requests")]
    TooMuch(u64, u64),
    /// More Byzantine replicas than replicas.
    #[error("{faulty} Byzantine replicas of {n}: {why}")]
    Faulty {
        /// How many were asked for.
        faulty: u32,
        /// Of how many.
        n: u32,
        /// What is wrong with that.
        why: &'static str,
    },
    /// A fault names a replica that is not there.
    #[error("replica {0}: the replicas are 0 to {last}", last = .1 - 1)]
    Unknown(u32, u32),
    /// A size that must not be zero.
    #[error("{0} must be at least {1}")]
    Small(&'static str, &'static str),
}

/// The plan of an experiment.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What the simulator runs.
    pub plan: Plan,
    /// When a Byzantine replica begins (true) or ceases to follow a strategy.
    pub switches: Vec<(Duration, usize, Behaviour, bool)>,
    /// When the last fault that has an end is over.
    pub faults_end: Duration,
    /// The end of the run.
    pub limit: Duration,
}

impl Setup {
    /// The replicas and their quorums.
    pub fn membership(&self) -> Result<Membership, SetupError> {
        Ok(Membership::new(self.replicas)?)
    }

    /// All operations of all clients.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.clients as u64 * self.requests as u64
    }

    /// The Byzantine replicas of [`Self::byzantine`], which are not those of the fault plan.
    pub fn byzantine_replicas(&self) -> Result<Vec<u32>, SetupError> {
        let n = self.replicas;
        let f = self.membership()?.faults() as u32;
        let count = match self.byzantine {
            Byzantine::None => self.faulty.unwrap_or_default(),
            Byzantine::Primary | Byzantine::Backups => self.faulty.unwrap_or(f),
        };
        let refused = |why| Err(SetupError::Faulty { faulty: count, n, why });
        match self.byzantine {
            Byzantine::None if count > 0 => refused("say which, with --byzantine primary|backups"),
            Byzantine::None => Ok(Vec::new()),
            _ if count == 0 => refused("leave --byzantine out for none"),
            Byzantine::Primary if count > n => refused("there are not so many"),
            Byzantine::Backups if count >= n => refused("there are not so many backups"),
            Byzantine::Primary => Ok(std::iter::once(0).chain(n + 1 - count..n).collect()),
            Byzantine::Backups => Ok((n - count..n).collect()),
        }
    }

    fn strategy_of(&self, replica: u32) -> Vec<Behaviour> {
        match (self.strategy.is_empty(), self.byzantine, replica) {
            (false, ..) => self.strategy.clone(),
            (true, Byzantine::Primary, 0) => vec![Behaviour::Silent],
            (true, ..) => vec![Behaviour::WrongDigest],
        }
    }

    /// When the run ends, whatever has happened by then: so late that every timeout may have doubled several times.
    #[must_use]
    pub fn limit(&self) -> Duration {
        let hop = self.delay.1 + self.link.replica_delay + Duration::from_millis(1);
        let operations = u32::try_from(self.operations()).unwrap_or(u32::MAX);
        let hops = (12 * hop + self.think).saturating_mul(operations);
        let own = 40 * self.timeout + Duration::from_secs(60) + hops;
        self.limit.unwrap_or(own)
    }

    fn check(&self) -> Result<(), SetupError> {
        if self.operations() == 0 {
            return Err(SetupError::Nothing);
        }
        let bounds = [
            (u64::from(self.clients), u64::from(CLIENTS_MAX)),
            (self.operations(), OPERATIONS_MAX),
        ];
        if let Some((got, most)) = bounds.into_iter().find(|(got, most)| got > most) {
            return Err(SetupError::TooMuch(got, most));
        }
        let named = self.faults.iter().flat_map(|fault| fault.replicas.iter().copied());
        if let Some(unknown) = named.into_iter().find(|id| *id >= self.replicas) {
            return Err(SetupError::Unknown(unknown, self.replicas));
        }
        let sizes = [
            (self.timeout < Duration::from_millis(1), "--timeout", "1ms"),
            (self.lanes == 0, "--lanes", "1"),
            (self.batch == 0, "--batch", "1"),
            (self.interval == 0, "--checkpoint-interval", "1"),
            (self.limit.is_some_and(|limit| limit.is_zero()), "--limit", "1ms"),
        ];
        match sizes.into_iter().find(|(small, ..)| *small) {
            Some((_, what, least)) => Err(SetupError::Small(what, least)),
            None => Ok(()),
        }
    }

    /// The plan of the run.
    pub fn prepare(&self) -> Result<Prepared, SetupError> {
        self.membership()?;
        self.check()?;
        let limit = self.limit();
        let ends = self.faults.iter().filter_map(|fault| fault.until);
        let faults_end = ends.max().unwrap_or_default().min(limit);
        let mut effects = Effects::default();
        self.faults.iter().for_each(|fault| fault.add_to(&mut effects, limit * 2));
        let mut liars: BTreeMap<usize, Vec<Behaviour>> = BTreeMap::new();
        for id in self.byzantine_replicas()? {
            liars.insert(id as usize, self.strategy_of(id));
        }
        for (from, host, strategy, _) in &effects.switches {
            let own = liars.entry(*host).or_default();
            if from.is_zero() {
                own.push(*strategy);
            }
        }
        effects.switches.retain(|(at, ..)| !at.is_zero());
        effects.switches.sort_by_key(|(at, ..)| *at);
        let mut plan = Plan::calm(self.seed, self.replicas);
        plan.interval = self.interval;
        plan.clients = self.clients;
        plan.liars = liars;
        plan.broken = effects.broken;
        plan.faults = effects.faults;
        plan.submissions = self.submissions();
        plan.delay = self.delay;
        // The simulator heals everything at some time, which must not be in this run.
        plan.heal_at = limit * 4;
        plan.scheme = self.scheme;
        plan.tuning = Some(self.tuning());
        Ok(Prepared { plan, switches: effects.switches, faults_end, limit })
    }

    fn tuning(&self) -> Tuning {
        let round = self.delay.1 + self.link.replica_delay;
        Tuning {
            view_timeout: self.timeout,
            view_timeout_max: 32 * self.timeout,
            // Whoever asks before an operation can be over, is sent what is under way already.
            status_interval: Duration::from_millis(250).max(10 * round),
            patience: self.patience(),
            batch: self.batch,
            pipeline: 32,
            lanes: self.lanes,
            events_max: u64::MAX,
            link: self.link,
        }
    }

    /// How long a client waits before it asks all replicas, at first and at the most.
    pub(super) fn patience(&self) -> (Duration, Duration) {
        (self.timeout / 2, 4 * self.timeout)
    }

    pub(super) fn submissions(&self) -> Vec<Submission> {
        let mut rng = Rng::new(self.seed).fork("experiment");
        let mut all = Vec::new();
        for number in 0..self.requests {
            for client in 0..self.clients {
                let (account, to) = (rng.below(ACCOUNTS) as u8, rng.below(ACCOUNTS) as u8);
                let amount = 1 + rng.below(9) as u16;
                let operation = match (rng.percent(u64::from(self.reads)), rng.percent(50)) {
                    (true, _) => Operation::Read { account },
                    (false, true) => Operation::Transfer { from: account, to, amount },
                    (false, false) => Operation::Deposit { account, amount },
                };
                let lane = (number % u32::from(self.lanes)) as u16;
                all.push(Submission { client, lane, think: self.think, operation });
            }
        }
        all
    }
}

/// The accounts of the ledger.
pub(super) const ACCOUNTS: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl Fn(&mut Setup)) -> Setup {
        let mut setup = Setup::default();
        change(&mut setup);
        setup
    }

    #[test]
    fn byzantine_replicas_are_the_first_primary_or_the_last_backups() {
        let of = |byzantine, replicas, faulty| {
            with(|setup| {
                (setup.byzantine, setup.replicas, setup.faulty) = (byzantine, replicas, faulty);
            })
            .byzantine_replicas()
        };
        assert_eq!(of(Byzantine::Primary, 10, None), Ok(vec![0, 8, 9]), "f of them");
        assert_eq!(of(Byzantine::Backups, 10, None), Ok(vec![7, 8, 9]));
        assert_eq!(of(Byzantine::Primary, 7, Some(4)), Ok(vec![0, 4, 5, 6]), "beyond f");
        assert_eq!(of(Byzantine::Primary, 4, Some(1)), Ok(vec![0]));
        assert_eq!(of(Byzantine::None, 4, None), Ok(Vec::new()));
        for (byzantine, faulty) in
            [(Byzantine::None, 1), (Byzantine::Backups, 4), (Byzantine::Primary, 0)]
        {
            let refused = of(byzantine, 4, Some(faulty));
            assert!(matches!(refused, Err(SetupError::Faulty { .. })), "{byzantine:?} {faulty}");
        }
    }

    #[test]
    fn what_cannot_run_is_refused() {
        let refused = |change: fn(&mut Setup)| with(change).prepare().expect_err("refused");
        let few = refused(|setup| setup.replicas = 3).to_string();
        assert!(few.contains("at least 4"), "{few}");
        assert_eq!(refused(|setup| setup.requests = 0), SetupError::Nothing);
        assert_eq!(refused(|setup| setup.clients = 300), SetupError::TooMuch(300, 200));
        assert!(matches!(refused(|setup| setup.batch = 0), SetupError::Small("--batch", _)));
        let unknown = |setup: &mut Setup| {
            setup.faults = vec!["replica 4: crash".parse().expect("a fault")];
        };
        assert_eq!(refused(unknown), SetupError::Unknown(4, 4));
    }

    #[test]
    fn strategies_of_the_fault_plan_begin_when_it_says() {
        let setup = with(|setup| {
            setup.faults = vec![
                "replica 1: silent".parse().expect("a fault"),
                "replica 2: random from 1s until 2s".parse().expect("a fault"),
            ];
        });
        let prepared = setup.prepare().expect("a plan");
        assert_eq!(prepared.plan.liars[&1], [Behaviour::Silent]);
        assert!(prepared.plan.liars[&2].is_empty(), "it begins later");
        assert_eq!(prepared.switches.len(), 2);
    }
}
