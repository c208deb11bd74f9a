//! Recorded runs against the model: is what the replicas of a cluster did a behaviour that the model allows?
//!
//! The node writes what each replica does ([`pbft_node::trace`]). Here the files of a cluster are read in one pass
//! ([`recording`]) and merged along causality ([`merge`]): a step is taken when everything that it has heard was said. At
//! each step the monitor ([`cluster`]) finds the actions of the model that it consists of, and asks the model's own
//! rules ([`pbft_model::rules`]) whether they are enabled there. Facts are what the replica itself has heard, so the
//! answer does not depend on the order in which steps of different replicas are looked at. There is no bound on
//! length, views or n; what is remembered is bounded by the windows of the replicas.
//!
//! The theorem's invariant is evaluated beside that, after each step ([`theorem`]).
//!
//! Replicas without a file, and those named as Byzantine, may have said anything that they could sign. There may
//! be f of them.

mod actions;
pub mod cluster;
pub mod command;
pub mod coverage;
mod facts;
mod hear;
pub mod merge;
pub mod narrate;
pub mod needs;
pub mod recording;
pub mod refusal;
pub mod report;
pub mod theorem;
mod views;

pub use merge::{Options, validate, validate_against};
pub use recording::{Recording, Refused};
pub use report::{Divergence, Validation, Validity};
