//! No two values have one digest or one signature: whatever value of a body, batch or state is changed, and wherever a byte or an
//! element moves from one field to the next.

use crate::dice::Dice;
use pbft_conformance::forge::map::{Map, Sort};
use pbft_conformance::refinement::layout::{
    self, Signable, batch_digest, request_digest, statement,
};
use pbft_core::crypto::{Body, Statement};
use pbft_core::manifest::Manifest;
use pbft_core::message::{
    Batch, Checkpoint, Commit, Message, NewView, PrePrepare, Prepare, Reply, Request, Status,
    ViewChange,
};
use pbft_core::replies::ReplyTable;
use pbft_core::types::Digest;
use pbft_node::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Values of each kind of body.
const VALUES: usize = 60;

const CLUSTER: Digest = Digest([3; 32]);

trait Value: Serialize + DeserializeOwned + PartialEq + Debug {}
impl<T: Serialize + DeserializeOwned + PartialEq + Debug> Value for T {}

/// All values that differ from `value` in one place.
fn neighbours<T: Value>(value: &T) -> Vec<T> {
    let map = Map::of(value).expect("a map");
    assert_eq!(map.bytes, codec::encode(value).expect("bytes"), "the map is of the bytes");
    let mut all = Vec::new();
    for leaf in &map.leaves {
        let range = leaf.range.clone();
        for at in [range.start, range.end.saturating_sub(1)] {
            if range.contains(&at) {
                let mut bytes = map.bytes.clone();
                bytes[at] ^= 1;
                all.push(bytes);
            }
        }
        if leaf.sort == Sort::String {
            let mut bytes = map.bytes.clone();
            bytes.insert(range.end, 0);
            let length = (range.len() as u64 + 1).to_le_bytes();
            bytes[range.start - 8..range.start].copy_from_slice(&length);
            all.push(bytes);
        }
    }
    for signed in &map.signed {
        let mut bytes = map.bytes.clone();
        bytes[signed.signature.start] ^= 1;
        all.push(bytes);
    }
    for list in &map.lists {
        if let Some(last) = list.elements.last() {
            let mut bytes = map.bytes.clone();
            bytes.drain(last.clone());
            let length = (list.elements.len() as u64 - 1).to_le_bytes();
            bytes[list.length..list.length + 8].copy_from_slice(&length);
            all.push(bytes);
        }
    }
    all.extend(moved(&map));
    let values = all.iter().filter_map(|bytes| codec::decode(bytes).ok());
    values.filter(|other| other != value).collect()
}

/// With one byte, or one element, of a string or list moved to the next one.
fn moved(map: &Map) -> Vec<Vec<u8>> {
    let strings: Vec<_> = map.leaves.iter().filter(|leaf| leaf.sort == Sort::String).collect();
    let strings = strings.windows(2).map(|pair| (pair[0].range.clone(), pair[1].range.clone()));
    let strings = strings.filter(|(one, _)| !one.is_empty()).map(|(one, other)| {
        let mut bytes = map.bytes.clone();
        let byte = bytes[one.end - 1];
        bytes.insert(other.start, byte);
        bytes[other.start - 8..other.start]
            .copy_from_slice(&(other.len() as u64 + 1).to_le_bytes());
        bytes.remove(one.end - 1);
        bytes[one.start - 8..one.start].copy_from_slice(&(one.len() as u64 - 1).to_le_bytes());
        bytes
    });
    let lists = map.lists.windows(2).filter_map(|pair| {
        let (last, to) = (pair[0].elements.last()?, &pair[1]);
        if to.length < last.end {
            return None;
        }
        let mut bytes = map.bytes.clone();
        let element = bytes[last.clone()].to_vec();
        let place = to.length + 8;
        bytes.splice(place..place, element);
        bytes[to.length..place].copy_from_slice(&(to.elements.len() as u64 + 1).to_le_bytes());
        bytes.drain(last.clone());
        let from = pair[0].length;
        let left = (pair[0].elements.len() as u64 - 1).to_le_bytes();
        bytes[from..from + 8].copy_from_slice(&left);
        Some(bytes)
    });
    strings.chain(lists).collect()
}

fn all_differ<T: Value, D: PartialEq + Debug>(what: &str, digest: impl Fn(&T) -> D) {
    let mut dice = Dice::new(1);
    let mut compared = 0;
    for _ in 0..VALUES {
        let value: T = dice.value();
        let own = digest(&value);
        for other in neighbours(&value) {
            assert_ne!(own, digest(&other), "{what}: {value:?} and {other:?}");
            compared += 1;
        }
    }
    assert!(compared > VALUES, "{what}: too few values differ in one place");
}

/// Both encoders agree, and what they sign differs wherever the bodies do.
fn signed_bytes_differ<B: Body + Signable + Value>(what: &str) {
    all_differ::<B, _>(what, |body| {
        let bytes = statement(CLUSTER, body);
        assert_eq!(Statement::new(CLUSTER, body).bytes(), bytes, "the core signs something else");
        bytes
    });
}

#[test]
fn signed_bytes() {
    signed_bytes_differ::<Request>("REQUEST");
    signed_bytes_differ::<PrePrepare>("PRE-PREPARE");
    signed_bytes_differ::<Prepare>("PREPARE");
    signed_bytes_differ::<Commit>("COMMIT");
    signed_bytes_differ::<Checkpoint>("CHECKPOINT");
    signed_bytes_differ::<ViewChange>("VIEW-CHANGE");
    signed_bytes_differ::<NewView>("NEW-VIEW");
    signed_bytes_differ::<Reply>("REPLY");
    signed_bytes_differ::<Status>("STATUS");
}

/// One and the same body, as one kind and as another.
#[test]
fn signed_bytes_of_another_kind_or_cluster() {
    let vote: PrePrepare = Dice::new(2).value();
    let PrePrepare { view, seq, digest, replica } = vote.clone();
    let all = [
        Statement::new(CLUSTER, &vote).bytes(),
        Statement::new(CLUSTER, &Prepare { view, seq, digest, replica }).bytes(),
        Statement::new(CLUSTER, &Commit { view, seq, digest, replica }).bytes(),
        Statement::new(Digest([4; 32]), &vote).bytes(),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "two statements have the same bytes");
    }
}

#[test]
fn digests() {
    all_differ::<Request, _>("a request", |request| {
        let digest = request_digest(request);
        assert_eq!(request.digest(), digest);
        digest
    });
    all_differ::<Batch, _>("a batch", |batch| {
        let digest = batch_digest(batch);
        assert_eq!(batch.digest(), digest);
        digest
    });
    all_differ::<Manifest, _>("a manifest", Manifest::digest);
    all_differ::<ReplyTable, _>("a reply table", ReplyTable::chunks);
    all_differ::<Message, _>("a message", |message| codec::encode(message).expect("bytes"));
}

/// What one digest is of is never taken for what another is of.
#[test]
fn digests_of_different_things() {
    use layout::Domain::{Batch, Chunk, Manifest, Null, Request};
    let all = [Batch, Null, Manifest, Chunk, Request].map(|domain| layout::digest(domain, b"same"));
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "two kinds of digest are one");
    }
}
