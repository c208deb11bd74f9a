//! `pbft-sim ledger`: random reads and writes on a replicated ledger while primaries are cut off and killed, as a course
//! project on libbyz and MySQL did; and what a replica that returns costs the others.

use super::faults::Planned;
use super::figures;
use super::measure::Measurement;
use super::real::{self, RealError, Turn};
use super::report::{Report, Table};
use super::row::{Outcome, Row};
use super::setup::{Setup, SetupError};
use super::simulate::{simulate, simulate_all};
use core::time::Duration;
use pbft_sim::rng::Rng;
use std::num::NonZeroUsize;

/// Runs of each size.
pub const RUNS: u32 = 10;

/// The replicas of the ledger.
const REPLICAS: u32 = 4;

/// Clients, each with one operation under way.
const CLIENTS: u32 = 4;

/// A size with what they measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Operations, half of them reads.
    pub operations: u32,
    /// Their time, in seconds.
    pub seconds: f64,
    /// Their view changes.
    pub view_changes: u32,
    /// Their crashes.
    pub crashes: u32,
    /// Of a hundred of their runs so many were consistent.
    pub consistent: u32,
}

/// Their three sizes.
pub const SIZES: [Size; 3] = [
    Size { operations: 1000, seconds: 3.15, view_changes: 3, crashes: 0, consistent: 100 },
    Size { operations: 5000, seconds: 11.6, view_changes: 5, crashes: 1, consistent: 80 },
    Size { operations: 10_000, seconds: 23.47, view_changes: 4, crashes: 2, consistent: 90 },
];

/// How long a primary is away: longer than the others and the clients wait together.
const AWAY: Duration = Duration::from_millis(450);

const TIMEOUT: Duration = Duration::from_millis(200);

impl Size {
    /// The faults of a run of about this length. Each is at the primary of its time, so that it costs a view; as many
    /// crash as in theirs, and one more; the others are cut off.
    fn faults(&self, seed: u64, length: Duration) -> Vec<Planned> {
        let mut rng = Rng::new(seed).fork("ledger faults");
        let count = self.view_changes.max(self.crashes + 1);
        let slice = length / (count + 1);
        let fault = |number: u32| {
            let jitter = rng.span(Duration::ZERO, slice / 4);
            let from = slice * (number + 1) - slice / 2 + jitter;
            let how = if number <= self.crashes { "crash" } else { "cut-off" };
            let (from, until) = (from.as_millis(), (from + AWAY).as_millis());
            format!("replica {}: {how} at {from}ms until {until}ms", number % REPLICAS).parse().ok()
        };
        (0..count).filter_map(fault).collect()
    }

    /// The same faults on processes: as the work goes on, whatever its speed.
    fn turns(&self) -> Vec<Turn> {
        let count = self.view_changes.max(self.crashes + 1);
        let turn = |number: u32| Turn {
            answered: u64::from(self.operations) * u64::from(number + 1) / u64::from(count + 1),
            kill: number <= self.crashes,
            away: AWAY * 2,
        };
        (0..count).map(turn).collect()
    }

    /// One run on processes.
    #[must_use]
    pub fn real_setup(&self, run: u32) -> Setup {
        let delay = (Duration::ZERO, Duration::ZERO);
        Setup { delay, faults: Vec::new(), ..self.setup(run) }
    }

    /// One run.
    #[must_use]
    pub fn setup(&self, run: u32) -> Setup {
        let seed = u64::from(self.operations) + u64::from(run);
        // Five delays an operation, of 1.35 ms in the mean, and the primaries' absences.
        let calm = Duration::from_micros(7000) * (self.operations / CLIENTS);
        let absences = AWAY * self.view_changes * 3 / 4;
        Setup {
            name: format!("{} operations, run {}", self.operations, run + 1),
            replicas: REPLICAS,
            clients: CLIENTS,
            requests: self.operations / CLIENTS,
            reads: 50,
            timeout: TIMEOUT,
            delay: (Duration::from_micros(500), Duration::from_millis(2)),
            faults: self.faults(seed, calm + absences),
            seed,
            ..Setup::default()
        }
    }
}

