//! A client that speaks to one replica only, which no correct client does.

use crate::cluster::ProcessCluster;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_core::crypto::sign;
use pbft_core::message::Request;
use pbft_core::types::{ClientId, Digest};
use pbft_core::types::{Lane, Session, Timestamp};
use pbft_ledger::Outcome;
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, ReplicaFrame};
use pbft_node::keyring::KeySigner;
use pbft_node::keys::SecretKey;
use pbft_node::transport::{Connection, TlsIdentity, client_config, connect};
use std::sync::Arc;
use std::time::Duration;

/// The largest frame of a replica that is read.
const FRAME_MAX: usize = 1 << 20;

/// A connection to one replica with a client's key.
pub struct Direct {
    connection: Connection,
    signer: KeySigner,
    client: ClientId,
    cluster: Digest,
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Direct {
    /// Connects to `replica` with the key of client `number`.
    pub async fn dial(cluster: &ProcessCluster, number: usize, replica: usize) -> Self {
        let key = || cluster.client_key(number);
        Self::try_dial(cluster, &key(), replica).await.map_or_else(
            |error| panic!("replica {replica}: {error}"),
            |connection| Self {
                connection,
                client: cluster.cluster.client_with(key().public()).expect("a client's key"),
                signer: KeySigner::new(key()),
                cluster: cluster.cluster.id(),
            },
        )
    }

    /// Connects to `replica` with any key.
    pub async fn try_dial(
        cluster: &ProcessCluster,
        key: &SecretKey,
        replica: usize,
    ) -> Result<Connection, String> {
        let replica = &cluster.cluster.replicas()[replica];
        let identity = TlsIdentity::new(key).map_err(|error| error.to_string())?;
        let tls = client_config(&identity, replica.key).map_err(|error| error.to_string())?;
        let connection =
            connect(&replica.address, Arc::new(tls), cluster.cluster.id(), FRAME_MAX).await;
        connection.map_err(|error| error.to_string())
    }

    /// Sends a signed request.
    pub async fn request(&mut self, lane: u16, timestamp: u64, operation: &str) {
        let body = Request {
            client: self.client,
            lane: Lane(lane),
            timestamp: Timestamp(timestamp),
            session: Session::default(),
            operation: operation.as_bytes().to_vec(),
        };
        let request = Arc::new(sign(&self.signer, self.cluster, body));
        let frame = codec::encode(&ClientFrame::Request(request)).expect("a small frame");
        self.connection.send(Bytes::from(frame)).await.expect("the replica reads");
    }

    /// The outcome in the replica's next reply.
    pub async fn reply(&mut self, patience: Duration) -> Result<Outcome, String> {
        let frame = tokio::time::timeout(patience, self.connection.next()).await;
        let frame = frame.map_err(|_| format!("no answer within {patience:?}"))?;
        let frame = frame.ok_or("it hung up")?.map_err(|error| error.to_string())?;
        match codec::decode(&frame).map_err(|error| error.to_string())? {
            ReplicaFrame::Reply(reply) => Outcome::decode(&reply.body.result)
                .ok_or_else(|| "not a ledger's answer".to_owned()),
            other => Err(format!("{other:?}")),
        }
    }
}
