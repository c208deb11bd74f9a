//! A path as a picture: a lane for each replica, time to the right, an arrow for each message that was used.
//!
//! The picture stands alone: it carries its style, follows the reader's preference for dark or light, and says in
//! its description what it shows. Kinds of messages differ in their dashes as well as in their colour, and whatever is
//! Byzantine or violated is marked by a sign and a word as well.

mod draw;
mod label;
pub(crate) mod story;

pub use pbft_picture::{STYLE, definitions};

use draw::Purpose;
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
    draw::document(&Story::new(model, actions), Purpose::Still)
}

/// The same for a page that walks along the path.
///
/// What belongs to a step or to the state after it is in a group with the number of the step: its ground (`column`), the
/// messages it used (`uses`), its node (`step`), what was executed by then (`ending`). The names of the lanes (`heads`) have a
/// ground of their own, so that they can stay where they are while the rest is scrolled.
#[must_use]
pub fn walk(model: &Pbft, actions: &[Action]) -> String {
    draw::document(&Story::new(model, actions), Purpose::Walk)
}

#[cfg(test)]
mod tests;
