//! What comes out of a measurement.

use super::super::{CliError, Exit, Format, print_json};
use super::work::Seen;
use super::{LoadArguments, hgrm, plot};
use pbft_output::{errln, outln};
use serde_json::{Value, json};
use std::path::Path;

/// Calibrations that differ by more than this part make a comparison doubtful.
const CALIBRATION_SPREAD_MAX: f64 = 0.15;

/// One repetition.
pub(super) struct Repetition {
    /// Megabytes hashed in a second, right before it.
    pub(super) calibration: f64,
    pub(super) seen: Seen,
}

impl Repetition {
    fn rate(&self, seconds: u64) -> f64 {
        self.seen.latencies.len() as f64 / seconds as f64
    }

    /// One line for people.
    pub(super) fn line(&self, seconds: u64) -> String {
        let latency = |quantile| self.seen.latencies.value_at_quantile(quantile);
        format!(
            "{:.0} a second, p50 {} us, p99 {} us (processor: {:.0} MB/s)",
            self.rate(seconds),
            latency(0.5),
            latency(0.99),
            self.calibration
        )
    }

    fn as_json(&self, seconds: u64) -> Value {
        let latency = |quantile| self.seen.latencies.value_at_quantile(quantile);
        json!({
            "per_second": self.rate(seconds),
            "p50_us": latency(0.5),
            "p99_us": latency(0.99),
            "failures": self.seen.failures,
            "calibration_mb_per_second": self.calibration,
        })
    }
}

/// All repetitions of one cluster.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) repetitions: Vec<Repetition>,
    /// All of them together.
    pub(super) total: Seen,
}

impl Series {
    fn rates(&self, seconds: u64) -> Vec<f64> {
        self.repetitions.iter().map(|repetition| repetition.rate(seconds)).collect()
    }

    fn medians(&self) -> Vec<f64> {
        let median = |r: &Repetition| r.seen.latencies.value_at_quantile(0.5) as f64;
        self.repetitions.iter().map(median).collect()
    }
}

/// The whole measurement.
pub(super) struct Report {
    arguments: LoadArguments,
    series: Vec<Series>,
}

/// The middle of some numbers, and their smallest and largest.
fn spread(mut numbers: Vec<f64>) -> (f64, f64, f64) {
    numbers.sort_unstable_by(f64::total_cmp);
    let at = |position: usize| numbers.get(position).copied().unwrap_or(0.0);
    (at(numbers.len() / 2), at(0), at(numbers.len().saturating_sub(1)))
}

impl Report {
    pub(super) fn new(arguments: LoadArguments) -> Self {
        Self { arguments, series: Vec::new() }
    }

    /// Adds a repetition of the cluster with this number.
    pub(super) fn add(&mut self, subject: usize, name: &str, repetition: Repetition) {
        while self.series.len() <= subject {
            let total = Seen::nothing();
            self.series.push(Series { name: String::new(), repetitions: Vec::new(), total });
        }
        let series = &mut self.series[subject];
        series.name = name.to_owned();
        series.total.merge(&repetition.seen);
        series.repetitions.push(repetition);
    }

    /// What is compared: the second cluster's numbers over the first one's, repetition by repetition.
    fn ratios(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        let [first, second] = &self.series[..] else { return None };
        let ratios = |of: &dyn Fn(&Series) -> Vec<f64>| {
            of(second).iter().zip(of(first)).map(|(b, a)| b / a.max(f64::MIN_POSITIVE)).collect()
        };
        Some((ratios(&|s| s.rates(self.arguments.seconds)), ratios(&Series::medians)))
    }

    /// Whether the processor was about as fast in all repetitions.
    fn is_steady(&self) -> bool {
        let all = self.series.iter().flat_map(|s| s.repetitions.iter().map(|r| r.calibration));
        let (middle, low, high) = spread(all.collect());
        high - low <= CALIBRATION_SPREAD_MAX * middle
    }

    fn series_json(&self, series: &Series) -> Value {
        let seconds = self.arguments.seconds;
        let latency = |quantile| series.total.latencies.value_at_quantile(quantile);
        let (rate, lowest, highest) = spread(series.rates(seconds));
        json!({
            "cluster": series.name,
            "operations": series.total.latencies.len(),
            "per_second": rate,
            "per_second_lowest": lowest,
            "per_second_highest": highest,
            "p50_us": latency(0.5),
            "p99_us": latency(0.99),
            "p999_us": latency(0.999),
            "max_us": series.total.latencies.max(),
            "acknowledged": series.total.acknowledged,
            "failures": series.total.failures,
            "repetitions": series.repetitions.iter().map(|r| r.as_json(seconds)).collect::<Vec<_>>(),
        })
    }

