//! Swim lanes: a lane for each replica, time to the right, and what a replica says or does as a node in its lane.
//!
//! The Explorer's pictures of the model's paths and those of the theorem's counterexamples are made of this. A picture stands
//! alone: it carries its style and follows the reader's preference for dark or light.

mod canvas;
mod lanes;

pub use canvas::{BOLD, Canvas, Point, STYLE, definitions, fit, width_of};
pub use lanes::{AXIS, Grid, LANE, Node, RADIUS, TOP};
use pbft_output::escape_xml;

/// A whole SVG document. Title and description are for those who cannot see it; `heads` are the classes of messages that the
/// body has arrows of.
#[must_use]
pub fn document<'a>(
    (width, height): (f64, f64),
    title: &str,
    description: &str,
    heads: impl IntoIterator<Item = &'a str>,
    body: Canvas,
) -> String {
    // The style sheet has nothing in it that XML would have escaped.
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' class='swim' role='img' width='{width:.0}' height='{height:.0}' \
         viewBox='0 0 {width:.0} {height:.0}'><title>{}</title><desc>{}</desc><style>{STYLE}</style>{}{}</svg>",
        escape_xml(title),
        escape_xml(description),
        definitions(heads),
        body.finish()
    )
}
