//! Recorded runs are behaviours of the model, and recordings that were tampered with are not.

mod cluster;
mod commands;
mod honest;
mod tampered;
mod teeth;
mod theorem;

use cluster::Cluster;
use pbft_conformance::validate::merge::ValidateError;
use pbft_conformance::validate::{Options, Recording, Validation, validate};
use std::path::PathBuf;

/// Validates files that are held in memory.
fn validated(files: &[Vec<u8>], options: &Options) -> Result<Validation, ValidateError> {
    let recordings = files.iter().enumerate();
    let recordings = recordings.map(|(id, bytes)| {
        Recording::new(PathBuf::from(format!("replica-{id}.jsonl")), &bytes[..])
    });
    validate(recordings.collect(), options)
}

fn files(cluster: &Cluster) -> Vec<Vec<u8>> {
    cluster.files.iter().map(cluster::Memory::bytes).collect()
}
