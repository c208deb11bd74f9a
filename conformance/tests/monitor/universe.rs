//! Every action that there could be.

use crate::Check;
use pbft_model::{Action, NewView, ReplicaId, Slot, State};

impl Check {
    /// Every action that there could be, whether it is enabled or not.
    pub(crate) fn universe(&self, state: &State, id: ReplicaId) -> Vec<Action> {
        let replica = id;
        let mut actions = Vec::new();
        for slot in self.slots() {
            actions.push(Action::Commit { replica, slot });
            actions.push(Action::Stabilise { replica, slot });
            let states =
                self.model.honest().filter_map(|o| state.sent(o).checkpoints[slot.index()]);
            let states = states.chain([state.replica(id).digest()]);
            actions.extend(states.map(|digest| Action::StateTransfer { replica, slot, digest }));
            for value in self.values() {
                actions.push(Action::PrePrepare { replica, slot, value });
                actions.push(Action::Prepare { replica, slot, value });
            }
        }
        let orders = self.orders();
        for view in self.views() {
            actions.push(Action::StartViewChange { replica, to: view });
            actions.extend(self.values().map(|value| Action::Execute { replica, view, value }));
            // What some V gives is not allowed where the state of min-s is missing.
            let given = self.model.new_view_outcomes(state, view);
            for outcome in orders.iter().chain(&given) {
                actions.push(Action::EnterView { replica, view, outcome: *outcome });
            }
            if view == state.replica(id).view {
                let begin = |outcome| Action::NewView { replica, outcome };
                actions.extend(given.into_iter().map(begin));
            }
        }
        actions.extend(orders.into_iter().map(|outcome| Action::NewView { replica, outcome }));
        actions
    }

    /// Every O above every checkpoint. An empty O does not show what it is above, V does; so where there are checkpoints
    /// it is no other message than the one that the model has.
    pub(crate) fn orders(&self) -> Vec<NewView> {
        let mut orders = Vec::new();
        let lows = self.slots().filter(|slot| self.config.is_checkpoint(*slot));
        for min_s in [Slot::GENESIS].into_iter().chain(lows) {
            let mut longest = vec![NewView { min_s, max_s: min_s, ..NewView::default() }];
            for slot in min_s.until(self.config.last_slot()) {
                orders.extend(longest.iter().copied());
                longest = longest
                    .iter()
                    .flat_map(|order| {
                        self.values().map(move |value| {
                            let mut longer = *order;
                            longer.max_s = slot;
                            longer.order[slot.index()] = value;
                            longer
                        })
                    })
                    .collect();
            }
            orders.extend(longest);
        }
        let checkpoints = self.config.checkpoint_interval().is_some();
        orders.retain(|order| order.max_s > order.min_s || !checkpoints);
        orders
    }

    /// Whether the model has the step under another name: executing on the certificate of an earlier view.
    pub(crate) fn is_other_name(&self, state: &State, action: &Action) -> bool {
        let Action::Execute { replica, view, value } = *action else { return false };
        let slot = state.replica(replica).last_executed.next();
        if slot > self.config.last_slot() {
            return false;
        }
        let named =
            |sent: &pbft_model::Sent| sent.commits[view.index()][slot.index()].contains(value);
        self.voters(state, named, None).len() >= usize::from(self.config.quorums().quorum)
            && self.model.honest().any(|id| named(state.sent(id)))
    }
}
