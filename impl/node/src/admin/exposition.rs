//! Metrics in Prometheus' text format, version 0.0.4.

use super::process;
use crate::frame::WIRE_VERSION;
use crate::metrics::{Family, HistogramSnapshot, Metrics, Value};
use std::fmt;
use std::fmt::Write as _;

/// What the text is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a replica, as text, with what the operating system says of its process.
pub fn exposition(metrics: &Metrics) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_build(&mut text);
    for family in &metrics.families() {
        let _ = write_family(&mut text, family);
    }
    for sample in process::samples() {
        let _ = write_sample(&mut text, &sample);
    }
    text
}

/// Which program this is. The value is always 1: what is of interest are the labels.
fn write_build(text: &mut String) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION");
    head(text, "pbft_build_info", "The version of the node and of its wire format", "gauge")?;
    let labels = format!("version=\"{version}\",wire_version=\"{WIRE_VERSION}\"");
    writeln!(text, "pbft_build_info{{{labels}}} 1")
}

fn write_sample(text: &mut String, sample: &process::Sample) -> fmt::Result {
    head(text, sample.name, sample.help, sample.kind)?;
    writeln!(text, "{} {}", sample.name, sample.value)
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) -> fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn write_family(text: &mut String, Family { name, help, value }: &Family) -> fmt::Result {
    let kind = match value {
        Value::Counter(_) | Value::ByReason(..) => "counter",
        Value::Gauge(_) | Value::OneOf(_) => "gauge",
        Value::Histogram(_) | Value::Durations(_) => "histogram",
    };
    head(text, &format!("pbft_{name}"), help, kind)?;
    match value {
        Value::Counter(number) | Value::Gauge(number) => writeln!(text, "pbft_{name} {number}"),
        // Reasons are names in the code: nothing in them needs to be escaped.
        Value::ByReason(label, counts) => counts.iter().try_for_each(|(reason, count)| {
            writeln!(text, "pbft_{name}{{{label}=\"{reason}\"}} {count}")
        }),
        Value::OneOf(names) => names
            .iter()
            .try_for_each(|(own, is_so)| writeln!(text, "pbft_{name}{{{name}=\"{own}\"}} {is_so}")),
        Value::Histogram(histogram) => write_histogram(text, name, histogram, |count| count as f64),
        Value::Durations(histogram) => {
            write_histogram(text, name, histogram, |micros| micros as f64 / 1e6)
        }
    }
}

/// Bounds and sum are shown in the unit that `shown` makes of them.
fn write_histogram(
    text: &mut String,
    name: &str,
    histogram: &HistogramSnapshot,
    shown: fn(u64) -> f64,
) -> fmt::Result {
    for (bound, count) in &histogram.buckets {
        writeln!(text, "pbft_{name}_bucket{{le=\"{}\"}} {count}", shown(*bound))?;
    }
    writeln!(text, "pbft_{name}_bucket{{le=\"+Inf\"}} {}", histogram.count)?;
    writeln!(text, "pbft_{name}_sum {}", shown(histogram.sum))?;
    writeln!(text, "pbft_{name}_count {}", histogram.count)
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
        let buckets = vec![(50, 2), (2_500_000, 4)];
        let durations = HistogramSnapshot { buckets, count: 5, sum: 3_000_001 };
        let lines = "pbft_x_bucket{le=\"0.00005\"} 2\npbft_x_bucket{le=\"2.5\"} 4\n\
                     pbft_x_bucket{le=\"+Inf\"} 5\npbft_x_sum 3.000001\npbft_x_count 5\n";
        assert_eq!(text(Value::Durations(durations)), head("histogram") + lines);
    }

    /// The rules of Prometheus for names, which `promtool check metrics` knows, too.
    #[test]
    fn what_is_shown_keeps_to_the_conventions() {
        let metrics = Metrics::default();
        metrics.rejections.add("duplicate");
        let shown = exposition(&metrics);
        let mut kinds = std::collections::BTreeMap::new();
        for line in shown.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["#", "HELP", name, _, ..] => drop(kinds.insert(name, "")),
                ["#", "TYPE", name, kind] => {
                    assert_eq!(kinds.insert(name, kind), Some(""), "{name}: first the help");
                }
                [sample, value] => {
                    let full = sample.split('{').next().unwrap_or_default();
                    let of_histogram =
                        ["_bucket", "_sum", "_count"].iter().find_map(|end| full.strip_suffix(end));
                    let name = of_histogram.filter(|name| kinds.contains_key(name)).unwrap_or(full);
                    assert!(kinds.contains_key(name), "{line}");
                    assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
                }
                _ => panic!("{line}"),
            }
        }
        for (name, kind) in &kinds {
            let is_counter = *kind == "counter";
            assert_eq!(name.ends_with("_total"), is_counter, "{name} is a {kind}");
            assert!(!name.contains(':'), "{name}: a colon is for recording rules");
            let scaled = ["milli", "micro", "nano", "kilo", "mega", "minutes", "hours"];
            assert!(!scaled.iter().any(|unit| name.contains(unit)), "{name}: base units only");
        }
        for name in ["pbft_build_info", "process_start_time_seconds", "process_cpu_seconds_total"] {
            assert!(kinds.contains_key(name), "{name}");
        }
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
