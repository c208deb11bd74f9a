//! What shows that the Byzantine replicas used a power, and that it mattered: without it the step would not be there, or
//! another replica would not be where it is.
//!
//! The properties hold all the more with a weaker adversary. So each of its powers has an event or a witness here that is
//! demanded where the bounds are large enough, and that is lacking where the power is.
//!
//! Two powers change no step of the correct protocol, so nothing here needs them. A Byzantine CHECKPOINT for another digest
//! than the honest ones' is one of f, where q are needed. And batches that the Byzantine replicas withhold are kept by f+1
//! others.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{ReplicaId, Slot, View};
use crate::progress;
use crate::state::{NewView, ReplicaState, State, ViewChange, Viewer};
use crate::value::Value;

/// The view of a NEW-VIEW that is formed, or sent by a Byzantine primary, and what it says.
fn begins(model: &Pbft, state: &State, action: &Action) -> Option<(View, NewView)> {
    match *action {
        Action::NewView { replica, outcome } => Some((state.replica(replica).view, outcome)),
        Action::EnterView { view, outcome, .. } => {
            model.is_byzantine(model.primary(view)).then_some((view, outcome))
        }
        _ => None,
    }
}

/// Whether there would be no such NEW-VIEW if the Byzantine replicas sent only VIEW-CHANGEs of this kind.
fn needs_another(
    model: &Pbft,
    state: &State,
    action: &Action,
    is_sent: impl Fn(&[ViewChange], &ViewChange) -> bool,
) -> bool {
    let Some((view, outcome)) = begins(model, state, action) else { return false };
    let all = model.byzantine_view_changes(state, view);
    let claims: Vec<_> = all.iter().filter(|one| is_sent(&all, one)).copied().collect();
    // Where they are of this kind anyway, nothing is needed.
    claims.len() < all.len() && !model.outcomes_with(state, view, &claims).contains(&outcome)
}

/// Whether V needs a VIEW-CHANGE of a Byzantine replica.
pub(crate) fn needs_a_view_change(model: &Pbft, state: &State, action: &Action) -> bool {
    needs_another(model, state, action, |_, _| false)
}

/// Whether it needs one with a certificate that no honest VIEW-CHANGE in V shows.
pub(crate) fn needs_a_certificate(model: &Pbft, state: &State, action: &Action) -> bool {
    needs_another(model, state, action, |_, claim| claim.prepared.iter().all(Option::is_none))
}

/// Whether it needs one that leaves a certificate out.
pub(crate) fn needs_an_omission(model: &Pbft, state: &State, action: &Action) -> bool {
    needs_another(model, state, action, |all, claim| {
        let same = |other: &&ViewChange| other.low_water_mark == claim.low_water_mark;
        let mut others = all.iter().filter(same);
        let fuller = |other: &ViewChange| {
            let mut slots = other.prepared.iter().zip(claim.prepared);
            slots.any(|(theirs, own)| theirs.is_some() && own.is_none())
        };
        !others.any(fuller)
    })
}

/// Whether a claim shows a certificate of such a view, among the views of those that may be shown for its slot.
fn shows(all: &[ViewChange], claim: &ViewChange, is: impl Fn(View, &[View]) -> bool) -> bool {
    claim.prepared.iter().enumerate().any(|(at, shown)| {
        let views = all.iter().filter_map(|one| one.prepared[at]).map(|one| one.view);
        let views: Vec<_> = views.collect();
        shown.is_some_and(|shown| is(shown.view, &views))
    })
}

/// Whether it needs one with a certificate of an earlier view, where there is one of a later.
pub(crate) fn needs_a_stale_certificate(model: &Pbft, state: &State, action: &Action) -> bool {
    needs_another(model, state, action, |all, claim| {
        !shows(all, claim, |shown, views| views.iter().any(|other| *other > shown))
    })
}

/// Whether it needs one with the certificate of the latest view, where there is one of an earlier.
pub(crate) fn needs_the_best_certificate(model: &Pbft, state: &State, action: &Action) -> bool {
    needs_another(model, state, action, |all, claim| {
        !shows(all, claim, |shown, views| {
            let is_best = views.iter().all(|other| *other <= shown);
            is_best && views.iter().any(|other| *other < shown)
        })
    })
}

