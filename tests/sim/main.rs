//! The simulator itself: runs are repeatable, rules are noticed when they are broken, and what is broken is made small.

#[path = "../tidy/commands.rs"]
mod commands;
mod deploy;
mod determinism;
mod laggards;
mod liveness;
mod oracles;
mod output;
mod production;
mod tool;
mod violations;
