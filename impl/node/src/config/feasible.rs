//! Whether parameters that are each possible can work together. A message must fit into a frame, and a view change must
//! end: what it makes a replica verify must be done before the others have lost their patience with the new view, however
//! long that has become.

use crate::codec::FRAME_BYTES_MAX;
use crate::frame::FrameLimits;
use pbft_core::Params;
use std::time::Duration;
use thiserror::Error;

/// What one signature takes to verify, on a slow core: a static check must hold on every machine of the cluster.
pub const SIGNATURE: Duration = Duration::from_micros(50);

/// The part of the longest view timeout that verifying may take. The rest is for the messages' way, for batches and state
/// that are fetched, and for executing the first request, at which the timer stops.
const PART: u32 = 2;

/// The signatures of a view change in the worst case. A VIEW-CHANGE holds its own, q CHECKPOINTs, and for each of L
/// numbers a pre-prepare and q−1 PREPAREs; a NEW-VIEW its own, L pre-prepares, and q VIEW-CHANGEs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewChangeSize {
    /// In one VIEW-CHANGE.
    pub view_change: u64,
    /// In one NEW-VIEW.
    pub new_view: u64,
    /// In all that one replica has to verify: the VIEW-CHANGEs of all others, and a NEW-VIEW of others than these.
    pub all: u64,
}

impl ViewChangeSize {
    /// The sizes in a cluster with these parameters.
    pub fn of(params: &Params) -> Self {
        let (n, q) = (params.membership.n() as u64, params.membership.quorum() as u64);
        let window = params.window;
        let view_change = 1 + q + window.saturating_mul(q);
        let new_view = 1 + window.saturating_add(view_change.saturating_mul(q));
        let all = new_view.saturating_add(view_change.saturating_mul(n - 1));
        Self { view_change, new_view, all }
    }

    /// How long verifying all of them takes.
    pub fn time(self) -> Duration {
        let micros = u64::try_from(SIGNATURE.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.all.saturating_mul(micros))
    }
}

/// Two parameters, or more, that cannot work together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Infeasible {
    /// A message does not fit into a frame.
    #[error("a {kind} has up to {bytes} bytes, {FRAME_BYTES_MAX} fit into a frame ({because})")]
    Frame {
        /// The kind of message.
        kind: &'static str,
        /// Its most bytes.
        bytes: usize,
        /// The parameters that make it so large.
        because: &'static str,
    },
    /// A view change takes longer than any replica waits for it.
    #[error(
        "with {n} replicas and a window of {window}, a NEW-VIEW holds up to {} signatures and a view change {}; at {} µs \
         each these are {:.1} s, more than half of view_timeout_max_ms, {}: {advice}",
        size.new_view, size.all, SIGNATURE.as_micros(), size.time().as_secs_f64(), patience.as_millis()
    )]
    ViewChange {
        /// The replicas.
        n: usize,
        /// The window.
        window: u64,
        /// What a view change holds.
        size: ViewChangeSize,
        /// The longest view timeout.
        patience: Duration,
        /// What would do.
        advice: String,
    },
    /// Requests wait to be proposed for as long as it takes to suspect their primary.
    #[error("batch_delay_us, {} µs, is not below view_timeout_ms, {} µs", delay.as_micros(), timeout.as_micros())]
    BatchDelay {
        /// How long a request waits for others.
        delay: Duration,
        /// How long it may wait before its primary is suspected.
        timeout: Duration,
    },
}

impl Infeasible {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Frame { .. } => "lower one of these",
            Self::ViewChange { .. } => "or have fewer replicas",
            Self::BatchDelay { .. } => "lower batch_delay_us, or raise view_timeout_ms",
        }
    }
}

/// Checks parameters, each of which is possible, against each other.
pub fn check(params: &Params) -> Result<(), Infeasible> {
    let (kind, bytes, because) = FrameLimits::new(params).largest();
    if bytes > FRAME_BYTES_MAX {
        return Err(Infeasible::Frame { kind, bytes, because });
    }
    let (delay, timeout) = (params.batch_delay, params.view_timeout);
    if delay >= timeout {
        return Err(Infeasible::BatchDelay { delay, timeout });
    }
    let (size, patience) = (ViewChangeSize::of(params), params.view_timeout_max);
    if size.time() > patience / PART {
        let (n, window) = (params.membership.n(), params.window);
        let advice = advice(params, size);
        return Err(Infeasible::ViewChange { n, window, size, patience, advice });
    }
    Ok(())
}

/// The largest window that would do, or the shortest timeout.
fn advice(params: &Params, size: ViewChangeSize) -> String {
    let needed = size.time().saturating_mul(PART).as_micros().div_ceil(1000);
    let fits = |window: &u64| {
        let less = Params { window: *window, ..params.clone() };
        ViewChangeSize::of(&less).time() <= params.view_timeout_max / PART
    };
    let windows = (2..params.window).rev();
    match windows.into_iter().find(fits) {
        Some(window) => {
            format!("lower window to at most {window}, or raise view_timeout_max_ms to {needed}")
        }
        None => format!("raise view_timeout_max_ms to {needed}"),
    }
}
