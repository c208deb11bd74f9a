//! `pbft-conform replay`.

use super::{Counters, Replay};
use crate::refinement::vocabulary::replayable;
use crate::replay::shrink::shrink;
use clap::Args;
use pbft_checker::run::{ExitCode, Format};
use pbft_model as model;

/// `pbft-conform replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArguments {
    /// The configuration: n4-b0-v1-s1-d2 is four replicas, replica 0 Byzantine, views 0 to 1, one slot, two values; -k1 adds
    /// checkpoints at every slot, -t2 a second request of each client.
    #[arg(long, value_parser = replayable)]
    config: model::Config,
    /// Take every edge under every schedule, not one in 64.
    #[arg(long)]
    every_schedule: bool,
    /// Begin where the first slot is executed everywhere.
    #[arg(long)]
    behind_first_slot: bool,
}

/// Replays every edge of one configuration on the core.
pub fn run_replay(arguments: &ReplayArguments, seed: u64, format: Format) -> ExitCode {
    let ReplayArguments { config, every_schedule, behind_first_slot } = *arguments;
    let mut replay = Replay::new(config, seed);
    if every_schedule {
        replay = replay.under_all_schedules();
    }
    if behind_first_slot {
        replay = replay.behind_first_slot();
    }
    let (report, divergence) = replay.run(&Counters::default());
    let divergence = divergence.map(|found| shrink(&found));
    format.print(&(&report, &divergence), |(report, divergence)| {
        let rate = report.edges as f64 / report.seconds;
        let summary = format!(
            "{}: {} states, {} edges, {} of them under every schedule, {} inputs, {:.1} s, {rate:.0} edges/s\n",
            report.config,
            report.states,
            report.edges,
            report.scheduled,
            report.steps,
            report.seconds
        );
        let landmarks = report.landmarks.iter();
        let summary = landmarks.fold(summary, |text, (name, count)| {
            format!("{text}  {count:>9} {name}\n")
        });
        divergence.iter().fold(summary, |text, divergence| format!("{text}{divergence}\n"))
    });
    match (divergence, report.complete) {
        (Some(_), _) => ExitCode::Finding,
        (None, true) => ExitCode::Holds,
        (None, false) => ExitCode::Inconclusive,
    }
}
