//! A session as a picture in the Explorer's style: a lane for each replica and one for the client, time to the right.
//!
//! A node is something that somebody did; an arrow runs from where a message was sent to where it arrived. Columns are
//! causal: what follows from a message stands to the right of it, so one operation is the paper's figure of the normal
//! case however its messages were delivered. STATUS messages and transfers are left out.

mod draw;
mod layout;

use super::session::Session;

/// Draws a session as an SVG document.
#[must_use]
pub fn draw(session: &Session) -> String {
    draw::document(&session.cluster, &layout::Story::of(&session.cluster))
}

#[cfg(test)]
mod tests;
