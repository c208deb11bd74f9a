//! What is written on a step, and what is said of it.

use std::fmt::Write;

use super::draw::{Layout, violated};
use super::story::{Step, Story};
use crate::mutant_record::active;
use pbft_model::action::Action;
use pbft_model::ids::Slot;
use pbft_model::state::{ReplicaState, State};
use pbft_model::value::Value;

/// The picture in a line.
pub(super) fn title(story: &Story<'_>) -> String {
    let config = story.model.config();
    let mutant = active().map_or(String::new(), |mutant| format!(" with {mutant}"));
    format!("PBFT {config}{mutant}: {} steps", story.steps.len())
}

/// The picture in words, for those who cannot see it.
pub(super) fn describe(story: &Story<'_>) -> String {
    let mut text = String::new();
    for (at, step) in story.steps.iter().enumerate() {
        let _ = writeln!(text, "{}", tooltip(story, at, step));
    }
    for property in violated(story) {
        let _ = writeln!(text, "violated: {}", property.0);
    }
    text
}

/// The class of a chip: each request has its own look, so that two that compete are told apart at a glance.
pub(super) fn chip(story: &Story<'_>, action: Action, before: &State) -> String {
    let value = if let Action::PrePrepare { value, .. }
    | Action::Prepare { value, .. }
    | Action::Execute { value, .. } = action
    {
        value
    } else if let Action::Commit { replica, slot } = action {
        before.replica(replica).accepted[slot.index()]
    } else {
        Value::NONE
    };
    match story.model.requests().position(|request| request == value) {
        Some(number) => format!("chip request-{}", number % 4),
        None => "chip".to_owned(),
    }
}

/// What a step is called in the picture. A space is where it may be broken.
pub(super) fn label(story: &Story<'_>, at: usize, action: Action) -> String {
    let id = action.replica();
    let sent = |state: &State| state.replica(id).sent.checkpoints;
    match action {
        Action::PrePrepare { .. } => "PRE- PREPARE".to_owned(),
        Action::Prepare { .. } => "PREPARE".to_owned(),
        Action::Commit { .. } => "COMMIT".to_owned(),
        Action::Execute { .. } if sent(&story.states[at]) != sent(&story.states[at + 1]) => {
            "EXECUTE CHECKPOINT".to_owned()
        }
        Action::Execute { .. } => "EXECUTE".to_owned(),
        Action::Stabilise { .. } => "STABLE".to_owned(),
        Action::StateTransfer { .. } => "STATE TRANSFER".to_owned(),
        Action::StartViewChange { .. } => "VIEW- CHANGE".to_owned(),
        Action::NewView { .. } => "NEW- VIEW".to_owned(),
        Action::EnterView { .. } => "ENTER VIEW".to_owned(),
        Action::Flush { .. } => "WRITE".to_owned(),
        Action::Restart { .. } => "RESTART".to_owned(),
    }
}

/// What a step is about.
pub(super) fn content(
    layout: Layout,
    action: Action,
    before: &State,
    after: &ReplicaState,
) -> String {
    let before = before.replica(action.replica());
    match action {
        Action::PrePrepare { slot, value, .. } | Action::Prepare { slot, value, .. } => {
            layout.vote(before.view, slot, value)
        }
        Action::Commit { slot, .. } => {
            layout.vote(before.view, slot, before.accepted[slot.index()])
        }
        Action::Execute { view, value, .. } => layout.vote(view, after.last_executed, value),
        Action::Stabilise { slot, .. } | Action::StateTransfer { slot, .. } => slot.to_string(),
        Action::StartViewChange { to, .. } => {
            let prepared = after.sent.view_changes[to.index()].map(|sent| sent.prepared);
            let certificates = prepared.iter().flatten().enumerate();
            let shown: Vec<_> = certificates
                .filter_map(|(at, one)| one.map(|one| layout.value(Slot::at(at), one.value)))
                .collect();
            format!("P=[{}]", shown.join(" "))
        }
        Action::NewView { outcome, .. } | Action::EnterView { outcome, .. } => {
            layout.order(&outcome)
        }
        Action::Flush { .. } | Action::Restart { .. } => String::new(),
    }
}

/// Everything about a step, in lines.
pub(super) fn tooltip(story: &Story<'_>, at: usize, step: &Step) -> String {
    let mut text = format!("{}. {}", at + 1, step.action);
    for message in step.uses.iter().chain(&step.behind) {
        let _ = write!(text, "\n  uses {}", message.kind.name());
        if !message.content.is_empty() {
            let _ = write!(text, "({})", message.content);
        }
        let _ = write!(text, " of {}", message.from);
        match message.sent_at {
            Some(step) => {
                let _ = write!(text, ", sent in step {}", step + 1);
            }
            None if story.model.is_byzantine(message.from) => text += ", Byzantine",
            None => {}
        }
    }
    if let Some(quorum) = &step.quorum {
        let voters: Vec<_> = quorum.voters.iter().map(|id| id.0.to_string()).collect();
        let short =
            if quorum.is_short() { ": too few, only a planted bug allows this" } else { "" };
        let _ = write!(
            text,
            "\n  quorum of {}: replicas {} ({} of {} needed){short}",
            quorum.of,
            voters.join(", "),
            quorum.voters.len(),
            quorum.needed
        );
    }
    for change in &step.changes {
        let _ = write!(text, "\n  {change}");
    }
    text
}
