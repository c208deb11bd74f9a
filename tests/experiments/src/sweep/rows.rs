//! The rows that the sweep answers.

use super::{
    LOSS_TRIALS, LOSSES, REPLICAS, Results, SIZES, Summary, TRIALS, at_the_bound, colluding, lossy,
    tolerated, trial,
};
use crate::measure::Measurement;
use crate::row::{Outcome, Row};
use crate::setup::{Setup, SetupError};
use crate::simulate::simulate_all;
use crate::table;
use core::time::Duration;
use pbft_sim::tuning::Link;
use std::num::NonZeroUsize;

fn trials_of(setups: Vec<Setup>) -> Result<Vec<Measurement>, SetupError> {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    simulate_all(&setups, threads, &|_| {})
}

fn judged(work: fn() -> Result<(bool, String), SetupError>) -> Outcome {
    match work() {
        Ok((holds, said)) => Outcome { holds, said },
        Err(error) => Outcome::failed(&error),
    }
}

/// From no malicious replica to so many.
fn points(most: u32) -> Result<Results, SetupError> {
    let point = |count: u32| {
        let trials = trials_of((0..TRIALS).map(|number| trial(11, count, number)).collect())?;
        Ok(Summary::of(f64::from(count), &trials))
    };
    let malicious = (0..=most).map(point).collect::<Result<_, SetupError>>()?;
    Ok(Results { malicious, lossy: Vec::new(), colluding: Vec::new(), measurements: Vec::new() })
}

fn sweep(most: u32, also: fn(&Summary) -> String) -> Result<(bool, String), SetupError> {
    let results = points(most)?;
    let word = |one: &Summary| {
        format!("{} malicious: {} of {}{}", one.at, one.succeeded, one.trials, also(one))
    };
    let all: Vec<String> = results.malicious.iter().map(word).collect();
    let wrong = results.wrong();
    match wrong.is_empty() {
        true => Ok((true, format!("trials that succeed, with {}", all.join("; ")))),
        false => Ok((false, wrong.join("; "))),
    }
}

/// Mean latency and view changes of a point.
fn latency(one: &Summary) -> String {
    let mean = one.latency_ms.map_or("none".to_owned(), |(mean, ..)| format!("{mean:.0} ms"));
    format!(" in {mean}, {:.1} view changes", one.view_changes)
}

/// The two charts of a short sweep: each point of the first has a spread.
fn charts() -> Result<(bool, String), SetupError> {
    let results = points(2)?;
    let report = results.report();
    let spreads = |name: &str| {
        let chart = report.charts.iter().find(|(known, _)| known == name);
        let points = chart.iter().flat_map(|(_, chart)| &chart.panels[0].series[0].points);
        points.filter(|point| point.spread.is_some()).count()
    };
    let (latency, success) = (spreads("sweep-latency"), spreads("sweep-success"));
    let said = format!("two charts, {latency} and {success} points with their spread");
    Ok((latency == results.malicious.len() && success == latency, said))
}

fn loss() -> Result<(bool, String), SetupError> {
    let setups =
        LOSSES.iter().flat_map(|(drop, _)| (0..LOSS_TRIALS).map(|number| lossy(11, *drop, number)));
    let all = trials_of(setups.collect())?;
    let succeeded = all.iter().filter(|one| one.verdict.holds()).count();
    Ok((
        succeeded == all.len(),
        format!("{succeeded} of {} trials succeed at 1, 2, 5 and 10 % loss", all.len()),
    ))
}

fn bound() -> Result<(bool, String), SetupError> {
    let mut said = Vec::new();
    let mut sharp = true;
    for size in SIZES {
        let [at, beyond] = at_the_bound(size);
        let agreed = |malicious| {
            let all = trials_of(
                (1..=u64::from(TRIALS)).map(|seed| colluding(size, malicious, seed)).collect(),
            )?;
            Ok::<_, SetupError>(all.iter().filter(|one| one.verdict.agrees()).count())
        };
        let (within, broken) = (agreed(at)?, agreed(beyond)?);
        sharp &= within == TRIALS as usize && broken < TRIALS as usize;
        said.push(format!("n = {size}: {within} of {TRIALS} agree at {at}, {broken} at {beyond}"));
    }
    Ok((sharp, said.join("; ")))
}

/// The rows that these runs answer.
#[must_use]
pub fn rows() -> Vec<Row> {
    const COMMAND: &str = "cargo sim sweep";
    const KNOBS: &str =
        "cargo sim run --delay 5..40 --drop 0.02 --reorder 0.05 --duplicate 0.01 --seed 11";
    vec![
        Row::simulated("S4.1", "delay range, loss, reordering, seed", "5 to 40 ms", KNOBS, || {
            judged(|| {
                let ms = Duration::from_millis;
                let link =
                    Link { drop: 20_000, reorder: 50_000, duplicate: 10_000, ..Link::default() };
                let setup = Setup { delay: (ms(5), ms(40)), link, seed: 11, ..Setup::default() };
                let all = trials_of(vec![setup.clone(), setup])?;
                let same = table::csv(&all[..1], false) == table::csv(&all[1..], false);
                let reason = &all[0].verdict.reason;
                Ok((
                    same && all[0].verdict.holds(),
                    format!("{reason}; the same seed gives the same bytes: {same}"),
                ))
            })
        }),
        Row::simulated(
            "S4.2",
            "equivocation, withholding, fake digests",
            "one primary",
            COMMAND,
            || judged(|| sweep(1, |one| format!(", {} contradictions seen", one.contradictions))),
        ),
        Row::simulated("S4.3", "0 to 9 malicious of 10", "no digest disagreement", COMMAND, || {
            judged(|| sweep(REPLICAS - 1, |one| format!(", {}", one.claim())))
        }),
        Row::simulated(
            "S4.4",
            "latency and success, with spread",
            "two plots",
            "cargo sim sweep --svg charts",
            || judged(charts),
        ),
        Row::simulated(
            "S4.5",
            "latency as the bound nears, view changes counted",
            "no view changes",
            COMMAND,
            || judged(|| sweep(tolerated(REPLICAS), latency)),
        ),
        Row::simulated("S4.6", "100 % at every m up to f", "6, 6, 4, 3 of 6", COMMAND, || {
            judged(|| sweep(tolerated(REPLICAS), |_| String::new()))
        }),
        Row::simulated("S4.7", "all losses are made good", "19, 18, 14, 10 of 20", COMMAND, || {
            judged(loss)
        }),
        Row::simulated(
            "S4.8",
            "agreement breaks at f+1 colluding, not at f",
            "never breaks",
            COMMAND,
            || judged(bound),
        ),
    ]
}
