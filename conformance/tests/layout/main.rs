//! The second encoder, and the core held to it: golden bytes, equality with what the core hashes and signs, and what no two values
//! share. Encodings of thousands of values are on record.

mod dice;
mod distinct;
mod formats;
mod golden;
