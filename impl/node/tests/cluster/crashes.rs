//! A bug that panics ends the replica with an error, whatever task it is in.

use crate::harness::{OneAtATime, cluster, replica_key};
use pbft_core::types::ReplicaId;
use pbft_ledger::Ledger;
use pbft_node::driver::DriverError;
use pbft_node::node::{Node, Setup};
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::time::Duration;

/// Outside fault F13: A panic in a task of the replica ends it with an error that says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_task_ends_the_replica_with_an_error() {
    let _turn = OneAtATime::lock().await;
    let cluster = cluster(4, '0');
    let identity = Identity::new(cluster.id(), ReplicaId(0));
    let store = Store::in_memory(&MemoryDisk::default(), identity).expect("opened");
    let (key, replica) = (replica_key(0), ReplicaId(0));
    let setup = Setup { cluster, key, replica, store, trace: None };
    let mut node = Node::start(setup, Box::new(Ledger), None).await.expect("started");
    let inbox = node.inbox();
    node.attend("a quiet task", async {});
    node.attend("a bad task", async { panic!("no {}", "good") });
    let ended = tokio::time::timeout(Duration::from_secs(30), node.run()).await;
    let error = ended.expect("it does not go on without the task").expect_err("it says why");
    assert!(matches!(error, DriverError::Crashed(_)), "{error:?}");
    let expected = "a bad task panicked: no good; this is a bug, please report it";
    assert_eq!(error.to_string(), expected);
    assert!(inbox.report().await.is_err(), "the driver has stopped, too");
}
