//! Why a step cannot be taken: the first condition of its rule that is not met.
//!
//! The rules are those of [`pbft_model::rules`], asked about facts that can be read off a replica. Whether the messages
//! are there that a rule demands last is not counted again: a step that the model does not enable, though all that its rule
//! asks of the replica is met, lacks its messages. So nothing here can say that a step is possible, or that it is not.

use serde::Serialize;

use pbft_model::action::Action;
use pbft_model::ids::{ReplicaId, Slot, View};
use pbft_model::rules::{self, Role, Unmet, Verdict, Window};
use pbft_model::state::{Certificate, ReplicaState, State};
use pbft_model::{Config, Pbft};

/// A step that a replica cannot take.
#[derive(Debug, Serialize)]
pub(super) struct Blocked {
    pub(super) replica: u8,
    /// The step.
    pub(super) event: String,
    /// The name of the condition, where the rules have one.
    pub(super) unmet: Option<Unmet>,
    /// The condition in words.
    why: String,
    /// Where the paper has it.
    section: Option<&'static str>,
}

/// What replicas cannot do in a state in which the model enables these steps. Writes and crashes have no conditions.
pub(super) fn blocked(model: &Pbft, state: &State, enabled: &[Action]) -> Vec<Blocked> {
    let mut all = Vec::new();
    for id in model.honest() {
        let one = state.replica(id);
        let role = Role { active: one.active, primary: model.primary(one.view) == id };
        let asked = Asked { model, state, id, one, role, enabled };
        asked.ordering(&mut all);
        asked.votes(&mut all);
        asked.checkpoints(&mut all);
        asked.views(&mut all);
    }
    all
}

struct Asked<'a> {
    model: &'a Pbft,
    state: &'a State,
    id: ReplicaId,
    one: &'a ReplicaState,
    role: Role,
    enabled: &'a [Action],
}

impl Asked<'_> {
    fn config(&self) -> &Config {
        self.model.config()
    }

    fn window(&self) -> Window<Slot> {
        let low = self.one.low_water_mark;
        Window { low, high: self.config().high_water_mark(low) }
    }

    /// Adds a step unless one that matches is enabled.
    fn add(
        &self,
        all: &mut Vec<Blocked>,
        event: String,
        matches: impl Fn(&Action) -> bool,
        verdict: Verdict,
    ) {
        let mut own = self.enabled.iter().filter(|action| action.replica() == self.id);
        if own.any(matches) {
            return;
        }
        let unmet = verdict.err();
        let why = unmet.map_or_else(
            || {
                "what it needs is not there: a message, or a batch that is named by its digest"
                    .into()
            },
            |unmet| unmet.to_string(),
        );
        let section = unmet.map(Unmet::section);
        all.push(Blocked { replica: self.id.0, event, unmet, why, section });
    }

    /// §4.2: PRE-PREPARE, for each request where the primary may order at all.
    fn ordering(&self, all: &mut Vec<Blocked>) {
        let window = self.window();
        let used = self.model.slots().rfind(|slot| self.one.accepted[slot.index()].is_some());
        let slot = used.unwrap_or_default().max(window.low).next();
        if let Err(unmet) = rules::order(self.role, slot, slot, window) {
            let any = |action: &Action| matches!(action, Action::PrePrepare { .. });
            return self.add(all, "PrePrepare".to_owned(), any, Err(unmet));
        }
        for request in self.model.requests() {
            let answered = self.one.served.contains(request);
            let verdict = rules::orderable(answered, self.one.accepted.contains(&request));
            let of = |action: &Action| matches!(action, Action::PrePrepare { value, .. } if *value == request);
            self.add(all, format!("PrePrepare {request} at {slot}"), of, verdict);
        }
    }

    /// §4.2: PREPARE and COMMIT for each slot, execution of the next.
    fn votes(&self, all: &mut Vec<Blocked>) {
        let (one, window) = (self.one, self.window());
        for at in self.model.slots() {
            let value = one.accepted[at.index()];
            let accepted = value.is_some();
            let verdict = rules::accept(self.role, at, window, accepted, false, false);
            let prepare =
                |action: &Action| matches!(action, Action::Prepare { slot, .. } if *slot == at);
            self.add(all, format!("Prepare {at}"), prepare, verdict);
            let certificate = Some(Certificate { view: one.view, value });
            let prepared = one.certificates[at.index()] == certificate;
            let verdict = rules::commit(one.active, accepted, prepared, 1, || 0);
            let commit =
                |action: &Action| matches!(action, Action::Commit { slot, .. } if *slot == at);
            self.add(all, format!("Commit {at}"), commit, verdict);
        }
        let next = one.last_executed.next();
        let verdict = rules::execute(next, next, window, false);
        let execute = |action: &Action| matches!(action, Action::Execute { .. });
        self.add(all, format!("Execute {next}"), execute, verdict);
    }

    /// §4.3: each checkpoint.
    fn checkpoints(&self, all: &mut Vec<Blocked>) {
        let (low, executed) = (self.one.low_water_mark, self.one.last_executed);
        for at in self.model.slots().filter(|slot| self.config().is_checkpoint(*slot)) {
            let own = self.one.sent.checkpoints[at.index()].is_some();
            let verdict = rules::stabilise(at, low, executed, true, own, || false);
            let stable =
                |action: &Action| matches!(action, Action::Stabilise { slot, .. } if *slot == at);
            self.add(all, format!("Stabilise {at}"), stable, verdict);
            let verdict = rules::transfer(at, executed, true, false);
            let fetch = |action: &Action| matches!(action, Action::StateTransfer { slot, .. } if *slot == at);
            self.add(all, format!("StateTransfer {at}"), fetch, verdict);
        }
    }

    /// §4.4: leaving for each later view, beginning the one that it changes to, entering each.
    fn views(&self, all: &mut Vec<Blocked>) {
        let one = self.one;
        for later in self.model.views().filter(|view| *view > one.view) {
            let sent = one.sent.view_changes[later.index()].is_some();
            let verdict = rules::leave(true, sent, later == one.view.next(), || false);
            let leave = |action: &Action| matches!(action, Action::StartViewChange { to, .. } if *to == later);
            self.add(all, format!("StartViewChange to {later}"), leave, verdict);
        }
        if one.view > View(0) {
            let begins = |action: &Action| matches!(action, Action::NewView { .. });
            self.add(all, format!("NewView {}", one.view), begins, self.begins());
        }
        for to in self.model.views().filter(|view| *view > View(0)) {
            let role = Role { active: one.active, primary: self.model.primary(to) == self.id };
            let verdict = rules::enter(to, one.view, role);
            let enters =
                |action: &Action| matches!(action, Action::EnterView { view, .. } if *view == to);
            self.add(all, format!("EnterView {to}"), enters, verdict);
        }
    }

    /// §4.4: the primary begins a view with a V, once it has executed up to min-s.
    fn begins(&self) -> Verdict {
        let asked = self.one.sent.view_changes[self.one.view.index()].is_some();
        rules::begin(self.role, asked)?;
        let outcomes = self.model.new_view_outcomes(self.state, self.one.view);
        // Of several it may take any: it lacks the state for all of them, or something that has no name in the rules.
        let mut reached =
            outcomes.iter().map(|outcome| rules::has_state(self.one.last_executed, outcome.min_s));
        let first = reached.next().unwrap_or(Err(Unmet::NotAQuorum));
        if reached.any(|one| one.is_ok()) { Ok(()) } else { first }
    }
}

