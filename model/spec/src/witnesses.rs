//! What must be reachable: a model in which nothing happens satisfies every safety property.
//!
//! Some of these are facts about a path. They are recognised in states that only such a path leads to, so that
//! no history variable multiplies the states.

use crate::Pbft;
use crate::bounds::{
    always, byzantine_backs, byzantine_leads, changes_view_among_byzantines, has_byzantine,
    has_checkpoints, has_gap, has_two_view_changes, has_view_changes, honest_leads, views,
};
use crate::config::Config;
use crate::ids::{MAX_VIEWS, ReplicaId, Slot, View};
use crate::state::{State, Viewer};
use crate::value::Value;
use crate::{powers, progress};

/// Something that some reachable state must show.
#[derive(Clone, Copy, Debug)]
pub struct Sometimes {
    /// Name, as it appears in reports.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub statement: &'static str,
    /// Whether a configuration is large enough for it.
    pub applicable: fn(&Config) -> bool,
    /// Whether a state shows it.
    pub shown: fn(&Pbft, &State) -> bool,
}

/// All witnesses.
pub const WITNESSES: [Sometimes; 15] = [
    Sometimes {
        name: "executed",
        statement: "a request is executed",
        applicable: always,
        shown: |model, state| {
            model.honest_states(state).any(|one| one.last_executed > Slot::GENESIS)
        },
    },
    Sometimes {
        name: "executed-from-certificate",
        statement: "a value that prepared in one view commits only in a later one, and is executed",
        applicable: has_view_changes,
        shown: executed_from_certificate,
    },
    Sometimes {
        name: "null-batch-executed",
        statement: "a null batch fills a gap and is executed",
        applicable: has_gap,
        shown: |model, state| {
            model.honest_states(state).any(|one| one.executed.contains(&Value::NULL))
        },
    },
    Sometimes {
        name: "duplicate-order-executed",
        statement: "a request is ordered at two slots, and both are executed",
        applicable: |config| {
            config.last_slot() >= Slot(2) && config.window() >= 2 && byzantine_leads(config)
        },
        shown: |model, state| {
            model.honest_states(state).any(|one| {
                let [first, second, ..] = one.executed;
                first.is_request() && first == second
            })
        },
    },
    Sometimes {
        name: "stable-checkpoint",
        statement: "a checkpoint becomes stable",
        applicable: has_checkpoints,
        shown: |model, state| {
            model.honest_states(state).any(|one| one.low_water_mark > Slot::GENESIS)
        },
    },
    Sometimes {
        name: "state-transfer",
        statement: "a replica reaches a slot by state transfer",
        applicable: has_checkpoints,
        shown: |model, state| {
            model.honest_states(state).any(|one| {
                Slot::GENESIS
                    .until(one.last_executed)
                    .any(|slot| one.executed[slot.index()].is_none())
            })
        },
    },
    Sometimes {
        name: "equivocation-healed",
        statement: "a faulty primary splits the backups at a slot, and the slot is executed",
        applicable: |config| config.requests() >= 2 && byzantine_leads(config),
        shown: equivocation_healed,
    },
    Sometimes {
        name: "view-1-entered",
        statement: "a replica is active in view 1",
        applicable: has_view_changes,
        shown: |model, state| entered(model, state, View(1)),
    },
    Sometimes {
        name: "view-2-entered",
        statement: "a replica is active in view 2",
        applicable: has_two_view_changes,
        shown: |model, state| entered(model, state, View(2)),
    },
    Sometimes {
        name: "last-view-entered",
        statement: "a replica is active in the highest view of the configuration",
        applicable: always,
        shown: |model, state| entered(model, state, model.config().max_view()),
    },
    Sometimes {
        name: "join-jump",
        statement: "a replica joins a view change more than one view ahead",
        applicable: has_two_view_changes,
        shown: join_jump,
    },
    Sometimes {
        name: "two-values-by-prepares",
        statement: "Byzantine backups send PREPARE for two values of a slot: one prepares, the other lacks one vote",
        applicable: |config| {
            let split = |view| !honest_leads(config, view) && byzantine_backs(config, view);
            config.requests() >= 2 && views(config).any(split)
        },
        shown: powers::two_values_by_prepares,
    },
    Sometimes {
        name: "waits-for-a-silent-vote",
        statement: "requests are outstanding, and nothing goes on without the vote of a silent replica",
        applicable: |config| {
            has_byzantine(config) && (byzantine_leads(config) || has_view_changes(config))
        },
        shown: powers::waits_for_a_vote,
    },
    Sometimes {
        name: "waits-for-a-silent-primary",
        statement: "requests are outstanding, and a silent primary has proposed a request to some backups only",
        applicable: byzantine_leads,
        shown: powers::waits_for_a_primary,
    },
    Sometimes {
        name: "view-change-before-silence",
        statement: "what the next primary may come to depends on what silent replicas have sent before",
        applicable: changes_view_among_byzantines,
        shown: progress::depends_on_what_was_sent,
    },
];

