//! The runtime around `pbft-core`.

mod blocking;
pub mod cli;
pub mod client;
pub mod codec;
pub mod config;
pub mod driver;
pub mod frame;
pub mod hex;
pub mod inbox;
pub mod keyring;
pub mod keys;
pub mod ledger;
pub mod network;
pub mod node;
mod perform;
pub mod service;
pub mod state;
pub mod store;
mod timers;
pub mod transport;
