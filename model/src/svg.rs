//! A path as a picture: a lane for each replica, time downwards.

use std::fmt::Write;

use stateright::Model;

use crate::action::Action;
use crate::ids::ReplicaId;
use crate::state::State;
use crate::{Pbft, properties, trace};

const LANE: usize = 210;
const LINE: usize = 15;
const TOP: usize = 40;
const GAP: usize = 12;

/// Draws the steps of a path, each in the lane of its replica, with what it sent and changed.
#[must_use]
pub fn swim_lanes(model: &Pbft, actions: &[Action]) -> String {
    let replicas = model.config().replicas();
    let mut body = String::new();
    let mut y = TOP;
    let mut state = State::initial(replicas);
    for (step, action) in actions.iter().enumerate() {
        let Some(next) = model.next_state(&state, *action) else { break };
        y += draw_step(&mut body, y, step, action, &trace::diff(model, &state, &next));
        state = next;
    }
    let violated = properties::violated(model, &state);
    if !violated.is_empty() {
        let message = format!("violated: {}", violated.join(", "));
        text(&mut body, 8, y + LINE, &message, "font-weight='bold' fill='#b00020'");
        y += 2 * LINE;
    }
    let width = LANE * usize::from(replicas);
    let height = y + GAP;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' \
         font-family='sans-serif' font-size='11'>"
    );
    for id in (0..replicas).map(ReplicaId) {
        draw_lane(&mut svg, model, id, height);
    }
    svg + &body + "</svg>"
}

fn draw_lane(svg: &mut String, model: &Pbft, id: ReplicaId, height: usize) {
    let x = LANE * id.index();
    let byzantine = model.is_byzantine(id);
    let fill = if byzantine { "#fdecea" } else { "#ffffff" };
    let _ = write!(
        svg,
        "<rect x='{x}' y='0' width='{LANE}' height='{height}' fill='{fill}' stroke='#dddddd'/>"
    );
    let title = if byzantine { format!("{id} (Byzantine)") } else { id.to_string() };
    text(svg, x + 8, 20, &title, "font-weight='bold'");
}

/// Draws a step and returns its height.
fn draw_step(
    svg: &mut String,
    y: usize,
    step: usize,
    action: &Action,
    changes: &[String],
) -> usize {
    let x = LANE * action.replica().index();
    let own = format!("{}: ", action.replica());
    let height = LINE * (changes.len() + 1) + 6;
    let width = LANE - 8;
    let x_box = x + 4;
    let _ = write!(
        svg,
        "<rect x='{x_box}' y='{y}' width='{width}' height='{height}' rx='4' fill='#eef4ff' \
         stroke='#7b9acc'/>"
    );
    let label = format!("{}. {}", step + 1, action.name());
    text(svg, x + 8, y + LINE, &label, "font-weight='bold'");
    for (line, change) in changes.iter().enumerate() {
        let change = change.strip_prefix(&own).unwrap_or(change);
        text(svg, x + 8, y + LINE * (line + 2), change, "");
    }
    height + GAP
}

fn text(svg: &mut String, x: usize, y: usize, content: &str, style: &str) {
    let _ = write!(svg, "<text x='{x}' y='{y}' {style}>{}</text>", escape(content));
}

/// Escapes what has a meaning in XML.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\'' => escaped += "&apos;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("P<1> & 'x' \"y\""), "P&lt;1&gt; &amp; &apos;x&apos; &quot;y&quot;");
    }
}
