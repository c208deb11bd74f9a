//! The state panel: what every replica knows, what is on the network, and what the last step changed of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::trace::changes::messages;
use pbft_model::Pbft;
use pbft_model::ids::{ReplicaId, Slot};
use pbft_model::state::{ReplicaState, Sent, State};

/// A state as the page shows it.
#[derive(Debug, Serialize)]
pub(super) struct Panel {
    /// A row for each variable, with a cell for each honest replica.
    rows: Vec<Row>,
    /// The messages that exist, with who sent them. The model has no inboxes: whoever needs one of these may have received it.
    network: Vec<Message>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    lines: Vec<String>,
    /// What it was before the last step, where that was something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Message {
    text: String,
    from: Vec<u8>,
    /// Whether the last step sent it, for somebody at least.
    new: bool,
}

impl Panel {
    /// A state, and the one before it.
    pub(super) fn of(model: &Pbft, before: Option<&State>, state: &State) -> Self {
        let columns: Vec<_> = model.honest().map(|id| rows(state, id)).collect();
        let earlier: Option<Vec<_>> =
            before.map(|before| model.honest().map(|id| rows(before, id)).collect());
        let names = columns.first().into_iter().flatten().map(|(name, _)| *name).enumerate();
        let cell = |column: usize, row: usize| {
            let lines = columns[column][row].1.clone();
            let was = earlier.as_ref().map(|earlier| earlier[column][row].1.clone());
            Cell { was: was.filter(|was| *was != lines), lines }
        };
        let cells = |row| (0..columns.len()).map(|column| cell(column, row)).collect();
        let rows = names.map(|(row, name)| Row { name, cells: cells(row) }).collect();
        Self { rows, network: network(model, before, state) }
    }
}

/// The messages that are on the network, each once.
fn network(model: &Pbft, before: Option<&State>, state: &State) -> Vec<Message> {
    let mut all: BTreeMap<String, Message> = BTreeMap::new();
    for id in model.honest() {
        let mut new = Vec::new();
        if let Some(before) = before {
            messages(model, id, before.sent(id), state.sent(id), &mut |text| new.push(text));
        }
        messages(model, id, &Sent::default(), state.sent(id), &mut |text| {
            let message = Message { text: text.clone(), from: Vec::new(), new: false };
            let is_new = new.contains(&text);
            let message = all.entry(text).or_insert(message);
            message.from.push(id.0);
            message.new |= is_new;
        });
    }
    all.into_values().collect()
}

/// The variables of one replica in the paper's words, the same for every replica of a configuration. Views and slots are
/// written as in the diagram: `v0 2:R1` is R1 at slot 2 in view 0.
fn rows(state: &State, id: ReplicaId) -> Vec<(&'static str, Vec<String>)> {
    let one = state.replica(id);
    let all = |one: &ReplicaState| [own(one), sent(&one.sent)].concat();
    let mut rows = all(one);
    if let Some(disk) = state.disks.get(id.index()) {
        rows.push(("on disk", differing(all(disk), all(one))));
    }
    if let Some(wire) = state.wire.get(id.index()) {
        rows.push(("on the network", differing(sent(wire), sent(&one.sent))));
    }
    rows
}

/// What the replica knows. Taken apart field by field, so that a new one does not compile until it is shown.
fn own(one: &ReplicaState) -> Vec<(&'static str, Vec<String>)> {
    let ReplicaState {
        view,
        active,
        low_water_mark,
        last_executed,
        accepted,
        certificates,
        applied,
        served,
        executed,
        sent: _,
    } = one;
    let status = if *active { "active" } else { "changing" };
    let values = |values: &mut dyn Iterator<Item = pbft_model::Value>| {
        values.map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
    };
    let set = |text: String| if text.is_empty() { Vec::new() } else { vec![text] };
    vec![
        ("view", vec![format!("{}, {status}", view.0)]),
        ("h", vec![low_water_mark.0.to_string()]),
        ("last executed", vec![last_executed.0.to_string()]),
        ("log", by_slot(accepted, |value| value.is_some().then(|| value.to_string()))),
        (
            "prepared certificates",
            by_slot(certificates, |held| {
                held.map(|held| format!("{} of v{}", held.value, held.view.0))
            }),
        ),
        ("executed", by_slot(executed, |value| value.is_some().then(|| value.to_string()))),
        ("service", set(values(&mut applied.iter()))),
        ("reply table", set(values(&mut served.iter()))),
    ]
}

/// What the replica has said.
fn sent(sent: &Sent) -> Vec<(&'static str, Vec<String>)> {
    let Sent { prepares, commits, view_changes, new_views, checkpoints } = sent;
    let votes = |votes: &pbft_model::state::Votes| {
        let views = votes.iter().enumerate().flat_map(|(view, slots)| {
            let said = by_slot(slots, |values| {
                let values: Vec<_> = values.iter().map(|value| value.to_string()).collect();
                (!values.is_empty()).then(|| values.join(", "))
            });
            said.into_iter().map(move |line| format!("v{view} {line}"))
        });
        views.collect()
    };
    vec![
        ("votes to prepare", votes(prepares)),
        ("votes to commit", votes(commits)),
        ("VIEW-CHANGE", by_view(view_changes)),
        ("NEW-VIEW", by_view(new_views)),
        ("CHECKPOINT", by_slot(checkpoints, |sent| sent.map(|sent| sent.applied.to_string()))),
    ]
}

fn by_slot<T>(items: &[T], text: impl Fn(&T) -> Option<String>) -> Vec<String> {
    let there = items.iter().enumerate();
    let there = there.filter_map(|(at, item)| Some((Slot::at(at), text(item)?)));
    there.map(|(slot, text)| format!("{}:{text}", slot.0)).collect()
}

fn by_view<T: ToString>(items: &[Option<T>]) -> Vec<String> {
    let there = items.iter().enumerate().filter_map(|(view, item)| Some((view, item.as_ref()?)));
    there.map(|(view, item)| format!("v{view} {}", item.to_string())).collect()
}

/// Where one place holds something else than the memory.
fn differing(
    there: Vec<(&'static str, Vec<String>)>,
    memory: Vec<(&'static str, Vec<String>)>,
) -> Vec<String> {
    let differs = there.into_iter().zip(memory).filter(|(there, memory)| there != memory);
    let lines: Vec<_> = differs
        .map(|((name, lines), _)| {
            let text = if lines.is_empty() { "–".to_owned() } else { lines.join("; ") };
            format!("{name} {text}")
        })
        .collect();
    if lines.is_empty() { vec!["as in memory".to_owned()] } else { lines }
}
