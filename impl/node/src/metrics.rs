//! What a replica counts while it runs. Plain numbers that any task may add to and any task may read; how they are
//! shown is somebody else's business. [`Metrics::families`] lists them all.
//!
//! Counters start at zero with the process. Durations are kept in microseconds and shown in seconds; sizes are in bytes.

pub use crate::lost_lines::LostLines;
use pbft_core::Standing;
use pbft_core::evidence::Contradiction;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less; only ever after [`Self::raise`].
    pub fn lower(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts by reason, or by kind. The reasons are names in the code, so there are few.
#[derive(Debug)]
pub struct ByReason {
    label: &'static str,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl ByReason {
    /// Counts of zero for `reasons`; others join when they first occur.
    fn new(label: &'static str, reasons: &[&'static str]) -> Self {
        Self { label, counts: Mutex::new(reasons.iter().map(|reason| (*reason, 0)).collect()) }
    }

    /// Counts one occurrence.
    pub fn add(&self, reason: &'static str) {
        self.add_many(reason, 1);
    }

    /// Counts `more` occurrences.
    pub fn add_many(&self, reason: &'static str, more: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(reason).or_default() += more;
    }

    /// Begins again with these occurrences.
    pub fn restart(&self, occurred: impl Iterator<Item = &'static str>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values_mut().for_each(|count| *count = 0);
        occurred.for_each(|reason| *counts.entry(reason).or_default() += 1);
    }

    /// How often `reason` occurred.
    pub fn get(&self, reason: &str) -> u64 {
        self.counts().into_iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| count)
    }

    /// All counts, in order of reason.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(reason, count)| (*reason, *count)).collect()
    }
}

/// One of some names: the one that is so now.
#[derive(Debug)]
pub struct OneOf {
    names: &'static [&'static str],
    now: Mutex<&'static str>,
}

