//! Probes of a running node. It cannot be copied, so it is only asked what leaves no trace: what must be refused, at
//! any time; what is undone by a crash, just before one.

use super::frame::FRAME_PROBES;
use super::normal_case::conflicting_pre_prepare;
use super::reaction::{REACTIONS, Scene, Trace};
use super::restart::compare_restart;
use super::{Expected, PROBES, Probe, accepted};
use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::subject::node::NodeHost;
use crate::subject::tally::Tally;
use crate::subject::{Counted, Subject};

/// The probe that leaves evidence.
const EVIDENCE: &str = "a second pre-prepare for a view and sequence number";

/// How many of each kind are made just before a crash.
const BEFORE_A_CRASH: usize = 3;

/// Probes the node after a step, and crashes it if that is due; the names of what was probed.
pub fn run(
    scene: &Scene<'_>,
    node: &mut NodeHost<'_>,
    choice: u64,
    tally: &mut Tally,
) -> Result<Vec<&'static str>, Difference> {
    let mut made = Vec::new();
    made.extend(refused(scene, node, choice, tally)?);
    made.extend(frame(scene, node, choice)?);
    if !node.is_about_to_crash() {
        return Ok(made);
    }
    // Whatever the choice: its evidence must survive the crash.
    if let Some(probe) = conflicting_pre_prepare(&scene.place) {
        refuse(scene, node, &probe, tally)
            .map_err(|difference| difference.by_probe("probe", EVIDENCE))?;
        made.push(EVIDENCE);
    }
    for turn in 0..BEFORE_A_CRASH as u64 {
        let choice = choice.wrapping_add(turn);
        made.extend(reaction(scene, node, choice, tally)?);
        made.extend(frame(scene, node, choice.wrapping_add(1))?);
    }
    compare_restart(&scene.place, node)?;
    Ok(made)
}

fn rotated<T>(all: &[T], choice: u64) -> impl Iterator<Item = &T> {
    let start = choice as usize % all.len();
    all[start..].iter().chain(&all[..start])
}

/// The first probe from the `choice`-th on that can be made here and must be refused.
fn refused(
    scene: &Scene<'_>,
    node: &mut NodeHost<'_>,
    choice: u64,
    tally: &mut Tally,
) -> Result<Option<&'static str>, Difference> {
    for (name, maker) in rotated(PROBES, choice) {
        let Some(probe) = maker(&scene.place) else { continue };
        // What is kept would stay in a running node.
        let timed = |delivery: &Delivery| matches!(delivery, Delivery::Timer(_));
        if probe.deliveries.len() == 1
            // The node's own clock says when a timer runs out.
            && !probe.deliveries.iter().any(timed)
            && !matches!(probe.expected, Expected::Nothing | Expected::NoFetch(_))
            && !probe.expected.is_of_size()
        {
            return refuse(scene, node, &probe, tally)
                .map(|()| Some(*name))
                .map_err(|difference| difference.by_probe("probe", name));
        }
    }
    Ok(None)
}

fn refuse(
    scene: &Scene<'_>,
    node: &mut NodeHost<'_>,
    probe: &Probe,
    tally: &mut Tally,
) -> Result<(), Difference> {
    let before = node.replica();
    for delivery in &probe.deliveries {
        let spared = node.frames_not_verified()?;
        let outcome = node.deliver(scene.place.source.vocabulary, delivery);
        let outcome = outcome.map_err(|difference| difference.at(delivery))?;
        tally.outcome(&outcome);
        match outcome {
            Ok(seen) => {
                return Err(probe.expected.missed(accepted(delivery, probe.expected, &seen)));
            }
            Err(rejection) if probe.expected.allows(&rejection) => {}
            // It comes too late here, which is found out before the guard is asked: D25.
            Err(_) if node.frames_not_verified()? > spared => {}
            Err(rejection) => return Err(probe.expected.mistaken(delivery, &rejection)),
        }
    }
    if before == node.replica() {
        return Ok(());
    }
    let what = "refused, but the replica changed";
    let difference = Difference::new(Kind::StateChanged, what);
    Err(probe.deliveries.iter().rev().fold(difference, Difference::at))
}

fn frame(
    scene: &Scene<'_>,
    node: &mut NodeHost<'_>,
    choice: u64,
) -> Result<Option<&'static str>, Difference> {
    for (name, probe) in rotated(FRAME_PROBES, choice) {
        if let Some(outcome) = probe(&scene.place, node) {
            return outcome
                .map(|()| Some(*name))
                .map_err(|difference| difference.by_probe("frame", name));
        }
    }
    Ok(None)
}

fn reaction(
    scene: &Scene<'_>,
    node: &mut NodeHost<'_>,
    choice: u64,
    tally: &mut Tally,
) -> Result<Option<&'static str>, Difference> {
    for (name, trace, reaction) in rotated(REACTIONS, choice) {
        if *trace == Trace::Lasting {
            continue;
        }
        if let Some(outcome) = reaction(scene, &mut Counted { subject: node, tally }) {
            return outcome
                .map(|()| Some(*name))
                .map_err(|difference| difference.by_probe("reaction", name));
        }
    }
    Ok(None)
}
