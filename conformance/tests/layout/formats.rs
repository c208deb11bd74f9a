//! No encoding changes unseen: thousands of values of every type on the wire and on disk, hashed into a committed table.
//!
//! A line that changes means that other builds can no longer read what this one writes: raise the version that stands with the
//! type (`WIRE_VERSION`, or the store's), then write the table again:
//!
//! ```console
//! $ PBFT_WRITE_FORMATS=1 cargo test -p pbft-conformance --test layout formats
//! ```

use crate::dice::Dice;
use pbft_core::crypto::{Body, Statement};
use pbft_core::evidence::Contradiction;
use pbft_core::manifest::Manifest;
use pbft_core::message::{
    Checkpoint, Commit, Message, NewView, PrePrepare, Prepare, Reply, Request, Status, ViewChange,
};
use pbft_core::replies::{LastReply, ReplyTable};
use pbft_core::types::Digest;
use pbft_core::{Durable, HaltReason, Position, Record};
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, Hello, ReplicaFrame};
use pbft_node::hex;
use pbft_node::store::Identity;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::fmt::Debug;
use std::path::Path;

/// Values of each type.
const VALUES: u64 = 5_000;

/// The table.
const TABLE: &str = include_str!("formats.txt");

/// The hash of what `bytes` makes of each of the values.
fn line<T: DeserializeOwned>(name: &str, bytes: impl Fn(&T) -> Vec<u8>) -> String {
    let mut dice = Dice::new(0x00f0_12ab);
    let mut hasher = Sha256::new();
    for _ in 0..VALUES {
        let bytes = bytes(&dice.value());
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    format!("{name} {VALUES} {}", hex::encode(&hasher.finalize()))
}

/// Encoded as frames and records are, and read again.
fn encoded<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str) -> String {
    line::<T>(name, |value| {
        let bytes = codec::encode(value).expect("a value that can be written");
        assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value), "{name}");
        bytes
    })
}

fn signed<B: Body + DeserializeOwned>(name: &str) -> String {
    line::<B>(name, |body| Statement::new(Digest([9; 32]), body).bytes())
}

fn lines() -> Vec<String> {
    vec![
        encoded::<Message>("frame of a replica"),
        encoded::<ClientFrame>("frame of a client"),
        encoded::<ReplicaFrame>("frame to a client"),
        encoded::<Hello>("first frame"),
        encoded::<Record>("record"),
        encoded::<Durable>("fold of the records"),
        encoded::<Contradiction>("evidence"),
        encoded::<LastReply>("last reply"),
        encoded::<Position>("position"),
        encoded::<HaltReason>("reason to halt"),
        encoded::<Identity>("identity of a store"),
        signed::<Request>("REQUEST, signed"),
        signed::<PrePrepare>("PRE-PREPARE, signed"),
        signed::<Prepare>("PREPARE, signed"),
        signed::<Commit>("COMMIT, signed"),
        signed::<Checkpoint>("CHECKPOINT, signed"),
        signed::<ViewChange>("VIEW-CHANGE, signed"),
        signed::<NewView>("NEW-VIEW, signed"),
        signed::<Reply>("REPLY, signed"),
        signed::<Status>("STATUS, signed"),
        line::<Manifest>("manifest", Manifest::encode),
        line::<ReplyTable>("reply table", |table| table.chunks().concat()),
    ]
}

#[test]
fn formats() {
    let lines = lines();
    if std::env::var_os("PBFT_WRITE_FORMATS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layout/formats.txt");
        std::fs::write(path, lines.join("\n") + "\n").expect("the table is written");
        return;
    }
    let known: Vec<&str> = TABLE.lines().collect();
    for line in &lines {
        assert!(known.contains(&line.as_str()), "another encoding: {line}");
    }
    assert_eq!(known.len(), lines.len(), "a type that is no longer here, or twice");
}
