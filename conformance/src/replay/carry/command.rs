//! `pbft-conform carry`.

use super::product::Ways;
use super::walks::{CarryReport, Given};
use crate::divergence::Divergence;
use crate::refinement::vocabulary::replayable;
use crate::replay::core::{Counters, Replay};
use crate::replay::plan::WALK_STEPS;
use clap::Args;
use pbft_checker::run::{ExitCode, Format};
use pbft_model as model;
use serde::Serialize;
use std::fmt::Write;

/// `pbft-conform carry`.
#[derive(Clone, Debug, Args)]
pub struct CarryArguments {
    /// The configuration.
    #[arg(long, value_parser = replayable)]
    config: model::Config,
    /// Number of walks.
    #[arg(long, default_value_t = 100)]
    walks: u64,
    /// Instead walk through the whole graph of pairs: a state of the model, and what the replicas hold in it.
    #[arg(long, value_name = "WAYS", conflicts_with = "walks")]
    pairs: Option<Ways>,
}

/// Replays walks with leftovers, or a graph of pairs.
pub fn run_carry(arguments: &CarryArguments, seed: u64, format: Format) -> ExitCode {
    let CarryArguments { config, walks, pairs } = *arguments;
    if let Some(ways) = pairs {
        let (report, divergence) = Replay::new(config, seed).product(ways, &Counters::default());
        let summary = format!(
            "{config}: {} pairs of {} states, {} edges, {} inputs, {:.1} s\n",
            report.states, report.model_states, report.edges, report.work.steps, report.seconds
        );
        return print(format, &report, divergence.as_deref(), &summary, report.complete);
    }
    let (mut all, mut divergence) = (CarryReport::default(), None);
    for number in 0..walks {
        let seed = seed.wrapping_add(number);
        let (report, found) = Replay::new(config, seed).carry_along(seed, WALK_STEPS);
        all.add(&report);
        divergence = found;
        if divergence.is_some() {
            break;
        }
    }
    let mut summary =
        format!("{config}: {} walks, {} steps, {} inputs\n", all.walks, all.steps, all.work.steps);
    for (kind, count) in &all.leftovers {
        let Given { given, stayed } = count;
        let _ = writeln!(summary, "  {given:>8} given, {stayed:>8} stayed  {kind}");
    }
    print(format, &all, divergence.as_deref(), &summary, walks > 0)
}

fn print<R: Serialize>(
    format: Format,
    report: &R,
    divergence: Option<&Divergence>,
    summary: &str,
    complete: bool,
) -> ExitCode {
    format.print(&(report, divergence), |(_, divergence)| {
        let found = divergence.iter().map(|divergence| format!("{divergence}\n"));
        found.fold(summary.to_owned(), |text, found| text + &found)
    });
    match (divergence, complete) {
        (Some(_), _) => ExitCode::Finding,
        (None, true) => ExitCode::Holds,
        (None, false) => ExitCode::Inconclusive,
    }
}
