//! The theorem: PBFT keeps agreement for any number of replicas, views and sequence numbers.
//!
//! `pbft.txt` has the transition system, with an action for each action of the model, and an invariant. It is read by
//! [`theory`], and everything else is made from that one definition: the questions to solvers ([`smt`], [`prove`]), and
//! the weakened rules that must make them fail ([`weakened`]). `docs/theorem.md` tells the argument in words.
//!
//! # What is assumed
//!
//! * Signatures: nobody can send in the name of an honest replica. Byzantine replicas have no steps of their own; their
//!   votes are there whenever somebody asks for them, and their VIEW-CHANGEs may show any certificate that exists, or none.
//! * Two quorums share an honest replica. That is all that is known of n, f and q.
//! * An honest replica does not forget what it said: relations only grow.
//! * A digest stands for one state.
//!
//! # What is not shown here
//!
//! Progress; batches and messages as bytes. That the model's steps are steps of this system is checked state by state in
//! `pbft-model` (`cargo check-theorem`), with [`instance`].

pub(crate) mod check;
pub mod counterexample;
pub mod formula;
pub mod instance;
pub mod picture;
pub mod prove;
pub mod run;
pub mod said;
pub mod smt;
pub mod solver;
pub mod theory;
pub mod tla;
pub mod weakened;
