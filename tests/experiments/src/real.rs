//! Runs an experiment on processes of the `pbft` command, with real disks, sockets and signatures.
//!
//! The network is this machine's, so the knobs of the network are refused; so are lies, which no process tells. A
//! Byzantine replica that is silent is a stopped process. Every step of every replica is recorded and checked against the
//! model afterwards.

use super::faults::How;
use super::measure::{Cost, Liveness, Measurement, Safety, Verdict};
use super::setup::{Setup, SetupError};
use super::simulate::hundredths_of_memory;
use core::time::Duration;
use pbft_core::Membership;
use pbft_core::client::Patience;
use pbft_ledger::Outcome;
use pbft_node::client::Client;
use pbft_node::frame::StatusReport;
use pbft_plant::switch::active_bug;
use pbft_sim::bank::Operation;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::judge::guarded;
use pbft_tests::cluster::{ProcessCluster, Shape, agreement, primary, reports};
use pbft_tests::process::processor_time;
use pbft_tests::workload::bank;
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use thiserror::Error;
use tokio::task::JoinSet;

/// The most replicas: more processes would only wait for each other on one machine.
pub const REPLICAS_MAX: u32 = 10;

/// How often the cluster is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// An experiment that processes cannot make.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RealError {
    /// It cannot be made at all.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// It asks for what processes do not do.
    #[error("{what} on real processes: {why}; leave it out, or leave --real out")]
    Refused {
        /// What.
        what: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// The machine did not do its part.
    #[error("the processes could not be run to the end: {0}")]
    Failed(String),
}

const fn refused(what: &'static str, why: &'static str) -> RealError {
    RealError::Refused { what, why }
}

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Kill,
    Start,
    Stop,
    Continue,
}

/// What happens when, to which replica.
type Script = Vec<(Duration, u32, Act)>;

fn script(setup: &Setup) -> Result<Script, RealError> {
    let mut script = Script::new();
    let lies = "a process of the production binary tells no lies (silent is possible)";
    for replica in setup.byzantine_replicas()? {
        if !(setup.strategy.is_empty() || setup.strategy == [Behaviour::Silent]) {
            return Err(refused("Byzantine strategies other than silent", lies));
        }
        script.push((Duration::ZERO, replica, Act::Stop));
    }
    for fault in &setup.faults {
        let (begins, ends) = match fault.how {
            How::Crash => (Act::Kill, Act::Start),
            How::Pause | How::Lies(Behaviour::Silent) => (Act::Stop, Act::Continue),
            How::Lies(_) => return Err(refused("Byzantine strategies other than silent", lies)),
            How::CutOff | How::Slow => {
                return Err(refused(
                    "cutting off and slowing down",
                    "the network is the machine's",
                ));
            }
            How::LoseDisk | How::Diverge => {
                return Err(refused("lost disks and diverging services", "tests/e2e has them"));
            }
        };
        for replica in &fault.replicas {
            script.push((fault.from, *replica, begins));
            script.extend(fault.until.map(|until| (until, *replica, ends)));
        }
    }
    script.sort_by_key(|(at, ..)| *at);
    Ok(script)
}

/// Whether processes can make the experiment.
pub fn check(setup: &Setup) -> Result<(), RealError> {
    setup.prepare()?;
    let network = "the network is the machine's";
    let link = setup.link;
    let bad = link.drop + link.duplicate + link.reorder > 0;
    if !setup.delay.1.is_zero() || !link.replica_delay.is_zero() || bad {
        return Err(refused("delays, losses, reordering and duplicates", network));
    }
    if setup.replicas > REPLICAS_MAX {
        return Err(refused("more than ten replicas", "they would wait for each other"));
    }
    if active_bug().is_ok_and(|bug| bug.is_some()) {
        return Err(refused("planted bugs", "the production binary has none"));
    }
    script(setup).map(drop)
}

/// A fault that comes when so many operations are answered, to the primary of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// So many operations are answered.
    pub answered: u64,
    /// The process is killed, and not just stopped.
    pub kill: bool,
    /// How long the replica is away.
    pub away: Duration,
}

