//! Shows that the model and the production replica are the same protocol.

pub mod divergence;
pub mod grain;
pub mod host;
pub mod keys;
pub mod network;
pub mod node_host;
pub mod node_keys;
pub mod node_replay;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod probe;
pub mod refinement;
pub mod replay;
pub mod service;
pub mod step;
pub mod walk;