#[cfg(test)]
mod tests {
    use stateright::Model;

    use super::*;

    /// PREPAREs of honest backups that match, and those of Byzantine backups, which are there for the asking.
    fn prepares(model: &Pbft, state: &State, id: ReplicaId, slot: Slot) -> u8 {
        let one = state.replica(id);
        let value = one.accepted[slot.index()];
        let said = |voter: ReplicaId| {
            let sent = state.sent(voter).prepares[one.view.index()][slot.index()];
            model.is_byzantine(voter) || sent.contains(value)
        };
        let all = (0..model.config().replicas()).map(ReplicaId);
        all.filter(|voter| *voter != model.primary(one.view) && said(*voter)).count() as u8
    }

    /// Every step is enabled or has a reason, and none has both; PREPAREs are missing exactly where too few were sent.
    #[test]
    fn what_is_blocked_is_what_is_not_enabled() {
        let config: Config = "n4-b0-v1-s1-d2-k1".parse().expect("a configuration");
        let model = Pbft::new(config);
        let (mut open, mut seen) = (model.init_states(), std::collections::HashSet::new());
        let mut named = std::collections::BTreeSet::new();
        while seen.len() < 4000 {
            // Here and there, so that near and far states are among them.
            let state = open.swap_remove(seen.len() * 7919 % open.len());
            if !seen.insert(state.clone()) {
                continue;
            }
            let mut enabled = Vec::new();
            model.actions(&state, &mut enabled);
            let blocked = blocked(&model, &state, &enabled);
            for id in model.honest() {
                let here = |event: &str| {
                    blocked.iter().find(|one| one.replica == id.0 && one.event == event)
                };
                let commit = Action::Commit { replica: id, slot: Slot(1) };
                let reason = here("Commit slot 1");
                assert_eq!(reason.is_none(), enabled.contains(&commit), "{id}: {state:?}");
                let unmet = reason.and_then(|one| one.unmet);
                let few = prepares(&model, &state, id, Slot(1)) < config.quorums().prepares();
                assert!(unmet != Some(Unmet::PreparesMissing) || few, "{id}: {state:?}");
                let leave = Action::StartViewChange { replica: id, to: View(1) };
                let later = state.replica(id).view < View(1);
                assert_eq!(
                    here("StartViewChange to view 1").is_none() && later,
                    enabled.contains(&leave)
                );
            }
            named.extend(blocked.iter().filter_map(|one| one.unmet));
            let next = enabled.iter().filter_map(|action| model.next_state(&state, *action));
            open.extend(next);
        }
        for unmet in [
            Unmet::PreparesMissing,
            Unmet::CommitsMissing,
            Unmet::CheckpointsMissing,
            Unmet::Inactive,
            Unmet::NotAQuorum,
            Unmet::PreparedBefore,
        ] {
            assert!(named.contains(&unmet), "{unmet:?} among {named:?}");
        }
    }
}