/// The names of the witnesses that a state shows, among those that the configuration is large enough for.
#[must_use]
pub fn shown(model: &Pbft, state: &State) -> Vec<&'static str> {
    WITNESSES
        .iter()
        .filter(|one| (one.applicable)(model.config()) && (one.shown)(model, state))
        .map(|one| one.name)
        .collect()
}

fn entered(model: &Pbft, state: &State, view: View) -> bool {
    model.honest().any(|id| {
        let replica = state.replica(id);
        replica.active && replica.view == view
    })
}

/// Executed, committed in a later view only, and some honest replica committed to it (so it had prepared) in an
/// earlier view: then the certificate carried it.
fn executed_from_certificate(model: &Pbft, state: &State) -> bool {
    model.slots().any(|slot| {
        let values = model.honest().map(|id| state.replica(id).executed[slot.index()]);
        values.filter(|value| value.is_request()).any(|value| {
            let certified = |view: View| {
                model.certified_values(state, Viewer::Network, view, slot).contains(value)
            };
            let prepared = |view: View| {
                let sent = |id: ReplicaId| state.sent(id).commits[view.index()][slot.index()];
                model.honest().any(|id| sent(id).contains(value))
            };
            let first = (0..=model.config().max_view().0).map(View).find(|view| certified(*view));
            first.is_some_and(|first| (0..first.0).map(View).any(prepared))
        })
    })
}

/// Different PREPAREs of honest backups in one view that the Byzantine replica leads, and the slot executed.
fn equivocation_healed(model: &Pbft, state: &State) -> bool {
    model.slots().any(|slot| {
        let executed = model.honest().any(|id| state.replica(id).executed[slot.index()].is_some());
        executed
            && (0..MAX_VIEWS).any(|view| {
                let faulty = model.is_byzantine(model.primary(View(view as u8)));
                let sent = |id| state.sent(id).prepares[view][slot.index()];
                let mut votes = model.honest().map(sent).filter(|values| !values.is_empty());
                let first = votes.next();
                faulty && votes.any(|other| Some(other) != first)
            })
    })
}

/// A VIEW-CHANGE for a view without one for the view before, which nobody can have entered: its NEW-VIEW was not sent,
/// and a Byzantine primary cannot have formed one. (While a NEW-VIEW may still be formed, no reduction has forgotten
/// the VIEW-CHANGEs for it.)
fn join_jump(model: &Pbft, state: &State) -> bool {
    (2..=model.config().max_view().0).any(|to| {
        let before = View(to - 1);
        let asked = |id| state.replica(id).sent.view_changes[before.index()].is_some();
        let asking = model.honest().filter(|id| asked(*id)).count() as u8;
        let formed = model.is_byzantine(model.primary(before))
            && asking + model.byzantine_votes() >= model.config().quorums().quorum;
        let jumped = |id| {
            let replica = state.replica(id);
            let sent = replica.sent.view_changes[usize::from(to)].is_some();
            sent && replica.view == View(to) && !replica.active && !asked(id)
        };
        !formed && model.is_open(state, before) && model.honest().any(jumped)
    })
}