/// Runs an experiment on processes, and measures it.
pub fn run(setup: &Setup) -> Result<Measurement, RealError> {
    run_in_turns(setup, &[])
}

/// Runs an experiment on processes, with faults that come as the work goes on, and measures it.
pub fn run_in_turns(setup: &Setup, turns: &[Turn]) -> Result<Measurement, RealError> {
    check(setup)?;
    let script = script(setup)?;
    let membership = setup.membership()?;
    let work = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        Ok::<_, String>(runtime.block_on(Course::new(setup, membership, script, turns).run()))
    };
    let done = guarded(work).map_err(|panic| RealError::Failed(panic.detail))?;
    done.map_err(RealError::Failed)
}

/// How far the clients are.
#[derive(Debug, Default)]
struct Shared {
    /// Operations that are answered.
    answered: AtomicU64,
    /// Workers that are done.
    finished: AtomicUsize,
}

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    latencies: Vec<Duration>,
    answers: Vec<Duration>,
    /// What was acknowledged as deposited; transfers only move it.
    deposited: u64,
    failed: Vec<String>,
}

struct Course<'a> {
    setup: &'a Setup,
    membership: Membership,
    script: Script,
    turns: &'a [Turn],
    /// Replicas that do not run, and what was done to them.
    down: BTreeMap<u32, Act>,
    /// Replicas to which anything was done.
    touched: BTreeSet<u32>,
    crashes: u64,
    processor: BTreeMap<u32, Duration>,
}

impl<'a> Course<'a> {
    const fn new(
        setup: &'a Setup,
        membership: Membership,
        script: Script,
        turns: &'a [Turn],
    ) -> Self {
        Self {
            setup,
            membership,
            script,
            turns,
            down: BTreeMap::new(),
            touched: BTreeSet::new(),
            crashes: 0,
            processor: BTreeMap::new(),
        }
    }

