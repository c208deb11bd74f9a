//! The lab: a cluster of the production core and host that a person steps through, message by message.
//!
//! ```text
//!    line ──▶ parse ──▶ Command ──▶ Session ──▶ Cluster: messages, clock, who is held    cluster
//!                                      │            │   the simulator's World below
//!                                      │            ▼
//!                                      │         recordings of the correct replicas      eyes
//!                                      ▼            │
//!                                   Report ◀────────┘   text (80 columns) or JSON        report, text
//! ```
//!
//! Nothing arrives, and no timer runs out, unless somebody says so. A session is its list of commands: undo, load and the
//! pictures play them again. What the correct replicas do is read from their recordings, the same that
//! `pbft-conform validate` checks.

pub mod cases;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod command;
pub mod diagram;
pub mod eyes;
pub mod letter;
pub mod parse;
pub mod report;
pub mod saved;
pub mod session;
pub mod speech;
mod terminal;
pub mod text;
pub mod verbs;
pub mod words;

pub use cases::{Case, Outcome, cases, run};
