//! What users of other PBFT systems have asked for, each as a test that names the wish (rows I.1 to I.15 of
//! `docs/experiments.md`). Each failure that is tested ends with the final view and the number of view changes.
//!
//! I.1, I.8, I.10 and I.15 have their tests elsewhere: `pbft-sim rows` knows where.

mod clients;
mod elections;
mod example;
mod fault_free;
mod files;
mod processes;
mod simulated;
mod watched;
