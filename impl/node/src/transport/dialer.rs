//! The connections that a replica dials: one to each other replica, for what it has to say.

use super::complaints::{Complaints, Source};
use super::handshake::{Connection, connect, ended};
use super::queue::FrameQueue;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_core::types::{Digest, ReplicaId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause between attempts; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// The longest pause between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A connection that lasted so long was one: the next attempt may follow soon. Two that end each other would do so
/// for ever.
pub(super) const STEADY: Duration = Duration::from_secs(10);

/// So many connections in a row that the other end ended at once are no chance: two processes use one key.
pub(super) const FIGHTS: u32 = 3;

/// How long a frame may take that is no longer than what fits into the buffers: if it takes longer, nobody reads.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// The slowest link that a frame is written to: a large frame has so much more time, however slow the link is and
/// whatever waits behind it.
const BYTES_PER_SECOND_MIN: u32 = 16 * 1024;

/// The time that one frame has.
fn deadline(frame: usize) -> Duration {
    WRITE_DEADLINE + Duration::from_secs(frame as u64) / BYTES_PER_SECOND_MIN
}

/// Everything about one link.
pub(super) struct Dialer {
    pub(super) to: ReplicaId,
    pub(super) address: String,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) cluster: Digest,
    pub(super) queue: Arc<FrameQueue>,
    pub(super) complaints: Arc<Complaints>,
}

impl Dialer {
    /// Keeps the link up for ever.
    pub(super) async fn run(self) {
        let (mut backoff, mut fights) = (BACKOFF_MIN, 0_u32);
        loop {
            // The other end says nothing after its hello, so its frames need no room.
            match connect(&self.address, Arc::clone(&self.tls), self.cluster, 0).await {
                Ok(connection) => {
                    let began = Instant::now();
                    self.inform("connected", "connected");
                    let reason = self.feed(connection).await;
                    self.inform("disconnected", &format!("disconnected: {reason}"));
                    fights = fights.saturating_add(1);
                    if began.elapsed() >= STEADY {
                        (backoff, fights) = (BACKOFF_MIN, 0);
                    }
                    if fights >= FIGHTS {
                        let what = format!(
                            "{} ends each connection soon after it has begun ({reason}): is this replica's key used by \
                             another process, too? Stop one of them",
                            self.to
                        );
                        self.complaints.warn(Source::Key(self.to), "fight", &what);
                    }
                }
                Err(error) => {
                    fights = 0;
                    let what = format!("cannot connect to {}: {error}", self.address);
                    self.inform(error.kind(), &what);
                }
            }
            tokio::time::sleep(jittered(backoff)).await;
            backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
        }
    }

    fn inform(&self, reason: &'static str, what: &str) {
        tracing::debug!(to = %self.to, "{what}");
        self.complaints.inform(Source::To(self.to), reason, what);
    }

    /// Writes what is queued, until the connection ends.
    async fn feed(&self, connection: Connection) -> String {
        let (mut sink, mut stream) = connection.split();
        loop {
            tokio::select! {
                heard = stream.next() => return match heard {
                    None => "the other end hung up".to_owned(),
                    Some(Ok(_)) => "the other end spoke out of turn".to_owned(),
                    Some(Err(error)) => ended(&error),
                },
                frames = self.queue.take() => {
                    let Some(frames) = frames else { return "shutting down".to_owned() };
                    if let Err(error) = write(&mut sink, frames).await {
                        return ended(&error);
                    }
                }
            }
        }
    }
}

/// Writes frames, and flushes once. Each frame has a deadline of its own, so that a connection lasts as long as frames
/// get through, also if all of them together take long.
pub(super) async fn write<S>(sink: &mut S, frames: VecDeque<Bytes>) -> std::io::Result<()>
where
    S: futures_util::Sink<Bytes, Error = std::io::Error> + Unpin,
{
    // A frame is written out when the next one is fed.
    let mut before = 0;
    for frame in frames {
        let len = frame.len();
        in_time(before + len, sink.feed(frame)).await?;
        before = len;
    }
    in_time(before, sink.flush()).await
}

async fn in_time(
    bytes: usize,
    write: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    match tokio::time::timeout(deadline(bytes), write).await {
        Ok(result) => result,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// Between half of `pause` and all of it, so that replicas that lost each other together do not return together.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without randomness there is no jitter, and nothing else is lost.
    let _ = getrandom::fill(&mut byte);
    pause / 2 + pause.mul_f64(f64::from(byte[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that takes so many bytes a second, as a frame codec on a slow link does.
    fn slow(rate: u32) -> impl futures_util::Sink<Bytes, Error = std::io::Error> + Unpin {
        Box::pin(futures_util::sink::unfold((), move |(), frame: Bytes| async move {
            tokio::time::sleep(Duration::from_secs(frame.len() as u64) / rate).await;
            Ok(())
        }))
    }

    /// Outside fault F3: A state's frames on a slow link end the connection, whatever gets through.
    #[tokio::test(start_paused = true)]
    async fn a_slow_link_lasts_as_long_as_frames_get_through() {
        let frames = |count| (0..count).map(|_| Bytes::from(vec![0; 64 * 1024])).collect();
        let began = tokio::time::Instant::now();
        write(&mut slow(60_000), frames(120)).await.expect("131 s for 7.5 MiB");
        assert!(began.elapsed() > Duration::from_secs(120));
        let large = VecDeque::from([Bytes::from(vec![0; 2 * 1024 * 1024])]);
        write(&mut slow(60_000), large).await.expect("35 s for one frame");
        let dead = write(&mut slow(100), frames(2)).await.map_err(|error| error.kind());
        assert_eq!(dead, Err(std::io::ErrorKind::TimedOut));
    }

    #[test]
    fn pauses_stay_within_their_bounds() {
        for _ in 0..1000 {
            let pause = jittered(BACKOFF_MAX);
            assert!((BACKOFF_MAX / 2..=BACKOFF_MAX).contains(&pause), "{pause:?}");
        }
    }
}
