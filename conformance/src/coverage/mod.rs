//! What the replays and recorded runs have exercised, and what they have not.
//!
//! Green means little where nothing was looked at. So whatever can be named is counted: the edges of each graph, each
//! action in each phase of a replica's life, each reason for a refusal, each clause of `docs/paper.md`; and, where runs
//! were recorded, each kind of step that the replay has and they have not. What stays at zero is a failure that names it,
//! unless it is listed here with the reason why it must.

pub mod clauses;
pub mod command;
pub mod excuses;
pub mod judge;
pub mod measured;
pub mod recorded;
pub mod tables;

pub use judge::{CoverageReport, judge};
pub use measured::Measured;
pub use recorded::Recorded;
