//! The runtime around `pbft-core`: sockets, disk, signatures, service, client.
//!
//! The node decides nothing about the protocol. It brings verified inputs to one [`pbft_core::Replica`], and does what
//! the replica asks for, in an order that the replica can rely on:
//!
//! ```text
//!   connection tasks                       driver                       connection tasks
//!  ┌────────────────┐  verified  ┌───────────────────────────┐  frames  ┌────────────────┐
//!  │ read           │  inputs    │ step ──▶ perform          │          │ write          │
//!  │ decode, verify │ ─────────▶ │   ▲         │ service,    │ ───────▶ │                │
//!  └────────────────┘  bounded   │   └─────────┘ log         │  bounded └────────────────┘
//!                                │ commit, then release      │
//!                                └───────────────────────────┘
//! ```
//!
//! * [`transport`]: TCP and TLS 1.3, where the key that signs votes also proves who is at the other end.
//! * [`inbox`]: frames become verified inputs, in parallel between senders and in order for each.
//! * [`driver`]: drains what has arrived, steps, performs, commits once, and only then lets messages leave.
//! * [`store`]: log, service state, reply table and checkpoints in one file, changed in one transaction.
//! * [`service`] and [`state`]: what is replicated. [`queries`] reads one replica's state.
//! * [`client`]: submits operations and believes f+1 equal replies.
//! * [`trace`]: what the replica did, in a file, for checking the run against the model.
//! * [`metrics`]: what it counts while it runs; [`admin`] shows it over HTTP.
//! * [`supervise`]: tasks that may not end unnoticed.
//! * [`config`] and [`keys`]: who is who; [`node`] puts a replica together.
//!
//! # An example
//!
//! A service, which is all that a program has to bring. [`node::Node::start`] runs a replica of it, and
//! [`client::Client::submit`] asks the cluster; `docs/embedding.md` in the repository has the whole program.
//!
//! ```
//! use pbft_core::types::ClientId;
//! use pbft_node::service::{Service, ServiceId};
//! use pbft_node::state::{State, StateView};
//!
//! /// Counts what each client has asked for.
//! struct Counter;
//!
//! impl Service for Counter {
//!     fn id(&self) -> ServiceId {
//!         ServiceId::new("counter", 1)
//!     }
//!
//!     fn execute(&self, state: &mut State<'_>, client: ClientId, _operation: &[u8]) -> Vec<u8> {
//!         let key = client.0.to_be_bytes();
//!         let count = state.get(&key).and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
//!         let count = (count.unwrap_or(0) + 1).to_be_bytes();
//!         match state.put(&key, &count) {
//!             Ok(()) => count.to_vec(),
//!             Err(error) => format!("refused: {error}").into_bytes(),
//!         }
//!     }
//!
//!     fn query(&self, state: &mut StateView, client: ClientId, _query: &[u8]) -> Vec<u8> {
//!         state.get(&client.0.to_be_bytes()).unwrap_or_default()
//!     }
//! }
//!
//! assert_eq!(Counter.id().to_string(), "counter/1");
//! ```
//!
//! A replica without its store refuses to start; [`recover`] lets it come back. [`inspect`] reads a store that nobody
//! has open. What is not here: MAC authenticators, changes of membership.

pub mod admin;
mod blocking;
pub mod client;
pub mod config;
pub mod control;
pub mod directory;
pub mod driver;
mod events;
pub mod hex;
pub mod inbox;
pub mod inspect;
pub mod keyring;
pub mod keys;
mod lanes;
pub mod lost_lines;
pub mod mac;
mod meter;
pub mod metrics;
pub mod network;
pub mod node;
pub mod queries;
pub mod recover;
pub mod service;
mod shared;
pub mod state;
pub mod store;
pub mod supervise;
mod timers;
pub mod trace;
pub mod transport;
mod turns;
pub mod voters;
mod watch;

pub use pbft_host::{codec, frame};

/// The guide's programs, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;
