//! Charts as SVG: panels with axes, lines, points and bars. Legible at half size, in light and dark, and without colours:
//! every series has a mark or a dash of its own.

mod draw;

/// A picture of one or more panels, one below the other.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The panels.
    pub panels: Vec<Panel>,
}

/// A pair of axes with what is drawn between them.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The horizontal axis.
    pub x: Horizontal,
    /// What the vertical axis says, with its unit.
    pub y: String,
    /// Where the vertical axis ends; at a round number above the largest value if not said.
    pub top: Option<f64>,
    /// Whether the vertical axis is logarithmic.
    pub log: bool,
    /// What is drawn.
    pub series: Vec<Series>,
    /// Moments or places that are marked by a vertical line.
    pub marks: Vec<Mark>,
}

/// A horizontal axis.
#[derive(Clone, Debug)]
pub enum Horizontal {
    /// Numbers from one to another.
    Numbers {
        /// What they are, with their unit.
        label: String,
        /// The first.
        from: f64,
        /// The last.
        to: f64,
    },
    /// Ticks at parts of the width.
    Places {
        /// What they are.
        label: String,
        /// Each with its name.
        ticks: Vec<(f64, String)>,
    },
    /// Names side by side; a point's `x` is the number of its name.
    Names {
        /// What they are.
        label: String,
        /// The names.
        names: Vec<String>,
    },
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line.
    Line,
    /// A line with a mark at each point.
    Marks,
    /// Bars, those of several series side by side; on a logarithmic axis, marks without a line.
    Bars,
}

/// Values that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// Their name, in the legend.
    pub name: String,
    /// How they are drawn.
    pub style: Style,
    /// The values.
    pub points: Vec<Point>,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// How much.
    pub y: f64,
    /// The least and the most that was seen there.
    pub spread: Option<(f64, f64)>,
}

/// A vertical line with a word.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// The word.
    pub text: String,
}

impl Point {
    /// A value without a spread.
    #[must_use]
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y, spread: None }
    }
}

impl Chart {
    /// A picture of one panel.
    #[must_use]
    pub fn of(title: &str, panel: Panel) -> Self {
        Self { title: title.to_owned(), panels: vec![panel] }
    }

    /// The picture as a file of its own.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        let drawn = draw::chart(&mut svg, self);
        // Writing to a string cannot fail.
        debug_assert!(drawn.is_ok());
        svg
    }
}

/// The next number at or above `value` whose quarters are easy to read.
#[must_use]
pub fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    let above = |nice: &f64| *nice >= value * (1.0 - 1e-9);
    steps.into_iter().map(|step| step * power).find(above).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(log: bool, values: &[f64]) -> String {
        let points = |scale: f64| {
            let each = values.iter().enumerate();
            each.map(|(x, y)| Point { x: x as f64, y: y * scale, spread: Some((0.0, *y)) })
                .collect()
        };
        let series =
            |name: &str, style, scale| Series { name: name.into(), style, points: points(scale) };
        let names = (0..values.len()).map(|number| format!("<{number}>")).collect();
        let panel = Panel {
            x: Horizontal::Names { label: "cluster".into(), names },
            y: "operations/s".into(),
            top: None,
            log,
            series: vec![
                series("ours & theirs", Style::Bars, 1.0),
                series("b", Style::Bars, 0.5),
                series("c", Style::Marks, 0.1),
            ],
            marks: vec![Mark { x: 0.0, text: "kill".into() }],
        };
        Chart::of("a <b> & c", panel).to_svg()
    }

    #[test]
    fn a_picture_has_its_words_and_only_numbers() {
        for (log, values) in [
            (false, &[3.0, 7.0][..]),
            (true, &[0.5, 900.0]),
            (false, &[]),
            (true, &[0.0]),
            (false, &[0.0]),
        ] {
            let svg = chart(log, values);
            assert!(
                svg.contains("a &lt;b&gt; &amp; c") && svg.contains("ours &amp; theirs"),
                "{svg}"
            );
            assert!(svg.contains("operations/s") && svg.contains("cluster"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.contains("prefers-color-scheme:dark"));
        }
        assert!(chart(false, &[3.0]).contains("kill"));
        assert_eq!(chart(false, &[3.0, 7.0]).matches("class='bar").count(), 4);
    }

    #[test]
    fn scales_end_at_or_above_the_largest_value() {
        for value in [0.001, 0.7, 1.0, 3.0, 41.0, 999.0, 123_456.0] {
            let nice = nice(value);
            assert!(nice >= value && nice <= 2.01 * value, "{value}: {nice}");
        }
    }
}
