//! Random walks on which replicas are given more than they need: before a step, and after it, to whoever acts and to others.

use super::group::{Carry, Group, Manner};
use super::leftover::Leftover;
use crate::divergence::{Difference, Divergence};
use crate::refinement::pick::Pick;
use crate::replay::core::Replay;
use crate::replay::core::step::Work;
use crate::walk::choose;
use pbft_checker::chance::Chance;
use pbft_model as model;
use serde::Serialize;
use std::collections::BTreeMap;

/// How often a kind of leftover was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Given {
    /// Times.
    pub given: u64,
    /// Of these, how often the replica's state was another afterwards.
    pub stayed: u64,
}

/// What the walks did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CarryReport {
    /// Walks.
    pub walks: u64,
    /// Steps of the model.
    pub steps: u64,
    /// Of these, steps that followed from the one before without a message.
    pub followed: u64,
    /// Leftovers by kind.
    pub leftovers: BTreeMap<&'static str, Given>,
    /// Inputs, refusals and effects.
    #[serde(skip)]
    pub work: Work,
}

impl CarryReport {
    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        self.walks += other.walks;
        self.steps += other.steps;
        self.followed += other.followed;
        for (kind, Given { given, stayed }) in &other.leftovers {
            let known = self.leftovers.entry(kind).or_default();
            (known.given, known.stayed) = (known.given + given, known.stayed + stayed);
        }
        self.work.steps += other.work.steps;
        self.work.tally.add(&other.work.tally);
    }

    /// What was never given, or never stayed though it must.
    pub fn missing(&self) -> impl Iterator<Item = String> + '_ {
        Leftover::ALL.into_iter().filter_map(move |kind| {
            let Given { given, stayed } =
                self.leftovers.get(kind.name()).copied().unwrap_or_default();
            match (given, stayed) {
                (0, _) => Some(format!("never left over: {}", kind.name())),
                (_, 0) if kind.stays() => Some(format!("never stayed: {}", kind.name())),
                _ => None,
            }
        })
    }
}

/// Of so many steps one is taken by a replica that has just been started again, and has lost what it held.
const RESTART_ONE_IN: u64 = 12;

/// At each of these moments, at most so many leftovers are given to one replica.
const AT_ONCE: u64 = 4;

/// One walk.
struct Walk<'a> {
    carry: Carry<'a>,
    group: Group,
    chance: Chance,
    taken: Vec<model::Action>,
    report: CarryReport,
}

impl Replay {
    /// A random walk of at most `steps` steps that follows from `seed`.
    pub fn carry_along(&self, seed: u64, steps: usize) -> (CarryReport, Option<Box<Divergence>>) {
        let carry = Carry { model: &self.model, vocabulary: &self.vocabulary };
        let mut walk = Walk {
            carry,
            group: Group::new(&self.vocabulary),
            chance: Chance::new(seed),
            taken: Vec::new(),
            report: CarryReport { walks: 1, ..CarryReport::default() },
        };
        let mut divergence = None;
        while walk.taken.len() < steps {
            match walk.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err((action, difference)) => {
                    let mut found = self.divergence(&walk.taken, action, difference);
                    found.reproduce = self.again_with_leftovers(seed);
                    divergence = Some(Box::new(found));
                    break;
                }
            }
        }
        walk.report.steps = walk.taken.len() as u64;
        (walk.report, divergence)
    }
}

impl Walk<'_> {
    /// Gives leftovers, takes a step, gives leftovers; false where no step can be taken.
    fn step(&mut self) -> Result<bool, (model::Action, Difference)> {
        let actions = self.carry.actions(&self.group);
        let Some(action) = choose(&mut self.chance, &actions) else { return Ok(false) };
        let at = |difference: Difference| (action, difference);
        self.begin_transfer(&actions, &action).map_err(at)?;
        self.litter(action.replica()).map_err(at)?;
        let restart = self.chance.below(RESTART_ONE_IN) == 0;
        let choice = self.chance.draw();
        let manner = Manner { pick: Pick::seeded(choice), restart, choice };
        let (group, work) = (&mut self.group, &mut self.report.work);
        let (steps, _) = self.carry.take(group, &action, manner, work).map_err(at)?;
        self.report.followed += steps.len() as u64 - 1;
        self.taken.extend(steps);
        self.litter(action.replica()).map_err(at)?;
        let honest: Vec<_> = self.carry.model.honest().collect();
        let another = honest[self.chance.below(honest.len() as u64) as usize];
        self.litter(another).map_err(at)?;
        Ok(true)
    }

    /// Gives a replica some of what it does not need, of kinds that chance selects.
    fn litter(&mut self, own: model::ReplicaId) -> Result<(), Difference> {
        for _ in 0..self.chance.below(AT_ONCE + 1) {
            let kinds = Leftover::ALL.len() as u64;
            let kind = Leftover::ALL[self.chance.below(kinds) as usize];
            let all = self.carry.leftovers(&self.group, own, kind);
            let Some(delivery) = all.get(self.chance.below(all.len() as u64) as usize) else {
                continue;
            };
            let (group, work) = (&mut self.group, &mut self.report.work);
            if let Some(stayed) = self.carry.give(group, own, kind, delivery, work)? {
                self.count(kind, stayed);
            }
        }
        Ok(())
    }

    /// Has somebody begin to fetch a state, now and then, who is not to have it with this step.
    fn begin_transfer(
        &mut self,
        actions: &[model::Action],
        chosen: &model::Action,
    ) -> Result<(), Difference> {
        let fetches = |action: &&model::Action| {
            matches!(action, model::Action::StateTransfer { .. }) && *action != chosen
        };
        let Some(action) = actions.iter().find(fetches) else { return Ok(()) };
        let (choice, group) = (self.chance.draw(), &mut self.group);
        // The step that was chosen may be a transfer of another checkpoint at the same replica.
        let other = chosen.replica() != action.replica();
        if other && self.carry.begin_transfer(group, action, choice, &mut self.report.work)? {
            self.count(Leftover::StatePart, true);
        }
        Ok(())
    }

    fn count(&mut self, kind: Leftover, stayed: bool) {
        let Given { given, stayed: kept } = self.report.leftovers.entry(kind.name()).or_default();
        (*given, *kept) = (*given + 1, *kept + u64::from(stayed));
    }
}
