//! The only place that knows how values become bytes on the wire and on disk.
//!
//! bincode's fixed-width little-endian encoding, with three rules on top: never more than [`FRAME_BYTES_MAX`],
//! every byte is used, and what was read encodes to exactly the bytes that it was read from. So a value has one
//! encoding, and no peer can smuggle bytes past a comparison of frames.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::Serialize;
use serde::de::Deserialize;
use thiserror::Error;

/// The largest encoded value. A configuration whose messages could be larger is refused.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Room for most values: votes, requests and replies.
const USUAL_BYTES: usize = 256;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>> =
    bincode::config::legacy().with_limit::<FRAME_BYTES_MAX>();

/// Bytes that are not the encoding of a value of the expected type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// They end too early, or hold something impossible.
    #[error("cannot be read: {0}")]
    Malformed(String),
    /// They go on after the value.
    #[error("{0} bytes follow the value")]
    TrailingBytes(usize),
    /// The value has another encoding.
    #[error("is not the canonical encoding of its value")]
    NotCanonical,
    /// The value is larger than any frame may be.
    #[error("cannot be written: {0}")]
    TooLarge(String),
}

/// The bytes of `value`.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Written(Vec::with_capacity(USUAL_BYTES));
    bincode::serde::encode_into_writer(value, &mut bytes, CONFIG)
        .map_err(|e| CodecError::TooLarge(e.to_string()))?;
    Ok(bytes.0)
}

/// The value that exactly `bytes` encode.
pub fn decode<'a, T: Serialize + Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    let (value, used): (T, usize) = bincode::serde::borrow_decode_from_slice(bytes, CONFIG)
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    if used != bytes.len() {
        return Err(CodecError::TrailingBytes(bytes.len() - used));
    }
    match encodes_to(&value, bytes) {
        true => Ok(value),
        false => Err(CodecError::NotCanonical),
    }
}

/// Whether the bytes of `value` are `expected`, without writing them anywhere.
fn encodes_to<T: Serialize>(value: &T, expected: &[u8]) -> bool {
    let mut rest = Expected(expected);
    bincode::serde::encode_into_writer(value, &mut rest, CONFIG).is_ok() && rest.0.is_empty()
}

/// Takes what is written.
struct Written(Vec<u8>);

impl Writer for Written {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What is still to be written; anything else is an error.
struct Expected<'a>(&'a [u8]);

impl Writer for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0 = self.0.strip_prefix(bytes).ok_or(EncodeError::UnexpectedEnd)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::message::{Batch, FetchState, Message, Prepare, Request, Signed, StatePart};
    use pbft_core::types::{
        ClientId, Digest, Lane, ReplicaId, SeqNum, Session, Signature, Timestamp, View,
    };
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn signed<B>(body: B) -> Signed<B> {
        Signed { body, signature: Signature { r: [1; 32], s: [2; 32] } }
    }

    fn batch(operation: &[u8]) -> Message {
        let request = Request {
            client: ClientId(3),
            lane: Lane(1),
            timestamp: Timestamp(9),
            session: Session(5),
            operation: operation.to_vec(),
        };
        Message::Batch(Arc::new(Batch { requests: vec![signed(request)] }))
    }

    /// These bytes are what other versions and other implementations send: a change here is a new protocol
    /// version.
    #[test]
    fn golden_vectors() {
        let (r, s) = ("01".repeat(32), "02".repeat(32));
        let prepare = Message::Prepare(signed(Prepare {
            view: View(2),
            seq: SeqNum(0x0102),
            digest: Digest([0xaa; 32]),
            replica: ReplicaId(3),
        }));
        let fetch = Message::FetchState(FetchState { seq: SeqNum(64), part: StatePart::Chunk(7) });
        let vectors = [
            (
                prepare,
                format!(
                    "0200000002000000000000000201000000000000{}03000000{r}{s}",
                    "aa".repeat(32)
                ),
            ),
            (
                batch(b"hi"),
                format!(
                    "0b0000000100000000000000030000000100090000000000000005000000000000000200000000000000{}{r}{s}",
                    "6869"
                ),
            ),
            (fetch, "0c00000040000000000000000100000007000000".to_owned()),
        ];
        for (message, golden) in vectors {
            let bytes = encode(&message).expect("encoded");
            assert_eq!(hex(&bytes), golden);
            assert_eq!(decode::<Message>(&bytes).as_ref(), Ok(&message));
        }
    }

    #[test]
    fn no_prefix_and_no_continuation_is_read() {
        let bytes = encode(&batch(b"operation")).expect("encoded");
        for len in 0..bytes.len() {
            assert!(decode::<Message>(&bytes[..len]).is_err(), "prefix of {len} bytes");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(decode::<Message>(&longer), Err(CodecError::TrailingBytes(1)));
    }

    #[test]
    fn a_length_beyond_the_input_allocates_nothing() {
        // Batch of 2^60 requests, and an operation of 2^60 bytes.
        let mut bytes = vec![0x0b, 0, 0, 0];
        bytes.extend((1u64 << 60).to_le_bytes());
        assert!(matches!(decode::<Message>(&bytes), Err(CodecError::Malformed(_))));
        let mut bytes = encode(&batch(b"x")).expect("encoded");
        bytes[34..42].copy_from_slice(&(1u64 << 60).to_le_bytes());
        assert!(matches!(decode::<Message>(&bytes), Err(CodecError::Malformed(_))));
    }

    #[test]
    fn a_second_encoding_of_a_value_is_refused() {
        let map = BTreeMap::from([(1u8, 1u8), (2, 2)]);
        let bytes = encode(&map).expect("encoded");
        let mut swapped = bytes[..8].to_vec();
        swapped.extend([2, 2, 1, 1]);
        assert_eq!(decode::<BTreeMap<u8, u8>>(&swapped), Err(CodecError::NotCanonical));
        assert_eq!(decode::<BTreeMap<u8, u8>>(&bytes), Ok(map));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), tag in 0u8..15) {
            let _ = decode::<Message>(&bytes);
            let tagged = [&[tag, 0, 0, 0], &bytes[..]].concat();
            if let Ok(message) = decode::<Message>(&tagged) {
                prop_assert_eq!(encode(&message), Ok(tagged));
            }
        }

        #[test]
        fn a_changed_byte_gives_another_value_or_none(operation in proptest::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let message = batch(&operation);
            let mut bytes = encode(&message).expect("encoded");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(decode::<Message>(&bytes), Ok(message));
        }
    }
}
