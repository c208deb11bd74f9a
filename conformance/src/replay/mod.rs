//! The model's behaviours, replayed against production code: every edge of whole graphs on the core ([`core`]), and traces on
//! the production node ([`node`]). Which configurations, traces and walks, says the [`plan`].

pub mod canary;
pub mod carry;
pub mod core;
pub mod corpus;
pub mod grain;
pub mod landmark;
pub mod node;
pub mod plan;
pub mod shrink;
