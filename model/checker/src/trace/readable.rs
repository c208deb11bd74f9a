//! States and actions in words: fields by name, replicas, views and slots as keys of maps, values as they are printed.
//!
//! Written as ITF writes data: a map is `{"#map": [[key, value], …]}`, a set `{"#set": […]}`, a list an array, a record an
//! object, a variant `{"tag": …, "value": …}`. What is absent (no certificate, nothing sent) has no entry in its map.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value as Json, json};

use pbft_model::Pbft;
use pbft_model::action::Action;
use pbft_model::ids::{ReplicaId, Slot};
use pbft_model::state::{Certificate, NewView, ReplicaState, State, StateDigest, ViewChange};
use pbft_model::value::{Applied, Value, ValueSet};

/// Something with a form in words, unless it is absent.
trait Readable {
    fn readable(&self) -> Option<Json>;
}

impl<T: Readable> Readable for Option<T> {
    fn readable(&self) -> Option<Json> {
        self.as_ref().and_then(T::readable)
    }
}

impl Readable for Value {
    fn readable(&self) -> Option<Json> {
        self.is_some().then(|| json!(self.to_string()))
    }
}

impl Readable for ValueSet {
    fn readable(&self) -> Option<Json> {
        (!self.is_empty()).then(|| set(*self))
    }
}

impl Readable for Certificate {
    fn readable(&self) -> Option<Json> {
        Some(json!({ "view": self.view.0, "value": self.value.to_string() }))
    }
}

impl Readable for StateDigest {
    fn readable(&self) -> Option<Json> {
        Some(json!({ "applied": list(self.applied), "served": set(self.served) }))
    }
}

impl Readable for ViewChange {
    fn readable(&self) -> Option<Json> {
        let prepared = by_slot(&self.prepared);
        Some(json!({ "low_water_mark": self.low_water_mark.0, "prepared": prepared }))
    }
}

impl Readable for NewView {
    fn readable(&self) -> Option<Json> {
        let order = by_slot(&self.order);
        Some(json!({ "min_s": self.min_s.0, "max_s": self.max_s.0, "order": order }))
    }
}

/// What a replica has for each slot of one view.
struct Slots<'a, T>(&'a [T]);

impl<T: Readable> Readable for Slots<'_, T> {
    fn readable(&self) -> Option<Json> {
        self.0.iter().any(|item| item.readable().is_some()).then(|| by_slot(self.0))
    }
}

fn set(values: ValueSet) -> Json {
    json!({ "#set": values.iter().map(|value| value.to_string()).collect::<Vec<_>>() })
}

fn list(applied: Applied) -> Json {
    json!(applied.iter().map(|value| value.to_string()).collect::<Vec<_>>())
}

fn map(entries: impl Iterator<Item = (usize, Option<Json>)>) -> Json {
    let present = entries.filter_map(|(key, item)| item.map(|item| json!([key, item])));
    json!({ "#map": present.collect::<Vec<_>>() })
}

fn by_slot<T: Readable>(items: &[T]) -> Json {
    let slot = |index| usize::from(Slot::at(index).0);
    map(items.iter().enumerate().map(|(index, item)| (slot(index), item.readable())))
}

fn by_view<T: Readable>(items: impl Iterator<Item = T>) -> Json {
    map(items.enumerate().map(|(view, item)| (view, item.readable())))
}

/// The step that led to a state, as a variant; `None` is the initial state.
pub(super) fn action(action: Option<&Action>) -> Json {
    let Some(action) = action else { return json!({ "tag": "Init", "value": {} }) };
    // Ids, views and slots are serialized as the numbers they are.
    let serialized = serde_json::to_value(action).unwrap_or_default();
    let mut fields = serialized.get(action.name()).cloned().unwrap_or_default();
    if let Action::PrePrepare { value, .. }
    | Action::Prepare { value, .. }
    | Action::Execute { value, .. } = action
    {
        fields["value"] = json!(value.to_string());
    }
    if let Action::NewView { outcome, .. } | Action::EnterView { outcome, .. } = action {
        fields["outcome"] = json!(outcome.readable());
    }
    if let Action::StateTransfer { digest, .. } = action {
        fields["digest"] = json!(digest.readable());
    }
    json!({ "tag": action.name(), "value": fields })
}

/// The variables of a state, by name. A variable of the replicas is a map from each honest replica.
pub(super) fn variables(model: &Pbft, state: &State) -> BTreeMap<String, Json> {
    let mut per_replica: BTreeMap<String, Vec<(ReplicaId, Json)>> = BTreeMap::new();
    for id in model.honest() {
        for (name, value) in replica(state.replica(id)) {
            per_replica.entry(name).or_default().push((id, value));
        }
    }
    let mut variables: BTreeMap<String, Json> = per_replica
        .into_iter()
        .map(|(name, values)| {
            let entries = values.into_iter().map(|(id, value)| (id.index(), Some(value)));
            (name, map(entries))
        })
        .collect();
    variables.extend(untold(state, &["replicas"]));
    variables
}

