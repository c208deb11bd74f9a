//! What must hold in every reachable state.

use crate::Pbft;
use crate::ids::{MAX_SLOTS, Slot, View};
use crate::state::State;
use crate::value::{Value, ValueSet};

/// A safety property: a name, what it says, and a predicate on states.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Name, as it appears in reports.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub statement: &'static str,
    /// Whether it holds in a state.
    pub holds: fn(&Pbft, &State) -> bool,
}

/// All safety properties.
pub const PROPERTIES: [Property; 9] = [
    Property {
        name: "agreement",
        statement: "no two honest replicas execute different values at a slot, in whatever view",
        holds: agreement,
    },
    Property {
        name: "validity",
        statement: "what is executed is a client's request or null",
        holds: validity,
    },
    Property {
        name: "exactly-once",
        statement: "no request is applied twice to the service of an honest replica",
        holds: exactly_once,
    },
    Property {
        name: "certificate-uniqueness",
        statement: "at most one value prepares in a view at a slot",
        holds: certificate_uniqueness,
    },
    Property {
        name: "checkpoint-agreement",
        statement: "honest CHECKPOINTs for a slot carry the same digest",
        holds: checkpoint_agreement,
    },
    Property {
        name: "committed-survives",
        statement: "a committed value is in every later NEW-VIEW that covers its slot, and nothing else prepares there",
        holds: committed_survives,
    },
    Property {
        name: "water-marks",
        statement: "h ≤ last executed ≤ h+L, h is a multiple of K, and the log holds only slots in (h, h+L]",
        holds: water_marks,
    },
    Property {
        name: "client-reply",
        statement: "the services of honest replicas went through the same states, so f+1 equal replies name the agreed result",
        holds: client_reply,
    },
    Property {
        name: "state-obtainable",
        statement: "the state at a low water mark is held by f+1 honest replicas, so whoever lacks it can fetch it",
        holds: state_obtainable,
    },
];

/// The names of the properties that do not hold in a state.
#[must_use]
pub fn violated(model: &Pbft, state: &State) -> Vec<&'static str> {
    PROPERTIES.iter().filter(|one| !(one.holds)(model, state)).map(|one| one.name).collect()
}

/// Whether all the items that are there are equal.
fn all_equal<T: PartialEq>(items: impl Iterator<Item = T>) -> bool {
    let mut first = None;
    for item in items {
        match &first {
            None => first = Some(item),
            Some(first) if *first != item => return false,
            Some(_) => {}
        }
    }
    true
}

fn slots(model: &Pbft) -> impl DoubleEndedIterator<Item = Slot> + use<> {
    Slot::GENESIS.until(model.config().last_slot())
}

fn views(model: &Pbft) -> impl Iterator<Item = View> + use<> {
    (0..=model.config().max_view().0).map(View)
}

fn agreement(model: &Pbft, state: &State) -> bool {
    slots(model).all(|slot| {
        let executed = model.honest().map(|id| state.replica(id).executed[slot.index()]);
        all_equal(executed.filter(|value| value.is_some()))
    })
}

fn validity(model: &Pbft, state: &State) -> bool {
    let acceptable = |value: &Value| {
        *value == Value::NONE
            || *value == Value::NULL
            || value.client().is_some_and(|client| client <= model.config().values())
    };
    model.honest().all(|id| state.replica(id).executed.iter().all(acceptable))
}

fn exactly_once(model: &Pbft, state: &State) -> bool {
    model.honest().all(|id| {
        let mut seen = ValueSet::EMPTY;
        state.replica(id).applied.iter().all(|value| {
            let fresh = !seen.contains(value);
            seen.insert(value);
            fresh
        })
    })
}

fn certificate_uniqueness(model: &Pbft, state: &State) -> bool {
    views(model).all(|view| {
        slots(model).all(|slot| {
            let sent = |id| state.replica(id).sent.commits[view.index()][slot.index()];
            let committed = model.honest().map(sent).fold(ValueSet::EMPTY, ValueSet::union);
            committed.len() <= 1 && model.prepared_values(state, view, slot).len() <= 1
        })
    })
}

fn checkpoint_agreement(model: &Pbft, state: &State) -> bool {
    (0..MAX_SLOTS).all(|index| {
        all_equal(model.honest().filter_map(|id| state.replica(id).sent.checkpoints[index]))
    })
}

fn committed_survives(model: &Pbft, state: &State) -> bool {
    views(model).all(|view| {
        slots(model).all(|slot| {
            let committed = model.certified_values(state, view, slot);
            committed.iter().all(|value| survives(model, state, view, slot, value))
        })
    })
}

fn survives(model: &Pbft, state: &State, committed_in: View, slot: Slot, value: Value) -> bool {
    views(model).filter(|view| *view > committed_in).all(|later| {
        let primary = model.primary(later);
        let new_view = if model.is_byzantine(primary) {
            None
        } else {
            state.replica(primary).sent.new_views[later.index()]
        };
        let carried = new_view
            .is_none_or(|new_view| new_view.min_s >= slot || new_view.order[slot.index()] == value);
        let prepared = model.prepared_values(state, later, slot);
        carried && prepared.iter().all(|other| other == value)
    })
}

fn water_marks(model: &Pbft, state: &State) -> bool {
    model.honest().all(|id| {
        let replica = state.replica(id);
        let (low, last) = (replica.low_water_mark, replica.last_executed);
        let high = Slot(low.0 + model.config().window());
        let on_checkpoint = low == Slot::GENESIS || model.config().is_checkpoint(low);
        let log_in_window = slots(model).all(|slot| {
            let empty = replica.accepted[slot.index()].is_none()
                && replica.certificates[slot.index()].is_none();
            empty || (low < slot && slot <= high)
        });
        low <= last && last <= high && on_checkpoint && log_in_window
    })
}

fn client_reply(model: &Pbft, state: &State) -> bool {
    let applied = |id| state.replica(id).applied;
    model.honest().all(|one| {
        model.honest().all(|other| {
            applied(one).is_prefix_of(applied(other)) || applied(other).is_prefix_of(applied(one))
        })
    })
}

fn state_obtainable(model: &Pbft, state: &State) -> bool {
    let holders = |slot: Slot| {
        let sent = |id| state.replica(id).sent.checkpoints[slot.index()].is_some();
        model.honest().filter(|id| sent(*id)).count()
    };
    model.honest().map(|id| state.replica(id).low_water_mark).all(|low| {
        low == Slot::GENESIS || holders(low) >= usize::from(model.config().quorums().weak)
    })
}
