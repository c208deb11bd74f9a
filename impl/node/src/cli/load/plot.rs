//! A measurement as a picture: latency by percentile, and throughput over time.

use super::report::Series;
use super::work::SLICE;
use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 660.0;
/// Where the axes of a panel are.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 830.0;
const PANEL_HEIGHT: f64 = 220.0;
const LATENCY_TOP: f64 = 92.0;
const RATE_TOP: f64 = 385.0;

/// Two colours that everybody can tell apart, on light and on dark ground.
const COLOURS: [&str; 2] = ["#0072b2", "#d55e00"];

/// Percentiles that are named on the axis.
const PERCENTILES: [(f64, &str); 6] = [
    (0.0, "0 %"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
];

/// The plot of some series.
pub(super) fn svg(title: &str, series: &[Series]) -> String {
    let mut svg = String::new();
    let drawn = draw(&mut svg, title, series);
    // Writing to a string cannot fail.
    debug_assert!(drawn.is_ok());
    svg
}

fn draw(svg: &mut String, title: &str, series: &[Series]) -> std::fmt::Result {
    writeln!(
        svg,
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>"
    )?;
    writeln!(svg, "<title>{}</title>", escape(title))?;
    writeln!(
        svg,
        "<style>text{{font:14px sans-serif;fill:#222}}.t{{font-size:17px;font-weight:bold}}\
         .bg{{fill:#fff}}.grid{{stroke:#ccc}}.axis{{stroke:#444}}\
         path{{fill:none;stroke-width:2.5}}path.grid,path.axis{{stroke-width:1}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}.bg{{fill:#181818}}.grid{{stroke:#444}}.axis{{stroke:#aaa}}}}</style>"
    )?;
    writeln!(svg, "<rect class='bg' width='{WIDTH}' height='{HEIGHT}'/>")?;
    writeln!(svg, "<text class='t' x='{LEFT}' y='28'>{}</text>", escape(title))?;
    legend(svg, series)?;
    latency_panel(svg, series)?;
    rate_panel(svg, series)?;
    writeln!(svg, "</svg>")
}

fn legend(svg: &mut String, series: &[Series]) -> std::fmt::Result {
    for (number, one) in series.iter().enumerate() {
        let x = LEFT + 300.0 * number as f64;
        let dashes = dashes(number);
        writeln!(
            svg,
            "<path d='M{x} 47h34' stroke='{}'{dashes}/><text x='{}' y='52'>{}</text>",
            COLOURS[number % COLOURS.len()],
            x + 42.0,
            escape(&one.name)
        )?;
    }
    Ok(())
}

/// The second series is dashed, too: colours are lost in print.
fn dashes(number: usize) -> &'static str {
    if number == 0 { "" } else { " stroke-dasharray='7 4'" }
}

/// How far right a quantile is: each nine has the same width.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-5).log10() / 5.0
}

fn latency_panel(svg: &mut String, series: &[Series]) -> std::fmt::Result {
    let max = series.iter().map(|s| s.total.latencies.max()).fold(1, u64::max) as f64 / 1000.0;
    let top = nice(max);
    horizontal_grid(svg, LATENCY_TOP, top, "latency, ms")?;
    for (quantile, name) in PERCENTILES {
        let x = LEFT + (RIGHT - LEFT) * nines(quantile);
        let (y, text) = (LATENCY_TOP + PANEL_HEIGHT, LATENCY_TOP + PANEL_HEIGHT + 20.0);
        writeln!(svg, "<path class='grid' d='M{x:.1} {LATENCY_TOP}V{y}'/>")?;
        writeln!(svg, "<text x='{x:.1}' y='{text}' text-anchor='middle'>{name}</text>")?;
    }
    let y = LATENCY_TOP + PANEL_HEIGHT + 40.0;
    writeln!(
        svg,
        "<text x='{}' y='{y}' text-anchor='middle'>so many of the operations took at most</text>",
        f64::midpoint(LEFT, RIGHT)
    )?;
    for (number, one) in series.iter().enumerate() {
        let points = (0..=100).map(|step| {
            let quantile = 1.0 - 10f64.powf(-5.0 * f64::from(step) / 100.0);
            let millis = one.total.latencies.value_at_quantile(quantile) as f64 / 1000.0;
            (f64::from(step) / 100.0, millis / top)
        });
        curve(svg, number, LATENCY_TOP, points)?;
    }
    Ok(())
}

