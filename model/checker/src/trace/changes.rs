//! What a step changes: the replica's own state, and the messages that it sends.

use std::fmt;

use pbft_model::Pbft;
use pbft_model::ids::{MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View};
use pbft_model::state::{ReplicaState, Sent, State};
use pbft_model::value::ValueSet;

/// One thing that differs between two states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The replica that it concerns.
    pub replica: ReplicaId,
    /// Whether it is a message that the replica sends, or else a part of its own state.
    pub sends: bool,
    /// The message, or the part with its values before and after.
    pub text: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sends = if self.sends { "sends " } else { "" };
        write!(f, "{}: {sends}{}", self.replica, self.text)
    }
}

/// What differs between two states, replica by replica.
#[must_use]
pub fn changes(model: &Pbft, before: &State, after: &State) -> Vec<Change> {
    let mut changes = Vec::new();
    for (index, (old, new)) in before.replicas.iter().zip(&after.replicas).enumerate() {
        let replica = ReplicaId(index as u8);
        let mut add = |sends: bool, text| changes.push(Change { replica, sends, text });
        local_changes(old, new, &mut |text| add(false, text));
        messages(model, replica, &old.sent, &new.sent, &mut |text| add(true, text));
    }
    changes
}

/// What changed between two states, one line each.
#[must_use]
pub fn diff(model: &Pbft, before: &State, after: &State) -> Vec<String> {
    changes(model, before, after).iter().map(Change::to_string).collect()
}

fn local_changes(old: &ReplicaState, new: &ReplicaState, add: &mut impl FnMut(String)) {
    if old.view != new.view || old.active != new.active {
        let status = |one: &ReplicaState| if one.active { "active" } else { "changing" };
        add(format!("{} {} → {} {}", old.view, status(old), new.view, status(new)));
    }
    if old.low_water_mark != new.low_water_mark {
        add(format!("h {} → {}", old.low_water_mark.0, new.low_water_mark.0));
    }
    if old.last_executed != new.last_executed {
        add(format!(
            "last executed {} → {}, service {}",
            old.last_executed.0, new.last_executed.0, new.applied
        ));
    }
    for slot in (0..MAX_SLOTS).map(Slot::at) {
        let index = slot.index();
        if old.accepted[index] != new.accepted[index] {
            add(format!("accepted {slot}: {} → {}", old.accepted[index], new.accepted[index]));
        }
        if old.executed[index] != new.executed[index] {
            add(format!("executed {slot}: {}", new.executed[index]));
        }
        if old.certificates[index] != new.certificates[index] {
            match new.certificates[index] {
                Some(held) => add(format!("prepared {slot}: {} in {}", held.value, held.view)),
                None => add(format!("certificate for {slot} gone")),
            }
        }
    }
}

/// The messages of a replica that are in one set and not in an earlier one.
pub(crate) fn messages(
    model: &Pbft,
    id: ReplicaId,
    old: &Sent,
    new: &Sent,
    add: &mut impl FnMut(String),
) {
    let added = |old: ValueSet, new: ValueSet| ValueSet(new.0 & !old.0);
    for view in (0..MAX_VIEWS).map(|view| View(view as u8)) {
        let at = view.index();
        if let (None, Some(sent)) = (&old.view_changes[at], &new.view_changes[at]) {
            add(format!("VIEW-CHANGE({view}, {sent})"));
        }
        if let (None, Some(sent)) = (&old.new_views[at], &new.new_views[at]) {
            add(format!("NEW-VIEW({view}, {sent})"));
        }
        let vote = if model.primary(view) == id { "PRE-PREPARE" } else { "PREPARE" };
        for slot in (0..MAX_SLOTS).map(Slot::at) {
            let index = slot.index();
            for value in added(old.prepares[at][index], new.prepares[at][index]).iter() {
                add(format!("{vote}({view}, {slot}, {value})"));
            }
            for value in added(old.commits[at][index], new.commits[at][index]).iter() {
                add(format!("COMMIT({view}, {slot}, {value})"));
            }
        }
    }
    for slot in (0..MAX_SLOTS).map(Slot::at) {
        if let (None, Some(sent)) = (old.checkpoints[slot.index()], new.checkpoints[slot.index()]) {
            add(format!("CHECKPOINT({slot}, {})", sent.applied));
        }
    }
}
