//! The model in a browser: a path, what every replica knows along it, and what can and cannot happen next.
//!
//! Everything that the page shows is computed here, from the model: `view` follows a path and says for each of its states what
//! the replicas know (`panel`), what changed, and which properties and witnesses hold, with the diagram of [`crate::svg`]
//! and the mirror images of the path (`mirror`); `next` lists the steps that may be taken, and `blocked` says why others may
//! not. The page only arranges it. A server answers it (`front`), or a file holds it all for one path, with page, style and
//! script, for whoever has no server (`export`).
//!
//! Links have the form of Stateright's Explorer: `#/steps/0/3/1` is the initial state 0, its action 3, and action 1 of the state
//! after it. Stateright's own page can be had too (`classic`).
//!
//! The model is explored without reductions, since a canonical state may carry other names than the one before it. Nothing is
//! fetched from elsewhere: the page is part of the program.

mod blocked;
mod classic;
mod error;
mod export;
mod front;
mod mirror;
mod next;
mod opening;
mod panel;
mod view;

pub use classic::Classic;
pub use error::ExploreError;
pub use export::page;
pub use front::Explorer;
pub use mirror::{Mirror, mirrors};
pub use opening::{Opening, What};
