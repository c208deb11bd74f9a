//! Digests of fixed values, computed from `docs/wire.md` alone, by a program of another language: neither the core nor the
//! second encoder made the numbers here.

use pbft_conformance::refinement::layout::{
    self, Domain, Reply, Signable, State, batch_digest, request_digest, statement,
};
use pbft_core::crypto::{Body, Statement};
use pbft_core::manifest::{ChunkId, Manifest, chunk_digest};
use pbft_core::message::{
    self as core, Batch, Checkpoint, Commit, NewView, PrePrepare, Prepare, PreparedCertificate,
    Request, Signed, StableCertificate, Status, ViewChange,
};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{
    ClientId, Digest, Lane, ReplicaId, SeqNum, Session, Signature, Timestamp, View,
};
use pbft_node::hex;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

const CLUSTER: Digest = Digest([0x77; 32]);

fn signed<B>(body: B, r: u8, s: u8) -> Signed<B> {
    Signed { body, signature: Signature { r: [r; 32], s: [s; 32] } }
}

fn request() -> Request {
    Request {
        client: ClientId(0x0102_0304),
        lane: Lane(0x0506),
        timestamp: Timestamp(0x0708_090a_0b0c_0d0e),
        session: Session(0x1112_1314_1516_1718),
        operation: b"pay 5".to_vec(),
    }
}

fn batch() -> Batch {
    let other = Request {
        client: ClientId(7),
        lane: Lane(1),
        timestamp: Timestamp(2),
        session: Session(3),
        operation: Vec::new(),
    };
    Batch { requests: vec![signed(request(), 1, 2), signed(other, 3, 4)] }
}

fn pre_prepare(view: u64, replica: u32) -> PrePrepare {
    let (seq, digest) = (SeqNum(9), Digest([0xd1; 32]));
    PrePrepare { view: View(view), seq, digest, replica: ReplicaId(replica) }
}

fn prepare(replica: u32) -> Prepare {
    let PrePrepare { view, seq, digest, .. } = pre_prepare(2, 0);
    Prepare { view, seq, digest, replica: ReplicaId(replica) }
}

fn commit(replica: u32) -> Commit {
    let PrePrepare { view, seq, digest, .. } = pre_prepare(2, 0);
    Commit { view, seq, digest, replica: ReplicaId(replica) }
}

fn checkpoint(replica: u32) -> Checkpoint {
    Checkpoint { seq: SeqNum(8), digest: Digest([0xc1; 32]), replica: ReplicaId(replica) }
}

fn view_change() -> ViewChange {
    let prepares = vec![signed(prepare(0), 5, 6), signed(prepare(1), 7, 8)];
    let certificate =
        PreparedCertificate { pre_prepare: signed(pre_prepare(2, 2), 9, 10), prepares };
    let checkpoints = vec![signed(checkpoint(0), 11, 12), signed(checkpoint(1), 13, 14)];
    ViewChange {
        view: View(3),
        low_water_mark: SeqNum(8),
        stable: StableCertificate { checkpoints },
        prepared: vec![certificate],
        replica: ReplicaId(1),
    }
}

fn new_view() -> NewView {
    NewView {
        view: View(3),
        view_changes: vec![Arc::new(signed(view_change(), 15, 16))],
        pre_prepares: vec![signed(pre_prepare(3, 3), 17, 18)],
        replica: ReplicaId(3),
    }
}

fn reply() -> core::Reply {
    core::Reply {
        view: View(2),
        client: ClientId(7),
        lane: Lane(1),
        timestamp: Timestamp(2),
        request: Digest([0xe1; 32]),
        replica: ReplicaId(3),
        result: (*b"ok").into(),
    }
}

fn status() -> Status {
    Status {
        replica: ReplicaId(1),
        view: View(2),
        active: true,
        low_water_mark: SeqNum(8),
        last_executed: SeqNum(9),
    }
}

/// Core and second encoder sign the same bytes, and these hash to what is on record.
#[track_caller]
fn signs<B: Body + Signable>(body: &B, golden: &str) {
    let bytes = statement(CLUSTER, body);
    assert_eq!(Statement::new(CLUSTER, body).bytes(), bytes, "the core signs something else");
    assert_eq!(hex::encode(&Sha256::digest(&bytes)), golden);
}

