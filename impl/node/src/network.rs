//! What the driver asks of a network: hand over frames, never block, promise nothing.
//!
//! Production runs over [`crate::transport`]; tests and the conformance harness put a [`ChannelNetwork`] under the
//! very same driver. Inbound frames take the other way, through [`crate::inbox::Inbox`].

use bytes::Bytes;
use pbft_core::types::{ClientId, ReplicaId};
use pbft_host::Said;
use tokio::sync::mpsc;

/// The outbound half of a network. A frame may be lost, and a full queue loses it: the protocol's status messages
/// repair that, waiting would not.
pub trait Network: Send {
    /// Sends to one replica.
    fn send(&mut self, to: ReplicaId, frame: Bytes);

    /// Sends to all other replicas.
    fn broadcast(&mut self, frame: Bytes);

    /// Sends to a client, on each of its connections to this replica.
    fn reply(&mut self, client: ClientId, frame: Bytes);

    /// Everything that is to leave now was handed over. What was is on its way by then at the latest, so that all frames of
    /// a connection can leave together.
    fn flush(&mut self);
}

/// Hands what a host says to a network.
pub(crate) fn release(outgoing: pbft_host::Outgoing, network: &mut dyn Network) {
    let frame = Bytes::from(outgoing.frame);
    match outgoing.said {
        Said::To(to, _) => network.send(to, frame),
        Said::All(_) => network.broadcast(frame),
        Said::Client(client, _) => network.reply(client, frame),
    }
}

/// A frame that the driver released: everything that it depends on is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// To one replica: an encoded [`pbft_core::message::Message`].
    Send {
        /// The recipient.
        to: ReplicaId,
        /// The encoded message.
        frame: Bytes,
    },
    /// To all other replicas: an encoded [`pbft_core::message::Message`].
    Broadcast(Bytes),
    /// To a client: an encoded [`crate::frame::ReplicaFrame`].
    Reply {
        /// The client.
        client: ClientId,
        /// The encoded frame.
        frame: Bytes,
    },
}

impl Outgoing {
    /// Hands the frame to a network.
    pub fn release(self, network: &mut dyn Network) {
        match self {
            Self::Send { to, frame } => network.send(to, frame),
            Self::Broadcast(frame) => network.broadcast(frame),
            Self::Reply { client, frame } => network.reply(client, frame),
        }
    }
}

/// A network under the control of whoever holds the receiver. Unbounded: for tests, not for the world.
#[derive(Clone, Debug)]
pub struct ChannelNetwork(mpsc::UnboundedSender<Outgoing>);

impl ChannelNetwork {
    /// A network, and what comes out of it.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Outgoing>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    fn pass(&self, outgoing: Outgoing) {
        // A receiver that is gone is a network that loses everything.
        let _ = self.0.send(outgoing);
    }
}

impl Network for ChannelNetwork {
    fn send(&mut self, to: ReplicaId, frame: Bytes) {
        self.pass(Outgoing::Send { to, frame });
    }

    fn broadcast(&mut self, frame: Bytes) {
        self.pass(Outgoing::Broadcast(frame));
    }

    fn reply(&mut self, client: ClientId, frame: Bytes) {
        self.pass(Outgoing::Reply { client, frame });
    }

    fn flush(&mut self) {}
}
