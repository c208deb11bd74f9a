//! A service of one's own on four replicas, in one process.
//!
//! ```text
//! cargo pbft testnet --dir kv --service key-value/1
//! cargo run --release -p pbft-node --example key_value -- kv
//! ```

#![allow(unreachable_pub)]

mod service;

use pbft_node::client::{Client, ClientOptions, Timestamps};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_node::keys::SecretKey;
use pbft_node::node::{Node, Setup};
use service::KeyValue;
use std::error::Error;
use std::path::PathBuf;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "give the directory that `pbft testnet` made";
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or(usage)?);
    let cluster = Cluster::load(&directory.join(CLUSTER_FILE))?;
    for id in 0..cluster.replicas().len() {
        let setup = Setup::load(&directory.join(format!("replica-{id}")))?;
        let node = Node::start(setup, Box::new(KeyValue), None).await?;
        tokio::spawn(node.run());
    }

    let key = SecretKey::load(&directory.join("clients/client-0.key"))?;
    let timestamps = Timestamps::open(&directory.join("clients/client-0.clock"))?;
    let client = Client::connect(&cluster, key, timestamps, ClientOptions::default())?;
    for operation in ["put colour red", "put shape round", "get colour", "delete shape", "list "] {
        let result = client.submit(operation.as_bytes().to_vec()).await?;
        println!("{operation}: {}", String::from_utf8_lossy(&result));
    }
    let answer = client.query(b"get colour").await?;
    println!("without ordering: {}", String::from_utf8_lossy(&answer));
    Ok(())
}
