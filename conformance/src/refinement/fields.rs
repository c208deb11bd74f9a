//! Which variable is compared where, on both sides; and why some are not.
//!
//! Every field of the model's `ReplicaState` and of the core's `Replica` is listed. A new field that nobody has thought of
//! fails the tests below.

/// Where a variable is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// By α, after every step: see [`super::state`].
    Alpha,
    /// Elsewhere: where.
    At(&'static str),
    /// Nowhere: why not.
    Not(&'static str),
}

use Compared::{Alpha, At, Not};

/// The variables of the model's replica.
pub const MODEL: &[(&str, Compared)] = &[
    ("view", Alpha),
    ("active", Alpha),
    ("low_water_mark", Alpha),
    ("last_executed", Alpha),
    ("accepted", Alpha),
    ("certificates", Alpha),
    ("applied", Alpha),
    ("served", Alpha),
    ("executed", At("each execution, with its replies; what it rests on above h by α")),
    ("sent", At("the messages of each step; own checkpoints above h by α")),
];

/// A variable of the core that is a struct: its fields are listed below.
const BELOW: Compared = At("field by field");

/// The variables of the core's replica, then those of its structs.
pub const CORE: &[(&str, Compared)] = &[
    ("params", Not("given, and never changed")),
    ("key", Not("given, and never changed")),
    ("view", BELOW),
    ("log", Alpha),
    ("execution", BELOW),
    ("pending", At("the next PRE-PREPARE, and the timer")),
    ("must_sign", Not("only authenticators are refused for it; clients of a replay sign")),
    ("checkpoints", BELOW),
    ("fetching", At("EnterView, which comes when the last batch is here")),
    ("transfer", BELOW),
    (
        "timer",
        At(
            "whether it runs: [`crate::refinement::timers`]. Its duration is not compared: the model has no clock",
        ),
    ),
    ("peers", BELOW),
    ("halted", At("α has no image of a replica that stopped")),
    // The view.
    ("own", Not("given, and never changed")),
    ("membership", Not("given, and never changed")),
    ("number", Alpha),
    ("active", Alpha),
    ("last_proposed", At("the slot of the next PRE-PREPARE")),
    ("view_changes", At("NewView and joins, which come at the last VIEW-CHANGE; and the timer")),
    ("new_view", At("the reaction `a NEW-VIEW is handed on`")),
    ("awaited", At("the reaction `a NEW-VIEW that waits for state is followed`")),
    ("abstains", Not("only a replica that lost its disk abstains; those of a replay keep theirs")),
    // Execution.
    ("last_executed", Alpha),
    ("executing", At("the execution that follows in the same step: the service answers at once")),
    ("replies", Alpha),
    ("reply_chunks", At("the manifest of each checkpoint, by its digest in the CHECKPOINT")),
    // Checkpoints.
    ("own", Not("given, and never changed")),
    ("votes", Alpha),
    ("beyond", At("StateTransfer, which they lead to")),
    ("stable", At("the reaction `the proof of a stable checkpoint is handed on`")),
    ("manifests", At("the reaction `a checkpoint's state is served`")),
    // State transfer.
    ("current", At("StateTransfer, which comes when the last chunk is here")),
    (
        "sources",
        Not("who is asked for what, and how fast they answer; a transfer ends with any of them"),
    ),
    ("staged", At("StateTransfer: what the last chunk completes")),
    // The peers.
    (
        "budget",
        Not("bounds how much a peer is given between ticks; the model's network loses nothing"),
    ),
    ("answered", Not("bounds how often a peer is answered between ticks; the same")),
    (
        "reported",
        Not(
            "what peers say of themselves in STATUS; it selects what is sent again, and is no step",
        ),
    ),
    (
        "strays",
        Not("when to leave a view for a peer that waits ahead; any replica may leave at any time"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a struct, as its source has them.
    fn fields<'a>(source: &'a str, declaration: &str) -> Vec<&'a str> {
        let (_, body) = source.split_once(declaration).expect("the struct is there");
        let (body, _) = body.split_once("\n}").expect("it ends");
        let names = body.lines().filter_map(|line| {
            let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let (name, _) = line.split_once(": ")?;
            let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            is_name.then_some(name)
        });
        names.collect()
    }

    fn listed(list: &[(&'static str, Compared)]) -> Vec<&'static str> {
        list.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn every_variable_of_both_sides_is_listed_in_its_order() {
        let model = include_str!("../../../model/spec/src/state.rs");
        assert_eq!(listed(MODEL), fields(model, "pub struct ReplicaState {"));
        let core = [
            (include_str!("../../../impl/core/src/replica.rs"), "pub struct Replica {"),
            (include_str!("../../../impl/core/src/view.rs"), "pub(crate) struct CurrentView {"),
            (include_str!("../../../impl/core/src/execution.rs"), "pub(crate) struct Execution {"),
            (
                include_str!("../../../impl/core/src/checkpoint.rs"),
                "pub(crate) struct Checkpoints {",
            ),
            (
                include_str!("../../../impl/core/src/transfer.rs"),
                "pub(crate) struct StateTransfer {",
            ),
            (include_str!("../../../impl/core/src/participation.rs"), "pub(crate) struct Peers {"),
        ];
        let core: Vec<_> =
            core.iter().flat_map(|(source, declaration)| fields(source, declaration)).collect();
        assert_eq!(listed(CORE), core);
    }

    #[test]
    fn a_field_that_is_new_is_found() {
        let source = "pub struct A {\n    /// Doc: of it.\n    pub one: u8,\n    pub(crate) two: B,\n    three: C,\n}\n";
        assert_eq!(fields(source, "pub struct A {"), ["one", "two", "three"]);
    }
}
