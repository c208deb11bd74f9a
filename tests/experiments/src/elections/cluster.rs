//! Four `pbft` processes with clients, as the scenes use them.

use super::story::{Different, Story};
use pbft_ledger::Outcome;
use pbft_node::client::Client;
use pbft_node::frame::StatusReport;
use pbft_tests::cluster::{ProcessCluster, Shape};
use pbft_tests::workload::bank;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long a request may wait before the primary is suspected.
pub(super) const VIEW_TIMEOUT: Duration = Duration::from_secs(1);

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the scenes look on when nothing must happen.
pub(super) const NOTHING_HAPPENS: Duration = Duration::from_secs(3);

/// How often replicas are asked.
const PAUSE: Duration = Duration::from_millis(50);

/// How long one question may wait for those that do not answer.
const STATUS_PATIENCE: Duration = Duration::from_millis(400);

/// What each replica said of itself; `None` for one that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen(pub(super) Vec<Option<StatusReport>>);

impl Seen {
    /// Those that answered.
    pub(super) fn answers(&self) -> impl Iterator<Item = &StatusReport> {
        self.0.iter().flatten()
    }

    /// Whether `n` replicas answer, and all that do take part in one view with the same state.
    pub(super) fn agree(&self, n: usize) -> bool {
        let key = |report: &StatusReport| (report.view, report.last_executed, report.state);
        let first = self.answers().next().map(key);
        self.answers().count() == n
            && self.answers().all(|report| report.active && Some(key(report)) == first)
    }

    /// Whether all that answer are in this view.
    pub(super) fn all_in_view(&self, view: u64) -> bool {
        self.answers().all(|report| report.view.0 == view)
    }

    /// The highest view.
    pub(super) fn view(&self) -> u64 {
        self.answers().map(|report| report.view.0).max().unwrap_or_default()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |say: fn(&StatusReport) -> String| {
            let words = self.0.iter().map(|one| one.as_ref().map_or("-".to_owned(), say));
            words.collect::<Vec<_>>().join(" ")
        };
        let view = |report: &StatusReport| match report.active {
            true => report.view.0.to_string(),
            false => format!("({})", report.view.0),
        };
        write!(f, "views {}, executed {}", show(view), show(|one| one.last_executed.to_string()))?;
        let states: Vec<_> = self.answers().map(|one| (one.last_executed, one.state)).collect();
        match states.iter().all(|state| Some(state) == states.first()) {
            true => write!(f, ", equal states"),
            false => Ok(()),
        }
    }
}

/// A running cluster with a story that is told about it.
pub(super) struct Scene<'a> {
    pub(super) cluster: ProcessCluster,
    pub(super) client: Arc<Client>,
    pub(super) story: &'a mut Story,
}

impl<'a> Scene<'a> {
    /// Starts four replicas and deposits 100.
    pub(super) async fn open(story: &'a mut Story) -> Result<Self, Different> {
        let shape = Shape { view_timeout: VIEW_TIMEOUT, ..Shape::default() };
        let cluster = ProcessCluster::start(shape).await;
        let client = cluster.client(0);
        let scene = Self { cluster, client, story };
        let (outcome, _) = scene.now("deposit alice 100").await;
        let seen = scene.until(|seen| seen.agree(4)).await;
        let holds = outcome == Ok(Outcome::Balance(100)) && seen.agree(4) && seen.all_in_view(0);
        scene.story.check(
            "four replicas start; deposit alice 100",
            format!("{}; {seen}", words(&outcome)),
            "alice: 100; all in view 0",
            holds,
        )?;
        Ok(scene)
    }

    /// Has an operation executed, and says how long it took.
    pub(super) async fn now(&self, operation: &str) -> (Result<Outcome, String>, Duration) {
        let began = Instant::now();
        (bank(&self.client, operation).await, began.elapsed())
    }

    /// Submits an operation and does not wait for it.
    pub(super) fn soon(&self, operation: &'static str) -> JoinHandle<Result<Outcome, String>> {
        let client = Arc::clone(&self.client);
        tokio::spawn(async move { bank(&client, operation).await })
    }

    /// Has an operation executed, looks until the replicas are as they must be, and checks both.
    pub(super) async fn operate(
        &mut self,
        did: &str,
        operation: &str,
        balance: u64,
        (expected, condition): (&str, impl Fn(&Seen) -> bool),
    ) -> Result<(), Different> {
        let (outcome, took) = self.now(operation).await;
        let seen = self.until(&condition).await;
        self.story.check(
            format!("{did}{operation}"),
            format!("{} after {:.1} s; {seen}", words(&outcome), took.as_secs_f64()),
            format!("alice: {balance}; {expected}"),
            outcome == Ok(Outcome::Balance(balance)) && condition(&seen),
        )
    }

    /// How the replicas are.
    pub(super) async fn look(&self) -> Seen {
        let all = self.client.status(STATUS_PATIENCE).await;
        Seen(all.into_iter().map(|one| one.report.ok()).collect())
    }

    /// Looks until a condition holds, or for as long as it may take; returns what was seen last.
    pub(super) async fn until(&self, condition: impl Fn(&Seen) -> bool) -> Seen {
        let began = Instant::now();
        loop {
            let seen = self.look().await;
            if condition(&seen) || began.elapsed() > PATIENCE {
                return seen;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What each replica's own ledger says of the account alice.
    pub(super) async fn ledgers(&self) -> Vec<Option<Outcome>> {
        let answers = self.client.query_all(b"balance alice", STATUS_PATIENCE).await;
        let outcome = |answer: Result<_, String>| {
            answer.ok().and_then(|(_, bytes): (_, Vec<u8>)| Outcome::decode(&bytes))
        };
        answers.into_iter().map(|one| outcome(one.answer)).collect()
    }
}

/// An outcome in a few words.
pub(super) fn words(outcome: &Result<Outcome, String>) -> String {
    match outcome {
        Ok(Outcome::Balance(balance)) => format!("alice: {balance}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => error.clone(),
    }
}

/// What the ledgers say, one word a replica.
pub(super) fn ledgers_in_words(ledgers: &[Option<Outcome>]) -> String {
    let word = |one: &Option<Outcome>| match one {
        Some(Outcome::Balance(balance)) => balance.to_string(),
        Some(other) => format!("{other:?}"),
        None => "-".to_owned(),
    };
    ledgers.iter().map(word).collect::<Vec<_>>().join(" ")
}
