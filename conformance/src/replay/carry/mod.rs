//! Replays that carry along what replicas hold beyond the model's state.
//!
//! α forgets what has no part in a rule any more, or has none yet: surplus votes, certificates that are over, parts of a
//! state of which the rest never came, requests that somebody else orders. A graph that is walked by the model's states
//! alone is replayed from one such remainder a state. Here the remainders are kept ([`group`], [`held`]): along random walks
//! on which replicas are given more than they need ([`walks`]), each kind of it counted ([`leftover`]); and in whole graphs
//! of pairs, a state of the model with what the replicas hold in it ([`product`]).

pub mod command;
pub mod group;
pub mod held;
pub mod leftover;
pub mod product;
pub mod walks;
