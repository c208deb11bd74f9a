//! The loop around one [`pbft_core::Replica`], as production runs it.
//!
//! A replica asks for things in an order that it relies on ([`pbft_core::Effect`]). This crate does them, and is the one
//! place that does: the node drives it with sockets, a clock and a database, the simulator with a network, a clock and a
//! disk that fail. It is as deterministic as the replica itself. Frames, verified inputs, timers that ran out and the end
//! of a write are arguments; frames to send and timers to set are results; disk and service are what a caller brings.
//!
//! ```text
//!            frame             input                     frames, timers
//!   network ──────▶ Door ──────────────▶ Host ─────────────────────────────▶ network, clock
//!                   limits, decode,      step, perform, answer, until       (early: replies)
//!                   sift, verify         the group ends; commit; release
//!                                          │            ▲
//!                                          ▼ effects    │ committed
//!                                        Disk, Service ─┘
//! ```
//!
//! * [`Door`]: a frame becomes a verified input, or is refused. It may be asked by many connections at a time.
//! * [`Host`]: takes inputs in groups. All that a group asks to be durable becomes so with one commit, and what depends
//!   on it leaves after that.
//! * [`Disk`] and [`Service`]: what a host needs of its disk, and what is replicated.
//! * [`Watcher`]: sees every step.
//! * [`frame`] and [`codec`]: what travels, and as which bytes.
//!
//! What is not here: connections and who may open them, queues and whose turn it is, waiting, files.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

pub mod codec;
mod disk;
mod door;
mod error;
mod evidence;
pub mod frame;
mod group;
mod host;
mod perform;
mod service;
mod surplus;
mod watch;

pub use disk::Disk;
pub use door::{Admitted, Door, Unread};
pub use error::{HostError, ServicePanic};
pub use group::{Alarm, Ended, GROUP_STEPS_MAX, Outgoing, PUT_OFF_MAX, Said};
pub use host::{Host, Parts, Suspected};
pub use service::{PANICKED, Service, Undo, panic_message};
pub use surplus::SharedSurplus;
pub use watch::{Served, Watcher};