fn rate_panel(svg: &mut String, series: &[Series]) -> std::fmt::Result {
    let slices = series.iter().map(|s| s.total.slices.len()).max().unwrap_or(0).max(1);
    let rate = |one: &Series, slice: usize| {
        let done = one.total.slices.get(slice).copied().unwrap_or(0) as f64;
        done / SLICE.as_secs_f64() / one.repetitions.len().max(1) as f64
    };
    let all = series.iter().flat_map(|one| (0..slices).map(move |slice| rate(one, slice)));
    let top = nice(all.fold(1.0, f64::max));
    horizontal_grid(svg, RATE_TOP, top, "operations a second, mean of the repetitions")?;
    let seconds = slices as f64 * SLICE.as_secs_f64();
    let step = nice(seconds / 10.0);
    for number in 0..=(seconds / step) as u32 {
        // Multiples of a step are not exact; a thousandth of a second is nothing here.
        let second = (f64::from(number) * step * 1000.0).round() / 1000.0;
        let x = LEFT + (RIGHT - LEFT) * second / seconds;
        let (y, text) = (RATE_TOP + PANEL_HEIGHT, RATE_TOP + PANEL_HEIGHT + 20.0);
        writeln!(svg, "<path class='axis' d='M{x:.1} {y}v5'/>")?;
        writeln!(svg, "<text x='{x:.1}' y='{text}' text-anchor='middle'>{second}</text>")?;
    }
    let y = RATE_TOP + PANEL_HEIGHT + 40.0;
    writeln!(
        svg,
        "<text x='{}' y='{y}' text-anchor='middle'>seconds since the measurement began</text>",
        f64::midpoint(LEFT, RIGHT)
    )?;
    for (number, one) in series.iter().enumerate() {
        let middle = |slice: usize| (slice as f64 + 0.5) / slices as f64;
        curve(
            svg,
            number,
            RATE_TOP,
            (0..slices).map(|slice| (middle(slice), rate(one, slice) / top)),
        )?;
    }
    Ok(())
}

/// Lines at quarters of `top`, their values, and what they are values of.
fn horizontal_grid(svg: &mut String, panel: f64, top: f64, what: &str) -> std::fmt::Result {
    writeln!(svg, "<text x='{LEFT}' y='{}'>{what}</text>", panel - 8.0)?;
    for quarter in 0..=4 {
        let part = f64::from(quarter) / 4.0;
        let y = panel + PANEL_HEIGHT * (1.0 - part);
        let class = if quarter == 0 { "axis" } else { "grid" };
        writeln!(svg, "<path class='{class}' d='M{LEFT} {y}H{RIGHT}'/>")?;
        let (x, y) = (LEFT - 8.0, y + 5.0);
        writeln!(svg, "<text x='{x}' y='{y}' text-anchor='end'>{}</text>", top * part)?;
    }
    Ok(())
}

/// A line through points given as parts of the panel, from its left bottom.
fn curve(
    svg: &mut String,
    number: usize,
    panel: f64,
    points: impl Iterator<Item = (f64, f64)>,
) -> std::fmt::Result {
    let (colour, dashes) = (COLOURS[number % COLOURS.len()], dashes(number));
    write!(svg, "<path stroke='{colour}'{dashes} stroke-linejoin='round' d='")?;
    for (position, (x, y)) in points.enumerate() {
        let command = if position == 0 { 'M' } else { 'L' };
        let (x, y) = (LEFT + (RIGHT - LEFT) * x, panel + PANEL_HEIGHT * (1.0 - y.min(1.0)));
        write!(svg, "{command}{x:.1} {y:.1}")?;
    }
    writeln!(svg, "'/>")
}

/// The next number at or above `value` whose quarters are easy to read.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|nice| *nice >= value).unwrap_or(10.0 * power)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_curve_for_each_series_and_only_numbers() {
        let mut seen = super::super::work::Seen::nothing();
        seen.latencies.record(1500).expect("in bounds");
        seen.slices = vec![4, 0, 2];
        let series = |name: &str, total: &super::super::work::Seen| Series {
            name: name.to_owned(),
            repetitions: Vec::new(),
            total: total.clone(),
        };
        for total in [seen, super::super::work::Seen::nothing()] {
            let svg = svg("a <b> & c", &[series("one", &total), series("t&o", &total)]);
            assert_eq!(svg.matches("stroke-linejoin").count(), 4, "two in each panel: {svg}");
            assert!(svg.contains("a &lt;b&gt; &amp; c") && svg.contains("t&amp;o"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn scales_end_at_or_above_the_largest_value() {
        for value in [0.001, 0.7, 1.0, 3.0, 41.0, 999.0, 123_456.0] {
            assert!(
                nice(value) >= value && nice(value) <= 2.01 * value,
                "{value}: {}",
                nice(value)
            );
        }
        assert!((nines(0.9) - 0.2).abs() < 1e-9 && nines(0.0) == 0.0 && nines(1.0) <= 1.0);
    }
}
