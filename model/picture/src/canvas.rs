//! The look of the pictures, and the few elements that they are made of.

use pbft_output::escape_xml;
use std::fmt::Write;

/// Style sheet, with the classes below `.swim` so that a page may embed the picture. The colours are of the palette of Okabe and
/// Ito, which the common kinds of colour blindness leave distinct, darkened or lightened for contrast with the background.
pub const STYLE: &str = include_str!("style.css");

/// Text under construction, as XML.
#[derive(Clone, Debug, Default)]
pub struct Canvas {
    xml: String,
}

impl Canvas {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { xml: String::new() }
    }

    /// What was drawn.
    #[must_use]
    pub fn finish(self) -> String {
        self.xml
    }

    /// Adds a group with a class and the number of its step, with a tooltip.
    pub fn open(&mut self, class: &str, step: usize, tooltip: &str) {
        let _ = write!(self.xml, "<g class='{class}' data-step='{step}'>");
        if !tooltip.is_empty() {
            let _ = write!(self.xml, "<title>{}</title>", escape_xml(tooltip));
        }
    }

    /// Ends the group.
    pub fn close(&mut self) {
        self.xml += "</g>";
    }

    /// A text.
    pub fn text(&mut self, class: &str, at: Point, content: &str) {
        let Point { x, y } = at;
        let _ = write!(
            self.xml,
            "<text class='{class}' x='{x:.1}' y='{y:.1}'>{}</text>",
            escape_xml(content)
        );
    }

    /// A text that is made narrower where it would need more than `room`.
    pub fn label(&mut self, class: &str, at: Point, content: &str, room: f64) {
        if width_of(content) * BOLD <= room {
            return self.text(class, at, content);
        }
        let Point { x, y } = at;
        let _ = write!(
            self.xml,
            "<text class='{class}' x='{x:.1}' y='{y:.1}' textLength='{room:.0}' lengthAdjust='spacingAndGlyphs'>{}</text>",
            escape_xml(content)
        );
    }

    /// A rectangle, whose corners are rounded.
    pub fn rect(&mut self, class: &str, at: Point, width: f64, height: f64, radius: f64) {
        let Point { x, y } = at;
        let _ = write!(
            self.xml,
            "<rect class='{class}' x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' rx='{radius}'/>"
        );
    }

    /// A circle.
    pub fn circle(&mut self, class: &str, at: Point, radius: f64) {
        let Point { x, y } = at;
        let _ = write!(self.xml, "<circle class='{class}' cx='{x:.1}' cy='{y:.1}' r='{radius}'/>");
    }

    /// The sign of a Byzantine replica.
    pub fn diamond(&mut self, class: &str, at: Point, radius: f64) {
        let Point { x, y } = at;
        let _ = write!(
            self.xml,
            "<path class='{class}' d='M{x:.1} {:.1}l{radius} {radius}l-{radius} {radius}l-{radius} -{radius}z'/>",
            y - radius
        );
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: Point, to: Point) {
        let _ = write!(
            self.xml,
            "<line class='{class}' x1='{:.1}' y1='{:.1}' x2='{:.1}' y2='{:.1}'/>",
            from.x, from.y, to.x, to.y
        );
    }

    /// A message: a line of its kind with a head, from `gap` outside the middle of one place to `gap` outside that of
    /// another. The longer it is, the more it is bent, so that it passes the places in between.
    pub fn arrow(&mut self, class: &str, from: Point, to: Point, gap: f64) {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = dx.hypot(dy).max(1.0);
        let down = if dy == 0.0 { 0.0 } else { dy.signum() };
        let bend = (length * 0.12).min(64.0) / length * down;
        let control =
            Point::new((from.x + to.x) / 2.0 + dy * bend, (from.y + to.y) / 2.0 - dx * bend);
        let (start, end) = (from.towards(control, gap), to.towards(control, gap + 1.0));
        let _ = write!(
            self.xml,
            "<path class='message {class}' marker-end='url(#head-{class})' \
             d='M{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}'/>",
            start.x, start.y, control.x, control.y, end.x, end.y
        );
    }
}

/// The heads of arrows, one for each of these classes of messages, and the hatchings.
#[must_use]
pub fn definitions<'a>(classes: impl IntoIterator<Item = &'a str>) -> String {
    let mut defs = String::from("<defs>");
    for name in classes {
        let _ = write!(
            defs,
            "<marker id='head-{name}' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' \
             markerUnits='userSpaceOnUse' orient='auto'><path class='head {name}' d='M0 .5L8 4L0 7.5z'/></marker>"
        );
    }
    for name in ["changing", "byzantine"] {
        let _ = write!(
            defs,
            "<pattern id='{name}' width='7' height='7' patternUnits='userSpaceOnUse' patternTransform='rotate(45)'>\
             <line class='hatch {name}' x1='0' y1='0' x2='0' y2='7'/></pattern>"
        );
    }
    defs + "</defs>"
}

/// A place in the picture, in its own units (pixels at full size).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Down.
    pub y: f64,
}

impl Point {
    /// A place.
    #[must_use]
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The place at a distance from here on the way to another.
    #[must_use]
    pub fn towards(self, to: Self, distance: f64) -> Self {
        let (dx, dy) = (to.x - self.x, to.y - self.y);
        let length = dx.hypot(dy).max(1.0);
        Self::new(self.x + dx / length * distance, self.y + dy / length * distance)
    }
}

/// How much wider bold text is.
pub const BOLD: f64 = 1.16;

/// Width of a text of the small size, estimated: fonts differ.
#[must_use]
pub fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * 6.2
}

/// The text, cut to what fits into a width.
#[must_use]
pub fn fit(text: &str, width: f64) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let kept = (width / 6.2) as usize;
    text.chars().take(kept.saturating_sub(1)).chain(['…']).collect()
}
