//! Named experiments on simulated clusters and on real processes: what others measured, repeated here.
//!
//! ```text
//!    knobs, fault plan ──▶ Setup ──▶ simulate, real ──▶ Measurement ──▶ table (CSV, JSON), figures (SVG), report (HTML)
//! ```
//!
//! An experiment is a [`setup::Setup`]; [`simulate`] runs it on the production core in virtual time and measures it. The
//! verdict on safety is the oracle's, which looks at every step, and the verdict on liveness is that every operation was
//! answered and executed at every correct replica.

pub mod cli;
pub mod distalgo;
mod driver;
pub mod elections;
pub mod faults;
pub mod figures;
pub mod knobs;
pub mod ledger;
pub mod measure;
pub mod real;
pub mod report;
mod row;
pub mod rows;
pub mod setup;
pub mod simulate;
pub mod sweep;
pub mod table;
pub mod words;

pub use row::{Kind, Outcome, Row};

/// How times of simulated runs are to be read.
pub const VIRTUAL: &str = "Times are virtual: a message takes its delay and 0.1 ms, computing takes nothing; signatures \
are keyed hashes unless Ed25519 is asked for. They show the protocol's rounds and timeouts, and say nothing of a machine.";

/// How times of runs on processes are to be read.
pub const REAL: &str = "Times are real: processes on one machine, with TLS, Ed25519 signatures and a disk write before each \
message. Messages are not counted; every step of every replica is recorded and checked against the model.";

/// The expectations that the experiments of this module answer.
#[must_use]
pub fn rows() -> Vec<Row> {
    [driver::rows(), distalgo::rows(), ledger::rows(), sweep::rows()].concat()
}
