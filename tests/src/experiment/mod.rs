//! Named experiments on simulated clusters and on real processes: what others measured, repeated here.

pub mod elections;
mod row;

pub use row::{Kind, Outcome, Row};

/// The expectations that the experiments of this module answer.
#[must_use]
pub fn rows() -> Vec<Row> {
    Vec::new()
}
