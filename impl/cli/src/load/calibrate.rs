//! How fast the processor is right now: a machine that is shared or throttled explains many a difference.

use sha2::{Digest as _, Sha256};
use std::time::{Duration, Instant};

/// How long a calibration takes.
const CALIBRATION: Duration = Duration::from_millis(150);

/// How many megabytes one thread hashes in a second (SHA-256, what checkpoints and signatures spend time on).
pub(super) fn megabytes_a_second() -> f64 {
    let block = [0x5a; 64 * 1024];
    let (began, mut bytes, mut hash) = (Instant::now(), 0usize, Sha256::new());
    while began.elapsed() < CALIBRATION {
        hash.update(block);
        bytes += block.len();
    }
    // Used, so that the work is not left out.
    std::hint::black_box(hash.finalize());
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}