#[test]
fn what_is_signed() {
    signs(&request(), "6ec9af57a4377572de8999c4af89e9e0c15591f94281aea3e2d243cd6c6737ff");
    signs(&pre_prepare(2, 2), "6ba01a9ce285d6f9ff199630a1f33610335fd529267ca2e694899989e93f3570");
    signs(&prepare(2), "74d107f982e69200b44e3cf40856fab7d42b41bf322cd263cd3884d7ed700aa9");
    signs(&commit(2), "272241776f25237c9a76334c984c321f27dcd0aca8aabfd8e7c0ea497e59e0e6");
    signs(&checkpoint(0), "ffb550933220327e4ab80f707420131f35e5c7d1b14d7420ce7f376d478030f5");
    signs(&view_change(), "25d9f667d081fd1b8d5db0182caf6aea7a0fd5b6225f671d6e826dfc55153d44");
    signs(&new_view(), "f2e00bbf4c4185a4dcf50b260a3e10c42969b26c15736b7e13983b3345975cf9");
    signs(&reply(), "08ea703a9a859f443ee19cfef921b67a7212b18dc583779a07f55b0ffcf6d15e");
    signs(&status(), "790f7909b56247c73ea99f3b5de2f395aeeac21dec409e860cebbc52e9d9edc7");
}

#[track_caller]
fn is(golden: &str, second: Digest, core: Digest) {
    assert_eq!(hex::encode(&second.0), golden, "the second encoder's");
    assert_eq!(hex::encode(&core.0), golden, "the core's");
}

#[test]
fn digests() {
    is(
        "53a556f30c2978aaea7bf621ff24ec549afd88b2c560f43ede0b608fd0711891",
        request_digest(&request()),
        request().digest(),
    );
    is(
        "5c5968cf0748fe62c6870aa958a034608552a3890d27ca7ef8c66fb41b7b32fe",
        batch_digest(&batch()),
        batch().digest(),
    );
    is(
        "0e00a08e4f756c8db1ac0fef0847e2a5de60bad1516c511b9c53db71182df9fc",
        batch_digest(&Batch::default()),
        Batch::default().digest(),
    );
    is(
        "171d9288c746ac9151358f0cdc041e8cce7d74a45b9a10951288241407b60c56",
        layout::digest(Domain::Chunk, b"chunk"),
        chunk_digest(b"chunk"),
    );
}

#[test]
fn a_state() {
    let lanes =
        [(8, 0, 8, 0xa4, "w"), (1, 9, 7, 0xa3, "yz"), (7, 1, 6, 0xa2, ""), (1, 0, 5, 0xa1, "x")];
    let replies = lanes.map(|(client, lane, timestamp, request, result)| Reply {
        client: ClientId(client),
        lane: Lane(lane),
        timestamp: Timestamp(timestamp),
        request: Digest([request; 32]),
        result: result.into(),
    });
    let state = State::new(SeqNum(64), replies.to_vec(), vec![b"service".to_vec()]);
    let mut table = ReplyTable::default();
    for Reply { client, lane, timestamp, request, result } in replies {
        table.record(client, lane, LastReply { timestamp, request, result: result.into() });
    }
    let chunks = table.chunks();
    assert_eq!(state.chunks[..3], chunks[..], "the core's chunks of the reply table");
    let ids = chunks.iter().map(|bytes| ChunkId::of(bytes)).collect();
    let manifest = Manifest::new(SeqNum(64), ids, vec![ChunkId::of(b"service")]);
    assert_eq!(state.manifest, manifest.encode(), "the core's manifest");
    assert_eq!(
        hex::encode(&Sha256::digest(&state.manifest)),
        "09a6e5e4b0d4bc8d4253d80b889899268f1f1efadbbbda2238c3517d8b5c9fb9"
    );
    is(
        "0d06100d8a5f2b8b7125237d2ec0b6704c3f990170c2838eca813a6951519a78",
        state.digest(),
        manifest.digest(),
    );
}
