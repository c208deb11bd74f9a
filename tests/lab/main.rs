//! The lab: cases, sessions, the command line, a terminal, and what the documentation shows of them.

mod cases;
mod command;
mod docs;
mod monkey;
mod sessions;
mod terminal;
