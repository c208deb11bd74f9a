//! Clients that deposit and transfer without a pause, and remember what was acknowledged.

use crate::history::{DEPOSIT, History, POOL, PoolTransfer, TRANSFER};
use pbft_ledger::Outcome;
use pbft_node::client::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Submits a ledger operation and waits for its outcome.
pub async fn bank(client: &Client, operation: &str) -> Result<Outcome, String> {
    let result = client.submit(operation.as_bytes().to_vec()).await;
    let result = result.map_err(|e| format!("{operation}: {e}"))?;
    Outcome::decode(&result).ok_or_else(|| format!("{operation}: not a ledger's answer"))
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
}

/// Workers that operate until they are stopped.
#[derive(Debug)]
pub struct Workload {
    shared: Arc<Shared>,
    workers: JoinSet<Result<History, String>>,
}

impl Workload {
    /// Starts `per_client` workers for each client, on accounts of their own and a pool that all share. A cluster has
    /// one workload in its life: the pool must be new.
    pub async fn start(clients: &[Arc<Client>], per_client: usize) -> Self {
        let opened = bank(&clients[0], &format!("open {POOL}")).await;
        assert_eq!(opened, Ok(Outcome::Balance(0)), "one workload for each cluster");
        let shared = Arc::new(Shared::default());
        let mut workers = JoinSet::new();
        for number in 0..clients.len() * per_client {
            let client = Arc::clone(&clients[number % clients.len()]);
            workers.spawn(work(format!("worker-{number}"), client, Arc::clone(&shared)));
        }
        Self { shared, workers }
    }

    /// How many operations were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more operations are acknowledged. `patience` bounds the whole wait.
    pub async fn progress(&mut self, operations: u64, patience: Duration) -> Result<(), String> {
        let target = self.acknowledged() + operations;
        let began = Instant::now();
        while self.acknowledged() < target {
            if let Some(ended) = self.workers.try_join_next() {
                return Err(format!("a worker gave up: {ended:?}"));
            }
            if began.elapsed() > patience {
                let missing = target - self.acknowledged();
                return Err(format!(
                    "{missing} of {operations} operations missing after {patience:?}"
                ));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Lets every worker finish what it has under way, and gathers what they saw.
    pub async fn stop(mut self) -> Result<History, String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut history = History::default();
        while let Some(worker) = self.workers.join_next().await {
            history.merge(worker.map_err(|e| e.to_string())??);
        }
        Ok(history)
    }
}

/// Deposits into the own account and transfers some of it on. Nobody else touches the own account, so every result
/// must show exactly what was acknowledged before.
async fn work(
    account: String,
    client: Arc<Client>,
    shared: Arc<Shared>,
) -> Result<History, String> {
    let mut history = History::default();
    let mut own = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let outcome = bank(&client, &format!("deposit {account} {DEPOSIT}")).await?;
        own += DEPOSIT;
        if outcome != Outcome::Balance(own) {
            return Err(format!("{account}: {outcome:?}, expected {own}"));
        }
        history.deposited += DEPOSIT;
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);

        let submitted = Instant::now();
        let outcome = bank(&client, &format!("transfer {account} {POOL} {TRANSFER}")).await?;
        own -= TRANSFER;
        let Outcome::Transferred { from, to: pool } = outcome else {
            return Err(format!("{account}: {outcome:?}, expected a transfer"));
        };
        if from != own {
            return Err(format!("{account}: {from} is left, expected {own}"));
        }
        history.transfers.push(PoolTransfer { submitted, acknowledged: Instant::now(), pool });
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    history.accounts.insert(account, own);
    Ok(history)
}

/// Asks for the balance of each account that the workers used.
pub async fn balances(client: &Client, history: &History) -> Result<BTreeMap<String, u64>, String> {
    let mut balances = BTreeMap::new();
    for account in history.accounts.keys().map(String::as_str).chain([POOL]) {
        match bank(client, &format!("balance {account}")).await? {
            Outcome::Balance(balance) => balances.insert(account.to_owned(), balance),
            other => return Err(format!("{account}: {other:?}")),
        };
    }
    Ok(balances)
}

/// Whether the cluster's accounts are what the workers saw: nothing that was acknowledged is lost, nothing was done
/// twice.
pub async fn audit(client: &Client, history: &History) -> Result<(), String> {
    history.check_pool()?;
    history.check_balances(&balances(client, history).await?)
}
