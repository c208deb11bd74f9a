//! A replica whose store is damaged is let back in, from real files, by real replicas.

use crate::harness::{OneAtATime, Running, bank, client_key, cluster_text, replica_key};
use pbft_core::types::{ClientId, ReplicaId};
use pbft_ledger::{Ledger, Outcome};
use pbft_node::client::{Client, ClientOptions, Timestamps};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_node::inbox::Inbox;
use pbft_node::node::{Node, REPLICA_KEY_FILE, Setup, StartError};
use pbft_node::recover::{RecoverError, WithoutQuorum, recover};
use pbft_node::store::{Identity, STORE_FILE, Store};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Four replicas in directories.
struct Files {
    directory: tempfile::TempDir,
    running: Vec<Option<Running>>,
}

impl Files {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let text = cluster_text(4, '0');
        let cluster = Cluster::parse(&text, Path::new("cluster.toml")).expect("good");
        let mut files = Self { directory, running: Vec::new() };
        for id in 0..4 {
            let replica = files.replica(id);
            std::fs::create_dir(&replica).expect("made");
            std::fs::write(replica.join(CLUSTER_FILE), &text).expect("written");
            replica_key(id).create(&replica.join(REPLICA_KEY_FILE)).expect("written");
            drop(
                Store::create(&replica, Identity::new(cluster.id(), ReplicaId(id))).expect("made"),
            );
            files.running.push(None);
            files.start_replica(id).await;
        }
        files
    }

    fn replica(&self, id: u32) -> PathBuf {
        self.directory.path().join(format!("replica-{id}"))
    }

    async fn start_replica(&mut self, id: u32) {
        let setup = Setup::load(&self.replica(id)).expect("set up");
        let node = Node::start(setup, Box::new(Ledger), None).await.expect("started");
        let inbox = node.inbox();
        self.running[id as usize] = Some(Running { inbox, task: tokio::spawn(node.run()) });
    }

    async fn stop_replica(&mut self, id: u32) {
        let Running { inbox, task } = self.running[id as usize].take().expect("running");
        inbox.stop();
        task.await.expect("no panic").expect("no error");
    }

    fn inbox(&self, id: u32) -> &Inbox {
        &self.running[id as usize].as_ref().expect("running").inbox
    }

    fn client(&self) -> Client {
        let cluster = Cluster::load(&self.replica(0).join(CLUSTER_FILE)).expect("good");
        let options = ClientOptions { deadline: Duration::from_secs(120), ..Default::default() };
        let key = client_key(ClientId(0));
        Client::connect(&cluster, key, Timestamps::in_memory(), options).expect("known")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_with_a_damaged_store_learns_and_then_votes() {
    let _turn = OneAtATime::lock().await;
    let mut files = Files::start().await;
    let client = files.client();
    for balance in 1..=6 {
        assert_eq!(bank(&client, "deposit alice 1").await, Outcome::Balance(balance));
    }
    // Two others are enough for an answer; it may be behind.
    let executed = || files.inbox(3).metrics().last_executed.get();
    tokio::time::timeout(Duration::from_secs(60), async {
        while executed() < 6 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it catches up");
    files.stop_replica(3).await;
    let directory = files.replica(3);
    let (nobody, patience) = (BTreeSet::new(), Duration::from_secs(30));
    let sound = recover(&directory, &nobody, patience, WithoutQuorum::Refuse).await;
    assert!(matches!(sound, Err(RecoverError::Sound { .. })), "{sound:?}");

    // The middle of what is written.
    let path = directory.join(STORE_FILE);
    let mut bytes = std::fs::read(&path).expect("read");
    let needle = b"account/alice";
    let places: Vec<usize> =
        (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
    places.iter().for_each(|at| bytes[*at] ^= 1);
    assert!(!places.is_empty());
    std::fs::write(&path, bytes).expect("written");
    let refused = Setup::load(&directory).expect_err("damaged");
    assert!(matches!(refused, StartError::Store(_)), "{refused}");
    assert!(refused.to_string().contains("pbft recover"), "{refused}");

    let recovered = recover(&directory, &nobody, patience, WithoutQuorum::Refuse)
        .await
        .expect("the others answer");
    assert_eq!(recovered.answers.len(), 3);
    assert!(recovered.abstains.0 >= 6 + 8, "{recovered:?}");
    let aside = recovered.set_aside.expect("files were there");
    assert!(aside.join(STORE_FILE).exists());

    files.start_replica(3).await;
    let not_voting = || files.inbox(3).metrics().not_voting.get();
    assert_eq!(not_voting(), 1);
    let mut balance = 6;
    while not_voting() == 1 {
        balance += 1;
        assert!(balance < 500, "it never learns enough");
        assert_eq!(bank(&client, "deposit alice 1").await, Outcome::Balance(balance));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Three are left, and three are needed.
    files.stop_replica(0).await;
    assert_eq!(bank(&client, "deposit alice 1").await, Outcome::Balance(balance + 1));
    assert!(files.inbox(3).metrics().active.get() == 1);
}
