//! What was measured in a run, and the verdict on it.

use super::setup::Setup;
use core::time::Duration;
use serde::Serialize;

/// Whether correct replicas agreed, and clients were told the truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// Every rule held at every step.
    Holds,
    /// A rule was broken with at most f faulty replicas: a bug.
    Broken(String),
    /// More than f replicas were faulty, so nothing is claimed; rules that were broken all the same.
    NotClaimed(Vec<String>),
}

/// Whether every operation was answered, and every correct replica executed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Liveness {
    /// Yes.
    Holds,
    /// No, until the end of the run.
    Stopped(String),
}

/// The verdict on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Safety.
    pub safety: Safety,
    /// Liveness.
    pub liveness: Liveness,
    /// Both in a sentence.
    pub reason: String,
}

impl Verdict {
    /// A verdict with its sentence. `claim` says why nothing is claimed, if nothing is.
    #[must_use]
    pub fn new(safety: Safety, liveness: Liveness, claim: &str, answered: (u64, u64)) -> Self {
        let (answered, of) = answered;
        let lives = match &liveness {
            Liveness::Holds => format!("live: {answered} of {of} operations answered"),
            Liveness::Stopped(why) => format!("not live: {why}"),
        };
        let reason = match &safety {
            Safety::Holds => format!("safe: every rule held at every step; {lives}"),
            Safety::Broken(rule) => format!("UNSAFE: {rule}; {lives}"),
            Safety::NotClaimed(seen) if seen.is_empty() => {
                format!("{claim}; no safety claimed, and no rule was broken; {lives}")
            }
            Safety::NotClaimed(seen) => {
                format!("{claim}; no safety claimed; broken: {}; {lives}", seen.join("; "))
            }
        };
        Self { safety, liveness, reason }
    }

    /// The column "safe?".
    #[must_use]
    pub const fn safe(&self) -> &'static str {
        match self.safety {
            Safety::Holds => "yes",
            Safety::Broken(_) => "no",
            Safety::NotClaimed(_) => "no-claim",
        }
    }

    /// The column "live?".
    #[must_use]
    pub fn live(&self) -> &'static str {
        if self.is_live() { "yes" } else { "no" }
    }

    /// Whether safety and liveness hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.safety == Safety::Holds && self.is_live()
    }

    /// Whether every operation was answered and executed everywhere.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.liveness == Liveness::Holds
    }

    /// Whether nothing is claimed.
    #[must_use]
    pub const fn is_beyond(&self) -> bool {
        matches!(self.safety, Safety::NotClaimed(_))
    }

    /// Whether no two correct replicas executed differently.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let about = |text: &str| ["agreement", "equal-states"].iter().any(|r| text.starts_with(r));
        match &self.safety {
            Safety::Holds => true,
            Safety::Broken(rule) => !about(rule),
            Safety::NotClaimed(seen) => !seen.iter().any(|rule| about(rule)),
        }
    }
}

/// What differs from one repetition to the next: the machine's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Time on the wall, in seconds.
    pub wall_clock_s: f64,
    /// Processor time a replica, in seconds.
    pub process_time_s: f64,
    /// Memory, in hundredths of the machine's.
    pub memory_percent: f64,
}

/// What went over the wire between replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wire {
    /// PRE-PREPAREs, PREPAREs and COMMITs.
    pub ordering: u64,
    /// All messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Statements that contradict an earlier one of the same signer, as correct replicas saw them.
    pub contradictions: u64,
}

/// What was measured in a run. Times are virtual in simulation and real on processes.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// What was run.
    pub setup: Setup,
    /// The Byzantine replicas that are tolerated, f.
    pub tolerated: usize,
    /// The size of a quorum.
    pub quorum: usize,
    /// Byzantine replicas, by number.
    pub faulty: Vec<u32>,
    /// Operations that were answered.
    pub answered: u64,
    /// When the last one was.
    pub total: Duration,
    /// How long clients waited, sorted.
    #[serde(skip)]
    pub latencies: Vec<Duration>,
    /// When operations were answered.
    #[serde(skip)]
    pub answers: Vec<Duration>,
    /// Whether the first primary was faulty or down at some time.
    pub primary_failed: bool,
    /// The highest view that a correct replica was active in.
    pub view: u64,
    /// How many views after the first one were entered.
    pub view_changes: u64,
    /// Processes that were killed or lost.
    pub crashes: u64,
    /// What went over the wire, where it is counted: in simulation.
    pub wire: Option<Wire>,
    /// The verdict.
    pub verdict: Verdict,
    /// The machine's part.
    #[serde(skip)]
    pub cost: Cost,
}

impl Measurement {
    /// Answered operations a second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        match self.total.as_secs_f64() {
            seconds if seconds > 0.0 => self.answered as f64 / seconds,
            _ => 0.0,
        }
    }

    /// The mean latency, in milliseconds; `None` if nothing was answered.
    #[must_use]
    pub fn mean_latency_ms(&self) -> Option<f64> {
        let sum: Duration = self.latencies.iter().sum();
        let count = self.latencies.len();
        (count > 0).then(|| sum.as_secs_f64() * 1000.0 / count as f64)
    }

    /// The latency, in milliseconds, that so many hundredths of the operations kept within.
    #[must_use]
    pub fn latency_ms(&self, hundredths: usize) -> Option<f64> {
        let at = (self.latencies.len() * hundredths).div_ceil(100).saturating_sub(1);
        self.latencies.get(at).map(|latency| latency.as_secs_f64() * 1000.0)
    }

    /// What went over the wire; nothing where it is not counted.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.wire.unwrap_or_default()
    }

    /// Messages to order all operations one by one, without faults: n−1 PRE-PREPAREs, (n−1)² PREPAREs and n(n−1)
    /// COMMITs each.
    #[must_use]
    pub const fn formula(&self) -> u64 {
        let n = self.setup.replicas as u64;
        2 * n * (n - 1) * self.setup.operations()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_says_why() {
        let stopped = || Liveness::Stopped("no quorum".to_owned());
        let broken = Safety::Broken("agreement: x".to_owned());
        let verdict = Verdict::new(broken, Liveness::Holds, "", (3, 3));
        assert!(verdict.reason.contains("UNSAFE: agreement") && !verdict.holds());
        assert!(!verdict.agrees() && verdict.is_live());
        let beyond = Verdict::new(Safety::NotClaimed(Vec::new()), stopped(), "4 > f = 2", (0, 3));
        assert_eq!(
            beyond.reason,
            "4 > f = 2; no safety claimed, and no rule was broken; not live: no quorum"
        );
        assert!(beyond.is_beyond() && beyond.agrees() && beyond.safe() == "no-claim");
        assert!(Verdict::new(Safety::Holds, Liveness::Holds, "", (3, 3)).holds());
        assert!(!Verdict::new(Safety::Holds, stopped(), "", (2, 3)).holds());
    }
}