impl OneOf {
    /// The first of `names`.
    fn new(names: &'static [&'static str]) -> Self {
        Self { names, now: Mutex::new(names.first().copied().unwrap_or_default()) }
    }

    /// `name` is so now.
    pub fn set(&self, name: &'static str) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    /// What is so now.
    pub fn get(&self) -> &'static str {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts of values up to each of some bounds, and of those above the last.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than there are bounds.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// For each bound, how many values were at most that large.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts `value`.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let mut buckets = Vec::new();
        for (position, own) in self.counts.iter().enumerate() {
            count += own.load(Ordering::Relaxed);
            buckets.extend(self.bounds.get(position).map(|bound| (*bound, count)));
        }
        HistogramSnapshot { buckets, count, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// A histogram of durations.
#[derive(Debug)]
pub struct Durations(Histogram);

impl Durations {
    fn new(bounds: &'static [u64]) -> Self {
        Self(Histogram::new(bounds))
    }

    /// Counts `duration`.
    pub fn observe(&self, duration: std::time::Duration) {
        self.0.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was counted so far, in microseconds.
    pub fn snapshot(&self) -> HistogramSnapshot {
        self.0.snapshot()
    }
}

/// Bounds for durations, in microseconds: 50 µs to 10 s.
const MICROSECONDS: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];
/// Bounds for numbers of requests or steps.
const COUNTS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// Bounds for sizes, in bytes.
const BYTES: &[u64] = &[64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];

/// Declares [`Metrics`]: of each metric its field with its type and what that is made of, the name that it is shown
/// under, and what it is.
macro_rules! metrics {
    (new $kind:ident) => { $kind::default() };
    (new $kind:ident $($argument:expr),+) => { $kind::new($($argument),+) };
    ($($field:ident: $kind:ident $(($($argument:expr),+))? = $name:literal, $help:literal;)+) => {
        /// Everything that one replica counts.
        #[derive(Debug)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $kind,)+
        }

        impl Default for Metrics {
            fn default() -> Self {
                Self { $($field: metrics!(new $kind $($($argument),+)?),)+ }
            }
        }

        impl Metrics {
            /// Every metric, with its name, what it is, and its value now.
            pub fn families(&self) -> Vec<Family> {
                vec![$(Family { name: $name, help: $help, value: self.$field.value() }),+]
            }
        }
    };
}

metrics! {
    replicas: Gauge = "replicas", "How many replicas the cluster has, n";
    quorum: Gauge = "quorum", "How many replicas must vote in one view for anything to be executed";
    view: Gauge = "view", "The current view";
    active: Gauge = "view_active", "1 while the replica takes part in its view";
    low_water_mark: Gauge = "low_water_mark", "The last stable checkpoint, h";
    high_water_mark: Gauge = "high_water_mark", "The last sequence number in the window, H";
    last_executed: Gauge = "last_executed", "The last batch executed";
    not_voting: Gauge = "not_voting", "1 while the replica does not vote; pbft_standing says why";
    participants: Gauge = "participants",
        "How many replicas take part in this replica's view, itself included, by their last status";
    standing: OneOf(&Standing::KINDS) = "standing",
        "1 for what the replica does: it votes, or why it does not";
    recovering_until: Gauge = "recovering_until",
        "The stable checkpoint that a recovering replica waits for, 0 for any other";
    store_openings: Gauge = "store_openings", "How often the replica's store was opened";
    view_changes: Counter = "view_changes_total", "How often the replica has left a view";
    rejections: ByReason("reason", &[]) = "rejections_total", "Inputs that the replica refused";
    help_withheld: Counter = "help_withheld_total",
        "Messages left out of answers to a peer that had been given enough until the next status";
    evidence: ByReason("kind", &Contradiction::KINDS) = "evidence_total",
        "Pairs of signed statements that convict a replica, as the store keeps them";
    batches_executed: Counter = "batches_executed_total", "Batches executed, null batches included";
    requests_executed: Counter = "requests_executed_total", "Requests executed";
    batch_requests: Histogram(COUNTS) = "batch_requests", "Requests in an executed batch";
    batch_bytes: Histogram(BYTES) = "batch_bytes", "Operation bytes in an executed batch";
    prepare: Durations(MICROSECONDS) = "prepare_seconds",
        "From accepting a pre-prepare to its prepared certificate";
    commit: Durations(MICROSECONDS) = "commit_seconds",
        "From the prepared certificate to execution";

    peer_queue: Gauge = "peer_queue_depth",
        "Verified messages of replicas that wait for the driver";
    client_queue: Gauge = "client_queue_depth",
        "Verified requests of clients that wait for the driver";
    group_steps: Histogram(COUNTS) = "group_steps", "Steps that shared one write to the disk";
    commits: Counter = "disk_commits_total", "Writes made durable";
    disk_commit: Durations(MICROSECONDS) = "disk_commit_seconds",
        "How long making a write durable took";
    disk_full: Counter = "disk_full_total", "Writes that found the disk full and were tried again";

    signatures_checked: Counter = "signatures_checked_total", "Signatures that were computed";
    macs_checked: Counter = "macs_checked_total", "Message authentication codes that were computed";
    signatures_remembered: Counter = "signatures_remembered_total",
        "Signatures that were known to be good already";
    votes_surplus: Counter = "votes_surplus_total",
        "Votes that were not verified because nothing needs them any more";
    frames_refused: ByReason("reason", &["malformed", "too-large", "bad-signature"]) =
        "frames_refused_total", "Frames refused before they became an input";
    frames_not_verified: ByReason("reason", &[]) = "frames_not_verified_total",
        "Frames that the replica would have refused whatever their signatures are";
    frames_dropped: ByReason("reason", &["peer", "client"]) = "frames_dropped_total",
        "Frames forgotten because a queue was full";
    peer_bytes: Counter = "peer_received_bytes_total", "Bytes received in frames of replicas";
    client_bytes: Counter = "client_received_bytes_total", "Bytes received in frames of clients";
    throttled: ByReason("reason", &["peer", "client", "verification"]) = "throttled_total",
        "Times that a connection waited: for its quota of bytes, or for its turn to be verified";
    requests_refused: ByReason("reason", &["overloaded"]) = "requests_refused_total",
        "Requests refused with an answer";

    log_lines_dropped: LostLines = "log_lines_dropped_total",
        "Lines of the log that were lost because nobody took them";

    handshakes: Counter = "handshakes_total", "Connections that became authenticated";
    handshakes_refused: ByReason("reason", crate::transport::REFUSALS) = "handshakes_refused_total",
        "Connections that did not become authenticated";
    peer_connections: Gauge = "peer_connections", "Authenticated connections of other replicas";
    client_connections: Gauge = "client_connections", "Authenticated connections of clients";
    disconnections: ByReason("reason", &["idle", "replaced", "slow-reader"]) =
        "disconnections_total", "Authenticated connections that this end closed";
    admin_refused: ByReason("reason", &["crowded", "slow", "host"]) = "admin_refused_total",
        "Connections of the admin endpoint that were closed, and requests refused there";
}

/// One metric, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, without prefix.
    pub name: &'static str,
    /// What it is, in a sentence without a full stop.
    pub help: &'static str,
    /// Its value now.
    pub value: Value,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number that only rises.
    Counter(u64),
    /// A number that rises and falls.
    Gauge(u64),
    /// Numbers that only rise, by reason; first what the reasons are called.
    ByReason(&'static str, Vec<(&'static str, u64)>),
    /// 1 for one of some names, 0 for all others.
    OneOf(Vec<(&'static str, u64)>),
    /// A distribution.
    Histogram(HistogramSnapshot),
    /// A distribution of durations, in microseconds.
    Durations(HistogramSnapshot),
}

trait Shown {
    fn value(&self) -> Value;
}

impl Shown for Counter {
    fn value(&self) -> Value {
        Value::Counter(self.get())
    }
}

impl Shown for LostLines {
    fn value(&self) -> Value {
        Value::Counter(self.get())
    }
}

impl Shown for Gauge {
    fn value(&self) -> Value {
        Value::Gauge(self.get())
    }
}

impl Shown for ByReason {
    fn value(&self) -> Value {
        Value::ByReason(self.label, self.counts())
    }
}

impl Shown for OneOf {
    fn value(&self) -> Value {
        let now = self.get();
        Value::OneOf(self.names.iter().map(|name| (*name, u64::from(*name == now))).collect())
    }
}

impl Shown for Histogram {
    fn value(&self) -> Value {
        Value::Histogram(self.snapshot())
    }
}

impl Shown for Durations {
    fn value(&self) -> Value {
        Value::Durations(self.snapshot())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_once_up_to_its_bound() {
        let histogram = Histogram::new(&[1, 10]);
        [0, 1, 2, 10, 11].into_iter().for_each(|value| histogram.observe(value));
        let expected = HistogramSnapshot { buckets: vec![(1, 2), (10, 4)], count: 5, sum: 24 };
        assert_eq!(histogram.snapshot(), expected);
    }

    #[test]
    fn every_metric_has_a_name_of_its_own() {
        let metrics = Metrics::default();
        metrics.rejections.add("duplicate");
        let families = metrics.families();
        let names: std::collections::BTreeSet<_> = families.iter().map(|f| f.name).collect();
        assert_eq!(names.len(), families.len());
        let rejections = families.iter().find(|family| family.name == "rejections_total");
        let expected = Value::ByReason("reason", vec![("duplicate", 1)]);
        assert_eq!(rejections.map(|family| &family.value), Some(&expected));
    }

    #[test]
    fn bounds_rise() {
        for bounds in [MICROSECONDS, COUNTS, BYTES] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{bounds:?}");
        }
    }
}
