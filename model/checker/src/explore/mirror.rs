//! Mirror images of a path: the same steps with equals exchanged.
//!
//! Clients differ in name only, and so do honest replicas that lead no view of the configuration. Exchanging two of them in every
//! step gives another path, which must show what the first showed. Whether it does is not taken for granted: every image is
//! walked in the unreduced model, and one that cannot be walked, or that violates other properties, is none.

use serde::Serialize;

use crate::trace::end;
use pbft_model::action::Action;
use pbft_model::ids::{ReplicaId, View};
use pbft_model::state::{NewView, StateDigest};
use pbft_model::value::{Applied, Value, ValueSet};
use pbft_model::{Pbft, properties};

/// A path with equals exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mirror {
    /// What was exchanged, for people.
    pub exchanged: String,
    /// The steps.
    #[serde(skip)]
    pub actions: Vec<Action>,
}

/// How many images are looked for. One would do; the others serve whoever is after a certain one.
const ENOUGH: usize = 6;

/// The images of a path that differ from it: with two clients exchanged, with two replicas exchanged, with both; six at most.
/// The more is exchanged, the earlier it comes.
#[must_use]
pub fn mirrors(model: &Pbft, actions: &[Action]) -> Vec<Mirror> {
    let model = model.clone().with_reductions(pbft_model::Reductions::NONE);
    let violated = end(&model, actions).map(|state| properties::violated(&model, &state));
    let mut found: Vec<Mirror> = Vec::new();
    for exchange in exchanges(&model) {
        if found.len() == ENOUGH {
            break;
        }
        let image: Vec<_> = actions.iter().map(|action| exchange.action(*action)).collect();
        let known = image == actions || found.iter().any(|mirror| mirror.actions == image);
        if known
            || end(&model, &image).map(|state| properties::violated(&model, &state)) != violated
        {
            continue;
        }
        found.push(Mirror { exchanged: exchange.to_string(), actions: image });
    }
    found
}

/// What is exchanged with what.
#[derive(Clone, Debug)]
struct Exchange {
    replicas: Option<(ReplicaId, ReplicaId)>,
    /// Clients, with their requests: the first of the one for the first of the other, and so on.
    values: Vec<(Value, Value)>,
}

/// Every way to exchange at most two clients and at most two replicas that are equals.
fn exchanges(model: &Pbft) -> Vec<Exchange> {
    let leads = |id| (0..=model.config().max_view().0).any(|view| model.primary(View(view)) == id);
    let equals: Vec<_> = model.honest().filter(|id| !leads(*id)).collect();
    let replicas: Vec<_> = pairs(&equals).collect();
    let clients: Vec<_> = (1..=model.config().clients()).collect();
    let of = |client: u8| model.requests().filter(move |value| value.client() == Some(client));
    let values: Vec<Vec<_>> = pairs(&clients)
        .filter(|(one, other)| of(*one).count() == of(*other).count())
        .map(|(one, other)| of(one).zip(of(other)).collect())
        .collect();
    let mut all = Vec::new();
    for values in &values {
        let both = replicas.iter().map(|pair| Some(*pair));
        all.extend(both.map(|replicas| Exchange { replicas, values: values.clone() }));
    }
    all.extend(values.into_iter().map(|values| Exchange { replicas: None, values }));
    let lone = |pair| Exchange { replicas: Some(pair), values: Vec::new() };
    all.extend(replicas.into_iter().map(lone));
    all
}

fn pairs<T: Copy>(items: &[T]) -> impl Iterator<Item = (T, T)> {
    items
        .iter()
        .enumerate()
        .flat_map(|(at, one)| items[at + 1..].iter().map(|other| (*one, *other)))
}

impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let replicas =
            self.replicas.iter().map(|(one, other)| format!("replicas {} ↔ {}", one.0, other.0));
        let values = self.values.iter().map(|(one, other)| format!("{one} ↔ {other}"));
        f.write_str(&replicas.chain(values).collect::<Vec<_>>().join(", "))
    }
}

impl Exchange {
    fn replica(&self, id: ReplicaId) -> ReplicaId {
        match self.replicas {
            Some((one, other)) if id == one => other,
            Some((one, other)) if id == other => one,
            Some(_) | None => id,
        }
    }

    fn value(&self, value: Value) -> Value {
        for &(one, other) in &self.values {
            if value == one {
                return other;
            }
            if value == other {
                return one;
            }
        }
        value
    }

    fn outcome(&self, outcome: NewView) -> NewView {
        NewView { order: outcome.order.map(|value| self.value(value)), ..outcome }
    }

    fn digest(&self, digest: StateDigest) -> StateDigest {
        let mut applied = Applied::default();
        digest.applied.iter().for_each(|value| applied.push(self.value(value)));
        let mut served = ValueSet::EMPTY;
        digest.served.iter().for_each(|value| served.insert(self.value(value)));
        StateDigest { applied, served }
    }

    fn action(&self, action: Action) -> Action {
        let replica = self.replica(action.replica());
        match action {
            Action::PrePrepare { slot, value, .. } => {
                Action::PrePrepare { replica, slot, value: self.value(value) }
            }
            Action::Prepare { slot, value, .. } => {
                Action::Prepare { replica, slot, value: self.value(value) }
            }
            Action::Commit { slot, .. } => Action::Commit { replica, slot },
            Action::Execute { view, value, .. } => {
                Action::Execute { replica, view, value: self.value(value) }
            }
            Action::Stabilise { slot, .. } => Action::Stabilise { replica, slot },
            Action::StateTransfer { slot, digest, .. } => {
                Action::StateTransfer { replica, slot, digest: self.digest(digest) }
            }
            Action::StartViewChange { to, .. } => Action::StartViewChange { replica, to },
            Action::NewView { outcome, .. } => {
                Action::NewView { replica, outcome: self.outcome(outcome) }
            }
            Action::EnterView { view, outcome, .. } => {
                Action::EnterView { replica, view, outcome: self.outcome(outcome) }
            }
            Action::Flush { .. } => Action::Flush { replica },
            Action::Restart { .. } => Action::Restart { replica },
        }
    }
}
