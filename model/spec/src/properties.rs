//! What must hold in every reachable state.
//!
//! A property that nothing could have violated says nothing. So each has, beside its predicate, the states that put it to
//! the test, and a run in which there was none of these is inconclusive.

use crate::Pbft;
use crate::bounds::{always, has_checkpoints, has_view_changes};
use crate::config::Config;
use crate::ids::{MAX_SLOTS, ReplicaId, Slot, View};
use crate::progress;
use crate::state::{ReplicaState, State, StateDigest, Viewer};
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
    /// Whether a configuration is large enough to put it to the test.
    pub applicable: fn(&Config) -> bool,
    /// Whether a state puts it to the test.
    pub exercised: fn(&Pbft, &State) -> bool,
}

/// All properties.
pub const PROPERTIES: [Property; 16] = [
    Property {
        name: "agreement",
        statement: "no two honest replicas execute different values at a slot, in whatever view",
        holds: agreement,
        applicable: always,
        exercised: |model, state| {
            let executed = |slot: Slot, id| state.replica(id).executed[slot.index()].is_some();
            model.slots().any(|slot| model.honest().filter(|id| executed(slot, *id)).count() >= 2)
        },
    },
    Property {
        name: "validity",
        statement: "what is executed is a client's request or null, and only requests are applied to the service",
        holds: validity,
        applicable: always,
        exercised: something_applied,
    },
    Property {
        name: "exactly-once",
        statement: "no request is applied twice to the service of an honest replica",
        holds: exactly_once,
        applicable: always,
        exercised: something_applied,
    },
    Property {
        name: "client-order",
        statement: "the requests of a client are applied in the order of their timestamps, one of each",
        holds: client_order,
        applicable: |config| config.requests_each() > 1,
        exercised: |model, state| {
            let second = |value: Value| value.number() > 1;
            model.honest_states(state).any(|replica| replica.applied.iter().any(second))
        },
    },
    Property {
        name: "certificate-uniqueness",
        statement: "at most one value prepares in a view at a slot",
        holds: certificate_uniqueness,
        applicable: always,
        exercised: |model, state| {
            let committed = |id| state.sent(id).commits.iter().flatten().any(|one| !one.is_empty());
            model.honest().any(committed)
        },
    },
    Property {
        name: "checkpoint-agreement",
        statement: "honest CHECKPOINTs for a slot carry the same digest",
        holds: checkpoint_agreement,
        applicable: has_checkpoints,
        exercised: |model, state| {
            let sent = |index: usize, id| state.sent(id).checkpoints[index].is_some();
            (0..MAX_SLOTS).any(|at| model.honest().filter(|id| sent(at, *id)).count() >= 2)
        },
    },
    Property {
        name: "committed-survives",
        statement: "a committed value is in every later NEW-VIEW that covers its slot, and nothing else prepares there",
        holds: committed_survives,
        applicable: has_view_changes,
        exercised: |model, state| {
            let committed = |view| {
                model.slots().any(|slot| {
                    !model.certified_values(state, Viewer::Network, view, slot).is_empty()
                })
            };
            let entered = |view: View| {
                model.honest_states(state).any(|replica| replica.active && replica.view > view)
            };
            model.views().any(|view| committed(view) && entered(view))
        },
    },
    Property {
        name: "water-marks",
        statement: "h ≤ last executed ≤ h+L, h is a multiple of K, and the log holds only slots in (h, h+L]",
        holds: water_marks,
        applicable: always,
        exercised: |model, state| {
            model
                .honest_states(state)
                .any(|replica| replica.accepted.iter().any(|value| value.is_some()))
        },
    },
    Property {
        name: "client-reply",
        statement: "the services of honest replicas went through the same states, and f+1 equal replies name the agreed result",
        holds: client_reply,
        applicable: always,
        exercised: |model, state| {
            let answered = |value: Value, id| durable(state, id).served.contains(value);
            model.requests().any(|value| model.honest().any(|id| answered(value, id)))
        },
    },
    Property {
        name: "state-obtainable",
        statement: "the state at a low water mark is held by f+1 honest replicas, so whoever lacks it can fetch it",
        holds: state_obtainable,
        applicable: has_checkpoints,
        exercised: |model, state| {
            model.honest_states(state).any(|one| one.low_water_mark > Slot::GENESIS)
        },
    },
    Property {
        name: "batch-obtainable",
        statement: "a batch that a prepared certificate can name is kept by f+1 honest replicas, or a stable checkpoint covers it",
        holds: batch_obtainable,
        applicable: always,
        exercised: |model, state| {
            let prepared = |view, slot| !model.prepared_values(state, view, slot).is_empty();
            model.views().any(|view| model.slots().any(|slot| prepared(view, slot)))
        },
    },
    Property {
        name: "durable-before-sent",
        statement: "what a replica has put on the network is on its disk",
        holds: durable_before_sent,
        applicable: Config::restarts,
        exercised: |model, state| {
            let committed = |id| state.sent(id).commits.iter().flatten().any(|one| !one.is_empty());
            !state.wire.is_empty() && model.honest().any(committed)
        },
    },
    Property {
        name: "no-view-skipped",
        statement: "no view is passed over that no honest replica has asked for, so f Byzantine replicas move nobody",
        holds: no_view_skipped,
        applicable: has_view_changes,
        exercised: |model, state| {
            let last = model.config().max_view();
            model.honest_states(state).any(|replica| replica.view == last)
        },
    },
    Property {
        name: "progress",
        statement: "from here a fair synchronous schedule executes every request at every honest replica, whatever the Byzantine ones have done",
        holds: Pbft::makes_progress,
        // Something must be able to go wrong: a faulty primary, a view that is left, or more requests than slots.
        applicable: |config| {
            has_view_changes(config)
                || config.is_byzantine(ReplicaId(0))
                || config.requests() > config.last_slot().0
        },
        exercised: progress::is_stuck_without_timers,
    },
    Property {
        name: "fetched-state",
        statement: "a replica that fetched its state has what the decided values up to there make of it",
        holds: fetched_state,
        applicable: has_checkpoints,
        exercised: |model, state| model.honest_states(state).any(has_fetched),
    },
    Property {
        name: "votes-kept",
        statement: "above h a replica has accepted what it voted for in its view and nothing else, and has the certificate of its last COMMIT",
        holds: votes_kept,
        applicable: always,
        exercised: |model, state| {
            let voted = |replica: &ReplicaState| {
                let votes = &replica.sent.prepares[replica.view.index()];
                replica.active && votes.iter().any(|values| !values.is_empty())
            };
            model.honest_states(state).any(voted)
        },
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

/// What a replica has on disk; where nobody crashes, what it has.
fn durable(state: &State, id: ReplicaId) -> &ReplicaState {
    state.disks.get(id.index()).unwrap_or_else(|| state.replica(id))
}

fn something_applied(model: &Pbft, state: &State) -> bool {
    model.honest_states(state).any(|replica| !replica.applied.is_empty())
}

fn agreement(model: &Pbft, state: &State) -> bool {
    model.slots().all(|slot| {
        let executed = model.honest().map(|id| state.replica(id).executed[slot.index()]);
        all_equal(executed.filter(|value| value.is_some()))
    })
}

fn validity(model: &Pbft, state: &State) -> bool {
    let acceptable = |value: &Value| {
        value.is_none() || *value == Value::NULL || model.requests().any(|one| one == *value)
    };
    model.honest_states(state).all(|replica| {
        replica.executed.iter().all(acceptable) && replica.applied.iter().all(Value::is_request)
    })
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

fn client_order(model: &Pbft, state: &State) -> bool {
    model.honest_states(state).all(|replica| {
        let mut last = [0; Value::MAX_CLIENTS as usize + 1];
        replica.applied.iter().all(|value| {
            let Some(client) = value.client() else { return true };
            let timestamp = model.config().timestamp(value);
            let before = std::mem::replace(&mut last[usize::from(client)], timestamp);
            before < timestamp
        })
    })
}

fn certificate_uniqueness(model: &Pbft, state: &State) -> bool {
    model.views().all(|view| {
        model.slots().all(|slot| {
            let sent = |id| state.sent(id).commits[view.index()][slot.index()];
            let committed = model.honest().map(sent).fold(ValueSet::EMPTY, ValueSet::union);
            committed.len() <= 1 && model.prepared_values(state, view, slot).len() <= 1
        })
    })
}

fn checkpoint_agreement(model: &Pbft, state: &State) -> bool {
    (0..MAX_SLOTS)
        .all(|index| all_equal(model.honest().filter_map(|id| state.sent(id).checkpoints[index])))
}

fn committed_survives(model: &Pbft, state: &State) -> bool {
    model.views().all(|view| {
        model.slots().all(|slot| {
            let committed = model.certified_values(state, Viewer::Network, view, slot);
            committed.iter().all(|value| survives(model, state, view, slot, value))
        })
    })
}

fn survives(model: &Pbft, state: &State, committed_in: View, slot: Slot, value: Value) -> bool {
    model.views().filter(|view| *view > committed_in).all(|later| {
        let primary = model.primary(later);
        let new_view = if model.is_byzantine(primary) {
            None
        } else {
            state.sent(primary).new_views[later.index()]
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
        let log_in_window = model.slots().all(|slot| {
            let empty = replica.accepted[slot.index()].is_none()
                && replica.certificates[slot.index()].is_none();
            empty || (low < slot && slot <= high)
        });
        low <= last && last <= high && on_checkpoint && log_in_window
    })
}

fn client_reply(model: &Pbft, state: &State) -> bool {
    let applied = |id| durable(state, id).applied;
    let same_history = model.honest().all(|one| {
        model.honest().all(|other| {
            applied(one).is_prefix_of(applied(other)) || applied(other).is_prefix_of(applied(one))
        })
    });
    // The Byzantine replicas alone must not be enough to make a client accept whatever they like.
    let believable = model.config().byzantine_count() < model.replies_needed();
    same_history && (believable || model.config().is_beyond_tolerance())
}

fn state_obtainable(model: &Pbft, state: &State) -> bool {
    let holders = |slot: Slot| {
        let holds = |id| durable(state, id).sent.checkpoints[slot.index()].is_some();
        model.honest().filter(|id| holds(*id)).count()
    };
    model.honest_states(state).map(|replica| replica.low_water_mark).all(|low| {
        low == Slot::GENESIS || holders(low) >= usize::from(model.config().quorums().weak)
    })
}

fn batch_obtainable(model: &Pbft, state: &State) -> bool {
    let weak = usize::from(model.config().quorums().weak);
    model.slots().all(|slot| {
        let covered = |id| durable(state, id).low_water_mark >= slot;
        let kept = |value| {
            let keepers = model.honest().filter(|id| model.keeps(durable(state, *id), slot, value));
            keepers.count() >= weak || model.honest().any(covered)
        };
        model.views().all(|view| {
            let voted = |id| !state.sent(id).prepares[view.index()][slot.index()].is_empty();
            // Without the votes of honest replicas nothing prepares.
            !model.honest().any(voted) || model.prepared_values(state, view, slot).iter().all(kept)
        })
    })
}

fn durable_before_sent(model: &Pbft, state: &State) -> bool {
    state.wire.is_empty()
        || model.honest().all(|id| {
            let on_disk = durable(state, id).sent;
            let mut both = on_disk;
            both.add(state.sent(id));
            both == on_disk
        })
}

/// Whether a replica came to where it is by state transfer, without having executed all that lies below.
fn has_fetched(replica: &ReplicaState) -> bool {
    let mut slots = Slot::GENESIS.until(replica.last_executed);
    slots.any(|slot| replica.executed[slot.index()].is_none())
}

/// Says again what execution does: a request counts unless it or a later one of its client came before.
fn fetched_state(model: &Pbft, state: &State) -> bool {
    let decided = |slot: Slot| {
        let mut values = model.honest_states(state).map(|one| one.executed[slot.index()]);
        values.find(|value| value.is_some())
    };
    model.honest_states(state).filter(|one| has_fetched(one)).all(|replica| {
        let mut made = StateDigest::default();
        let mut last = [0; Value::MAX_CLIENTS as usize + 1];
        for slot in Slot::GENESIS.until(replica.last_executed) {
            let Some(value) = decided(slot) else { return false };
            let Some(client) = value.client() else { continue };
            let last = &mut last[usize::from(client)];
            let timestamp = |one: Value| model.config().timestamp(one);
            if *last < timestamp(value) {
                *last = timestamp(value);
                made.applied.push(value);
                let own =
                    (1..=model.config().requests_each()).map(|one| Value::numbered(client, one));
                own.filter(|one| timestamp(*one) <= *last).for_each(|one| made.served.insert(one));
            }
        }
        replica.digest() == made
    })
}

/// State transfer and restarts included. Of what all have executed the reduction may have forgotten who sent COMMIT.
fn votes_kept(model: &Pbft, state: &State) -> bool {
    let all_executed = |slot| model.honest_states(state).all(|one| one.last_executed >= slot);
    model.honest_states(state).all(|replica| {
        replica.low_water_mark.until(model.config().last_slot()).all(|slot| {
            let at = slot.index();
            let voted = replica.sent.prepares[replica.view.index()][at];
            let accepted = replica.accepted[at];
            let in_view = if accepted.is_none() { ValueSet::EMPTY } else { ValueSet::of(accepted) };
            let has_accepted = !replica.active || voted == in_view;
            let mut views = model.views().rev();
            let last = views.find(|view| !replica.sent.commits[view.index()][at].is_empty());
            let has_certificate = last
                .is_none_or(|last| replica.certificates[at].is_some_and(|held| held.view >= last));
            has_accepted && (has_certificate || all_executed(slot))
        })
    })
}

/// In terms of what is left to see: as long as the NEW-VIEW of a view may still be formed, no reduction has forgotten
/// who asked for it.
fn no_view_skipped(model: &Pbft, state: &State) -> bool {
    let highest = model.honest_states(state).map(|replica| replica.view).max().unwrap_or_default();
    (1..=highest.0).map(View).all(|view| {
        let asked = |id| {
            let decided = state.replica(id).sent.view_changes[view.index()];
            decided.or(state.sent(id).view_changes[view.index()]).is_some()
        };
        !model.is_open(state, view) || model.honest().any(asked)
    })
}
