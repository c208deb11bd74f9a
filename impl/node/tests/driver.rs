//! Production drivers, stores, frames and signatures under a paused clock: nothing happens but what a test makes
//! happen.

mod common;

use common::{CLIENT, CLUSTER, Cluster, Node, params, replica_key, request};
use pbft_core::crypto::sign;
use pbft_core::evidence::{Contradiction, SignedVote};
use pbft_core::message::{Checkpoint, Message};
use pbft_core::types::{ReplicaId, SeqNum};
use pbft_core::{Effect, Input, Rejection, Replica};
use pbft_node::codec;
use pbft_node::driver::{DriverError, Observer};
use pbft_node::frame::{ClientFrame, FrameError, RefusalReason, ReplicaFrame, StatusReport};
use pbft_node::inbox::{InboxError, Unread};
use pbft_node::keyring::KeySigner;
use pbft_node::network::Outgoing;
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

#[tokio::test(start_paused = true)]
async fn requests_are_executed_everywhere_and_survive_restarts() {
    let mut cluster = Cluster::start(4);
    for (timestamp, operation) in [(1, "deposit alice 100"), (2, "withdraw alice 30")] {
        let frame = request(0, timestamp, operation);
        cluster.node(0).inbox.client_frame(CLIENT, &frame).expect("taken");
        cluster.run().await;
    }
    assert_eq!(cluster.results(1), ["ok 100"; 4]);
    assert_eq!(cluster.results(2), ["ok 70"; 4]);
    for id in 0..4 {
        let disk = cluster.nodes[id].take().expect("running").kill().await;
        cluster.nodes[id] = Some(Node::start(id as u32, 4, disk, None));
    }
    let frame = request(0, 3, "balance alice");
    cluster.node(0).inbox.client_frame(CLIENT, &frame).expect("taken");
    cluster.run().await;
    assert_eq!(cluster.results(3), ["ok 70"; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_disk_is_full_says_nothing_until_there_is_space() {
    let mut cluster = Cluster::start(4);
    let frame = request(0, 1, "deposit alice 1");
    cluster.node(0).inbox.client_frame(CLIENT, &frame).expect("taken");
    cluster.run().await;
    cluster.node(2).disk.set_full(Some(ErrorKind::StorageFull));
    cluster.replies.clear();
    let frame = request(0, 2, "deposit alice 1");
    cluster.node(0).inbox.client_frame(CLIENT, &frame).expect("taken");
    cluster.run().await;
    assert_eq!(cluster.results(2), ["ok 2"; 3]);
    let answered: Vec<u32> = cluster.replies.iter().map(|(from, _)| *from).collect();
    assert!(!answered.contains(&2), "{answered:?}");
    let metrics = Arc::clone(cluster.node(2).inbox.metrics());
    assert_eq!(metrics.not_voting.get(), 1);

    // A client that asks it hears that it must ask others; and it does not give up.
    let frame = request(0, 3, "deposit alice 1");
    cluster.node(2).inbox.client_frame(CLIENT, &frame).expect("taken");
    cluster.run().await;
    let refused = |(from, frame): &(u32, ReplicaFrame)| {
        let overloaded = RefusalReason::Overloaded;
        *from == 2 && matches!(frame, ReplicaFrame::Refused { reason, .. } if *reason == overloaded)
    };
    assert!(cluster.replies.iter().any(refused), "{:?}", cluster.replies);
    for _ in 0..3 {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        cluster.run().await;
    }
    assert!(metrics.disk_full.get() >= 2, "{}", metrics.disk_full.get());

    cluster.node(2).disk.set_full(None);
    for _ in 0..20 {
        tokio::time::advance(params(0, 4).status_interval).await;
        cluster.run().await;
    }
    assert_eq!(metrics.not_voting.get(), 0);
    let frame = request(0, 4, "balance alice");
    cluster.node(0).inbox.client_frame(CLIENT, &frame).expect("taken");
    cluster.run().await;
    assert_eq!(cluster.results(4), ["ok 2"; 4], "it has caught up, and votes");
}

#[tokio::test(start_paused = true)]
async fn a_killed_primary_is_replaced_and_catches_up_by_state_transfer() {
    let mut cluster = Cluster::start(4);
    let disk = cluster.nodes[0].take().expect("running").kill().await;
    let frame = request(0, 1, "deposit alice 1");
    for id in 1..4 {
        cluster.node(id).inbox.client_frame(CLIENT, &frame).expect("taken");
    }
    cluster.run().await;
    assert_eq!(cluster.results(1), [""; 0], "nobody orders it yet");
    tokio::time::advance(params(0, 4).view_timeout).await;
    cluster.run().await;
    assert_eq!(cluster.results(1), ["ok 1"; 3]);
    for timestamp in 2..12 {
        let frame = request(0, timestamp, "deposit alice 1");
        cluster.node(1).inbox.client_frame(CLIENT, &frame).expect("taken");
        cluster.run().await;
    }
    assert_eq!(cluster.results(11), ["ok 11"; 3]);

    cluster.nodes[0] = Some(Node::start(0, 4, disk, None));
    for _ in 0..20 {
        tokio::time::advance(params(0, 4).status_interval).await;
        cluster.run().await;
    }
    let frame = codec::encode(&ClientFrame::StatusRequest).expect("encoded");
    for id in 0..4 {
        cluster.node(id).inbox.client_frame(CLIENT, &frame).expect("taken");
    }
    cluster.replies.clear();
    cluster.run().await;
    let reports: Vec<StatusReport> = cluster
        .replies
        .iter()
        .filter_map(|(_, frame)| match frame {
            ReplicaFrame::Status(report) => Some(*report),
            _ => None,
        })
        .collect();
    assert_eq!(reports.len(), 4);
    for report in &reports {
        assert_eq!(report.state, reports[1].state, "{report:?}");
        assert_eq!(report.last_executed, reports[1].last_executed, "{report:?}");
        assert_eq!((report.view.0, report.active), (1, true), "{report:?}");
    }
}

/// Counts steps and releases.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<(Vec<&'static str>, usize)>>);

impl Observer for Watch {
    fn on_step(&mut self, input: &Input, outcome: &Result<Vec<Effect>, Rejection>, _: &Replica) {
        let mut seen = self.0.lock().expect("not poisoned");
        seen.0.push(match (input, outcome) {
            (_, Err(rejection)) => rejection.kind().as_str(),
            (Input::Request(_), Ok(_)) => "request",
            (Input::Message { message, .. }, Ok(_)) => message.get().kind(),
            (Input::Timer(_) | Input::Suspect, Ok(_)) => "timer",
            (Input::Executed { .. } | Input::Installed { .. }, Ok(_)) => "completion",
        });
    }

    fn on_release(&mut self) {
        self.0.lock().expect("not poisoned").1 += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn steps_are_observed_before_and_released_after_the_commit() {
    let watch = Watch::default();
    let mut node = Node::start(0, 4, MemoryDisk::default(), Some(Box::new(watch.clone())));
    let inbox = node.inbox.clone();
    let frame = request(0, 1, "open a");
    inbox.client_frame(CLIENT, &frame).expect("taken");
    inbox.client_frame(CLIENT, &frame).expect("taken");
    inbox.settled().await.expect("running");
    let seen = watch.0.lock().expect("not poisoned").0.clone();
    assert_eq!(seen, ["request", "duplicate"]);
    assert!(matches!(node.sent.try_recv(), Ok(Outgoing::Broadcast(_))), "the pre-prepare");

    // What it told the others, it remembers.
    let disk = node.kill().await;
    let store = Store::in_memory(&disk, Identity::new(common::CLUSTER, ReplicaId(0)));
    let store = store.expect("opened");
    assert!(store.durable().accepted.contains_key(&SeqNum(1)));
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_when_the_disk_fails() {
    let mut node = Node::start(0, 4, MemoryDisk::default(), None);
    let inbox = node.inbox.clone();
    inbox.settled().await.expect("running");
    node.disk.set_failing(true);
    inbox.client_frame(CLIENT, &request(0, 1, "open a")).expect("taken");
    let ended = (&mut node.task).await.expect("no panic");
    assert!(matches!(ended, Err(DriverError::Store(_))), "{ended:?}");
    assert!(node.sent.try_recv().is_err(), "the pre-prepare was not durable");
}

/// Outside fault F7: A replica whose disk fails when it halts stops all the same, and says that a restart would forget it.
#[tokio::test(start_paused = true)]
async fn a_halt_that_cannot_be_recorded_is_still_a_halt() {
    let mut cluster = Cluster::start(4);
    cluster.without_checkpoints = Some(2);
    for timestamp in 1..=2 {
        let frame = request(0, timestamp, "deposit alice 1");
        cluster.node(0).inbox.client_frame(CLIENT, &frame).expect("taken");
        cluster.run().await;
    }
    cluster.node(2).disk.set_failing(true);
    for id in [0, 1, 3] {
        let body = Checkpoint { seq: SeqNum(2), digest: CLUSTER, replica: ReplicaId(id) };
        let other = sign(&KeySigner::new(replica_key(id)), CLUSTER, body);
        let frame = codec::encode(&Message::Checkpoint(other)).expect("encoded");
        cluster.node(2).inbox.peer_frame(ReplicaId(id), &frame).await.expect("verified");
    }
    let mut halted = cluster.nodes[2].take().expect("running");
    let ended = (&mut halted.task).await.expect("no panic");
    let Err(error @ DriverError::HaltedUnrecorded { .. }) = ended else { panic!("{ended:?}") };
    let message = error.to_string();
    assert!(message.contains("this disk was told to fail"), "{message}");
    assert!(message.contains("Do not start it again"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_not_what_they_should_be_are_refused() {
    let node = Node::start(1, 4, MemoryDisk::default(), None);
    let inbox = &node.inbox;
    let from = ReplicaId(0);
    let refused = inbox.peer_frame(from, &[1, 2, 3]).await;
    assert!(
        matches!(refused, Err(InboxError::Unread(Unread::Frame(FrameError::Codec(_))))),
        "{refused:?}"
    );
    let huge = [&[2, 0, 0, 0], &[0; 10_000][..]].concat();
    let refused = inbox.peer_frame(from, &huge).await;
    assert!(
        matches!(refused, Err(InboxError::Unread(Unread::Frame(FrameError::TooLarge { .. })))),
        "{refused:?}"
    );
    let mut forged = request(0, 1, "open a");
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let refused = inbox.client_frame(CLIENT, &forged);
    let forgery = matches!(
        refused,
        Err(InboxError::Unread(Unread::Rejected(Rejection::BadSignature { .. })))
    );
    assert!(forgery, "{refused:?}");
    let refused = inbox.client_frame(pbft_core::types::ClientId(9), &request(0, 1, "open a"));
    let reason = match &refused {
        Err(InboxError::Unread(Unread::Refused { reason, .. })) => Some(*reason),
        _ => None,
    };
    assert_eq!(reason, Some(RefusalReason::NotYours), "{refused:?}");
    inbox.settled().await.expect("still running");
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_replica_says_so() {
    let node = Node::start(0, 4, MemoryDisk::default(), None);
    // The driver does not run while this task does not wait.
    let refused = (1..2000).find_map(|timestamp| {
        node.inbox.client_frame(CLIENT, &request(0, timestamp, "open a")).err()
    });
    let Some(InboxError::Unread(Unread::Refused { reason, answer })) = refused else {
        panic!("the queue has no bound: {refused:?}")
    };
    assert_eq!(reason, RefusalReason::Overloaded);
    assert!(matches!(*answer, ReplicaFrame::Refused { .. }));
}

#[tokio::test(start_paused = true)]
async fn contradictions_are_kept_as_evidence() {
    let node = Node::start(1, 4, MemoryDisk::default(), None);
    for operation in ["open a", "open b"] {
        // Replica 0, the primary, proposes two batches for one sequence number.
        let mut liar = Node::start(0, 4, MemoryDisk::default(), None);
        liar.inbox.client_frame(CLIENT, &request(0, 1, operation)).expect("taken");
        liar.inbox.settled().await.expect("running");
        let Ok(Outgoing::Broadcast(frame)) = liar.sent.try_recv() else {
            panic!("no pre-prepare was sent")
        };
        assert!(matches!(codec::decode(&frame), Ok(Message::PrePrepare(_))));
        node.inbox.peer_frame(ReplicaId(0), &frame).await.expect("verified");
    }
    node.inbox.settled().await.expect("running");
    let disk = node.kill().await;
    let store = Store::in_memory(&disk, Identity::new(CLUSTER, ReplicaId(1)));
    let evidence = store.expect("opened").evidence().expect("read");
    let [contradiction] = &evidence[..] else { panic!("one contradiction: {evidence:?}") };
    assert!(contradiction.to_string().starts_with("r0 sent"), "{contradiction}");
    assert!(contradiction.to_string().ends_with("as pre-prepare for v0 #1"), "{contradiction}");
    // Anybody who has the keys can check it, and it proves nothing that was not said.
    let proves = |it: &Contradiction| it.is_proof(&params(2, 4), &common::key_ring(4));
    assert!(proves(contradiction));
    let Contradiction { first, second } = contradiction.clone();
    assert!(!proves(&Contradiction { first: first.clone(), second: first.clone() }));
    let SignedVote::PrePrepare(mut forged) = second else { panic!("a pre-prepare") };
    forged.body.digest = CLUSTER;
    assert!(!proves(&Contradiction { first, second: SignedVote::PrePrepare(forged) }));
}
