//! The third reduction: what no rule will ever read again is forgotten.
//!
//! The network never forgets, but much of what it holds loses its readers. Each case below says who the readers are
//! and why there are none left. States that differ in such things only have the same future, so they are explored
//! once. The arguments are about these rules: with one of them broken they may fail.
//!
//! Properties read the network too. Each fact is dropped by a step that adds nothing to what its properties compare
//! it with, so that they were evaluated on all of it one state earlier.

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, MAX_VIEWS, Slot, View};
use crate::state::{State, ViewChange, Viewer};
use crate::value::ValueSet;

impl Pbft {
    /// Forgets what is dead in a state.
    pub(crate) fn forget_dead(&self, state: &mut State) {
        for view in self.views() {
            self.forget_view_changes(state, view);
            self.forget_new_view(state, view);
            self.forget_prepares(state, view);
        }
        self.slots().for_each(|slot| self.forget_commits(state, slot));
    }

    /// Forgets what a step makes dead where nothing was before. What is dead depends on who is in which view, has executed
    /// what, and has sent which COMMIT.
    pub(crate) fn forget_newly_dead(&self, action: &Action, state: &mut State) {
        match action {
            Action::PrePrepare { .. } | Action::Prepare { .. } | Action::Stabilise { .. } => {}
            Action::Commit { slot, .. } => self.forget_commits(state, *slot),
            Action::Execute { .. } | Action::StateTransfer { .. } => {
                self.slots().for_each(|slot| self.forget_commits(state, slot));
            }
            Action::StartViewChange { .. }
            | Action::NewView { .. }
            | Action::EnterView { .. }
            | Action::Flush { .. }
            | Action::Restart { .. } => self.forget_dead(state),
        }
    }

    /// Whether a NEW-VIEW for the view may still be formed: its primary has not entered the view, nor gone past it. A
    /// Byzantine primary may form another one as long as somebody may accept it.
    pub(crate) fn is_open(&self, state: &State, view: View) -> bool {
        let primary = self.primary(view);
        if self.is_byzantine(primary) {
            self.honest().any(|id| state.replica(id).may_enter(view))
        } else {
            state.replica(primary).may_enter(view)
        }
    }

    /// VIEW-CHANGEs are read by whoever forms the NEW-VIEW, and, as to their existence, by the join rule of replicas that
    /// are two views or more behind.
    fn forget_view_changes(&self, state: &mut State, view: View) {
        if self.is_open(state, view) {
            return;
        }
        let far_behind = self.honest().any(|id| state.replica(id).view.0 + 1 < view.0);
        for replica in &mut state.replicas {
            let sent = &mut replica.sent.view_changes[view.index()];
            if far_behind {
                *sent = sent.map(|_| ViewChange::default());
            } else {
                *sent = None;
            }
        }
    }

    /// A NEW-VIEW is read by those who may enter its view.
    fn forget_new_view(&self, state: &mut State, view: View) {
        if self.honest().any(|id| state.replica(id).may_enter(view)) {
            return;
        }
        for replica in &mut state.replicas {
            replica.sent.new_views[view.index()] = None;
        }
    }

    /// PRE-PREPAREs and PREPAREs are read by replicas that are in the view or may enter it, and by the Byzantine replica
    /// when it assembles certificates for a VIEW-CHANGE.
    fn forget_prepares(&self, state: &mut State, view: View) {
        let in_view = self.honest().any(|id| state.replica(id).view <= view);
        let later = (view.0 + 1..=self.config.max_view().0).map(View);
        let claimed = self.config.byzantine_count() > 0
            && later.into_iter().any(|later| self.is_open(state, later));
        if in_view || claimed {
            return;
        }
        for replica in &mut state.replicas {
            replica.sent.prepares[view.index()] = [ValueSet::EMPTY; MAX_SLOTS];
        }
    }

    /// COMMITs are read as certificates only, so those that never made one in a view that everybody has left are dead.
    /// And they are read by those who have not executed the slot: when all have, the property `committed-survives` is
    /// the only reader left. To it, the first view with a certificate says everything: a certificate for another
    /// value in a later view would need that value to prepare there, which violates the property already. So later
    /// views are forgotten, and in the first everybody is taken to have sent COMMIT.
    fn forget_commits(&self, state: &mut State, slot: Slot) {
        let views = self.views_with_commits(state, Viewer::Network, slot);
        if views == 0 {
            return;
        }
        let all_executed = self.honest().all(|id| state.replica(id).last_executed >= slot);
        let mut settled = false;
        for view in self.views().filter(|view| views & (1 << view.0) != 0) {
            let certified = self.certified_values(state, Viewer::Network, view, slot);
            let all_left = self.honest().all(|id| state.replica(id).view > view);
            let kept = if settled || (certified.is_empty() && all_left) {
                ValueSet::EMPTY
            } else if all_executed && !certified.is_empty() {
                settled = true;
                certified
            } else {
                continue;
            };
            for id in self.honest() {
                let replica = &mut state.replicas[id.index()];
                replica.sent.commits[view.index()][slot.index()] = kept;
            }
        }
    }
}

impl crate::ReplicaState {
    /// Whether the replica may yet enter the view.
    pub(crate) fn may_enter(&self, view: View) -> bool {
        debug_assert!(view.index() < MAX_VIEWS);
        self.view < view || (self.view == view && !self.active)
    }
}
