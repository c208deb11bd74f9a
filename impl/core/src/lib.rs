//! Practical Byzantine Fault Tolerance (Castro and Liskov, OSDI'99, with signatures) as a pure state machine.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

pub mod canonical;
mod certificate;
mod checkpoint;
pub mod client;
pub mod crypto;
pub mod durable;
pub mod effect;
mod execution;
pub mod input;
mod invariants;
mod log;
pub mod manifest;
pub mod membership;
pub mod message;
mod new_view;
mod normal_case;
pub mod params;
mod pending;
pub mod planted;
mod recovery;
pub mod rejection;
mod replica;
pub mod replies;
mod status;
pub mod summary;
mod timer;
mod transfer;
pub mod types;
mod view_change;

pub use durable::{Durable, Record};
pub use effect::{Effect, HaltReason};
pub use input::{Input, ServiceState, Timer};
pub use membership::Membership;
pub use params::Params;
pub use planted::PLANTED_BUGS;
pub use rejection::Rejection;
pub use replica::Replica;
pub use summary::Summary;
