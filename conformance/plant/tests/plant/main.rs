//! Lists, places, copies and builds, on a workspace of two small crates.

mod builds;
mod commands;
mod copies;
mod fixture;
mod generated;
mod lists;
mod places;
