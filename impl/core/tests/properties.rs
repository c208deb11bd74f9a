//! What holds for all inputs, tried on arbitrary ones.

use crate::common::craft;
use crate::common::keys::{TestVerifier, signed};
use crate::common::lone::Lone;
use crate::common::params;
use crate::common::tape::Tape;
use pbft_core::Membership;
use pbft_core::canonical::Canonical;
use pbft_core::client::{ClientEffect, ClientInput, ClientLane, Patience};
use pbft_core::crypto::{Statement, verify_reply};
use pbft_core::manifest::{ChunkId, Manifest};
use pbft_core::message::{Commit, PrePrepare, Prepare, Reply, Signed};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, SeqNum, Timestamp, View};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn run(tapes: &[Vec<u8>]) -> Lone {
    let mut lone = Lone::new();
    tapes.iter().for_each(|tape| lone.play(tape));
    lone
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Verified messages with whatever content, even with more than f liars: no panic, a rejection changes nothing, the
    /// log stays bounded, and a restart at any moment gives the same replica.
    #[test]
    fn no_input_breaks_a_replica(tapes in vec(vec(any::<u8>(), 0..64), 0..80)) {
        run(&tapes);
    }

    #[test]
    fn a_manifest_reads_back(seq in any::<u64>(), chunks in vec(any::<([u8; 32], u32)>(), 0..9), replies in 0usize..9) {
        let chunks: Vec<_> = chunks.into_iter().map(|(digest, len)| ChunkId { digest: Digest(digest), len }).collect();
        let (replies, service) = chunks.split_at(replies.min(chunks.len()));
        let manifest = Manifest::new(SeqNum(seq), replies.to_vec(), service.to_vec());
        prop_assert_eq!(manifest.encode().len(), manifest.encoded_len());
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
    }

    #[test]
    fn what_reads_as_a_manifest_is_its_encoding(bytes in vec(any::<u8>(), 0..120)) {
        if let Some(manifest) = Manifest::decode(&bytes) {
            prop_assert_eq!(manifest.encode(), bytes);
        }
    }

    #[test]
    fn a_reply_table_reads_back(entries in reply_entries()) {
        let table = table_of(&entries);
        prop_assert_eq!(ReplyTable::from_chunks(table.chunks().iter().map(|chunk| &**chunk)), Some(table));
    }

    #[test]
    fn a_full_reply_table_has_the_bytes_that_are_allowed_for(clients in 1..4u32, lanes in 1..5u16, result in 1..40usize) {
        let mut params = params(4, 0);
        (params.lanes_max, params.result_bytes_max) = (lanes, result);
        let mut table = ReplyTable::default();
        for client in 0..clients {
            for lane in 0..lanes {
                let (request, result) = (Digest([3; 32]), vec![7; result].into());
                let reply = LastReply { timestamp: Timestamp(1), request, result };
                table.record(ClientId(client), Lane(lane), reply);
            }
        }
        prop_assert_eq!(table.chunks().concat().len(), params.reply_table_bytes_max(clients as usize));
    }

    /// Also of a table with a byte changed, removed or added: one table has one encoding.
    #[test]
    fn what_reads_as_a_reply_table_is_its_encoding(
        entries in reply_entries(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        how in 0..4,
    ) {
        let mut chunks = table_of(&entries).chunks();
        let mut bytes = chunks.pop().unwrap_or_default();
        let at = at.index(bytes.len() + 1);
        match how {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 => bytes.truncate(at),
            _ => {}
        }
        chunks.push(bytes);
        if let Some(table) = ReplyTable::from_chunks(chunks.iter().map(|chunk| &**chunk)) {
            prop_assert_eq!(table.chunks(), chunks);
        }
    }

    /// Different bodies have different canonical bytes, and different kinds of body different statements: no
    /// signature means two things.
    #[test]
    fn statements_are_injective(one in vec(any::<u8>(), 0..40), other in vec(any::<u8>(), 0..40)) {
        let cluster = Digest([7; 32]);
        let (a, b) = (&mut Tape::new(&one), &mut Tape::new(&other));
        same_iff_equal(&a.pre_prepare().body, &b.pre_prepare().body)?;
        same_iff_equal(&a.prepare().body, &b.prepare().body)?;
        same_iff_equal(&a.checkpoint().body, &b.checkpoint().body)?;
        same_iff_equal(&a.request().body, &b.request().body)?;
        let (v, w) = (a.view(), b.view());
        same_iff_equal(&a.view_change(v).body, &b.view_change(w).body)?;
        same_iff_equal(&*a.batch(), &*b.batch())?;
        let Prepare { view, seq, digest, replica } = a.prepare().body;
        let statements: BTreeSet<_> = [
            Statement::new(cluster, &PrePrepare { view, seq, digest, replica }).bytes(),
            Statement::new(cluster, &Prepare { view, seq, digest, replica }).bytes(),
            Statement::new(cluster, &Commit { view, seq, digest, replica }).bytes(),
            Statement::new(Digest([8; 32]), &Commit { view, seq, digest, replica }).bytes(),
        ].into();
        prop_assert_eq!(statements.len(), 4);
    }

    /// §4.1: a client takes a result at exactly f+1 equal replies of different replicas, not before; and learns of no
    /// view that fewer than f+1 of them claim.
    #[test]
    fn a_client_accepts_at_exactly_f_plus_one(n in 4u32..11, script in vec((0u32..12, 0u8..3, 0u64..5), 0..40)) {
        let membership = Membership::new(n).expect("valid size");
        let second = core::time::Duration::from_secs(1);
        let mut lane = ClientLane::new(membership, Patience { first: second, max: second });
        lane.step(ClientInput::Submit(craft::request(1, 1))).expect("idle");
        let mut votes: BTreeMap<u32, (u8, u64)> = BTreeMap::new();
        for (replica, result, view) in script {
            let reply = reply(replica, result, view);
            let reply = verify_reply(&params(n, 0), &TestVerifier, reply).expect("signed").into_inner();
            let outcome = lane.step(ClientInput::Reply(reply));
            if replica >= n {
                prop_assert!(outcome.is_err());
                continue;
            }
            votes.insert(replica, (result, view));
            let mut views: Vec<_> = votes.values().filter(|v| v.0 == result).map(|v| v.1).collect();
            let done = outcome.expect("waiting").into_iter().any(|e| matches!(e, ClientEffect::Done { .. }));
            prop_assert_eq!(done, views.len() > membership.faults());
            if done {
                views.sort_unstable();
                let claimed = views[views.len() - membership.weak()];
                prop_assert_eq!(lane.view(), View(claimed));
                prop_assert!(!lane.is_busy());
                break;
            }
        }
    }
}

/// The arbitrary inputs above are no empty gesture: every kind of input is accepted by some of them.
#[test]
fn arbitrary_inputs_reach_every_handler() {
    let mut rng = crate::common::random::Rng(1);
    let mut accepted = BTreeSet::new();
    for _ in 0..1500 {
        let tape =
            |rng: &mut crate::common::random::Rng| (0..64).map(|_| rng.next() as u8).collect();
        let tapes: Vec<Vec<u8>> = (0..60).map(|_| tape(&mut rng)).collect();
        accepted.extend(run(&tapes).accepted);
    }
    let all = [
        "batch",
        "checkpoint",
        "client's request",
        "commit",
        "committed",
        "executed",
        "fetch-batch",
        "fetch-state",
        "installed",
        "new-view",
        "pre-prepare",
        "prepare",
        "request",
        "stable",
        "state-data",
        "status",
        "suspect",
        "timer",
        "view-change",
    ];
    assert_eq!(accepted, all.into());
}

fn same_iff_equal<B: Canonical + PartialEq>(one: &B, other: &B) -> Result<(), TestCaseError> {
    let bytes = |body: &B| {
        let mut bytes = Vec::new();
        body.encode(&mut bytes);
        bytes
    };
    prop_assert_eq!(one == other, bytes(one) == bytes(other));
    Ok(())
}

fn reply(replica: u32, result: u8, view: u64) -> Signed<Reply> {
    signed(Reply {
        view: View(view),
        client: ClientId(1),
        lane: Lane(0),
        timestamp: Timestamp(1),
        request: craft::request(1, 1).body.digest(),
        replica: ReplicaId(replica),
        result: vec![result].into(),
    })
}

type Entry = (u32, u16, u64, Vec<u8>);

fn reply_entries() -> impl Strategy<Value = Vec<Entry>> {
    vec((any::<u32>(), any::<u16>(), any::<u64>(), vec(any::<u8>(), 0..20)), 0..6)
}

fn table_of(entries: &[Entry]) -> ReplyTable {
    let mut table = ReplyTable::default();
    for (client, lane, timestamp, result) in entries {
        let (request, timestamp) = (Digest([*timestamp as u8; 32]), Timestamp(*timestamp));
        let reply = LastReply { timestamp, request, result: result[..].into() };
        table.record(ClientId(*client), Lane(*lane), reply);
    }
    table
}
