//! A client of a running cluster: many operations at a time, and what to do about each kind of error.
//!
//! ```text
//! cargo cluster                                        in another terminal
//! cargo run --release -p pbft-cli --example client -- cluster
//! ```

use pbft_ledger::Outcome;
use pbft_node::client::{Client, ClientError, ClientOptions, Timestamps};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_node::keys::SecretKey;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Submits one operation, and says what came of it.
async fn operate(client: &Client, operation: String) -> Result<Outcome, ClientError> {
    match client.submit(operation.clone().into_bytes()).await {
        Ok(result) => Ok(Outcome::decode(&result).expect("the cluster keeps a ledger")),
        Err(error) => {
            match &error {
                // It may be executed yet: look before it is submitted again under a new timestamp.
                ClientError::Timeout { .. } => eprintln!("{operation}: unknown outcome"),
                // The same, after a while.
                ClientError::Overloaded => eprintln!("{operation}: unknown outcome, too busy"),
                // Somebody else uses this client's key: find out who. The outcome is unknown, too.
                ClientError::Overtaken { .. } => eprintln!("{operation}: {error}"),
                // Submitting it again would be refused again.
                ClientError::Refused(reason) => eprintln!("{operation}: {reason}"),
                _ => eprintln!("{operation}: {error}"),
            }
            Err(error)
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "give the cluster's directory";
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or(usage)?);
    let cluster = Cluster::load(&directory.join(CLUSTER_FILE))?;
    let key = SecretKey::load(&directory.join("clients/client-0.key"))?;
    // Timestamps rise for ever, also over restarts; the file remembers how far they are.
    let timestamps = Timestamps::open(&directory.join("clients/client-0.clock"))?;
    let options = ClientOptions { deadline: Duration::from_secs(10), ..ClientOptions::default() };
    let client = Arc::new(Client::connect(&cluster, key, timestamps, options)?);

    // Each operation takes a lane; up to 128 are under way at a time.
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let client = Arc::clone(&client);
        let operation = format!("deposit account-{} 1", number % 5);
        tasks.spawn(async move { operate(&client, operation).await });
    }
    while let Some(done) = tasks.join_next().await {
        println!("{:?}", done??);
    }
    println!("the cluster is in view {}", client.view().0);
    // f+1 replicas agree on this; it is not ordered, so it may be a moment old.
    let accounts = client.query(b"accounts").await?;
    println!("{:?}", Outcome::decode(&accounts));
    Ok(())
}
