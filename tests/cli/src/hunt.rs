//! `pbft-sim hunt`: the guided search.

use super::case::{explain_events, explain_plan};
use super::results::{self, Told};
use super::{Common, usage};
use clap::Args;
use pbft_checker::run::ExitCode;
use pbft_core::Membership;
use pbft_sim::hunt::alone;
use pbft_sim::hunt::{self, End, Hunt, Report, Shown};
use pbft_sim::keys::Scheme;
use std::fmt::Write as _;
use std::time::Duration;

/// How long, and what.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Selects everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of replicas.
    #[arg(long, default_value_t = 4)]
    replicas: u32,
    /// How long to search.
    #[arg(long, default_value_t = 2.0, value_parser = minutes)]
    minutes: f64,
    /// How many runs at least, in the place of a time.
    #[arg(long, conflicts_with = "minutes")]
    runs_at_least: Option<u64>,
    /// Do not hold every run against the model.
    #[arg(long)]
    without_model: bool,
    /// Let random seeds have the same time of the processor, in turns, and say who has shown more.
    #[arg(long)]
    compare: bool,
    /// One correct replica alone among messages of an adversary that holds all other keys.
    #[arg(long, conflicts_with_all = ["compare", "runs_at_least", "without_model"])]
    alone: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.0..=100_000.0).contains(&minutes) => Ok(minutes),
        Ok(_) => Err("from 0 to 100000".to_owned()),
        Err(error) => Err(format!("{error}")),
    }
}

pub(super) fn hunt(common: &Common, arguments: &Arguments) -> ExitCode {
    if let Err(error) = Membership::new(arguments.replicas) {
        return usage(&error);
    }
    if common.signatures != Scheme::Fast || common.store {
        return usage(&"--signatures ed25519 and --store are for `replay` and `shrink`");
    }
    let Arguments { seed, replicas: n, .. } = *arguments;
    let time = Duration::from_secs_f64(arguments.minutes * 60.0);
    if arguments.alone {
        return alone(common, seed, n, time);
    }
    let end = match arguments.runs_at_least {
        Some(runs) => End::Runs(runs),
        None => End::Time(time),
    };
    let told = Told::new();
    let progress = |report: &Report| told.now_and_then(|| progress(report));
    let what = Hunt { seed, n, model: !arguments.without_model };
    let report = hunt::hunt(what, end, arguments.compare, common.run.threads(), &progress);
    results::keep(common, ("hunt", &report, true), to_text, |directory| {
        if let Some(finding) = report.findings.first() {
            explain_plan(&finding.plan, directory, &format!("case-hunt{}.json", finding.run));
        }
    });
    verdict(report.findings.is_empty())
}

fn progress(report: &Report) -> String {
    let Shown { runs, states, .. } = report.guided;
    let ratio = report
        .ratio()
        .map_or(String::new(), |ratio| format!(", {ratio:.2} times as many as random seeds"));
    format!("{:.0} s, {runs} runs, {states} abstract states{ratio}", report.seconds)
}

const fn verdict(holds: bool) -> ExitCode {
    match holds {
        true => ExitCode::Holds,
        false => ExitCode::Finding,
    }
}

fn alone(common: &Common, seed: u64, n: u32, time: Duration) -> ExitCode {
    let told = Told::new();
    let progress = |report: &alone::Report| {
        told.now_and_then(|| {
            let alone::Report { replicas, inputs, cores, .. } = report;
            let rate = report.rate();
            format!("{replicas} replicas, {inputs} inputs, {rate:.0} a second, {cores} states")
        });
    };
    let report = alone::hunt(seed, n, time, common.run.threads(), &progress);
    results::keep(common, ("hunt", &report, true), alone_to_text, |directory| {
        for (number, finding) in report.findings.iter().take(1).enumerate() {
            let alone::Finding { plan, events, violation } = finding;
            let file = format!("case-alone{number}.json");
            explain_events((plan, events), violation, directory, &file);
        }
    });
    verdict(report.findings.is_empty())
}

fn alone_to_text(report: &alone::Report) -> String {
    let alone::Report { replicas, inputs, executed, view, cores, pairs, .. } = report;
    let mut text = format!(
        "{replicas} replicas alone, {inputs} inputs, {:.0} a second of the processor; {executed} batches executed, views \
         up to {view}\n{cores} states of a replica with what it holds, {pairs} pairs of steps, refused for {} reasons\n",
        report.rate(),
        report.rejections.len()
    );
    for (reason, times) in &report.stopped {
        let _ = writeln!(text, "{times} stopped themselves: {reason}");
    }
    let _ = writeln!(
        text,
        "refused: {}",
        report.rejections.iter().cloned().collect::<Vec<_>>().join(", ")
    );
    for finding in &report.findings {
        let first = finding.violation.to_string();
        let _ = writeln!(text, "BROKEN {}", first.lines().next().unwrap_or_default());
    }
    let verdict = if report.findings.is_empty() { "HOLDS" } else { "BROKEN" };
    let _ = writeln!(text, "{verdict} ({:.0} s)", report.seconds);
    text
}

fn row(text: &mut String, name: &str, shown: &Shown) {
    let Shown { runs, deliveries, processor_seconds, states, cores, refusals, pairs } = shown;
    let _ = writeln!(
        text,
        "{name:<8} {runs:>7} {deliveries:>11} {processor_seconds:>9.1} {states:>9} {cores:>9} {refusals:>9} {pairs:>9}"
    );
}

fn to_text(report: &Report) -> String {
    let mut text = format!(
        "{:<8} {:>7} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
        "search", "runs", "deliveries", "seconds", "states", "cores", "refusals", "pairs"
    );
    row(&mut text, "guided", &report.guided);
    if let Some(random) = &report.random {
        row(&mut text, "random", random);
    }
    text += "seconds of the processor; abstract states of the cluster, of a replica with what it holds, refusals, pairs \
             of steps\n";
    if let Some(ratio) = report.ratio() {
        let _ = writeln!(text, "{ratio:.2} times as many abstract states as random seeds");
    }
    for finding in &report.findings {
        let first = finding.violation.to_string();
        let first = first.lines().next().unwrap_or_default();
        let _ = writeln!(text, "BROKEN in run {}: {first}", finding.run);
    }
    let verdict = if report.findings.is_empty() { "HOLDS" } else { "BROKEN" };
    let _ = writeln!(text, "{verdict} ({:.0} s)", report.seconds);
    text
}
