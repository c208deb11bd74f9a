//! The command `pbft-sim`: what it prints, its exit codes, and what the documentation and the deployment files say of it.

#[path = "../../../system/tidy/commands.rs"]
mod commands;
mod deploy;
mod docs;
mod experiments;
mod lab;
mod output;
mod rows;
mod simulator;
mod terminal;