    fn as_json(&self) -> Value {
        let arguments = &self.arguments;
        let mut object = json!({
            "clients": arguments.clients,
            "outstanding": arguments.outstanding,
            "rate": arguments.rate,
            "operation_bytes": arguments.operation_bytes,
            "seconds": arguments.seconds,
            "warmup": arguments.warmup,
            "processor_steady": self.is_steady(),
        });
        if let (Some(first), Some(fields)) = (self.series.first(), object.as_object_mut())
            && let Value::Object(own) = self.series_json(first)
        {
            fields.extend(own);
        }
        if let Some((rates, medians)) = self.ratios() {
            object["against"] = self.series_json(&self.series[1]);
            object["ratio_per_second"] = rates.into();
            object["ratio_p50"] = medians.into();
        }
        object
    }

    /// Writes the files of `--out`.
    pub(super) fn write(&self, directory: &Path) -> Result<(), CliError> {
        let remedy = "choose another --out";
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CliError::Write { path, source, remedy }
        };
        std::fs::create_dir_all(directory).map_err(failed(directory))?;
        let mut files = vec![
            ("summary.json".to_owned(), format!("{:#}\n", self.as_json())),
            ("plot.svg".to_owned(), plot::svg(&self.title(), &self.series)),
        ];
        for (number, series) in self.series.iter().enumerate() {
            files.push((format!("latency-{number}.hgrm"), hgrm::text(&series.total.latencies)));
        }
        for (name, content) in files {
            let path = directory.join(name);
            std::fs::write(&path, content).map_err(failed(&path))?;
            errln!("wrote {}", path.display());
        }
        Ok(())
    }

    fn title(&self) -> String {
        let LoadArguments { clients, outstanding, rate, operation_bytes, .. } = &self.arguments;
        let operation =
            operation_bytes.map_or("deposits".to_owned(), |b| format!("{b}-byte echoes"));
        let pace = rate.map_or("closed loop".to_owned(), |rate| format!("{rate} a second due"));
        format!("{operation}, {outstanding} outstanding of {clients} clients, {pace}")
    }

    /// Prints the summary, and says how the command ends.
    pub(super) fn print(&self) -> Exit {
        match self.arguments.format {
            Format::Json => print_json(&self.as_json()),
            Format::Human => self.print_human(),
        }
        let good =
            |series: &Series| series.total.failures == 0 && !series.total.latencies.is_empty();
        match self.series.iter().all(good) {
            true => Exit::Done,
            false => Exit::NoQuorum,
        }
    }

    fn print_human(&self) {
        outln!("{}", self.title());
        for series in &self.series {
            let latency = |quantile| series.total.latencies.value_at_quantile(quantile);
            let (rate, lowest, highest) = spread(series.rates(self.arguments.seconds));
            outln!(
                "{}: {} operations in {} times {} s: {rate:.0} a second ({lowest:.0} to {highest:.0})",
                series.name,
                series.total.latencies.len(),
                series.repetitions.len(),
                self.arguments.seconds,
            );
            outln!(
                "  latency p50 {} us, p99 {} us, p99.9 {} us, max {} us; {} failures",
                latency(0.5),
                latency(0.99),
                latency(0.999),
                series.total.latencies.max(),
                series.total.failures
            );
        }
        if let Some((rates, medians)) = self.ratios() {
            let (rate, low, high) = spread(rates);
            outln!("second over first: {rate:.2} times the throughput ({low:.2} to {high:.2})");
            let (median, low, high) = spread(medians);
            outln!(
                "                   {median:.2} times the median latency ({low:.2} to {high:.2})"
            );
        }
        if !self.is_steady() {
            outln!(
                "the processor was not equally fast in all repetitions: believe ratios, not figures"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_the_middle_and_the_ends() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), (2.0, 1.0, 3.0));
        assert_eq!(spread(vec![7.0]), (7.0, 7.0, 7.0));
        assert_eq!(spread(Vec::new()), (0.0, 0.0, 0.0));
    }
}
