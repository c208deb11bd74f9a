//! What a replica spares itself: signatures that nothing depends on (D25), and writes that nobody waits for (D26).

// Other tests use the rest of it.
#[allow(dead_code)]
mod common;

use bytes::Bytes;
use common::{CLIENT, CLUSTER, Node, replica_key, request};
use pbft_core::RejectionKind;
use pbft_core::crypto::sign;
use pbft_core::evidence::SignedVote;
use pbft_core::message::{
    Message, NewView, Prepare, Request, Signed, StableCertificate, ViewChange,
};
use pbft_core::types::{Digest, Lane, ReplicaId, SeqNum, Session, Signature, Timestamp, View};
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, RefusalReason, ReplicaFrame};
use pbft_node::inbox::{InboxError, Unread};
use pbft_node::keyring::KeySigner;
use pbft_node::network::Outgoing;
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::sync::Arc;
use std::time::Duration;

/// What a node has broadcast since it was asked last.
async fn said(node: &mut Node) -> Vec<Bytes> {
    node.inbox.settled().await.expect("running");
    let mut frames = Vec::new();
    while let Ok(sent) = node.sent.try_recv() {
        if let Outgoing::Broadcast(frame) = sent {
            frames.push(frame);
        }
    }
    frames
}

/// A backup, and what three others say to make a batch of one deposit prepared and final there.
struct Scene {
    backup: Node,
    pre_prepare: Bytes,
    /// By replica 2, then by replica 3.
    prepares: [Bytes; 2],
    /// By replica 0, then by replica 2.
    commits: [Bytes; 2],
}

async fn scene() -> Scene {
    let start = |id| Node::start(id, 4, MemoryDisk::default(), None);
    let [mut primary, mut second, mut third] = [start(0), start(2), start(3)];
    let frame = request(0, 1, "deposit alice 7");
    primary.inbox.client_frame(CLIENT, &frame).expect("taken");
    let pre_prepare = said(&mut primary).await.remove(0);
    let mut prepares = Vec::new();
    for node in [&mut second, &mut third] {
        node.inbox.peer_frame(ReplicaId(0), &pre_prepare).await.expect("good");
        prepares.push(said(node).await.remove(0));
    }
    let prepares: [Bytes; 2] = prepares.try_into().expect("two");
    second.inbox.peer_frame(ReplicaId(3), &prepares[1]).await.expect("good");
    for (from, prepare) in [2, 3].map(ReplicaId).into_iter().zip(&prepares) {
        primary.inbox.peer_frame(from, prepare).await.expect("good");
    }
    let commits = [said(&mut primary).await.remove(0), said(&mut second).await.remove(0)];
    Scene { backup: start(1), pre_prepare, prepares, commits }
}

