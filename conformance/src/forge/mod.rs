//! Messages that lie, made from messages that do not: by construction, so that no field and no nested part is left out.
//!
//! A good message is mapped ([`map`]): every value, every list, every signed body in it. Each is then spoiled in each way
//! ([`spoil`]), and whatever lies around is signed again, so that only what was spoiled can give the message away. What is wrong
//! with the outcome is judged by rules of our own ([`valid`]); the core must find the same, or take the message if nothing is.

pub mod campaign;
pub mod good;
pub mod map;
pub mod rules;
pub mod spoil;
pub mod valid;

pub use rules::Rules;
pub use valid::Faults;
