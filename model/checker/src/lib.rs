//! Checks the model of PBFT (`pbft-model`), and shows what it finds: the command `pbft-model`.
//!
//! [`check`] is the exhaustive search with Stateright. [`bfs`] is a second engine that finds shortest counterexamples, and that as
//! a second opinion must count the same states and edges under two hash seeds; those of the presets are on record in [`golden`].
//! [`simulate`] walks at random where there is too much to visit: it may find a violation, and cannot show that there is none.
//!
//! A search that finds nothing shows something only if it would have found something. With each mutant planted, the property on
//! record must be violated ([`mutant_record`], [`mutants`]); what comes of each mutant that is made from the sources by rule is on
//! record too ([`generated`]); and with more than f Byzantine replicas, agreement must (the negative
//! controls in [`preset`]). [`theorem`] compares the model's steps with those of the theorem.
//!
//! [`trace`] is a path that a search found, as a file that can be told, shortened and compared; [`svg`] draws it, and
//! [`explore`] shows it in a browser.

pub mod axes;
pub mod bfs;
pub mod chance;
pub mod check;
pub mod cli;
pub mod estimate;
pub mod explore;
pub mod finished;
pub mod generated;
pub mod golden;
pub mod graph;
pub mod mutant_record;
pub mod mutants;
pub mod output;
pub mod preset;
pub mod report;
pub mod run;
pub mod run_args;
pub mod shard;
pub(crate) mod shortest;
pub mod simulate;
pub mod svg;
pub(crate) mod sweep;
pub mod theorem;
pub mod trace;
