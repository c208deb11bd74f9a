//! Latencies as a percentile distribution, in the text format that plotters of HDR histograms read.

use hdrhistogram::Histogram;
use std::fmt::Write as _;

/// How many lines there are while the distance to 100 % halves once.
const LINES_A_HALF: u32 = 5;

/// The distribution in milliseconds.
pub(super) fn text(latencies: &Histogram<u64>) -> String {
    let milliseconds = |micros: f64| micros / 1000.0;
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut count = 0;
    for step in latencies.iter_quantiles(LINES_A_HALF) {
        count += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64, step.quantile_iterated_to());
        // Writing to a string cannot fail.
        let _ = match quantile < 1.0 {
            true => writeln!(
                text,
                "{:12.3} {quantile:2.12} {count:10} {:14.2}",
                milliseconds(value),
                1.0 / (1.0 - quantile)
            ),
            false => writeln!(text, "{:12.3} {quantile:2.12} {count:10}", milliseconds(value)),
        };
    }
    let (mean, deviation) = (milliseconds(latencies.mean()), milliseconds(latencies.stdev()));
    let max = milliseconds(latencies.max() as f64);
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {:12}]", latencies.len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_counted_and_percentiles_rise() {
        let mut latencies = Histogram::<u64>::new_with_bounds(1, 1_000_000, 3).expect("bounds");
        (1..=1000).for_each(|millis| latencies.record(millis * 1000).expect("in bounds"));
        let text = text(&latencies);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|n| n.parse().expect("a number")).collect())
            .collect();
        assert!(rows.len() > 20 && rows.windows(2).all(|two| two[0][1] <= two[1][1]), "{text}");
        let median = rows.iter().find(|row| row[1] >= 0.5).expect("a median");
        assert!((median[0] - 500.0).abs() < 2.0, "{median:?}");
        assert_eq!(rows.last().map(|row| (row[1], row[2])), Some((1.0, 1000.0)));
        assert!(text.contains("Total count    =         1000"), "{text}");
    }
}
