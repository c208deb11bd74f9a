//! Trace files: what a replica did, step by step, for checking a run against the model afterwards.
//!
//! A file is lines of JSON ([`mod@format`]): a header whenever the replica starts, then one line for each step of the
//! core, and an end when it stops in order. `docs/recording.md` describes it.
//!
//! The [`Recorder`] is an [`crate::driver::Observer`], so it sees each step at the one trace point. It writes a
//! group's steps with one call *before* the group is committed, and so before any of its messages leaves. A
//! replica that is killed therefore leaves in its file everything that anybody can have heard from it; at most the
//! last group is there without having happened, and the header of the next start tells. Nothing is synced: a
//! crash of the whole machine may cost the end of a file.

mod describe;
pub mod format;
mod recorder;

pub use format::{FORMAT, LINE_BYTES_MAX, Line, ShortDigest};
pub use recorder::{Recorder, TraceError};