/// Whether it needs one that says nothing of the last stable checkpoint.
pub(crate) fn needs_an_old_checkpoint(model: &Pbft, state: &State, action: &Action) -> bool {
    needs_another(model, state, action, |all, claim| {
        all.iter().all(|other| other.low_water_mark <= claim.low_water_mark)
    })
}

/// Whether it needs one that proves a checkpoint, since no honest VIEW-CHANGE in V does.
pub(crate) fn needs_a_checkpoint_proof(model: &Pbft, state: &State, action: &Action) -> bool {
    needs_another(model, state, action, |_, claim| claim.low_water_mark == Slot::GENESIS)
}

/// Whether a replica in the view may have entered it by this NEW-VIEW: it has voted for what O says above its h.
fn may_have_entered_by(replica: &ReplicaState, view: View, outcome: &NewView) -> bool {
    let mut slots = replica.low_water_mark.max(outcome.min_s).until(outcome.max_s);
    let votes = &replica.sent.prepares[view.index()];
    slots.all(|slot| votes[slot.index()].contains(outcome.order[slot.index()]))
}

/// The honest replicas that entered a view of a Byzantine primary by another NEW-VIEW than the one of this step.
fn entered_otherwise<'a>(
    model: &Pbft,
    state: &'a State,
    action: &Action,
) -> Option<(View, NewView, Vec<&'a ReplicaState>)> {
    let Action::EnterView { view, outcome, .. } = *action else { return None };
    let is_there = |one: &&ReplicaState| one.view == view && one.active;
    let others = model.honest_states(state).filter(is_there);
    let others = others.filter(|one| !may_have_entered_by(one, view, &outcome));
    model.is_byzantine(model.primary(view)).then(|| (view, outcome, others.collect()))
}

/// A backup enters a view with another O than another backup.
pub(crate) fn enters_otherwise(model: &Pbft, state: &State, action: &Action) -> bool {
    entered_otherwise(model, state, action).is_some_and(|(_, _, others)| !others.is_empty())
}

/// And no VIEW-CHANGE of the Byzantine replicas gives both: to the two backups they showed different ones.
pub(crate) fn enters_on_another_claim(model: &Pbft, state: &State, action: &Action) -> bool {
    let Some((view, outcome, others)) = entered_otherwise(model, state, action) else {
        return false;
    };
    if others.is_empty() {
        return false;
    }
    let claims = model.byzantine_view_changes(state, view);
    let given = claims.iter().map(|claim| model.outcomes_with(state, view, &[*claim]));
    let given: Vec<_> = given.filter(|outcomes| outcomes.contains(&outcome)).collect();
    others.iter().any(|other| {
        let by = |one: &NewView| may_have_entered_by(other, view, one);
        !given.iter().any(|outcomes| outcomes.iter().any(by))
    })
}

/// PREPAREs of honest backups for a value.
pub(crate) fn honest_prepares(
    model: &Pbft,
    state: &State,
    viewer: Viewer,
    (view, slot): (View, Slot),
    value: Value,
) -> u8 {
    let votes = |id| state.seen_by(viewer, id).prepares[view.index()][slot.index()];
    let backups = model.honest().filter(|id| *id != model.primary(view));
    backups.filter(|id| votes(*id).contains(value)).count() as u8
}

/// Whether a certificate for what the replica accepted in its view needs the PREPARE of a Byzantine replica.
pub(crate) fn needs_a_prepare(model: &Pbft, state: &State, action: &Action) -> bool {
    let Action::Commit { replica, slot } = *action else { return false };
    let own = state.replica(replica);
    let (viewer, value) = (Viewer::Replica(replica), own.accepted[slot.index()]);
    honest_prepares(model, state, viewer, (own.view, slot), value) < model.quorums().prepares()
}