/// What all runs came to.
#[derive(Clone, Debug)]
pub struct Results {
    /// The runs of each size, in the order of [`SIZES`].
    pub runs: Vec<Vec<Measurement>>,
    /// Whether they ran on processes.
    pub real: bool,
}

/// Whether every replica has the same accounts, every answer was that of one ledger, and all were answered.
#[must_use]
pub fn consistent(one: &Measurement) -> bool {
    one.verdict.holds()
}

/// Makes all runs in the simulator.
pub fn run(
    runs: u32,
    threads: NonZeroUsize,
    tell: &(dyn Fn(&Measurement) + Sync),
) -> Result<Results, SetupError> {
    let setups: Vec<Setup> =
        SIZES.iter().flat_map(|size| (0..runs).map(move |number| size.setup(number))).collect();
    let all = simulate_all(&setups, threads, tell)?;
    Ok(Results { runs: all.chunks(runs.max(1) as usize).map(<[_]>::to_vec).collect(), real: false })
}

/// Makes all runs on processes. `tell` hears of each.
pub fn run_real(runs: u32, tell: &dyn Fn(&Measurement)) -> Result<Results, RealError> {
    let mut all = Vec::new();
    for size in SIZES {
        let mut of_this_size = Vec::new();
        for number in 0..runs {
            let one = real::run_in_turns(&size.real_setup(number), &size.turns())?;
            tell(&one);
            of_this_size.push(one);
        }
        all.push(of_this_size);
    }
    Ok(Results { runs: all, real: true })
}

/// The run on processes in which a backup is killed, and comes back far behind.
#[must_use]
pub fn real_slowdown() -> Setup {
    Setup {
        requests: 4000,
        lanes: 8,
        delay: (Duration::ZERO, Duration::ZERO),
        faults: "replica 2: crash at 2s, back at 5s".parse().into_iter().collect(),
        ..slowdown(1)
    }
}

/// A run in which a backup is killed, and comes back far behind.
#[must_use]
pub fn slowdown(seed: u64) -> Setup {
    Setup {
        name: "a backup returns".to_owned(),
        replicas: REPLICAS,
        clients: CLIENTS,
        requests: 1500,
        lanes: 4,
        reads: 50,
        timeout: Duration::from_secs(1),
        delay: (Duration::from_micros(500), Duration::from_millis(2)),
        interval: 32,
        faults: "replica 2: crash at 700ms, back at 1800ms".parse().into_iter().collect(),
        seed,
        ..Setup::default()
    }
}

