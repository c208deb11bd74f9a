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
//! # An example
//!
//! A frame from the network is held to its size and decoded before anybody looks at a signature. What is wrong with it is a
//! value, never a panic.
//!
//! ```
//! use pbft_core::message::Message;
//! use pbft_core::types::Digest;
//! use pbft_core::{Membership, Params, types::ReplicaId};
//! use pbft_host::codec;
//! use pbft_host::frame::{FrameError, FrameLimits};
//!
//! let membership = Membership::new(4).expect("at least four");
//! let limits = FrameLimits::new(&Params::new(ReplicaId(0), membership, Digest([7; 32])));
//!
//! assert!(matches!(limits.decode_message(b"junk"), Err(FrameError::Codec(_))));
//!
//! let message = Message::FetchBatch(Digest([1; 32]));
//! let frame = codec::encode(&message).expect("encodable");
//! assert_eq!(limits.decode_message(&frame), Ok(message));
//!
//! let longer = [frame, vec![0]].concat();
//! assert!(limits.decode_message(&longer).is_err(), "not a byte too many");
//! ```
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
