//! The lab: cases and sessions.

mod cases;
mod monkey;
mod sessions;
