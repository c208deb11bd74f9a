//! Whole clusters in one thread, on a virtual clock, from one seed.
//!
//! The replicas are production's: [`pbft_host::Host`] and its door around [`pbft_core::Replica`], with the core's client
//! machine and the node's recorder. Simulated are what they stand on: the network, the disks, the clocks, and, unless
//! asked otherwise, the arithmetic of signatures ([`keys`]). Everything that could be different in a second run, is drawn from the seed.
//!
//! ```text
//!    seed ──▶ Plan: liars, faults, operations          fault
//!               │
//!               ▼
//!    Run: virtual clock, network, faults               driver, network
//!               │ events          ▲ frames, timers
//!               ▼                 │
//!    World: processes, clients, liars                  world, process, disk, client, behaviour
//!               │ every step, every message
//!               ▼
//!    Oracle, history, recordings                       oracle, help, history, judge
//! ```
//!
//! A [`driver::Run`] decides what happens next and when; a [`world::World`] makes it happen. A run is therefore a list of
//! events that can be kept, shortened ([`shrink`]) and replayed without clock and chance.

pub mod bank;
pub mod behaviour;
pub mod campaign;
pub mod client;
pub mod coverage;
pub mod disk;
pub mod driver;
pub mod event;
pub mod fault;
pub mod help;
pub mod history;
pub mod hunt;
pub mod judge;
pub mod keys;
pub mod level;
pub mod matrix;
pub mod memory;
pub mod network;
pub mod oracle;
pub mod output;
pub mod planted;
pub mod process;
pub mod processor;
pub mod render;
pub mod rng;
pub mod shrink;
mod sight;
mod statement;
pub mod traffic;
pub mod tuning;
pub mod twins;
pub mod watch;
pub mod world;
