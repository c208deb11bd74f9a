//! A client's connection to one replica: kept up in the background, verifying what it brings.

use super::Shared;
use super::lane::LaneEvent;
use crate::codec;
use crate::frame::{ClientFrame, FrameLimits, ReplicaFrame};
use crate::transport::{Connection, FrameQueue, connect};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_core::crypto::verify_reply;
use pbft_core::message::Reply;
use pbft_core::types::ReplicaId;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The first pause between attempts; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(20);

/// The longest pause between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Asks a replica how it is.
pub(super) fn status_request() -> Bytes {
    // Four bytes; the codec cannot refuse them.
    Bytes::from(codec::encode(&ClientFrame::StatusRequest).unwrap_or_default())
}

/// Asks a replica's service.
pub(super) fn query(number: u64, query: &[u8]) -> Bytes {
    // Bounded by the caller far below what the codec takes.
    let query = query.to_vec();
    Bytes::from(codec::encode(&ClientFrame::Query { number, query }).unwrap_or_default())
}

/// One connection.
pub(super) struct Link {
    pub(super) replica: ReplicaId,
    pub(super) address: String,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) queue: Arc<FrameQueue>,
    pub(super) shared: Arc<Shared>,
}

impl Link {
    /// Keeps the connection up for ever.
    pub(super) async fn run(self) {
        let frame_max = FrameLimits::new(&self.shared.params).replica_frame();
        let mut backoff = BACKOFF_MIN;
        loop {
            let cluster = self.shared.params.cluster;
            let trouble =
                match connect(&self.address, Arc::clone(&self.tls), cluster, frame_max).await {
                    Ok(connection) => {
                        backoff = BACKOFF_MIN;
                        self.shared.trouble(self.replica, None);
                        let trouble = self.use_connection(connection).await;
                        self.shared.trouble(self.replica, Some(trouble.clone()));
                        self.shared.ended.send_replace(());
                        trouble
                    }
                    Err(error) => error.to_string(),
                };
            tracing::debug!(replica = %self.replica, address = self.address, "{trouble}");
            self.shared.trouble(self.replica, Some(trouble));
            tokio::time::sleep(backoff).await;
            backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
        }
    }

    /// Sends what is queued and delivers what arrives, until the connection ends.
    async fn use_connection(&self, connection: Connection) -> String {
        let (mut sink, mut stream) = connection.split();
        let reading = async {
            loop {
                match stream.next().await {
                    Some(Ok(frame)) => {
                        if let Err(reason) = self.receive(&frame) {
                            return reason;
                        }
                    }
                    Some(Err(error)) => return error.to_string(),
                    None => return "the replica hung up".to_owned(),
                }
            }
        };
        let writing = async {
            while let Some(frames) = self.queue.take().await {
                for frame in frames {
                    if let Err(error) = sink.feed(frame).await {
                        return error.to_string();
                    }
                }
                if let Err(error) = sink.flush().await {
                    return error.to_string();
                }
            }
            "the queue is closed".to_owned()
        };
        tokio::select! {
            reason = reading => reason,
            reason = writing => reason,
        }
    }

    fn receive(&self, frame: &[u8]) -> Result<(), String> {
        match codec::decode(frame).map_err(|e| format!("the replica's frame {e}"))? {
            ReplicaFrame::Reply(reply) => {
                let Reply { lane, request, replica: from, .. } = reply.body;
                if from != self.replica {
                    return Err(format!("the replica sent a reply of {from}"));
                }
                // f+1 replies are enough: one that nobody waits for any more is not worth a signature check.
                if self.shared.routes.waits_for(lane, request) {
                    let reply = verify_reply(&self.shared.params, &self.shared.ring, reply)
                        .map_err(|rejection| rejection.to_string())?;
                    let event = LaneEvent::Reply(reply.into_inner());
                    self.shared.routes.deliver(lane, request, event);
                }
            }
            ReplicaFrame::Refused { lane, request, reason, .. } => {
                let event = LaneEvent::Refused { from: self.replica, reason };
                self.shared.routes.deliver(lane, request, event);
            }
            ReplicaFrame::Status(report) => {
                let mut reports =
                    self.shared.reports.lock().unwrap_or_else(PoisonError::into_inner);
                reports.insert(self.replica, (Instant::now(), report));
                drop(reports);
                self.shared.news.notify_waiters();
            }
            ReplicaFrame::Answer { number, answer } => {
                let mut answers =
                    self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
                answers.insert(self.replica, (number, answer));
                drop(answers);
                self.shared.news.notify_waiters();
            }
        }
        Ok(())
    }
}
