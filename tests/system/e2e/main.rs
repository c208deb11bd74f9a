//! The `pbft` command as its users run it: real processes, sockets and disks.
//!
//! What no process can show (one replica that lies, messages that are lost at chosen moments) is the business of the
//! model, of conformance, and of the core's own tests.

mod bad_input;
mod catching_up;
mod ci;
#[path = "../tidy/commands.rs"]
mod commands;
mod copies;
mod crashes;
mod durability;
mod health;
mod help;
mod junk;
mod logging;
mod operations;
mod readme;
mod suspect;
mod tutorial;
