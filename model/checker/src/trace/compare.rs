//! Where two traces part.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use serde::{Deserialize, Serialize};

use super::{Trace, TraceError, readable};

/// Two values of the same thing, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// Its value in the first trace.
    pub first: String,
    /// Its value in the second trace.
    pub second: String,
}

/// Where two traces part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The first step at which they differ, from 1; 0 is the initial state. None if only what they belong to differs.
    pub step: Option<usize>,
    /// Configuration and mutant where they differ; the step; and each variable that differs in the states after it.
    pub rows: Vec<Row>,
}

/// A trace with the variables of each of its states, as text: what there is to compare, also of a trace that can be
/// followed in another process only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The trace.
    pub trace: Trace,
    states: Vec<BTreeMap<String, String>>,
}

impl Followed {
    /// Follows a trace. An error if it has a step that is not enabled, or an unknown configuration.
    pub fn new(trace: Trace) -> Result<Self, TraceError> {
        let model = trace.model()?;
        let states = trace.states(&model)?;
        let states = states.iter().map(|state| readable::facts(&model, state)).collect();
        Ok(Self { trace, states })
    }
}

/// What differs between two traces up to the first step at which they do; none if they are the same.
#[must_use]
pub fn compare(first: &Followed, second: &Followed) -> Option<Difference> {
    let states = [&first.states, &second.states];
    let (first, second) = (&first.trace, &second.trace);
    let mut rows = Vec::new();
    differing(&mut rows, "configuration", &first.config, &second.config);
    let mutant = |trace: &Trace| trace.mutant.clone().unwrap_or_else(|| "none".to_owned());
    differing(&mut rows, "mutant", &mutant(first), &mutant(second));
    let bounds = rows.len();
    for step in 0..states[0].len().max(states[1].len()) {
        let facts = |which: usize| states[which].get(step).cloned().unwrap_or_default();
        differing(&mut rows, "step", &label(first, step), &label(second, step));
        differing_facts(&mut rows, &facts(0), &facts(1));
        if rows.len() > bounds {
            return Some(Difference { step: Some(step), rows });
        }
    }
    (!rows.is_empty()).then_some(Difference { step: None, rows })
}

/// The step that leads to a state.
fn label(trace: &Trace, state: usize) -> String {
    match state.checked_sub(1) {
        None => "initial state".to_owned(),
        Some(index) => trace.actions.get(index).map_or("ends".to_owned(), ToString::to_string),
    }
}

fn differing(rows: &mut Vec<Row>, name: &str, first: &str, second: &str) {
    if first != second {
        let [name, first, second] = [name, first, second].map(str::to_owned);
        rows.push(Row { name, first, second });
    }
}

fn differing_facts(
    rows: &mut Vec<Row>,
    first: &BTreeMap<String, String>,
    second: &BTreeMap<String, String>,
) {
    let value = |facts: &BTreeMap<String, String>, name| {
        facts.get(name).cloned().unwrap_or_else(|| "–".to_owned())
    };
    let names: BTreeSet<_> = first.keys().chain(second.keys()).collect();
    for name in names {
        differing(rows, name, &value(first, name), &value(second, name));
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            None => writeln!(f, "the same steps, but not of the same model:")?,
            Some(0) => writeln!(f, "the traces differ before the first step:")?,
            Some(step) => writeln!(f, "the traces differ at step {step}:")?,
        }
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_header(["", "first", "second"]);
        for Row { name, first, second } in &self.rows {
            table.add_row([name, first, second]);
        }
        writeln!(f, "{table}")
    }
}
