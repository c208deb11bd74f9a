//! The lab: cases and sessions.

mod cases;
mod goldens;
mod monkey;
mod sessions;
