//! The numbers of one replica at one moment, read from its `/metrics`, and what two moments say together.

use std::collections::BTreeMap;
use std::time::Instant;

/// All numbers of an endpoint: the name with its labels, as it is shown, and the value.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) taken: Instant,
    values: BTreeMap<String, f64>,
}

impl Sample {
    /// Reads Prometheus' text format. Lines that are none of it are passed over.
    pub(super) fn read(text: &str, taken: Instant) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self { taken, values: values.collect() }
    }

    /// A number without labels.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// The same, of a count.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        // Counts are far below 2^53.
        self.get(name).map(|value| value as u64)
    }

    /// The value of `label` in that sample of `name` which is 1.
    pub(super) fn label(&self, name: &str, label: &str) -> Option<&str> {
        let start = format!("{name}{{");
        let named = self.values.range(start.clone()..);
        let mut named = named.take_while(|(key, _)| key.starts_with(&start));
        let (labels, _) = named.find(|(_, value)| **value == 1.0)?;
        let (_, rest) = labels.split_once(&format!("{label}=\""))?;
        rest.split('"').next()
    }

    /// The buckets of a histogram, from the lowest bound up.
    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let start = format!("{name}_bucket{{le=\"");
        let named = self.values.range(start.clone()..).map_while(|(key, count)| {
            let bound = key.strip_prefix(&start)?.split('"').next()?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, *count))
        });
        let mut buckets: Vec<_> = named.collect();
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        buckets
    }
}

/// How fast a counter rose, a second. None if it fell: the replica was started again.
pub(super) fn rate(earlier: &Sample, later: &Sample, name: &str) -> Option<f64> {
    let seconds = later.taken.duration_since(earlier.taken).as_secs_f64();
    let rise = later.get(name)? - earlier.get(name)?;
    (seconds > 0.0 && rise >= 0.0).then(|| rise / seconds)
}

/// The value below which the part `quantile` of what was observed in between lies, by linear interpolation in its bucket.
/// None if nothing was observed, or if it lies above the last bound.
pub(super) fn quantile(earlier: &Sample, later: &Sample, name: &str, quantile: f64) -> Option<f64> {
    let before: Vec<f64> = earlier.buckets(name).iter().map(|(_, count)| *count).collect();
    let now = later.buckets(name);
    let since = now
        .iter()
        .enumerate()
        .map(|(at, (bound, count))| (*bound, count - before.get(at).copied().unwrap_or_default()));
    let since: Vec<(f64, f64)> = since.collect();
    let (_, all) = since.last().copied().filter(|(_, all)| *all > 0.0)?;
    let wanted = quantile * all;
    let at = since.iter().position(|(_, count)| *count >= wanted)?;
    let (low, below) = at.checked_sub(1).map_or((0.0, 0.0), |previous| since[previous]);
    let (high, count) = since[at];
    let inside = count - below;
    high.is_finite().then(|| match inside > 0.0 {
        true => low + (high - low) * (wanted - below) / inside,
        false => high,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample(seconds: u64, text: &str) -> Sample {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let start = *START.get_or_init(Instant::now);
        Sample::read(text, start + Duration::from_secs(seconds))
    }

    #[test]
    fn numbers_and_labels_are_read() {
        let text =
            "# HELP a b\n# TYPE a gauge\na 3\nb{b=\"x\"} 0\nb{b=\"y\"} 1\nbc{b=\"z\"} 1\nodd\n";
        let read = sample(0, text);
        assert_eq!(read.count("a"), Some(3));
        assert_eq!(read.get("odd"), None);
        assert_eq!(read.label("b", "b"), Some("y"));
        assert_eq!(read.label("a", "b"), None);
    }

    #[test]
    fn what_rose_has_a_rate_and_what_fell_has_none() {
        let (earlier, later) = (sample(0, "n 10\nm 10\n"), sample(4, "n 30\nm 2\n"));
        assert_eq!(rate(&earlier, &later, "n"), Some(5.0));
        assert_eq!(rate(&earlier, &later, "m"), None, "it was started again");
        assert_eq!(rate(&earlier, &later, "o"), None);
        assert_eq!(rate(&earlier, &earlier, "n"), None, "no time has passed");
    }

    #[test]
    fn quantiles_are_of_what_came_in_between() {
        let buckets = |counts: [u32; 4]| {
            let bounds = ["0.001", "0.01", "0.1", "+Inf"];
            let lines = bounds.iter().zip(counts);
            lines.map(|(le, n)| format!("h_bucket{{le=\"{le}\"}} {n}\n")).collect::<String>()
        };
        let earlier = sample(0, &buckets([100, 100, 100, 100]));
        let later = sample(1, &buckets([100, 200, 200, 200]));
        let half = quantile(&earlier, &later, "h", 0.5).expect("observed");
        assert!((half - 0.0055).abs() < 1e-9, "in the middle of 1 to 10 ms: {half}");
        assert_eq!(quantile(&earlier, &earlier, "h", 0.5), None, "nothing came");
        let slow = sample(1, &buckets([100, 100, 100, 200]));
        assert_eq!(quantile(&earlier, &slow, "h", 0.5), None, "above the last bound");
    }
}