fn replica(one: &ReplicaState) -> BTreeMap<String, Json> {
    let sent = &one.sent;
    let told = [
        ("view", json!(one.view.0)),
        ("active", json!(one.active)),
        ("low_water_mark", json!(one.low_water_mark.0)),
        ("last_executed", json!(one.last_executed.0)),
        ("accepted", by_slot(&one.accepted)),
        ("certificates", by_slot(&one.certificates)),
        ("applied", list(one.applied)),
        ("served", set(one.served)),
        ("executed", by_slot(&one.executed)),
    ];
    let told_sent = [
        ("prepares", by_view(sent.prepares.iter().map(|slots| Slots(slots)))),
        ("commits", by_view(sent.commits.iter().map(|slots| Slots(slots)))),
        ("view_changes", by_view(sent.view_changes.iter().copied())),
        ("new_views", by_view(sent.new_views.iter().copied())),
        ("checkpoints", by_slot(&sent.checkpoints)),
    ];
    let mut names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
    names.push("sent");
    let sent_names: Vec<_> = told_sent.iter().map(|(name, _)| *name).collect();
    let mut all = untold(one, &names);
    all.extend(untold(sent, &sent_names));
    all.extend(told.into_iter().chain(told_sent).map(|(name, value)| (name.to_owned(), value)));
    all
}

/// What is known of each replica, a line for each variable: `replica 1 accepted` is `{slot 1: R1}`.
pub(super) fn facts(model: &Pbft, state: &State) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for id in model.honest() {
        for (name, value) in replica(state.replica(id)) {
            facts.insert(format!("{id} {name}"), in_line(&value, keys(&name)));
        }
    }
    for (name, value) in untold(state, &["replicas"]) {
        facts.insert(name, in_line(&value, &[]));
    }
    facts
}

/// What the keys of a variable's maps are, from the outside in.
fn keys(variable: &str) -> &'static [&'static str] {
    match variable {
        "accepted" | "certificates" | "executed" | "checkpoints" => &["slot "],
        "prepares" | "commits" | "view_changes" | "new_views" => &["view ", "slot "],
        _ => &[],
    }
}

/// Data in one line: maps and records as `{key: value}`, sets as `{value}`, lists as `[value]`.
fn in_line(value: &Json, keys: &[&str]) -> String {
    let join = |items: &[Json]| {
        items.iter().map(|item| in_line(item, keys)).collect::<Vec<_>>().join(", ")
    };
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("[{}]", join(items)),
        Json::Object(fields) => {
            if let Some(Json::Array(items)) = fields.get("#set") {
                return format!("{{{}}}", join(items));
            }
            let (key, inner) = keys.split_first().map_or(("", keys), |(key, inner)| (*key, inner));
            let pair = |pair: &Json| match pair.as_array().map(Vec::as_slice) {
                Some([at, item]) => format!("{key}{at}: {}", in_line(item, inner)),
                _ => pair.to_string(),
            };
            let entries: Vec<_> = match fields.get("#map") {
                Some(Json::Array(pairs)) => pairs.iter().map(pair).collect(),
                _ => {
                    let field = |(name, item)| format!("{name}: {}", in_line(item, keys));
                    fields.iter().map(field).collect()
                }
            };
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Fields that this module has no words for, as they are serialized. So that no variable is ever left out.
fn untold(fields: &impl Serialize, told: &[&str]) -> BTreeMap<String, Json> {
    let Ok(Json::Object(fields)) = serde_json::to_value(fields) else { return BTreeMap::new() };
    let untold = fields.into_iter().filter(|(name, _)| !told.contains(&name.as_str()));
    untold.map(|(name, value)| (name, without_null(value))).collect()
}

/// ITF has no null.
fn without_null(value: Json) -> Json {
    match value {
        Json::Null => json!("none"),
        Json::Array(items) => items.into_iter().map(without_null).collect(),
        Json::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, without_null(value)));
            Json::Object(fields.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stateright::Model;

    use super::*;

    #[test]
    fn no_two_steps_that_are_enabled_read_the_same() {
        let config = "n4-b0-v1-s2-d2-k1".parse().expect("a valid name");
        let model = Pbft::new(config);
        let mut state = State::initial(model.config());
        for turn in 0..60 {
            let mut enabled = Vec::new();
            model.actions(&state, &mut enabled);
            let forms: BTreeSet<_> =
                enabled.iter().map(|one| action(Some(one)).to_string()).collect();
            assert_eq!(forms.len(), enabled.len(), "{enabled:?}");
            let Some(chosen) = enabled.get(turn * 7 % enabled.len().max(1)) else { break };
            state = model.next_state(&state, *chosen).expect("an enabled step");
        }
    }

    #[test]
    fn every_field_of_the_state_is_a_variable() {
        let model = Pbft::new("n4-b0-v1-s1-d2".parse().expect("a valid name"));
        let state = State::initial(model.config());
        let variables = variables(&model, &state);
        let names = |fields: Json| match fields {
            Json::Object(fields) => fields.into_iter().map(|(name, _)| name).collect(),
            _ => Vec::new(),
        };
        let replica = state.replica(ReplicaId(1));
        let all = [json!(state), json!(replica), json!(replica.sent)].map(names).concat();
        assert!(all.len() > 10);
        for name in all.iter().filter(|name| !["replicas", "sent"].contains(&name.as_str())) {
            assert!(variables.contains_key(name), "{name}");
        }
    }
}
