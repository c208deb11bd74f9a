//! What comes from the network: frames, messages, clients' frames.

use crate::edit::edited;
use crate::{MEMORY, corpora, honest, turn};
use bytes::BytesMut;
use pbft_core::message::Message;
use pbft_core::types::Digest;
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, FrameLimits, HELLO_BYTES, ReplicaFrame};
use pbft_node::transport::FrameCodec;
use std::sync::OnceLock;
use tokio_util::codec::Decoder as _;

/// Random inputs of each target besides its corpus.
const ITERATIONS: usize = 300;

/// Collections are given room for at most a megabyte before their elements are read, at each level of a message.
const ROOM: usize = 16 << 20;

/// What a value may take in memory for each byte of its encoding.
const PER_BYTE: usize = 64;

/// The cluster id in the corpora.
pub(crate) const CLUSTER: Digest = Digest([0x51; 32]);

/// A stream of bytes in pieces of any size: no frame is larger than the limit, and no more than that is kept.
#[test]
fn frames() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let Some((header, stream)) = input.split_first_chunk::<3>() else { return };
        let limit = usize::from(u16::from_le_bytes([header[0], header[1]])).max(HELLO_BYTES);
        let piece = usize::from(header[2]) + 1;
        let mut codec = FrameCodec::new(limit);
        let mut buffer = BytesMut::new();
        let mut used = 0;
        for part in stream.chunks(piece) {
            buffer.extend_from_slice(part);
            loop {
                match codec.decode(&mut buffer) {
                    Ok(Some(frame)) => {
                        assert!(frame.len() <= limit, "{} > {limit}", frame.len());
                        used += 4 + frame.len();
                        assert!(used <= stream.len(), "bytes are used twice");
                    }
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
            let most = 2 * (limit + 4 + piece) + 64;
            assert!(buffer.capacity() <= most, "{} bytes kept", buffer.capacity());
        }
    });
}

/// Decodes, and demands that little is allocated, and that what was read has no other encoding.
fn decoded<T: serde::Serialize + serde::de::DeserializeOwned>(
    bytes: &[u8],
    decode: impl FnOnce(&[u8]) -> Option<T>,
) -> Option<T> {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let value = decode(bytes);
    let grown = MEMORY.peak_usage().saturating_sub(before);
    assert!(grown <= ROOM + PER_BYTE * bytes.len(), "{grown} bytes for {}", bytes.len());
    if let Some(value) = &value {
        assert!(codec::encode(value).is_ok_and(|again| again == bytes), "another encoding");
    }
    value
}

fn limits() -> &'static FrameLimits {
    static LIMITS: OnceLock<FrameLimits> = OnceLock::new();
    LIMITS.get_or_init(|| FrameLimits::new(&honest::params()))
}

fn read(bytes: &[u8]) {
    decoded(bytes, |bytes| limits().decode_message(bytes).ok());
    decoded(bytes, |bytes| codec::decode::<ClientFrame>(bytes).ok());
    decoded(bytes, |bytes| codec::decode::<ReplicaFrame>(bytes).ok());
    if let Some((number, query)) = limits().decode_query(bytes) {
        let again = codec::encode(&ClientFrame::Query { number, query });
        assert!(again.is_ok_and(|again| again == bytes), "a query with another encoding");
    }
}

#[test]
fn messages() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(read);
}

/// The messages of the corpus, a few bytes changed.
#[test]
fn edited_messages() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        static GOOD: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
        let good = GOOD.get_or_init(|| corpora::inputs("bytes__messages"));
        let Some((which, script)) = input.split_first() else { return };
        read(&edited(&good[usize::from(*which) % good.len()], script));
    });
}

/// Every byte of every message of the corpus, of the longest every seventh, changed alone.
#[test]
fn each_byte_changed() {
    let _turn = turn();
    for good in corpora::inputs("bytes__messages") {
        for at in (0..good.len()).step_by(if good.len() > 1000 { 7 } else { 1 }) {
            for value in [0, 1, 0x7f, 0xff, good[at] ^ 1, good[at].wrapping_add(1)] {
                let mut changed = good.clone();
                changed[at] = value;
                read(&changed);
            }
        }
    }
}

/// Messages of this kind are in the corpus.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    codec::decode::<Message>(bytes).ok().map(|message| message.kind())
}
