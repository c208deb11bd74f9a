//! A replicated register: `write VALUE` and `read`, on four replicas in one process. The whole program.
//!
//! ```text
//! cargo pbft testnet --dir register --service register/1
//! cargo run --release -p pbft-node --example register -- register
//! ```

use pbft_core::types::ClientId;
use pbft_node::client::{Client, ClientOptions, Timestamps};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_node::keys::SecretKey;
use pbft_node::node::{Node, Setup};
use pbft_node::service::{Service, ServiceId};
use pbft_node::state::State;
use std::error::Error;
use std::path::PathBuf;

const KEY: &[u8] = b"register";

struct Register;

impl Service for Register {
    fn id(&self) -> ServiceId {
        ServiceId::new("register", 1)
    }

    fn execute(&self, state: &mut State<'_>, _: ClientId, operation: &[u8]) -> Vec<u8> {
        match operation.strip_prefix(b"write ") {
            Some(value) => match state.put(KEY, value) {
                Ok(()) => b"written".to_vec(),
                Err(error) => format!("refused: {error}").into_bytes(),
            },
            None if operation == b"read" => state.get(KEY).unwrap_or_else(|| b"empty".to_vec()),
            None => b"refused: write VALUE | read".to_vec(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "give the directory that `pbft testnet` made";
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or(usage)?);
    let cluster = Cluster::load(&directory.join(CLUSTER_FILE))?;
    for id in 0..cluster.replicas().len() {
        let setup = Setup::load(&directory.join(format!("replica-{id}")))?;
        tokio::spawn(Node::start(setup, Box::new(Register), None).await?.run());
    }
    let key = SecretKey::load(&directory.join("clients/client-0.key"))?;
    let timestamps = Timestamps::open(&directory.join("clients/client-0.clock"))?;
    let client = Client::connect(&cluster, key, timestamps, ClientOptions::default())?;
    for operation in ["read", "write 42", "read"] {
        let result = client.submit(operation.as_bytes().to_vec()).await?;
        println!("{operation}: {}", String::from_utf8_lossy(&result));
    }
    Ok(())
}
