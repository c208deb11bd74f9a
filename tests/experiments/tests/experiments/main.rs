//! Named experiments, and `pbft-sim run`.

mod runs;
