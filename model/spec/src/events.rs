//! Every kind of step in every role must be taken somewhere: a model in which, say, nobody ever sends COMMIT satisfies
//! every safety property.
//!
//! What [`crate::witnesses`] are to states, these are to steps: action by action, who takes it, on whose messages, and in what
//! phase. An event that no step of an exhaustive search shows makes the run inconclusive.

use crate::Pbft;
use crate::action::Action;
use crate::bounds::{
    always, byzantine_backs, byzantine_leads, byzantine_leads_later, changes_view_among_byzantines,
    has_byzantine, has_checkpoints, has_duplicates, has_gap, has_honest_later_view,
    has_honest_view, has_slots_above_a_checkpoint, has_two_certificates, has_two_view_changes,
    has_view_changes, honest_leads, views, views_before_last,
};
use crate::config::Config;
use crate::ids::{Slot, View};
use crate::powers;
use crate::state::State;
use crate::value::Value;

/// Something that a step of the search must show.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Name, as it appears in reports.
    pub name: &'static str,
    /// Whether a configuration is large enough for it.
    pub applicable: fn(&Config) -> bool,
    /// Whether an action that is enabled in a state shows it.
    pub shown: fn(&Pbft, &State, &Action) -> bool,
}

const fn event(
    name: &'static str,
    applicable: fn(&Config) -> bool,
    shown: fn(&Pbft, &State, &Action) -> bool,
) -> Event {
    Event { name, applicable, shown }
}

