//! A measurement as a picture: latency by percentile, and throughput over time.

use super::report::Series as Measured;
use super::work::SLICE;
use crate::chart::{Chart, Horizontal, Panel, Point, Series, Style};

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
pub(super) fn svg(title: &str, series: &[Measured]) -> String {
    let panels = vec![latencies(series), rates(series)];
    Chart { title: title.to_owned(), panels }.to_svg()
}

/// How far right a quantile is: each nine has the same width.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-5).log10() / 5.0
}

fn panel(x: Horizontal, y: &str, series: Vec<Series>) -> Panel {
    Panel { x, y: y.to_owned(), top: None, log: false, series, marks: Vec::new() }
}

fn line(measured: &Measured, points: impl Iterator<Item = (f64, f64)>) -> Series {
    let points = points.map(|(x, y)| Point::new(x, y)).collect();
    Series { name: measured.name.clone(), style: Style::Line, points }
}

fn latencies(series: &[Measured]) -> Panel {
    let one = |measured: &Measured| {
        let point = |step: i32| {
            let quantile = 1.0 - 10f64.powf(-5.0 * f64::from(step) / 100.0);
            let microseconds = measured.total.latencies.value_at_quantile(quantile);
            (f64::from(step) / 100.0, microseconds as f64 / 1000.0)
        };
        line(measured, (0..=100).map(point))
    };
    let ticks = PERCENTILES.map(|(quantile, name)| (nines(quantile), name.to_owned())).to_vec();
    let label = "so many of the operations took at most".to_owned();
    panel(Horizontal::Places { label, ticks }, "latency, ms", series.iter().map(one).collect())
}

fn rates(series: &[Measured]) -> Panel {
    let slices = series.iter().map(|s| s.total.slices.len()).max().unwrap_or(0).max(1);
    let one = |measured: &Measured| {
        let point = |slice: usize| {
            let done = measured.total.slices.get(slice).copied().unwrap_or(0) as f64;
            let repetitions = measured.repetitions.len().max(1) as f64;
            let rate = done / SLICE.as_secs_f64() / repetitions;
            ((slice as f64 + 0.5) * SLICE.as_secs_f64(), rate)
        };
        line(measured, (0..slices).map(point))
    };
    let x = Horizontal::Numbers {
        label: "seconds since the measurement began".to_owned(),
        from: 0.0,
        to: slices as f64 * SLICE.as_secs_f64(),
    };
    panel(x, "operations a second, mean of the repetitions", series.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_curve_for_each_series_and_only_numbers() {
        let mut seen = super::super::work::Seen::nothing();
        seen.latencies.record(1500).expect("in bounds");
        seen.slices = vec![4, 0, 2];
        let series = |name: &str, total: &super::super::work::Seen| Measured {
            name: name.to_owned(),
            repetitions: Vec::new(),
            total: total.clone(),
        };
        for total in [seen, super::super::work::Seen::nothing()] {
            let svg = svg("a <b> & c", &[series("one", &total), series("t&o", &total)]);
            let curves = svg.matches("<path class='line").count();
            assert_eq!(curves, 8, "two in each panel and in its legend: {svg}");
            assert!(svg.contains("a &lt;b&gt; &amp; c") && svg.contains("t&amp;o"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn each_nine_has_the_same_width() {
        assert!((nines(0.9) - 0.2).abs() < 1e-9 && nines(0.0) == 0.0 && nines(1.0) <= 1.0);
    }
}
