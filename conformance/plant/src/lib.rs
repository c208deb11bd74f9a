//! Bugs as diffs: production code and specification have no switch for any.
//!
//! A bug is an entry in a list beside the crate that it is in ([`catalogue`]): what is wrong, what catches it, and the
//! line as it is beside the line as it would be wrong. This crate finds the places ([`place`]), writes a copy of the
//! workspace in which each bug can be switched on by name ([`copy`]), builds it ([`build`]), and lets tools run what was
//! built ([`switch`]). A bug whose line is gone is an error that names it. Mutants of the specification are also made from its
//! sources, by rule and without a list ([`generate`]).

pub mod build;
pub mod catalogue;
pub mod copy;
pub mod find;
mod functions;
pub mod generate;
pub mod place;
mod show;
pub mod switch;
pub mod tool;
pub mod workspace;