    async fn run(mut self) -> Measurement {
        let setup = self.setup;
        let shape = Shape {
            replicas: setup.replicas as u16,
            clients: setup.clients as u16,
            checkpoint_interval: setup.interval,
            view_timeout: setup.timeout,
            ..Shape::default()
        };
        let mut cluster = ProcessCluster::start(shape).await;
        let before = self.processor_times(&mut cluster);
        let began = Instant::now();
        let shared = Arc::new(Shared::default());
        let mut workers = self.clients(&cluster, began, &shared);
        let expected = workers.len();
        while shared.finished.load(Ordering::Relaxed) < expected || !self.script.is_empty() {
            self.script.sort_by_key(|(at, ..)| *at);
            while self.script.first().is_some_and(|(at, ..)| *at <= began.elapsed()) {
                let (_, replica, act) = self.script.remove(0);
                self.act(&mut cluster, replica, act);
            }
            if self.down.is_empty() {
                let answered = shared.answered.load(Ordering::Relaxed);
                self.take_turn(&mut cluster, answered, began).await;
            }
            if began.elapsed() > setup.limit() {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let mut seen = Seen::default();
        while let Some(worker) = workers.join_next().await {
            match worker {
                Ok(one) => seen.merge(one),
                Err(error) => seen.failed.push(error.to_string()),
            }
        }
        let wall = began.elapsed();
        self.finish(cluster, seen, wall, &before).await
    }

    /// The next fault, if it is time for it.
    async fn take_turn(&mut self, cluster: &mut ProcessCluster, answered: u64, began: Instant) {
        let Some((turn, rest)) = self.turns.split_first() else { return };
        if answered < turn.answered {
            return;
        }
        self.turns = rest;
        let replica = primary(&cluster.client(0)).await.0;
        let (begins, ends) = match turn.kill {
            true => (Act::Kill, Act::Start),
            false => (Act::Stop, Act::Continue),
        };
        self.act(cluster, replica, begins);
        self.script.push((began.elapsed() + turn.away, replica, ends));
    }

    /// A worker for each lane of each client.
    fn clients(
        &self,
        cluster: &ProcessCluster,
        began: Instant,
        shared: &Arc<Shared>,
    ) -> JoinSet<Seen> {
        let mut scripts: BTreeMap<(u32, u16), Vec<Operation>> = BTreeMap::new();
        for submission in self.setup.submissions() {
            let own = scripts.entry((submission.client, submission.lane)).or_default();
            own.push(submission.operation);
        }
        let (first, max) = self.setup.patience();
        let patience = Patience { first, max };
        let clients: Vec<Arc<Client>> = (0..self.setup.clients as usize)
            .map(|number| cluster.patient_client(number, patience))
            .collect();
        let mut workers = JoinSet::new();
        for ((client, _), operations) in scripts {
            let client = Arc::clone(&clients[client as usize]);
            let (think, shared) = (self.setup.think, Arc::clone(shared));
            workers.spawn(async move {
                let seen = work(&client, operations, think, (began, &shared.answered)).await;
                shared.finished.fetch_add(1, Ordering::Relaxed);
                seen
            });
        }
        workers
    }

    fn act(&mut self, cluster: &mut ProcessCluster, replica: u32, act: Act) {
        match act {
            Act::Kill => {
                let used = processor_time(cluster.process(replica).id());
                *self.processor.entry(replica).or_default() += used;
                cluster.kill_replica(replica);
                self.crashes += 1;
            }
            Act::Start => cluster.start_replica(replica),
            Act::Stop => cluster.process(replica).signal(Signal::STOP),
            Act::Continue => cluster.process(replica).signal(Signal::CONT),
        }
        self.touched.insert(replica);
        match act {
            Act::Kill | Act::Stop => drop(self.down.insert(replica, act)),
            Act::Start | Act::Continue => drop(self.down.remove(&replica)),
        }
    }

    fn processor_times(&self, cluster: &mut ProcessCluster) -> BTreeMap<u32, Duration> {
        let alive = (0..self.setup.replicas).filter(|id| self.down.get(id) != Some(&Act::Kill));
        alive.map(|id| (id, processor_time(cluster.process(id).id()))).collect()
    }

    async fn finish(
        mut self,
        mut cluster: ProcessCluster,
        mut seen: Seen,
        wall: Duration,
        before: &BTreeMap<u32, Duration>,
    ) -> Measurement {
        let setup = self.setup;
        for (id, used) in self.processor_times(&mut cluster) {
            *self.processor.entry(id).or_default() += used;
        }
        let used: Duration = self.processor.values().sum();
        let used = used.saturating_sub(before.values().sum());
        let up: Vec<u32> = (0..setup.replicas).filter(|id| !self.down.contains_key(id)).collect();
        let resident: u64 = up.iter().map(|id| cluster.process(*id).resident_bytes()).sum();
        let (view, safety, liveness) = self.judge(cluster, &seen, up.len()).await;
        seen.latencies.sort_unstable();
        seen.answers.sort_unstable();
        let counts = (seen.answers.len() as u64, setup.operations());
        let n = f64::from(setup.replicas);
        Measurement {
            setup: setup.clone(),
            tolerated: self.membership.faults(),
            quorum: self.membership.quorum(),
            faulty: setup.byzantine_replicas().unwrap_or_default(),
            answered: counts.0,
            total: seen.answers.last().copied().unwrap_or(wall),
            latencies: seen.latencies,
            answers: seen.answers,
            primary_failed: self.touched.contains(&0),
            view,
            view_changes: view,
            crashes: self.crashes,
            wire: None,
            verdict: Verdict::new(safety, liveness, "", counts),
            cost: Cost {
                wall_clock_s: wall.as_secs_f64(),
                process_time_s: used.as_secs_f64() / n,
                memory_percent: hundredths_of_memory(resident as f64 / 1024.0),
            },
        }
    }

    /// All replicas that are up must reach one state, the accounts must hold what was deposited, and the model must allow
    /// what every replica recorded.
    async fn judge(
        &self,
        mut cluster: ProcessCluster,
        seen: &Seen,
        up: usize,
    ) -> (u64, Safety, Liveness) {
        let client = cluster.client(0);
        let view_of = |all: &[StatusReport]| all.iter().map(|report| report.view.0).max();
        let (view, sum, liveness) = match seen.failed.first() {
            None => {
                let all = agreement(&client, up).await;
                (view_of(&all), sum(&client).await.map(Some), Liveness::Holds)
            }
            Some(why) => {
                let why = format!("{why}; {up} of {} replicas are up", self.setup.replicas);
                (view_of(&reports(&client).await), Ok(None), Liveness::Stopped(why))
            }
        };
        // A stopped process does not end when it is asked to.
        for (id, _) in self.down.iter().filter(|(_, act)| **act == Act::Stop) {
            cluster.process(*id).signal(Signal::CONT);
        }
        let safety = match (guarded(|| cluster.finish()), sum) {
            (Err(found), _) => Safety::Broken(found.detail),
            (_, Err(why)) => Safety::Broken(why),
            (_, Ok(Some(sum))) if sum != seen.deposited => Safety::Broken(format!(
                "results: the accounts hold {sum}, acknowledged were deposits of {}",
                seen.deposited
            )),
            _ => Safety::Holds,
        };
        (view.unwrap_or_default(), safety, liveness)
    }
}

impl Seen {
    fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.answers.extend(other.answers);
        self.deposited += other.deposited;
        self.failed.extend(other.failed);
    }
}

/// The ledger's words for an operation of the simulator's bank.
fn words(operation: Operation) -> String {
    match operation {
        Operation::Deposit { account, amount } => format!("deposit a{account} {amount}"),
        Operation::Transfer { from, to, amount } => format!("transfer a{from} a{to} {amount}"),
        Operation::Withdraw { account, amount } => format!("withdraw a{account} {amount}"),
        Operation::Read { account } => format!("balance a{account}"),
    }
}

async fn work(
    client: &Client,
    operations: Vec<Operation>,
    think: Duration,
    (began, answered): (Instant, &AtomicU64),
) -> Seen {
    let mut seen = Seen::default();
    for operation in operations {
        let submitted = Instant::now();
        match bank(client, &words(operation)).await {
            Ok(outcome) => {
                if let (Operation::Deposit { amount, .. }, Outcome::Balance(_)) =
                    (operation, outcome)
                {
                    seen.deposited += u64::from(amount);
                }
                seen.latencies.push(submitted.elapsed());
                seen.answers.push(began.elapsed());
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(why) => {
                seen.failed.push(why);
                return seen;
            }
        }
        tokio::time::sleep(think).await;
    }
    seen
}

/// What all accounts hold.
async fn sum(client: &Client) -> Result<u64, String> {
    let mut sum = 0;
    for account in 0..super::setup::ACCOUNTS {
        if let Outcome::Balance(balance) = bank(client, &format!("balance a{account}")).await? {
            sum += balance;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_processes_do_not_do_is_refused_with_the_reason() {
        let refusal = |change: fn(&mut Setup)| {
            let mut setup = Setup::default();
            change(&mut setup);
            check(&setup).map_err(|error| error.to_string())
        };
        assert_eq!(refusal(|_| {}), Ok(()));
        type Change = fn(&mut Setup);
        let cases: [(Change, &str); 5] = [
            (|setup| setup.link.drop = 1, "the network is the machine's"),
            (|setup| setup.replicas = 11, "more than ten replicas"),
            (
                |setup| setup.faults = "replica 1: random".parse().into_iter().collect(),
                "tells no lies",
            ),
            (|setup| setup.replicas = 3, "at least 4"),
            (|setup| setup.faults = "replica 1: slow".parse().into_iter().collect(), "machine"),
        ];
        for (change, words) in cases {
            let refused = refusal(change).expect_err(words);
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn faults_become_signals_in_their_order() {
        let setup = Setup {
            faults: vec![
                "replica 1: pause at 2s, back at 3s".parse().expect("a fault"),
                "replica 2: crash at 1s".parse().expect("a fault"),
            ],
            byzantine: super::super::setup::Byzantine::Primary,
            ..Setup::default()
        };
        let acts: Vec<_> =
            script(&setup).expect("possible").into_iter().map(|(_, id, act)| (id, act)).collect();
        assert_eq!(acts, [(0, Act::Stop), (2, Act::Kill), (1, Act::Stop), (1, Act::Continue)]);
    }
}
