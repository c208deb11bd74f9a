//! Shows that the model and the production replica are the same protocol.
//!
//! The model ([`pbft_model`]) and the core ([`pbft_core`]) share nothing, not even a message type. Only
//! [`refinement`] names both: α maps a core replica's state to the model's ([`refinement::state`]), the message map
//! maps what it sends ([`refinement::message`]), and the action map says what must reach a replica for it to take
//! a step of the model ([`refinement::action`]).
//!
//! ```text
//!    model state ── action ──▶ model state           every edge of the graph, [`replay`]
//!        ▲                        ▲
//!        α                        α                  after every step, with the messages, the execution,
//!        │                        │                  the durable record and a restart compared
//!    core replica ─ deliveries ─▶ core replica       the last delivery acts, none before; probes are refused
//! ```
//!
//! Three claims are checked. *No step fewer*: for each edge the replica acts exactly when the last message arrives
//! that the rule asks for. *No step more*: it does nothing before, and a message that a guard forbids is refused with
//! that guard's reason and changes nothing ([`probe`]). *The same in production*: traces go through the production
//! node, with its tasks, frames, signatures and store, and with crashes ([`replay::node`]).
//!
//! *The other way round*: recorded runs of whole clusters, of any length, are behaviours of the model ([`validate`]).
//!
//! *What the model leaves out*, such as batches of more than one request and what is said again, is shown by scenarios with
//! exact expectations ([`beyond`]); so is what a replay of one input a step leaves out in the production node ([`wide`]), and
//! whatever lies between a node and the world: connections, the client library, files, recordings ([`door`]).
//!
//! What is not shown here: behaviour outside the bounds of model and scenarios, and time but for those scenarios.

pub mod beyond;
pub mod cli;
pub mod coverage;
pub mod divergence;
pub mod door;
pub mod forge;
pub mod job;
mod panics;
pub mod planted;
pub mod probe;
pub mod refinement;
pub mod replay;
pub mod report;
pub mod signpost;
pub mod statement;
pub mod subject;
pub mod validate;
pub mod walk;
pub mod wide;
