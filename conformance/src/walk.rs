//! Traces: paths through the model to replay. Seeded random walks, and the shortest way to each witness.

use pbft_checker::bfs::{Limits, search};
use pbft_checker::chance::Chance;
use pbft_checker::run::Silent;
use pbft_model as model;
use pbft_model::witnesses::WITNESSES;
use serde::{Deserialize, Serialize};
use stateright::Model;

/// A path through the model, and why it is replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The configuration's name.
    pub config: String,
    /// `walk 17`, `witness state-transfer`, …
    pub origin: String,
    /// The steps.
    pub actions: Vec<model::Action>,
}

/// How likely an action is taken: rare ones are favoured, view changes are held back so that views get work done.
fn weight(action: &model::Action) -> u64 {
    match action {
        model::Action::StartViewChange { .. } => 2,
        model::Action::PrePrepare { .. } | model::Action::Prepare { .. } => 6,
        model::Action::Commit { .. } => 8,
        model::Action::Execute { .. } | model::Action::EnterView { .. } => 4,
        model::Action::Stabilise { .. } | model::Action::StateTransfer { .. } => 4,
        model::Action::NewView { .. } => 12,
        model::Action::Flush { .. } | model::Action::Restart { .. } => 0,
    }
}

/// One of the actions, the likelier the more it weighs; `None` if none weighs anything.
pub(crate) fn choose(chance: &mut Chance, actions: &[model::Action]) -> Option<model::Action> {
    let total: u64 = actions.iter().map(weight).sum();
    if total == 0 {
        return None;
    }
    let mut left = chance.below(total);
    let chosen = actions.iter().find(|action| match left.checked_sub(weight(action)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    chosen.copied()
}

/// A random walk of at most `steps` steps on what `walked` allows.
pub fn walk<M>(walked: &M, config: &model::Config, seed: u64, steps: usize) -> Trace
where
    M: Model<State = model::State, Action = model::Action>,
{
    let mut chance = Chance::new(seed);
    let mut state = model::State::initial(config);
    let mut trace = Vec::new();
    let mut actions = Vec::new();
    while trace.len() < steps {
        actions.clear();
        walked.actions(&state, &mut actions);
        let Some(action) = choose(&mut chance, &actions) else { break };
        let Some(next) = walked.next_state(&state, action) else { break };
        trace.push(action);
        state = next;
    }
    Trace { config: config.to_string(), origin: format!("walk {seed}"), actions: trace }
}

/// The shortest way to each witness that applies to the configuration.
pub fn witnesses<M>(walked: &M, pbft: &model::Pbft) -> Vec<Trace>
where
    M: Model<State = model::State, Action = model::Action>,
{
    let config = pbft.config();
    let applicable = WITNESSES.iter().filter(|witness| (witness.applicable)(config));
    let shortest = applicable.filter_map(|witness| {
        let shows = |_: &M, state: &model::State| (witness.shown)(pbft, state);
        let found = search(walked, Limits::default(), shows, &mut Silent).found?;
        Some(Trace {
            config: config.to_string(),
            origin: format!("witness {}", witness.name),
            actions: found,
        })
    });
    shortest.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_walk() {
        let config: model::Config = "n4-b0-v2-s2-d2-k1".parse().expect("a valid name");
        let pbft = model::Pbft::new(config);
        let first = walk(&pbft, &config, 5, 60);
        assert_eq!(first, walk(&pbft, &config, 5, 60));
        assert_ne!(first.actions, walk(&pbft, &config, 6, 60).actions);
        assert!(first.actions.len() > 20, "walks get somewhere: {}", first.actions.len());
    }
}
