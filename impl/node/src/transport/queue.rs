//! A bounded queue of frames that forgets the oldest rather than wait.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Frames that wait for one connection.
#[derive(Debug)]
pub struct FrameQueue {
    state: Mutex<State>,
    changed: Notify,
    frames_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

/// A frame was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// So many earlier frames had to give way.
    pub(super) dropped: u64,
    /// There was none before it, so nobody has been told.
    pub(super) is_first: bool,
}

impl FrameQueue {
    fn new(frames_max: usize, bytes_max: usize) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), frames_max, bytes_max }
    }

    /// For messages to a replica: some windows full of votes, some chunks of state.
    pub fn for_peer() -> Self {
        Self::new(8192, 32 * 1024 * 1024)
    }

    /// For replies to a client: at least one for each lane that it can use by default.
    pub fn for_client() -> Self {
        Self::new(2048, 4 * 1024 * 1024)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame; drops the oldest ones while there are too many, or too many bytes beside the new one.
    pub fn push(&self, frame: Bytes) {
        self.offer(frame);
    }

    /// [`Self::push`], and how many frames were dropped.
    pub(super) fn offer(&self, frame: Bytes) -> u64 {
        let Held { dropped, .. } = self.hold(frame);
        self.wake();
        dropped
    }

    /// Tells whoever takes the frames that there are some.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Adds a frame and tells nobody: to be followed by [`Self::wake`], once for all frames.
    pub(super) fn hold(&self, frame: Bytes) -> Held {
        let mut dropped = 0;
        let mut state = self.lock();
        let is_first = state.frames.is_empty();
        state.bytes += frame.len();
        state.frames.push_back(frame);
        while state.frames.len() > self.frames_max
            || (state.bytes > self.bytes_max && state.frames.len() > 1)
        {
            let oldest = state.frames.pop_front().map_or(0, |frame| frame.len());
            state.bytes -= oldest;
            dropped += 1;
        }
        Held { dropped, is_first }
    }

    /// Takes all frames, once there are any; `None` when the queue is closed. One task may wait at a time.
    pub async fn take(&self) -> Option<VecDeque<Bytes>> {
        loop {
            {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                if !state.frames.is_empty() {
                    state.bytes = 0;
                    return Some(std::mem::take(&mut state.frames));
                }
            }
            self.changed.notified().await;
        }
    }

    /// Ends the queue: nothing more is taken from it.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(queue: &FrameQueue) -> Vec<Bytes> {
        queue.lock().frames.iter().cloned().collect()
    }

    #[test]
    fn the_oldest_frames_are_forgotten() {
        let queue = FrameQueue::new(3, 100);
        let dropped: u64 = (0..5u8).map(|byte| queue.offer(Bytes::copy_from_slice(&[byte]))).sum();
        assert_eq!(frames(&queue), [&[2u8][..], &[3], &[4]]);
        assert_eq!(dropped, 2);
        queue.push(Bytes::from(vec![9; 98]));
        assert_eq!(frames(&queue).len(), 3, "two bytes and 98 fit");
        assert_eq!(queue.offer(Bytes::from(vec![9; 200])), 3);
        assert_eq!(frames(&queue).len(), 1, "a large frame goes alone");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_frames_is_told_once_for_all_of_them() {
        let queue = std::sync::Arc::new(FrameQueue::for_client());
        let taker = std::sync::Arc::clone(&queue);
        let mut taking = tokio::spawn(async move { taker.take().await });
        let soon = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, &mut taking).await.is_err(), "nothing is there");
        let held = [b"a", b"b"].map(|frame| queue.hold(Bytes::from_static(frame)));
        assert_eq!(held.map(|held| held.is_first), [true, false]);
        assert!(tokio::time::timeout(soon, &mut taking).await.is_err(), "nobody was told");
        queue.wake();
        let taken = taking.await.expect("no panic");
        assert_eq!(taken.map(|frames| frames.len()), Some(2));
        assert!(queue.hold(Bytes::from_static(b"c")).is_first);
    }

    #[tokio::test]
    async fn frames_are_taken_together_until_the_end() {
        let queue = FrameQueue::for_client();
        queue.push(Bytes::from_static(b"a"));
        queue.push(Bytes::from_static(b"b"));
        assert_eq!(queue.take().await.map(|frames| frames.len()), Some(2));
        queue.close();
        assert_eq!(queue.take().await, None);
    }
}
