//! Traces in the Informal Trace Format, the JSON that Apalache and Quint write and the ITF viewers read.
//!
//! A file has `#meta` (what it is), `vars` and `states`. Each state has all variables and, in `action`, the step that led
//! to it. Reading believes none of it: the steps are looked up among those that the model allows, the model computes the
//! states, and a file whose states differ is refused with the first state and variable that do.
//! The format: <https://apalache-mc.org/docs/adr/015adr-trace.html>.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use stateright::Model;

use super::read::STEPS_MAX;
use super::readable;
use super::{NotEnabled, Trace, TraceError};
use pbft_model::action::Action;
use pbft_model::state::State;
use pbft_model::{Config, Pbft, properties};

/// Version of what `#meta` and the variables mean.
pub const TRACE_VERSION: &str = "1";

const FORMAT_DESCRIPTION: &str = "https://apalache-mc.org/docs/adr/015adr-trace.html";

/// The variable that holds the step that led to a state.
const ACTION: &str = "action";

/// `#meta` of a file. All of it is text, since some readers of the format take nothing else there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Meta {
    format: String,
    format_description: String,
    /// What the trace is, in a line; for people.
    description: String,
    /// The tool that wrote it, with its version; for people.
    source: String,
    trace_version: String,
    config: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mutant: Option<String>,
    /// The properties that the last state violates, with commas between them.
    shows: String,
}

impl Meta {
    fn of(trace: &Trace) -> Self {
        Self {
            format: "ITF".to_owned(),
            format_description: FORMAT_DESCRIPTION.to_owned(),
            description: trace.headline(),
            source: concat!("pbft-model ", env!("CARGO_PKG_VERSION")).to_owned(),
            trace_version: TRACE_VERSION.to_owned(),
            config: trace.config.clone(),
            mutant: trace.mutant.clone(),
            shows: trace.shows.join(", "),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "#meta")]
    meta: Meta,
    vars: Vec<String>,
    states: Vec<Map<String, Json>>,
}

/// One state as it stands in a file.
fn written_state(
    model: &Pbft,
    index: usize,
    action: Option<&Action>,
    state: &State,
) -> BTreeMap<String, Json> {
    let mut fields = readable::variables(model, state);
    fields.insert(ACTION.to_owned(), readable::action(action));
    fields.insert("#meta".to_owned(), json!({ "index": index }));
    fields
}

/// The trace as ITF JSON, a variable a line. An error if it has a step that is not enabled, or an unknown configuration.
pub fn write(trace: &Trace) -> Result<String, TraceError> {
    let model = trace.model()?;
    let states = trace.states(&model)?;
    let actions = [None].into_iter().chain(trace.actions.iter().map(Some));
    let states = states.iter().zip(actions).enumerate();
    let written: Vec<_> = states
        .map(|(index, (state, action))| written_state(&model, index, action, state))
        .collect();
    let names = written.first().into_iter().flat_map(BTreeMap::keys);
    let vars: Vec<_> = names.filter(|name| *name != "#meta").collect();
    let mut text = format!("{{\n\"#meta\": {:#},\n", json!(Meta::of(trace)));
    let _ = write!(text, "\"vars\": {},\n\"states\": [", json!(vars));
    for (index, state) in written.iter().enumerate() {
        let _ = write!(text, "{}\n{{\n", if index == 0 { "" } else { "," });
        for (position, (name, value)) in state.iter().enumerate() {
            let comma = if position + 1 == state.len() { "" } else { "," };
            let _ = writeln!(text, "  {}: {value}{comma}", json!(name));
        }
        text.push('}');
    }
    text += "\n]\n}\n";
    Ok(text)
}

/// Whether parsed JSON means to be a trace in this format.
pub(super) fn is_itf(file: &Json) -> bool {
    file.get("#meta").is_some() || file.get("states").is_some()
}

