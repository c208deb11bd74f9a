//! What goes over the wire between replicas, counted by kind of message.

use super::event::Node;
use pbft_core::message::Message;
use pbft_node::codec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Frames between replicas' processes; what a replica says to itself is not on the wire, what the network loses is.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Frames by the kind of message in them, as [`Message::kind`] calls it; `junk` is no message.
    pub frames: BTreeMap<&'static str, u64>,
    /// Their bytes.
    pub bytes: u64,
    /// The last frame that was read: a broadcast is one frame for many.
    last: Option<(Arc<[u8]>, &'static str)>,
}

impl Traffic {
    /// A frame leaves.
    pub fn count(&mut self, from: Node, to: Node, frame: &Arc<[u8]>) {
        let (Node::Host(_), Node::Host(_)) = (from, to) else { return };
        self.bytes += frame.len() as u64;
        let kind = match &self.last {
            Some((last, kind)) if Arc::ptr_eq(last, frame) => kind,
            _ => {
                let read = codec::decode::<Message>(frame);
                let kind = read.map_or("junk", |message| message.kind());
                self.last = Some((Arc::clone(frame), kind));
                kind
            }
        };
        *self.frames.entry(kind).or_default() += 1;
    }

    /// All frames.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.frames.values().sum()
    }

    /// The frames of the three phases that order a request.
    #[must_use]
    pub fn ordering(&self) -> u64 {
        ["pre-prepare", "prepare", "commit"].iter().filter_map(|kind| self.frames.get(kind)).sum()
    }
}