impl Results {
    /// What is not as it must be.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (size, runs) in SIZES.iter().zip(&self.runs) {
            for one in runs {
                let (views, crashes) = (u64::from(size.view_changes), u64::from(size.crashes));
                if !consistent(one) {
                    wrong.push(format!("{}: {}", one.setup.name, one.verdict.reason));
                }
                if one.view_changes < views || one.crashes < crashes {
                    wrong.push(format!(
                        "{}: {} view changes and {} crashes, theirs were {views} and {crashes}",
                        one.setup.name, one.view_changes, one.crashes
                    ));
                }
            }
        }
        wrong
    }

    /// Everything beside what they measured, with the throughput while a replica returns.
    #[must_use]
    pub fn report(&self, returning: Option<&Measurement>) -> Report {
        let wrong = self.wrong();
        let all: Vec<&Measurement> = self.runs.iter().flatten().collect();
        let good = all.iter().filter(|one| consistent(one)).count();
        let conclusion = match wrong.is_empty() {
            true => format!("HOLDS: {good} of {} runs are consistent", all.len()),
            false => format!("DIFFERENT: {}", wrong.join("; ")),
        };
        let mut charts = Vec::new();
        if let Some(one) = returning {
            let slice = (one.answers.last().copied().unwrap_or_default() / 60)
                .max(Duration::from_millis(1));
            let mut chart = figures::timeline(one, Some(slice));
            chart.title = "Throughput while a replica is away and catches up".to_owned();
            charts.push(("catching-up".to_owned(), chart));
        }
        Report {
            title: "A ledger on libbyz and MySQL, and here".to_owned(),
            conclusion,
            notes: notes(self.real),
            tables: vec![self.table()],
            charts,
            measurements: all.into_iter().chain(returning).cloned().collect(),
        }
    }

    fn table(&self) -> Table {
        let head = [
            "operations",
            "their time, s",
            // Theirs is of five machines: the head says that the two are not to be compared.
            if self.real { "our time, s" } else { "our time, s, virtual" },
            "least",
            "most",
            "their view changes",
            "ours",
            "their crashes",
            "ours",
            "their consistent runs",
            "ours",
        ];
        let row = |(size, runs): (&Size, &Vec<Measurement>)| {
            let totals: Vec<f64> = runs.iter().map(|one| one.total.as_secs_f64()).collect();
            let mean = totals.iter().sum::<f64>() / totals.len().max(1) as f64;
            let least = totals.iter().copied().fold(f64::MAX, f64::min);
            let most = totals.iter().copied().fold(0.0, f64::max);
            let fewest =
                |of: fn(&Measurement) -> u64| runs.iter().map(of).min().unwrap_or_default();
            let good = runs.iter().filter(|one| consistent(one)).count();
            vec![
                size.operations.to_string(),
                size.seconds.to_string(),
                format!("{mean:.2}"),
                format!("{least:.2}"),
                format!("{most:.2}"),
                size.view_changes.to_string(),
                format!("at least {}", fewest(|one| one.view_changes)),
                size.crashes.to_string(),
                format!("at least {}", fewest(|one| one.crashes)),
                format!("{} %", size.consistent),
                format!("{good} of {}", runs.len()),
            ]
        };
        let rows = SIZES.iter().zip(&self.runs).map(row);
        let head = head.map(str::to_owned).to_vec();
        Table {
            title: "Random operations, half reads and half writes".to_owned(),
            rows: std::iter::once(head).chain(rows).collect(),
        }
    }
}

fn notes(real: bool) -> Vec<String> {
    let time = match real {
        true => {
            "Times are real: four processes on this machine, with TLS, Ed25519 and a disk write before each message; \
             theirs ran on five machines in memory with MACs, and wrote to MySQL outside the protocol."
        }
        false => super::VIRTUAL,
    };
    let faults = "Faults: the primary of the time is killed or cut off for 0.45 s, as often as their views changed and at \
                  least once more than theirs crashed. Four clients, one operation each under way, timeout 0.2 s.";
    let consistent = "Consistent: every operation was answered, every answer is that of one ledger in the clients' order \
                      of time, and all replicas that are up have equal accounts in the end.";
    vec![time.to_owned(), faults.to_owned(), consistent.to_owned()]
}

fn thirty() -> Outcome {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    match run(RUNS, threads, &|_| {}) {
        Ok(results) => {
            let report = results.report(None);
            Outcome { holds: results.wrong().is_empty(), said: report.conclusion }
        }
        Err(error) => Outcome::failed(&error),
    }
}

fn returns() -> Outcome {
    match simulate(&slowdown(1)) {
        Ok(one) => Outcome {
            holds: one.verdict.holds() && one.crashes == 1,
            said: format!("killed at 0.7 s, back at 1.8 s; {}", one.verdict.reason),
        },
        Err(error) => Outcome::failed(&error),
    }
}

/// The rows that these runs answer.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![
        Row::simulated(
            "S2.4",
            "throughput while a killed replica catches up",
            "slow while it returns",
            "cargo sim ledger --svg charts",
            returns,
        ),
        Row::simulated(
            "S2.5",
            "1,000, 5,000 and 10,000 operations, ten runs each, 100 % consistent",
            "100, 80 and 90 %",
            "cargo sim ledger",
            thirty,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_least_as_many_faults_as_in_theirs() {
        for size in SIZES {
            let setup = size.setup(3);
            let faults = setup.faults.len() as u32;
            assert!(faults >= size.view_changes && faults > size.crashes, "{faults}");
            assert_eq!(setup.operations(), u64::from(size.operations));
            let mut ends = setup.faults.windows(2).map(|pair| (pair[0].until, pair[1].from));
            assert!(ends.all(|(end, next)| end < Some(next)), "one at a time, so that f is enough");
        }
    }
}
