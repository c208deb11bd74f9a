//! Arbitrary bytes at every place where bytes come in: frames, messages, the handshake, the store, the cluster file, trace
//! files; and arbitrary verified messages at the core.
//!
//! Each target is a test. `cargo test` gives it every input of its corpus and some hundred random ones; how to fuzz for
//! hours is in `docs/reliability.md`. A target whose inputs only a few bytes away from good ones are of interest reads its
//! input as a script of edits ([`edit::edited`]) of something good.

mod bytes;
mod corpora;
mod edit;
mod files;
mod handshake;
mod honest;
#[path = "../../../impl/core/tests/common/mod.rs"]
mod lone_replica;
mod machine;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts what is allocated: for the bounds of the decoders.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// One target at a time, so that what is allocated is its own.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
