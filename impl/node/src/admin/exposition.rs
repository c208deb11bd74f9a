//! Metrics in Prometheus' text format, version 0.0.4.

use crate::metrics::{Family, Metrics, Value};
use std::fmt::Write as _;

/// What the text is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a replica, as text.
pub fn exposition(metrics: &Metrics) -> String {
    let families = metrics.families();
    let mut text = String::new();
    for family in &families {
        // Writing to a string cannot fail.
        let _ = write_family(&mut text, family);
    }
    text
}

fn write_family(text: &mut String, Family { name, help, value }: &Family) -> std::fmt::Result {
    let kind = match value {
        Value::Counter(_) | Value::ByReason(..) => "counter",
        Value::Gauge(_) | Value::OneOf(_) => "gauge",
        Value::Histogram(_) => "histogram",
    };
    writeln!(text, "# HELP pbft_{name} {help}")?;
    writeln!(text, "# TYPE pbft_{name} {kind}")?;
    match value {
        Value::Counter(number) | Value::Gauge(number) => writeln!(text, "pbft_{name} {number}"),
        // Reasons are names in the code: nothing in them needs to be escaped.
        Value::ByReason(label, counts) => counts.iter().try_for_each(|(reason, count)| {
            writeln!(text, "pbft_{name}{{{label}=\"{reason}\"}} {count}")
        }),
        Value::OneOf(names) => names
            .iter()
            .try_for_each(|(own, is_so)| writeln!(text, "pbft_{name}{{{name}=\"{own}\"}} {is_so}")),
        Value::Histogram(histogram) => {
            for (bound, count) in &histogram.buckets {
                writeln!(text, "pbft_{name}_bucket{{le=\"{bound}\"}} {count}")?;
            }
            writeln!(text, "pbft_{name}_bucket{{le=\"+Inf\"}} {}", histogram.count)?;
            writeln!(text, "pbft_{name}_sum {}", histogram.sum)?;
            writeln!(text, "pbft_{name}_count {}", histogram.count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::HistogramSnapshot;

    #[test]
    fn every_kind_of_metric_has_its_form() {
        let text = |value| {
            let mut text = String::new();
            write_family(&mut text, &Family { name: "x", help: "What it is", value })
                .expect("written");
            text
        };
        let head = |kind| format!("# HELP pbft_x What it is\n# TYPE pbft_x {kind}\n");
        assert_eq!(text(Value::Counter(3)), head("counter") + "pbft_x 3\n");
        assert_eq!(text(Value::Gauge(3)), head("gauge") + "pbft_x 3\n");
        let reasons = Value::ByReason("kind", vec![("a", 1), ("b", 2)]);
        let lines = "pbft_x{kind=\"a\"} 1\npbft_x{kind=\"b\"} 2\n";
        assert_eq!(text(reasons), head("counter") + lines);
        let names = Value::OneOf(vec![("a", 0), ("b", 1)]);
        assert_eq!(text(names), head("gauge") + "pbft_x{x=\"a\"} 0\npbft_x{x=\"b\"} 1\n");
        let histogram = HistogramSnapshot { buckets: vec![(1, 2), (10, 4)], count: 5, sum: 24 };
        let lines = "pbft_x_bucket{le=\"1\"} 2\npbft_x_bucket{le=\"10\"} 4\npbft_x_bucket{le=\"+Inf\"} 5\n\
                     pbft_x_sum 24\npbft_x_count 5\n";
        assert_eq!(text(Value::Histogram(histogram)), head("histogram") + lines);
    }

    #[test]
    fn no_name_is_given_twice_and_all_are_allowed() {
        let names: Vec<_> =
            Metrics::default().families().iter().map(|family| family.name).collect();
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        let allowed = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(names.iter().all(|name| allowed(name)), "{names:?}");
    }
}
