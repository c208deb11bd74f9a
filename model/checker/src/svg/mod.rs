//! A path as a picture: a lane for each replica, time to the right, an arrow for each message that was used.
//!
//! The picture stands alone: it carries its style, follows the reader's preference for dark or light, and says in
//! its description what it shows. Kinds of messages differ in their dashes as well as in their colour, and whatever is
//! Byzantine or violated is marked by a sign and a word as well.

mod draw;
mod label;
mod story;

pub use pbft_picture::{STYLE, definitions};

use pbft_model::Pbft;
use pbft_model::action::Action;
use story::Story;

/// Draws a path from the initial state, as an SVG document.
///
/// Each step stands in the lane of its replica, with arrows from the steps that sent the messages it used and with the
/// members of the quorum that allowed it. A lane shows the views that the replica goes through and, at its end, what
/// it executed. Properties that the last state violates are named below.
#[must_use]
pub fn swim_lanes(model: &Pbft, actions: &[Action]) -> String {
    draw::document(&Story::new(model, actions))
}

#[cfg(test)]
mod tests;
