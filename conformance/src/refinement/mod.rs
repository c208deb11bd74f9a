//! The refinement: the only place that names both vocabularies.
//!
//! [`vocabulary`] translates values, [`state`] is the abstraction function α, [`message`] maps messages, and
//! [`action`] maps each action of the model to what must be delivered to a replica to make it take that step, where
//! [`pick`] selects among messages that would do equally well. Actions are counted by [`kind`].

pub mod action;
pub mod byzantine;
pub mod fields;
pub mod keys;
pub mod kind;
pub mod layout;
pub mod message;
pub mod network;
pub mod pick;
pub mod service;
pub mod state;
pub mod timers;
pub mod vocabulary;