/// The same, and in an earlier view there was such a certificate, too.
pub(crate) fn needs_a_prepare_again(model: &Pbft, state: &State, action: &Action) -> bool {
    let view = state.replica(action.replica()).view;
    let needed = model.quorums().prepares();
    let needs = |at: (View, Slot), value| {
        honest_prepares(model, state, Viewer::Network, at, value) < needed
    };
    let committed = |id: ReplicaId, (view, slot): (View, Slot)| {
        let mut values = state.sent(id).commits[view.index()][slot.index()].iter();
        values.any(|value| needs((view, slot), value))
    };
    let before = || {
        let views = (0..view.0).map(View).filter(|one| {
            model.honest().any(|id| {
                // What was sent in a view that somebody is still in was not forgotten.
                state.replica(id).view <= *one
            })
        });
        views.flat_map(|view| model.slots().map(move |slot| (view, slot)))
    };
    needs_a_prepare(model, state, action)
        && before().any(|at| model.honest().any(|id| committed(id, at)))
}

/// Whether execution needs the COMMIT of a Byzantine replica.
pub(crate) fn needs_a_commit(model: &Pbft, state: &State, action: &Action) -> bool {
    let Action::Execute { replica, view, value } = *action else { return false };
    let slot = state.replica(replica).last_executed.next();
    let viewer = Viewer::Replica(replica);
    let votes = |id| state.seen_by(viewer, id).commits[view.index()][slot.index()];
    let voters = model.honest().filter(|id| votes(*id).contains(value));
    voters.count() < usize::from(model.quorums().quorum)
}

/// The same, and in an earlier view an honest replica has sent COMMIT for another value.
pub(crate) fn needs_a_commit_against_another(model: &Pbft, state: &State, action: &Action) -> bool {
    let Action::Execute { replica, view, value } = *action else { return false };
    let slot = state.replica(replica).last_executed.next();
    let other = |id: ReplicaId| {
        let earlier = &state.sent(id).commits[..view.index()];
        let mut values = earlier.iter().flat_map(|slots| slots[slot.index()].iter());
        values.any(|one| one != value)
    };
    needs_a_commit(model, state, action) && model.honest().any(other)
}

/// Whether the proof of the checkpoint that a step rests on needs the CHECKPOINT of a Byzantine replica.
pub(crate) fn needs_a_checkpoint(model: &Pbft, state: &State, action: &Action) -> bool {
    let (slot, digest) = match *action {
        Action::Stabilise { replica, slot } => {
            (slot, state.replica(replica).sent.checkpoints[slot.index()])
        }
        Action::StateTransfer { slot, digest, .. } => (slot, Some(digest)),
        _ => return false,
    };
    let sent = |id: &ReplicaId| state.sent(*id).checkpoints[slot.index()] == digest;
    model.honest().filter(sent).count() < usize::from(model.quorums().quorum)
}

/// Whether the replica would not join without the VIEW-CHANGE of a Byzantine replica.
pub(crate) fn needs_a_joiner(model: &Pbft, state: &State, action: &Action) -> bool {
    let Action::StartViewChange { replica, to } = *action else { return false };
    let asks = |id: &ReplicaId| {
        let sent = &state.sent(*id).view_changes[to.index()..];
        *id != replica && sent.iter().any(Option::is_some)
    };
    let asking = model.honest().filter(asks).count();
    to > state.replica(replica).view.next() && asking < usize::from(model.quorums().weak)
}

/// A replica takes a batch that no honest primary has proposed and that it does not have: a Byzantine primary sent it to
/// others only.
pub(crate) fn takes_a_withheld_batch(model: &Pbft, state: &State, action: &Action) -> bool {
    let replica = state.replica(action.replica());
    let is_withheld = |slot: Slot, value: Value| {
        let honest = model.views().filter(|view| !model.is_byzantine(model.primary(*view)));
        let proposed = |view: View| {
            let votes = &state.replica(model.primary(view)).sent.prepares[view.index()];
            votes[slot.index()].contains(value)
        };
        value.is_request()
            && !honest.into_iter().any(proposed)
            && !model.keeps(replica, slot, value)
    };
    match *action {
        Action::Execute { value, .. } => is_withheld(replica.last_executed.next(), value),
        Action::NewView { outcome, .. } | Action::EnterView { outcome, .. } => {
            let mut slots = replica.low_water_mark.max(outcome.min_s).until(outcome.max_s);
            slots.any(|slot| is_withheld(slot, outcome.order[slot.index()]))
        }
        _ => false,
    }
}

