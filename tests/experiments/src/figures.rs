//! The charts of experiments.

use super::faults::How;
use super::measure::Measurement;
use core::time::Duration;
use pbft_cli::chart::{Chart, Horizontal, Mark, Panel, Point, Series, Style, nice};

/// A panel with a linear axis and no marks.
#[must_use]
pub fn panel(x: Horizontal, y: &str, series: Vec<Series>) -> Panel {
    Panel { x, y: y.to_owned(), top: None, log: false, series, marks: Vec::new() }
}

/// How many of the operations were answered within which time.
#[must_use]
pub fn latencies(one: &Measurement) -> Chart {
    let all = &one.latencies;
    let milliseconds = |at: &Duration| at.as_secs_f64() * 1000.0;
    let longest = nice(all.last().map_or(1.0, milliseconds));
    let share = |number: usize| 100.0 * (number + 1) as f64 / all.len() as f64;
    let step = (all.len() / 400).max(1);
    let points = all.iter().enumerate();
    let points = points.filter(|(number, _)| number % step == 0 || number + 1 == all.len());
    let points = points.map(|(number, at)| Point::new(milliseconds(at), share(number)));
    let points = std::iter::once(Point::new(0.0, 0.0)).chain(points).collect();
    let x = Horizontal::Numbers { label: "latency, ms".to_owned(), from: 0.0, to: longest };
    let series = Series { name: "operations".to_owned(), style: Style::Line, points };
    let panel =
        Panel { top: Some(100.0), ..panel(x, "% of the operations, at most", vec![series]) };
    Chart::of("Latency", panel)
}

/// Answered operations a second over time, with the faults of the plan marked.
#[must_use]
pub fn timeline(one: &Measurement, slice: Option<Duration>) -> Chart {
    let end = one.answers.last().copied().unwrap_or_default().max(Duration::from_millis(1));
    let slice = slice.unwrap_or(end / 40).max(Duration::from_micros(100)).as_secs_f64();
    let count = (end.as_secs_f64() / slice).ceil().max(1.0) as usize;
    let mut answered = vec![0u64; count];
    for at in &one.answers {
        let number = (at.as_secs_f64() / slice) as usize;
        answered[number.min(count - 1)] += 1;
    }
    let rate = |(number, answered): (usize, &u64)| {
        Point::new((number as f64 + 0.5) * slice, *answered as f64 / slice)
    };
    let points = answered.iter().enumerate().map(rate).collect();
    let to = count as f64 * slice;
    let x = Horizontal::Numbers { label: "seconds since the start".to_owned(), from: 0.0, to };
    let series = Series { name: "operations".to_owned(), style: Style::Line, points };
    let mut panel = panel(x, "answered operations/s", vec![series]);
    panel.marks = marks(one).into_iter().filter(|mark| mark.x <= to).collect();
    Chart::of("Throughput over time", panel)
}

fn marks(one: &Measurement) -> Vec<Mark> {
    let mut marks = Vec::new();
    for fault in &one.setup.faults {
        let ids: Vec<String> = fault.replicas.iter().map(u32::to_string).collect();
        let (begins, ends) = match fault.how {
            How::Crash => ("killed", "starts again"),
            How::Pause => ("stopped", "goes on"),
            How::LoseDisk => ("loses its disk", "tries to start"),
            How::CutOff => ("cut off", "is back"),
            How::Slow => ("slow", "fast again"),
            How::Diverge => ("diverges", ""),
            How::Lies(strategy) => (strategy.name(), "behaves"),
        };
        let mut mark = |at: Duration, what: &str| {
            let text = format!("replica {} {what}", ids.join(", "));
            marks.push(Mark { x: at.as_secs_f64(), text });
        };
        mark(fault.from, begins);
        fault.until.iter().for_each(|until| mark(*until, ends));
    }
    marks
}
