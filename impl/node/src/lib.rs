//! The runtime around `pbft-core`.

pub mod codec;
pub mod frame;
pub mod hex;
pub mod keyring;
pub mod keys;
pub mod ledger;
pub mod service;
pub mod state;
pub mod store;
