//! The simulator itself: runs are repeatable, rules are noticed when they are broken, and what is broken is made small.

mod determinism;
mod hunt;
mod laggards;
mod liveness;
mod oracles;
mod production;
mod violations;