/// All events.
pub const EVENTS: [Event; 54] = [
    event(
        "pre-prepare-in-view-0",
        |config| honest_leads(config, 0),
        |_, state, action| {
            matches!(action, Action::PrePrepare { .. }) && actor(state, action).view == View(0)
        },
    ),
    event("pre-prepare-in-later-view", has_honest_later_view, |_, state, action| {
        matches!(action, Action::PrePrepare { .. }) && actor(state, action).view > View(0)
    }),
    event("prepare-for-honest-primary", has_honest_view, |model, state, action| {
        matches!(action, Action::Prepare { .. }) && !led_by_byzantine(model, state, action)
    }),
    event("prepare-for-byzantine-primary", byzantine_leads, |model, state, action| {
        matches!(action, Action::Prepare { .. }) && led_by_byzantine(model, state, action)
    }),
    event(
        "prepare-another-value-than-another-backup",
        |config| byzantine_leads(config) && config.requests() >= 2,
        prepares_otherwise,
    ),
    event(
        "prepare-another-value-than-another-backup-in-later-view",
        |config| byzantine_leads_later(config) && config.requests() >= 2,
        |model, state, action| {
            actor(state, action).view > View(0) && prepares_otherwise(model, state, action)
        },
    ),
    event("commit-by-primary", has_honest_view, |model, state, action| {
        matches!(action, Action::Commit { .. }) && is_primary(model, state, action)
    }),
    event("commit-by-backup", always, |model, state, action| {
        matches!(action, Action::Commit { .. }) && !is_primary(model, state, action)
    }),
    event("commit-in-later-view", has_view_changes, |_, state, action| {
        matches!(action, Action::Commit { .. }) && actor(state, action).view > View(0)
    }),
    event("commit-on-honest-prepares", always, |model, state, action| {
        matches!(action, Action::Commit { .. }) && !powers::needs_a_prepare(model, state, action)
    }),
    event(
        "commit-on-a-byzantine-prepare",
        |config| views(config).any(|view| byzantine_backs(config, view)),
        powers::needs_a_prepare,
    ),
    event(
        "commit-on-a-byzantine-prepare-in-a-second-view",
        |config| views(config).filter(|view| byzantine_backs(config, *view)).count() >= 2,
        powers::needs_a_prepare_again,
    ),
    event("execute-by-primary", has_honest_view, |model, state, action| {
        matches!(action, Action::Execute { .. }) && is_primary(model, state, action)
    }),
    event("execute-by-backup", always, |model, state, action| {
        matches!(action, Action::Execute { .. }) && !is_primary(model, state, action)
    }),
    event("execute-while-changing-view", has_view_changes, |_, state, action| {
        matches!(action, Action::Execute { .. }) && !actor(state, action).active
    }),
    event("execute-what-an-earlier-view-committed", has_view_changes, |_, state, action| {
        let Action::Execute { view, .. } = *action else { return false };
        view < actor(state, action).view
    }),
    event("execute-on-honest-commits", always, |model, state, action| {
        matches!(action, Action::Execute { .. }) && !powers::needs_a_commit(model, state, action)
    }),
    event("execute-on-a-byzantine-commit", has_byzantine, powers::needs_a_commit),
    event(
        "execute-on-a-byzantine-commit-against-another",
        |config| changes_view_among_byzantines(config) && config.requests() >= 2,
        powers::needs_a_commit_against_another,
    ),
    event("execute-null", has_gap, |_, _, action| {
        matches!(action, Action::Execute { value: Value::NULL, .. })
    }),
    event("execute-what-was-answered", has_duplicates, |_, state, action| {
        let Action::Execute { value, .. } = *action else { return false };
        actor(state, action).served.contains(value)
    }),
    event(
        "execute-what-a-later-request-made-obsolete",
        |config| config.timestamps() > 1 && config.last_slot() >= Slot(2) && config.window() >= 2,
        |_, state, action| {
            let Action::Execute { value, .. } = *action else { return false };
            was_never_applied(value, actor(state, action))
        },
    ),
    event(
        "execute-another-operation-of-an-answered-timestamp",
        |config| config.operations() > 1 && config.last_slot() >= Slot(2) && config.window() >= 2,
        |_, state, action| {
            let Action::Execute { value, .. } = *action else { return false };
            was_never_applied(value, actor(state, action))
        },
    ),
    event(
        "stabilise-by-primary",
        |config| has_checkpoints(config) && has_honest_view(config),
        |model, state, action| {
            matches!(action, Action::Stabilise { .. }) && is_primary(model, state, action)
        },
    ),
    event("stabilise-by-backup", has_checkpoints, |model, state, action| {
        matches!(action, Action::Stabilise { .. }) && !is_primary(model, state, action)
    }),
    event(
        "stabilise-on-a-byzantine-checkpoint",
        |config| has_checkpoints(config) && has_byzantine(config),
        |model, state, action| {
            matches!(action, Action::Stabilise { .. })
                && powers::needs_a_checkpoint(model, state, action)
        },
    ),
    event(
        "fetch-state-on-a-byzantine-checkpoint",
        |config| has_checkpoints(config) && has_byzantine(config),
        |model, state, action| {
            matches!(action, Action::StateTransfer { .. })
                && powers::needs_a_checkpoint(model, state, action)
        },
    ),
    event("fetch-state-while-active", has_checkpoints, |_, state, action| {
        matches!(action, Action::StateTransfer { .. }) && actor(state, action).active
    }),
    event(
        "fetch-state-below-an-accepted-slot",
        has_slots_above_a_checkpoint,
        |_, state, action| {
            let Action::StateTransfer { slot, .. } = *action else { return false };
            actor(state, action).accepted[slot.index() + 1..].iter().any(|value| value.is_some())
        },
    ),
    event(
        "fetch-state-while-changing-view",
        |config| has_checkpoints(config) && has_view_changes(config),
        |_, state, action| {
            matches!(action, Action::StateTransfer { .. }) && !actor(state, action).active
        },
    ),
    event(
        "view-change-by-primary",
        |config| views_before_last(config).any(|view| honest_leads(config, view)),
        |model, state, action| leaves_view(action) && is_primary(model, state, action),
    ),
    event("view-change-by-backup", has_view_changes, |model, state, action| {
        leaves_view(action) && !is_primary(model, state, action)
    }),
    event("view-change-during-view-change", has_two_view_changes, |_, state, action| {
        leaves_view(action) && !actor(state, action).active
    }),
    event("view-change-by-joining", has_two_view_changes, |_, state, action| {
        let Action::StartViewChange { to, .. } = *action else { return false };
        to > actor(state, action).view.next()
    }),
    event(
        "view-change-by-joining-a-byzantine",
        |config| has_two_view_changes(config) && has_byzantine(config),
        powers::needs_a_joiner,
    ),
    event("view-change-with-a-certificate", has_view_changes, |_, state, action| {
        leaves_view(action) && actor(state, action).certificates.iter().any(Option::is_some)
    }),
    event(
        "view-change-with-a-checkpoint",
        |config| has_checkpoints(config) && has_view_changes(config),
        |_, state, action| {
            leaves_view(action) && actor(state, action).low_water_mark > Slot::GENESIS
        },
    ),
    event(
        "new-view-with-nothing",
        has_honest_later_view,
        |_, _, action| matches!(action, Action::NewView { outcome, .. } if outcome.max_s == Slot::GENESIS),
    ),
    event("new-view-with-a-certificate", has_honest_later_view, |_, _, action| {
        let Action::NewView { outcome, .. } = action else { return false };
        outcome.order.iter().any(|value| value.is_request())
    }),
    event(
        "new-view-above-a-checkpoint",
        |config| has_checkpoints(config) && has_honest_later_view(config),
        |_, _, action| matches!(action, Action::NewView { outcome, .. } if outcome.min_s > Slot::GENESIS),
    ),
    event(
        "new-view-on-a-byzantine-view-change",
        |config| has_byzantine(config) && has_honest_later_view(config),
        |model, state, action| {
            matches!(action, Action::NewView { .. })
                && powers::needs_a_view_change(model, state, action)
        },
    ),
    event(
        "new-view-on-a-certificate-that-only-a-byzantine-shows",
        changes_view_among_byzantines,
        powers::needs_a_certificate,
    ),
    event(
        "new-view-on-a-certificate-that-a-byzantine-omits",
        changes_view_among_byzantines,
        powers::needs_an_omission,
    ),
    event(
        "new-view-on-a-stale-certificate-of-a-byzantine",
        has_two_certificates,
        powers::needs_a_stale_certificate,
    ),
    event(
        "new-view-on-the-better-of-two-certificates-of-a-byzantine",
        has_two_certificates,
        powers::needs_the_best_certificate,
    ),
    event(
        "new-view-on-an-old-checkpoint-of-a-byzantine",
        |config| has_checkpoints(config) && changes_view_among_byzantines(config),
        powers::needs_an_old_checkpoint,
    ),
    event(
        "new-view-on-a-checkpoint-that-only-a-byzantine-proves",
        |config| has_checkpoints(config) && changes_view_among_byzantines(config),
        powers::needs_a_checkpoint_proof,
    ),
    event("enter-view-of-honest-primary", has_honest_later_view, |model, _, action| {
        let Action::EnterView { view, .. } = *action else { return false };
        !model.is_byzantine(model.primary(view))
    }),
    event("enter-view-of-byzantine-primary", byzantine_leads_later, |model, _, action| {
        let Action::EnterView { view, .. } = *action else { return false };
        model.is_byzantine(model.primary(view))
    }),
    event(
        "enter-view-by-another-new-view-than-another-backup",
        byzantine_leads_later,
        powers::enters_otherwise,
    ),
    event(
        "enter-view-by-another-view-change-than-another-backup",
        byzantine_leads_later,
        powers::enters_on_another_claim,
    ),
    event(
        "take-a-batch-that-a-byzantine-primary-withheld",
        byzantine_leads,
        powers::takes_a_withheld_batch,
    ),
    event("enter-view-without-having-asked", has_view_changes, |_, state, action| {
        let Action::EnterView { view, .. } = *action else { return false };
        view > actor(state, action).view
    }),
    event("restart-between-step-and-write", Config::restarts, |_, state, action| {
        let disk = state.disks.get(action.replica().index());
        matches!(action, Action::Restart { .. }) && disk != Some(actor(state, action))
    }),
];

/// The replica that takes the step, before it.
fn actor<'a>(state: &'a State, action: &Action) -> &'a crate::ReplicaState {
    state.replica(action.replica())
}

fn was_never_applied(answered: Value, actor: &crate::ReplicaState) -> bool {
    actor.served.contains(answered) && actor.applied.iter().all(|applied| applied != answered)
}

fn is_primary(model: &Pbft, state: &State, action: &Action) -> bool {
    model.primary(actor(state, action).view) == action.replica()
}

fn led_by_byzantine(model: &Pbft, state: &State, action: &Action) -> bool {
    model.is_byzantine(model.primary(actor(state, action).view))
}

const fn leaves_view(action: &Action) -> bool {
    matches!(action, Action::StartViewChange { .. })
}

fn prepares_otherwise(model: &Pbft, state: &State, action: &Action) -> bool {
    let Action::Prepare { replica, slot, value } = *action else { return false };
    let view = state.replica(replica).view;
    model.honest().any(|other| {
        let sent = state.sent(other).prepares[view.index()][slot.index()];
        other != replica && !sent.is_empty() && !sent.contains(value)
    })
}