/// Two values of a slot that came into one view by PREPAREs of Byzantine backups for both: one has prepared with them, and
/// the other lacks one more.
pub(crate) fn two_values_by_prepares(model: &Pbft, state: &State) -> bool {
    let needed = model.quorums().prepares();
    let split = |view: View, slot: Slot| {
        let backups = model.config().byzantine_count() - 1;
        let near = |value: Value, most: u8| {
            let own = honest_prepares(model, state, Viewer::Network, (view, slot), value);
            let votes = model.prepare_votes(state, Viewer::Network, view, slot).votes(value);
            own < most && own + backups >= most && votes >= most
        };
        model.requests().any(|one| {
            let mut others = model.requests().filter(|other| *other != one);
            near(one, needed) && others.any(|other| near(other, needed - 1))
        })
    };
    let mut views = model.views().filter(|view| model.is_byzantine(model.primary(*view)));
    views.any(|view| model.slots().any(|slot| split(view, slot)))
}

/// Requests are outstanding, and nothing goes on without a vote that a Byzantine replica withholds: with it there would be
/// enough of what the honest replicas repeat.
pub(crate) fn waits_for_a_vote(model: &Pbft, state: &State) -> bool {
    let silent = model.clone().silenced();
    let (quorums, byzantine) = (model.quorums(), model.config().byzantine_count());
    let is_short = |repeated: usize, by: u8, needed: u8| {
        let (most, needed) = (repeated + usize::from(by), usize::from(needed));
        repeated < needed && most >= needed
    };
    let waits = |replica: &ReplicaState, slot: Slot| {
        let (view, value) = (replica.view, replica.accepted[slot.index()]);
        let here = model.honest().filter(|id| silent.repeats_votes(state, *id, view));
        let here: Vec<_> = here.map(|id| (id, state.sent(id))).collect();
        let by = byzantine - u8::from(model.is_byzantine(model.primary(view)));
        let backups = here.iter().filter(|(id, _)| *id != model.primary(view));
        let prepares = backups
            .filter(|(_, sent)| sent.prepares[view.index()][slot.index()].contains(value))
            .count();
        let commits = here
            .iter()
            .filter(|(_, sent)| sent.commits[view.index()][slot.index()].contains(value))
            .count();
        let prepared = replica.certificates[slot.index()].is_some_and(|held| held.view == view);
        let next = replica.last_executed.next() == slot;
        let commits_short = next && commits > 0 && is_short(commits, byzantine, quorums.quorum);
        value.is_some()
            && (commits_short || (!prepared && is_short(prepares, by, quorums.prepares())))
    };
    let waiting = |replica: &ReplicaState| {
        let mut slots = replica.low_water_mark.until(model.config().last_slot());
        replica.active && slots.any(|slot| waits(replica, slot))
    };
    model.honest_states(state).any(waiting) && progress::is_stuck_without_timers(model, state)
}

/// Requests are outstanding, and a Byzantine primary that is silent has proposed a request to another backup only.
pub(crate) fn waits_for_a_primary(model: &Pbft, state: &State) -> bool {
    let proposed = |view: View, slot: Slot| {
        let votes = |id: ReplicaId| state.sent(id).prepares[view.index()][slot.index()];
        model.honest().any(|id| votes(id).iter().any(|value| value.is_request()))
    };
    let waits = |replica: &ReplicaState| {
        let high = model.config().high_water_mark(replica.low_water_mark);
        let mut slots = replica.low_water_mark.until(high);
        let is_free = |slot: &Slot| replica.accepted[slot.index()].is_none();
        replica.active
            && model.is_byzantine(model.primary(replica.view))
            && slots.any(|slot| is_free(&slot) && proposed(replica.view, slot))
    };
    model.honest_states(state).any(waits) && progress::is_stuck_without_timers(model, state)
}
