//! Practical Byzantine Fault Tolerance (Castro and Liskov, OSDI'99, with signatures) as a pure state machine.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

pub mod canonical;
pub mod client;
pub mod crypto;
pub mod durable;
pub mod effect;
pub mod input;
pub mod manifest;
pub mod membership;
pub mod message;
pub mod params;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod rejection;
mod replica;
pub mod replies;
pub mod types;

pub use durable::{Durable, Record};
pub use effect::{Effect, HaltReason};
pub use input::{Input, ServiceState, Timer};
pub use membership::Membership;
pub use params::Params;
pub use rejection::Rejection;
pub use replica::Replica;
