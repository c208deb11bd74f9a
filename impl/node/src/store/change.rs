//! What a commit changes, as the journal keeps it. It says what is written, not how that came to be: a store opens without
//! the service, and a later version of a service changes nothing of what an earlier one has done.

use pbft_core::replies::LastReply;
use pbft_core::types::{ClientId, Lane, SeqNum};
use pbft_core::{Record, octets};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One change of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// A record of the replica's.
    Record(Record),
    /// A pair of the service's has this value now.
    Put {
        /// The key.
        #[serde(with = "octets")]
        key: Vec<u8>,
        /// The value.
        #[serde(with = "octets")]
        value: Vec<u8>,
    },
    /// A pair of the service's is not there any more.
    Delete {
        /// The key.
        #[serde(with = "octets")]
        key: Vec<u8>,
    },
    /// A batch was executed, with these replies.
    Executed {
        /// The batch.
        seq: SeqNum,
        /// The results of its requests.
        replies: Vec<(ClientId, Lane, LastReply)>,
    },
    /// A checkpoint of the state as it is then is kept.
    Checkpoint {
        /// The manifest, encoded.
        #[serde(with = "octets")]
        manifest: Vec<u8>,
        /// Where the service's chunks begin.
        #[serde(with = "octets")]
        starts: Vec<u8>,
        /// The chunks of the reply table that no other checkpoint has.
        replies: Vec<ReplyChunk>,
    },
}

/// A chunk of the reply table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplyChunk(#[serde(with = "octets")] pub(crate) Arc<[u8]>);
