//! The rows that the driver itself answers: its knobs, what it measures, its verdicts and charts.

use super::distalgo;
use super::measure::Measurement;
use super::row::{Kind, Outcome, Row};
use super::setup::{Byzantine, Setup, SetupError};
use super::simulate::{simulate, simulate_all};
use super::table::cells;
use core::time::Duration;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::tuning::Link;
use std::num::NonZeroUsize;

/// Columns that a reader of the report expects.
const COLUMNS: [&str; 10] = [
    "throughput_per_s",
    "total_time_s",
    "wall_clock_s",
    "process_time_s",
    "safe",
    "live",
    "primary_failed",
    "view_changed",
    "replica_messages",
    "memory_percent",
];

fn judged(work: Result<(bool, String), SetupError>) -> Outcome {
    match work {
        Ok((holds, said)) => Outcome { holds, said },
        Err(error) => Outcome::failed(&error),
    }
}

/// All seven knobs turned at once.
fn knobs() -> Result<(bool, String), SetupError> {
    let ms = Duration::from_millis;
    let one = simulate(&Setup {
        replicas: 7,
        clients: 3,
        requests: 4,
        timeout: ms(1500),
        delay: (ms(20), ms(20)),
        link: Link { replica_delay: ms(5), ..Link::default() },
        byzantine: Byzantine::Primary,
        ..Setup::default()
    })?;
    // Five steps at least, of 20 ms each, four of them from replicas that take 5 ms.
    let slow = one.latencies.first().is_some_and(|least| *least >= ms(120));
    let holds = one.verdict.holds() && slow && one.view_changes > 0;
    Ok((holds, format!("7 replicas, 3 clients, primary Byzantine: {}", one.verdict.reason)))
}

fn columns() -> Result<(bool, String), SetupError> {
    let one = simulate(&Setup::default())?;
    let cells = cells(&one, true);
    let has = |name: &&&str| cells.iter().any(|(known, value)| known == *name && !value.is_null());
    let found = COLUMNS.iter().filter(has).count();
    Ok((found == COLUMNS.len(), format!("{found} of {} columns have values", COLUMNS.len())))
}

/// One run that holds, one that stops within f, one beyond.
fn verdicts() -> Result<(bool, String), SetupError> {
    let limit = Some(Duration::from_secs(20));
    let good = simulate(&Setup::default())?;
    let faults = "replicas 2 and 3: crash at 0s".parse().into_iter().collect();
    let stuck = simulate(&Setup { faults, limit, ..Setup::default() })?;
    let beyond = simulate(&Setup { limit, ..distalgo::too_many(1) })?;
    let holds = good.verdict.holds()
        && !stuck.verdict.is_live()
        && !stuck.verdict.is_beyond()
        && beyond.verdict.is_beyond();
    let said: Vec<String> =
        [good, stuck, beyond].into_iter().map(|one| one.verdict.reason).collect();
    Ok((holds, said.join(" | ")))
}

/// The rule of bounded memory is looked at after every step of every correct replica; here with floods beside it.
fn bounded() -> Result<(bool, String), SetupError> {
    let lies = vec![Behaviour::HugeNumbers, Behaviour::Replay, Behaviour::Random];
    let runs = [10, 25].map(|replicas| {
        let byzantine = Byzantine::Backups;
        let strategy = lies.clone();
        simulate(&Setup {
            replicas,
            byzantine,
            strategy,
            clients: 4,
            requests: 5,
            ..Setup::default()
        })
    });
    let runs = runs.into_iter().collect::<Result<Vec<Measurement>, _>>()?;
    let holds = runs.iter().all(|one| one.verdict.holds());
    let said: Vec<String> = runs
        .iter()
        .map(|one| format!("n = {}: {}", one.setup.replicas, one.verdict.reason))
        .collect();
    Ok((holds, said.join("; ")))
}

/// The nine charts, from the thirty runs.
fn charts() -> Result<(bool, String), SetupError> {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let thirty = simulate_all(&distalgo::thirty(Duration::from_secs(2), 1), threads, &|_| {})?;
    let names: Vec<String> = distalgo::charts(&thirty).into_iter().map(|(name, _)| name).collect();
    Ok((names.len() == 9, format!("{} charts: {}", names.len(), names.join(", "))))
}

/// The rows that the driver answers.
#[must_use]
pub(super) fn rows() -> Vec<Row> {
    let kind = Kind::Simulation;
    vec![
        Row {
            id: "S0.1",
            title: "seven knobs in one command",
            theirs: "one command",
            command: "cargo sim run --replicas 7 --clients 3 --requests 4 --timeout 1.5s --network-delay 20ms \
                      --replica-delay 5ms --byzantine primary",
            kind,
            run: || judged(knobs()),
        },
        Row {
            id: "S0.2",
            title: "ten measurements as CSV, JSON, SVG",
            theirs: "a CSV; plots made elsewhere",
            command: "cargo sim run --measured --csv run.csv --json run.json --svg charts",
            kind,
            run: || judged(columns()),
        },
        Row {
            id: "S0.10",
            title: "a verdict of every run, with the reason",
            theirs: "a tester compares orders",
            command: "cargo sim run",
            kind,
            run: || judged(verdicts()),
        },
        Row {
            id: "S0.11",
            title: "bounded messages and memory at every size",
            theirs: "recursion limit, messages too long",
            command: "cargo sim run --replicas 25 --byzantine backups --strategy huge-numbers,replay,random",
            kind,
            run: || judged(bounded()),
        },
        Row {
            id: "S0.13",
            title: "nine charts in one command",
            theirs: "nine charts",
            command: "cargo sim distalgo --measured --svg charts",
            kind,
            run: || judged(charts()),
        },
    ]
}