impl Scene {
    async fn prepare(&self) {
        for (from, frame) in [(0, &self.pre_prepare), (2, &self.prepares[0])] {
            self.backup.inbox.peer_frame(ReplicaId(from), frame).await.expect("good");
        }
        self.backup.inbox.settled().await.expect("running");
    }
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_nothing_needs_is_not_verified_unless_it_is_contradicted() {
    let scene = scene().await;
    scene.prepare().await;
    let metrics = scene.backup.inbox.metrics().clone();
    assert_eq!(metrics.votes_surplus.get(), 0);
    let from = ReplicaId(3);
    let late = &scene.prepares[1];
    let mut forged = late.to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    scene.backup.inbox.peer_frame(from, late).await.expect("not looked at");
    scene.backup.inbox.peer_frame(from, &forged).await.expect("not looked at");
    assert_eq!(metrics.votes_surplus.get(), 2);

    let Ok(Message::Prepare(vote)) = codec::decode(late) else { panic!("a PREPARE") };
    let body = Prepare { digest: Digest([9; 32]), ..vote.body.clone() };
    let other = sign(&KeySigner::new(replica_key(3)), CLUSTER, body);
    let frame = codec::encode(&Message::Prepare(other.clone())).expect("encoded");
    scene.backup.inbox.peer_frame(from, &frame).await.expect("well signed");
    scene.backup.inbox.settled().await.expect("running");
    assert_eq!((metrics.votes_surplus.get(), metrics.evidence.get("prepare")), (2, 1));
    let disk = scene.backup.kill().await;
    let store = Store::in_memory(&disk, Identity::new(CLUSTER, ReplicaId(1))).expect("opened");
    let evidence = store.evidence().expect("read");
    let [contradiction] = &evidence[..] else { panic!("one contradiction: {evidence:?}") };
    assert_eq!(contradiction.first, SignedVote::Prepare(vote));
    assert_eq!(contradiction.second, SignedVote::Prepare(other));
}

fn encoded(message: &Message) -> Vec<u8> {
    codec::encode(message).expect("encoded")
}

fn view_change(view: u64, replica: u32) -> Arc<Signed<ViewChange>> {
    let (low_water_mark, replica_id) = (SeqNum(0), ReplicaId(replica));
    let (stable, prepared) = (StableCertificate::default(), Vec::new());
    let body =
        ViewChange { view: View(view), low_water_mark, stable, prepared, replica: replica_id };
    Arc::new(sign(&KeySigner::new(replica_key(replica)), CLUSTER, body))
}

/// Outside fault F17: A NEW-VIEW for a view that was left costs a thousand signature checks before it is refused.
#[tokio::test(start_paused = true)]
async fn what_would_be_refused_anyway_is_not_verified_and_ends_no_connection() {
    let node = Node::start(1, 4, MemoryDisk::default(), None);
    let metrics = node.inbox.metrics().clone();
    for from in [2, 3] {
        let frame = encoded(&Message::ViewChange(view_change(6, from)));
        node.inbox.peer_frame(ReplicaId(from), &frame).await.expect("good");
    }
    node.inbox.settled().await.expect("running");
    assert_eq!(node.inbox.position().view, View(6));
    let checked = metrics.signatures_checked.get();

    let (view, replica) = (View(2), ReplicaId(2));
    let view_changes = [0, 2, 3].map(|id| view_change(2, id)).to_vec();
    let body = NewView { view, view_changes, pre_prepares: Vec::new(), replica };
    let new_view = Arc::new(sign(&KeySigner::new(replica_key(2)), CLUSTER, body));
    let late = [
        (Message::NewView(new_view), RejectionKind::WrongView),
        (Message::ViewChange(view_change(5, 0)), RejectionKind::WrongView),
        (Message::ViewChange(view_change(6, 2)), RejectionKind::Duplicate),
        (Message::Batch(Arc::default()), RejectionKind::NotRequested),
    ];
    for (message, kind) in &late {
        let outcome = node.inbox.peer_frame(replica, &encoded(message)).await;
        let Err(InboxError::Unread(Unread::NotVerified(rejection))) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(rejection.kind(), *kind);
    }
    assert_eq!(metrics.signatures_checked.get(), checked);
    let counted = |kind| metrics.frames_not_verified.get(kind);
    let counts = ["wrong-view", "duplicate", "not-requested"].map(counted);
    assert_eq!((counts, metrics.frames_refused.get("wrong-view")), ([2, 1, 1], 0));
}

/// A client is told at once what its request is refused for, whoever has signed it.
#[tokio::test(start_paused = true)]
async fn a_request_beyond_a_bound_is_refused_before_its_signature_is_checked() {
    let node = Node::start(1, 4, MemoryDisk::default(), None);
    let beyond = [(Lane(u16::MAX), Timestamp(1)), (Lane(0), Timestamp(u64::MAX))];
    let reasons = beyond.map(|(lane, timestamp)| {
        let (session, operation) = (Session::default(), b"deposit alice 7".to_vec());
        let body = Request { client: CLIENT, lane, timestamp, session, operation };
        let request = Arc::new(Signed { body, signature: Signature::default() });
        let frame = codec::encode(&ClientFrame::Request(request)).expect("encoded");
        match node.inbox.client_frame(CLIENT, &frame) {
            Err(InboxError::Unread(Unread::Refused { reason, .. })) => reason,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(reasons, [RefusalReason::LaneTooHigh, RefusalReason::TimestampTooHigh]);
    assert_eq!(node.inbox.metrics().signatures_checked.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reply_does_not_wait_for_the_disk() {
    let mut scene = scene().await;
    scene.prepare().await;
    said(&mut scene.backup).await;
    let before = scene.backup.disk.syncs();
    for (from, frame) in [0, 2].into_iter().zip(&scene.commits) {
        scene.backup.inbox.peer_frame(ReplicaId(from), frame).await.expect("good");
    }
    let result = |sent: Option<Outgoing>| match sent {
        Some(Outgoing::Reply { frame, .. }) => match codec::decode(&frame) {
            Ok(ReplicaFrame::Reply(reply)) => reply.body.result,
            other => panic!("a reply: {other:?}"),
        },
        other => panic!("a reply: {other:?}"),
    };
    let reply = result(scene.backup.sent.recv().await);
    assert_eq!(&*reply, b"ok 7");
    assert_eq!(scene.backup.disk.syncs(), before, "nothing was written for it");
    let executed = |disk: &MemoryDisk| {
        let identity = Identity::new(CLUSTER, ReplicaId(1));
        let store = Store::in_memory(&disk.after_power_cut(), identity).expect("opened");
        assert!(store.durable().prepared.contains_key(&SeqNum(1)), "what it promised is");
        store.last_executed().expect("read")
    };
    assert_eq!(executed(&scene.backup.disk), SeqNum(0));

    // After a power cut it does the same again.
    let disk = scene.backup.disk.after_power_cut();
    let mut again = Node::start(1, 4, disk, None);
    for (from, frame) in [0, 2].into_iter().zip(&scene.commits) {
        again.inbox.peer_frame(ReplicaId(from), frame).await.expect("good");
    }
    again.inbox.settled().await.expect("running");
    let mut sent = std::iter::from_fn(|| again.sent.try_recv().ok());
    let answer = sent.find(|sent| matches!(sent, Outgoing::Reply { .. }));
    assert_eq!(result(answer), reply);

    // And when nothing else comes, what was executed is written by itself.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(scene.backup.disk.syncs(), before + 1);
    assert_eq!(executed(&scene.backup.disk), SeqNum(1));
}

/// The COMMITs of others come first, so that the replica's own one makes the batch final, in the step that sends it. Then
/// the reply rests on a vote that is not durable.
#[tokio::test(start_paused = true)]
async fn a_reply_waits_for_the_vote_that_it_rests_on() {
    for failing in [false, true] {
        let mut scene = scene().await;
        let node = &scene.backup;
        node.inbox.peer_frame(ReplicaId(0), &scene.pre_prepare).await.expect("good");
        for (from, frame) in [0, 2].into_iter().zip(&scene.commits) {
            node.inbox.peer_frame(ReplicaId(from), frame).await.expect("good");
        }
        node.inbox.settled().await.expect("running");
        scene.backup.disk.set_failing(failing);
        scene.backup.inbox.peer_frame(ReplicaId(2), &scene.prepares[0]).await.expect("good");
        let settled = scene.backup.inbox.settled().await;
        let sent: Vec<_> = std::iter::from_fn(|| scene.backup.sent.try_recv().ok()).collect();
        let replies = sent.iter().filter(|one| matches!(one, Outgoing::Reply { .. })).count();
        assert_eq!((settled.is_err(), replies), (failing, usize::from(!failing)));
    }
}
