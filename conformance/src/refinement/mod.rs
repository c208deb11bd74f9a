//! The refinement: the only place that names both vocabularies.
//!
//! [`vocabulary`] translates values, [`state`] is the abstraction function α, [`message`] maps messages, and
//! [`action`] maps each action of the model to what must be delivered to a replica to make it take that step.

pub mod action;
pub mod byzantine;
pub mod message;
pub mod state;
pub mod vocabulary;