/// The trace of a file in this format. Every state of it is compared with what the model computes.
pub(super) fn from_json(file: Json) -> Result<Trace, TraceError> {
    let version = file.pointer("/#meta/trace-version");
    if version.and_then(Json::as_str) != Some(TRACE_VERSION) {
        let found = version.map(|version| shortened(&version.to_string()));
        return Err(TraceError::Version { found });
    }
    let File { meta, vars, states } =
        serde_json::from_value(file).map_err(|error| TraceError::Malformed(error.to_string()))?;
    if states.is_empty() {
        return Err(TraceError::Malformed("it has no state".to_owned()));
    }
    if states.len() > STEPS_MAX + 1 {
        return Err(TraceError::TooManySteps(states.len() - 1));
    }
    let config: Config = meta.config.parse()?;
    TraceError::if_of_others(meta.mutant.as_deref())?;
    let model = Pbft::new(config);
    let mut reader = Reader { model, state: State::initial(&config), actions: Vec::new() };
    for (index, given) in states.into_iter().enumerate() {
        reader.take(index, given)?;
    }
    let Reader { model, state, actions } = reader;
    let mut expected: Vec<_> = readable::variables(&model, &state).into_keys().collect();
    expected.push(ACTION.to_owned());
    expected.sort_unstable();
    let mut vars = vars;
    vars.sort_unstable();
    if vars != expected {
        return Err(TraceError::Malformed(format!(
            "`vars` are {vars:?}, the variables of the model are {expected:?}"
        )));
    }
    let shows = properties::violated(&model, &state);
    if meta.shows != shows.join(", ") {
        return Err(TraceError::Shows { file: shortened(&meta.shows), model: shows.join(", ") });
    }
    let shows = shows.into_iter().map(str::to_owned).collect();
    Ok(Trace { config: meta.config, mutant: meta.mutant, shows, actions })
}

/// Follows a file state by state.
struct Reader {
    model: Pbft,
    state: State,
    actions: Vec<Action>,
}

impl Reader {
    /// Takes the step that a state of the file names, and compares the state.
    fn take(&mut self, index: usize, given: Map<String, Json>) -> Result<(), TraceError> {
        let given: BTreeMap<_, _> =
            given.into_iter().map(|(name, value)| (name, normal(value))).collect();
        let action = self.step(index, given.get(ACTION))?;
        let expected = written_state(&self.model, index, action.as_ref(), &self.state);
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(name, value)| (name, normal(value))).collect();
        let names: BTreeSet<_> = given.keys().chain(expected.keys()).collect();
        for name in names {
            let (file, model) = (given.get(name), expected.get(name));
            if file != model {
                let text = |value: Option<&Json>| {
                    value.map_or_else(|| "absent".to_owned(), |value| shortened(&value.to_string()))
                };
                return Err(TraceError::Differs {
                    state: index,
                    variable: name.clone(),
                    file: text(file),
                    model: text(model),
                });
            }
        }
        Ok(())
    }

    /// Finds the step among those that are enabled, and takes it.
    fn step(&mut self, index: usize, given: Option<&Json>) -> Result<Option<Action>, TraceError> {
        if index == 0 {
            return Ok(None);
        }
        let mut enabled = Vec::new();
        self.model.actions(&self.state, &mut enabled);
        let named = |one: &Action| Some(&normal(readable::action(Some(one)))) == given;
        let taken = enabled.into_iter().find(named).and_then(|action| {
            self.model.next_state(&self.state, action).map(|next| (action, next))
        });
        let (action, next) = taken.ok_or_else(|| {
            let action = given.map_or_else(|| "absent".to_owned(), Json::to_string);
            NotEnabled { step: index, action: shortened(&action) }
        })?;
        self.state = next;
        self.actions.push(action);
        Ok(Some(action))
    }
}

/// The form in which equal data is equal JSON: sets and maps sorted, small integers as numbers.
fn normal(value: Json) -> Json {
    match value {
        Json::Array(items) => items.into_iter().map(normal).collect(),
        Json::Object(fields) => {
            let single = fields.len() == 1;
            let mut fields: Map<_, _> =
                fields.into_iter().map(|(name, value)| (name, normal(value))).collect();
            for unordered in ["#set", "#map"] {
                if let (true, Some(Json::Array(items))) = (single, fields.get_mut(unordered)) {
                    items.sort_by_cached_key(Json::to_string);
                    items.dedup();
                }
            }
            let integer = fields.get("#bigint").and_then(Json::as_str);
            match integer.and_then(|digits| digits.parse::<i64>().ok()) {
                Some(integer) if single => json!(integer),
                Some(_) | None => Json::Object(fields),
            }
        }
        other => other,
    }
}

/// A value of a file in a message: a hostile file must not fill the terminal, nor speak to it.
pub(super) fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 300;
    let plain = text.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one });
    let mut short: String = plain.take(CHARACTERS_MAX).collect();
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        short.push('…');
    }
    short
}
